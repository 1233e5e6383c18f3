"""What pathways say now to the stored findings of a patient's studies, as cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import compress

from cds.domain.finding import Findings, ModelOutcome
from cds.domain.recommendation import Advice, Case, CouldNotTell, Indicator, PathwayOutcome
from cds.domain.report import Report
from cds.errors import NothingEvaluated
from cds.hooks import cards, prefetch
from cds.hooks.answer import Card
from cds.hooks.asked import Asked
from cds.hooks.study_cards import StudyCards, asked_once, without_done
from cds.pathways.merging import first, merged, once, together
from cds.release import believed

_UNDATED = CouldNotTell("imaging-findings", "All guidelines", "the images carry no study date")


def shown(asked: Asked, reports: Sequence[Report], *, else_fail: bool = True) -> tuple[StudyCards, ...]:
    """The cards of each study; raise NothingEvaluated where none of them could be evaluated (SAFETY section 6).

    Unless something else is to be told: then cards say what could not be evaluated.
    """
    seen = tuple(map(asked.context.view, reports))
    told = _told_again(asked, tuple(reports), seen)
    if else_fail and any(one.failed for one in told) and all(one.failed or not one.cards for one in told):
        raise NothingEvaluated("no guideline could be evaluated; this was reported to the administrator")
    return told


def advices(asked: Asked, report: Report) -> tuple[tuple[Advice, ...], Report | None]:
    """What pathways advise on one study, and the report as a referral card may show it; None where it may not."""
    seen = asked.context.view(report)
    if seen is None:
        return (), None
    said = _evaluated(asked, seen, believed(seen.outcomes, seen.verifications))
    return tuple(one for one in merged(said) if isinstance(one, Advice)), seen


def judged(asked: Asked, seen: Report) -> tuple[PathwayOutcome, ...]:
    """All that pathways say to a report as it may be shown."""
    return merged(_evaluated(asked, seen, believed(seen.outcomes, seen.verifications)))


def _told_again(asked: Asked, reports: tuple[Report, ...], seen: tuple[Report | None, ...]) -> tuple[StudyCards, ...]:
    """The cards, or those that the same reports, record and prefetch made before in this hour.

    Where something had to be fetched, or failed, they are made each time.
    """

    def made() -> tuple[StudyCards, ...]:
        return asked_once([_study(asked, report, view) for report, view in zip(reports, seen, strict=True)])

    if not asked.is_brought:
        return made()
    held = (asked.held(report.patient) for report in reports)
    today, now = asked.context.clock.today(), asked.context.clock.now()
    key = (asked.digest.value, asked.patient, asked.request.patient_id, asked.site, today, now.date(), now.hour)
    made_of = (*held, *reports, *seen)
    return asked.context.again.answered(key, made_of, made, holds=lambda told: not any(one.untold for one in told))


def _study(asked: Asked, report: Report, seen: Report | None) -> StudyCards:
    if seen is None:
        quiet = asked.context.withheld(report) or ("the report is not released to referral cards",)
        return StudyCards(report, quiet=quiet)
    withheld = seen.decision.release.withheld
    if not any(isinstance(outcome, Findings) for outcome in seen.outcomes):
        return StudyCards(report, quiet=("no model could evaluate this study",))
    told = _cards(asked, seen, _evaluated(asked, seen, believed(seen.outcomes, seen.verifications)))
    return replace(told, report=report, quiet=(*told.quiet, *withheld))


def _evaluated(asked: Asked, report: Report, outcomes: tuple[ModelOutcome, ...]) -> tuple[PathwayOutcome, ...]:
    study, context = report.study, asked.context
    if study.study_date is None:
        return (_UNDATED,)
    case = Case(
        study_date=study.study_date,
        study_instance_uid=study.study_instance_uid,
        modality="CT" if "CT" in study.modalities else next(iter(study.modalities), ""),
        outcomes=outcomes,
        ehr=asked.ehr(report.patient),
        today=context.clock.today(),
        procedures=(report.order.procedure,) if report.order and report.order.procedure else (),
    )
    return context.evaluate(case, report)


def _cards(asked: Asked, report: Report, outcomes: tuple[PathwayOutcome, ...]) -> StudyCards:
    """Advice, and what failed; where a trigger input is not known there is no card (SAFETY section 6)."""
    patient_id, where = asked.request.patient_id, asked.context.where(report)
    told, others = _told(asked, [one for one in together(outcomes) if isinstance(one, Advice)])
    said, left_out = first(once(told), asked.context.most_steps)
    every = [_at(where, cards.advice(asked.site, report, one, patient_id)) for one in (*said, *others)]
    since = asked.context.clock.now() - timedelta(hours=asked.context.fatigue.accepted_h)
    left = [without_done(one, report.acceptances, since) for one in every]
    done = [
        f"{one.about.pathway}: all its steps are done or accepted"
        for one, kept in zip(every, left, strict=True)
        if kept is None
    ]
    advised = [one for one in left if one is not None]
    advised += [cards.left_out(asked.site, report, left_out)] if left_out else []
    failed = [o for o in outcomes if isinstance(o, CouldNotTell) and o.failed]
    unevaluated = [cards.could_not_tell(asked.site, report, failed)] if failed else []
    quiet = tuple(f"{o.pathway}: {o.reason}" for o in outcomes if not isinstance(o, Advice) and o not in failed)
    broken = bool(failed) and len(failed) == len(outcomes)
    return StudyCards(report, (*advised, *unevaluated), (*quiet, *done), failed=broken, untold=bool(failed), said=said)


def _told(asked: Asked, advices: Sequence[Advice]) -> tuple[list[Advice], list[Advice]]:
    """What the reader's role is told, and the rest: what is held back may neither take a step away nor a place."""
    fatigue, roles = asked.context.fatigue, prefetch.roles(asked.request.prefetch)
    heard = [one.indicator is Indicator.CRITICAL or fatigue.tells(roles, one.pathway) for one in advices]
    return list(compress(advices, heard)), [one for one, told in zip(advices, heard, strict=True) if not told]


def _at(where: str, card: Card) -> Card:
    return replace(card, about=replace(card.about, site=where))
