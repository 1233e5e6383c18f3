"""Who is told what, and when: original and enhanced acknowledgment (HL7 v2.5.1 section 2.9, tables 0008 and 0155)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from adapters.hl7.header import MANNERS, Header, Manner, manner
from cds.domain.message import MessageState

Override = Literal["auto", "original", "enhanced"]
Condition = Literal["AL", "ER", "SU", "NE"]

#: HL7 table 0155; what stands in MSH-15 or MSH-16 beside it is taken for nothing.
_CONDITIONS: dict[str, Condition] = {"AL": "AL", "ER": "ER", "SU": "SU", "NE": "NE"}
#: Messages that acknowledge: two systems that answer these would answer each other for ever.
_ACKNOWLEDGMENTS = frozenset({"ACK", "MCF"})
_GOOD = frozenset({MessageState.APPLIED, MessageState.IGNORED})


@dataclass(frozen=True, slots=True)
class Mode:
    """How one message is acknowledged.

    `letter` begins MSA-1 (A: application, C: accept), `at_once` is when the sender wants that answer, `later` when it
    wants an application acknowledgment beside it once the message was applied: AL, ER, SU, or empty for never.
    """

    letter: Literal["A", "C"] = "A"
    at_once: Condition = "AL"
    later: str = ""
    #: False for acknowledgments: they get no answer even where the log fails.
    answerable: bool = True

    def says(self, code: str) -> str:
        """MSA-1 for an outcome AA, AE or AR; empty where the sender does not want to hear of it."""
        wanted = ("AL", "SU") if code == "AA" else ("AL", "ER")
        return self.letter + code[1] if self.at_once in wanted else ""


ORIGINAL = Mode()


def mode_of(header: Header, override: Override, *, replies: bool) -> Mode:
    """The mode of a message; `replies` is True where its sender says where application acknowledgments go."""
    return _mode_of(manner(header), override, replies)


@lru_cache(maxsize=MANNERS)
def _mode_of(known: Manner, override: Override, replies: bool) -> Mode:
    header = known.header
    acknowledges = header.component(9) in _ACKNOWLEDGMENTS
    return _mode(header.component(15), header.component(16), override, replies=replies, acknowledges=acknowledges)


def is_wanted(condition: str, state: MessageState) -> bool:
    """True where a sender that asked for AL, ER or SU is told that its message ended so."""
    if state is MessageState.RECEIVED:
        return False
    return condition in ("AL", "SU" if state in _GOOD else "ER")


def _mode(accept: str, application: str, override: Override, *, replies: bool, acknowledges: bool) -> Mode:
    asked, result = (_CONDITIONS.get(value.upper()) for value in (accept, application))
    if acknowledges:
        return _to_an_acknowledgment(asked, override)
    if override == "enhanced":
        return Mode("C", "AL", _later(result))
    if override == "original" or (asked is None and result is None):
        return ORIGINAL
    if asked in ("AL", "ER", "SU"):
        return Mode("C", asked, _later(result))
    told_late = replies and result in ("AL", "ER")
    return Mode("A", result or "NE", "ER" if told_late else "")


def _to_an_acknowledgment(asked: Condition | None, override: Override) -> Mode:
    """Only the accept acknowledgment that it asks for itself; that one asks for nothing more."""
    if asked is None or asked == "NE" or override == "original":
        return Mode("C", "NE", answerable=False)
    return Mode("C", asked, answerable=False)


def _later(result: Condition | None) -> str:
    return result if result in ("AL", "ER", "SU") else ""
