"""What the study page shows beside the images: findings, what guidelines say, people's words, and how it came about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cds.domain import conclusion
from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.imaging import Study
from cds.domain.longitudinal import Earlier, Repeatability, compare
from cds.domain.opinion import Remark, remarks, verifications
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.domain.report import Report
from cds.domain.second_reading import ScreeningResult
from cds.domain.story import Story
from cds.domain.verification import Agreement, Comparison, FinalReport, Verdict
from cds.domain.wording import amount, details
from cds.ui.people import Person
from cds.ui.second_reader import Beside

NOTICE = (
    f"{conclusion.DISCLAIMER} Advice for a clinician, who decides. Research software, not a cleared medical device. "
    "Confirming a finding here verifies the finding; only the report signed in the RIS is the radiology report."
)
#: The indicator in words, and the kind of its badge: no colour tells it alone.
URGENCIES: Mapping[Indicator, tuple[str, str]] = {
    Indicator.INFO: ("info", "Information"),
    Indicator.WARNING: ("warn", "Warning"),
    Indicator.CRITICAL: ("critical", "Critical"),
}
_NO_STEP = "No guideline that could be evaluated has a step to suggest."
_NO_GUIDELINE = "No guideline is in use here for such a study."
#: What a badge says of a finding: kind and words; no negative is told as normal.
PRESENCES: Mapping[Presence, tuple[str, str]] = {
    Presence.PRESENT: ("warn", "detected"),
    Presence.NOT_DETECTED: ("muted", "not detected; does not exclude"),
    Presence.MEASURED: ("info", "measured"),
    Presence.NOT_EVALUATED: ("muted", "not evaluated"),
}
VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    Verdict.CONFIRMED: ("ok", "confirmed by a radiologist"),
    Verdict.CORRECTED: ("ok", "corrected by a radiologist"),
    Verdict.REJECTED: ("muted", "rejected by a radiologist"),
}
AGREEMENTS: Mapping[Agreement, tuple[str, str]] = {
    Agreement.AGREES: ("ok", "the final report agrees"),
    Agreement.DISCORDANT: ("warn", "the final report contradicts"),
    Agreement.NOT_COMPARABLE: ("muted", "not comparable with the final report"),
}


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a finding on a day; `version` of the model that measured it."""

    on: date
    value: Quantity
    version: str


@dataclass(frozen=True, slots=True)
class FindingShown:
    """A finding as the page tells it. `points` are its values over time, oldest first, where there are several."""

    name: str
    key: str
    model: str
    version: str
    title: str
    presence: Presence
    text: str
    confidence: float | None
    threshold: str
    details: tuple[str, ...]
    gates: tuple[str, ...]
    remarks: tuple[Remark, ...]
    verdict: Verdict | None
    comparison: Comparison | None
    unit: str | None
    is_critical: bool
    points: tuple[Point, ...] = ()

    @property
    def badge(self) -> tuple[str, str]:
        """Kind and words of its badge."""
        return PRESENCES[self.presence]


@dataclass(frozen=True, slots=True)
class ModelShown:
    """What one model found in the study, with its limits."""

    model: str
    version: str
    findings: tuple[FindingShown, ...]
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study for one person. `report` is what they may see of the newest version; None with `nothing` as why.

    `is_full` for a radiologist at work; everybody else sees what is released to the care team.
    """

    study: Study
    patient_id: str | None
    is_full: bool
    report: Report | None
    nothing: str = ""
    models: tuple[ModelShown, ...] = ()
    refused: tuple[NotEvaluated, ...] = ()
    advice: tuple[Advice, ...] = ()
    untold: tuple[CouldNotTell, ...] = ()
    no_advice: str = ""
    verified: str = ""
    quiet: tuple[str, ...] = ()
    final: FinalReport | None = None
    discordant: tuple[str, ...] = ()
    beside: tuple[Beside, ...] = ()
    result: ScreeningResult | None = None
    is_screened: bool = False
    is_newer_under_way: bool = False

    @property
    def is_hidden(self) -> bool:
        """Whether some model's reading is hidden until a radiologist's own is recorded."""
        return any(one.is_hidden for one in self.beside)


@dataclass(frozen=True, slots=True)
class VerdictGiven:
    """A radiologist's word as the form sent it, on the images and the model version that they looked at."""

    finding: str
    version: str
    image_revision: int
    verdict: Verdict
    reason: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class StudyServices:
    """What the routes of the study page use. Each raises NotFound, in the same words whatever the reason."""

    #: (who, public id) → the page; it is in the audit log before it is answered.
    view: Callable[[Person, str], StudyView]
    #: (who, public id) → the report as they may see it, for a document.
    report: Callable[[Person, str], Report]
    #: (who, public id, what they say) → False where they said so before; raises InvalidInput, Conflict.
    verify: Callable[[Person, str, VerdictGiven], bool]
    #: (who, public id) → the story of the study, without what is hidden or for nobody's eyes.
    story: Callable[[Person, str], Story]
    #: The card of a model as Markdown; raises NotFound.
    card: Callable[[str], str]
    #: The Study Instance UID of a public id.
    uid: Callable[[str], str]


