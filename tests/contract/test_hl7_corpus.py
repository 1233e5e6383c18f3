"""Real messages of other systems over the real wire: nothing crashes, every refusal can be justified."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import Session, select

from adapters.hl7 import ack
from adapters.hl7.check import check, kept, know, require
from adapters.hl7.commit import GroupCommit
from adapters.hl7.header import read_header
from adapters.hl7.inspect import inspect
from adapters.hl7.read import Reader
from adapters.hl7.receive import Receiver
from cds import intake
from cds.clock import SystemClock
from cds.domain.message import LoggedMessage, MessageState, RawMessage
from cds.errors import InvalidMessage
from cds.store.engine import Database
from cds.store.message_log import SqlMessageLog
from cds.store.record import RecordStore
from cds.store.tables import MessageOutcomeRow
from tests.contract.hl7_corpus import Sample, samples
from tests.contract.hl7_wire import Peer, order, served, wire
from tests.databases import fresh

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_READER = Reader("CLINIC", "CLINIC", "ORC-3", "Europe/Berlin")
_TWO_PATIENTS = ("A17", "A18", "A24", "A34", "A40", "A41", "A45", "A47")
_ORDER_TYPES = ("ORM", "OMG", "OMI")
_CONNECTIONS = 8

#: Samples whose only identifier has a type of no person and no authority.
_EMPTY_AUTHORITY = (3, 4, 5, 7, 13, 16, 17, 19, 24)
#: Quarantined whatever came before: what a person has to look at. Site settings or a profile can mend most of them.
_HELD_ALONE = {
    "hapi/Hl7InputStreamMessageIteratorTest_001_ADT_A45.hl7": "want the prior patient in an MRG",
    "hapi/Hl7InputStreamMessageIteratorTest_003_ADT_A45.hl7": "want the prior patient in an MRG",
    "hapi/PipeParserMinDepsTest_001_ADT_A45.hl7": "want the prior patient in an MRG",
    "hapi/PipeParserMinDepsTest_003_ADT_A45.hl7": "want the prior patient in an MRG",
    "linuxforhealth/Hl7PatientFHIRConversionTest_028_VXU_V04.hl7": "want an identifier of a person",
    "ms-fhir-converter/data_SampleData_Hl7v2_ADT-A41-02.hl7": "want an account number in MRG-3",
    "ms-fhir-converter/data_SampleData_Hl7v2_ADT-A45-01.hl7": "want an identifier of a person",
    "ms-fhir-converter/data_SampleData_Hl7v2_ADT-A45-02.hl7": "want an identifier of a person",
    "ms-fhir-converter/data_SampleData_Hl7v2_PC1-Problem-Delete-v2.3.1.hl7": "want an identifier of a person",
    "ms-fhir-converter/data_SampleData_Hl7v2_PC1-Problem-Update-v2.3.1.hl7": "want an identifier of a person",
    **{f"python-hl7/samples_{n:03}_ADT_A04.hl7": "want an identifier of a person" for n in _EMPTY_AUTHORITY},
}
#: What a message is quarantined for because of another one that came before it, in words of the store.
_CONTRADICTS = (
    "the patient with this identifier has another",
    "the identifiers in PID-3 belong to more than one patient",
)


@dataclass(frozen=True)
class Undone(Database):
    """A database of which every transaction is taken back; `outcomes` is what the last one would have left."""

    outcomes: list[MessageOutcomeRow] = field(default_factory=list)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that ends in a rollback."""
        with Session(self.writer, expire_on_commit=False) as session:
            yield session
            session.flush()
            self.outcomes[:] = session.exec(select(MessageOutcomeRow)).all()
            session.expunge_all()
            session.rollback()


def _name(sample: Sample) -> str:
    return f"{sample.source}/{sample.file}"


@pytest.fixture(scope="module")
def corpus(reference_dir: Path) -> list[Sample]:
    """Every message of the corpus."""
    found = list(samples(reference_dir))
    assert len(found) >= 600
    return found


