"""How a study gets its row of the worklist: from what is known of it, and what may be shown of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cds.domain.critical import Category, CriticalFinding
from cds.domain.finding import NO_SERIES, Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.hold import Hold, HoldKind
from cds.domain.identity import Patient, Sex
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.order import OrderStatus, Priority, ServiceRequest
from cds.domain.revision import Work
from cds.domain.verification import FinalReport, Verdict, Verification
from cds.domain.wording import amount
from cds.ui.worklist import Entry, Line, Status, Urgency, named

_ALL_PERCENT = 100
#: As urgent as the order's own word, or the ACR category of a finding (doi:10.1016/j.jacr.2013.12.016).
_OF_ORDER = {
    Priority.STAT: Urgency.STAT,
    Priority.ASAP: Urgency.ASAP,
    Priority.URGENT: Urgency.URGENT,
    Priority.ROUTINE: Urgency.ROUTINE,
}
_OF_CATEGORY = {Category.MINUTES: Urgency.CRITICAL, Category.HOURS: Urgency.ASAP, Category.DAYS: Urgency.URGENT}
#: Holds that leave open whose the images are, or which images they are.
_DOUBTS = frozenset({
    HoldKind.MATCH_IN_DOUBT, HoldKind.STUDY_IDENTITY, HoldKind.INSTANCE_CONFLICT, HoldKind.ORDER_CANCELLED,
    HoldKind.VISIT_CANCELLED, HoldKind.WRONG_PATIENT,
})  # fmt: skip
_STATES = {
    "pending": Status.WAITING,
    "enqueued": Status.WAITING,
    "running": Status.ANALYSING,
    "failed": Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """A critical result that somebody still has to acknowledge."""

    title: str
    category: Category


@dataclass(frozen=True, slots=True)
class Facts:
    """What the store knows of one study, read in one look.

    `outcomes` are the newest of each model; `of_earlier_images` where images came since, which are not analysed yet.
    `orders` are all that share its accession number: a doubtful match must not slow an urgent study. `priors` counts
    the earlier exams that are here, None where it is not known whose the images are. `off` are switched-off models.
    """

    study: Study
    received_at: datetime
    is_coming: bool
    work: Work | None = None
    state: str = ""
    match: Match | None = None
    order: ServiceRequest | None = None
    orders: tuple[ServiceRequest, ...] = ()
    patient: Patient | None = None
    outcomes: tuple[ModelOutcome, ...] = ()
    of_earlier_images: bool = False
    verifications: tuple[Verification, ...] = ()
    final: FinalReport | None = None
    holds: tuple[Hold, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    priors: int | None = None
    off: frozenset[str] = frozenset()

    @property
    def is_doubtful(self) -> bool:
        """Whether a person has to say whose images these are."""
        held = self.match is not None and self.match.state is MatchState.HELD
        return held or bool(self.study.contradiction) or any(hold.kind in _DOUBTS for hold in self.holds)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the settings and the release say of a study now: its site, what its reader may see, what is critical.

    `is_hidden`: some model's reading is left out of it, since nobody sees that before they have read themselves.
    """

    site: str = ""
    seen: tuple[ModelOutcome, ...] = ()
    critical: tuple[CriticalFinding, ...] = ()
    is_hidden: bool = False


def entry(facts: Facts, judged: Judged) -> Entry:
    """The row of a study as it stands."""
    status = _status(facts, judged)
    lines = tuple(_lines(facts, judged))
    shown = () if facts.is_doubtful else tuple(_found(facts, judged))
    study, patient = facts.study, None if facts.is_doubtful else facts.patient
    accession = study.accession or (facts.order.accession if facts.order else None)
    return Entry(
        study_instance_uid=study.study_instance_uid,
        public_id=study.public_id,
        status=status,
        urgency=_urgency(facts, judged, status),
        since=facts.received_at if status.is_open else _finished_at(facts),
        why=tuple(_why(facts, judged, status)),
        patient_id=patient.id if patient else None,
        number=study.patient.value if study.patient else "",
        initials=f"{patient.name.given[:1]}{patient.name.family[:1]}".upper() if patient else "",
        sex=patient.sex if patient and patient.sex is not Sex.UNKNOWN else study.patient_sex,
        birth_date=(patient.birth_date if patient else None) or study.patient_birth_date,
        accession=accession.value if accession else "",
        description=study.description,
        study_date=study.study_date,
        modalities=study.modalities,
        site=judged.site,
        lines=lines,
        found=tuple(dict(shown).items()),
        priors=facts.priors,
        is_doubtful=facts.is_doubtful,
        is_hidden=judged.is_hidden,
    )


