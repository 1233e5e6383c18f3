"""A small real ResourceStore in memory: what the web tests serve from."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from cds.domain.resource import NewResource, ResourcePage, ResourceQuery, StoredResource
from cds.errors import InvalidResource, NotFound

_COMPARE: dict[str, Callable[[datetime, datetime], bool]] = {
    "eq": lambda one, other: one == other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
}


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

    def read(self, resource_type: str, resource_id: str) -> StoredResource:
        return self.history(resource_type, resource_id)[0]

    def vread(self, resource_type: str, resource_id: str, version: int) -> StoredResource:
        for stored in self.history(resource_type, resource_id):
            if stored.version == version:
                return stored
        raise NotFound("no such resource version")

    def history(self, resource_type: str, resource_id: str) -> Sequence[StoredResource]:
        versions = self._versions.get((resource_type, resource_id))
        if versions is None:
            raise NotFound("no such resource")
        return [stored for stored, _ in reversed(versions)]

    def search(self, query: ResourceQuery) -> ResourcePage:
        current = [versions[-1] for versions in self._versions.values()]
        matches = sorted((s for s, n in current if _matches(query, s, n)), key=_position)
        total = len(matches)
        if query.after is not None:
            after = _read_cursor(query.after)
            matches = [stored for stored in matches if _position(stored) > after]
        page = matches[: query.count]
        more = query.count > 0 and len(matches) > query.count
        return ResourcePage(tuple(page), total, _cursor(page[-1]) if more else None)


def _matches(query: ResourceQuery, stored: StoredResource, new: NewResource) -> bool:
    if stored.type != query.type or query.patient_id not in (None, new.patient_id):
        return False
    if query.identifier is not None:
        system, value = query.identifier
        if not any(value == v and system in (None, s) for s, v in new.identifiers):
            return False
    return all(_COMPARE[prefix](stored.last_updated, moment) for prefix, moment in query.last_updated)


def _position(stored: StoredResource) -> tuple[str, str]:
    return stored.last_updated.isoformat(), stored.id


def _cursor(stored: StoredResource) -> str:
    return base64.urlsafe_b64encode(" ".join(_position(stored)).encode()).decode()


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        at, resource_id = base64.urlsafe_b64decode(cursor).decode().split(" ")
        datetime.fromisoformat(at)
    except ValueError:
        raise InvalidResource("the page cursor is not one that this server gave") from None
    return at, resource_id
