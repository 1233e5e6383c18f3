"""What CDS Hooks calls showed and held back, and what people did with it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlmodel import Session, col, select

from cds import logs, metrics
from cds.domain.audit import AuditEvent
from cds.domain.card_names import beginning
from cds.domain.coding import Coding
from cds.domain.follow_up import Acceptance, Answer
from cds.domain.hook import CardHistory, Feedback, FeedbackTaken, HookCall, Outcome, Reader
from cds.domain.hook_stats import NO_REASON, CardCount
from cds.domain.recommendation import Recommendation
from cds.errors import Conflict, InvalidInput, NotFound
from cds.store import audit, card_contents, card_stats, timeline
from cds.store.acceptances import AcceptanceStore
from cds.store.card_contents import KeptCard
from cds.store.card_history import CardHistories
from cds.store.card_journal import GATHERED_S, CardJournal
from cds.store.card_rows import CardRows, packed, unpacked
from cds.store.driver_values import text
from cds.store.engine import Database, lock_all
from cds.store.grouped import GroupWriter, Kind
from cds.store.hook_tables import HookAnswerRow, HookCallRow, HookContentRow
from cds.store.values import parse

log = logs.get_logger(__name__)

#: A clinician's answer waits so long at most until what it shows is remembered.
_PATIENCE_S: Final = 0.25
#: A card's uuid, what was done with it, and when.
_Said = tuple[str, Outcome, datetime]
#: What an answer has from its call, and from its card.
_OF_CALL: Final = ("whose", "client", "user_id", "roles", "service")
_OF_CARD: Final = ("key", "digest", "pathway", "site")
_NOT_OFFERED = "an accepted suggestion was none of the card's"


@dataclass(frozen=True, slots=True)
class _Shown:
    """A card with the call that it was shown in; `suggestions` are its recommendations by the uuids of that call."""

    uuid: str
    call: HookCallRow
    card: KeptCard
    suggestions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Told:
    """One feedback, and the card that it is about; `refused` is what could not be accepted."""

    feedback: Feedback
    shown: _Shown
    refused: frozenset[str] = frozenset()

    @property
    def said(self) -> _Said:
        return self.shown.uuid, self.feedback.outcome, self.feedback.at

    @property
    def accepted(self) -> tuple[str, ...]:
        """The recommendations that were accepted, each once."""
        found = (self.shown.suggestions.get(one.lower()) for one in self.feedback.accepted)
        return tuple(dict.fromkeys(key for key in found if key is not None and key not in self.refused))

    @property
    def says(self) -> bool:
        """Whether it says anything: an accept of what the card did not suggest does not."""
        accepted = self.feedback.outcome is Outcome.ACCEPTED and self.feedback.accepted
        return not accepted or bool(self.accepted)

    @property
    def who(self) -> str:
        """Whom the card was shown to: a feedback names nobody."""
        call = self.shown.call
        return call.user_id or f"a user of {call.client or 'an EHR'}"


class SqlCardLog:
    """Implements `cds.ports.CardLog`. Reads `database`; calls go to the group writer, feedback to `durable`.

    `offered` are the reasons that cards offer: others are counted without their code, which may be anything. With a
    `folder` calls are written down there before they are committed, and nobody waits for the commit.
    """

    def __init__(
        self,
        database: Database,
        writer: GroupWriter,
        durable: Database,
        offered: Collection[Coding] = (),
        folder: Path | None = None,
    ) -> None:
        self._database, self._writer, self._durable = database, writer, durable
        self._rows = CardRows(database.reader.dialect)
        self._kind = Kind("cards", self._rows.write, self._rows.committed)
        self._journal = None if folder is None else CardJournal(folder, writer, self._kind)
        self._histories = CardHistories(database, self._journal.seen if self._journal else None)
        self._offered = frozenset((one.system, one.code) for one in offered)
        self._acceptances = AcceptanceStore(durable)

    def history(self, reader: Reader, whose: str, *, since: datetime, midnight: datetime) -> CardHistory:
        """See the port."""
        return self._histories.history(reader, whose, since=since, midnight=midnight)

    def keep(self, call: HookCall) -> None:
        """See the port. What is not committed in time is written all the same, unless the process ends."""
        rows = self._rows.of(call)
        if self._journal is not None:
            try:
                self._journal.keep(rows)
            except OSError as error:
                log.warning("shown cards are not written down first", error=type(error).__name__)
            else:
                return
        self._writer.give(self._kind, rows).result(_PATIENCE_S)

    def stats(self, since: datetime) -> Sequence[CardCount]:
        """What became of the cards that were shown since then, and what was held back."""
        return card_stats.stats(self._database, since)

    def feedback(self, service: str, client: str, said: Sequence[Feedback], now: datetime) -> FeedbackTaken:
        """See the port. Accepted steps come first: they may be repeated, and what is recorded is not told again."""
        cards, before = self._known(service, client, {one.card.lower() for one in said})
        told = [_Told(one, cards[one.card.lower()]) for one in said if one.card.lower() in cards]
        remarks = [_NOT_OFFERED] if any(map(_names_another, told)) else []
        told = [one for one in told if one.says]
        fresh = list({one.said: one for one in reversed(told) if one.said not in before}.values())[::-1]
        fresh = [self._accepted(one, now, remarks) for one in fresh]
        with self._durable.writing() as session:
            lock_all(session, "card", sorted(cards))
            before = _answered(session, cards)
            new = [one for one in fresh if one.said not in before]
            for one in new:
                self._record(session, one, now)
        for one in new:
            self._count(one)
        unknown = len(said) - len(told)
        return FeedbackTaken(len(new), len(told) - len(new), unknown, tuple(dict.fromkeys(remarks)))

    def _known(self, service: str, client: str, uuids: Collection[str]) -> tuple[dict[str, _Shown], frozenset[_Said]]:
        """The cards, and what was said of them. One that another process showed a moment ago is waited for."""
        if self._journal is not None:
            self._journal.flush()
        found = self._found(service, client, uuids)
        if self._journal is not None and len(found[0]) < len(uuids):
            time.sleep(2 * GATHERED_S)
            found = self._found(service, client, uuids)
        return found

    def _found(self, service: str, client: str, uuids: Collection[str]) -> tuple[dict[str, _Shown], frozenset[_Said]]:
        with self._durable.reading() as session:
            cards = _cards(session, service, client, uuids)
            return cards, _answered(session, cards)

    def _accepted(self, one: _Told, now: datetime, remarks: list[str]) -> _Told:
        """Make a draft order and a task of what was accepted. What cannot be done is told, and does not count."""
        refused: list[str] = []
        for acceptance in _acceptances(one, now):
            try:
                self._acceptances.accept(acceptance, now)
            except (Conflict, NotFound, InvalidInput) as error:
                refused.append(acceptance.recommendation)
                remarks.append(f"{acceptance.name}: {error}")
        return replace(one, refused=frozenset(refused))

    def _record(self, session: Session, one: _Told, now: datetime) -> None:
        """The answer, the line of the study's timeline, and who gave it."""
        session.add(_row(one, now))
        shown, outcome = one.shown, one.feedback.outcome.value
        card, call = shown.card, shown.call
        detail = (card.pathway, *(one.accepted if outcome == Outcome.ACCEPTED else (self._label(one),)))
        if card.study_uid is not None:
            timeline.write(session, now, "feedback", outcome, study_uid=card.study_uid, detail=(*detail, call.service))
        patient_id = None if "/" in call.whose else call.whose or None  # else it is the client's reference
        event = AuditEvent(now, one.who, f"card {outcome}", card.study_uid, patient_id, detail)
        audit.append(session, event)

    def _count(self, one: _Told) -> None:
        shown, outcome = one.shown, one.feedback.outcome
        metrics.CARD_FEEDBACK.inc(
            service=shown.call.service, pathway=shown.card.pathway, outcome=outcome.value, reason=self._label(one)
        )

    def _label(self, one: _Told) -> str:
        """The reason as a word that is one of few, and that holds nothing of a patient."""
        reason = one.feedback.reason
        if reason is None:
            return NO_REASON
        return reason.code if (reason.system, reason.code) in self._offered else "other"


