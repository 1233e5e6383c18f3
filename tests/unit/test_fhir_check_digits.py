"""Check digits: what is mistyped or made up is known by its last digit, and nothing that Sightline says is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir import systems
from adapters.fhir.check_digits import loinc, snomed
from cds import codes
from cds.agreement import terms
from cds.codes import LOINC, SNOMED
from cds.domain.coding import Coding
from tests.unit.fhir_samples import emitted, samples

RIGHT = {
    # SNOMED CT: the root concept; the longest identifiers are of extensions.
    snomed: ["138875005", "1386000", "39607008", "260373001", "16334891000119106"],
    # LOINC: codes, answers, parts, lists.
    loinc: ["2160-0", "72166-2", "LA18976-3", "LA4489-6", "LP29684-5", "LP7839-6", "LL2201-3"],
}


def codings(value: object) -> Iterator[dict[str, Any]]:
    """Every Coding in a body."""
    if isinstance(value, dict):
        if "system" in value and "code" in value:
            yield value
        for member in value.values():
            yield from codings(member)
    elif isinstance(value, list):
        for member in value:
            yield from codings(member)


@pytest.mark.parametrize("code", RIGHT[snomed])
def test_a_snomed_code_is_known_and_with_any_other_last_digit_is_not(code: str) -> None:
    assert [digit for digit in "0123456789" if snomed(code[:-1] + digit)] == [code[-1]]


@pytest.mark.parametrize("code", RIGHT[loinc])
def test_a_loinc_code_is_known_and_with_any_other_last_digit_is_not(code: str) -> None:
    assert [digit for digit in "0123456789" if loinc(code[:-1] + digit)] == [code[-1]]


@given(st.sampled_from(RIGHT[snomed]), st.data())
def test_two_neighbouring_digits_of_a_snomed_code_are_never_swapped_unseen(code: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(code) - 2))
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert snomed(swapped) is (swapped == code)


@pytest.mark.parametrize("code", ["60567007", "129614006", "129748002", "290079001"])
def test_codes_that_public_tables_made_up_fail(code: str) -> None:
    assert not snomed(code)


@pytest.mark.parametrize(
    "code", ["", "5", "12345", "0138875005", "138875005 ", "-138875005", "1" * 19, "138875005a", "900000000000207008x"]
)
def test_what_has_not_the_form_of_a_snomed_concept_is_none(code: str) -> None:
    assert not snomed(code)


@pytest.mark.parametrize("code", ["", "2160", "2160-", "-0", "2160-00", "XX2160-0", "2160-0 ", "LP-5"])
def test_what_has_not_the_form_of_a_loinc_code_is_none(code: str) -> None:
    assert not loinc(code)


def test_a_description_or_relationship_of_snomed_is_no_concept() -> None:
    # 680946014 is the description "SNOMED CT Concept": its partition digits say so.
    assert not snomed("680946014")


def test_every_code_that_leaves_in_a_report_is_right() -> None:
    said = [coding for one in samples().values() for r in emitted(one) for coding in codings(r.body)]
    assert {c["code"] for c in said if c["system"] == SNOMED} >= {"1386000", "12738006", "39607008", "260373001"}
    assert all(snomed(c["code"]) for c in said if c["system"] == SNOMED)
    assert {c["code"] for c in said if c["system"] == LOINC} >= {"LP29684-5"}
    assert all(loinc(c["code"]) for c in said if c["system"] == LOINC)


def test_every_code_of_our_tables_is_right() -> None:
    ours = [value for value in vars(systems).values() if isinstance(value, Coding)]
    ours += [entry.coding for one in codes.ALL for entry in one.entries]
    ours += [entry.coding for entry, _ in (*codes.SMOKING_ANSWERS, *codes.PREGNANCY_ANSWERS)]
    ours += [code.coding for term in terms.TABLE for code in term.codes]
    assert [c.code for c in ours if c.system == SNOMED and not snomed(c.code)] == []
    assert [c.code for c in ours if c.system == LOINC and not loinc(c.code)] == []


def test_every_code_of_the_reference_collection_is_right(reference_dir: Path) -> None:
    found = json.loads((reference_dir / "reference/terminology/finding_codes.json").read_text())
    listed = [one["snomed"]["code"] for one in found["findings"] if "snomed" in one]
    listed += [one["code"] for one in (*found["qualifiers"], *found["body_sites"])]
    assert len(listed) > 30
    assert [code for code in listed if not snomed(code)] == []
    reports = json.loads((reference_dir / "reference/terminology/report_loinc_codes.json").read_text())
    assert [one["code"] for one in reports["codes"] if not loinc(one["code"])] == []
