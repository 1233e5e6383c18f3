"""Cards as CDS Hooks 2.0 wants them: no null or empty member, summaries below 140 characters, absolute links.

A card's id is derived from the study, the report's version and the pathway: the same advice keeps its id over calls,
so that feedback finds it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from cds import codes
from cds.domain import conclusion
from cds.domain.coding import Coding
from cds.domain.ids import report_number, resource_id
from cds.domain.order_codes import order_codes
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, Recommendation
from cds.domain.report import Report
from cds.domain.story import Withdrawn
from cds.domain.verification import Agreement
from cds.pathways import card as markup
from cds.pathways import markdown as md
from cds.performers import performer

Json = dict[str, object]

#: "a < 140 summary message" (CDS Hooks 2.0, card attributes).
LONGEST_SUMMARY = 139
#: The system of DiagnosticReport.identifier, as the FHIR edge writes it.
REPORT_IDENTIFIER = "urn:sightline:report"
_REPORT = "DiagnosticReport"
_TOPIC = Coding(codes.SIGHTLINE_TOPIC, "imaging-findings", "Findings on images")
_UNREADABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")

#: THO, ValueSet non-adherence-reason-clinical: the reasons that fit a suggested test or visit.
OVERRIDE_REASONS = (
    Coding(codes.OVERRIDE_REASONS, "action-completed", "Recommended action was already completed"),
    Coding(codes.OVERRIDE_REASONS, "cds-not-applicable", "PC CDS does not apply to patient"),
    Coding(
        codes.OVERRIDE_REASONS,
        "recipient-disagrees-evidence",
        "Recipient disagrees with recommendation because of issues with the evidence",
    ),
    Coding(codes.SIGHTLINE_OVERRIDE, "false-positive", "The AI finding is a false positive"),
    Coding(codes.OVERRIDE_REASONS, "patient-contraindication", "Patient has contraindication to recommended action"),
    Coding(codes.OVERRIDE_REASONS, "patient-refuses", "Patient refuses/declines (no context given)*"),
    Coding(codes.OVERRIDE_REASONS, "service-not-available", "Treatment or service is not practically available"),
)


_COMPARED = {
    Agreement.AGREES: "agrees with",
    Agreement.DISCORDANT: "contradicted by",
    Agreement.NOT_COMPARABLE: "could not be compared with",
}


@dataclass(frozen=True, slots=True)
class Site:
    """Who speaks, and where its links lead."""

    name: str
    public_url: str


def advice(site: Site, report: Report, said: Advice, patient_id: str) -> Json:
    """The card of a pathway that has something to say, with one draft per recommendation."""
    suggestions = [_suggestion(site, report, said, r, patient_id) for r in said.recommendations]
    card: Json = {
        "uuid": _card_id(report, said.pathway),
        "summary": summary(said.summary),
        "detail": md.document(*_incomplete(report), markup.detail(said), *_trust(report, said)),
        "indicator": said.indicator.value,
        "source": {
            "label": f"{site.name}: {said.title} ({said.source.label})",
            "url": said.source.url,
            "topic": _coding(_TOPIC),
        },
        "links": _links(site, report),
        "overrideReasons": [_coding(reason) for reason in OVERRIDE_REASONS],
    }
    if suggestions:
        card |= {"suggestions": suggestions, "selectionBehavior": "any"}
    return card


def _trust(report: Report, said: Advice) -> list[str]:
    """What radiologists said of the findings that the advice rests on."""
    names = {f"{outcome.model}.{key}" for outcome in report.outcomes for key in said.finding_keys}
    lines = [
        f"{v.verdict.value} by a radiologist on {md.day(v.at.date())}"
        for v in report.verifications
        if v.finding.name in names
    ]
    final = report.final_report
    for comparison in report.decision.comparisons:
        if final is not None and comparison.finding in names:
            when = f" of {md.day(final.issued.date())}" if final.issued else ""
            lines.append(f"{_COMPARED[comparison.agreement]} the radiologist's final report{when}")
    return [md.section("Verification", md.bullets(list(dict.fromkeys(map(md.escape, lines)))))] if lines else []


def _incomplete(report: Report) -> list[str]:
    return [f"**{md.escape(text)}**" for text in conclusion.incomplete(report)]


def left_out(site: Site, report: Report, steps: int) -> Json:
    """One card that says how many steps of one study are not shown: a reader can act on so many, and no more."""
    date = f"images of {md.day(report.study.study_date)}"
    return {
        "uuid": _card_id(report, "left-out"),
        "summary": summary(f"{steps} more {'step' if steps == 1 else 'steps'} in the AI report ({date})"),
        "detail": "The most urgent ones are shown. The report has all of them, in the order of their urgency.",
        "indicator": Indicator.INFO.value,
        "source": _source(site),
        "links": _links(site, report),
    }


def could_not_tell(site: Site, report: Report, untold: Sequence[CouldNotTell]) -> Json:
    """One card for all that failed on one study: what, why, and how to change that (SAFETY section 6)."""
    date = f"images of {md.day(report.study.study_date)}"
    lines = [f"**{md.escape(item.title)}**: {md.escape(item.reason)}" for item in untold]
    missing = [md.escape(text) for item in untold for text in item.missing]
    how = [md.escape(text) for item in untold for text in item.how_to_get]
    detail = md.document(
        *_incomplete(report),
        f"Sightline looked at the {date} and could not evaluate the following. That is not a negative result.",
        md.bullets(lines),
        md.section("Missing", md.bullets(missing)),
        md.section("How to get it", md.bullets(how)),
    )
    return {
        "uuid": _card_id(report, "could-not-tell"),
        "summary": summary(f"Not evaluated ({date}): " + ", ".join(item.title for item in untold)),
        "detail": detail,
        "indicator": Indicator.INFO.value,
        "source": _source(site),
        "links": _links(site, report),
    }


def withdrawn(site: Site, hook_instance: str, told: Withdrawn) -> Json:
    """The card that takes back what somebody saw: the result was of another patient, or nobody knows whose."""
    date = f"images of {md.day(told.study_date)}"
    detail = md.document(
        f"On this patient a result of {date} was shown. It was withdrawn: the images belong to another patient, "
        "were rejected, or it is in doubt whose they are.",
        "Whatever was ordered, told or decided because of it should be looked at again.",
    )
    return {
        "uuid": str(uuid.uuid5(uuid.UUID(hook_instance), f"withdrawn/{told.study_instance_uid}")),
        "summary": summary(f"Withdrawn: the AI result of {date} that was shown here does not hold"),
        "detail": detail,
        "indicator": Indicator.WARNING.value,
        "source": _source(site),
    }


def unidentified(site: Site, hook_instance: str, reason: str) -> Json:
    """The card for a patient whom Sightline cannot map: it says so, and that it says nothing about images."""
    detail = md.document(
        f"{reason} So Sightline shows no result for this patient. That does not mean that there is none.",
        "For the administrator: `CDS_IDENTIFIER_SYSTEMS` maps a FHIR identifier system to its assigning authority.",
    )
    return {
        "uuid": str(uuid.uuid5(uuid.UUID(hook_instance), "unidentified")),
        "summary": summary("Sightline cannot match this patient to imaging; no results are shown"),
        "detail": detail,
        "indicator": Indicator.INFO.value,
        "source": _source(site),
    }


def summary(text: str) -> str:
    """One line of at most 139 characters."""
    line = _line(text)
    return line if len(line) <= LONGEST_SUMMARY else line[: LONGEST_SUMMARY - 1].rstrip() + "…"


def _line(text: str) -> str:
    return _UNREADABLE.sub(" ", text).strip()


def _suggestion(site: Site, report: Report, said: Advice, recommended: Recommendation, patient_id: str) -> Json:
    suggestion: Json = {
        "label": recommended.action,
        "uuid": _card_id(report, f"{said.pathway}/{recommended.key}"),
        "actions": [
            {
                "type": "create",
                "description": _line(f"Draft: {recommended.action}. {recommended.reason}"),
                "resource": _draft(site, report, recommended, patient_id),
            }
        ],
    }
    return suggestion | ({"isRecommended": True} if recommended.recommended else {})


def _draft(site: Site, report: Report, recommended: Recommendation, patient_id: str) -> Json:
    """A whole R4 ServiceRequest that a person may sign: status draft, intent proposal."""
    code: Json = {"text": recommended.action}
    if coding := [_coding(one) for one in order_codes(recommended)]:
        code["coding"] = coding
    day = md.day(report.study.study_date)
    draft: Json = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "priority": recommended.priority.value,
        "code": code,
        "subject": {"reference": f"Patient/{patient_id}"},
        "instantiatesUri": [recommended.source.url],
        "reasonCode": [{"text": _line(recommended.reason)}],
        **({"performerType": {"coding": [_coding(who)]}} if (who := performer(recommended)) else {}),
        "supportingInfo": [
            {
                "type": _REPORT,
                "identifier": {
                    "system": REPORT_IDENTIFIER,
                    "value": report_number(report.study, report.episode),
                },
                "display": f"AI analysis of the images of {day}",
            }
        ],
        "note": [
            {"text": f"Suggested by {site.name} from an AI result, {recommended.source.label}. A person decides."}
        ],
    }
    period = {"start": recommended.not_before, "end": recommended.by}
    occurrence = {name: day.isoformat() for name, day in period.items() if day is not None}
    return draft | ({"occurrencePeriod": occurrence} if occurrence else {})


def _links(site: Site, report: Report) -> list[Json]:
    url = f"{site.public_url}/fhir/{_REPORT}/{resource_id(report.study, _REPORT, episode=report.episode)}"
    return [{"label": "AI report (FHIR DiagnosticReport)", "url": url, "type": "absolute"}]


def _source(site: Site) -> Json:
    return {"label": f"{site.name}: imaging findings", "url": site.public_url, "topic": _coding(_TOPIC)}


def _coding(coding: Coding) -> Json:
    members = {"system": coding.system, "code": coding.code, "display": coding.display}
    return {name: value for name, value in members.items() if value}


def _card_id(report: Report, what: str) -> str:
    return str(uuid.uuid5(uuid.UUID(report.study.public_id), f"card/{report.version}/{what}"))
