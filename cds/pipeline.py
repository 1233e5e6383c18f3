"""One study, step by step, top to bottom. Every step may be repeated: what it found is stored under the work's id.

match → retrieve → infer (per model) → compare → enrich → decide → report; `cds/reading.py` has the two that look at
images, `cds/comparing.py` the one that looks at priors, `cds/alerting.py` and `cds/delivering.py` those that tell
people and peers. `cds/workflow.py` runs them durably; nothing here knows how. Steps take a work id and give
back small values, no PHI.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cds import comparing, critical, release
from cds.agreement import compare
from cds.domain import matching
from cds.domain.ehr import EhrData
from cds.domain.finding import ModelOutcome
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier, Patient
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.proposal import propose
from cds.domain.recommendation import Advice, Case, PathwayOutcome
from cds.domain.report import Decision, Mode, Release, Report
from cds.domain.resource import Encode, NewResource
from cds.domain.revision import Work
from cds.errors import SightlineError, Unavailable
from cds.line import Line
from cds.record import assemble

_UNDATED = "no pathway: the images carry no study date"


def match(line: Line, work_id: str) -> str:
    """Step 1: order ↔ study. Answers matched, unmatched, detached or held."""
    work = line.works.work(work_id)
    now = line.clock.now()
    line.works.mark(work_id, "running", now)
    study = line.studies.study(work.study_instance_uid)
    result = _matched(line, study)
    if result.state is MatchState.HELD:
        line.works.hold(work, HoldKind.MATCH_IN_DOUBT, "; ".join(result.reasons), now)
    else:
        line.works.resolve(work, HoldKind.MATCH_IN_DOUBT, now)
    found = _proposed(line, work, study) if result.state is MatchState.UNMATCHED else None
    if found is not None:
        reason = f"an order of this patient fits by time and procedure: {found.value} of {found.assigner}"
        line.works.hold(work, HoldKind.MATCH_PROPOSED, reason, now)
    else:
        line.works.resolve(work, HoldKind.MATCH_PROPOSED, now)
    line.works.save_step(work, "match", Match, result, now, outcome=result.state.value, detail=result.reasons)
    return result.state.value


def _matched(line: Line, study: Study) -> Match:
    """A person's decision first, then the rules of SAFETY section 1."""
    if study.decided == "attach" and study.decided_order_id:
        return matching.attached(study, *line.record.order_with_patient(study.decided_order_id))
    candidates = line.record.order_candidates(study.accession.value) if study.accession else ()
    told = line.reports.latest_of_study(study.study_instance_uid)
    if told is not None and not told.test:  # a test order takes nothing away from what is in production
        candidates = tuple((order, patient) for order, patient in candidates if not order.test)
    return matching.match(study, candidates)


def _proposed(line: Line, work: Work, study: Study) -> Identifier | None:
    """The number of an order that a person may want to attach the images to; None where there is none."""
    if study.patient is None:
        return None
    series = line.studies.series(study.study_instance_uid, work.revision.image)
    seen = replace(study, modalities=tuple(dict.fromkeys(one.modality for one in series)))
    order = propose(seen, line.record.orders_of_patient(study.patient))
    return (order.accession or order.placer_order_number or order.filler_order_number) if order else None


def enrich(line: Line, work_id: str) -> bool:
    """Step 4: what the record and the EHRs know of the patient, dated. Answers False where the study has no patient.

    A report does not wait for an EHR: one that is away is named, and the study is decided again when it is back.
    """
    work = line.works.work(work_id)
    patient = _patient(line, work_id)
    if patient is None:
        return False
    now = line.clock.now()
    told = (line.ehr or line.record).statements(patient)
    ehr = assemble(patient, told, now=now, today=line.clock.today(), value_sets=line.value_sets)
    asked = f"{len(told.statements)} statements from {len({one.source for one in told.searched})} sources"
    unasked = dict.fromkeys(f"source {one.source} {one.reason}" for one in told.unasked)
    line.works.save_step(work, "enrich", EhrData, ehr, now, outcome="done", detail=(asked, *unasked))
    line.missed(work, told.away, now)
    return True


