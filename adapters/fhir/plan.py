"""What of a Bundle of ours is to be written to a server, how and in which order, before anything is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.fhir import entries, standing
from adapters.fhir.abilities import Abilities
from adapters.fhir.client import FhirClient
from adapters.fhir.directory import Directory
from adapters.fhir.elements import Element
from adapters.fhir.entries import Entry
from adapters.fhir.standing import Standing
from adapters.fhir.tolerant import text
from adapters.fhir.ways import Way, way_to
from cds.errors import PeerRefused

#: What people there work on is theirs once they began (R4 request-status, task-status).
_BEGUN: Mapping[str, frozenset[str]] = {
    "ServiceRequest": frozenset({"active", "on-hold", "completed"}),
    "Task": frozenset({"received", "ready", "in-progress", "on-hold", "cancelled", "failed"}),
}
_ANSWERED = frozenset({"accepted", "rejected", "completed"})
#: What we ourselves say of a result, or of a message about one.
_OUR_STATUSES = frozenset({"preliminary", "in-progress", entries.IN_ERROR})
_RESULTS = frozenset({"DiagnosticReport", "Observation", "RiskAssessment", "Communication"})
_CODE = re.compile(r"[a-z-]{1,32}")


class NotTaken(PeerRefused):
    """The server takes no resources of the type that the whole Bundle is about, so nothing is written."""


@dataclass(frozen=True, slots=True)
class Write:
    """One entry, the way of its type, and the copy that stands there."""

    entry: Entry
    way: Way
    there: Standing | None

    @property
    def reference(self) -> str:
        """What it is or will be called there; "" where the server gives the id."""
        if self.there:
            return f"{self.entry.type}/{self.there.id}"
        return f"{self.entry.type}/{self.entry.own_id}" if self.way.own else ""

    @property
    def is_conditional(self) -> bool:
        """True where the server itself sees to it that there is one."""
        return self.way.conditional_create or (self.way.conditional_update and not self.entry.once)

    def request(self, body: Element) -> tuple[Element, Element]:
        """The Bundle.entry.request, which names what a single request says too, and the resource."""
        name, key = self.reference, self.entry.key
        if name:
            etag = self.there.etag if self.there and self.way.versions else ""
            return _request("PUT", name, ifMatch=etag), {**body, "id": name.partition("/")[2]}
        if self.way.conditional_update and not self.entry.once:
            return _request("PUT", f"{self.entry.type}?{key.condition}"), body
        return _request("POST", self.entry.type, ifNoneExist=key.condition if self.way.conditional_create else ""), body


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be written, in order, of how many entries.

    `names` has the references that are known by now, by fullUrl; `main_stands` where the resource that the Bundle is
    about is there already; `withdraws` where it takes that back; `notes` are for the acknowledgment.
    """

    writes: tuple[Write, ...]
    total: int
    names: dict[str, Element]
    main_stands: bool
    withdraws: bool
    notes: tuple[str, ...]

    @property
    def repeatable(self) -> bool:
        """False where something is made without a condition: one that is still under way there is not found yet."""
        return all(write.reference or write.is_conditional for write in self.writes)


