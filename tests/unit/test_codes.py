"""The table of codes: check digits, evidence, and what may load."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import codes
from cds.codes import CPT, ICD10, ICD10_CM, LOINC, SNOMED, Entry
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import SmokingStatus
from cds.units import convert
from tests.unit.clinical import reference

#: Verhoeff 1969: multiplication in the dihedral group D5, and the permutation; the rest follows.
_D5 = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_TURN = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)

_ENTRIES = [entry for value_set in codes.ALL for entry in value_set.entries]
_ENTRIES += [entry for entry, _ in codes.SMOKING_ANSWERS] + list(codes.NEGATIVE_ANSWERS)
_ENTRIES += [entry for entry, _ in codes.PREGNANCY_ANSWERS] + list(codes.NO_KNOWN_ALLERGIES)
_ENTRIES += [entry for value_set in codes.ALL for entry in value_set.panels]
_CODINGS = [entry.coding for entry in _ENTRIES]
_CODINGS += [codes.SPIROMETRY_REQUEST, codes.CESSATION_REQUEST, codes.SCREENING_VISIT_REQUEST]


def verhoeff(number: str) -> bool:
    """True where the last digit checks the others."""
    check = 0
    for place, character in enumerate(reversed(number)):
        digit = int(character)
        for _ in range(place % 8):
            digit = _TURN[digit]
        check = _D5[check][digit]
    return check == 0


def mod10(code: str) -> bool:
    """LOINC Users' Guide, appendix: mod 10 over the digits before the hyphen."""
    number, check = code.split("-")
    total = sum(sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(reversed(number)))
    return (10 - total % 10) % 10 == int(check)


def test_the_check_digit_algorithms_know_right_from_wrong() -> None:
    # Published examples: SNOMED CT root concept 138875005; LOINC 2160-0; invented codes of the reference collection.
    assert verhoeff("138875005")
    assert mod10("2160-0")
    assert not any(verhoeff(code) for code in ("60567007", "129614006", "129748002", "290079001"))
    assert not mod10("72166-3")


@pytest.mark.parametrize("code", sorted({c.code for c in _CODINGS if c.system == SNOMED}))
def test_every_snomed_code_has_a_right_check_digit(code: str) -> None:
    assert verhoeff(code)


@pytest.mark.parametrize(
    "code", sorted({c.code for c in _CODINGS if c.system == LOINC and not c.code.startswith("LA")})
)
def test_every_loinc_code_has_a_right_check_digit(code: str) -> None:
    assert mod10(code)


@pytest.mark.parametrize("code", sorted({c.code for c in _CODINGS if c.system == ICD10}))
def test_every_icd_code_is_a_category_or_below(code: str) -> None:
    assert re.fullmatch(r"[A-Z]\d\d(\.\d{1,2})?", code)


def test_every_code_names_its_evidence_and_stands_once_in_a_value_set() -> None:
    """One code may answer several questions: a stroke is atherosclerotic disease too."""
    assert all(entry.evidence and entry.coding.display for entry in _ENTRIES)
    for value_set in codes.ALL:
        places = [(entry.coding.system, entry.coding.code) for entry in value_set.entries]
        assert len(places) == len(set(places)), value_set.name


def test_every_value_set_has_a_name_of_its_own() -> None:
    names = [value_set.name for value_set in codes.ALL]
    assert len(names) == len(set(names))


_CODES = st.sampled_from([entry.coding for entry in _ENTRIES] + [Coding("I10C", "j44.1"), Coding("I10", "X99")])
_SYSTEMS = st.sampled_from(["", "SCT", "LN", "I10C", "L", SNOMED, LOINC, ICD10, ICD10_CM, CPT])


@given(_CODES, _SYSTEMS)
def test_the_index_finds_what_the_value_sets_contain(coding: Coding, system: str) -> None:
    named = replace(coding, system=system or coding.system)
    contained = {name for name, value_set in codes.loaded().items() if value_set.contains(named)}
    assert {value_set.name for value_set in codes.index().find(named)} == contained


def test_no_known_allergies_are_recognised_and_nothing_else_is() -> None:
    assert codes.is_no_known_allergy(Coding("SCT", "716186003"))
    assert not codes.is_no_known_allergy(Coding(SNOMED, "109218004"))
    assert not codes.is_no_known_allergy(Coding("L", "716186003"))


