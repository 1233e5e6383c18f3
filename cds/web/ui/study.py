"""The study page beside its images, verification, the report as a document, the timeline and model cards."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from flask import Blueprint, Response
from werkzeug.wrappers import Response as AnyResponse

from cds.domain.audit import STORY_VIEWED
from cds.domain.recommendation import Advice
from cds.domain.wording import amount, unit_name
from cds.pathways import card
from cds.render import gfm, html, pdf, trend
from cds.ui.people import Role
from cds.ui.second_reader import CATEGORIES
from cds.ui.services import UiServices
from cds.ui.study import AGREEMENTS, NOTICE, URGENCIES, VERDICTS, StudyServices
from cds.web.ui import study_forms
from cds.web.ui.guard import allow, person, viewed
from cds.web.ui.shown import page, redirect_to, say

_STUDY = "/studies/<public_id>"
_ALL = (Role.RADIOLOGIST, Role.CLINICIAN, Role.COORDINATOR)
#: A card has no headings, and sets its titles in bold.
_TITLED = re.compile(r"<p><strong>([^<]*)</strong></p>")


def blueprint(services: UiServices) -> Blueprint:
    """`/studies/<public id>` with what belongs to it, and `/models/<id>/card`."""
    found = Blueprint("study", __name__)
    if services.study is not None:
        _page(found, services, services.study)
        _story(found, services.study)
        _documents(found, services, services.study)
    return found


def _page(found: Blueprint, services: UiServices, studies: StudyServices) -> None:
    @allow(*_ALL, launched=True)
    def shown(public_id: str) -> Response:
        """The page; the service writes the audit log."""
        view = studies.view(person(), public_id)
        return page(
            "study.html",
            view=view,
            public_id=public_id,
            has_images=services.images is not None,
            may_verify=view.is_full,
            notice_text=NOTICE,
            **_WORDS,
        )

    @allow(Role.RADIOLOGIST)
    def verify(public_id: str) -> AnyResponse:
        """A radiologist's word on a finding; the RIS signs, this does not."""
        new = studies.verify(person(), public_id, study_forms.verdict())
        say("Recorded. A new version of the AI report follows." if new else "You said so before: nothing changed.")
        return redirect_to("study.shown", public_id=public_id)

    found.add_url_rule(_STUDY, "shown", shown)
    found.add_url_rule(f"{_STUDY}/findings", "verify", verify, methods=["POST"])


def _story(found: Blueprint, studies: StudyServices) -> None:
    @allow(Role.RADIOLOGIST)
    def story(public_id: str) -> Response:
        """How the analysis came about."""
        view = studies.view(person(), public_id)
        viewed(studies.uid(public_id), view.patient_id, STORY_VIEWED)
        told = studies.story(person(), public_id)
        return page("study_story.html", story=told, public_id=public_id, is_hidden=view.is_hidden)

    @allow(launched=True)
    def model_card(model: str) -> Response:
        """What a model is for, what it must not be used for, and how it did: no patient in it."""
        return page("model_card.html", card=gfm.html(studies.card(model)))

    found.add_url_rule(f"{_STUDY}/why", "story", story)
    found.add_url_rule("/models/<model>/card", "card", model_card)


def _documents(found: Blueprint, services: UiServices, studies: StudyServices) -> None:
    settings = services.settings

    @allow(*_ALL, launched=True)
    def document(public_id: str) -> Response:
        """The report as a page of its own, with its own style."""
        report = studies.report(person(), public_id)
        drawn = html.render(report, site_name=settings.site_name, time_zone=settings.time_zone)
        response = Response(drawn, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _DOCUMENT_POLICY
        return response

    @allow(*_ALL, launched=True)
    def as_pdf(public_id: str) -> Response:
        """The report as a PDF; its name tells of no patient."""
        report = studies.report(person(), public_id)
        drawn = pdf.render(report, site_name=settings.site_name, time_zone=settings.time_zone)
        response = Response(drawn, content_type="application/pdf")
        response.headers["Content-Disposition"] = f'inline; filename="ai-analysis-version-{report.version}.pdf"'
        return response

    found.add_url_rule(f"{_STUDY}/report.html", "document", document)
    found.add_url_rule(f"{_STUDY}/report.pdf", "pdf", as_pdf)


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(html.STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"


#: The one style of a document, by its digest; no script, no picture, nothing from elsewhere.
_DOCUMENT_POLICY = _policy()


def _detail(said: Advice) -> str:
    """What a card says, with headings for whoever listens to the page."""
    return _TITLED.sub(r"<h4>\1</h4>", gfm.html(card.detail(said)))


_WORDS: dict[str, Any] = {
    "agreements": AGREEMENTS,
    "amount": amount,
    "categories": CATEGORIES,
    "detail": _detail,
    "trend": trend.svg,
    "unit_name": unit_name,
    "urgencies": URGENCIES,
    "verdicts": VERDICTS,
}
