"""The receiver over its real index and disk: what a PACS and a scanner send again, take back, or send on to us."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pydicom
import pytest
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import KeyObjectSelectionDocumentStorage, RLELossless, generate_uid
from sqlmodel import select

from adapters.dicom.quiet import quiet
from adapters.dicom.rejection_note import rejection_notes
from adapters.dicom.sender import send
from cds.bootstrap.instances import compare, discard
from cds.domain.identity import Identifier
from cds.errors import InvalidInstance
from cds.imaging_peers import DicomNode
from cds.settings import Settings
from cds.store.holds import open_holds
from cds.store.studies import StudyStore
from cds.store.tables import InstanceRow
from tests.contract.closing import close_quiet
from tests.databases import Databases, fresh
from tests.peers.dicom_peers import AE_TITLE, FixedClock, edited, files_below, noise, receiving, write_series

CODES = ("113001", "113037", "113038", "113039")


class House:
    """A data folder with its index, and a receiver on it."""

    def __init__(self, databases: Databases) -> None:
        settings = Settings(data_dir=databases.data_dir)
        self.folder = databases.data_dir / "instances"
        self.databases = databases
        self.studies = StudyStore(
            databases.app,
            assigning_authority="HOSPITAL",
            accession_issuer="RIS",
            same_pixels=compare(settings),
            discard=discard(settings),
        )

    def send(self, *paths: Path) -> None:
        """All are stored."""
        with receiving(self.folder.parent, self.studies) as receiver:
            results = send(
                paths,
                DicomNode(host="127.0.0.1", port=receiver.port, ae_title=AE_TITLE, calling_ae_title="TESTER"),
                timeout_s=10,
            )
        assert [result.status for result in results] == [0] * len(paths)

    def close(self) -> None:
        """The quiet period is over."""
        close_quiet(self.databases.app, FixedClock().now() + timedelta(hours=1))

    def rows(self) -> list[InstanceRow]:
        """What the index has."""
        with self.databases.app.reading() as session:
            return list(session.exec(select(InstanceRow)).all())

    def paths(self, uid: str, revision: int) -> list[str]:
        """The files of an image revision."""
        return [path for series in self.studies.series(uid, revision) for path in series.paths]

    def has_no_stray(self) -> bool:
        """Every row has its file and every file its row."""
        kept = {self.folder.parent / row.path for row in self.rows()}
        return kept == set(files_below(self.folder))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with fresh(tmp_path / "data") as databases:
        yield House(databases)


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "series", noise(3))


def named(paths: list[Path], **values: str) -> None:
    """The scanner's operator corrects the header."""
    for path in paths:
        with edited(path) as dataset:
            for keyword, value in values.items():
                setattr(dataset, keyword, value)


def note(paths: list[Path], folder: Path, code: str, *, manufacturer: str = "RIS") -> Path:
    """A Key Object Selection of these images under a title of CID 7011."""
    images = [pydicom.dcmread(path) for path in paths]
    for image in images:
        image.ReferringPhysicianName, image.StudyID = "", ""
    document = KeyObjectSelectionDocument(
        evidence=images,
        content=KeyObjectSelection(CodedConcept(code, "DCM", "a title"), images),
        series_instance_uid=generate_uid(),
        series_number=90,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=manufacturer,
    )
    path = folder / f"note-{code}.dcm"
    document.save_as(path)
    return path


def test_two_series_that_were_swapped_at_the_scanner_end_under_their_patients(house: House, tmp_path: Path) -> None:
    mine = write_series(tmp_path / "mine", noise(3, seed=1), patient_id="P-1", accession_number="ACC-1")
    hers = write_series(tmp_path / "hers", noise(3, seed=2), patient_id="P-2", accession_number="ACC-2")
    uids = [str(pydicom.dcmread(paths[0]).StudyInstanceUID) for paths in (mine, hers)]
    house.send(*mine, *hers)
    house.close()
    named(mine, PatientID="P-2", AccessionNumber="ACC-2")
    named(hers, PatientID="P-1", AccessionNumber="ACC-1")
    house.send(mine[0], hers[0])
    assert all(house.studies.study(uid).contradiction for uid in uids)
    house.send(*mine[1:], *hers[1:])
    studies = [house.studies.study(uid) for uid in uids]
    assert [study.contradiction for study in studies] == ["", ""]
    assert [study.patient for study in studies] == [Identifier("P-2", "HOSPITAL"), Identifier("P-1", "HOSPITAL")]
    assert [study.accession for study in studies] == [Identifier("ACC-2", "RIS"), Identifier("ACC-1", "RIS")]
    assert [study.image_revision for study in studies] == [1, 1]
    assert house.has_no_stray()


