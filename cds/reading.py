"""Steps 2 and 3 of a study: which of its images each model looks at, and what it says of them.

Nothing here judges: a model's refusal is told as it is. Beside `pipeline`, which has the other steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cds import release
from cds.domain.finding import NO_SERIES, UNUSABLE, Findings, ModelOutcome, NotEvaluated
from cds.domain.imaging import ImageRef, ModelInput, Projections, SeriesSummary, Study, VolumeRef
from cds.domain.inference import Progress, RunWish, StudyFacts
from cds.domain.matching import Match
from cds.domain.model import FindingModel
from cds.domain.order import QUEUE_PRIORITY, OrderStatus, Priority, ServiceRequest, queue_priority
from cds.domain.report import Mode
from cds.domain.revision import Work
from cds.domain.series import age_years
from cds.domain.switch import SwitchKind
from cds.errors import Cancelled, NotEvaluable
from cds.line import Line
from cds.logs import get_logger

#: A series that cannot be read is followed by the next best one, this many in all.
_SERIES_TRIED = 3
#: Gates of a series that the reader is told of: it is of the right kind, and may still not be measured.
_TOLD = frozenset({"age", "contrast"})
#: What an order's reason raises a study to, at least: before all that is not itself stat.
_RAISED = QUEUE_PRIORITY[Priority.ASAP]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What one model will look at, or why there is nothing to look at."""

    model: str
    volume: VolumeRef | None = None
    refusals: tuple[str, ...] = ()
    gate: str = ""
    projections: Projections | None = None

    @property
    def given(self) -> ModelInput | None:
        """The volume or the projections."""
        return self.volume or self.projections

    @property
    def is_there(self) -> bool:
        """True where every file of it is still on disk."""
        images = self.projections.images if self.projections else ()
        paths = [*([self.volume.path] if self.volume else []), *(image.path for image in images)]
        return all(Path(path).exists() for path in paths)


def _untold(_given: ModelInput) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model may look at, what is known beside it, how the run is wanted, and who hears what it is given."""

    series: Sequence[SeriesSummary]
    about: StudyFacts
    wish: RunWish = field(default_factory=RunWish)
    seen: Callable[[ModelInput], None] = _untold


def retrieve(line: Line, work_id: str) -> list[str]:
    """Step 2: what each model wants of the images, on disk. Answers the models that still have to run."""
    work = line.works.work(work_id)
    study = line.studies.study(work.study_instance_uid)
    series = line.studies.series(work.study_instance_uid, work.revision.image)
    done = {(o.model, o.version) for o in line.works.outcomes(work)}
    wanted = [m for m in active(line, study) if (m.id, m.version) not in done]
    about = facts(study, _orders(line, work, study))
    found = tuple(look(line, work.id, model, Asked(series, about)) for model in wanted)
    detail = [_told(one) for one in found]
    detail += [f"{model}: evaluated before on these images" for model, _ in sorted(done)]
    detail += [f"{model.id}: urgent, by the reason of the order" for model in wanted if model.is_urgent(about)]
    line.works.save_step(
        work, "retrieve", tuple[Retrieved, ...], found, line.clock.now(), outcome="done", detail=tuple(detail)
    )
    return [model.id for model in sorted(wanted, key=lambda model: not model.is_urgent(about))]


def infer(line: Line, work_id: str, model_id: str) -> str:
    """Step 3: one model. Answers what it came to: findings, or not-evaluated, which is no negative."""
    work = line.works.work(work_id)
    model = line.models[model_id]
    if line.switches.off(SwitchKind.MODEL, model_id):
        return "switched-off"
    study = line.studies.study(work.study_instance_uid)
    orders = _orders(line, work, study)
    about = facts(study, orders)
    retrieved: tuple[Retrieved, ...] = line.works.step(work_id, "retrieve", tuple[Retrieved, ...]) or ()
    mine = next((r for r in retrieved if r.model == model_id), None)
    series = line.studies.series(work.study_instance_uid, work.revision.image)
    wish = _wish(line, model, about, orders)
    asked = Asked(series, about, wish, lambda given: line.seen(work, model.id, model.version, given))
    if mine is None or not mine.is_there:
        mine = look(line, work.id, model, asked)
    try:
        outcome = said(line, work.id, model, asked, mine)
    except Cancelled:
        return "switched-off"
    if isinstance(outcome, NotEvaluated) and outcome.gate == UNUSABLE:
        line.alarm(f"model-unusable:{model.id}:{model.version}", "; ".join(outcome.reasons))
    now = line.clock.now()
    line.works.save_outcome(work, outcome, now)
    line.works.save_step(
        work, f"infer {model_id}", ModelOutcome, outcome, now, outcome=outcome.kind, detail=_evaluated(outcome)
    )
    return outcome.kind


def said(line: Line, work_id: str, model: FindingModel, asked: Asked, found: Retrieved) -> ModelOutcome:
    """What a model says of what was found for it; of the next best series where it refuses the first.

    Raise Cancelled where the wish says, in the middle, that it is wanted no more.
    """
    refusals: list[str] = []
    gate, tried = "", 0
    while found.given is not None:
        asked.seen(found.given)
        outcome = model.run(found.given, line.artifacts.scratch(work_id), asked.wish)
        if isinstance(outcome, Findings):
            return replace(outcome, limits=(*model.cautions(asked.about), *outcome.limits))
        refusals += outcome.reasons
        gate, tried = gate or outcome.gate, tried + 1
        if model.reads == "projection" or tried == _SERIES_TRIED:
            return replace(outcome, reasons=tuple(dict.fromkeys(refusals)), gate=gate)
        refused = found.given.series_instance_uid
        asked = replace(asked, series=tuple(one for one in asked.series if one.series_instance_uid != refused))
        found, last = look(line, work_id, model, asked), outcome
        if found.given is None:
            return replace(last, reasons=tuple(dict.fromkeys(refusals)), gate=gate)
    return NotEvaluated(model.id, model.version, found.refusals, gate=found.gate)


def active(line: Line, study: Study) -> list[FindingModel]:
    """The models that look at a study: shadow ones too, switched-off ones not."""
    where = release.site(line.settings, study)
    return [
        model
        for model in line.models.values()
        if line.settings.model_mode(model.id, where) is not Mode.OFF
        and not line.switches.off(SwitchKind.MODEL, model.id)
    ]


def queue_place(line: Line, work_id: str, place: int) -> int:
    """The place of a work in the queue (1 is the most urgent): its order's, or sooner where the reason asks for it."""
    work = line.works.work(work_id)
    study = line.studies.study(work.study_instance_uid)
    about = facts(study, _orders(line, work, study))
    return min(place, _RAISED) if any(model.is_urgent(about) for model in active(line, study)) else place


