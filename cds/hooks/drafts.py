"""Suggestions: whole R4 ServiceRequests of status draft that a person may sign."""

from __future__ import annotations

from dataclasses import dataclass

from cds.domain.ids import report_number
from cds.domain.order_codes import order_codes
from cds.domain.recommendation import Recommendation
from cds.domain.report import Report
from cds.hooks.answer import Suggestion
from cds.hooks.parts import Json, Site, coding, line
from cds.pathways import markdown as md
from cds.performers import performer

#: The system of DiagnosticReport.identifier, as the FHIR edge writes it.
REPORT_IDENTIFIER = "urn:sightline:report"
_REPORT = "DiagnosticReport"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a draft rests on: whose it is (Patient.id of the client), and the AI report, where there is one."""

    site: Site
    patient_id: str
    report: Report | None = None


def suggestion(basis: Basis, recommended: Recommendation, *before: Json) -> Suggestion:
    """A step as a draft to accept; `before` are actions that come with it, the deletion of another draft, say."""
    created: Json = {
        "type": "create",
        "description": line(f"Draft: {recommended.action}. {recommended.reason}"),
        "resource": draft(basis, recommended),
    }
    body: Json = {"label": line(recommended.action), "actions": [*before, created]}
    return Suggestion(recommended.key, body | ({"isRecommended": True} if recommended.recommended else {}), recommended)


def draft(basis: Basis, recommended: Recommendation) -> Json:
    """A whole R4 ServiceRequest: status draft, intent proposal."""
    code: Json = {"text": recommended.action}
    if coded := [coding(one) for one in order_codes(recommended)]:
        code["coding"] = coded
    what = "an AI result" if basis.report else "what the record says"
    said: Json = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "priority": recommended.priority.value,
        "code": code,
        "subject": {"reference": f"Patient/{basis.patient_id}"},
        "instantiatesUri": [recommended.source.url],
        "reasonCode": [{"text": line(recommended.reason)}],
        "note": [
            {"text": f"Suggested by {basis.site.name} from {what}, {recommended.source.label}. A person decides."}
        ],
    }
    if (who := performer(recommended)) is not None:
        said["performerType"] = {"coding": [coding(who)]}
    if basis.report:
        said["supportingInfo"] = [_report(basis.report)]
    period = {"start": recommended.not_before, "end": recommended.by}
    occurrence = {name: day.isoformat() for name, day in period.items() if day is not None}
    return said | ({"occurrencePeriod": occurrence} if occurrence else {})


def _report(report: Report) -> Json:
    return {
        "type": _REPORT,
        "identifier": {"system": REPORT_IDENTIFIER, "value": report_number(report.study, report.episode)},
        "display": f"AI analysis of the images of {md.day(report.study.study_date)}",
    }
