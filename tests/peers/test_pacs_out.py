"""What goes back to a PACS: dcmtk reads it, an Orthanc keeps it, and one that forwards everything starts no loop."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pydicom
import pytest

from adapters.dicom.phantom import write_ct_series
from models.phantom import chest_phantom
from tests.e2e.site import Person, Site, free_port, identity, serving, site, stop, until
from tests.peers.conftest import Orthanc, OrthancFactory
from tests.unit.pacs_reports import Images, images, multi_frame, report, sink

pytestmark = pytest.mark.peers

STUDIES = 100
REASON = "it was reported for another patient"


@pytest.fixture
def of(tmp_path: Path) -> Images:
    return images(tmp_path)


def unpacked(payload: bytes, folder: Path) -> list[Path]:
    """The files of a payload on disk."""
    folder.mkdir()
    archive = folder / "payload.zip"
    archive.write_bytes(payload)
    shutil.unpack_archive(archive, folder)
    return sorted(folder.glob("*.dcm"))


def dcmtk(tool: str, *arguments: str | Path) -> str:
    """What a tool of dcmtk prints, all of it; it must not complain."""
    if shutil.which(tool) is None:
        pytest.skip("dcmtk is not installed: make test-peers installs it")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_dcmtk_reads_report_withdrawal_and_note_without_a_complaint(of: Images, tmp_path: Path) -> None:
    one = sink(of)
    report_file, _ = unpacked(one.encode(report(of), "d1"), tmp_path / "sent")
    of.own = list(one.made(one.encode(report(of), "d1")))
    withdrawn, note = unpacked(one.retract(report(of), "r1", REASON), tmp_path / "back")
    for path in (report_file, withdrawn, note):
        xml = dcmtk("dsr2xml", path)
        # It cannot judge values in UTF-8, nor templates; anything else would be a mistake of ours.
        complaints = [line for line in xml.splitlines() if re.match(r"[WE]: ", line)]
        assert [c for c in complaints if "Specific Character Set" not in c and "template constraints" not in c] == []
    read = dcmtk("dsrdump", "+Pl", "+Pc", report_file)
    assert "Preliminary Flag    : PRELIMINARY" in read
    assert 'NUM:(lung-volume,99SIGHTLINE,"Lung volume on CT")="4793.2" (mL,UCUM,"mL")' in read
    assert "not detected by ct_lung 1.2.0 at threshold 0.5; does not exclude" in read
    assert f"This AI result was withdrawn: {REASON}. Do not use it for this patient." in dcmtk(
        "dsrdump", "+Pl", withdrawn
    )
    assert "Rejected for Patient Safety Reasons" in dcmtk("dsrdump", note)


@contextmanager
def running(factory: OrthancFactory, sightline_port: int) -> Iterator[Orthanc]:
    """An Orthanc for the time of a block."""
    orthanc, process = factory.start(sightline_port)
    try:
        yield orthanc
    finally:
        stop(process)


def kept(orthanc: Orthanc) -> dict[str, str]:
    """Modality by SOP Instance UID of everything that an Orthanc has."""
    found = {}
    for series in orthanc.get("/series?expand"):
        for instance in series["Instances"]:
            tags: Any = orthanc.get(f"/instances/{instance}/simplified-tags")
            found[tags["SOPInstanceUID"]] = tags["Modality"]
    return found


def test_orthanc_keeps_report_segmentation_and_note_once_however_often_they_come(
    of: Images, orthanc_factory: OrthancFactory
) -> None:
    with running(orthanc_factory, free_port()) as orthanc:
        one = sink(of, orthanc.dicom_port, ae_title="ORTHANC")
        payload = one.encode(report(of), "d1")
        of.own = list(one.made(payload))
        retraction = one.retract(report(of), "r1", REASON)
        for path in of.paths:
            orthanc.post("/instances", path.read_bytes())
        for _ in range(2):
            assert one.send(payload) == "0x0000 for 2 instances"
            assert one.send(retraction) == "0x0000 for 2 instances"
        found = kept(orthanc)
        made = [*one.made(payload), *one.made(retraction)]
        assert {m.sop_instance_uid for m in made} == {uid for uid, kind in found.items() if kind != "CT"}
        assert sorted(kind for kind in found.values() if kind != "CT") == ["KO", "SEG", "SR", "SR"]
        [study] = orthanc.get("/studies?expand")
        assert study["MainDicomTags"]["StudyInstanceUID"] == of.study_uid


FORWARDING = """
function OnStoredInstance(instance, tags, metadata, origin)
  local modality = tags['Modality']
  if modality == 'SR' or modality == 'SEG' or modality == 'KO' then
    SendToModality(instance, 'sightline')
  end
