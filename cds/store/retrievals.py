"""The retrievals: what is to be fetched, what PACS stated, what is here. The outbox of the durable engine for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.identity import Identifier
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.retrieval import Expected, Purpose, Retrieval, RetrievalState, StatedSeries
from cds.errors import NotFound
from cds.store import attribution, patients, stated, timeline, wanted
from cds.store.engine import Database, lock
from cds.store.identity import members
from cds.store.orders import order_of
from cds.store.retrieval_tables import AnnouncementRow, PriorRow, RetrievalRow
from cds.store.revisions import own_study
from cds.store.tables import InstanceRow, OrderRow, StudyEventRow, StudyRow
from cds.store.values import dump, parse
from cds.store.wanted import Wish

#: Of which issuers' patients and accession numbers some PACS may hold images; () asks whether there is any PACS.
Queryable = Callable[[tuple[str, ...]], bool]


def _anything(_issuers: tuple[str, ...]) -> bool:
    return True


class RetrievalStore:
    """The retrievals of all studies.

    `count_interval_s` lies at least between two statements of a count that agree, in seconds; `queryable` says where a
    PACS is to be asked at all. Every method may be called again with the same arguments.
    """

    def __init__(self, database: Database, *, count_interval_s: float = 10.0, queryable: Queryable = _anything) -> None:
        self._database = database
        self._interval = timedelta(seconds=count_interval_s)
        self._queryable = queryable

    # --- what is wanted

    def want(
        self,
        study_uid: str = "",
        accession: Identifier | None = None,
        *,
        purpose: Purpose,
        announced: str = "",
        event: str = "",
        priority: int = 0,
        now: datetime,
    ) -> Retrieval | None:
        """Want a study, by its UID or else its accession number; None where this event was answered already.

        `priority` 0: that of its orders. See `cds.store.wanted.want`.
        """
        wish = Wish(purpose, study_uid, accession, announced, event, priority)
        with self._database.writing() as session:
            return wanted.want(session, wish, now)

    def announce(self, now: datetime, limit: int = 100) -> int:
        """Want what wires announced since; answers how many announcements were looked at."""
        with self._database.reading() as session:
            asked = select(AnnouncementRow.event_key).order_by(col(AnnouncementRow.at)).limit(limit)
            keys = session.exec(asked).all()
        for key in keys:
            with self._database.writing() as session:
                self._announce(session, key, now)
        return len(keys)

    def pending(self, limit: int = 100) -> Sequence[Retrieval]:
        """Retrievals that the engine does not have yet, most urgent and oldest first."""
        with self._database.reading() as session:
            asked = select(RetrievalRow).where(RetrievalRow.state == RetrievalState.PENDING.value)
            ordered = asked.order_by(col(RetrievalRow.priority), col(RetrievalRow.created_at)).limit(limit)
            return [wanted.told(row) for row in session.exec(ordered)]

    def unfinished(self) -> Sequence[str]:
        """The ids of runs that the engine has and that did not end."""
        with self._database.reading() as session:
            running = select(RetrievalRow.id).where(RetrievalRow.state == RetrievalState.RUNNING.value)
            return session.exec(running).all()

    def retrieval(self, retrieval_id: str) -> Retrieval:
        """One run; raise NotFound where there is none, or a later one."""
        with self._database.reading() as session:
            row = session.exec(select(RetrievalRow).where(RetrievalRow.id == retrieval_id)).first()
            if row is None:
                raise NotFound("no such retrieval, or a later run of it")
            return wanted.told(row)

    def of_study(self, study_uid: str) -> Retrieval | None:
        """The newest run of a study's retrieval; None where it was never wanted."""
        with self._database.reading() as session:
            row = wanted.of_study(session, study_uid)
            return wanted.told(row) if row else None

    # --- what became of it

    def mark(
        self,
        retrieval_id: str,
        state: RetrievalState,
        now: datetime,
        *,
        reason: str = "",
        source: str = "",
        study_uid: str = "",
    ) -> None:
        """Move a run to another state, with the PACS that has it and the UID that was found, where they are known.

        Nothing happens to a run that ended. DONE ends what waits for a person because of an earlier failure.
        """
        with self._database.writing() as session:
            row = wanted.of_id(session, retrieval_id)
            if row is None or row.state not in (RetrievalState.PENDING.value, RetrievalState.RUNNING.value):
                return
            row.source, row.study_uid = source or row.source, row.study_uid or study_uid
            if state in (RetrievalState.DONE, RetrievalState.FAILED):
                wanted.end(session, row, state, reason, now)
                return
            row.state, row.reason, row.updated_at = state.value, reason, now
            session.add(row)

    def fail(self, retrieval_id: str, reason: str, now: datetime) -> None:
        """A run ends in vain. A person is asked, once, unless it is a prior or nobody had announced it.

        A reason that begins with NOT_KNOWN says that every PACS answered and none has it.
        """
        self.mark(retrieval_id, RetrievalState.FAILED, now, reason=reason)

    def tell(self, retrieval_id: str, outcome: str, now: datetime, *detail: str) -> None:
        """Write a line of the timeline about a run, which names no peer's value."""
        with self._database.writing() as session:
            row = wanted.of_id(session, retrieval_id)
            if row is not None:
                wanted.tell(session, row, outcome, now, *detail)

    # --- what a PACS states, and what is here

    def state(
        self, study_uid: str, source: str, series: Sequence[StatedSeries], now: datetime
    ) -> Sequence[StatedSeries]:
        """Keep all that a PACS states of a study's series now; answers them with `agreed` as it is from now on."""
        said = [one for one in series if one.series.study_instance_uid == study_uid]
        with self._database.writing() as session:
            stated.only(session, study_uid, source, said)
            return stated.keep(session, study_uid, said, now, self._interval)

    def stated(self, study_uid: str) -> Sequence[StatedSeries]:
        """What was stated last of each series."""
        with self._database.reading() as session:
            return stated.of_study(session, study_uid)

    def local(self, study_uid: str) -> Mapping[str, frozenset[str]]:
        """Series → the SOP Instance UIDs that are here, those that a note rejected among them."""
        found: dict[str, set[str]] = {}
        with self._database.reading() as session:
            here = select(InstanceRow.series_uid, InstanceRow.sop_instance_uid).where(
                InstanceRow.study_uid == study_uid
            )
            for series_uid, sop_instance_uid in session.exec(here):
                found.setdefault(series_uid, set()).add(sop_instance_uid)
        return {series_uid: frozenset(uids) for series_uid, uids in found.items()}

    # --- priors

    def link_prior(self, study_uid: str, prior_uid: str, source: str, now: datetime) -> bool:
        """Keep that a study is compared with an earlier one; False where that is known."""
        with self._database.writing() as session:
            lock(session, "retrievals")
            if study_uid == prior_uid or session.get(PriorRow, (study_uid, prior_uid)) is not None:
                return False
            session.add(PriorRow(study_uid=study_uid, prior_uid=prior_uid, source=source, at=now))
            timeline.write(session, now, "fetch", "prior found", study_uid=study_uid, detail=(f"in {source}",))
            return True

    def priors(self, study_uid: str) -> Sequence[str]:
        """The earlier studies that a study is compared with, by Study Instance UID, in the order of their finding."""
        with self._database.reading() as session:
            asked = select(PriorRow.prior_uid).where(PriorRow.study_uid == study_uid)
            return session.exec(asked.order_by(col(PriorRow.at), col(PriorRow.prior_uid))).all()

    # --- whose it is

    def patient_of(self, retrieval: Retrieval) -> Expected:
        """What a study that a PACS has is checked against before anything is fetched (SAFETY section 1)."""
        with self._database.reading() as session:
            study = session.get(StudyRow, retrieval.study_instance_uid) if retrieval.study_instance_uid else None
            accession = attribution.identifier(study.accession_number, study.accession_issuer) if study else None
            accession = accession or retrieval.accession
            orders = _orders(session, retrieval.study_instance_uid, accession)
            whose = {attribution.identifier(study.patient_value, study.patient_assigner)} if study else set()
            named = whose - {None} or {order.patient for order in orders}
            identifiers = {one for name in named if name for one in _also_known_as(session, name)}
            ordered = tuple(sorted(identifiers, key=lambda one: (one.assigner, one.value)))
            endpoints = _endpoints(session, retrieval.study_instance_uid)
            return Expected(ordered, accession or _same_number(orders), tuple(orders), endpoints)

    def _announce(self, session: Session, key: str, now: datetime) -> None:
        lock(session, "announcement", key)
        row = session.get(AnnouncementRow, key, populate_existing=True)
        if row is None:
            return
        session.delete(row)
        filed = session.get(StudyEventRow, key)
        if filed is None:
            return
        event: StudyEvent = parse(StudyEvent, filed.body)
        order = session.get(OrderRow, filed.order_id) if filed.order_id else None
        ordered = order_of(order) if order else None
        uid = event.study_instance_uid or (ordered.study_instance_uid if ordered else None) or ""
        accession = event.accession or (ordered.accession if ordered else None)
        if uid:
            lock(session, "study", uid)
            _is_no_prior(session, uid, now)
            stated.keep(session, uid, stated.of_event(event, now), now, self._interval)
        if (uid or accession) and self._queryable(_issuers(session, uid, accession, ordered)):
            digest = hashlib.sha256(dump(StudyEvent, event).encode()).hexdigest()
            wanted.want(session, Wish(Purpose.STUDY, uid, accession, event.source, digest), now)


