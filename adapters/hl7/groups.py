"""Order groups: what belongs to one OBR. A cancel may come as an ORC alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.hl7.context import Context, stated_assigner
from adapters.hl7.message import Message, Segment, Value
from cds.domain.identity import Identifier

#: The placer order number, in ORC and in OBR.
_PLACER = 2


@dataclass(slots=True)
class Group:
    """ORC and OBR (either may be a segment without values) and what follows them.

    `shared` is True where the ORC belongs to the OBR before this one too.
    """

    orc: Segment
    obr: Segment
    rest: list[Segment] = field(default_factory=list)
    shared: bool = False
    _studies: dict[str, set[str]] | None = field(default=None, init=False, repr=False, compare=False)

    def all(self, name: str) -> list[Segment]:
        """The segments of this name behind ORC or OBR."""
        return [segment for segment in self.rest if segment.name == name]

    @property
    def steps(self) -> list[Segment]:
        """The scheduled steps (IPC) of the exam; one without values where there is none."""
        return self.all("IPC") or [Segment("", self.orc.syntax)]

    def studies(self, procedure: str = "") -> set[str]:
        """The Study Instance UIDs (IPC-3) of all steps, or of those of one requested procedure (IPC-2)."""
        if self._studies is None:  # a group may have very many steps, and each of them asks
            self._studies = {"": set()}
            for step in self.steps:
                for name in {"", step.text(2)}:
                    self._studies.setdefault(name, set()).update(filter(None, [step.text(3)]))
        return self._studies.get(procedure, set())

    def number(self, number: int, context: Context) -> Identifier | None:
        """Order number 2 (placer) or 3 (filler), of ORC before OBR; of the OBR first where the ORC is shared.

        Nothing is taken of a shared ORC with another placer number: its filler number would be another exam's.
        """
        stated = [found for value in self._values(number) if (found := context.number(value))]
        if len({found.value for found in stated}) > 1 and not self.shared:
            context.note(f"ORC-{number} and OBR-{number} differ: ORC-{number} is taken")
        return next(iter(stated), None)

    def assigner(self, number: int, context: Context) -> str:
        """Whose the order number says that it is, in ORC or OBR; empty where neither says so."""
        taken = self.number(number, context)
        same = (value for value in self._values(number) if taken and value.text(1) == taken.value)
        return next(filter(None, map(stated_assigner, same)), "")

    def _values(self, number: int) -> list[Value]:
        """Those that say something, each once."""
        segments = [self.orc, self.obr]
        if self.shared:
            another = self.obr.text(_PLACER) not in ("", self.orc.text(_PLACER))
            segments = [self.obr] if another else [self.obr, self.orc]
        found = {segment.raw(number): segment for segment in segments}
        return [segment.value(number) for raw, segment in found.items() if raw]


def read_groups(message: Message) -> list[Group]:
    """All groups in order; segments before the first ORC or OBR belong to none."""
    absent = Segment("", message.syntax)
    groups: list[Group] = []
    for segment in message:
        if segment.name == "ORC":
            groups.append(Group(segment, absent))
        elif segment.name == "OBR" and groups and not groups[-1].obr.name:
            groups[-1].obr = segment
        elif segment.name == "OBR":
            groups.append(Group(groups[-1].orc if groups else absent, segment, shared=bool(groups)))
        elif groups:
            groups[-1].rest.append(segment)
    return groups