end
"""


@contextmanager
def forwarding(folder: Path, one: Site, ports: tuple[int, int]) -> Iterator[Orthanc]:
    """An Orthanc that sends every report, segmentation and note straight back to Sightline."""
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed: make test-peers installs it")
    folder.mkdir()
    script = folder / "forward.lua"
    script.write_text(FORWARDING)
    orthanc = Orthanc(*ports)
    configuration = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": orthanc.http_port,
        "DicomPort": orthanc.dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "LuaScripts": [str(script)],
        "DicomModalities": {"sightline": ["SIGHTLINE", "127.0.0.1", int(one.environment["CDS_DICOM_PORT"])]},
        "OverwriteInstances": True,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")],
            stdout=log,
            stderr=log,
            env={**os.environ, "TCP_NODELAY": "1"},
        )
    try:
        until(lambda: answers(orthanc), 30, "Orthanc to answer")
        yield orthanc
    finally:
        stop(process)


def answers(orthanc: Orthanc) -> bool:
    """True where its REST interface is up."""
    try:
        orthanc.get("/system")
    except (OSError, HTTPError):
        return False
    return True


def copy_of(template: Path, number: int) -> Path:
    """The image as another study of another patient: every UID ends on the number, as long as it was."""
    found = pydicom.dcmread(template, stop_before_pixels=True)
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
    uids = [str(found[name].value).encode() for name in names]
    pattern = re.compile(b"|".join(uids) + b"|(MRN|ACC)-000")
    copy = template.with_name(f"{number}.dcm")
    copy.write_bytes(pattern.sub(lambda match: match.group()[:-3] + b"%03d" % number, template.read_bytes()))
    return copy


def came_back(story: dict[str, Any]) -> int:
    """How many of our own instances a study's timeline saw again."""
    return sum(event["outcome"].startswith("own series came back") for event in story["events"])


def test_a_pacs_that_forwards_everything_starts_no_loop(tmp_path: Path) -> None:
    phantom = chest_phantom(spacing_mm=(3.0, 2.0, 2.0))
    whose = asdict(identity(Person(mrn="MRN-000", accession_number="ACC-000")))
    hu = phantom.hu[:, 30:174]  # the room around the patient costs time and says nothing
    slices = write_ct_series(hu, phantom.spacing_mm, tmp_path / "slices", **whose)
    template = multi_frame(slices, tmp_path / "template.dcm")
    ports = (free_port(), free_port())
    to = {"host": "127.0.0.1", "port": ports[1], "ae_title": "ORTHANC"}
    one = site(tmp_path / "site", CDS_PACS_DESTINATIONS=json.dumps({"pacs": to}))
    numbers = [f"ACC-{number:03d}" for number in range(STUDIES)]
    with forwarding(tmp_path / "pacs", one, ports) as orthanc, serving(one):
        for number in range(STUDIES):
            copy = copy_of(template, number)
            assert all(result.stored for result in one.store([copy]))
            copy.unlink()
        for name in reversed(numbers):  # the last is nearly the last to be ready: looking costs the server time
            until(lambda name=name: came_back(one.why(name)) == 2, 600, f"what was made of {name}", every_s=2)
        kinds = list(kept(orthanc).values())
        assert (kinds.count("SR"), kinds.count("SEG"), len(kinds)) == (STUDIES, STUDIES, 2 * STUDIES)
        until_quiet(one)
        for name in numbers:
            story = one.why(name)
            [study] = story["studies"]
            assert (study["report"]["version"], study["image_revision"], study["instances"]) == (1, 1, 1)
            assert [(d["state"], d["acknowledgment"]) for d in study["deliveries"]] == [
                ("sent", "0x0000 for 2 instances")
            ]
            assert study["holds"] == []
        assert len(kept(orthanc)) == 2 * STUDIES


def until_quiet(one: Site) -> None:
    """Longer than the quiet period after which a late instance would have started another run."""
    at = datetime.now(UTC)
    wait = 2 * float(one.environment["CDS_QUIET_PERIOD_S"])
    until(lambda: (datetime.now(UTC) - at).total_seconds() > wait, wait + 5, "a quiet period to pass")
