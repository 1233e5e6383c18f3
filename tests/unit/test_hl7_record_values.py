"""What a message says of its patient: values with units, deletions, allergies, drugs, pregnancy; nothing of our own."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds import codes
from cds.domain.coding import Coding, Quantity
from cds.domain.message import MessageContent, RecordValue
from cds.errors import InvalidMessage
from tests.contract.hl7_corpus import samples
from tests.unit.clinical import NOW
from tests.unit.hl7_content import PID, content

KEPT = "a unit in OBX-6 that is not known here was kept as it was sent"
OBR = "OBR|1|P-1^H|F-1^L|24331-1^Lipids^LN|||20261030080000"
CVX = "http://hl7.org/fhir/sid/cvx"


def read(*lines: str, kind: str = "ORU^R01") -> MessageContent:
    return content(PID, *lines, kind=kind)


def value(*lines: str, kind: str = "ORU^R01") -> RecordValue:
    (found,) = read(*lines, kind=kind).values
    return found


def number(obx_6: str, amount: str = "1.3", kind: str = "NM") -> MessageContent:
    return read(OBR, f"OBX|1|{kind}|2160-0^Creatinine^LN||{amount}|{obx_6}|||||F")


@pytest.mark.parametrize(
    ("obx_6", "unit"),
    [
        ("mg/dL", "mg/dL"),
        ("MG/DL", "mg/dL"),  # the reference messages' chemistry
        ("mg/dl^milligrams per deciliter^ISO+", "mg/dL"),
        ("kg^kilogram^UCUM", "kg"),
        ("LB^pound^L^[lb_av]^pound^UCUM", "[lb_av]"),
        ("beats/min^^ISO", "/min"),
        ("mm(hg)", "mm[Hg]"),
        ("THOU/uL", "10*3/uL"),
        ("10\\S\\9/L", "10*9/L"),
        ("10^9/L", "10*9/L"),  # the mark of components, not escaped
        ("10*3/uL^thousand per microliter^UCUM", "10*3/uL"),
        ("mL/min/1.73m2", "mL/min/{1.73_m2}"),
        ("g/mL^grams per milliliter^UCUM", "g/mL"),  # UCUM is taken at its word
    ],
)
def test_a_unit_becomes_ucum_where_it_is_unambiguous(obx_6: str, unit: str) -> None:
    found = number(obx_6)
    assert found.values[0].value == Quantity(1.3, unit)
    assert KEPT not in found.warnings


def test_an_instance_is_the_same_wherever_it_stands() -> None:
    line = f"OBX|{{}}|NM|2160-0^Creatinine^LN||1.3|mg/dL|||||F{'|' * 10}I-1^LAB"
    (first,), (again,) = (read(OBR, line.format(place)).values for place in (1, 7))
    assert (first.key, again.key) == ("OBX:I-1:LAB", "OBX:I-1:LAB")


@pytest.mark.parametrize("amount", ["120^80", "5~6", "1e5", "12,5", "< 1"])
def test_what_is_no_single_number_is_left_out_with_a_doubt(amount: str) -> None:
    found = number("mg/dL", amount)
    assert found.values == ()
    assert "an OBX-5 that is no single number was left out" in found.warnings


@pytest.mark.parametrize("obx_6", ["mM", "g/l-1", "enzyme units", "ERU", "M"])
def test_a_unit_that_would_be_a_guess_is_kept_with_a_doubt(obx_6: str) -> None:
    found = number(obx_6)
    assert found.values[0].value == Quantity(1.3, obx_6)
    assert KEPT in found.warnings


def test_no_unit_is_no_doubt_and_no_unit() -> None:
    found = number("")
    assert found.values[0].value == Quantity(1.3, "")
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("kind", "amount", "unit", "wanted"),
    [
        ("ST", "0.64", "mg/dL", Quantity(0.64, "mg/dL")),
        ("ST", "0.64", "", "0.64"),
        ("ST", "< 1", "mg/L", "< 1"),
        ("SN", "=^440", "{Cells}/uL^cells per microliter", Quantity(440.0, "{cells}/uL")),
        ("SN", "^182", "mg/dl", Quantity(182.0, "mg/dL")),
        ("SN", ">^180", "MG/DL", ">180 mg/dL"),
        ("NM", "-.5", "mmol/L", Quantity(-0.5, "mmol/L")),
        ("NM", "5.4^^", "mmol/L", Quantity(5.4, "mmol/L")),
    ],
)
def test_numbers_are_read_as_laboratories_write_them(kind: str, amount: str, unit: str, wanted: Quantity | str) -> None:
    assert number(unit, amount, kind).values[0].value == wanted


def test_two_quotes_take_a_value_back_under_its_own_key() -> None:
    stated = value(OBR, "OBX|1|NM|2160-0^Creatinine^LN||1.3|mg/dL|||||F")
    deleted = value(OBR, 'OBX|1|NM|2160-0^Creatinine^LN||""|mg/dL|||||F')
    assert (deleted.key, deleted.status, deleted.value) == (stated.key, "entered-in-error", None)
    assert stated.status == "final"


@pytest.mark.parametrize(
    ("obx_11", "status"),
    [("F", "final"), ("C", "corrected"), ("P", "preliminary"), *((code, "entered-in-error") for code in "XWD")],
)
def test_table_0085_says_what_a_result_is(obx_11: str, status: str) -> None:
    assert value(OBR, f"OBX|1|NM|2160-0^Creatinine^LN||1|mg/dL|||||{obx_11}").status == status


def test_observations_of_an_order_or_a_registration_are_read_too() -> None:
    weight = "OBX|1|NM|29463-7^Body weight^LN||80|kg|||||F"
    assert value("PV1|1|O", weight, kind="ADT^A04").value == Quantity(80.0, "kg")
    assert value("ORC|NW|1", "OBR|1|1||X^x^L", weight, kind="ORM^O01").value == Quantity(80.0, "kg")


@pytest.mark.parametrize("code", ["110180^Study Instance UID^DCM", "X^y^L^110180^^DCM", "113014^DICOM Study^DCM"])
def test_what_names_a_study_is_no_value_of_the_record(code: str) -> None:
    assert read("OBR|1|1|2", f"OBX|1|ST|{code}||1.2.840.1||||||F").values == ()


def test_what_sightline_made_never_becomes_a_fact_about_the_patient() -> None:
    ours = "OBR|1||SL-77^SIGHTLINE|AI-ANALYSIS^AI analysis of imaging study^99SIGHTLINE"
    theirs = "OBR|2||F-2^L|24331-1^Lipids^LN"
    obx = "OBX|1|NM|2160-0^Creatinine^LN||1|mg/dL|||||F"
    assert value(ours, obx, theirs, obx).key.startswith("OBX:L/F-2")
    translated = "OBR|1||77^EHR|AI^Analysis^L^AI-ANALYSIS^AI analysis of imaging study^99SIGHTLINE"
    for line in (ours.replace("^SIGHTLINE|", "|"), ours.replace("99SIGHTLINE", "L"), translated):
        assert read(line, obx).values == ()
    block = f"MSH|^~\\&|SIGHTLINE|H|S|S|20261101||ORU^R01|1|P|2.5.1\r{PID}\r{theirs}\r{obx}".encode()
    assert Reader("C", "C", "none", "UTC")(check(block, "peer", NOW)).values == ()


def test_an_allergy_is_its_allergen_with_kind_severity_and_reactions() -> None:
    drug, named = read(
        "AL1|1|DA|109218004^Iohexol^SCT|SV|HIVES~DYSPNOEA|20260105",
        "AL1|2|AA|^CAT DANDER|MI",
        "AL1|3|DA",
        kind="ADT^A08",
    ).values
    assert (drug.category, drug.code) == ("allergy", Coding(codes.SNOMED, "109218004", "Iohexol"))
    assert (drug.value, drug.effective) == ("drug allergy; severe; HIVES; DYSPNOEA", date(2026, 1, 5))
    assert (named.code.code, named.value) == ("CAT DANDER", "animal allergy; mild")
    assert "an AL1 without an allergen in AL1-3 was left out" in read("AL1|3|DA", kind="ADT^A08").warnings


def test_the_same_allergen_again_is_the_same_statement() -> None:
    one, other = (value(f"AL1|{n}|DA|1605^acetaminophen^L|{s}", kind="ADT^A08") for n, s in ((1, "MO"), (7, "SV")))
    assert one.key == other.key
    assert (one.value, other.value) == ("drug allergy; moderate", "drug allergy; severe")


def rxa(drug: str = "48^HIB PRP-T^CVX", status: str = "CP", action: str = "A", amount: str = "0.5") -> str:
    return f"RXA|0|1|20130531|20130531|{drug}|{amount}|mL^^UCUM{'|' * 13}{status}|{action}"


def test_a_vaccination_is_read_with_its_dose() -> None:
    given = value("ORC|RE||IZ-1^NDA", rxa(), "OBX|1|CE|64994-7^funding^LN||V02^^HL70064||||||F", kind="VXU^V04")
    assert (given.category, given.code) == ("immunization", Coding(CVX, "48", "HIB PRP-T"))
    assert (given.value, given.effective, given.status) == ("0.5 mL", date(2013, 5, 31), "final")
    assert value(rxa(amount="999"), kind="VXU^V04").value is None


@pytest.mark.parametrize(("status", "action"), [("RE", "A"), ("NA", "A"), ("CP", "D")])
def test_what_was_not_given_or_is_deleted_takes_its_own_key_back(status: str, action: str) -> None:
    orc = "ORC|RE||9999^NDA"
    given, not_given = (value(orc, line, kind="VXU^V04") for line in (rxa(), rxa(status=status, action=action)))
    assert (not_given.key, not_given.status) == (given.key, "entered-in-error")


def test_one_order_number_for_all_of_history_keeps_the_vaccinations_apart() -> None:
    orc = "ORC|RE||9999^NDA"
    found = read(orc, rxa(), orc, rxa("62^HPV^CVX"), orc, rxa("998^No vaccine given^CVX"), kind="VXU^V04").values
    assert len({one.key for one in found}) == len(found) == 2


def test_a_drug_that_was_given_is_no_vaccination() -> None:
    assert value("ORC|RE|1^H", rxa("1605^Acetaminophen^L"), kind="RDE^O11").category == "medication"


def test_a_prescription_is_a_drug_from_a_day_and_never_an_imaging_order() -> None:
    rxe = "RXE|^Q24H^^20210330144208^^R|999^Ampicillin 250 MG TAB^NDC|100||mg"
    message = read("ORC|NW|P-9^EHR|||||||20210301", rxe, kind="RDE^O11")
    (prescribed,) = message.values
    assert message.orders == ()
    assert (prescribed.category, prescribed.code.system) == ("medication", "http://hl7.org/fhir/sid/ndc")
    assert (prescribed.value, prescribed.effective) == ("100 mg", date(2021, 3, 30))
    ended = value("ORC|DC|P-9^EHR|||||||20210401", rxe.replace("20210330144208", ""), kind="RDE^O11")
    assert (ended.key, ended.status) == (prescribed.key, "entered-in-error")


def test_what_needs_no_patient_and_names_none_is_ignored_and_not_refused() -> None:
    block = b"MSH|^~\\&|L|H|S|S|20261101||RDE^O11|1|P|2.5.1\rORC|NW|1\rRXE||1^a^L"
    read_so = Reader("C", "C", "none", "UTC")(check(block, "peer", NOW))
    assert (read_so.ignored, read_so.patient) == ("the message names no patient", None)


def test_the_visit_of_a_pregnant_woman_says_so_and_nothing_says_no() -> None:
    stated = value(f"PV1|1|O{'|' * 13}A0~B6{'|' * 4}V7", kind="ADT^A04")
    assert (stated.code.code, stated.value) == ("82810-3", Coding(codes.SNOMED, "77386006", "Pregnancy"))
    assert (stated.effective, stated.key) == (date(2026, 11, 1), "PV1-15:V7")
    assert read(f"PV1|1|O{'|' * 13}A0", kind="ADT^A04").values == ()
    gone = value(f'PV1|1|O{"|" * 13}""{"|" * 4}V7', kind="ADT^A08")
    assert (gone.key, gone.status) == (stated.key, "entered-in-error")


def test_drugs_vaccinations_and_allergies_of_the_corpus_are_read(reference_dir: Path) -> None:
    reader, said, named = Reader("CLINIC", "CLINIC", "ORC-3", "UTC"), Counter[str](), Counter[str]()
    units: list[str] = []
    for sample in samples(reference_dir):
        try:
            found = reader(check(sample.block, "peer", NOW))
        except InvalidMessage:
            continue
        kind = sample.fields("MSH", 9)[0][:3]
        assert kind in ("ORM", "OMG", "OMI") or not found.orders, sample.file
        said.update(one.category for one in found.values)
        named[kind] += bool(found.patient)
        units += [one.value.unit for one in found.values if isinstance(one.value, Quantity) and one.value.unit]
    assert said["immunization"] >= 30
    assert said["medication"] >= 10
    assert said["allergy"] >= 30
    assert named["VXU"] >= 60
    assert named["RDE"] >= 10
    assert Counter(units)["mg/dL"] >= 30
    assert not {"MG/DL", "mg/dl", "THOU/uL"} & set(units)
