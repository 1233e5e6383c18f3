"""The list of a patient's studies, for whom an EHR let in from the patient's chart."""

from __future__ import annotations

from flask import Blueprint, Response

from cds.errors import NotFound
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.web.ui.guard import allow, person
from cds.web.ui.shown import page

_NO_CHART = "This list is of one patient: open Sightline from the patient's chart in the EHR."


def blueprint(services: UiServices) -> Blueprint:
    """`GET /studies`."""
    found = Blueprint("studies", __name__)

    @allow(Role.CLINICIAN, launched=True)
    def listed() -> Response:
        who = person()
        if who.patient_id is None or services.chart is None:
            raise NotFound(_NO_CHART)
        return page("studies.html", studies=services.chart.studies(who))

    found.add_url_rule("/studies", view_func=listed)
    return found
