"""One study, step by step, top to bottom. Every step may be repeated: what it found is stored under the work's id.

match → retrieve → infer (per model) → enrich → decide → report → deliver. `cds/workflow.py` runs them durably;
nothing here knows how. Steps take a work id and give back small values, no PHI.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from cds import metrics, release
from cds.domain import matching
from cds.domain.ehr import EhrData
from cds.domain.finding import Findings, ModelOutcome, NotEvaluated
from cds.domain.identity import Patient
from cds.domain.imaging import SeriesSummary, Study, VolumeRef
from cds.domain.matching import Match, MatchState
from cds.domain.order import ServiceRequest
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import Audience, Decision, Delivery, Mode, Release, Report
from cds.domain.resource import Encode, NewResource
from cds.domain.revision import Work
from cds.errors import NotEvaluable, PeerRefused, Unavailable
from cds.ports import ArtifactStore, Clock, FindingModel, ImageSource, PatientRecord, ReportSink
from cds.record import assemble
from cds.settings import Settings

#: A series that cannot be read is followed by the next best one, this many in all.
_SERIES_TRIED = 3


class Studies(Protocol):
    """What the pipeline asks of the image index."""

    def study(self, uid: str) -> Study:
        """One study."""
        ...

    def series(self, uid: str, image_revision: int) -> Sequence[SeriesSummary]:
        """Its series in an image revision."""
        ...


class Orders(PatientRecord, Protocol):
    """What the pipeline asks of the record."""

    def order(self, order_id: str) -> ServiceRequest:
        """One order."""
        ...

    def patient_by_id(self, patient_id: str) -> Patient:
        """One patient."""
        ...

    def order_candidates(self, accession_number: str) -> tuple[tuple[ServiceRequest, Patient], ...]:
        """Orders that share an accession number."""
        ...


class Works(Protocol):
    """Where steps keep what they found."""

    def work(self, work_id: str) -> Work:
        """One work."""
        ...

    def mark(self, work_id: str, state: str, now: datetime) -> None:
        """Move a work to another state."""
        ...

    def save_step(
        self,
        work: Work,
        step: str,
        kind: Any,
        value: object,
        now: datetime,
        *,
        outcome: str,
        detail: tuple[str, ...] = (),
    ) -> None:
        """Keep what a step found."""
        ...

    def step(self, work_id: str, step: str, kind: Any) -> Any:
        """What a step found."""
        ...

    def save_outcome(self, work: Work, outcome: ModelOutcome, now: datetime) -> None:
        """Keep a model's answer."""
        ...

    def outcomes(self, work: Work) -> tuple[ModelOutcome, ...]:
        """All models' answers on the work's images."""
        ...

    def hold(self, work: Work, kind: str, reason: str, now: datetime) -> None:
        """Hold for a person."""
        ...


class Committed(Protocol):
    """What committing a report left."""

    @property
    def version(self) -> int:
        """The report's version."""
        ...

    @property
    def deliveries(self) -> tuple[str, ...]:
        """The deliveries that wait."""
        ...

    @property
    def superseded(self) -> bool:
        """True where a later revision was reported first."""
        ...


class Reports(Protocol):
    """Where reports are committed."""

    def commit(
        self,
        report: Report,
        encode: Encode,
        now: datetime,
    ) -> Committed:
        """All or nothing, once per work."""
        ...

    def latest_of_study(self, study_uid: str) -> Report | None:
        """The newest report of a study."""
        ...


