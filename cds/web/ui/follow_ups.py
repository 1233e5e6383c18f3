"""The page of follow-ups and critical results, for the care coordinator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from cds.domain.audit import FOLLOW_UP_VIEWED
from cds.errors import InvalidInput
from cds.ui.follow_ups import Asked, Ending, FollowUpServices, Sheet, Show
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.watch import span
from cds.web.ui.guard import allow, person, viewed
from cds.web.ui.shown import page, redirect_to, say

_LONGEST = 500
_LIST, _ONE = "follow_ups.listed", "follow_ups.one"
_ROLE = Role.COORDINATOR.value


def blueprint(services: UiServices) -> Blueprint:
    """`/follow-ups`: the critical results that wait, the list, one follow-up, and what is done with each."""
    found = Blueprint("follow_ups", __name__, url_prefix="/follow-ups")
    if services.follow_ups is None:
        return found
    looks, acts = _Looks(services, services.follow_ups), _Acts(services.follow_ups)
    found.add_url_rule("", view_func=looks.listed)
    found.add_url_rule("/critical", view_func=looks.criticals)
    found.add_url_rule("/<follow_up>", view_func=looks.one)
    post = ["POST"]
    found.add_url_rule("/critical/<critical_id>/acknowledge", view_func=acts.acknowledge, methods=post)
    found.add_url_rule("/proposals/<int:proposal>", view_func=acts.decide, methods=post)
    for name, view in (
        ("end", acts.end), ("reopen", acts.reopen), ("reschedule", acts.reschedule), ("assign", acts.assign),
    ):  # fmt: skip
        found.add_url_rule(f"/<follow_up>/{name}", view_func=view, methods=post)
    return found


@dataclass(frozen=True, slots=True)
class _Looks:
    """What is shown. Each patient on a page is one line of the audit log."""

    services: UiServices
    follow_ups: FollowUpServices

    @allow(Role.COORDINATOR, Role.RADIOLOGIST)
    def listed(self) -> Response:
        asked = _asked()
        sheet = self.follow_ups.sheet(asked)
        for patient_id in dict.fromkeys(one.patient.id for one in sheet.rows if one.patient):
            viewed(None, patient_id, "list of follow-ups viewed")
        return page(
            "follow_ups.html",
            sheet=sheet,
            asked=asked,
            shows=tuple(Show),
            figures=self.follow_ups.figures(),
            window_days=self.follow_ups.window_days,
            reminds=self.follow_ups.reminds,
            previous=_address(asked, sheet, -1),
            next=_address(asked, sheet, +1),
            **self._waiting(),
        )

    @allow(Role.COORDINATOR, Role.RADIOLOGIST)
    def criticals(self) -> Response:
        """The part of the page that is kept fresh; it names no patient."""
        return page("_follow_ups_critical.html", **self._waiting())

    @allow(Role.COORDINATOR, Role.RADIOLOGIST)
    def one(self, follow_up: str) -> Response:
        detail = self.follow_ups.detail(follow_up)
        told, patient = detail.listed.follow_up, detail.listed.patient
        viewed(told.study_instance_uid, patient.id if patient else None, FOLLOW_UP_VIEWED, told.id)
        return page("follow_up.html", detail=detail, listed=detail.listed, may_act=person().is_any(Role.COORDINATOR))

    def _waiting(self) -> dict[str, Any]:
        return {"criticals": self.follow_ups.criticals(), "now": self.services.clock.now(), "span": span}


@dataclass(frozen=True, slots=True)
class _Acts:
    """What a form changes; each is in the audit log by the name of who did it."""

    follow_ups: FollowUpServices

    @allow(Role.COORDINATOR, Role.RADIOLOGIST)
    def acknowledge(self, critical_id: str) -> AnyResponse:
        self.follow_ups.acknowledge(critical_id, person().user)
        say("The critical result is acknowledged: nobody else is told of it any more.")
        return redirect_to(_LIST)

    @allow(Role.COORDINATOR)
    def end(self, follow_up: str) -> AnyResponse:
        how = request.form.get("how", "")
        if how not in ("done", "not-to-be-done"):
            raise InvalidInput("want how: done or not-to-be-done")
        self.follow_ups.end(Ending(follow_up, how == "done", person().user, _ROLE, _text("reason")))
        return _told(follow_up, "The follow-up is closed.")

    @allow(Role.COORDINATOR)
    def reopen(self, follow_up: str) -> AnyResponse:
        self.follow_ups.reopen(follow_up, person().user, _ROLE, _text("reason"))
        return _told(follow_up, "The follow-up waits again.")

    @allow(Role.COORDINATOR)
    def reschedule(self, follow_up: str) -> AnyResponse:
        self.follow_ups.reschedule(follow_up, _day(), person().user, _text("reason"))
        return _told(follow_up, "The follow-up has another day.")

    @allow(Role.COORDINATOR)
    def assign(self, follow_up: str) -> AnyResponse:
        owner = _text("owner")
        self.follow_ups.assign(follow_up, owner, person().user, _text("reason"))
        return _told(follow_up, f"{owner} owns the follow-up." if owner else "The default owner owns the follow-up.")

    @allow(Role.COORDINATOR)
    def decide(self, proposal: int) -> AnyResponse:
        answer = request.form.get("answer", "")
        if answer not in ("yes", "no"):
            raise InvalidInput("want answer: yes or no")
        follow_up = self.follow_ups.decide(proposal, answer == "yes", person().user, _ROLE)
        return _told(follow_up, "The follow-up is closed by this result." if answer == "yes" else "It stays open.")


def _asked() -> Asked:
    """What the query asks for; what is no choice raises InvalidInput."""
    given = request.args
    show, number = given.get("show", Show.WAITING.value), given.get("page", "1")
    if show not in tuple(Show) or not number.isdecimal() or len(number) > len("99999"):
        raise InvalidInput(f"want show: {', '.join(Show)}; and page: a number from 1")
    site, pathway, owner = (given.get(name, "")[:_LONGEST] for name in ("site", "pathway", "owner"))
    return Asked(site, pathway, owner, Show(show), max(int(number), 1))


def _address(asked: Asked, sheet: Sheet, step: int) -> str | None:
    """The page before or after; None where there is none."""
    number = sheet.page + step
    if not 1 <= number <= sheet.pages:
        return None
    narrowed = {"site": asked.site, "pathway": asked.pathway, "owner": asked.owner, "show": asked.show.value}
    query = {name: value for name, value in narrowed.items() if value}
    return f"{url_for(_LIST)}?{urlencode({**query, 'page': number})}"


def _text(name: str) -> str:
    said = " ".join(request.form.get(name, "").split())
    if len(said) > _LONGEST:
        raise InvalidInput(f"want at most {_LONGEST} characters of {name}")
    return said


def _day() -> date:
    try:
        return date.fromisoformat(request.form.get("due", ""))
    except ValueError:
        raise InvalidInput("want due: a day such as 2027-03-01") from None


def _told(follow_up: str, text: str) -> AnyResponse:
    say(text)
    return redirect_to(_ONE, follow_up=follow_up)