def test_images_that_an_archive_compressed_are_the_same_images(house: House, series: list[Path]) -> None:
    house.send(*series)
    house.close()
    for path in series:
        with edited(path) as dataset:
            dataset.compress(RLELossless, generate_instance_uid=False)
    house.send(*series)
    uid = str(pydicom.dcmread(series[0]).StudyInstanceUID)
    assert (house.studies.study(uid).image_revision, house.studies.study(uid).match_revision) == (1, 1)
    assert open_holds(house.databases.app) == []
    assert house.has_no_stray()


def test_a_changed_rescale_slope_is_held_with_its_file(house: House, series: list[Path]) -> None:
    house.send(*series)
    named(series[:1], RescaleSlope="2")
    house.send(series[0])
    [hold] = open_holds(house.databases.app)
    assert (house.folder.parent / hold.path).is_file()
    assert hold.path not in {row.path for row in house.rows()}


@pytest.mark.parametrize("code", CODES)
def test_a_rejection_note_takes_its_images_out_and_is_no_image(
    code: str, house: House, series: list[Path], tmp_path: Path
) -> None:
    uid = str(pydicom.dcmread(series[0]).StudyInstanceUID)
    house.send(*series)
    house.close()
    house.send(note(series[:1], tmp_path, code))
    assert house.studies.study(uid).image_revision == 2
    assert len(house.paths(uid, 1)) == 3
    assert len(house.paths(uid, 2)) == 2
    assert len(house.rows()) == 3
    assert house.has_no_stray()


def test_a_key_object_selection_with_another_title_is_an_instance_that_no_model_reads(
    house: House, series: list[Path], tmp_path: Path
) -> None:
    uid = str(pydicom.dcmread(series[0]).StudyInstanceUID)
    house.send(*series)
    house.close()
    house.send(note(series[:1], tmp_path, "113000"))
    assert house.studies.study(uid).image_revision == 1
    assert [row.consumed for row in house.rows()].count(False) == 1
    assert len(house.paths(uid, 1)) == 4


def test_what_sightline_made_leaves_no_trace_when_it_comes_back(
    house: House, series: list[Path], tmp_path: Path
) -> None:
    house.send(*series)
    house.send(note(series[:1], tmp_path, "113000", manufacturer="Sightline"))
    assert len(house.rows()) == 3
    assert house.has_no_stray()


def rejecting(*, code: str = "113037", scheme: str = "DCM", evidence: Sequence | None = None) -> Dataset:
    title, dataset = Dataset(), Dataset()
    title.CodeValue, title.CodingSchemeDesignator = code, scheme
    dataset.SOPClassUID, dataset.ConceptNameCodeSequence = KeyObjectSelectionDocumentStorage, Sequence([title])
    if evidence is not None:
        dataset.CurrentRequestedProcedureEvidenceSequence = evidence
    return dataset


def study_item(uid: str, *instances: str) -> Dataset:
    quiet()
    item, images = Dataset(), Dataset()
    item.StudyInstanceUID = uid
    images.ReferencedSOPSequence = Sequence([])
    for instance in instances:
        reference = Dataset()
        reference.ReferencedSOPInstanceUID = instance
        images.ReferencedSOPSequence.append(reference)
    item.ReferencedSeriesSequence = Sequence([images])
    return item


def test_a_note_about_two_studies_is_two_notes() -> None:
    found = rejection_notes(
        rejecting(evidence=Sequence([study_item("1.2", "1.2.1", "1.2.1"), study_item("1.3", "1.3.1")]))
    )
    assert [(n.study_instance_uid, n.sop_instance_uids) for n in found] == [("1.2", ("1.2.1",)), ("1.3", ("1.3.1",))]


@pytest.mark.parametrize(
    "evidence",
    [
        None,
        Sequence([]),
        Sequence([study_item("1.2")]),
        Sequence([study_item("1.2", "../../x")]),
        Sequence([Dataset()]),
    ],
    ids=["absent", "empty", "without instances", "no uid", "no study"],
)
def test_a_note_that_does_not_say_what_it_rejects_is_refused(evidence: Sequence | None) -> None:
    with pytest.raises(InvalidInstance):
        rejection_notes(rejecting(evidence=evidence))


def test_a_title_of_another_scheme_rejects_nothing() -> None:
    assert rejection_notes(rejecting(scheme="99LOCAL")) == ()
    assert rejection_notes(Dataset()) == ()
