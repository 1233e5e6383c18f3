"""Which segments of a message belong together, so that a value is never taken from another order or patient."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.hl7.groups import Group, read_groups
from adapters.hl7.message import Message, Segment

#: Segments that a profile may add to an order group, beside Z segments.
_ADDABLE = frozenset({"TQ1", "IPC"})


class Places:
    """The order groups of a message, and the patients that its segments stand behind."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self.groups = read_groups(message)
        self._group: dict[int, Group] = {}
        for group in self.groups:
            for segment in _members(group):
                self._group.setdefault(id(segment), group)
        self._patient: dict[int, int] = {}
        patients = 0
        for segment in message:
            patients += segment.name == "PID"
            self._patient[id(segment)] = patients

    def targets(self, name: str) -> Iterator[tuple[Segment | None, Group | None]]:
        """The segments of a name, each with its group; None for one that a group lacks and that may be added."""
        yield from ((segment, self._group.get(id(segment))) for segment in self._message.all(name))
        if name in _ADDABLE or name.startswith("Z"):
            yield from ((None, group) for group in self.groups if not _first(_members(group), name))

    def source(self, name: str, target: Segment | None, group: Group | None) -> Segment | None:
        """Where a target reads a segment of this name from; None where nothing of the kind belongs to it."""
        if target is not None and target.name == name:
            return target
        named = self._message.all(name)
        if group is not None:
            own = _first(_members(group), name)
            alone = named if name.startswith("Z") and len(named) == 1 and self._ends_with(named[0]) else []
            loose = [segment for segment in named if id(segment) not in self._group]
            return own or _first(loose or alone, name)
        if target is not None:
            patient = self._patient[id(target)]
            named = [segment for segment in named if self._patient[id(segment)] in (0, patient)]
        return _first(named, name)

    def _ends_with(self, segment: Segment) -> bool:
        """True for a segment of the last group: senders put there what holds for all, as IHE RAD-4 does with ZDS."""
        return self._group.get(id(segment)) is self.groups[-1]

    def add(self, name: str, group: Group) -> Segment:
        """The segment of this name in a group, which is added at its end where it lacks."""
        found = _first(_members(group), name)
        if found is not None:
            return found
        last = _members(group)[-1]
        added = type(last)(name, last.syntax)
        places = [id(segment) for segment in self._message.segments]
        self._message.segments.insert(places.index(id(last)) + 1, added)
        group.rest.append(added)
        return added


def _members(group: Group) -> list[Segment]:
    return [segment for segment in (group.orc, group.obr, *group.rest) if segment.name]


def _first(segments: list[Segment], name: str) -> Segment | None:
    return next((segment for segment in segments if segment.name == name), None)
