"""What a resource of another FHIR server does here: in one transaction with its being taken and its notice's end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from cds.domain.fhir_news import Found, ImagesGone, ImagesThere, News, Nothing, Outcome, Reason, Reported
from cds.domain.subscription import Notice
from cds.errors import Conflict, InsufficientData
from cds.store import fhir_notices, fhir_orders, opinions, patients, study_events, timeline
from cds.store.engine import Database, lock
from cds.store.fhir_notices import NoticeQueue
from cds.store.fhir_tables import NEVER, SeenResourceRow
from cds.store.tables import TimelineRow


class FhirEventStore(NoticeQueue):
    """Implements `cds.listening.parts.Notices`."""

    def taken(self, server: str, found: Found) -> bool:
        """Whether this version was taken, or one that is newer by the server's clock."""
        with self._database.reading() as session:
            return _taken(session, server, found)

    def take(self, server: str, found: Found, news: News, notice: Notice, now: datetime) -> Outcome | Reason:
        """Carry out what a version says, keep that it was taken and remove its notices, all or nothing.

        Where its order is in doubt, its images are announced all the same; it is not taken, and a person is asked.
        Raise InsufficientData where a report is of a patient whom nobody here knows, Conflict where of several.
        """
        with self._database.writing() as session:
            lock(session, "record")  # the order of everybody's locks
            lock(session, "fhir-resource", server, found.type, found.id)
            outcome: Outcome | Reason = Outcome.TAKEN_BEFORE
            if not _taken(session, server, found):
                doubt = _order(session, news, now)
                outcome = carry_out(session, news, now)
                if doubt:
                    reason, uid = f"{server}, {found.type}: {doubt}", _uid(news)
                    fhir_notices.hold_found(session, notice, found, reason, now, study_uid=uid)
                    return Outcome.HELD
                _see(session, server, found)
            fhir_notices.remove(session, notice, found, now)
            return outcome

    def drop(self, server: str, found: Found, notice: Notice, now: datetime) -> None:
        """This version concerns nobody: keep that it was taken, and remove its notices."""
        with self._database.writing() as session:
            _see(session, server, found)
            fhir_notices.remove(session, notice, found, now)


class PushedStore:
    """What others push to our own FHIR API: there is no notice of it, and who sends it twice is told so."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, news: Sequence[News], now: datetime, *, places: Sequence[str] = ()) -> tuple[Outcome | Reason, ...]:
        """Carry out all or nothing, in their order; raise as `FhirEventStore.take`, naming the one of `places`."""
        with self._database.writing() as session:
            lock(session, "record")
            named = zip(news, places or [""] * len(news), strict=True)
            return tuple(_take_named(session, one, place, now) for one, place in named)


def _take_named(session: Session, news: News, place: str, now: datetime) -> Outcome | Reason:
    try:
        return _take_pushed(session, news, now)
    except (Conflict, InsufficientData) as error:
        if not place:
            raise
        raise type(error)(f"{place}: {error}") from None


def _take_pushed(session: Session, news: News, now: datetime) -> Outcome | Reason:
    doubt = _order(session, news, now)
    outcome = carry_out(session, news, now)
    if isinstance(news, ImagesThere):
        fhir_orders.ask_about_pushed(session, news, doubt, now)
    return Outcome.HELD if doubt else outcome


def _order(session: Session, news: News, now: datetime) -> str:
    """The orders that come with images are applied before these are announced; answers why a person has to look."""
    return fhir_orders.apply_orders(session, news, now) if isinstance(news, ImagesThere) else ""


def _uid(news: News) -> str | None:
    return news.event.study_instance_uid if isinstance(news, ImagesThere) else None


def carry_out(session: Session, news: News, now: datetime) -> Outcome | Reason:
    """Do what a resource of another server says, under the lock of the record; raise as `FhirEventStore.take`."""
    if isinstance(news, Nothing):
        return news.reason
    if isinstance(news, ImagesGone):
        return _withdraw(session, news, now)
    if isinstance(news, Reported):
        return _file(session, news, now)
    return _announce(session, news, now)


def _file(session: Session, news: Reported, now: datetime) -> Outcome:
    if len(patients.owners(session, news.whose)) > 1:
        raise Conflict("the identifiers of the report's patient belong to several patients here: merge them first")
    return Outcome.FILED if opinions.file_in(session, news.report, news.whose, now) else Outcome.KNOWN


def _announce(session: Session, news: ImagesThere, now: datetime) -> Outcome:
    is_new = study_events.announce_in(session, news.event, news.patient, now)
    return Outcome.ANNOUNCED if is_new else Outcome.KNOWN


def _withdraw(session: Session, news: ImagesGone, now: datetime) -> Outcome:
    """Noted, and no more: what becomes of images that are here, their PACS says by a rejection note."""
    outcome = f"images withdrawn ({news.status}) by {news.source}"
    about = (TimelineRow.study_uid == news.study_instance_uid, TimelineRow.step == "exam")
    said = select(TimelineRow.outcome).where(*about).order_by(col(TimelineRow.id).desc()).limit(1)
    if session.exec(said).first() == outcome:
        return Outcome.KNOWN
    timeline.write(session, now, "exam", outcome, study_uid=news.study_instance_uid)
    return Outcome.WITHDRAWN


def _taken(session: Session, server: str, found: Found) -> bool:
    """By its version, else by time: what is older than what was taken says nothing of now."""
    rows = session.exec(
        select(SeenResourceRow).where(
            SeenResourceRow.server == server, SeenResourceRow.type == found.type, SeenResourceRow.id == found.id
        )
    ).all()
    at = found.last_updated
    return any(row.version == found.version or (at is not None and row.at > at) for row in rows)


def _see(session: Session, server: str, found: Found) -> None:
    """By the server's clock; a version without a time is older than every other, and never forgotten."""
    at = found.last_updated or NEVER
    session.merge(SeenResourceRow(server=server, type=found.type, id=found.id, version=found.version, at=at))
    session.flush()
