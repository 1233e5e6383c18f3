"""The care for follow-ups, wired: its timers, the ways of its reminders, and what a coordinator does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

from cds import procedure_codes
from cds.action_codes import with_orderables
from cds.bootstrap import Stores
from cds.bootstrap.explaining import exams
from cds.bootstrap.watch import alarm
from cds.coordination import ReminderRoute
from cds.domain.coding import Coding
from cds.domain.follow_up import Acceptance, Answer, FollowUp
from cds.domain.follow_up_care import Remind
from cds.domain.follow_up_match import MatchState
from cds.errors import Conflict, InvalidInput
from cds.follow_up_match import Matcher
from cds.following_up import CareLine, Looking, count, remind
from cds.ports import Channel, Clock
from cds.settings import Settings
from cds.store.acceptances import AcceptanceStore
from cds.store.engine import Database
from cds.store.follow_up_care import FollowUpCareStore
from cds.store.follow_up_list import FollowUpList
from cds.store.follow_up_reminders import DESTINATION, ReminderStore
from cds.ui.follow_ups import Ending

if TYPE_CHECKING:
    from cds.workflow import Timer

_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Coordinator:
    """What a person does with follow-ups, on the page and at the command line: the same rules at both."""

    clock: Clock
    cares: FollowUpCareStore
    answers: AcceptanceStore

    def end(self, ending: Ending) -> None:
        """What was recommended is done, or is not to be done; raise InvalidInput without a reason."""
        answer = Answer.COMPLETED if ending.is_done else Answer.DECLINED
        one = self.cares.find(ending.follow_up)
        said = self._said(one, answer, ending.by, ending.role, _reason(ending.reason))
        self.answers.accept(said, self.clock.now(), overrule=True)

    def reopen(self, follow_up: str, by: str, role: str, reason: str) -> None:
        """It waits again; a result that had closed it does not close it once more."""
        one, now = self.cares.find(follow_up), self.clock.now()
        self.answers.reopen(self._said(one, Answer.REOPENED, by, role, _reason(reason)), now)
        for found in self.cares.matches(one.id, MatchState.CLOSED):
            self.cares.decide(found.id, MatchState.REFUSED, by, now)

    def reschedule(self, follow_up: str, due: date, by: str, reason: str) -> None:
        """Move its day."""
        self.cares.reschedule(follow_up, due, by, _reason(reason), self.clock.now())

    def assign(self, follow_up: str, owner: str, by: str, reason: str) -> None:
        """Make somebody its owner."""
        self.cares.assign(follow_up, owner, by, reason, self.clock.now())

    def decide(self, match_id: int, is_it: bool, by: str, role: str) -> str:
        """Say whether a result is what was asked for, which closes the follow-up; answers the follow-up's id."""
        found, now = self.cares.proposal(match_id), self.clock.now()
        if found.state is not MatchState.PROPOSED:
            raise Conflict(f"this was decided already: {found.state.value}")
        if is_it:
            one = self.cares.find(found.follow_up_id)
            self.answers.accept(self._said(one, Answer.COMPLETED, by, role, found.said), now, overrule=True)
        self.cares.decide(match_id, MatchState.CLOSED if is_it else MatchState.REFUSED, by, now)
        return found.follow_up_id

    def _said(self, one: FollowUp, answer: Answer, by: str, role: str, reason: str) -> Acceptance:
        episode, at = self.cares.episode(one), self.clock.now()
        study, pathway, step = one.study_instance_uid, one.pathway, one.recommendation
        return Acceptance(study, episode, pathway, step, answer, by, role, at, reason)


def coordinator(database: Database, clock: Clock) -> Coordinator:
    """The coordinator of an installation; `database` is one that acknowledges what it commits."""
    return Coordinator(clock, FollowUpCareStore(database), AcceptanceStore(database))


def care_line(settings: Settings, held: Stores, clock: Clock) -> CareLine:
    """What the timers go by."""
    database = held.database
    own = {name: Coding(one.system, one.code, one.display) for name, one in settings.orderables.items()}
    matcher = Matcher(with_orderables(procedure_codes.ORDERED.values(), own), exams(settings))
    return CareLine(
        settings=settings,
        cares=FollowUpCareStore(database),
        answers=AcceptanceStore(database),
        reminders=ReminderStore(database, settings.follow_ups),
        switches=held.switches,
        judge=matcher.judge,
        tell={name: _way(settings, name, route)[1] for name, route in settings.follow_ups.routes.items()},
        alarm=alarm(settings, database, clock),
        figures=FollowUpList(database, settings).figures,
    )


def timers(settings: Settings, held: Stores, clock: Clock) -> tuple[Timer, ...]:
    """What a worker does again and again for follow-ups."""
    from cds.workflow import Timer

    line = care_line(settings, held, clock)
    return (
        Timer("match follow-ups", 15.0, Looking(line).run),
        Timer("remind of follow-ups", 60.0, _reminding(line, clock)),
    )


def reminder_channels(settings: Settings) -> dict[str, Channel]:
    """The ways of reminders, by destination."""
    routes = settings.follow_ups.routes.items()
    return {DESTINATION + name: _way(settings, name, route)[0] for name, route in routes}


def _reminding(line: CareLine, clock: Clock) -> Callable[[datetime], None]:
    def look(now: datetime) -> None:
        today = clock.today()
        count(line, today)
        remind(line, now, today)

    return look


def _way(settings: Settings, name: str, route: ReminderRoute) -> tuple[Channel, Remind]:
    """A route's channel, and how it says a reminder."""
    from adapters.hl7.reminder import ReminderOru
    from adapters.notify.mail import MailChannel
    from adapters.notify.reminder import reminder_mail, reminder_webhook
    from adapters.notify.webhook import WebhookChannel

    destination = DESTINATION + name
    if route.hl7 is not None:
        oru = ReminderOru(destination, route.hl7, facility=settings.site_name, time_zone=settings.time_zone)
        return oru, oru.encode
    if route.fhir is not None:
        return _communication(settings, destination, route)
    if route.webhook_url is not None:
        return WebhookChannel(destination, route.webhook_url), reminder_webhook
    mail = MailChannel(destination, settings.smtp_host, settings.smtp_port)
    return mail, partial(reminder_mail, sender=settings.smtp_from, to=route.mail_to)


def _communication(settings: Settings, destination: str, route: ReminderRoute) -> tuple[Channel, Remind]:
    from adapters.fhir.client import open_client
    from adapters.fhir.keys import SmartKeys
    from adapters.fhir.reminder import ReminderChannel

    if route.fhir is None:
        raise ValueError("want a route to a FHIR server")
    client = open_client(destination, route.fhir, SmartKeys(settings.smart_key_files))
    systems = settings.identifier_systems
    channel = ReminderChannel(destination, route.fhir, client=client, identifier_systems=systems)
    return channel, channel.encode


def _reason(text: str) -> str:
    said = " ".join(text.split())
    if not said or len(said) > _LONGEST or not said.isprintable():
        raise InvalidInput(f"want a reason, at most {_LONGEST} characters, without names of patients")
    return said
