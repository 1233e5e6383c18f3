"""The study page and the list of a patient's studies, for whom an EHR let in; everybody else gets one answer."""

from __future__ import annotations

from flask import Blueprint, Response

from cds.render import study_page
from cds.services import Services
from cds.study_pages import StudyServices
from cds.web import browser


def blueprint(services: Services) -> Blueprint:
    """`GET /studies` and `GET /studies/<public id>`."""
    found, settings = Blueprint("study", __name__, url_prefix="/studies"), services.settings

    def listed() -> Response:
        return browser.told(services, _list)

    def shown(public_id: str) -> Response:
        return browser.told(services, lambda studies: _study(studies, public_id))

    def _list(studies: StudyServices) -> Response:
        own = studies.studies(browser.visitor(services, studies))
        return browser.page(study_page.listing(own, site_name=settings.site_name, insecure=settings.insecure))

    def _study(studies: StudyServices, public_id: str) -> Response:
        page = studies.page(browser.visitor(services, studies), public_id)
        return browser.page(
            study_page.render(
                page, site_name=settings.site_name, time_zone=settings.time_zone, insecure=settings.insecure
            )
        )

    found.add_url_rule("", view_func=listed)
    found.add_url_rule("/<public_id>", view_func=shown)
    return found
