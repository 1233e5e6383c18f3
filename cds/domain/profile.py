"""What a sender's profile does to messages, for the person who writes it: `cds hl7 profile test`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What one rule made of one field: its path, the place of its segment (from 0), the field as sent and as read."""

    path: str
    segment: int
    before: str
    after: str
    rule: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is understood otherwise with the profile; empty where it is not understood at all."""

    what: str
    without: str
    with_profile: str


@dataclass(frozen=True, slots=True)
class ProfileEffect:
    """What the profile does to one message.

    `unreadable_without` and `unreadable` are why it cannot be read without and with the profile; `gone` and `new` are
    the warnings that it removes and brings.
    """

    sender: str
    control_id: str
    message_type: str
    changes: tuple[FieldChange, ...] = ()
    differences: tuple[Difference, ...] = ()
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    unreadable_without: str = ""
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class FileEffect:
    """All messages of a file that the profile holds for, how many others were skipped, what is wrong with the file."""

    sender: str
    effects: tuple[ProfileEffect, ...]
    skipped: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        """True where every message can be read with the profile, and the file is as it should be."""
        return not self.problems and not any(effect.unreadable for effect in self.effects)


@dataclass(frozen=True, slots=True)
class ProfileSummary:
    """What the profile of one sender says, in words for a table; empty where it says nothing."""

    sender: str
    character_set: str
    time_zone: str
    fields: tuple[str, ...]
    values: tuple[str, ...]
    codes: tuple[str, ...]
    other: tuple[str, ...]
