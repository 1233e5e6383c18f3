"""Cards about studies: what a guideline says to findings, what could not be told, and what does not hold any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from cds.domain import conclusion
from cds.domain.finding import Findings
from cds.domain.hook import About
from cds.domain.ids import resource_id
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, Source
from cds.domain.report import Report
from cds.domain.story import Withdrawn
from cds.domain.verification import Agreement, Verdict
from cds.hooks import parts
from cds.hooks.answer import Card, digest
from cds.hooks.asked import UNMAPPED
from cds.hooks.drafts import Basis, suggestion
from cds.hooks.parts import Json, Site, summary
from cds.pathways import card as markup
from cds.pathways import markdown as md

_REPORT = "DiagnosticReport"
_COMPARED = {
    Agreement.AGREES: "agrees with",
    Agreement.DISCORDANT: "contradicted by",
    Agreement.NOT_COMPARABLE: "could not be compared with",
}
_SURE = frozenset({Verdict.CONFIRMED, Verdict.CORRECTED})
_MAPPED_BY = "For the administrator: `CDS_IDENTIFIER_SYSTEMS` maps a FHIR identifier system to its assigning authority."
_COMPARED_BY = "Compare who the patient is in the EHR with what came with the images, and have the wrong one corrected."
_NOT_A_NEGATIVE = "That is not a negative result."


def advice(site: Site, report: Report, said: Advice, patient_id: str) -> Card:
    """The card of a pathway that has something to say, with one draft per recommendation."""
    body: Json = {
        "summary": summary(said.summary),
        "detail": md.document(*_incomplete(report), markup.detail(said), *_trust(report, said)),
        "indicator": said.indicator.value,
        "source": parts.guideline(site, parts.FINDINGS, said),
        "links": [*links(site, report), *_guidelines(said)],
        "overrideReasons": parts.reasons(parts.FINDING_REASONS),
    }
    basis = Basis(site, patient_id, report)
    return Card(about(report, said), body, tuple(suggestion(basis, one) for one in said.recommendations))


def about(report: Report, said: Advice) -> About:
    """What the card of an advice is about: the same for as long as the study is the same patient's."""
    return About(
        key=f"{report.study.public_id}/{report.episode}/{said.pathway}",
        digest=digest(said),
        pathway=said.pathway,
        indicator=said.indicator,
        study_instance_uid=report.study.study_instance_uid,
        episode=report.episode,
        models=_models(report, said),
        confirmed_at=_confirmed_at(report, said),
    )


def telling(report: Report, what: str, indicator: Indicator = Indicator.INFO) -> About:
    """What a card about a study is about that gives no advice."""
    uid = report.study.study_instance_uid
    key = f"{report.study.public_id}/{report.episode}/{what}"
    return About(key, "", indicator=indicator, study_instance_uid=uid, episode=report.episode)


def links(site: Site, report: Report) -> list[Json]:
    """Where the study is told whole: its page, where the EHR can launch it, else the report of the FHIR API."""
    if site.launches:
        return [parts.launch(site, report.study.public_id)]
    url = f"{site.public_url}/fhir/{_REPORT}/{resource_id(report.study, _REPORT, episode=report.episode)}"
    return [parts.absolute("AI report (FHIR DiagnosticReport)", url)]


def _guidelines(said: Advice) -> Iterable[Json]:
    """The guideline, and those that single steps come from."""
    sources: dict[Source, None] = dict.fromkeys((said.source, *(one.source for one in said.recommendations)))
    return map(parts.to_source, sources)


def _models(report: Report, said: Advice) -> tuple[str, ...]:
    """The models whose findings an advice rests on, with their versions."""
    keys = frozenset(said.finding_keys)
    return tuple(
        f"{one.model} {one.version}"
        for one in report.outcomes
        if isinstance(one, Findings) and any(finding.key in keys for finding in one.findings)
    )


def _names(report: Report, said: Advice) -> frozenset[str]:
    """What the findings that an advice rests on may be called, "<model>.<key>"."""
    return frozenset(f"{outcome.model}.{key}" for outcome in report.outcomes for key in said.finding_keys)


