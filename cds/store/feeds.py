"""Who is heard, since when and how often: what an absence and a silence are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from cds.codes import loaded
from cds.domain.message import RawMessage, Searched
from cds.store.batch import batch_of, update
from cds.store.tables import FeedRow

#: Kinds of value sets that a type of message can answer. An order's reason is no problem list: orders answer none.
_TELLS = {
    "ORU": ("answer", "procedure", "measurement"),
    "ADT": ("condition", "symptom", "allergy"),
    "PPR": ("condition", "symptom"),
}

#: How much one interval moves the typical one.
_SMOOTHING = 0.1
#: In this time the longest interval is halved if nothing confirms it.
_HALF_LIFE_S = 14 * 86400.0
#: From this number of messages on, an outage is told from a slow feed: one interval at most multiplies the longest.
_LEARNED, _MOST_GROWTH = 20, 4.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a feed is heard: its last message, the number so far, the typical and the longest normal interval."""

    last_at: datetime
    messages: int = 0
    typical_s: float | None = None
    longest_s: float | None = None


def heard(feed: Rhythm, at: datetime) -> Rhythm:
    """The rhythm after one more message.

    The typical interval is smoothed exponentially. The longest grows with every longer one, an outage aside, and fades
    with a half-life of two weeks, so that every night and weekend renews it.
    """
    interval_s = (at - feed.last_at).total_seconds()
    if feed.messages == 0 or interval_s < 0:
        return Rhythm(max(at, feed.last_at), feed.messages + 1, feed.typical_s, feed.longest_s)
    typical_s = interval_s if feed.typical_s is None else feed.typical_s + _SMOOTHING * (interval_s - feed.typical_s)
    longest_s = interval_s
    if feed.longest_s is not None:
        normal_s = min(interval_s, _MOST_GROWTH * feed.longest_s) if feed.messages >= _LEARNED else interval_s
        longest_s = max(normal_s, feed.longest_s * 0.5 ** (interval_s / _HALF_LIFE_S))
    return Rhythm(at, feed.messages + 1, typical_s, longest_s)


def source_of(message: RawMessage) -> str:
    """How the sender of a message stands as the source of what it says."""
    return f"HL7 {message.sender}"


def hear(session: Session, source: str, message_type: str, at: datetime) -> None:
    """A message of this type came from this sender."""
    key, feeds = (source, message_type), batch_of(session).feeds
    row = feeds.first(key, lambda: session.get(FeedRow, key))
    if row is None:
        row = FeedRow(source=source, message_type=message_type, first_at=at, last_at=at)
        session.add(row)
        feeds.put(key, row)
    rhythm = heard(Rhythm(row.last_at, row.messages, row.typical_s, row.longest_s), at)
    update(
        row,
        last_at=rhythm.last_at,
        messages=rhythm.messages,
        typical_s=rhythm.typical_s,
        longest_s=rhythm.longest_s,
    )


def searched(source: str, message_type: str, first_at: datetime) -> Searched:
    """What an applied message of this type can have told: a feed of registrations says nothing of spirometry."""
    kinds = _TELLS.get(message_type, ())
    return Searched(source, first_at.date(), tuple(s.name for s in loaded().values() if s.kind in kinds))
