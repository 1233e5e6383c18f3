"""The report as a PDF: what it says, that it is the same each time, and that no letter becomes another."""

from __future__ import annotations

import re
import unicodedata
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.domain.identity import HumanName
from cds.domain.report import Report
from cds.domain.verification import Agreement, Verdict
from cds.render.pdf import render
from tests.unit import fhir_samples
from tests.unit.opinions import compared, verified
from tests.unit.test_hl7_says_all import REPORTS

_STRING = re.compile(rb"\(((?:[^()\\]|\\.)*)\) Tj")


def drawn(report: Report) -> str:
    """The text of all pages, in the order of drawing, words set apart by one blank."""
    made = render(report, site_name="Sample Hospital", time_zone="Europe/Berlin")
    streams = [zlib.decompress(found) for found in re.findall(rb"stream\n(\x78.*?)\nendstream", made, re.S)]
    strings = [re.sub(rb"\\(.)", rb"\1", found) for found in _STRING.findall(b"\n".join(streams))]
    return " ".join(b" ".join(strings).decode("cp1252").split())


def named(family: str, given_name: str = "") -> Report:
    return fhir_samples.report(patient=replace(fhir_samples.PATIENT, name=HumanName(family, given_name)))


def test_it_says_who_what_by_whom_and_what_it_is_not() -> None:
    text = drawn(fhir_samples.report(fhir_samples.DENSITY, fhir_samples.REFUSAL, version=2))
    for wanted in (
        "Sample Hospital",
        "AI output, preliminary, advisory; not a radiology report.",
        "not a cleared medical device",
        "Unmistakable, Quentina",
        "12345 (HOSPITAL); 9 (Other Clinic)",
        "1958-04-05, female",
        "ACC1 (RIS)",
        fhir_samples.STUDY_UID,
        "version 2, preliminary",
        "12.5 %",
        "6 %",
        "ct_lung_density 1.0.0",
        "-955 HU",
        "the lungs are not covered; only 3 slices",
        "Spirometry",
        "by 2026-06-04 (routine)",
        "USPSTF 2021",
        "2.5 % over 6 years",
        "Not evaluated: unknown age.",
        "it replaces version 1",
        "Page 1",
    ):
        assert wanted in text


def test_a_test_report_says_that_it_is_one() -> None:
    assert "TEST" in drawn(replace(fhir_samples.report(), test=True))
    assert "TEST" not in drawn(fhir_samples.report())


def test_a_negative_excludes_nothing() -> None:
    assert "not detected; does not exclude" in drawn(REPORTS["a detection, a negative, a refusal"])


def test_it_says_what_people_said_of_a_finding() -> None:
    text = drawn(compared(verified(fhir_samples.report(), Verdict.REJECTED), Agreement.DISCORDANT))
    assert "A radiologist (dr.grey) rejected this finding" in text
    assert "Contradicted by the radiologist's report of 2026-03-05" in text
    assert "Unmistakable text" not in text


@pytest.mark.parametrize("reason", ["too short " * 600, "W" * 9000, "a\n" * 400])
def test_a_text_that_fills_more_than_a_page_is_drawn_whole(reason: str) -> None:
    table = drawn(fhir_samples.report(replace(fhir_samples.REFUSAL, reasons=(reason,))))
    for word, wanted in (("short", 600), ("W", 9000), ("a", 400)):
        found = table.count(word) if word == "W" else table.split().count(word)
        assert found >= (wanted if word in reason else 0)


def test_advice_that_is_withheld_is_not_in_it() -> None:
    text = drawn(REPORTS["advice that is withheld"])
    assert "Spirometry" not in text
    assert "No recommendation is given yet" in text


def test_an_order_that_was_cancelled_is_not_named() -> None:
    text = drawn(REPORTS["an order that was cancelled"])
    assert "ACC1" not in text
    assert "Not attached to an order: the order was cancelled." in text


def test_the_same_report_is_the_same_bytes() -> None:
    first, second = (
        render(fhir_samples.report(), site_name="Sample Hospital", time_zone="Europe/Berlin") for _ in range(2)
    )
    assert first == second
    assert first.startswith(b"%PDF-")
    assert b"20260305101112" in first


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Müller", "Müller"),
        ("Mu\u0308ller", "Müller"),
        ("Wałęsa", "Wa[U+0142][U+0119]sa"),
        ("Παπαδόπουλος", "[U+03A0]"),
        ("Иванов", "[U+0418]"),
        ("张", "[U+5F20]"),
        ("\u0645\u062d\u0645\u062f", "[U+0645][U+062D][U+0645][U+062F]"),
        ("a\u202eb", "a[U+202E]b"),
    ],
)
def test_a_name_in_any_script_is_drawn_right_or_visibly_not_at_all(name: str, wanted: str) -> None:
    text = drawn(named(name))
    assert wanted in text
    assert ("Characters that this document cannot draw" in text) == ("[U+" in wanted)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=12))
def test_no_letter_becomes_another(name: str) -> None:
    text = drawn(named(f"<{name}>")).replace(" ", "")
    shown = re.sub(r"\[U\+([0-9A-F]{4,6})\]", lambda code: chr(int(code[1], 16)), text)
    assert f"<{unicodedata.normalize('NFC', name)}>".replace("\xa0", "").replace("\xad", "") in shown.replace(
        "\xad", ""
    )


def test_a_long_report_goes_on_over_pages_and_says_on_each_what_it_is() -> None:
    many = fhir_samples.report(*(replace(fhir_samples.DENSITY, model=f"model_{n}") for n in range(40)))
    text = drawn(many)
    assert "Page 3" in text
    assert text.count("not a radiology report. Page") >= 3
    assert "model_39 1.0.0" in text
