"""The radiologist's worklist and its search. No address says whom it is about: a search is sent as a form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request, url_for

from cds.domain.finding import Presence
from cds.errors import InvalidInput
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.ui.worklist import (
    LAST_PAGE,
    SEARCHED,
    VIEWED,
    Choice,
    Choices,
    Entry,
    Line,
    Status,
    Urgency,
    Wanted,
    WorklistServices,
    wanted,
)
from cds.web.ui.guard import allow, person
from cds.web.ui.shown import page

#: Accession numbers have 16 characters in DICOM (SH), patient identifiers 64 (LO).
_LONGEST_NUMBER = 64
#: Lines of a study that are shown at once; the others open.
_LINES = 4
_URGENCY = {
    Urgency.CRITICAL: "critical",
    Urgency.STAT: "urgent",
    Urgency.ASAP: "urgent",
    Urgency.URGENT: "warn",
    Urgency.ROUTINE: "muted",
}
_STATUS = {
    Status.HELD: "warn",
    Status.FAILED: "warn",
    Status.DISCORDANT: "warn",
    Status.ANALYSED: "ok",
    Status.REPORTED: "ok",
    Status.NOT_ANALYSED: "muted",
    Status.TEST: "muted",
    Status.RECEIVING: "info",
    Status.WAITING: "info",
    Status.ANALYSING: "info",
}
#: What is there before what could not be told, measurements before what was not detected.
_PRESENCES = {
    Presence.PRESENT: ("warn", "detected"),
    Presence.NOT_EVALUATED: ("muted", "not evaluated"),
    Presence.MEASURED: ("info", "measured"),
    Presence.NOT_DETECTED: ("muted", "not detected"),
}


def blueprint(services: UiServices) -> Blueprint:
    """`GET /worklist`, `GET /worklist/rows` and `POST /worklist/search`; nothing where there is no worklist."""
    found = Blueprint("worklist", __name__, url_prefix="/worklist")
    if services.worklist is None:
        return found
    views = _Views(services, services.worklist)
    found.context_processor(lambda: {"urgency_marks": _URGENCY, "status_marks": _STATUS, "lines_at_once": _LINES})
    found.add_app_template_filter(_mark_of_line, "mark_of_line")
    found.add_app_template_filter(_in_weight, "in_weight")
    found.add_url_rule("", view_func=views.show)
    found.add_url_rule("/rows", view_func=views.rows)
    found.add_url_rule("/search", view_func=views.search, methods=["POST"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: UiServices
    worklist: WorklistServices

    @allow(Role.RADIOLOGIST)
    def show(self) -> Response:
        """The whole page."""
        return page("worklist.html", **self._rows(wanted(request.args)))

    @allow(Role.RADIOLOGIST)
    def rows(self) -> Response:
        """The rows alone, as the page asks for them while it is open."""
        return page("_worklist_rows.html", **self._rows(wanted(request.args)))

    @allow(Role.RADIOLOGIST)
    def search(self) -> Response:
        """What a number finds. It is answered at once: an address that led to it would have to name it."""
        number = request.form.get("number", "").strip()
        if not number or len(number) > _LONGEST_NUMBER:
            raise InvalidInput(
                f"want an accession number or a patient identifier, {_LONGEST_NUMBER} characters at most"
            )
        return page("worklist_search.html", number=number, **self._shown(self.worklist.search(number), SEARCHED))

    def _rows(self, asked: Wanted) -> dict[str, Any]:
        listed = self.worklist.listed(asked)
        before = _address(asked, asked.page - 1) if asked.page > 1 else None
        behind = _address(asked, asked.page + 1) if listed.has_next and asked.page < LAST_PAGE else None
        return {
            "asked": asked,
            "listed": listed,
            "pages_around": (before, behind),
            "chosen": asked.address(),
            "options": _filters(listed.choices, asked),
            **self._shown(listed.entries, VIEWED),
        }

    def _shown(self, entries: Sequence[Entry], action: str) -> dict[str, Any]:
        """The rows with what templates need; the audit log has who saw them before they are answered."""
        self.worklist.seen(person().user, entries, action)
        return {
            "entries": entries,
            "now": self.services.clock.now(),
            "today": self.services.clock.today(),
            "second_readings": self.worklist.second_readings([one.study_instance_uid for one in entries]),
        }


def _address(asked: Wanted, number: int) -> str:
    named: dict[str, Any] = dict(asked.address(number))
    return url_for("worklist.show", **named)


def _filters(choices: Choices, asked: Wanted) -> tuple[tuple[str, str, Sequence[Choice]], ...]:
    """(name in an address, label, values) of each filter."""
    return (
        ("modality", "Modality", _options(choices.modalities, asked.modality)),
        ("site", "Site", _options(choices.sites, asked.site)),
        ("finding", "Finding", _options(choices.findings, asked.finding)),
        ("status", "Status", choices.statuses),
    )


def _options(choices: Sequence[Choice], chosen: str) -> Sequence[Choice]:
    """With what is chosen, also where no study has it any more: a filter that holds is seen."""
    known = not chosen or any(choice.name == chosen for choice in choices)
    return choices if known else (*choices, Choice(chosen, chosen))


def _mark_of_line(line: Line) -> tuple[str, str]:
    """Kind and text of the badge of a line."""
    return ("critical", "critical") if line.is_critical else _PRESENCES[line.presence]


def _in_weight(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (not line.is_critical, tuple(_PRESENCES).index(line.presence)))
