"""C-FIND against an SCP on loopback: what is asked, what is believed of the answer, and what ends it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import date

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import evt
from pynetdicom.events import Event

from adapters.dicom import dimse, find
from adapters.dicom.find import FindAsker
from cds.domain.retrieval import RemoteInstance, RemoteSeries, RemoteStudy, StudyQuery
from cds.errors import InvalidInput, PeerFailed, PeerRefused, Unavailable
from tests.contract.dimse_peers import FIND, GET, accept, finding, match, p_data, pacs, read_pdu, saying

STUDY, SERIES = "1.2.3", "1.2.3.4"
Answers = Iterator[tuple[int, Dataset | None]]


def study(**changes: object) -> Dataset:
    elements = {
        "SpecificCharacterSet": "ISO_IR 192",
        "StudyInstanceUID": STUDY,
        "PatientID": "P-1",
        "IssuerOfPatientID": "HOSPITAL",
        "AccessionNumber": "ACC-7",
        "StudyDate": "20260302",
        "StudyTime": "101500",
        "StudyDescription": "Thorax nativ – Übersicht",
        "ModalitiesInStudy": ["CT", "SR"],
        "NumberOfStudyRelatedSeries": "3",
        "NumberOfStudyRelatedInstances": "412",
    }
    return match(**{key: value for key, value in (elements | changes).items() if value is not None})


def answering(*matches: Dataset, asked: list[Dataset] | None = None, status: int = 0xFF00) -> list[object]:
    def answers(identifier: Dataset) -> Answers:
        if asked is not None:
            asked.append(identifier)
        for one in matches:
            yield status, one

    return finding(answers)


def test_a_study_is_found_with_all_that_the_pacs_says_of_it() -> None:
    asked: list[Dataset] = []
    with pacs(answering(study(), asked=asked), [FIND]) as node:
        found = FindAsker(node, 5).studies(StudyQuery(accession_number="ACC-7", patient_id="P-1"))
    expected = RemoteStudy(
        STUDY, "P-1", "HOSPITAL", "ACC-7", date(2026, 3, 2), "101500", "Thorax nativ – Übersicht", ("CT", "SR"), 3, 412
    )
    assert found == [expected]
    [identifier] = asked
    assert (identifier.QueryRetrieveLevel, identifier.AccessionNumber, identifier.PatientID) == (
        "STUDY",
        "ACC-7",
        "P-1",
    )
    assert "StudyDate" in identifier
    assert not identifier.StudyDate


@pytest.mark.parametrize(
    ("character_set", "codec", "text"), [("ISO_IR 100", "latin-1", "Schädel"), ("ISO_IR 144", "iso8859_5", "Голова")]
)
def test_texts_are_read_in_the_character_set_of_the_answer(character_set: str, codec: str, text: str) -> None:
    described = study(SpecificCharacterSet=character_set, StudyDescription=None)
    described.add_new(0x00081030, "LO", text.encode(codec))
    with pacs(answering(described), [FIND]) as node:
        [found] = FindAsker(node, 5).studies(StudyQuery(study_instance_uid=STUDY))
    assert found.description == text


def test_earlier_studies_are_asked_for_by_a_date_range_and_come_newest_first() -> None:
    asked: list[Dataset] = []
    matches = [study(StudyInstanceUID=f"1.2.{day}", StudyDate=f"202601{day}") for day in ("05", "07", "06", "10")]
    with pacs(answering(*matches, asked=asked), [FIND]) as node:
        found = FindAsker(node, 5).studies(StudyQuery(patient_id="P-1", before=date(2026, 1, 10), modality="CT"))
    assert [one.study_instance_uid for one in found] == ["1.2.07", "1.2.06", "1.2.05"]
    assert (asked[0].StudyDate, asked[0].ModalitiesInStudy) == ("-20260109", "CT")


def test_names_outside_ascii_are_asked_for_in_utf_8() -> None:
    asked: list[Dataset] = []
    with pacs(answering(study(PatientID="Ä-1"), asked=asked), [FIND]) as node:
        assert len(FindAsker(node, 5).studies(StudyQuery(patient_id="Ä-1"))) == 1
    assert (asked[0].SpecificCharacterSet, asked[0].PatientID) == ("ISO_IR 192", "Ä-1")


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "P-2"},
        {"PatientID": None},
        {"IssuerOfPatientID": "ELSEWHERE"},
        {"AccessionNumber": "ACC-70"},
        {"StudyDate": "20260402"},
        {"StudyDate": None},
        {"ModalitiesInStudy": "MR"},
        {"StudyInstanceUID": "../../etc"},
    ],
    ids=str,
)
def test_what_a_pacs_answers_beyond_the_question_is_left_out(other: dict[str, object]) -> None:
    query = StudyQuery(
        patient_id="P-1",
        issuer_of_patient_id="HOSPITAL",
        accession_number="ACC-7",
        modality="CT",
        before=date(2026, 4, 1),
    )
    with pacs(answering(study(**other), study()), [FIND]) as node:
        found = FindAsker(node, 5).studies(query)
    assert [one.patient_id for one in found] == ["P-1"]


@pytest.mark.parametrize("value", ["*", "P-?", "P-1\\P-2", "P\n1", "P" * 65])
def test_a_value_that_would_match_more_than_itself_is_not_sent(value: str) -> None:
    asked: list[Dataset] = []
    with pacs(answering(study(), asked=asked), [FIND]) as node, pytest.raises(InvalidInput):
        FindAsker(node, 5).studies(StudyQuery(patient_id=value))
    assert asked == []


@pytest.mark.parametrize("uid", ["*", "", "1.2\\1.3", "1..2"])
def test_a_uid_that_is_none_is_not_sent(uid: str) -> None:
    with pacs(answering(), [FIND]) as node:
        with pytest.raises(InvalidInput):
            FindAsker(node, 5).series(uid)
        with pytest.raises(InvalidInput):
            FindAsker(node, 5).instances(STUDY, uid)


def test_a_question_without_any_key_is_not_asked() -> None:
    with pacs(answering(), [FIND]) as node, pytest.raises(InvalidInput):
        FindAsker(node, 5).studies(StudyQuery(before=date(2026, 1, 1)))


def test_series_are_told_with_their_counts_and_those_of_other_studies_left_out() -> None:
    mine = match(
        StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, Modality="CT", BodyPartExamined="CHEST",
        SeriesDescription="Lunge", SeriesNumber="4", NumberOfSeriesRelatedInstances="200",
    )  # fmt: skip
    silent = match(SeriesInstanceUID="1.2.3.5")
    with pacs(answering(mine, silent, mine, match(StudyInstanceUID="1.9", SeriesInstanceUID="1.9.1")), [FIND]) as node:
        found = FindAsker(node, 5).series(STUDY)
    assert found == [
        RemoteSeries(STUDY, SERIES, "CT", "CHEST", "Lunge", 4, 200),
        RemoteSeries(STUDY, "1.2.3.5"),
    ]


def test_instances_are_told_with_their_class_also_where_a_key_was_not_matched() -> None:
    matches = [match(SOPInstanceUID=f"1.2.{n}", SOPClassUID=CTImageStorage) for n in range(300)]
    with pacs(answering(*matches, match(SOPInstanceUID="1.2.300"), status=0xFF01), [FIND]) as node:
        found = FindAsker(node, 5).instances(STUDY, SERIES)
    assert found[7] == RemoteInstance(STUDY, SERIES, "1.2.7", CTImageStorage)
    assert (len(found), found[300].sop_class_uid) == (301, "")


def test_a_series_whose_uid_is_none_is_not_left_out_in_silence() -> None:
    with pacs(answering(match(SeriesInstanceUID="x")), [FIND]) as node, pytest.raises(PeerRefused):
        FindAsker(node, 5).series(STUDY)


def test_an_unknown_study_has_nothing() -> None:
    with pacs(answering(), [FIND]) as node:
        assert FindAsker(node, 5).series(STUDY) == []
        assert FindAsker(node, 5).studies(StudyQuery(study_instance_uid=STUDY)) == []


def test_more_matches_than_the_bound_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "_MOST_SERIES", 5)
    cancelled = threading.Event()

    def answers(event: Event) -> Answers:
        for number in range(10):
            yield 0xFF00, match(SeriesInstanceUID=f"1.2.{number}")
        deadline = time.monotonic() + 5
        while not cancelled.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
            if event.is_cancelled:  # true once
                cancelled.set()
        yield 0xFE00, None

    with pacs([(evt.EVT_C_FIND, answers)], [FIND]) as node, pytest.raises(PeerRefused, match="at most 5"):
        FindAsker(node, 5).series(STUDY)
    assert cancelled.wait(5)


@pytest.mark.parametrize(("status", "error"), [(0xA700, PeerFailed), (0xC000, PeerFailed), (0xA900, PeerRefused)])
def test_a_failure_is_told_by_its_status(status: int, error: type[Exception]) -> None:
    def answers(_: Dataset) -> Answers:
        yield status, None

    with pacs(finding(answers), [FIND]) as node, pytest.raises(error, match=f"0x{status:04X}"):
        FindAsker(node, 5).series(STUDY)


def test_a_pacs_without_c_find_is_refused() -> None:
    with pacs([], [GET]) as node, pytest.raises(PeerRefused):
        FindAsker(node, 5).series(STUDY)


def test_a_pacs_that_breaks_off_is_unavailable() -> None:
    def answers(event: Event) -> Answers:
        yield 0xFF00, match(SeriesInstanceUID="1.2.3")
        event.assoc.abort()

    with pacs([(evt.EVT_C_FIND, answers)], [FIND]) as node, pytest.raises(Unavailable):
        FindAsker(node, 5).series(STUDY)


@pytest.mark.parametrize(
    "data", [b"\x20\0\x0d\0UI\xff\xff", b"\x20\0", b"\xff" * 64], ids=["cut off", "short", "noise"]
)
def test_matches_that_cannot_be_read_are_a_failure_of_the_pacs(data: bytes) -> None:
    pending = {
        dimse.COMMAND_FIELD: dimse.C_FIND | dimse.RESPONSE,
        dimse.RESPONDED_TO: 1,
        dimse.DATA_SET_TYPE: 1,
        dimse.STATUS: 0xFF00,
    }

    def script(connection: socket.socket) -> None:
        accept(connection)
        read_pdu(connection)
        connection.sendall(p_data(1, 3, dimse.encode_command(pending)) + p_data(1, 2, data))
        read_pdu(connection)

    with saying(script) as node, pytest.raises(PeerFailed):
        FindAsker(node, 5).series(STUDY)