def _status(facts: Facts, judged: Judged) -> Status:
    if facts.order is not None and facts.order.test:
        return Status.TEST
    if facts.is_doubtful:
        return Status.HELD
    if facts.final is not None:
        return Status.DISCORDANT if any(hold.kind is HoldKind.DISCORDANT for hold in facts.holds) else Status.REPORTED
    return _analysis(facts) or _answer(judged)


def _analysis(facts: Facts) -> Status | None:
    """How far the analysis of the newest images is; None where it is done."""
    if facts.work is None:
        return Status.RECEIVING if facts.is_coming else Status.WAITING
    if facts.is_coming and facts.of_earlier_images:
        return Status.RECEIVING
    return _STATES.get(facts.state)


def _answer(judged: Judged) -> Status:
    evaluated = judged.is_hidden or any(isinstance(outcome, Findings) for outcome in judged.seen)
    return Status.ANALYSED if evaluated else Status.NOT_ANALYSED


def _finished_at(facts: Facts) -> datetime:
    if facts.final is None:
        return facts.received_at
    return facts.final.issued or facts.final.received_at


def _urgency(facts: Facts, judged: Judged, status: Status) -> Urgency:
    """The most urgent that anybody says: the orders, a critical finding, a contradiction that must not rest."""
    said = [_of_orders(facts)]
    said += [_OF_CATEGORY[one.category] for one in judged.critical]
    said += [_OF_CATEGORY[alarm.category] for alarm in facts.alarms]
    if status is Status.DISCORDANT:
        said.append(Urgency.URGENT)
    return min(said)


def _of_orders(facts: Facts) -> Urgency:
    stated = [_OF_ORDER[one.priority] for one in _living(facts) if one.priority is not None]
    return min(stated, default=Urgency.ROUTINE)


def _living(facts: Facts) -> list[ServiceRequest]:
    known = [*facts.orders, *([facts.order] if facts.order else [])]
    return [order for order in known if order.status is not OrderStatus.REVOKED]


def _why(facts: Facts, judged: Judged, status: Status) -> Iterator[str]:
    """The reasons, the weightiest first."""
    yield from _critical(facts, judged)
    yield from _waiting_alarms(facts, judged)
    if status is Status.DISCORDANT:
        yield from (hold.reason for hold in facts.holds if hold.kind is HoldKind.DISCORDANT)
    if facts.is_doubtful:
        yield f"held: {'; '.join(_doubts(facts)) or 'a person has to decide whose images these are'}"
    if status is Status.FAILED:
        reasons = [hold.reason for hold in facts.holds if hold.kind is HoldKind.WORK_FAILED]
        yield f"the analysis failed: {reasons[-1] if reasons else 'the reason is not known'}"
    if status is Status.NOT_ANALYSED:
        yield f"not analysed: {_unread(judged)}"
    yield from _about_images(facts)
    yield _ordered(facts)
    if status is Status.REPORTED:
        yield "the radiologist's final report is there"


def _critical(facts: Facts, judged: Judged) -> Iterator[str]:
    for one in judged.critical:
        finding = _finding(facts.outcomes, one.finding)
        sure = f", {_percent(finding.confidence)}" if finding and finding.confidence is not None else ""
        yield f"critical: {one.title} detected{sure}"


def _waiting_alarms(facts: Facts, judged: Judged) -> Iterator[str]:
    """Critical results that nobody has acknowledged, where the finding itself does not say so."""
    told = {one.title for one in judged.critical}
    waiting = {alarm.title for alarm in facts.alarms}
    if waiting & told:
        yield "not acknowledged yet"
    yield from (f"critical result not acknowledged: {title}" for title in sorted(waiting - told))


