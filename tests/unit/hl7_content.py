"""What the reader makes of a few segments: a header is put before them, and the bounded check is passed."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds.domain.message import MessageContent, OrderChange

READER = Reader("CLINIC", "CLINIC", "ORC-3", "Europe/Berlin")
PID = "PID|1||4711^^^CLINIC^MR||Probe^Petra^M||19610203|F"


def content(
    *lines: str, kind: str = "ADT^A04", reader: Reader = READER, mode: str = "P", version: str = "2.5.1"
) -> MessageContent:
    """A message of these segments, read."""
    header = f"MSH|^~\\&|LAB|HOSPITAL|S|S|20261101083000||{kind}|1|{mode}|{version}||||||UNICODE UTF-8"
    block = "\r".join([header, *lines]).encode()
    return reader(check(block, "peer", datetime(2026, 11, 1, tzinfo=UTC)))


def change(*lines: str, kind: str = "ORM^O01", reader: Reader = READER) -> OrderChange:
    """The one order of a message of these segments behind a patient."""
    (found,) = content(PID, *lines, kind=kind, reader=reader).orders
    return found