def models(report: Report, points: Mapping[str, tuple[Point, ...]]) -> tuple[ModelShown, ...]:
    """What the models found, as far as the report shows it."""
    return tuple(
        ModelShown(said.model, said.version, tuple(_findings(report, said, points)), said.limits)
        for said in report.outcomes
        if isinstance(said, Findings)
    )


def refused(report: Report) -> tuple[NotEvaluated, ...]:
    """Models that could not evaluate the study, each with its reasons."""
    return tuple(said for said in report.outcomes if isinstance(said, NotEvaluated))


def advised(said: Iterable[PathwayOutcome]) -> tuple[tuple[Advice, ...], tuple[CouldNotTell, ...]]:
    """What pathways advise, and what could not be told."""
    told = tuple(said)
    advice = tuple(one for one in told if isinstance(one, Advice))
    return advice, tuple(one for one in told if isinstance(one, CouldNotTell))


def without_advice(said: Iterable[PathwayOutcome]) -> str:
    """Why no guideline suggests anything: "" where one does, or where none could be evaluated."""
    told = tuple(said)
    if any(isinstance(one, Advice) for one in told):
        return ""
    if not told:
        return _NO_GUIDELINE
    return _NO_STEP if any(isinstance(one, NothingToSay) for one in told) else ""


def verified(report: Report) -> str:
    """How much of what is shown a radiologist has looked at; who said what stands beside each finding."""
    shown = {
        f"{one.model}.{finding.key}"
        for one in report.outcomes
        if isinstance(one, Findings)
        for finding in one.findings
        if finding.presence is not Presence.NOT_EVALUATED
    }
    said = len(shown & {one.finding.name for one in report.verifications})
    whole = f"{len(shown)} {'finding' if len(shown) == 1 else 'findings'}"
    return f"Verified by a radiologist: {said or 'none'} of {whole}." if shown else "No finding could be evaluated."


def over_time(report: Report, earlier: Sequence[Report]) -> dict[str, tuple[Point, ...]]:
    """The values of each finding in this and in earlier studies, by its name; alone it has no line.

    Matched as comparisons are: by code, site and side, and by tracking id for a lesion among several. Another model, or
    what that study has no day of, is not compared.
    """
    today = report.study.study_date
    found: dict[str, list[Point]] = {}
    for said in report.outcomes if today else ():
        if isinstance(said, Findings) and today:
            for name, point in _points(said, today, earlier):
                found.setdefault(name, []).append(point)
    return {name: tuple(sorted(points, key=lambda one: one.on)) for name, points in found.items() if len(points) > 1}


def quiet(report: Report) -> tuple[str, ...]:
    """Why guidelines are silent, and what else the reader must know of the whole."""
    return (*conclusion.unattached(report), *conclusion.incomplete(report), *conclusion.withheld(report))


def _findings(
    report: Report, said: Findings, points: Mapping[str, tuple[Point, ...]]
) -> Iterator[FindingShown]:  # fmt: skip
    for finding in said.findings:
        name = f"{said.model}.{finding.key}"
        told = verifications(report, said.model, said.version, finding.key)
        yield FindingShown(
            name=name,
            key=finding.key,
            model=said.model,
            version=said.version,
            title=finding.code.display or finding.key,
            presence=finding.presence,
            text=_text(finding, said),
            confidence=finding.confidence,
            threshold=amount(finding.threshold) if finding.threshold else "",
            details=tuple(details(finding)),
            gates=finding.gates,
            remarks=tuple(remarks(report, said.model, said.version, finding.key, amount)),
            verdict=told[-1].verdict if told else None,
            comparison=next((c for c in report.decision.comparisons if c.finding == name), None),
            unit=finding.value.unit if finding.value else None,
            is_critical=name in report.critical,
            points=points.get(name, ()),
        )


def _text(finding: Finding, said: Findings) -> str:
    """The value, and a negative in the words of SAFETY section 6."""
    if finding.presence is Presence.NOT_EVALUATED:
        return finding.reason or "the model gives no reason"
    value = amount(finding.value) if finding.value else ""
    negative = finding.presence is Presence.NOT_DETECTED
    absent = conclusion.absence(finding, said.model, said.version) if negative else ""
    return ", ".join(filter(None, (value, absent)))


def _points(said: Findings, today: date, earlier: Sequence[Report]) -> Iterator[tuple[str, Point]]:
    for finding in said.findings:
        if finding.value is not None and finding.presence is not Presence.NOT_EVALUATED:
            yield f"{said.model}.{finding.key}", Point(today, finding.value, said.version)
    for one in earlier:
        then = one.study.study_date
        for other in one.outcomes:
            if isinstance(other, Findings) and other.model == said.model and then is not None and then < today:
                before = Earlier(one.study.study_instance_uid, then, other)
                for change in compare(said, today, before, _no_error):
                    yield f"{said.model}.{change.key}", Point(then, change.change.prior, other.version)


def _no_error(_key: str) -> Repeatability | None:
    return None