def _is_no_prior(session: Session, uid: str, now: datetime) -> None:
    study = session.get(StudyRow, uid, populate_existing=True)
    if study is not None:
        own_study(session, study, "a prior was announced for itself", now)


def _issuers(session: Session, uid: str, accession: Identifier | None, order: ServiceRequest | None) -> tuple[str, ...]:
    study = session.get(StudyRow, uid) if uid else None
    found = [study.patient_assigner, study.accession_issuer] if study else []
    found += [accession.assigner] if accession else []
    found += [order.patient.assigner] if order else []
    return tuple(dict.fromkeys(filter(None, found)))


def _orders(session: Session, uid: str, accession: Identifier | None) -> list[ServiceRequest]:
    """The orders of production that may be the study's: by its accession number, or because an event named both."""
    named = select(StudyEventRow.order_id).where(StudyEventRow.study_uid == uid) if uid else None
    rows = list(session.exec(select(OrderRow).where(col(OrderRow.id).in_(named)))) if named is not None else []
    if accession is not None:
        rows += session.exec(select(OrderRow).where(OrderRow.accession_number == accession.value)).all()
    orders = {row.id: order_of(row) for row in rows}.values()
    living = [order for order in orders if not order.test and order.status is not OrderStatus.REVOKED]
    meant = [order for order in living if accession is None or order.accession in (None, accession)]
    return meant if uid else _announced(session, meant)


