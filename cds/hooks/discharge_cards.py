"""Cards of a discharge that are about no guideline: what is due, not acknowledged, pending, or could not be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from cds.domain.critical import CriticalResult
from cds.domain.follow_up import FollowUp, FollowUpState
from cds.domain.hook import About
from cds.domain.outstanding import PendingStudy
from cds.domain.recommendation import Indicator, Source
from cds.domain.report import Report
from cds.hooks import cards, parts
from cds.hooks.answer import Card
from cds.hooks.parts import Json, Site, summary
from cds.pathways import markdown as md

#: Results that come after the discharge are what gets lost.
_PENDING = Source(
    "Roy et al., Ann Intern Med 2005, results after discharge",
    "https://doi.org/10.7326/0003-4819-143-2-200507190-00011",
)
#: ACR Actionable Reporting Work Group: what must reach a person, and how fast.
_ACTIONABLE = Source("ACR Actionable Reporting Work Group 2014", "https://doi.org/10.1016/j.jacr.2013.12.016")
_ADVISORY = "Advisory output of research software, not a radiology report."
_SAID = {
    FollowUpState.ACCEPTED: "accepted",
    FollowUpState.DECLINED: "declined",
    FollowUpState.COMPLETED: "done",
}


@dataclass(frozen=True, slots=True)
class DueStep:
    """A follow-up with its report as it may be shown; `now` is what its guideline says, where it advises no more."""

    follow_up: FollowUp
    report: Report
    now: str = ""


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """A critical result with its report as it may be shown; `named` where its finding may be."""

    result: CriticalResult
    report: Report | None
    named: bool


def with_answers(body: Json, answered: Sequence[FollowUp]) -> Json:
    """A card's body that says which of its steps are arranged: they are not offered again."""
    lines = [f"{md.escape(one.action)}: {_SAID[one.state]}, as of {md.day(one.updated_at.date())}" for one in answered]
    section = md.section("Decided on already", md.bullets(lines)) if lines else ""
    return {**body, "detail": md.document(str(body.get("detail", "")), section)} if section else body


def follow_ups(site: Site, due: Sequence[DueStep], today: date) -> tuple[Card, ...]:
    """One card of all follow-ups that somebody has to see to."""
    if not due:
        return ()
    now = any(one.follow_up.due is not None and one.follow_up.due <= today for one in due)
    indicator = Indicator.WARNING if now else Indicator.INFO
    body: Json = {
        "summary": summary(_due_summary(due, today)),
        "detail": md.document(
            "Advised after imaging, and nothing that Sightline holds says that it is done:",
            md.bullets(_due_line(one, today) for one in due),
        ),
        "indicator": indicator.value,
        "source": parts.source(site, parts.FINDINGS, "imaging follow-ups"),
        "links": _links(site, [one.report for one in due]),
    }
    return (Card(About("follow-ups", "", indicator=indicator), body),)


def unacknowledged(site: Site, told: Unacknowledged) -> Card:
    """The critical card of a result that nobody has acknowledged; it goes by its own route, and this is no receipt."""
    result = told.result
    images = f"images of {md.day(_made(told))}"
    what = result.title if told.named else f"ACR category {result.category.value}"
    detail = md.document(
        f"A critical AI finding on {images} was sent to {md.escape(result.route)} "
        f"and is not acknowledged (state: {result.state.value}, since {md.day(result.created_at.date())}).",
        "" if told.named else "What was found is not released to referral cards yet: ask the radiologist.",
        "Speak to the radiologist before the patient leaves, and acknowledge it by the message that was sent.",
        _ADVISORY,
    )
    body: Json = {
        "summary": summary(f"Critical AI result not acknowledged ({images}): {what}"),
        "detail": detail,
        "indicator": Indicator.CRITICAL.value,
        "source": parts.source(site, parts.FINDINGS, "critical results"),
        "links": [*(cards.links(site, told.report) if told.report else ()), parts.to_source(_ACTIONABLE)],
    }
    about = About(
        f"unacknowledged/{result.id}",
        "",
        indicator=Indicator.CRITICAL,
        study_instance_uid=result.study_instance_uid,
        episode=result.episode,
    )
    return Card(about, body)


def pending(site: Site, waiting: Sequence[PendingStudy]) -> tuple[Card, ...]:
    """One card of the exams that have no result yet, and who is told when it comes."""
    if not waiting:
        return ()
    many = "1 imaging exam has" if len(waiting) == 1 else f"{len(waiting)} imaging exams have"
    body: Json = {
        "summary": summary(f"{many} no final result yet: {_exam(waiting[0])}{', ...' if len(waiting) > 1 else ''}"),
        "detail": md.document(
            md.bullets(map(_pending_line, waiting)),
            "Write into the discharge letter what is pending and who looks at it.",
        ),
        "indicator": Indicator.INFO.value,
        "source": parts.source(site, parts.FINDINGS, "pending at discharge"),
        "links": [parts.to_source(_PENDING)],
    }
    return (Card(About("pending-at-discharge", ""), body),)


def unseen(site: Site, what: Sequence[str]) -> tuple[Card, ...]:
    """One card of what could not be looked at: without it silence would read as everything arranged."""
    if not what:
        return ()
    body: Json = {
        "summary": summary("The imaging discharge check is incomplete: not everything could be looked at"),
        "detail": md.document(
            "Sightline could not look at the following. That does not mean that nothing is open.",
            md.bullets(map(md.escape, what)),
        ),
        "indicator": Indicator.INFO.value,
        "source": parts.source(site, parts.FINDINGS, "imaging follow-ups"),
    }
    return (Card(About("discharge-unseen", ""), body),)


def _made(told: Unacknowledged) -> date | None:
    if told.report:
        return told.report.study.study_date
    return told.result.images_at.date() if told.result.images_at else None


def _due_summary(due: Sequence[DueStep], today: date) -> str:
    first, more = due[0].follow_up, len(due) - 1
    others = f", and {more} more" if more else ""
    return f"Imaging follow-up not done: {first.action}{_when(first, today)}{others}"


def _due_line(step: DueStep, today: date) -> str:
    one = step.follow_up
    images = f"advised after the images of {md.day(step.report.study.study_date)}"
    said = "nobody has decided on it"
    if one.state is FollowUpState.ACCEPTED:
        said = f"accepted, as of {md.day(one.updated_at.date())}"
    now = f"; the guideline now: {md.escape(step.now)}" if step.now else ""
    return f"**{md.escape(one.action)}**{_when(one, today)}: {images}, {said}{now}"


def _when(follow_up: FollowUp, today: date) -> str:
    if follow_up.due is None:
        return ""
    late = ", overdue" if _is_late(follow_up, today) else ""
    return f" (due {md.day(follow_up.due)}{late})"


def _is_late(follow_up: FollowUp, today: date) -> bool:
    return follow_up.due is not None and follow_up.due < today


def _exam(one: PendingStudy) -> str:
    what = one.title or (f"{one.modality} exam" if one.modality else "imaging exam")
    return f"{what} of {md.day(one.study_date)}" if one.study_date else what


def _pending_line(one: PendingStudy) -> str:
    who = f"its result goes to {md.escape(one.told)}" if one.told else "who is told of its result is not known here"
    return f"**{md.escape(_exam(one))}**: {md.escape(one.why)}; {who}"


def _links(site: Site, reports: Sequence[Report]) -> list[Json]:
    """Where each study is told whole, once."""
    found: list[Json] = []
    for report in reports:
        found += [link for link in cards.links(site, report) if link not in found]
    return found
