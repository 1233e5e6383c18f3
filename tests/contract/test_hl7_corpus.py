"""Real messages of other systems over the real wire: nothing crashes, every refusal can be justified."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.hl7 import ack
from adapters.hl7.check import check
from adapters.hl7.header import read_header
from adapters.hl7.read import Reader
from cds.domain.message import MessageContent
from cds.errors import InvalidMessage
from tests.contract.hl7_corpus import Sample, samples
from tests.contract.hl7_wire import Peer, order, receiving, wire

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_READER = Reader("CLINIC", "CLINIC", "ORC-3", "Europe/Berlin")
_TWO_PATIENTS = ("A17", "A18", "A24", "A34", "A40", "A45")
_ORDER_TYPES = ("ORM", "OMG", "OMI")
#: Who is who changes: the prior identifiers in MRG-1 are needed, and of the last ones the account or visit too.
_NEED_MRG = ("A18", "A30", "A34", "A36", "A39", "A40", "A43", "A45", "A47")


def _is_order(sample: Sample) -> bool:
    kind = sample.fields("MSH", 9)[0][:3]
    return kind in _ORDER_TYPES or bool(sample.fields("ORC", 1))


def _is_complete(sample: Sample) -> bool:
    """What the wire's rules ask for, said again without the product's code."""
    header = [sample.fields("MSH", number)[0] for number in (9, 10, 11, 12)]
    kind = header[0][:3]
    if not all(header) or not header[3].startswith("2") or header[2][0] not in "PDT":
        return False
    if kind not in (*_ORDER_TYPES, "ADT", "ORU", "PPR"):
        return True
    patients = [value for value in sample.fields("PID", 3) if re.match(r"[^~^]", value)]
    if not patients or (len(sample.fields("PID", 3)) > 1 and header[0][4:7] not in _TWO_PATIENTS):
        return False
    if kind == "ADT" and header[0][4:7] in _NEED_MRG and not any(sample.fields("MRG", 1)):
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


def test_orders_of_fifty_makes_are_taken_or_refused_for_a_reason(reference_dir: Path) -> None:
    orders = [sample for sample in samples(reference_dir) if _is_order(sample)]
    assert len(orders) >= 50
    assert len({sample.source for sample in orders}) >= 5
    taken = 0
    with receiving() as (server, log), Peer(server.port) as peer:
        for sample in orders:
            peer.send(wire(sample.block))
            answer = peer.answer()
            said = next(segment for segment in answer if segment[0] == "MSA")
            if not _is_complete(sample):
                assert said[1] in ("AE", "AR"), sample.file
                assert any(segment[0] == "ERR" for segment in answer), sample.file
                continue
            assert said[1] == "AA", (sample.file, answer)
            taken += 1
        assert len(log.committed) == taken >= 50
        contents = [_READER(message) for message in log.committed]
    assert all(content.ignored or content.patient for content in contents)
    imaging = [m for m, c in zip(log.committed, contents, strict=True) if m.message_type in _ORDER_TYPES and c.orders]
    assert len(imaging) >= 15


def test_no_message_of_the_corpus_crashes_anything(reference_dir: Path) -> None:
    found = list(samples(reference_dir))
    assert len(found) >= 600
    read: list[MessageContent] = []
    for sample in found:
        content = _read(sample)
        if isinstance(content, MessageContent):
            read.append(content)
        elif not re.search(r"(PID-3|MRG-1)\.4", str(content)):
            assert not _is_complete(sample) or sample.block[4:5] != b"^", (sample.file, content)
    assert len([content for content in read if content.patient]) >= 340  # nine have only a PID-3.5 of no table
    assert sum(len(content.values) for content in read) >= 400


def _read(sample: Sample) -> MessageContent | InvalidMessage:
    header = None
    try:
        header = read_header(sample.block)
        message = check(sample.block, "peer", _NOW, header)
        content = _READER(message)
    except InvalidMessage as error:
        return error if b"\rMSA" in ack.reject(None, error, _NOW) else InvalidMessage("no answer")
    return content if b"AA" in ack.accept(header, _NOW) else InvalidMessage("no answer")


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
        content = _read(sample)
        if isinstance(content, MessageContent) and content.identity:
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
