"""What resources are searched by, as rows: written with each version, and anew when the parameters change."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlmodel import Session

from cds.domain.search import IndexEntry
from cds.store.engine import Database, lock_all
from cds.store.fhir_tables import ResourceIndexRow, ResourceRow

RESOURCE = cast("sa.Table", sa.inspect(ResourceRow).local_table)
INDEX = cast("sa.Table", sa.inspect(ResourceIndexRow).local_table)

# Aliases are made once: making one costs as much as asking a statement.
#: What a search walks along, and what is asked of each row of it.
ENTRIES, RESOURCES = INDEX.alias("i"), RESOURCE.alias("r")
OTHER_ENTRIES, OTHER_RESOURCES = INDEX.alias("i2"), RESOURCE.alias("r2")

#: Where what is open begins and ends: beyond every date and quantity, and a number that databases compare.
ENDLESS = 1e300
#: No longer than this is `narrow`: a day, of 25 hours where clocks are put back.
NARROW_S = 90_000.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: PostgreSQL's indexes take no longer values than some 2,700 bytes.
_LONGEST = 256
#: What NFKD leaves as it is and people leave out.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t"}
)

Range = tuple[float | None, float | None]
Extract = Callable[[Mapping[str, object]], Sequence[IndexEntry]]


@dataclass(frozen=True, slots=True)
class Indexed:
    """The current version of a resource and what it is found by."""

    number: int
    type: str
    entries: Sequence[IndexEntry]
    last_updated: datetime


def param_of(resource_type: str, param: str) -> str:
    """How rows name a parameter."""
    return f"{resource_type}.{param}"


def milliseconds(moment: datetime) -> int:
    """Since 1970: as finely as `meta.lastUpdated` is told."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def moment(at: int) -> datetime:
    """The other way; the first or last moment there is for what lies beyond."""
    try:
        return _EPOCH + timedelta(milliseconds=at)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if at > 0 else datetime.min.replace(tzinfo=UTC)


def folded(text: str) -> str:
    """Without case and accents (R4 search.html#string)."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    return clean("".join(c for c in bare if not unicodedata.combining(c)).translate(_LETTERS))[:_LONGEST]


def exact(text: str) -> str:
    """As it is; a long one by what it begins with and its hash, so that an index takes it."""
    known = clean(text)
    if len(known) <= _LONGEST:
        return known
    return f"{known[: _LONGEST - 64]}{hashlib.sha256(known.encode()).hexdigest()}"


def clean(text: str) -> str:
    """Without what a database does not store as text."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def rows(indexed: Indexed) -> Iterable[dict[str, object]]:
    """The rows of one resource."""
    entries = [(entry, _range(entry)) for entry in dict.fromkeys(indexed.entries)]
    ranges: defaultdict[str, set[Range]] = defaultdict(set)
    for entry, found in entries:
        ranges[entry.param].add(found)
    updated = milliseconds(indexed.last_updated)
    for number, (entry, (low, high)) in enumerate(entries):
        text = entry.kind == "string"
        alone = len(ranges[entry.param]) == 1
        yield {
            "resource": indexed.number,
            "entry": number,
            "param": param_of(indexed.type, entry.param),
            "value": folded(entry.value) if text else exact(entry.value),
            "system": exact(entry.value if text else entry.system),
            "low": low,
            "high": high,
            "narrow": int(alone and low is not None and high is not None and high - low <= NARROW_S),
            "updated": updated,
        }


def _range(entry: IndexEntry) -> Range:
    """A number is the point in its middle. What has no end at all is there and says nothing."""
    if entry.kind not in ("date", "quantity") or (entry.low is None and entry.high is None):
        return None, None
    low = -ENDLESS if entry.low is None else entry.low
    high = ENDLESS if entry.high is None else entry.high
    return (low, high) if entry.kind == "date" else ((low + high) / 2,) * 2


def write(session: Session, resources: Sequence[Indexed]) -> None:
    """These rows instead of those that the resources had."""
    if not resources:
        return
    numbers = [indexed.number for indexed in resources]
    session.execute(sa.delete(INDEX).where(INDEX.c.resource.in_(numbers)))
    values = [row for indexed in resources for row in rows(indexed)]
    if values:
        session.connection().execute(sa.insert(INDEX), values)


def reindex(database: Database, extract: Extract, edition: int, limit: int) -> int:
    """Index so many current versions anew that were indexed by an earlier edition, of one type the newest first.

    Answers how many there were; 0: none is left. What is changed meanwhile is left to who changes it.
    """
    with database.reading() as session:
        stale = _stale(session, edition, limit)
        found = [(row, extract(orjson.loads(_body(session, row.number)))) for row in stale]
    if not found:
        return 0
    with database.writing() as session:
        lock_all(session, "resource", {f"{row.type}/{row.id}" for row, _ in found})
        kept = [(row, entries) for row, entries in found if _mark(session, row, edition)]
        write(session, [Indexed(row.number, row.type, entries, row.last_updated) for row, entries in kept])
    return len(found)


def _stale(session: Session, edition: int, limit: int) -> Sequence[sa.Row[Any]]:
    r = RESOURCE.c
    columns = (r.number, r.type, r.id, r.version, r.last_updated)
    resource_type = ""
    while resource_type := session.execute(_next_type(resource_type)).scalar() or "":
        oldest = session.execute(
            sa.select(sa.func.min(r.indexed)).where(r.is_current, r.type == resource_type, r.indexed < edition)
        ).scalar()
        if oldest is not None:
            stale = sa.select(*columns).where(r.is_current, r.type == resource_type, r.indexed == oldest)
            return session.execute(stale.order_by(r.last_updated.desc()).limit(limit)).all()
    return ()


def _body(session: Session, number: int) -> bytes:
    """One by one: a report with its documents is large."""
    body: bytes = session.execute(sa.select(RESOURCE.c.body).where(RESOURCE.c.number == number)).scalar_one()
    return body


def _next_type(after: str) -> sa.Select[tuple[str]]:
    """Types one by one, each found by index: there are few, of many resources."""
    return sa.select(sa.func.min(RESOURCE.c.type)).where(RESOURCE.c.is_current, RESOURCE.c.type > after)


def _mark(session: Session, row: sa.Row[Any], edition: int) -> bool:
    """False where somebody wrote another version or indexed it since it was read."""
    r = RESOURCE.c
    same = sa.and_(r.number == row.number, r.version == row.version, r.is_current, r.indexed < edition)
    marked = session.connection().execute(sa.update(RESOURCE).where(same).values(indexed=edition))
    return marked.rowcount == 1
