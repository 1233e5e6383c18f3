"""What became of messages that a person loaded or sent, as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

_MOST_LINES = 50


@dataclass(frozen=True, slots=True)
class Refused:
    """A message of a file that was refused: its place from 1, MSH-10, and why."""

    number: int
    control_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class FileLoaded:
    """What became of one file. With `problems` nothing of it was taken; `refused` may be more than are told.

    `duplicates` are those of the `accepted` that were in the inbox already.
    """

    name: str
    messages: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    told: tuple[Refused, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def new(self) -> int:
        """How many are in the inbox now that were not there before."""
        return self.accepted - self.duplicates

    @property
    def ok(self) -> bool:
        """True where everything in the file was taken."""
        return not self.refused and not self.problems


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that was sent, and what the peer said to it; see adapters.hl7.sender.Answer."""

    control_id: str = ""
    code: str = ""
    text: str = ""
    errors: tuple[str, ...] = ()
    round_trip_ms: float = 0.0
    ok: bool = False
    why: str = ""


def file_lines(file: FileLoaded, *, dry_run: bool) -> Iterator[str]:
    """The summary of one file, and a line for each thing that a person has to correct."""
    if file.problems:
        yield f"{file.name}: refused, nothing of it was loaded"
        yield from (f"  {problem}" for problem in file.problems)
        return
    known = f"{file.duplicates} {'was' if file.duplicates == 1 else 'were'} there already"
    taken = f"{file.accepted} would be accepted" if dry_run else f"{file.new} new, {known}"
    messages = f"{file.messages} message{'' if file.messages == 1 else 's'}"
    yield f"{file.name}: {messages}, {taken}, {file.refused} refused"
    for one in file.told:
        yield f"  message {one.number}{f' ({one.control_id})' if one.control_id else ''}: {one.reason}"
    if file.refused > len(file.told):
        yield f"  and {file.refused - len(file.told)} more"


def intake_line(*, alive: bool) -> str:
    """When what was loaded is applied."""
    if alive:
        return "The intake role applies them now; cds hl7 log shows what becomes of each."
    return "No intake role is running: they wait in the inbox until cds serve or cds intake is started."


def sent_line(sent: Sent) -> str:
    """One message: its control id, what was said, and how long that took."""
    if not sent.code:
        return f"{sent.control_id}  {sent.why}".lstrip()
    name = sent.control_id or "(no control id)"
    said = "; ".join(part for part in (sent.text, *sent.errors) if part)
    why = f"  (the answer names {sent.why})" if sent.why else ""
    return f"{name}  {sent.code}  {sent.round_trip_ms:.1f} ms{f'  {said}' if said else ''}{why}"


def sent_json(sent: Sequence[Sent]) -> str:
    """All answers as a JSON array."""
    return json.dumps([asdict(one) for one in sent], indent=2, ensure_ascii=False)


def told(refused: Sequence[Refused]) -> tuple[Refused, ...]:
    """As many as a person reads."""
    return tuple(refused[:_MOST_LINES])
