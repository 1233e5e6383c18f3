"""Operations, for the engineer: what stands still, what may be done about it, and who did what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from cds.domain.switch import SwitchKind
from cds.errors import InvalidInput
from cds.ui.operations import PAGE_SIZE, OperationsServices
from cds.ui.operations_values import paged
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.watch import span
from cds.web.ui import operations_forms as forms
from cds.web.ui import operations_holds, operations_messages, operations_records
from cds.web.ui.guard import allow, person, person_or_none
from cds.web.ui.shown import local_time, page, redirect_to, say


def blueprint(services: UiServices) -> Blueprint:
    """Everything below /operations; nothing where this installation gives it no services."""
    found = Blueprint("operations", __name__, url_prefix="/operations")
    if services.operations is None:
        return found
    zone = ZoneInfo(services.settings.time_zone)
    found.add_app_template_filter(span, "span")
    found.add_app_template_filter(lambda at: _to_the_second(at, zone), "local_second")
    found.context_processor(lambda: {"sections": _sections()})
    views = _Views(services, services.operations)
    for rule, view, method in (
        ("", views.overview, "GET"),
        ("/now", views.overview_now, "GET"),
        ("/switches", views.switches, "GET"),
        ("/switches", views.turn, "POST"),
        ("/peers", views.peers, "GET"),
        ("/peers/now", views.peers_now, "GET"),
        ("/peers", views.ask_peers, "POST"),
        ("/dead-letters", views.dead_letters, "GET"),
        ("/configuration", views.configuration, "GET"),
    ):
        found.add_url_rule(rule, view_func=view, methods=[method])
    operations_holds.add(found, services, services.operations)
    operations_messages.add(found, services, services.operations)
    operations_records.add(found, services, services.operations)
    return found


#: The pages below /operations: endpoint, title, and whether an auditor may open it.
_SECTIONS = (
    ("overview", "Overview", False),
    ("holds", "Held items", False),
    ("dead_letters", "Dead letters", False),
    ("switches", "Switches", False),
    ("timeline", "Timeline", False),
    ("messages", "HL7 inbox", False),
    ("deliveries", "Deliveries", False),
    ("peers", "Peers", False),
    ("identity", "Identity", False),
    ("configuration", "Configuration", False),
    ("audit", "Audit log", True),
)


def _sections() -> tuple[tuple[str, str], ...]:
    """Endpoint and title of what the person may open."""
    who = person_or_none()
    if who is None:
        return ()
    engineer = who.is_any(Role.ENGINEER)
    return tuple((f"operations.{name}", title) for name, title, audit in _SECTIONS if engineer or audit)


def _to_the_second(at: datetime, zone: ZoneInfo) -> str:
    """Where the order of things matters: 22 Nov 2026 14:05:09."""
    return f"{local_time(at, zone)}:{at.astimezone(zone):%S}"


@dataclass(frozen=True, slots=True)
class _Views:
    services: UiServices
    operations: OperationsServices

    @allow(Role.ENGINEER, Role.AUDITOR)
    def overview(self) -> AnyResponse:
        """What stands still now; an auditor is here for the audit log."""
        if not person().is_any(Role.ENGINEER):
            return redirect_to("operations.audit")
        return page("operations_overview.html", overview=self.operations.overview())

    @allow(Role.ENGINEER)
    def overview_now(self) -> Response:
        """The part of the overview that changes."""
        return page("_operations_overview.html", overview=self.operations.overview())

    @allow(Role.ENGINEER)
    def switches(self) -> Response:
        """What may speak, and what is switched off."""
        return page("operations_switches.html", switches=self.operations.switches.all(), kinds=tuple(SwitchKind))

    @allow(Role.ENGINEER)
    def turn(self) -> AnyResponse:
        """Switch something off or on."""
        kind, turn = forms.one_of("kind", SwitchKind, request.form), request.form.get("turn", "")
        if kind is None or turn not in ("on", "off"):
            raise InvalidInput("want the kind of what is switched, and on or off")
        name, reason = forms.text("name", request.form), forms.reason()
        again = self.operations.switches.turn(kind, name, on=turn == "on", by=person().user, reason=reason)
        decided = f" {again} reports are decided again." if kind is not SwitchKind.DESTINATION else ""
        say(f"{kind.value} {name} is {turn}.{decided}", "ok" if turn == "on" else "warn")
        return redirect_to("operations.switches")

    @allow(Role.ENGINEER)
    def peers(self) -> Response:
        """Who can be reached, as the last checks said."""
        return page("operations_peers.html", **self._answers())

    @allow(Role.ENGINEER)
    def peers_now(self) -> Response:
        """The answers alone."""
        return page("_operations_peers.html", **self._answers())

    @allow(Role.ENGINEER)
    def ask_peers(self) -> AnyResponse:
        """Ask one peer, or all of them; the page does not wait."""
        begun = self.operations.peers.ask(forms.text("name", request.form), person().user)
        say(f"Asking now: {begun}." if begun else "They are being asked already.", "info")
        return redirect_to("operations.peers")

    @allow(Role.ENGINEER)
    def dead_letters(self) -> Response:
        """What ended in vain, with the reason."""
        found, number = self.operations.dead_letters(), forms.page_number(request.args)
        held = paged(found.holds, number, PAGE_SIZE)
        return page("operations_dead_letters.html", held=held, messages=found.messages, now=self._now())

    @allow(Role.ENGINEER)
    def configuration(self) -> Response:
        """The settings as loaded."""
        return page("operations_configuration.html", configuration=self.operations.configuration())

    def _answers(self) -> dict[str, Any]:
        answers, now = self.operations.peers.answers(), self._now()
        asking = any(answer.state(now) == "asking" for answer in answers)
        return {"answers": answers, "now": now, "asking": asking}

    def _now(self) -> datetime:
        return self.services.clock.now()