def _doubts(facts: Facts) -> list[str]:
    held = [hold.reason for hold in facts.holds if hold.kind in _DOUBTS]
    if facts.match is not None and facts.match.state is MatchState.HELD:
        held += facts.match.reasons
    return list(dict.fromkeys(filter(None, [*held, facts.study.contradiction])))


def _unread(judged: Judged) -> str:
    reasons = [o.reasons for o in judged.seen if isinstance(o, NotEvaluated) and o.gate != NO_SERIES]
    return "; ".join(dict.fromkeys(one for each in reasons for one in each)) or "no model here reads images like these"


def _about_images(facts: Facts) -> Iterator[str]:
    if facts.of_earlier_images:
        yield "images came since, which are not analysed yet"
    if facts.study.incomplete:
        yield f"incomplete: {facts.study.incomplete.rstrip('.')}"
    yield from (hold.reason for hold in facts.holds if hold.kind in (HoldKind.MATCH_PROPOSED, HoldKind.CRITICAL_LATE))


def _ordered(facts: Facts) -> str:
    """What the order says; a priority that nobody stated is not called routine."""
    living = _living(facts)
    if not living:
        return "no order is known"
    stated = [_OF_ORDER[one.priority] for one in living if one.priority is not None]
    if not stated:
        return "the order states no priority"
    most = min(stated)
    return f"{most.words if most in (Urgency.STAT, Urgency.ASAP) else most.words.lower()} by the order"


def _lines(facts: Facts, judged: Judged) -> Iterator[Line]:
    """Of a study in doubt only what is critical."""
    loud = {one.finding for one in judged.critical}
    verdicts = {said.finding.name: said.verdict.value for said in facts.verifications}
    for outcome in facts.outcomes if facts.is_doubtful else judged.seen:
        if isinstance(outcome, NotEvaluated):
            if not facts.is_doubtful and outcome.gate != NO_SERIES:
                yield Line(Presence.NOT_EVALUATED, f"{outcome.model}: {'; '.join(outcome.reasons)}")
            continue
        for finding in outcome.findings:
            name = f"{outcome.model}.{finding.key}"
            if name in loud or not facts.is_doubtful:
                yield Line(finding.presence, _text(outcome.model, finding), verdicts.get(name, ""), name in loud)


def _text(model: str, finding: Finding) -> str:
    """A finding in a few words. What was not detected is not excluded (SAFETY section 6)."""
    title = f"{_title(finding)} ({finding.laterality})" if finding.laterality else _title(finding)
    if finding.presence is Presence.NOT_EVALUATED:
        return f"{title}: {finding.reason or 'the reason is not known'}"
    if finding.presence is Presence.NOT_DETECTED:
        at = f" at threshold {amount(finding.threshold)}" if finding.threshold else ""
        return f"{title} not detected by {model}{at}; does not exclude"
    if finding.presence is Presence.MEASURED and finding.value is not None:
        return f"{title} {amount(finding.value)}"
    return f"{title} {_percent(finding.confidence)}" if finding.confidence is not None else title


def _found(facts: Facts, judged: Judged) -> Iterator[tuple[str, str]]:
    """What a filter finds a study by: what is there, unless a radiologist rejected it."""
    rejected = {said.finding.name for said in facts.verifications if said.verdict is Verdict.REJECTED}
    for outcome in judged.seen:
        for finding in outcome.findings if isinstance(outcome, Findings) else ():
            if finding.presence is Presence.PRESENT and f"{outcome.model}.{finding.key}" not in rejected:
                yield named(_title(finding)), _title(finding)


def _finding(outcomes: Iterable[ModelOutcome], name: str) -> Finding | None:
    every = (
        (f"{outcome.model}.{finding.key}", finding)
        for outcome in outcomes
        if isinstance(outcome, Findings)
        for finding in outcome.findings
    )
    return next((finding for key, finding in every if key == name), None)


def _title(finding: Finding) -> str:
    return finding.code.display or finding.key


def _percent(part: float) -> str:
    """Whole percents; certainty is not made by rounding."""
    whole = min(max(round(part * _ALL_PERCENT), 0), _ALL_PERCENT)
    if whole == _ALL_PERCENT and part < 1:
        return "> 99 %"
    return "< 1 %" if whole == 0 and part > 0 else f"{whole} %"
