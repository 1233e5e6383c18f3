"""The settings of the viewer, what a caller of DICOMweb accepts, and what the viewer is told of a report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes

import pytest
from pydantic import ValidationError

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.imaging import HeatMapRef, MaskRef
from cds.domain.report import Report
from cds.domain.verification import FindingRef, Verdict, Verification
from cds.ui.images import Label, Shown
from cds.ui.marks import drawings, marks
from cds.ui.pictures import FrameSaid
from cds.viewing import Viewing
from cds.web.ui.media import Wanted, parts, wanted
from tests.unit.test_release import made as plain_report

CODE = Coding("http://snomed.info/sct", "1386000", "Intracranial hemorrhage")


@pytest.mark.parametrize(
    "address", ["https://pacs.example/{study_uid}", "http://pacs.example/view?acc={accession}&uid={study_uid}"]
)
def test_an_address_of_a_viewer_names_a_study(address: str) -> None:
    assert Viewing(url=address).url == address


@pytest.mark.parametrize(
    "address",
    [
        "https://pacs.example/", "https://pacs.example/{patient_name}", "https://pacs.example/{study_uid}/{mrn}",
        "javascript:alert('{study_uid}')", "https://pacs.example/{study_uid.__class__}", "https://pacs.example/{}",
    ],
)  # fmt: skip
def test_an_address_never_names_a_patient_nor_runs_anything(address: str) -> None:
    with pytest.raises(ValidationError):
        Viewing(url=address)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", [Wanted("*/*", True)]),
        ("image/png", [Wanted("image/png", False)]),
        (
            'multipart/related; type="application/octet-stream"; transfer-syntax=*',
            [Wanted("application/octet-stream", True, "*")],
        ),
        (
            "multipart/related;type=image/jls;transfer-syntax=1.2.840.10008.1.2.4.80;q=0.5, image/jpeg",
            [Wanted("image/jpeg", False), Wanted("image/jls", True, "1.2.840.10008.1.2.4.80", 0.5)],
        ),
        ('multipart/related; type="a/b,c"', [Wanted("a/b,c", True)]),
        ("image/png;q=0", []),
        ("image/png;q=much", []),
        ("nonsense", [Wanted("*/*", True)]),
    ],
)
def test_what_a_caller_accepts_is_read_as_the_standard_writes_it(header: str, expected: list[Wanted]) -> None:
    """PS3.18 section 8.7.5, RFC 9110 section 12.5.1."""
    assert wanted(header) == expected


def test_a_range_takes_what_it_names() -> None:
    assert Wanted("*/*", True).takes("image/png")
    assert Wanted("image/*", False).takes("image/png")
    assert not Wanted("image/*", False).takes("imagery/png")
    assert not Wanted("image/png", False).takes("image/jpeg")


def test_parts_are_what_a_parser_of_mime_reads() -> None:
    body = b"".join(parts("b-1", [("a/b", b"one\r\n--no"), ("c/d", iter((b"t", b"wo")))]))
    told = message_from_bytes(b'Content-Type: multipart/related; boundary="b-1"\r\n\r\n' + body)
    found = [(part.get_content_type(), part.get_payload(decode=True)) for part in told.get_payload()]  # parts alone
    assert found == [("a/b", b"one\r\n--no"), ("c/d", b"two")]


def finding(key: str, presence: Presence = Presence.PRESENT, **more: object) -> Finding:
    return replace(Finding(key, CODE, presence, value=Quantity(3.456, "mL")), **more)


def reported(*findings: Finding, **more: object) -> Report:
    outcome = replace(Findings("bleed", "2.0", "1.2.3", findings), **more)
    return replace(plain_report(), outcomes=(outcome, NotEvaluated("other", "1", ("no",))), verifications=())


def shown(*uids: str) -> list[Shown]:
    return [Shown(k, FrameSaid(uid, 0, 4, 4), None, None) for k, uid in enumerate(uids, 1)]


def test_a_finding_is_listed_with_the_pictures_that_show_it_best_first() -> None:
    report = reported(
        finding("size", Presence.MEASURED),
        finding("blood", key_sop_instance_uid="1.9", key_slices=("1.8", "1.9", "gone"), laterality="left"),
    )
    first, second = marks(report, "1.2.3", shown("1.7", "1.8", "1.9"))
    assert (first.finding, first.pictures, first.presence) == ("bleed.blood", (3, 2), "present")
    assert first.text.startswith("Intracranial hemorrhage, 3.456 mL, left")
    assert (second.finding, second.pictures) == ("bleed.size", ())


def test_what_is_absent_or_not_evaluated_is_marked_nowhere() -> None:
    report = reported(finding("a", Presence.NOT_DETECTED), finding("b", Presence.NOT_EVALUATED))
    assert marks(report, "1.2.3", shown("1.7")) == ()


def test_a_finding_of_another_series_is_not_listed_here() -> None:
    report = reported(finding("a", series_instance_uid="1.2.4"))
    assert marks(report, "1.2.3", ()) == ()
    assert len(marks(report, "1.2.4", ())) == 1


def test_what_a_radiologist_rejected_says_so() -> None:
    report = reported(finding("blood"))
    said = Verification(
        FindingRef("1.2", 1, "bleed", "2.0", "blood"),
        Verdict.REJECTED,
        "Rad",
        "radiologist",
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    (mark,) = marks(replace(report, verifications=(said,)), "1.2.3", ())
    assert mark.text.endswith("rejected by a radiologist")


def test_masks_and_heat_maps_of_a_series_are_numbered_in_their_order() -> None:
    mask = MaskRef("m.npy", (1, 2, 3), {2: "edge", 1: "core"}, "1.2.3")
    heat = HeatMapRef("h.npy", (2, 3), "blood", "1.9", "1.2.3")
    report = reported(finding("blood"), masks=(mask, replace(mask, series_instance_uid="1.2.4")), heat_maps=(heat,))
    first, second = drawings(report, "1.2.3")
    assert (first.overlay.number, first.overlay.kind, first.overlay.labels) == (
        1, "mask", (Label(1, "core"), Label(2, "edge")),
    )  # fmt: skip
    assert (second.overlay.number, second.overlay.kind, second.overlay.findings) == (2, "heat", ("bleed.blood",))
    assert second.ref == heat