class Planner:
    """Plans for one server. `main` is the type without which nothing of a Bundle is written."""

    def __init__(self, client: FhirClient, *, main: str, own_ids: bool, held_in_doubt: bool) -> None:
        self._client = client
        self._main = main
        self._own_ids = own_ids
        self._held_in_doubt = held_in_doubt
        self._directory = Directory(client)

    def plan(self, bundle: Mapping[str, object]) -> Plan:
        """Ask what stands there; NotTaken, and PeerRefused where it is in doubt which resource is whose."""
        said = entries.read(bundle)
        ways, left_out = self._ways(said)
        taken, remarks = self._named(_without(said, ways), self._withdraws(said))
        there = standing.find(self._client, ways, taken)
        writes = [Write(e, ways[e.type], there.get(e.full_url)) for e in entries.in_order(taken, there)]
        names: dict[str, Element] = {w.entry.full_url: {"reference": w.reference} for w in writes if w.reference}
        wanted = [write for write in writes if not self._stands(write, names)]
        left = [write for write in wanted if _is_theirs(write)]
        without = [f"without {', '.join(left_out)}: the server does not take them"] if left_out else []
        return Plan(
            writes=tuple(write for write in wanted if write not in left),
            total=len(taken),
            names=names,
            main_stands=any(write.there for write in writes if write.entry.type == self._main),
            withdraws=self._withdraws(said),
            notes=(*without, *remarks, *(_remark(write) for write in wanted if _is_changed(write))),
        )

    def _ways(self, said: Sequence[Entry]) -> tuple[dict[str, Way], list[str]]:
        """How each type gets there, and the types that do not."""
        found = self._found_ways(said, self._client.capability())
        if found.get(self._main) is None:  # it may have learned it within the hour
            found = self._found_ways(said, self._client.capability(fresh=True))
        if found.get(self._main) is None:
            raise NotTaken(f"the server takes no {self._main} that it could be asked for by our identifier")
        ways = {kind: way for kind, way in found.items() if way is not None}
        return ways, sorted(set(found) - set(ways))

    def _found_ways(self, said: Sequence[Entry], abilities: Abilities) -> dict[str, Way | None]:
        params = {entry.type: entry.key.param for entry in said}
        return {kind: way_to(abilities, kind, param, own_ids=self._own_ids) for kind, param in params.items()}

    def _withdraws(self, said: Sequence[Entry]) -> bool:
        """True for a Bundle that takes back what it is about."""
        return any(entry.withdrawn for entry in said if entry.type == self._main)

    def _named(self, taken: Sequence[Entry], withdraws: bool) -> tuple[list[Entry], tuple[str, ...]]:
        """With literal references to what is the server's own; a withdrawal waits for nobody."""
        held = self._held_in_doubt and not withdraws
        bodies, remarks = self._directory.literal([entry.body for entry in taken], held_in_doubt=held)
        return [replace(entry, body=body) for entry, body in zip(taken, bodies, strict=True)], remarks

    def _stands(self, write: Write, names: Mapping[str, Element]) -> bool:
        """True where it is there as it should be, or may only be made."""
        if write.there is None:
            return False
        if write.entry.once or not write.way.updates:
            return True
        return standing.same(entries.rewritten(write.entry.body, names), write.there.body, self._client.base_url)


def _without(said: Sequence[Entry], ways: Mapping[str, Way]) -> list[Entry]:
    """The entries that are taken, without references to the others; a Provenance of nothing is none."""
    dropped: dict[str, Element] = {entry.full_url: {} for entry in said if entry.type not in ways}
    taken = [replace(entry, body=entries.rewritten(entry.body, dropped)) for entry in said if entry.type in ways]
    return [entry for entry in taken if entry.type != "Provenance" or entry.body.get("target")]


def _request(method: str, url: str, **headers: str) -> Element:
    return {"method": method, "url": url, **{name: value for name, value in headers.items() if value}}


def _is_theirs(write: Write) -> bool:
    """True for an order or a task that people there took up: a draft of ours does not undo what they did."""
    status = write.there.body.get("status") if write.there else None
    # We say ourselves that a task, or an order, is done: neither stands where what it rests on is taken back.
    if status is None or (write.entry.withdrawn and (write.entry.type == "Task" or status == "completed")):
        return False
    answered = write.entry.type == "Task" and status in _ANSWERED and write.entry.body.get("status") == "requested"
    return answered or status in _BEGUN.get(write.entry.type, ())


def _is_changed(write: Write) -> bool:
    """True where somebody there gave it a status that we never give."""
    if write.there is None:
        return False
    others = write.entry.type in _RESULTS and write.there.body.get("status") not in _OUR_STATUSES
    return others or _is_theirs(write)


def _remark(write: Write) -> str:
    status = text(write.there.body.get("status")) if write.there else ""
    word = status if _CODE.fullmatch(status) else "changed"
    if _is_theirs(write):
        return f"the {write.entry.type} there is {word} and was left as it is"
    return f"the {write.entry.type} there was {word}"