class Deliveries(Protocol):
    """Where deliveries wait."""

    def delivery(self, delivery_id: str) -> Delivery:
        """One delivery."""
        ...

    def sent(self, delivery_id: str, acknowledgment: str, now: datetime) -> None:
        """It arrived."""
        ...

    def refused(self, delivery_id: str, acknowledgment: str, now: datetime) -> None:
        """It was refused for good."""
        ...

    def attempted(self, delivery_id: str, reason: str, now: datetime) -> int:
        """It failed for now."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Everything that the steps need."""

    settings: Settings
    clock: Clock
    studies: Studies
    record: Orders
    works: Works
    reports: Reports
    deliveries: Deliveries
    models: Mapping[str, FindingModel]
    images: ImageSource
    artifacts: ArtifactStore
    sinks: Mapping[str, ReportSink]
    evaluate: Callable[[Case], tuple[PathwayOutcome, ...]]
    resources: Callable[[Report], Sequence[NewResource]]
    withdraw: Callable[[Mapping[str, object], str | None], NewResource]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What one model will look at, or why there is nothing to look at."""

    model: str
    volume: VolumeRef | None
    refusals: tuple[str, ...] = ()
    gate: str = ""


def match(line: Line, work_id: str) -> str:
    """Step 1: order ↔ study. Answers matched, unmatched or held."""
    work = line.works.work(work_id)
    line.works.mark(work_id, "running", line.clock.now())
    study = line.studies.study(work.study_instance_uid)
    candidates = line.record.order_candidates(study.accession.value) if study.accession else ()
    result = matching.match(study, candidates)
    now = line.clock.now()
    if result.state is MatchState.HELD:
        line.works.hold(work, "match-in-doubt", "; ".join(result.reasons), now)
    line.works.save_step(work, "match", Match, result, now, outcome=result.state.value, detail=result.reasons)
    return result.state.value


def retrieve(line: Line, work_id: str) -> list[str]:
    """Step 2: the series that each model wants, as volumes on disk. Answers the models that still have to run."""
    work = line.works.work(work_id)
    series = line.studies.series(work.study_instance_uid, work.revision.image)
    done = {(o.model, o.version) for o in line.works.outcomes(work)}
    wanted = [m for m in _active(line) if (m.id, m.version) not in done]
    found = tuple(_retrieve(line, work, model, series) for model in wanted)
    detail = [f"{r.model}: series chosen" if r.volume else f"{r.model}: {'; '.join(r.refusals)}" for r in found]
    detail += [f"{model}: evaluated before on these images" for model, _ in sorted(done)]
    line.works.save_step(
        work, "retrieve", tuple[Retrieved, ...], found, line.clock.now(), outcome="done", detail=tuple(detail)
    )
    return [model.id for model in wanted]


def infer(line: Line, work_id: str, model_id: str) -> str:
    """Step 3: one model. Answers what it came to: findings, or not-evaluated, which is no negative."""
    work = line.works.work(work_id)
    model = line.models[model_id]
    retrieved: tuple[Retrieved, ...] = line.works.step(work_id, "retrieve", tuple[Retrieved, ...]) or ()
    mine = next((r for r in retrieved if r.model == model_id), None)
    if mine is None or (mine.volume and not Path(mine.volume.path).exists()):
        series = line.studies.series(work.study_instance_uid, work.revision.image)
        mine = _retrieve(line, work, model, series)
    outcome: ModelOutcome
    if mine.volume is None:
        outcome = NotEvaluated(model.id, model.version, mine.refusals, gate=mine.gate)
    else:
        outcome = model.run(mine.volume, line.artifacts.scratch(work_id))
    now = line.clock.now()
    line.works.save_outcome(work, outcome, now)
    line.works.save_step(
        work, f"infer {model_id}", ModelOutcome, outcome, now, outcome=outcome.kind, detail=_said(outcome)
    )
    return outcome.kind


def enrich(line: Line, work_id: str) -> bool:
    """Step 4: what the record knows of the patient, dated. Answers False where the study has no patient."""
    work = line.works.work(work_id)
    patient = _patient(line, work_id)
    if patient is None:
        return False
    now = line.clock.now()
    statements = line.record.statements(patient)
    ehr = assemble(patient, statements, now=now)
    detail = (f"{len(statements.statements)} statements from {len(statements.searched)} sources",)
    line.works.save_step(work, "enrich", EhrData, ehr, now, outcome="done", detail=detail)
    return True


def decide(line: Line, work_id: str) -> list[str]:
    """Step 5: pathways and release, pure functions over stored values. Answers the audiences that may see it now."""
    work = line.works.work(work_id)
    study = line.studies.study(work.study_instance_uid)
    outcomes = line.works.outcomes(work)
    ehr: EhrData | None = line.works.step(work_id, "enrich", EhrData)
    today = line.clock.today()
    said: tuple[PathwayOutcome, ...] = ()
    if ehr is not None and study.study_date is not None:
        series = line.studies.series(study.study_instance_uid, work.revision.image)
        said = line.evaluate(
            Case(
                study_date=study.study_date,
                study_instance_uid=study.study_instance_uid,
                modality=series[0].modality if series else "",
                outcomes=_advisory(line, work),
                ehr=ehr,
                today=today,
                site=dict(line.settings.site_options),
            )
        )
    allowed: Release = release.decide(line.settings, _match(line, work_id), outcomes, verified=False)
    decision = Decision(said, allowed, today)
    undated = () if study.study_date else ("no pathway: the images carry no study date",)
    detail = (*(f"{o.pathway}: {o.kind}" for o in said), *undated, *allowed.withheld)
    line.works.save_step(work, "decide", Decision, decision, line.clock.now(), outcome="done", detail=detail)
    return sorted(a.value for a in allowed.audiences)


def report(line: Line, work_id: str) -> list[str]:
    """Step 6: commit the report with its resources and deliveries. Answers the deliveries that wait.

    A held study gets no report; one that was reported before gets a version that nobody sees and that withdraws it.
    """
    work = line.works.work(work_id)
    found = _match(line, work_id)
    if found.state is MatchState.HELD and line.reports.latest_of_study(work.study_instance_uid) is None:
        line.works.mark(work_id, "held", line.clock.now())
        return []
    patient = _patient(line, work_id)
    draft = Report(
        work=work,
        version=0,
        study=line.studies.study(work.study_instance_uid),
        match=found,
        patient=patient,
        order=line.record.order(found.order_id) if found.order_id else None,
        outcomes=_advisory(line, work),
        ehr=line.works.step(work_id, "enrich", EhrData),
        decision=line.works.step(work_id, "decide", Decision),
        issued=line.clock.now(),
    )
    encode = Encode(lambda final: _resources(line, final), lambda final: _deliveries(line, final), line.withdraw)
    committed = line.reports.commit(draft, encode, line.clock.now())
    return list(committed.deliveries)


def deliver(line: Line, delivery_id: str) -> str:
    """Step 7, one attempt: send to one destination. Answers sent, refused or retry."""
    delivery = line.deliveries.delivery(delivery_id)
    if delivery.state.value != "pending":
        return delivery.state.value
    sink = line.sinks.get(delivery.destination)
    if sink is None:
        line.deliveries.attempted(delivery_id, "this destination is not configured any more", line.clock.now())
        return "retry"
    try:
        acknowledgment = sink.send(delivery.payload)
    except Unavailable as error:
        line.deliveries.attempted(delivery_id, str(error), line.clock.now())
        outcome = "retry"
    except PeerRefused as error:
        line.deliveries.refused(delivery_id, str(error), line.clock.now())
        outcome = "refused"
    else:
        line.deliveries.sent(delivery_id, acknowledgment, line.clock.now())
        outcome = "sent"
    metrics.DELIVERIES.inc(destination=delivery.destination, outcome=outcome)
    return outcome


def _active(line: Line) -> list[FindingModel]:
    return [m for m in line.models.values() if line.settings.model_mode(m.id) is not Mode.OFF]


def _advisory(line: Line, work: Work) -> tuple[ModelOutcome, ...]:
    """The outcomes that may leave the house; those of shadow models are for the quality page alone."""
    return tuple(o for o in line.works.outcomes(work) if line.settings.model_mode(o.model) is Mode.ADVISORY)


def _retrieve(line: Line, work: Work, model: FindingModel, series: Sequence[SeriesSummary]) -> Retrieved:
    chosen = model.choose(series)
    if not chosen:
        return Retrieved(model.id, None, ("no series of this study is one that the model reads",), "series")
    refusals: list[str] = []
    gate = ""
    for candidate in chosen[:_SERIES_TRIED]:
        try:
            volume = line.images.volume(candidate, line.artifacts.scratch(work.id))
        except NotEvaluable as error:
            refusals.append(str(error))
            gate = gate or error.gate
        else:
            return Retrieved(model.id, volume)
    return Retrieved(model.id, None, tuple(dict.fromkeys(refusals)), gate)


def _match(line: Line, work_id: str) -> Match:
    found: Match | None = line.works.step(work_id, "match", Match)
    if found is None:
        raise Unavailable("the match of this work is not there yet")
    return found


def _patient(line: Line, work_id: str) -> Patient | None:
    patient_id = _match(line, work_id).patient_id
    return line.record.patient_by_id(patient_id) if patient_id else None


def _said(outcome: ModelOutcome) -> tuple[str, ...]:
    if isinstance(outcome, Findings):
        return tuple(
            f"{f.code.display}: " + (f"{f.value.value:.4g} {f.value.unit}" if f.value else f.presence.value)
            for f in outcome.findings
        )
    return outcome.reasons


def _resources(line: Line, final: Report) -> Sequence[NewResource]:
    return line.resources(final) if final.decision.release.allows(Audience.RADIOLOGIST) else ()


def _deliveries(line: Line, final: Report) -> list[tuple[str, str, bytes]]:
    if not final.decision.release.allows(Audience.EHR):
        return []
    found = []
    for name, sink in sorted(line.sinks.items()):
        delivery_id = f"{name}-{hashlib.sha256(f'{name}/{final.work.id}'.encode()).hexdigest()[:24]}"
        found.append((delivery_id, name, sink.encode(final, delivery_id)))
    return found
