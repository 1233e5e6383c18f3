"""One study, step by step, top to bottom. Every step may be repeated: what it found is stored under the work's id.

match → retrieve → infer (per model) → enrich → decide → report → deliver. `cds/workflow.py` runs them durably;
nothing here knows how. Steps take a work id and give back small values, no PHI.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cds import metrics, release
from cds.domain import matching
from cds.domain.ehr import EhrData
from cds.domain.finding import Findings, ModelOutcome, NotEvaluated
from cds.domain.identity import Patient
from cds.domain.imaging import SeriesSummary, VolumeRef
from cds.domain.matching import Match, MatchState
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import Audience, Decision, Delivery, DeliveryState, Mode, Release, Report
from cds.domain.resource import Encode, NewResource
from cds.domain.revision import Work
from cds.errors import NotEvaluable, PeerFailed, PeerRefused, Unavailable
from cds.line import Line
from cds.ports import FindingModel
from cds.record import assemble
from cds.settings import Settings

#: A series that cannot be read is followed by the next best one, this many in all.
_SERIES_TRIED = 3
#: A peer that answers AE this often (some ten minutes) gets the next report, and this one is held.
_PEER_FAILURES = 16
#: The gate of a study that has nothing for a model: no finding, and nothing to tell anybody.
NO_SERIES = "series"


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
    else:
        line.works.resolve(work, "match-in-doubt", now)
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
    ehr = assemble(patient, statements, now=now, today=line.clock.today())
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
    allowed = release.decide(line.settings, _match(line, work_id), outcomes, verified=False)
    if outcomes and all(isinstance(o, NotEvaluated) and o.gate == NO_SERIES for o in outcomes):
        allowed = Release(frozenset(), ("no model of this site reads images like these",))
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
    """Step 7, one attempt at one destination: sent, refused, withheld or retry; or how it had ended before."""
    delivery = line.deliveries.delivery(delivery_id)
    if delivery.state is not DeliveryState.PENDING:
        return delivery.state.value
    release_now = released(line.settings, line.reports.of_work(delivery.work_id))
    if not release_now.allows(Audience.EHR):
        line.deliveries.withheld(delivery_id, "; ".join(release_now.withheld), line.clock.now())
        return "withheld"
    outcome = _send(line, delivery)
    metrics.DELIVERIES.inc(destination=delivery.destination, outcome=outcome)
    return outcome


def _send(line: Line, delivery: Delivery) -> str:
    sink, now = line.sinks.get(delivery.destination), line.clock.now
    try:
        if sink is None:
            raise Unavailable("this destination is not configured any more")
        acknowledgment = sink.send(delivery.payload)
    except PeerRefused as error:
        line.deliveries.refused(delivery.id, str(error), now())
        return "refused"
    except Unavailable as error:
        attempts = line.deliveries.attempted(delivery.id, str(error), now())
        if isinstance(error, PeerFailed) and attempts >= _PEER_FAILURES:
            line.deliveries.refused(delivery.id, f"{error} (asked {attempts} times)", now())
            return "refused"
        return "retry"
    line.deliveries.sent(delivery.id, acknowledgment, now())
    return "sent"


def released(settings: Settings, report: Report) -> Release:
    """Who may see a stored report under the settings of now: a kill switch reaches what waits and what is shown."""
    decided = report.decision.release
    now = release.decide(settings, report.match, report.outcomes, verified=False)
    return Release(decided.audiences & now.audiences, tuple(dict.fromkeys((*decided.withheld, *now.withheld))))


def _active(line: Line) -> list[FindingModel]:
    return [m for m in line.models.values() if line.settings.model_mode(m.id) is not Mode.OFF]


def _advisory(line: Line, work: Work) -> tuple[ModelOutcome, ...]:
    """The outcomes that may leave the house; those of shadow models are for the quality page alone."""
    return tuple(o for o in line.works.outcomes(work) if line.settings.model_mode(o.model) is Mode.ADVISORY)


def _retrieve(line: Line, work: Work, model: FindingModel, series: Sequence[SeriesSummary]) -> Retrieved:
    chosen = model.choose(series)
    if not chosen:
        return Retrieved(model.id, None, ("no series of this study is one that the model reads",), NO_SERIES)
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
    return line.resources(final) if final.decision.release.allows(line.settings.fhir_audience) else ()


def _deliveries(line: Line, final: Report) -> list[tuple[str, str, bytes]]:
    if not final.decision.release.allows(Audience.EHR):
        return []
    found = []
    for name, sink in sorted(line.sinks.items()):
        delivery_id = f"{name}-{hashlib.sha256(f'{name}/{final.work.id}'.encode()).hexdigest()[:24]}"
        found.append((delivery_id, name, sink.encode(final, delivery_id)))
    return found
