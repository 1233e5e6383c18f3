"""Parsing and applying messages against the bare parse of hl7apy, in the same run and on the same messages.

The messages wait in a real log; `intake.apply_next` reads and applies them, 32 in a transaction, to an SQLite file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from sqlmodel import SQLModel, select

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds import intake
from cds.clock import SystemClock
from cds.domain.message import RawMessage
from cds.store.message_log import SqlMessageLog
from cds.store.record import RecordStore
from cds.store.tables import MessageOutcomeRow, OrderRow, PatientRow, StatementRow
from tests.contract.hl7_corpus import samples
from tests.databases import Databases, fresh

pytestmark = pytest.mark.bench

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
READER = Reader("HOSP", "RIS", "none", "Europe/Berlin")
TIMES = 10
_ROUNDS = 4
T = TypeVar("T")


class Site:
    """An inbox and an application database, and what applies the one to the other."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self.log, self.record = SqlMessageLog(databases.messages), RecordStore(databases.app)
        self.clock = SystemClock("Europe/Berlin")

    def apply_all(self) -> int:
        """Apply all that waits; answers how many messages that were."""
        applied = 0
        while many := intake.apply_next(self.log, READER, self.record, self.clock):
            applied += many
        return applied

    def rows(self, table: type[SQLModel]) -> int:
        """How many rows a table has."""
        with self.databases.app.reading() as session:
            return session.exec(select(sa.func.count()).select_from(table)).one()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Empty databases."""
    with fresh(tmp_path) as databases:
        yield Site(databases)


def received(blocks: Sequence[bytes]) -> list[RawMessage]:
    """Messages as the listener logs them, one a second."""
    return [check(block, "peer", NOW + timedelta(seconds=n)) for n, block in enumerate(blocks)]


def compare(site: Site, name: str, make: Callable[[int], bytes], *, ours: int, theirs: int) -> float:
    """How many messages of a kind are parsed and applied while hl7apy parses one; the best of some rounds of each."""
    before, applied, read, parsed = site.rows(MessageOutcomeRow), [], [], []
    for turn in range(_ROUNDS):
        blocks = [make(turn * ours + number) for number in range(1, ours + 1)]
        applied.append(seconds_each(site, blocks))
        read.append(_seconds(READER, received(blocks)))
        parsed.append(_seconds(_by_hl7apy, [block.decode("utf-8") for block in blocks[:theirs]]))
    own, reading, peer = min(applied), min(read), min(parsed)
    print(
        f"\n{name}: {1 / own:.0f} messages/s parsed and applied ({own * 1e6:.0f} µs, of which parsing"
        f" {reading * 1e6:.0f}), hl7apy parses {1 / peer:.1f}/s: {peer / own:.1f} times"
    )
    assert site.rows(MessageOutcomeRow) - before == _ROUNDS * ours
    return peer / own


def seconds_each(site: Site, blocks: Sequence[bytes]) -> float:
    """Seconds to parse and apply each of these messages, which wait in the log."""
    site.log.append(received(blocks))
    began = time.perf_counter()
    assert site.apply_all() == len(blocks)
    return (time.perf_counter() - began) / len(blocks)


def _seconds(work: Callable[[T], object], items: Sequence[T]) -> float:
    """Seconds for each."""
    began = time.perf_counter()
    for item in items:
        work(item)
    return (time.perf_counter() - began) / len(items)


def test_orders_are_parsed_and_applied_ten_times_as_fast_as_a_peer_parses_them(site: Site, reference_dir: Path) -> None:
    block = _sample(reference_dir, "dcm4che", "ORM^O01")

    def order(number: int) -> bytes:
        """An order of its own; three of four of a new patient, the fourth of the one before."""
        of_its_own = {
            b"|1001126|": b"|%d|" % number,
            b"PID_1^": b"PID_%d^" % (number - (number % 4 == 0)),
            b"PlacerOrderNumberImagingServiceRequest": b"PLACER%032d" % number,
            b"FillerOrderNumberImagingServiceRequest": b"FILLER%032d" % number,
            b"AccessionNumber": b"ACC%012d" % number,
            b"198811291108.7": b"1988112911.%d" % number,
        }
        return _with(block, of_its_own)

    ratio = compare(site, "orders of 1.4 kB", order, ours=512, theirs=40)
    assert site.rows(OrderRow) == _ROUNDS * 512
    assert site.rows(PatientRow) == _ROUNDS * 512 * 3 // 4
    assert ratio >= TIMES


def test_long_results_are_too(site: Site, reference_dir: Path) -> None:
    block = _sample(reference_dir, "ms-fhir-converter", "ORU-R01-01").replace(b"|T|2.5.1|", b"|P|2.5.1|")

    def result(number: int) -> bytes:
        """A result of its own of a patient of its own."""
        return _with(block, {b"20120314235954.325": b"%018d" % number, b"|14^^^IA PHIMS": b"|%d^^^IA PHIMS" % number})

    ratio = compare(site, "results of 7.5 kB", result, ours=128, theirs=3)
    assert site.rows(PatientRow) == _ROUNDS * 128
    assert ratio >= TIMES


def test_long_registrations_are_too(site: Site, reference_dir: Path) -> None:
    block = _sample(reference_dir, "ms-fhir-converter", "ADT-A04-01")

    def registration(number: int) -> bytes:
        """A registration of a patient of her own; one of four is known."""
        person = number - (number % 4 == 0)
        of_its_own = {b"MSG00001": b"%08d" % number, b"PATID1234": b"%09d" % person, b"123456789^": b"S%08d^" % person}
        return _with(block, of_its_own)

    ratio = compare(site, "registrations of 8.6 kB", registration, ours=128, theirs=3)
    assert site.rows(PatientRow) == _ROUNDS * 128 * 3 // 4
    assert ratio >= TIMES


def test_a_thousand_results_in_a_message_are_too_and_their_time_is_not_quadratic(site: Site) -> None:
    def results(many: int, number: int) -> bytes:
        """One message of many values."""
        lines = [
            f"MSH|^~\\&|LAB|HOSP|S|S|20261120080000||ORU^R01^ORU_R01|{many}-{number}|P|2.5.1",
            f"PID|1||P{number}^^^HOSP||Test^Tina||19600302|F",
            f"OBR|1||F{number}^LAB|24331-1^Lipids^LN|||20261101",
            *(f"OBX|{n}|NM|{n}-3^Value {n}^LN||{n}|mg/dL|||||F|||20261101" for n in range(1, many + 1)),
        ]
        return "\r".join(lines).encode()

    rounds = [range(start, start + 8) for start in range(0, 8 * _ROUNDS, 8)]
    hundred = min(seconds_each(site, [results(100, number) for number in some]) for some in rounds)
    thousand = min(seconds_each(site, [results(1000, 100 + number) for number in some]) for some in rounds)
    print(f"\n100 values {hundred * 1e3:.1f} ms, 1000 values {thousand * 1e3:.1f} ms: {thousand / hundred:.1f} times")
    assert site.rows(StatementRow) == 8 * _ROUNDS * (100 + 1000)
    ratio = compare(site, "1000 results in a message", lambda number: results(1000, 1000 + number), ours=4, theirs=1)
    assert thousand / hundred < 40
    assert ratio >= TIMES


def _sample(reference_dir: Path, folder: str, file: str) -> bytes:
    return next(s.block for s in samples(reference_dir) if s.source == folder and file in s.file)


def _with(block: bytes, of_its_own: dict[bytes, bytes]) -> bytes:
    for before, after in of_its_own.items():
        assert before in block
        block = block.replace(before, after)
    return block


def _by_hl7apy(text: str) -> None:
    parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=True)