def _confirmed_at(report: Report, said: Advice) -> datetime | None:
    """When a radiologist last confirmed or corrected a finding, or signed a report that agrees with it."""
    names, final = _names(report, said), report.final_report
    sure = [one.at for one in report.verifications if one.finding.name in names and one.verdict in _SURE]
    agrees = {one.finding for one in report.decision.comparisons if one.agreement is Agreement.AGREES} & names
    return max([*sure, *([final.received_at] if final and agrees else [])], default=None)


def _trust(report: Report, said: Advice) -> list[str]:
    """What radiologists said of the findings that the advice rests on."""
    names = _names(report, said)
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


def left_out(site: Site, report: Report, steps: int) -> Card:
    """One card that says how many steps of one study are not shown: a reader can act on so many, and no more."""
    date = f"images of {md.day(report.study.study_date)}"
    body: Json = {
        "summary": summary(f"{steps} more {'step' if steps == 1 else 'steps'} in the AI report ({date})"),
        "detail": "The most urgent ones are shown. The report has all of them, in the order of their urgency.",
        "indicator": Indicator.INFO.value,
        "source": parts.source(site, parts.FINDINGS, "imaging findings"),
        "links": links(site, report),
    }
    return Card(telling(report, "left-out"), body)


def could_not_tell(site: Site, report: Report, untold: Sequence[CouldNotTell]) -> Card:
    """One card for all that failed on one study: what, why, and how to change that (SAFETY section 6)."""
    date = f"images of {md.day(report.study.study_date)}"
    body: Json = {
        "summary": summary(f"Not evaluated ({date}): " + ", ".join(item.title for item in untold)),
        "detail": md.document(
            *_incomplete(report),
            f"Sightline looked at the {date} and could not evaluate the following. {_NOT_A_NEGATIVE}",
            untold_lines(untold),
        ),
        "indicator": Indicator.INFO.value,
        "source": parts.source(site, parts.FINDINGS, "imaging findings"),
        "links": links(site, report),
    }
    return Card(telling(report, "could-not-tell"), body)


def untold_lines(untold: Sequence[CouldNotTell]) -> str:
    """What could not be told, what is missing, and how to get it, as Markdown."""
    lines = [f"**{md.escape(item.title)}**: {md.escape(item.reason)}" for item in untold]
    missing = [md.escape(text) for item in untold for text in item.missing]
    how = [md.escape(text) for item in untold for text in item.how_to_get]
    return md.document(
        md.bullets(lines),
        md.section("Missing", md.bullets(missing)),
        md.section("How to get it", md.bullets(how)),
    )


def withdrawn(site: Site, told: Withdrawn) -> Card:
    """The card that takes back what somebody saw: the result was of another patient, or nobody knows whose."""
    date = f"images of {md.day(told.study_date)}"
    detail = md.document(
        f"On this patient a result of {date} was shown. It was withdrawn: the images belong to another patient, "
        "were rejected, or it is in doubt whose they are.",
        "Whatever was ordered, told or decided because of it should be looked at again.",
    )
    body: Json = {
        "summary": summary(f"Withdrawn: the AI result of {date} that was shown here does not hold"),
        "detail": detail,
        "indicator": Indicator.WARNING.value,
        "source": parts.source(site, parts.FINDINGS, "imaging findings"),
    }
    return Card(About(f"withdrawn/{told.study_instance_uid}", "", indicator=Indicator.WARNING), body)


def unidentified(site: Site, reason: str) -> Card:
    """The card for a patient whom Sightline cannot map: it says so, and that it says nothing about images."""
    detail = md.document(
        f"{reason} So Sightline shows no result for this patient. That does not mean that there is none.",
        _MAPPED_BY if reason == UNMAPPED else _COMPARED_BY,
    )
    body: Json = {
        "summary": summary("Sightline cannot match this patient to imaging; no results are shown"),
        "detail": detail,
        "indicator": Indicator.INFO.value,
        "source": parts.source(site, parts.FINDINGS, "imaging findings"),
    }
    return Card(About("unidentified", ""), body)
