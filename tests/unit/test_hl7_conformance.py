"""What the conformance statement says of HL7 v2 fields is what the code reads and sends, no more and no less."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.hl7 import ack, batch
from adapters.hl7.conformance import DOOR, READ, SENT, Fields, messages
from adapters.hl7.critical import CriticalOru
from adapters.hl7.header import read_header
from adapters.hl7.message import Trace
from adapters.hl7.read import Reader
from adapters.hl7.report import Envelope, oru, retraction
from cds.destinations import MllpDestination
from cds.domain.message import MessageState, RawMessage
from cds.errors import InvalidMessage
from tests.contract.critical_notices import NOTICE
from tests.contract.hl7_corpus import samples
from tests.contract.hl7_reports import patient, report

DOCS = Path(__file__).parents[2] / "docs"
AT = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
ENVELOPE = Envelope("1", "SIGHTLINE", "SITE", "EHR", "SITE", "UTC")
PID = "PID|1||4711^^^CLINIC^MR||Probe^Petra||19610203|F"
#: What no message of the reference folder has: rare moves, answers of people, notes.
MORE = (
    ("ADT^A39", PID, "MRG||||9^^^CLINIC^MR"),
    ("ADT^A43", "PID|1|8^^^CLINIC^MR|9^^^CLINIC^MR", "MRG|9^^^CLINIC^MR"),
    ("ADT^A45", PID, "MRG|9^^^CLINIC^MR||||77^^^CLINIC", "PV1|1|||||||||||||||||||78^^^CLINIC"),
    ("ORA^R33", "MSA|AA|1", "ORC|OK"),
    ("ORA^R33", "MSA|AA|1", "PRT||||9^Probe^Karl"),
)


def read_fields(blocks: Iterable[bytes]) -> set[tuple[str, int]]:
    """Every field that the reader looked at."""
    seen: Trace = set()
    reader = Reader("CLINIC", "CLINIC", "ORC-3", "Europe/Berlin", trace=seen)
    for block in blocks:
        try:
            header = read_header(block)
            field = header.field
            names = (field(3), field(4), field(10), header.component(9), header.component(9, 2))
            digest = hashlib.sha256(block).hexdigest()
            reader(RawMessage(block, digest, *names, header.component(12), header.component(11), field(18), "p", AT))
        except InvalidMessage:
            continue
    return seen


def stated(*tables: Fields) -> set[tuple[str, int]]:
    """Segment and field of every row."""
    return {(name, number) for table in tables for name, fields in table.items() for number in fields}


def more() -> Iterator[bytes]:
    """The messages that the reference folder lacks."""
    for kind, *segments in MORE:
        header = f"MSH|^~\\&|RIS|CLINIC|S|S|20261101083000||{kind}|1|P|2.5.1||||||UNICODE UTF-8"
        yield "\r".join([header, *segments]).encode()


def sent() -> Iterator[bytes]:
    """One of each kind of message that leaves: results, answers to senders of every version, answers to batches."""
    first = report(version=1, who=replace(patient(), deceased=True))
    yield oru(report(version=2), ENVELOPE, earlier=first, document=b"%PDF-1.4")
    yield retraction(first, ENVELOPE, reason="of another patient", at=AT)
    destination = MllpDestination(host="127.0.0.1", port=1)
    yield CriticalOru("critical:er", destination, facility="SITE", time_zone="UTC").encode(NOTICE, "delivery")
    wanted = InvalidMessage("want a patient", location="PID^1^3", condition="101", permanent=False)
    for version in ("2.3", "2.5.1"):
        header = read_header(f"MSH|^~\\&|A|B|C|D|20261101||ADT^A01|1|P|{version}|||AL|AL||8859/1".encode())
        yield ack.accept(header, AT)
        yield ack.reject(header, wanted, AT)
    inner = b"MSH|^~\\&|A|B|C|D|20261101||ADT^A01|1|P|2.5.1\r"
    raw = RawMessage(inner, "", "A", "B", "1", "ADT", "A01", "2.5.1", "P", "", "p", AT)
    yield ack.result(raw, MessageState.APPLIED, "", None, AT)
    block = b"FHS|^~\\&|A|B|C|D|20261101||||F1\rBHS|^~\\&|A|B|C|D|20261101||||B1\r" + inner + b"BTS|1\rFTS|1\r"
    found = batch.read_batch(block)
    assert found is not None
    yield batch.batch_answer(found, [ack.accept(read_header(inner), AT)], AT, single=False)


def sent_fields(blocks: Iterable[bytes]) -> set[tuple[str, int]]:
    """Segment and field of everything that is not empty, cut without the product's reader."""
    found: set[tuple[str, int]] = set()
    for block in blocks:
        for line in filter(None, block.decode().split("\r")):
            name, *fields = line.split("|")
            first = 2 if name in ("MSH", "FHS", "BHS") else 1
            found |= {(name, number) for number, value in enumerate(fields, first) if value}
            found |= {(name, 1)} if first > 1 else set()
    return found


def test_every_field_that_is_read_is_stated_and_every_stated_one_is_read(reference_dir: Path) -> None:
    seen = read_fields([*(sample.block for sample in samples(reference_dir)), *more()])
    assert seen - stated(READ) == set()
    assert stated(READ) - seen == set()


def test_every_field_that_is_sent_is_stated_and_every_stated_one_is_sent() -> None:
    found = sent_fields(sent())
    assert found - stated(SENT) == set()
    assert stated(SENT) - found == set()


@pytest.mark.parametrize(("name", "number"), sorted(stated(DOOR)))
def test_what_the_door_looks_at_has_a_meaning(name: str, number: int) -> None:
    assert DOOR[name][number]


def test_every_type_of_message_says_what_is_done() -> None:
    rows = list(messages())
    assert all(kind and done for kind, done in rows)
    assert len({kind for kind, _ in rows}) == len(rows)


def test_the_conformance_statement_has_the_tables_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("hl7_tables", DOCS / "hl7_tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = tables.CONFORMANCE.read_text()
    assert tables.rendered(text) == text, "run .venv/bin/python docs/hl7_tables.py"
