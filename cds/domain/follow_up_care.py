"""What the care for follow-ups says to people: the reminder of one, on its way to a recipient."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from cds.domain.follow_up import FollowUp, ReminderStep
from cds.domain.identity import Patient
from cds.domain.imaging import Study

#: What the deliveries of reminders are called, before the digits that tell them apart on every wire.
DELIVERY_PREFIX = "follow-up-"
_DIGITS = 20  # MSH-10 had 20 characters before HL7 v2.7
_NO_ORDER = "Sightline has ordered nothing. Its findings are advice, and the radiology report is the RIS's alone."
_WORDS = {
    ReminderStep.DUE_SOON: "due soon",
    ReminderStep.OVERDUE: "overdue",
    ReminderStep.ESCALATED: "overdue, and told to a second recipient",
    ReminderStep.WITHDRAWN: "withdrawn",
}


@dataclass(frozen=True, slots=True)
class ReminderDue:
    """A follow-up that somebody is to be reminded of now. `episode` counts those whose images they were taken for."""

    follow_up: FollowUp
    due: date
    step: ReminderStep
    owner: str
    study: Study
    patient: Patient
    episode: int

    @property
    def delivery_id(self) -> str:
        """The same for the same step of the same due day."""
        return self.delivery_over("")

    def delivery_over(self, route: str) -> str:
        """The same for the same step over the same route: a withdrawal goes over each that was used."""
        name = f"{self.follow_up.id}/{self.step.value}/{self.due}" + (f"/{route}" if route else "")
        return DELIVERY_PREFIX + hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A follow-up that does not hold any more, and the deliveries by which somebody was reminded of it, by route."""

    due: ReminderDue
    told: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ReminderNotice:
    """What a recipient is told. `headline` and `lines` name no patient, number or study: mail may say them."""

    due: ReminderDue
    recipient: str
    site: str
    link: str
    sent_at: datetime
    #: The deliveries over this route that a withdrawal takes back.
    takes_back: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """One line: how urgent, and what is asked for."""
        return f"Follow-up {_WORDS[self.due.step]}: {self.due.follow_up.action}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What a person has to know and do."""
        if self.due.step is ReminderStep.WITHDRAWN:
            why = self.due.follow_up.reason or "it is void"
            return (f"{self.site}: {self.headline}.", f"It does not hold any more: {why}.", _NO_ORDER, self._name)
        owner = f"Its owner is {self.due.owner}." if self.due.owner else "Nobody owns it: make somebody its owner."
        return (
            f"{self.site}: {self.headline}.",
            f"It is due on {self.due.due.isoformat()}; nothing that was done about it is known here.",
            owner,
            f"Say what was done, or why it is not done, at {self.link}",
            _NO_ORDER,
            self._name,
        )

    @property
    def _name(self) -> str:
        return f"Follow-up {self.due.follow_up.id}, for {self.recipient}."


@dataclass(frozen=True, slots=True)
class Figures:
    """How the follow-ups of an installation stand; tests (MSH-11) are not counted.

    `open` wait for somebody, `overdue` of them are past their day, `unowned` of them are nobody's. Of those that fell
    due within the window (`fell_due`), `on_time` were done by their day. The day is that which holds; whoever moves it
    gives a reason, and `moved` of `fell_due` had been. What was declined, or does not hold, is not counted.
    """

    open: int = 0
    overdue: int = 0
    unowned: int = 0
    fell_due: int = 0
    on_time: int = 0
    moved: int = 0

    def by_name(self) -> dict[str, int]:
        """For metrics."""
        return {
            "open": self.open,
            "overdue": self.overdue,
            "no-owner": self.unowned,
            "fell-due": self.fell_due,
            "closed-on-time": self.on_time,
        }


#: (what to tell, the delivery's id) → what to send over one route.
Remind = Callable[[ReminderNotice, str], bytes]


def message_number(delivery: str) -> str:
    """What numbers a reminder on the wire: MSH-10, Communication.identifier."""
    return delivery.removeprefix(DELIVERY_PREFIX).upper()