def test_every_message_is_answered_stored_byte_for_byte_and_applied_or_ignored_for_a_reason(
    tmp_path: Path, corpus: list[Sample]
) -> None:
    with fresh(tmp_path) as databases:
        log, clock = SqlMessageLog(databases.messages), SystemClock("Europe/Berlin")
        with (
            served(Receiver(GroupCommit(log), clock)) as server,
            ThreadPoolExecutor(_CONNECTIONS) as pool,
        ):
            parts = [corpus[n::_CONNECTIONS] for n in range(_CONNECTIONS)]
            answered = list(pool.map(lambda part: _answers(server.port, part), parts))
        pairs = [
            pair for part, answers in zip(parts, answered, strict=True) for pair in zip(part, answers, strict=True)
        ]
        assert [(_name(sample), answers) for sample, answers in pairs if not _is_acknowledged(sample, answers)] == []
        kept = {entry.id: entry.message for entry in log.after(0, 10 * len(corpus))}
        assert {sample.block for sample in corpus} <= {message.raw for message in kept.values()}

        record = RecordStore(databases.app)
        while intake.apply_next(log, _READER, record, clock):
            pass
        with databases.app.reading() as session:
            outcomes = {row.message_id: row for row in session.exec(select(MessageOutcomeRow))}
        assert outcomes.keys() == kept.keys()
        told = Counter(f"{row.state}: {row.reason}".rstrip(": ") for row in outcomes.values())
        name = {sample.block: _name(sample) for sample in corpus}
        wrong = [
            (name[kept[number].raw], row.state, row.reason)
            for number, row in outcomes.items()
            if kept[number].raw in name and not _is_explained(name[kept[number].raw], row)
        ]
        assert wrong == [], told
        states = Counter(row.state for row in outcomes.values())
        assert (states["failed"], states["applied"] >= 300) == (0, True), told


def _answers(port: int, part: list[Sample]) -> list[list[list[list[str]]]]:
    """What came back to each message; a message that is always answered marks the end."""
    found = []
    with Peer(port, timeout_s=60) as peer:
        for sample in part:
            mark = f"MARK-{secrets.token_hex(8)}"
            peer.send(wire(sample.block) + wire(f"MSH|^~\\&|MARK|MARK|||20261101||ZMK^Z01|{mark}|P|2.5\r".encode()))
            answers: list[list[list[str]]] = []
            while _said(answer := peer.answer())[2:3] != [mark]:
                answers.append(answer)
            found.append(answers)
    return found


def _said(answer: list[list[str]]) -> list[str]:
    return next(segment for segment in answer if segment[0] == "MSA")


def _is_acknowledged(sample: Sample, answers: list[list[list[str]]]) -> bool:
    """One answer, a refusal with ERR and for a reason; none where the sender wants none, or it is an answer itself."""
    accept, application = (sample.fields("MSH", number)[0].strip() for number in (15, 16))
    if not answers:
        kind = sample.fields("MSH", 9)[0][:3]
        return kind == "ACK" or (accept or application) in ("NE", "ER", "SU")
    (answer,) = answers
    code = _said(answer)[1]
    good = code in ("AA", "CA") and _is_complete(sample)
    bad = code in ("AE", "AR", "CE", "CR") and not _is_complete(sample)
    with_error = any(segment[0] == "ERR" for segment in answer)
    return (good and not with_error) or (bad and with_error)


def _is_complete(sample: Sample) -> bool:
    """What the wire's rules ask for, said again without the product's code."""
    header = [sample.fields("MSH", number)[0] for number in (9, 10, 11, 12)]
    kind = header[0][:3]
    if not all(header) or not header[3].startswith("2") or header[2][0] not in "PDT" or "\\" in kind:
        return False
    if kind not in (*_ORDER_TYPES, "ADT", "ORU", "PPR"):
        return True
    patients = [value for value in sample.fields("PID", 3) if re.search(r"(^|~)[^~^]", value)]
    if not patients or (len(sample.fields("PID", 3)) > 1 and header[0][4:7] not in _TWO_PATIENTS):
        return False
    return kind not in _ORDER_TYPES or _has_numbers(sample)


def _has_numbers(sample: Sample) -> bool:
    groups: list[list[str]] = []
    for segment in sample.segments:
        if segment[0] == "ORC":
            groups.append([])
        if segment[0] in ("ORC", "OBR") and groups:
            groups[-1] += segment[2:4]
    return bool(groups) and all(any(number.strip("^ ") for number in numbers) for numbers in groups)


def _is_explained(name: str, row: MessageOutcomeRow) -> bool:
    if row.state == MessageState.QUARANTINED:
        return row.reason.startswith((_HELD_ALONE.get(name, "?"), *_CONTRADICTS))
    return row.state == MessageState.APPLIED or (row.state == MessageState.IGNORED and bool(row.reason))


