"""What waits for a person, and what the person does about it: the page beside `cds holds`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from cds.domain.hold import NEEDS, HoldKind
from cds.ui.operations import PAGE_SIZE, OperationsServices
from cds.ui.operations_values import IN_WORDS, paged
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.web.ui import operations_forms as forms
from cds.web.ui.guard import allow, person
from cds.web.ui.shown import page, redirect_to, say


def add(found: Blueprint, services: UiServices, operations: OperationsServices) -> None:
    """The routes below /operations/holds."""
    views = _Views(services, operations)
    for rule, view, method in (
        ("/holds", views.holds, "GET"),
        ("/holds/<hold_id>", views.hold, "GET"),
        ("/holds/<hold_id>/take", views.take, "POST"),
        ("/holds/<hold_id>/resolve", views.resolve, "POST"),
    ):
        found.add_url_rule(rule, view_func=view, methods=[method])


@dataclass(frozen=True, slots=True)
class _Views:
    services: UiServices
    operations: OperationsServices

    @allow(Role.ENGINEER)
    def holds(self) -> Response:
        """What waits, oldest first; or what was resolved, newest first."""
        resolved, number = request.args.get("resolved") == "1", forms.page_number(request.args)
        kind = forms.one_of("kind", HoldKind, request.args)
        if resolved:
            found = self.operations.holds.resolved(number)
        else:
            waiting = [hold for hold in self.operations.holds.open() if kind is None or hold.kind is kind]
            found = paged(waiting, number, PAGE_SIZE)
        return page(
            "operations_holds.html", holds=found, resolved=resolved, kind=kind, kinds=tuple(HoldKind), now=self._now()
        )

    @allow(Role.ENGINEER)
    def hold(self, hold_id: str) -> Response:
        """One of them, with what can be done about it."""
        found = self.operations.holds.find(hold_id)
        return page("operations_hold.html", hold=found, needs=NEEDS, in_words=IN_WORDS, now=self._now())

    @allow(Role.ENGINEER)
    def take(self, hold_id: str) -> AnyResponse:
        """Make oneself its owner."""
        taken = self.operations.holds.take(hold_id, person().user)
        say(f"{taken.id} is yours now.")
        return redirect_to("operations.hold", hold_id=taken.id)

    @allow(Role.ENGINEER)
    def resolve(self, hold_id: str) -> AnyResponse:
        """Do something about it: it waits for nobody then."""
        action, to = forms.text("action", request.form), forms.text("to", request.form)
        done = self.operations.holds.resolve(hold_id, action, by=person().user, to=to, reason=forms.reason())
        say(f"{done.id} is resolved by {action}.")
        return redirect_to("operations.holds")

    def _now(self) -> datetime:
        return self.services.clock.now()
