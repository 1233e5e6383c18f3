"""Encoding a report as ORU^R01 against hl7apy, which builds the same segments in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import pytest
from hl7apy.core import Message as PeerMessage

from adapters.hl7.message import Message
from adapters.hl7.report import oru
from adapters.hl7.segments import Envelope
from cds.domain.report import Report
from tests.unit.test_hl7_says_all import REPORTS

pytestmark = pytest.mark.bench

ENVELOPE = Envelope("M1", "SIGHTLINE", "CLINIC", "EHR", "SITE", "Europe/Berlin")
REPORT: Report = REPORTS["a detection, a negative, a refusal"]
Fields = list[tuple[str, dict[str, str]]]


def seconds(work: Callable[[], object], times: int) -> float:
    """The median of three rounds, per call."""
    rounds = []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - began) / times)
    return median(rounds)


def fields_of(block: bytes) -> Fields:
    """What the peer is to write: each segment with its fields, encoded already, so that it has less to do."""
    return [
        (
            one.name,
            {f"{one.name.lower()}_{n}": one.raw(n) for n in range(3 if one.name == "MSH" else 1, 40) if one.raw(n)},
        )
        for one in Message(block)
    ]


def by_hl7apy(segments: Fields) -> str:
    """The same message out of hl7apy's objects."""
    message = PeerMessage("ORU_R01", version="2.5.1")
    for name, fields in segments:
        part = message.msh if name == "MSH" else message.add_segment(name)
        for field, value in fields.items():
            setattr(part, field, value)
    return str(message.to_er7())


def test_a_report_is_encoded_at_least_twenty_times_as_fast_as_hl7apy_builds_it() -> None:
    block = oru(REPORT, ENVELOPE)
    segments = fields_of(block)
    theirs = by_hl7apy(segments)
    assert [line[:3] for line in theirs.strip().split("\r")] == [name for name, _ in segments]
    assert theirs.count("|OBX") == 0
    ratio = seconds(lambda: by_hl7apy(segments), 5) / seconds(lambda: oru(REPORT, ENVELOPE), 100)
    print(f"{len(block)} bytes, {len(segments)} segments: {ratio:.0f} x hl7apy's build")
    assert ratio >= 20
