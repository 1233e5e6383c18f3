"""What is on record: the timeline of a study, who is who, and the audit log.

A patient's number or a Study Instance UID is never in an address: what is searched for comes by POST.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from cds.domain.audit import TIMELINE_VIEWED
from cds.domain.story import Story
from cds.errors import InvalidInput
from cds.render import why
from cds.ui.operations import PAGE_SIZE, OperationsServices
from cds.ui.operations_values import AuditAsked, paged
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.web.ui import operations_forms as forms
from cds.web.ui.guard import allow, person, viewed
from cds.web.ui.shown import page, redirect_to, say


def add(found: Blueprint, services: UiServices, operations: OperationsServices) -> None:
    """The routes below /operations/timeline, /operations/identity and /operations/audit."""
    views = _Views(services, operations)
    for rule, view, method in (
        ("/timeline", views.timeline, "GET"),
        ("/timeline", views.story, "POST"),
        ("/identity", views.identity, "GET"),
        ("/identity", views.identity_of, "POST"),
        ("/identity/<int:change_id>/undo", views.undo, "POST"),
        ("/audit", views.audit, "GET"),
        ("/audit", views.audit_search, "POST"),
    ):
        found.add_url_rule(rule, view_func=view, methods=[method])


@dataclass(frozen=True, slots=True)
class _Views:
    services: UiServices
    operations: OperationsServices

    @allow(Role.ENGINEER)
    def timeline(self) -> Response:
        """The search for a study's timeline."""
        return page("operations_timeline.html", asked="", story=None, summary=())

    @allow(Role.ENGINEER)
    def story(self) -> Response:
        """What an accession number, a Study Instance UID or a patient's number leads to, step by step."""
        asked = forms.text("asked", request.form)
        if not asked:
            raise InvalidInput("want an accession number, a Study Instance UID or a patient's number")
        found = self.operations.why(asked)
        _write_seen(found)
        lines = why.as_text(found, self.services.settings.time_zone).splitlines()
        summary = lines[: lines.index("Timeline")] if "Timeline" in lines else ()
        return page("operations_timeline.html", asked=asked, story=found, summary=summary)

    @allow(Role.ENGINEER)
    def identity(self) -> Response:
        """Every change of who is who, newest first."""
        found = paged(self.operations.identity.changes(""), forms.page_number(request.args), PAGE_SIZE)
        return page("operations_identity.html", changes=found, number="")

    @allow(Role.ENGINEER)
    def identity_of(self) -> Response:
        """The changes of everybody who has a number."""
        number = forms.text("number", request.form)
        if not number:
            raise InvalidInput("want a patient's number")
        changes = self.operations.identity.changes(number)
        for patient_id in dict.fromkeys(change.survivor_id for change in changes):
            viewed(None, patient_id, "identity changes viewed")
        return page("operations_identity.html", changes=paged(changes, 1, max(len(changes), 1)), number=number)

    @allow(Role.ENGINEER)
    def undo(self, change_id: int) -> AnyResponse:
        """Take a change back."""
        self.operations.identity.undo(change_id, person().user, forms.reason())
        say(f"Change {change_id} is undone; its studies are matched again.")
        return redirect_to("operations.identity")

    @allow(Role.ENGINEER, Role.AUDITOR)
    def audit(self) -> Response:
        """The search of the audit log, with its newest lines."""
        return self._audit(MultiDict())

    @allow(Role.ENGINEER, Role.AUDITOR)
    def audit_search(self) -> Response:
        """Lines by who, what, study and time; another page is another search, and noted as one."""
        return self._audit(request.form)

    def _audit(self, given: MultiDict[str, str]) -> Response:
        zone = ZoneInfo(self.services.settings.time_zone)
        asked = AuditAsked(
            who=forms.text("who", given),
            action=forms.text("action", given),
            study=forms.text("study", given),
            since=forms.moment("since", zone, given),
            until=forms.moment("until", zone, given, whole_day=True),
            page=forms.page_number(given),
        )
        found = self.operations.audit(asked, person().user)
        kept = {name: given.get(name, "").strip() for name in ("who", "action", "study", "since", "until")}
        return page("operations_audit.html", events=found, given=kept)


def _write_seen(story: Story) -> None:
    """The audit log has every study and patient that the answer tells of, before it is given."""
    owners = set()
    for study in story.studies:
        owner = study.report.patient.id if study.report and study.report.patient else None
        owners.add(owner)
        viewed(study.study_instance_uid, owner, TIMELINE_VIEWED)
    for patient_id in story.patients:
        if patient_id not in owners:
            viewed(None, patient_id, TIMELINE_VIEWED)
