"""A small real ResourceStore in memory: what the web tests serve from."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from cds.domain.resource import NewResource, ResourcePage, StoredResource
from cds.domain.search import ResourceQuery, Sort
from cds.errors import InvalidResource, NotFound
from tests.contract.memory_search import Current, along, fulfils


@dataclass(frozen=True, slots=True)
class Commit:
    """Resources that are committed together at one moment."""

    at: datetime
    resources: tuple[NewResource, ...]


class MemoryResourceStore:
    """Follows `cds.ports.ResourceStore`; `commit` adds versions, unchanged content none."""

    def __init__(self, commits: Sequence[Commit] = ()) -> None:
        self._versions: dict[tuple[str, str], list[tuple[StoredResource, NewResource]]] = {}
        for commit in commits:
            self.commit(commit)

    def commit(self, commit: Commit) -> None:
        for new in commit.resources:
            versions = self._versions.setdefault((new.type, new.id), [])
            if versions and versions[-1][1].body == new.body:
                continue
            version = len(versions) + 1
            meta = new.body.get("meta", {})
            stamp = {"versionId": str(version), "lastUpdated": commit.at.isoformat()}
            body = orjson.dumps({**new.body, "meta": {**meta, **stamp}})
            versions.append((StoredResource(new.type, new.id, version, commit.at, body), new))

    def read(self, resource_type: str, resource_id: str, *, compartment: str | None = None) -> StoredResource:
        return self.history(resource_type, resource_id, compartment=compartment).resources[0]

    def vread(
        self, resource_type: str, resource_id: str, version: int, *, compartment: str | None = None
    ) -> StoredResource:
        for stored in self._hers(resource_type, resource_id, compartment):
            if stored.version == version:
                return stored
        raise NotFound("no such resource version")

    def history(
        self,
        resource_type: str,
        resource_id: str,
        *,
        count: int = 50,
        before: int | None = None,
        compartment: str | None = None,
    ) -> ResourcePage:
        versions = self._hers(resource_type, resource_id, compartment)
        older = [stored for stored in versions if before is None or stored.version < before]
        more = len(older) > count > 0
        return ResourcePage(tuple(older[:count]), len(versions), str(older[count - 1].version) if more else None)

    def _hers(self, resource_type: str, resource_id: str, patient: str | None) -> list[StoredResource]:
        """The versions that may be seen, newest first; NotFound where the current one may not."""
        versions = self._versions.get((resource_type, resource_id), [])
        everybodys = patient is None or resource_type == "Device"
        if not versions or not (everybodys or versions[-1][1].patient_id == patient):
            raise NotFound("no such resource")
        return [stored for stored, new in reversed(versions) if everybodys or new.patient_id == patient]

    def search(self, query: ResourceQuery) -> ResourcePage:
        everybody = self._current()
        scope = [one for one in everybody if query.compartment in (None, one.new.patient_id)]
        linked = scope if query.compartment is None else [*scope, *(o for o in everybody if o.stored.type == "Device")]
        found = [one for one in (everybody if query.type == "Device" else scope) if one.stored.type == query.type]
        matches = [one for one in found if all(fulfils(one, criterion, linked) for criterion in query.criteria)]
        page, total, cursor = _page(matches, query.sort, query.count, query.after)
        counted = query.total == "accurate" or not query.count or (query.after is None and cursor is None)
        included = along(query.includes, page, linked)
        return ResourcePage(
            tuple(one.stored for one in page),
            total if counted else None,
            cursor,
            tuple(one.stored for one in included),
        )

    def everything(
        self,
        patient_id: str,
        *,
        types: Sequence[str] = (),
        since: datetime | None = None,
        count: int = 50,
        after: str | None = None,
    ) -> ResourcePage:
        if ("Patient", patient_id) not in self._versions:
            raise NotFound("no such resource")
        everybody = self._current()
        hers = [one for one in everybody if one.new.patient_id == patient_id]
        named = {entry.value for one in hers for entry in one.new.index}
        devices = [one for one in everybody if one.stored.type == "Device" and one.name in named]
        found = [*sorted(hers, key=lambda o: o.position(Sort())), *sorted(devices, key=lambda o: o.position(Sort()))]
        asked = [one.stored for one in found if not types or one.stored.type in types]
        wanted = [stored for stored in asked if since is None or stored.last_updated >= since]
        start = int(_read_cursor(after)[1]) if after else 0
        page, more = wanted[start : start + count], len(wanted) > start + count
        total = None if after or more else len(wanted)
        return ResourcePage(tuple(page), total, _cursor("", start + count) if more else None)

    def _current(self) -> list[Current]:
        return [Current(*versions[-1], number) for number, versions in enumerate(self._versions.values())]


def _page(matches: list[Current], sort: Sort, count: int, after: str | None) -> tuple[list[Current], int, str | None]:
    ordered = sorted(matches, key=lambda one: one.position(sort), reverse=sort.descending)
    if after is not None:
        place = _read_cursor(after)
        beyond = (lambda at: at < place) if sort.descending else (lambda at: at > place)
        ordered = [one for one in ordered if beyond(one.position(sort))]
    page, more = ordered[:count], len(ordered) > count > 0
    return page, len(matches), _cursor(*page[-1].position(sort)) if more else None


def _cursor(key: float | str, number: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([key, number])).decode()


def _read_cursor(cursor: str) -> tuple[float | str, int]:
    try:
        key, number = orjson.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError):
        raise InvalidResource("the page cursor is not one that this server gave") from None
    return key, number