def facts(study: Study, orders: Sequence[ServiceRequest]) -> StudyFacts:
    """What is known of a study beside its images; cancelled orders say nothing."""
    live = [order for order in orders if order.status is not OrderStatus.REVOKED]
    return StudyFacts(
        age_years=age_years(study.patient_birth_date, study.study_date),
        study_description=study.description,
        procedures=tuple(order.procedure for order in live if order.procedure),
        reasons=tuple(reason for order in live for reason in order.reasons),
        reason=" ".join(text for order in live for text in (order.reason_text, order.clinical_information) if text),
    )


def look(line: Line, work_id: str, model: FindingModel, asked: Asked) -> Retrieved:
    """The volume or the projections of these series that a model looks at, written to the work's folder."""
    chosen = model.choose(asked.series, asked.about)
    if not chosen:
        return _nothing(model, asked)
    if model.reads == "projection":
        return _projections(line, work_id, model, chosen)
    refusals: list[str] = []
    gate = ""
    for candidate in chosen[:_SERIES_TRIED]:
        try:
            volume = line.images.volume(candidate, line.artifacts.scratch(work_id))
        except NotEvaluable as error:
            refusals.append(str(error))
            gate = gate or error.gate
        else:
            return Retrieved(model.id, volume)
    return Retrieved(model.id, None, tuple(dict.fromkeys(refusals)), gate)


def _nothing(model: FindingModel, asked: Asked) -> Retrieved:
    """No series is tried; of those that it would read but for the patient or the contrast, the reader is told."""
    refused = [one for series in asked.series if (one := model.refusal(series, asked.about)) and one[0] in _TOLD]
    if refused:
        return Retrieved(model.id, None, tuple(dict.fromkeys(reason for _, reason in refused)), refused[0][0])
    return Retrieved(model.id, None, ("no series of this study is one that the model reads",), NO_SERIES)


def _projections(line: Line, work_id: str, model: FindingModel, chosen: Sequence[SeriesSummary]) -> Retrieved:
    images: list[ImageRef] = []
    refusals: list[str] = []
    gate = ""
    for candidate in chosen:
        try:
            images += line.images.images(candidate, line.artifacts.scratch(work_id))
        except NotEvaluable as error:
            refusals.append(str(error))
            gate = gate or error.gate
    if images:
        return Retrieved(model.id, projections=Projections(tuple(images)))
    return Retrieved(model.id, None, tuple(dict.fromkeys(refusals)), gate)


def _orders(line: Line, work: Work, study: Study) -> list[ServiceRequest]:
    """The order that it was matched with; before that, those that share its accession number.

    They only decide what is looked at and how soon: a doubtful match must not slow an urgent study.
    """
    found: Match | None = line.works.step(work.id, "match", Match)
    if found is not None and found.order_id:
        return [line.record.order(found.order_id)]
    if study.accession is None:
        return []
    return [order for order, _ in line.record.order_candidates(study.accession.value)]


def _wish(line: Line, model: FindingModel, about: StudyFacts, orders: Sequence[ServiceRequest]) -> RunWish:
    """As urgent as the order, or its reason; not wanted any more once somebody switched the model off.

    A later image revision stops nothing: what the first images show is told before the last ones are here.
    """

    def told(progress: Progress) -> None:
        log.debug("a model works", model=model.id, step=progress.step, count=progress.done)

    place = min(queue_priority(orders), _RAISED) if model.is_urgent(about) else queue_priority(orders)
    return RunWish(place, lambda: line.switches.off(SwitchKind.MODEL, model.id), told)


def _told(found: Retrieved) -> str:
    if found.given is None:
        return f"{found.model}: {'; '.join(found.refusals)}"
    if found.projections:
        series = dict.fromkeys(image.series_instance_uid for image in found.projections.images)
        return f"{found.model}: {len(found.projections.images)} images of series {', '.join(series)} chosen"
    return f"{found.model}: series {found.given.series_instance_uid} chosen"


def _evaluated(outcome: ModelOutcome) -> tuple[str, ...]:
    """What a model came to, with the gates that were passed, or the one that was not."""
    if isinstance(outcome, NotEvaluated):
        return (*outcome.reasons, *((f"gate not passed: {outcome.gate}",) if outcome.gate else ()))
    found = (
        f"{f.code.display}: " + (f"{f.value.value:.4g} {f.value.unit}" if f.value else f.presence.value)
        for f in outcome.findings
    )
    gates = dict.fromkeys(gate for f in outcome.findings for gate in f.gates)
    return (*found, *(f"gate passed: {gate}" for gate in gates))
