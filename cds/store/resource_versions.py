"""Versions of the emitted FHIR resources as they are written, with what they are searched by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.resource import NewResource
from cds.store.engine import lock_all
from cds.store.fhir_tables import ResourceRow
from cds.store.resource_index import RESOURCE, Indexed, milliseconds, moment, write

#: What stands in a former version as it stood in the current one.
_KEPT = ("type", "id", "version", "last_updated", "patient_id", "study_uid", "made_by", "body")
Named = tuple[str, str]


def put_all(session: Session, resources: Sequence[tuple[NewResource, str | None]], now: datetime) -> None:
    """Add the next version of each, of the study named with it; what did not change gets none."""
    lock_all(session, "resource", {f"{resource.type}/{resource.id}" for resource, _ in resources})
    current = _current(session, [(resource.type, resource.id) for resource, _ in resources])
    former: list[dict[str, Any]] = []
    changed: dict[Named, tuple[ResourceRow, NewResource]] = {}
    for resource, study_uid in resources:
        key = (resource.type, resource.id)
        row = current.get(key)
        if row is None:
            row = current[key] = _unborn(resource, now)
        elif _content(orjson.loads(row.body)) != _content(resource.body):
            former.append({name: getattr(row, name) for name in _KEPT} | {"is_current": False, "indexed": 0})
        elif row.indexed >= resource.edition:
            continue
        else:
            row.indexed = resource.edition
            changed[key] = (row, resource)
            continue
        _renew(row, resource, study_uid, now)
        session.add(row)
        changed[key] = (row, resource)
    session.flush()  # the numbers of new ones; and the place of the former versions is free
    if former:
        session.connection().execute(sa.insert(RESOURCE), former)
    write(session, [_indexed(row, resource) for row, resource in changed.values()])


def _unborn(resource: NewResource, now: datetime) -> ResourceRow:
    return ResourceRow(type=resource.type, id=resource.id, version=0, last_updated=now, is_current=True, body=b"")


def _renew(row: ResourceRow, resource: NewResource, study_uid: str | None, now: datetime) -> None:
    """The next version in the place of the current one, no earlier than that: others read on from where they are."""
    row.version += 1
    row.last_updated = moment(milliseconds(max(now, row.last_updated)))
    row.patient_id, row.study_uid = resource.patient_id, study_uid
    row.made_by = f" {' '.join(resource.made_by)} " if resource.made_by else ""
    row.is_current, row.indexed = True, resource.edition
    row.body = orjson.dumps(_stamped(resource, row.version, row.last_updated))


def _current(session: Session, names: Sequence[Named]) -> dict[Named, ResourceRow]:
    found = {}
    for resource_type, ids in by_type(names):
        where = (ResourceRow.type == resource_type, col(ResourceRow.id).in_(ids), col(ResourceRow.is_current))
        for row in session.exec(select(ResourceRow).where(*where)):
            found[(row.type, row.id)] = row
    return found


def by_type(names: Iterable[Named]) -> Iterator[tuple[str, list[str]]]:
    """The ids of each type, each once."""
    ids: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for resource_type, resource_id in names:
        ids[resource_type][resource_id] = None
    for resource_type, of_type in ids.items():
        yield resource_type, list(of_type)


def _indexed(row: ResourceRow, resource: NewResource) -> Indexed:
    if row.number is None:
        raise ValueError("want a resource that was flushed: it has no number yet")
    return Indexed(row.number, row.type, resource.index, row.last_updated)


def _stamped(resource: NewResource, version: int, at: datetime) -> dict[str, object]:
    content = _content(resource.body)
    meta = content.pop("meta")
    stamps = {"versionId": str(version), "lastUpdated": instant(at)}
    return {
        "resourceType": resource.type,
        "id": resource.id,
        "meta": {**(meta if isinstance(meta, dict) else {}), **stamps},
        **content,
    }


def _content(body: Mapping[str, object]) -> dict[str, object]:
    """A resource without what the store stamps on it."""
    content = {k: v for k, v in body.items() if k not in ("resourceType", "id")}
    meta = content.get("meta")
    kept: dict[str, object] = dict(meta) if isinstance(meta, dict) else {}
    for stamp in ("versionId", "lastUpdated"):
        kept.pop(stamp, None)
    content["meta"] = kept
    return content


def instant(at: datetime) -> str:
    """FHIR instant with milliseconds (R4 datatypes, instant)."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