def _endpoints(session: Session, uid: str) -> frozenset[str]:
    """Where wires said that the study is."""
    bodies = select(StudyEventRow.body).where(StudyEventRow.study_uid == uid) if uid else None
    events: list[StudyEvent] = [parse(StudyEvent, body) for body in session.exec(bodies)] if bodies is not None else []
    return frozenset(event.endpoint for event in events if event.endpoint)


def _announced(session: Session, orders: Sequence[ServiceRequest]) -> list[ServiceRequest]:
    """Those whose images were announced last; all where nobody said of any. Accession numbers are given out again."""
    newest = sa.func.max(col(StudyEventRow.received_at))
    said = select(StudyEventRow.order_id, newest).where(
        StudyEventRow.kind == StudyEventKind.IMAGES_AVAILABLE.value,
        col(StudyEventRow.order_id).in_([order.id for order in orders]),
    )
    at = dict(session.exec(said.group_by(col(StudyEventRow.order_id))).all())
    last = max(at.values(), default=None)
    return [order for order in orders if last is None or at.get(order.id) == last]


def _same_number(orders: Sequence[ServiceRequest]) -> Identifier | None:
    numbers = {order.accession for order in orders}
    return next(iter(numbers)) if len(numbers) == 1 else None


def _also_known_as(session: Session, identifier: Identifier) -> set[Identifier]:
    """This identifier with all others of the same patient, merges followed."""
    patient_id = patients.leaf(session, identifier)
    rows = patients.identifiers_of(session, members(session, patient_id)) if patient_id else []
    return {identifier, *(Identifier(row.value, row.assigner) for row in rows)}
