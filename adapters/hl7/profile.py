"""Sender profiles without code: what a site says of a sender (`cds.destinations.Sender`), put into its messages.

The parsed message is changed in memory, never the stored bytes, in the order fields, values, codes:

- `fields`: the source is read as the message has it, whatever other rules change. For a segment of an order group that
  is the segment itself, else the first of its name in the group, else one outside of all groups; a single Z segment
  of the last group counts for all groups. Where a message has several PID, what stands behind another one is not
  looked at. An empty source changes nothing; the fixed text "=" empties the target. A target without component takes
  the whole field, with components and repetitions; one with component that component of the first repetition. What a
  group lacks of TQ1, IPC and Z segments is added at its end.
- `values`: the text of the first component, or of the one that is named, without blanks around it, in every repetition
  of every such segment; upper and lower case differ. An empty key is an empty value.
- `codes`: the first or the alternate code of a coded field, where its system is none of table 0396 that is known here.
  The own code stays; the mapped one is put into components 4 to 6, or 10 to 12 where those are taken. In OBX-5 texts
  and table values (ST, IS, ID) are coded fields too, and become CWE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.hl7.coded import SYSTEMS
from adapters.hl7.delimiters import split
from adapters.hl7.field_path import Path, escaped, part, with_nth, with_part
from adapters.hl7.message import DELETE, Message, Segment, nth
from adapters.hl7.profile_places import Places
from cds.destinations import MappedCode
from cds.domain.profile import FieldChange

#: Code, text and system: the two that a sender fills, and where a third one may stand.
_STATED = ((1, 3), (4, 6))
_FREE = (4, 10)
_CODED = frozenset({"CE", "CWE", "CNE", "CF"})
_BECOME_CODED = frozenset({"ST", "IS", "ID"})
_NAMES = {uri: name for name, uri in reversed(SYSTEMS.items())}
_NO_ROOM = "a code of the sender's table has no room beside the codes of the message"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A field that is read from elsewhere (`source`), or is always the same (`text`)."""

    target: Path
    source: Path | None
    text: str = ""

    @property
    def said(self) -> str:
        """Where it is read from, or "=" and the text, as a site writes it."""
        return str(self.source) if self.source else f"={self.text}"


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules of one sender. `charset` is read whatever MSH-18 says, `default_charset` where it says nothing."""

    default_charset: str = ""
    charset: str = ""
    fields: tuple[FieldRule, ...] = ()
    values: tuple[tuple[Path, Mapping[str, str]], ...] = ()
    codes: tuple[tuple[Path, Mapping[str, MappedCode]], ...] = ()

    @property
    def mapped(self) -> frozenset[str]:
        """The fields that the profile fills from elsewhere or translates, such as PID-3; not those of a component."""
        paths = (*(rule.target for rule in self.fields), *(path for path, _ in self.values))
        return frozenset(path.name for path in paths if path.says_what)

    def apply(self, message: Message) -> tuple[FieldChange, ...]:
        """Change the message in memory; answers what was changed by which rule, in order."""
        changes = _Changes(message)
        if self.fields:
            changes.from_elsewhere(self.fields)
        for path, table in self.values:
            for segment in message.all(path.segment):
                changes.translate(segment, path, table)
        for path, codes in self.codes:
            for segment in message.all(path.segment):
                changes.code(segment, path, codes)
        return changes.told()


class _Changes:
    """What was changed of one message so far."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._delimiters = message.syntax.delimiters
        self._made: list[tuple[Segment, Path, str, str, str]] = []

    def told(self) -> tuple[FieldChange, ...]:
        places = {id(segment): place for place, segment in enumerate(self._message)} if self._made else {}
        return tuple(FieldChange(str(path), places[id(segment)], *rest) for segment, path, *rest in self._made)

    def from_elsewhere(self, rules: tuple[FieldRule, ...]) -> None:
        """Read all sources first, so that no rule sees what another one wrote."""
        places = Places(self._message)
        plan = [
            (rule, segment, group, raw)
            for rule in rules
            for segment, group in places.targets(rule.target.segment)
            if (raw := self._read(rule, places.source(rule.source.segment, segment, group) if rule.source else None))
            is not None
        ]
        for rule, found, group, raw in plan:
            segment = found or (places.add(rule.target.segment, group) if group else None)
            if segment is not None:
                self._put(
                    segment, rule.target, self._placed(segment, rule.target, raw), f"fields {rule.target} = {rule.said}"
                )

    def translate(self, segment: Segment, path: Path, table: Mapping[str, str]) -> None:
        """A plain value as the table has it, in each repetition."""
        at = Path(path.segment, path.field, path.component or 1, path.subcomponent)

        def translated(repetition: str) -> tuple[str, str]:
            said = self._message.syntax.leaf(repetition, at.component, at.subcomponent).strip()
            meant = None if repetition.strip() == DELETE else table.get(said)
            if meant is None:
                return repetition, ""
            written = with_part(repetition, at, escaped(meant, self._delimiters), self._delimiters)
            return written, f"values {path}: {said or 'empty'} = {meant}"

        self._each(segment, path, translated)

    def code(self, segment: Segment, path: Path, table: Mapping[str, MappedCode]) -> None:
        """The mapped code beside the sender's own, in each repetition."""
        result = path.name == "OBX-5"
        kind = self._message.syntax.leaf(_raw(segment, 2), 1).upper() if result else "CWE"
        if kind not in _CODED | _BECOME_CODED or not self._delimiters.component:
            return

        def coded(repetition: str) -> tuple[str, str]:
            said, mapped = self._mapped(repetition, table)
            if mapped is None:
                return repetition, ""
            return self._beside(repetition, mapped), f"codes {path}: {said} = {mapped.system} {mapped.code}"

        rule = self._each(segment, path, coded)
        if rule and kind in _BECOME_CODED:
            self._put(segment, Path("OBX", 2), "CWE", rule)

    def _each(self, segment: Segment, path: Path, changed: Callable[[str], tuple[str, str]]) -> str:
        """Change each repetition of a field; `changed` answers it with the rule, and so does this for all of them."""
        mark = self._delimiters.repetition
        read = [changed(repetition) for repetition in split(_raw(segment, path.field), mark)]
        rule = "; ".join(dict.fromkeys(rule for _, rule in read if rule))
        if rule:
            self._put(segment, path, mark.join(repetition for repetition, _ in read), rule)
        return rule

    def _read(self, rule: FieldRule, source: Segment | None) -> str | None:
        """What a rule puts, as sent; None where it says nothing."""
        if rule.source is None:
            return escaped(rule.text, self._delimiters)
        raw = _raw(source, rule.source.field) if source is not None else ""
        return part(raw, rule.source, rule.target, self._delimiters) if raw.strip() else None

    def _placed(self, segment: Segment, path: Path, new: str) -> str:
        raw, mark = _raw(segment, path.field), self._delimiters.repetition
        if not path.component:
            return new
        return with_nth(raw, mark, 1, with_part(nth(raw, mark, 1), path, new, self._delimiters))

    def _mapped(self, repetition: str, table: Mapping[str, MappedCode]) -> tuple[str, MappedCode | None]:
        """The own code that the table has, and what it means; None for it where it is stated already."""
        syntax = self._message.syntax
        for code, system in _STATED:
            said = syntax.leaf(repetition, code).strip()
            mapped = table.get(said)
            if mapped is not None and not _is_known(syntax.leaf(repetition, system)):
                known = (_name(mapped.system), mapped.code)
                stated = {(_name(syntax.leaf(repetition, n + 2)), syntax.leaf(repetition, n)) for n in (1, *_FREE)}
                return said, None if known in stated else mapped
        return "", None

    def _beside(self, repetition: str, mapped: MappedCode) -> str:
        """The repetition with the mapped code; as it is, with a warning, where there is no room."""
        separator = self._delimiters.component
        parts = repetition.split(separator)
        parts.extend([""] * (12 - len(parts)))
        at = next((at for at in _FREE if not any(text.strip() for text in parts[at - 1 : at + 2])), None)
        if at is None:
            self._message.warnings.append(_NO_ROOM)
            return repetition
        triplet = (mapped.code, mapped.display, _name(mapped.system))
        parts[at - 1 : at + 2] = [escaped(text, self._delimiters) for text in triplet]
        return separator.join(parts).rstrip(separator)

    def _put(self, segment: Segment, path: Path, raw: str, rule: str) -> None:
        before = _raw(segment, path.field)
        if raw != before:
            segment.put(path.field, raw)
            self._made.append((segment, path, before, raw, rule))


def _raw(segment: Segment, number: int) -> str:
    """A field as it stands, without being noted as read."""
    return segment.fields[number] if number < len(segment.fields) else ""


def _is_known(system: str) -> bool:
    return system.upper() in SYSTEMS or system in _NAMES


def _name(system: str) -> str:
    """A system as table 0396 names it where it is known, so that every reader of the message knows it too."""
    return _NAMES.get(SYSTEMS.get(system.upper(), system), system)