def decide(line: Line, work_id: str) -> list[str]:
    """Step 5: pathways and release, pure functions over stored values. Answers the audiences that may see it now."""
    work = line.works.work(work_id)
    decision = decided(line, work)
    undated = () if line.studies.study(work.study_instance_uid).study_date else (_UNDATED,)
    detail = (
        *(f"{o.pathway}: {o.kind}" + ("" if isinstance(o, Advice) else f" ({o.reason})") for o in decision.outcomes),
        *(f"{c.finding}: {c.agreement.value} ({c.reason})" for c in decision.comparisons),
        *undated,
        *decision.release.withheld,
    )
    line.works.save_step(work, "decide", Decision, decision, line.clock.now(), outcome="done", detail=detail)
    return sorted(a.value for a in decision.release.audiences)


def decided(line: Line, work: Work) -> Decision:
    """What pathways and release come to for a work now, from what its steps stored; nothing is written."""
    drafted = replace(draft(line, work), outcomes=_outcomes(line, work))
    told = release.told(line.settings, drafted)
    comparisons = compare(drafted.final_report, told) if drafted.final_report else ()
    today = line.clock.today()
    drafted = replace(drafted, decision=Decision((), Release(frozenset()), today, comparisons))
    allowed = release.decide(line.settings, line.switches, drafted)
    return Decision(_advised(line, drafted), allowed, today, comparisons)


def draft(line: Line, work: Work) -> Report:
    """The report of a work as its steps left it: not numbered, not committed."""
    study, found = line.studies.study(work.study_instance_uid), _match(line, work.id)
    patient = line.record.patient_by_id(found.patient_id) if found.patient_id else None
    order = line.record.order(found.order_id) if found.order_id else None
    decision: Decision | None = line.works.step(work.id, "decide", Decision)
    outcomes = _advisory(line, work, study)
    number = (order.accession if order else None) or study.accession
    final = (
        line.opinions.final_report(number, patient.id, made=study.started_at or study.study_date)
        if number and patient and patient.id
        else None
    )
    return Report(
        work=work,
        version=0,
        study=study,
        match=found,
        patient=patient,
        order=order,
        outcomes=outcomes,
        ehr=line.works.step(work.id, "enrich", EhrData),
        decision=decision or Decision((), Release(frozenset()), line.clock.today()),
        issued=line.clock.now(),
        verifications=line.opinions.verifications(study.study_instance_uid, work.revision.image),
        final_report=final,
        test=order.test if order else False,
        acceptances=line.opinions.acceptances(study.study_instance_uid, patient.id) if patient and patient.id else (),
        critical=tuple(one.finding for one in critical.find(line.settings, outcomes)),
        read=tuple(sorted(line.opinions.read_models(study.study_instance_uid, work.revision.image))),
    )


def _advised(line: Line, report: Report) -> tuple[PathwayOutcome, ...]:
    """What the pathways of the study's site say to what may be believed of its advisory models."""
    study, where = report.study, release.site(line.settings, report.study)
    if report.ehr is None or study.study_date is None:
        return ()
    series = line.studies.series(study.study_instance_uid, report.work.revision.image)
    outcomes = tuple(
        o for o in release.told(line.settings, report) if line.settings.model_mode(o.model, where) is Mode.ADVISORY
    )
    case = Case(
        study_date=study.study_date,
        study_instance_uid=study.study_instance_uid,
        modality=series[0].modality if series else "",
        outcomes=release.believed(outcomes, report.verifications),
        ehr=report.ehr,
        today=line.clock.today(),
        site=line.settings.options_of(where),
        procedures=(report.order.procedure,) if report.order and report.order.procedure else (),
        language=line.settings.language_of(where),
    )
    return line.evaluate(case, release.pathways(line.settings, line.switches, line.pathways, where))


def report(line: Line, work_id: str) -> list[str]:
    """Step 6: commit the report with its resources and deliveries. Answers the deliveries that wait.

    A held study gets no report; one that was reported before gets a version that nobody sees and that withdraws it.
    """
    work = line.works.work(work_id)
    found = _match(line, work_id)
    if found.state is MatchState.HELD and line.reports.latest_of_study(work.study_instance_uid) is None:
        if line.works.step(work_id, "decide", Decision) is not None:  # the last step, not the hasty withdrawal
            line.works.mark(work_id, "held", line.clock.now())
        return []
    encode = Encode(
        lambda final: _resources(line, final),
        lambda final, held: _deliveries(line, final, held),
        line.withdraw,
        lambda earlier, destination, reason: _retraction(line, work_id, earlier, destination, reason),
        lambda destination, payload: line.sinks[destination].made(payload),
    )
    drafted = draft(line, work)
    for sink in line.sinks.values():
        if seen := release.view(line.settings, line.switches, drafted, sink.audience, production=sink.production):
            sink.prepare(seen)
    committed = line.reports.commit(drafted, encode, line.clock.now())
    if committed.retracted or committed.changed_hands:
        line.alarm(f"retracted:{work_id}", _who_saw(line, work, committed.retracted))
    return list(committed.deliveries)