def test_what_is_unverified_does_not_load() -> None:
    unverified = [entry for value_set in codes.ALL for entry in value_set.entries if not entry.verified]
    assert unverified, "the table keeps what was looked at and not believed"
    loaded = codes.loaded()
    assert not any(value_set.contains(entry.coding) for value_set in loaded.values() for entry in unverified)
    assert all(entry.verified for value_set in loaded.values() for entry in value_set.entries)


def test_value_sets_agree_with_the_codes_that_the_reference_collection_verified(reference_dir: Path) -> None:
    listed = json.loads((reference(reference_dir) / "risk" / "codes.json").read_text())
    verified = {row["code"] for row in listed if row["verification"].startswith("verified")}
    refused = {row["code"] for row in listed if "NOT verified" in row["verification"]}
    loaded = {e.coding.code for value_set in codes.loaded().values() for e in value_set.entries}
    assert {"72166-2", "401201003", "782516008"} <= verified & loaded
    assert not refused & loaded


@pytest.mark.parametrize(
    ("system", "code", "in_set"),
    [
        ("I10C", "J44.9", True),
        ("I10", "J449", True),
        (ICD10_CM, "j44.1", True),
        ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "J44.09", True),
        (ICD10, "J45.9", False),
        ("I9C", "J44.9", False),
        ("SCT", "13645005", True),
        ("urn:oid:2.16.840.1.113883.6.96", "13645005", True),
        (SNOMED, "1364500", False),
        (LOINC, "13645005", False),
    ],
)
def test_a_condition_is_recognised_however_its_system_is_named(system: str, code: str, in_set: bool) -> None:
    assert codes.loaded()["copd"].contains(Coding(system, code)) is in_set


def test_an_icd_prefix_does_not_reach_its_neighbours() -> None:
    weight_loss = codes.loaded()["weight-loss"]
    assert weight_loss.contains(Coding(ICD10, "R63.4"))
    assert not weight_loss.contains(Coding(ICD10, "R63.5"))
    assert not Entry(Coding(ICD10, "J44"), "exact").matches(Coding(ICD10, "J44.9"))


@pytest.mark.parametrize(
    ("system", "code", "status"),
    [
        ("SCT", "449868002", SmokingStatus.CURRENT),
        ("LN", "LA18977-1", SmokingStatus.CURRENT),
        (SNOMED, "428071000124103", SmokingStatus.CURRENT),
        (LOINC, "LA15920-4", SmokingStatus.FORMER),
        (SNOMED, "266919005", SmokingStatus.NEVER),
        (SNOMED, "77176002", SmokingStatus.UNKNOWN),
        (LOINC, "LA18980-5", SmokingStatus.UNKNOWN),
        (SNOMED, "999999999", None),
        ("L", "449868002", None),
    ],
)
def test_smoking_answers_are_folded(system: str, code: str, status: SmokingStatus | None) -> None:
    assert codes.smoking_status(Coding(system, code)) is status


def test_the_unit_that_a_reference_list_gives_to_a_measurement_is_ours_or_becomes_it(reference_dir: Path) -> None:
    listed = json.loads((reference(reference_dir) / "risk" / "codes.json").read_text())
    units_of = {row["code"]: row["unit"] for row in listed if row["system"] == "LOINC"}
    sets = [one for one in codes.loaded().values() if one.kind == "measurement"]
    assert {one.name for one in sets} >= {"creatinine", "body-weight", "egfr-ckd-epi-2021", "platelets"}
    entries = [(one, entry.coding.code) for one in sets for entry in one.entries]
    stated = [(one, units_of[code]) for one, code in entries if code in units_of]
    assert sum(unit == one.unit for one, unit in stated) >= 10
    for one, unit in stated:
        assert convert(Quantity(1.0, unit), one.unit, grams_per_mole=one.grams_per_mole).unit == one.unit


def test_the_unit_of_every_value_set_is_known_to_the_table_of_units() -> None:
    for value_set in codes.loaded().values():
        if value_set.unit:
            assert convert(Quantity(1.0, value_set.unit), value_set.unit).unit == value_set.unit


@pytest.mark.parametrize(
    ("answer", "said"), [("Yes", True), ("n", False), ("no", False), ("perhaps", None), ("", None)]
)
def test_plain_words_answer_the_question_for_pregnancy(answer: str, *, said: bool | None) -> None:
    assert codes.is_pregnant(answer) is said


def test_cpt_codes_are_recognised_by_table_0396_and_uri() -> None:
    spirometry = codes.loaded()["spirometry"]
    assert spirometry.contains(Coding("C4", "94010"))
    assert spirometry.contains(Coding(CPT, "94060"))
