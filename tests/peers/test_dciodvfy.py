"""Every kind of instance that Sightline makes, under the validator of dicom3tools: no error in any of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from adapters.dicom import payload
from cds.domain.matching import Match, MatchState
from cds.domain.report import Report
from cds.domain.verification import Verdict
from tests.peers.dicom_peers import edited, noise
from tests.unit.pacs_reports import Images, findings, images, multi_frame, refusal, report, sink, verified

pytestmark = pytest.mark.peers

#: A private coding scheme, which PS3.3 section 8.2 lets us have and Coding Scheme Identification declares.
_OURS = "Unrecognized defined term = <99SIGHTLINE>"
#: It is unknown: what a picture shows is known by a finding's site alone, which has no side.
_NO_SIDE = "</Laterality(0020,0060)> - is only permitted to be empty when actually unknown"


def complaints(content: bytes, folder: Path) -> list[str]:
    """What the validator says of an instance, but for what is allowed."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dicom3tools is not installed: make test-peers installs it")
    path = folder / "instance.dcm"
    path.write_bytes(content)
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).splitlines()
    return [
        line
        for line in said
        if line.startswith(("Error", "Warning")) and not any(ok in line for ok in (_OURS, _NO_SIDE))
    ]


def measured(of: Images) -> Report:
    """A number with its certainty in a segment, a negative, a refusal."""
    said = findings(of)
    return report(of, outcomes=(replace(said, findings=(replace(said.findings[0], confidence=0.9), *said.findings[1:])),
                                refusal()))  # fmt: skip


def opinions(of: Images) -> Report:
    return report(
        of,
        verifications=(verified(of, Verdict.CONFIRMED),),
        match=Match(MatchState.UNMATCHED, ("no order has this number",)),
        test=True,
        study=replace(report(of).study, incomplete="184 of 200 images of series 3"),
    )


REPORTS: dict[str, Callable[[Images], Report]] = {
    "measured": measured,
    "a refusal": lambda of: report(of, outcomes=(refusal(),)),
    "without a mask": lambda of: report(of, outcomes=(findings(of, masks=False),)),
    "opinions": opinions,
    "a newer version": lambda of: report(of, version=2, replaces=1),
}


@pytest.mark.parametrize("key_images", ["none", "secondary-capture", "presentation-state"])
@pytest.mark.parametrize("said", REPORTS)
def test_what_is_sent_has_no_error(tmp_path: Path, said: str, key_images: str) -> None:
    of = images(tmp_path)
    one = sink(of, key_images=key_images)
    of.own = list(one.made(one.encode(report(of), "d0")))
    sent = one.encode(REPORTS[said](of), "d1")
    found = {own.kind: complaints(content, tmp_path) for own, content in zip(one.made(sent), payload.files(sent),
                                                                            strict=True)}  # fmt: skip
    assert {kind: said for kind, said in found.items() if said} == {}
    shows = {"sc": "secondary-capture", "pr": "presentation-state"}
    assert [shows[kind] for kind in found if kind in shows] == (
        [key_images] if _has_key_images(said, key_images) else []
    )


def _has_key_images(said: str, key_images: str) -> bool:
    return key_images != "none" and said != "a refusal"


def test_what_takes_it_back_has_no_error(tmp_path: Path) -> None:
    of = images(tmp_path)
    one = sink(of, key_images="secondary-capture")
    of.own = list(one.made(one.encode(report(of), "d1")))
    sent = one.retract(report(of), "r1", "it was reported for another patient")
    assert [complaints(content, tmp_path) for content in payload.files(sent)] == [[], []]


def test_segmentations_of_several_labels_have_no_error(tmp_path: Path) -> None:
    of = images(tmp_path, labels={5: "left lung", 2: "right lung"})
    assert [complaints(content, tmp_path) for content in payload.files(sink(of).encode(report(of), "d1"))] == [[], []]


@pytest.mark.parametrize("key_images", ["secondary-capture", "presentation-state"])
def test_what_is_made_of_a_multi_frame_image_has_no_error(tmp_path: Path, key_images: str) -> None:
    of = images(tmp_path, hu=noise(6, 9, 7))
    slices = sorted(of.paths, key=lambda path: pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber)
    of.paths[:] = [multi_frame(slices, tmp_path / "enhanced.dcm")]
    unnamed = replace(findings(of), findings=tuple(replace(f, key_sop_instance_uid="") for f in findings(of).findings))
    sent = sink(of, key_images=key_images).encode(report(of, outcomes=(unnamed,)), "d1")
    assert [complaints(content, tmp_path) for content in payload.files(sent)] == [[], [], []]


def test_the_validator_finds_what_is_wrong(tmp_path: Path) -> None:
    of = images(tmp_path)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(payload.files(sink(of).encode(report(of), "d1"))[0])
    with edited(broken) as one:
        del one.CompletionFlag
    assert any("CompletionFlag" in line for line in complaints(broken.read_bytes(), tmp_path))