def _who_saw(line: Line, work: Work, destinations: int) -> str:
    """For the people who run the site: what was taken back, where it is told, and who has to be told by a person."""
    actors = [event.actor for event in line.audit.seen_by(work.study_instance_uid)]
    # A patient or relative who looked is not named: this text goes out by mail.
    seen = dict.fromkeys(a if a.startswith("Practitioner") else a.partition("/")[0] for a in actors)
    people = f"It was seen by: {', '.join(seen)}." if seen else "Nobody is known to have seen it."
    where = f"It is taken back at {destinations} destinations" if destinations else "No destination had it"
    return f"A result that was told does not hold. {where} (cds why tells more: work {work.id}). {people}"


def _advisory(line: Line, work: Work, study: Study) -> tuple[ModelOutcome, ...]:
    """The outcomes that may leave the house; those of shadow models are for the quality page alone."""
    where = release.site(line.settings, study)
    return tuple(o for o in _outcomes(line, work) if line.settings.model_mode(o.model, where) is Mode.ADVISORY)


def _outcomes(line: Line, work: Work) -> tuple[ModelOutcome, ...]:
    """What the installed versions of the models said, with its change; none speaks beside its successor."""
    installed = {model.id: model.version for model in line.models.values()}
    current = tuple(o for o in line.works.outcomes(work) if installed.get(o.model, o.version) == o.version)
    return comparing.applied(line, work, current)


def _match(line: Line, work_id: str) -> Match:
    found: Match | None = line.works.step(work_id, "match", Match)
    if found is None:
        raise Unavailable("the match of this work is not there yet")
    return found


def _patient(line: Line, work_id: str) -> Patient | None:
    patient_id = _match(line, work_id).patient_id
    return line.record.patient_by_id(patient_id) if patient_id else None


def _resources(line: Line, final: Report) -> Sequence[NewResource]:
    audience = line.settings.fhir_audience
    told = line.reports.latest_of_study(final.work.study_instance_uid)
    has = told is not None and told.decision.release.allows(audience)
    seen = release.view(line.settings, line.switches, final, audience, has=has)
    return line.resources(seen) if seen else ()


def _deliveries(line: Line, final: Report, held: Mapping[str, Report]) -> list[tuple[str, str, bytes | str]]:
    """What each destination may have, or why it cannot be made; `held` is what it has now."""
    found: list[tuple[str, str, bytes | str]] = []
    for name, sink in sorted(line.sinks.items()):
        production, has = sink.production, name in held
        seen = release.view(line.settings, line.switches, final, sink.audience, production=production, has=has)
        # Without a patient only a PACS is told: it files by the images, all others by name.
        if seen is None or (seen.patient is None and name not in line.settings.pacs_destinations):
            continue
        delivery_id = _delivery_id(name, final.work.id)
        earlier = release.as_told(held[name], sink.audience) if name in held else None
        try:
            found.append((delivery_id, name, sink.encode(seen, delivery_id, earlier)))
        except SightlineError as error:
            found.append((delivery_id, name, str(error)))
    return found


def _retraction(line: Line, work_id: str, earlier: Report, destination: str, reason: str) -> tuple[str, bytes] | None:
    """What takes an earlier version back at a destination, as it was told there; None where it is not configured."""
    sink = line.sinks.get(destination)
    if sink is None:
        return None
    delivery_id = _delivery_id(destination, f"{work_id}/retract")
    return delivery_id, sink.retract(release.as_told(earlier, sink.audience), delivery_id, reason)


def _delivery_id(destination: str, what: str) -> str:
    return f"{destination}-{hashlib.sha256(f'{destination}/{what}'.encode()).hexdigest()[:24]}"
