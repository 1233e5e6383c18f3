"""Side, class, caution and change of a finding, and the times of its model, as every wire says them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import highdicom as hd
import pydicom
import pytest

from adapters.hl7.message import Message, Segment
from adapters.hl7.report import oru
from cds.domain import conclusion
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Change, Finding, Findings, Presence
from cds.domain.report import Report
from cds.domain.wording import changed, details
from cds.render.forms import presented
from tests.contract import hl7_reports
from tests.unit import pacs_reports
from tests.unit.fhir_samples import bodies, report
from tests.unit.test_hl7_report import ENVELOPE

GROWN = Change(
    prior_study_instance_uid="1.2.3",
    prior_date=date(2025, 11, 21),
    days=365,
    prior=Quantity(3.5, "mL"),
    absolute=-0.4,
    percent=-11.43,
    per_year=-0.4003,
    beyond_error=True,
    error="doi:10.0/x",
)
WORDS = (
    "Change: -0.4 mL (-11 %) since 2025-11-21, then 3.5 mL, -0.4003 mL per year; "
    "beyond the error of the measurement (doi:10.0/x)."
)
HIPPOCAMPUS = Finding(
    "hippocampus_left",
    Coding("urn:sightline:observation", "hippocampus-volume", "Hippocampal volume"),
    Presence.MEASURED,
    value=Quantity(3.1, "mL"),
    body_site=Coding("http://snomed.info/sct", "5366008", "Hippocampus"),
    laterality="left",
    tracking_id="2.25.7",
    category=Coding("urn:x", "small", "Small for an example"),
    note="One session only",
    change=GROWN,
)


def with_it(said: Report, **changes: Any) -> Report:
    """The report, whose first model found that alone."""
    first = said.outcomes[0]
    assert isinstance(first, Findings)
    found = replace(first, findings=(HIPPOCAMPUS,), timings_ms={"open": 12.0, "device": 850.5}, device="cuda:0")
    return replace(said, outcomes=(replace(found, **changes), *said.outcomes[1:]))


def components(observation: dict[str, Any]) -> dict[str, Any]:
    return {part["code"]["coding"][0]["code"]: part for part in observation["component"]}


def observation() -> dict[str, Any]:
    [found] = [
        one
        for one in bodies(with_it(report()), "Observation")
        if one["code"].get("coding", [{}])[0].get("code") == "hippocampus-volume"
    ]
    return found


def test_the_words_say_how_it_was_what_became_of_it_and_whether_that_is_certain() -> None:
    assert list(details(HIPPOCAMPUS)) == ["Side: left.", "Category: Small for an example.", "One session only.", WORDS]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace(GROWN, beyond_error=False), "; within the error of the measurement (doi:10.0/x)."),
        (
            replace(GROWN, beyond_error=None, error="", note="kernel was A and is B"),
            "; not known to be beyond the error of the measurement (kernel was A and is B).",
        ),
        (
            replace(GROWN, beyond_error=None, error=""),
            "; not known to be beyond the error of the measurement (the error of the measurement is not stated).",
        ),
    ],
    ids=["within", "another-acquisition", "not-stated"],
)
def test_a_change_that_may_be_error_alone_says_so(change: Change, words: str) -> None:
    assert changed(change).endswith(words)


def test_what_was_not_evaluated_has_no_side_and_no_change() -> None:
    assert list(details(replace(HIPPOCAMPUS, presence=Presence.NOT_EVALUATED))) == []


def test_fhir_has_the_change_as_values_and_in_words() -> None:
    found = observation()
    parts = components(found)
    assert parts["change"]["valueQuantity"] == {
        "value": -0.4,
        "unit": "mL",
        "system": "http://unitsofmeasure.org",
        "code": "mL",
    }
    assert parts["prior-value"]["valueQuantity"]["value"] == 3.5
    assert parts["change-per-year"]["valueQuantity"]["value"] == -0.4003
    assert "doubling-time" not in parts
    assert WORDS in [note["text"] for note in found["note"]]


def test_fhir_has_the_side_the_category_and_the_tracking_identifier() -> None:
    parts = components(observation())
    assert parts["272741003"]["valueCodeableConcept"]["coding"][0]["code"] == "7771000"
    assert parts["category"]["valueCodeableConcept"]["coding"][0]["code"] == "small"
    assert parts["112039"]["valueString"] == "2.25.7"


def test_the_provenance_has_the_time_of_every_step_and_the_device() -> None:
    found = bodies(with_it(report()), "Provenance")[0]
    [timing] = found["extension"]
    said = {part["url"]: part["valueString"] for part in timing["extension"] if "valueString" in part}
    steps = [part["extension"] for part in timing["extension"] if part["url"] == "step"]
    assert timing["url"] == "urn:sightline:model-timing"
    assert said["device"] == "cuda:0"
    assert [(name["valueString"], took["valueQuantity"]["value"]) for name, took in steps] == [
        ("open", 12.0),
        ("device", 850.5),
    ]


def obx(said: Report) -> list[Segment]:
    return list(Message(oru(said, ENVELOPE)).all("OBX"))


def test_the_oru_has_side_category_and_change_under_the_sub_id_of_the_finding() -> None:
    found = {one.text(3): one for one in obx(with_it(hl7_reports.report()))}
    main = found["hippocampus-volume"]
    assert found["272741003"].text(5) == "7771000"
    assert found["AI-CATEGORY"].text(5, 2) == "Small for an example"
    assert (found["AI-CHANGE"].text(2), found["AI-CHANGE"].text(5), found["AI-CHANGE"].text(6)) == ("NM", "-0.4", "mL")
    assert {found[code].raw(4) for code in ("272741003", "AI-CATEGORY", "AI-CHANGE")} == {main.raw(4)}


def test_the_oru_says_the_change_in_words() -> None:
    assert WORDS in oru(with_it(hl7_reports.report()), ENVELOPE).decode().replace("\\S\\", "^")


def sr_texts(dataset: pydicom.Dataset) -> Iterable[str]:
    found = hd.sr.utils.find_content_items(dataset, value_type=hd.sr.ValueTypeValues.TEXT, recursive=True)
    return [str(item.TextValue) for item in found]


def test_the_structured_report_has_the_side_of_the_site_and_the_change_in_words(tmp_path: Path) -> None:
    of = pacs_reports.images(tmp_path)
    said = with_it(pacs_reports.report(of), masks=())
    with ZipFile(BytesIO(pacs_reports.sink(of).encode(said, "d1"))) as archive:
        document = pydicom.dcmread(BytesIO(archive.read(archive.namelist()[0])))
    [group] = hd.sr.ComprehensiveSR.from_dataset(document).content.get_image_measurement_groups()
    [site] = group.finding_sites
    assert site.value.value == "5366008"
    assert site.laterality is not None
    assert site.laterality.value == "7771000"
    assert WORDS in sr_texts(document)


def test_the_two_sides_of_an_organ_are_tracked_apart(tmp_path: Path) -> None:
    of = pacs_reports.images(tmp_path)
    right = replace(HIPPOCAMPUS, laterality="right")
    said = with_it(pacs_reports.report(of), masks=(), findings=(HIPPOCAMPUS, right))
    with ZipFile(BytesIO(pacs_reports.sink(of).encode(said, "d1"))) as archive:
        document = pydicom.dcmread(BytesIO(archive.read(archive.namelist()[0])))
    groups = hd.sr.ComprehensiveSR.from_dataset(document).content.get_image_measurement_groups()
    assert len({group.tracking_uid for group in groups}) == 2


def test_documents_and_the_conclusion_say_it_too() -> None:
    said = with_it(report())
    assert f"Hippocampal volume: {WORDS}" in conclusion.text(said)
    html, _pdf = presented(said, site_name="S", time_zone="Europe/Berlin")
    assert "Hippocampal volume (Hippocampus, left)" in html.data.decode()
    assert "since 2025-11-21" in html.data.decode()
