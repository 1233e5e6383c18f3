"""Drugs by groups of the ATC and by RxNorm, however a record names them; near misses of each group."""

from __future__ import annotations

import pytest

from cds import codes
from cds.domain.coding import Coding
from cds.value_sets import ATC, RXNORM, Index


def takes(name: str, system: str, code: str, display: str = "") -> bool:
    """Whether a coded drug is one of a value set; the index says the same."""
    coding = Coding(system, code, display)
    contained = codes.loaded()[name].contains(coding)
    assert contained == (name in {found.name for found in codes.index().find(coding)})
    return contained


@pytest.mark.parametrize(
    "system",
    [
        "http://www.whocc.no/atc",
        "ATC",
        "WC",
        "urn:oid:2.16.840.1.113883.6.73",
        "http://fhir.de/CodeSystem/bfarm/atc",
        "http://fhir.de/CodeSystem/dimdi/atc",
    ],
)
def test_the_atc_is_recognised_however_it_is_named(system: str) -> None:
    assert takes("statin", system, "C10AA05")
    assert takes("statin", system, "c10aa05 ")
    assert not takes("statin", system, "C10AX09")


@pytest.mark.parametrize("system", [RXNORM, "RXNORM", "RxNorm", "urn:oid:2.16.840.1.113883.6.88"])
def test_rxnorm_is_recognised_however_it_is_named(system: str) -> None:
    assert takes("statin", system, "83367")
    assert takes("statin", system, "617310", "atorvastatin 20 MG Oral Tablet")
    assert not takes("statin", "L", "617310", "atorvastatin 20 MG Oral Tablet")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("statin", "C10BA02"),
        ("statin", "C10BX03"),
        ("statin", "A10BH51"),
        ("antihypertensive", "C09AA05"),
        ("antihypertensive", "C03AA03"),
        ("antihypertensive", "C07AB07"),
        ("antihypertensive", "C10BX03"),
        ("antihypertensive", "C09DX04"),
        ("anticoagulant", "B01AA03"),
        ("anticoagulant", "B01AB05"),
        ("anticoagulant", "B01AE07"),
        ("anticoagulant", "B01AF02"),
        ("anticoagulant", "B01AX05"),
        ("antiplatelet", "B01AC06"),
        ("antiplatelet", "B01AC30"),
        ("osteoporosis-drug", "M05BA04"),
        ("osteoporosis-drug", "M05BX04"),
        ("osteoporosis-drug", "G03XC01"),
        ("oestrogen", "G03CA03"),
        ("oestrogen", "G03FA01"),
        ("metformin", "A10BA02"),
        ("metformin", "A10BD07"),
        ("metformin", "A10BD20"),
        ("immunosuppressant", "L04AX01"),
        ("immunosuppressant", "L04AB04"),
        ("immunosuppressant", "H02AB07"),
        ("dementia-drug", "N06DA02"),
        ("dementia-drug", "N06DX01"),
        ("nsaid", "M01AE01"),
        ("nsaid", "M01AB05"),
    ],
)
def test_a_drug_of_a_group_is_found(name: str, code: str) -> None:
    assert takes(name, ATC, code)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("statin", "C10BA10"),  # bempedoic acid and ezetimibe
        ("statin", "C10AB05"),  # fenofibrate
        ("statin", "A10BH01"),  # sitagliptin
        ("antihypertensive", "C02KX01"),  # bosentan, pulmonary hypertension
        ("antihypertensive", "C03XA01"),  # tolvaptan
        ("antihypertensive", "C01BD01"),  # amiodarone
        ("antihypertensive", "C10BX01"),  # simvastatin and acetylsalicylic acid
        ("anticoagulant", "B01AC06"),  # acetylsalicylic acid
        ("anticoagulant", "B01AD02"),  # alteplase
        ("antiplatelet", "B01AF02"),  # apixaban
        ("antiplatelet", "N02BA01"),  # acetylsalicylic acid for pain
        ("osteoporosis-drug", "M05BX05"),  # burosumab
        ("osteoporosis-drug", "A11CC05"),  # colecalciferol
        ("oestrogen", "G03CA04"),  # estriol
        ("oestrogen", "G03AA07"),  # contraceptive
        ("oestrogen", "G03DA04"),  # progesterone
        ("metformin", "A10BD19"),  # linagliptin and empagliflozin
        ("metformin", "A10BD06"),  # glimepiride and pioglitazone
        ("metformin", "A10BA01"),  # phenformin
        ("immunosuppressant", "H02AB09"),  # hydrocortisone
        ("immunosuppressant", "L01XX05"),  # hydroxycarbamide
        ("immunosuppressant", "R03BA02"),  # budesonide, inhaled
        ("dementia-drug", "N06DX02"),  # ginkgo
        ("nsaid", "M01AX05"),  # glucosamine
        ("nsaid", "M02AA15"),  # diclofenac on the skin
        ("nsaid", "N02BE01"),  # paracetamol
    ],
)
def test_a_neighbour_of_a_group_is_not_found(name: str, code: str) -> None:
    assert not takes(name, ATC, code)


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("statin", "amlodipine 5 MG / atorvastatin 10 MG Oral Tablet [Caduet]"),
        ("antihypertensive", "amlodipine 5 MG / atorvastatin 10 MG Oral Tablet [Caduet]"),
        ("metformin", "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet"),
        ("anticoagulant", "0.4 ML enoxaparin sodium 100 MG/ML Prefilled Syringe [Lovenox]"),
        ("anticoagulant", "Warfarin Sodium 5 MG Oral Tablet"),
        ("antiplatelet", "aspirin 81 MG Delayed Release Oral Tablet"),
        ("immunosuppressant", "mycophenolic acid 180 MG Delayed Release Oral Tablet"),
        ("nsaid", "diclofenac sodium 75 MG Delayed Release Oral Tablet"),
    ],
)
def test_a_product_of_rxnorm_is_known_by_the_ingredients_in_its_name(name: str, product: str) -> None:
    assert takes(name, RXNORM, "1", product)


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("nsaid", "diclofenac sodium 0.01 MG/MG Topical Gel"),
        ("immunosuppressant", "tacrolimus 0.001 MG/MG Topical Ointment"),
        ("immunosuppressant", "cyclosporine 0.5 MG/ML Ophthalmic Suspension"),
        ("statin", "nystatin 100 UNT/MG Oral Suspension"),
        ("statin", "ezetimibe 10 MG Oral Tablet"),
        ("anticoagulant", ""),
    ],
)
def test_a_product_for_skin_or_eye_and_one_of_another_name_are_not_taken_for_it(name: str, product: str) -> None:
    assert not takes(name, RXNORM, "1", product)


def test_a_product_is_known_by_its_name_in_rxnorm_alone() -> None:
    assert not takes("statin", ATC, "X", "atorvastatin 20 MG Oral Tablet")
    assert not takes("statin", "http://hl7.org/fhir/sid/ndc", "X", "atorvastatin 20 MG Oral Tablet")


def test_what_was_not_seen_in_a_public_list_does_not_load() -> None:
    assert not takes("osteoporosis-drug", RXNORM, "46041", "alendronate")
    assert not takes("oestrogen", RXNORM, "4083", "estradiol")


def test_codes_of_two_systems_do_not_meet() -> None:
    """J44 is no group of the ATC, and C07 no cancer."""
    assert not codes.loaded()["copd"].contains(Coding(ATC, "J44"))
    assert not takes("antihypertensive", codes.ICD10, "C07")


def test_every_drug_is_an_atc_group_or_substance_or_an_ingredient() -> None:
    drugs = [one for one in codes.ALL if one.kind == "medication"]
    assert len(drugs) == 10
    assert {entry.coding.system for one in drugs for entry in one.entries} == {ATC, RXNORM}
    assert all(any(entry.prefix for entry in one.entries) for one in drugs)
    assert Index(drugs).find(Coding(ATC, "C10")) == ()