def test_each_message_alone_is_applied_or_ignored_and_a_few_wait_for_a_person(
    tmp_path: Path, corpus: list[Sample]
) -> None:
    clock, held, unexplained = SystemClock("Europe/Berlin"), {}, []
    with fresh(tmp_path) as databases:
        undone = Undone(databases.app.reader, databases.app.writer)
        record = RecordStore(undone)
        for number, sample in enumerate(corpus, 1):
            message = _received(sample)
            intake.apply_next(_OneMessage(LoggedMessage(number, message)), _READER, record, clock)
            (row,) = undone.outcomes
            if row.state == MessageState.QUARANTINED:
                held[_name(sample)] = row.reason
            if not _is_explained(_name(sample), row):
                unexplained.append((_name(sample), row.state, row.reason))
    assert unexplained == []
    assert held.keys() == _HELD_ALONE.keys()


@dataclass(frozen=True)
class _OneMessage:
    """A log of one message."""

    logged: LoggedMessage

    def append(self, messages: Sequence[RawMessage]) -> Sequence[LoggedMessage]:
        """Nothing is added."""
        raise NotImplementedError

    def after(self, message_id: int, limit: int) -> Sequence[LoggedMessage]:
        """The message, whatever was applied."""
        return [self.logged]


def _received(sample: Sample) -> RawMessage:
    """As the door logs it."""
    try:
        known = know(read_header(sample.block))
    except InvalidMessage as error:
        return kept(sample.block, None, "peer", _NOW, answered="AR", refusal=str(error))
    try:
        require(sample.block, known)
    except InvalidMessage as error:
        return kept(sample.block, known, "peer", _NOW, answered=ack.code(error), refusal=str(error))
    return kept(sample.block, known, "peer", _NOW, answered="AA")


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_truncated_order_is_never_taken_for_another_one(cut: int) -> None:
    block = order()[:-cut] if cut else order()
    try:
        content = _READER(check(block, "peer", _NOW))
    except InvalidMessage:
        return
    (change,) = content.orders
    assert change.order.patient.value == "4711"
    assert change.order.placer_order_number is not None
    assert "P-1".startswith(change.order.placer_order_number.value)


def test_the_reference_imaging_orders_are_read_in_full(reference_dir: Path) -> None:
    found = {}
    for sample in samples(reference_dir):
        if sample.source == "dcm4che" and sample.fields("MSH", 9)[0] == "OMI^O23^OMI_O23":
            (change,) = _READER(check(sample.block, "peer", _NOW)).orders
            found[sample.file] = change.order
    assert len(found) == 2  # the same order as IPC and, in the folder's second form, as OBR-18 and ZDS
    for read in found.values():
        assert read.accession is not None
        assert (read.accession.value, read.accession.assigner) == ("AccessionNumber", "CLINIC")
        assert read.study_instance_uid == "1.2.392.200036.9125.0.198811291108.7"
        assert read.modality == "CT"
        assert (read.patient.value, read.patient.assigner) == ("PID_1", "ADT1")
        assert [reason.code for reason in read.reasons] == ["D1304"]
        assert read.procedure is not None
        assert (read.procedure.system, read.procedure.code) == ("http://loinc.org", "10637-7")


def test_the_reference_merges_and_moves_say_who_is_kept(reference_dir: Path) -> None:
    read = {}
    for sample in samples(reference_dir):
        content = inspect(sample.block, _READER, _NOW).content
        if content and content.identity:
            read[f"{sample.source}/{sample.file}"] = content.identity
    kept = {
        name: [(str(c.event), c.trigger, c.prior[0].value if c.prior else "", c.survivor[0].value) for c in changes]
        for name, changes in read.items()
    }
    dcm4che = "dcm4che/dcm4che-assembly_src_etc_testdata_hl7_ADT^"
    assert kept[f"{dcm4che}A40-PatientMerge.hl7"] == [("merge", "A40", "OLD_PID_1", "NEW_PID_1")]
    assert kept[f"{dcm4che}A47-ChangePatientID.hl7"] == [("merge", "A47", "OLD_PID_1", "NEW_PID_1")]
    assert kept["linuxforhealth/HL7MergeFHIRConversionTest_003_ADT_A40.hl7"] == [
        ("merge", "A40", "MR2", "MR1"),
        ("merge", "A40", "MR4", "MR3"),
    ]
    assert kept["linuxforhealth/FHIRConverterTest_004_ADT_A18.hl7"] == [("merge", "A18", "000010510", "000010004")]
    assert kept["hapi/CheckParticularsTest_001_ADT_A34.hl7"] == [("merge", "A34", "220064212", "21122112")]
    events = {change.trigger for changes in read.values() for change in changes}
    assert events >= {"A11", "A18", "A27", "A29", "A34", "A40", "A41", "A47"}