def _cards(session: Session, service: str, client: str, uuids: Collection[str]) -> dict[str, _Shown]:
    """The cards of these that this service showed to this client."""
    rows = session.exec(
        select(HookCallRow, HookContentRow.body)
        .join(HookContentRow, col(HookContentRow.id) == HookCallRow.content)
        .where(
            col(HookCallRow.id).in_({text(beginning(one)) for one in uuids}),
            HookCallRow.service == service,
            HookCallRow.client == client,
        )
    ).all()
    return {one.uuid: one for call, body in rows for one in _shown(call, body) if one.uuid in uuids}


def _shown(call: HookCallRow, body: str) -> Iterator[_Shown]:
    cards = card_contents.read(body).cards
    for card, (uuid, *names) in zip(cards, card_contents.named(call.id, call.names), strict=True):
        yield _Shown(uuid, call, card, dict(zip(names, card.suggestions, strict=True)))


def _answered(session: Session, cards: Collection[str]) -> frozenset[_Said]:
    """What was said of these cards before."""
    rows = session.exec(
        select(HookAnswerRow.card, HookAnswerRow.outcome, HookAnswerRow.at).where(col(HookAnswerRow.card).in_(cards))
    ).all()
    return frozenset((card, Outcome(outcome), at) for card, outcome, at in rows)


def _names_another(one: _Told) -> bool:
    """Whether it accepts what the card did not suggest."""
    accepts = one.feedback.outcome is Outcome.ACCEPTED
    return accepts and any(name.lower() not in one.shown.suggestions for name in one.feedback.accepted)


def _acceptances(one: _Told, now: datetime) -> Iterator[Acceptance]:
    """What a person accepted of a study; nothing where the card is about none."""
    card = one.shown.card
    if one.feedback.outcome is not Outcome.ACCEPTED or card.study_uid is None or not card.pathway:
        return
    roles = unpacked(one.shown.call.roles)
    role = roles[0].rpartition("|")[2] if roles else "clinician"
    at = min(one.feedback.at, now)  # the client's clock may be ahead
    steps = {step.key: step for text in card.steps for step in (parse(Recommendation, text),)}
    for key in one.accepted:
        yield Acceptance(
            *(card.study_uid, card.episode, card.pathway, key, Answer.ACCEPTED, one.who, role, at), about=steps.get(key)
        )


def _row(one: _Told, now: datetime) -> HookAnswerRow:
    said, card, call = one.feedback, one.shown.card, one.shown.call
    reason = said.reason if said.reason and said.outcome is Outcome.OVERRIDDEN else Coding("", "")
    return HookAnswerRow(
        card=one.shown.uuid,
        outcome=said.outcome.value,
        at=said.at,
        taken_at=now,
        shown_at=call.at,
        accepted=packed(one.accepted),
        reason_system=text(reason.system),
        reason_code=text(reason.code),
        reason_display=text(reason.display),
        comment=text(said.comment),
        models=packed(card.models),
        **{name: getattr(call, name) for name in _OF_CALL},
        **{name: getattr(card, name) for name in _OF_CARD},
    )
