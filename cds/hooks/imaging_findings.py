"""`imaging-findings` on patient-view: what Sightline found on this patient's images, and what a guideline says to it.

Nothing is inferred here: stored findings are evaluated again with the stored record and what the client prefetched.
A patient who cannot be mapped gets a card that says so; one without a report gets none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from cds import record
from cds.codes import ValueSet
from cds.domain.finding import Findings, ModelOutcome
from cds.domain.identity import Patient, Sex
from cds.domain.message import RecordStatements
from cds.domain.recommendation import Advice, Case, CouldNotTell, PathwayOutcome
from cds.domain.report import Report
from cds.errors import PreconditionFailed
from cds.hooks import cards, prefetch
from cds.hooks.cards import Site
from cds.hooks.prefetch import Given
from cds.hooks.request import HookRequest
from cds.hooks.service import CardsShown, HookContext, Json, Service
from cds.pathways.merging import first, merged
from cds.release import believed

ID = "imaging-findings"

#: How long whoever opens the patient is told that something they may have seen was taken back.
_WITHDRAWN_TOLD = timedelta(days=90)
_UNMAPPED = "None of the patient's identifiers comes from a system that this site has configured."
_SEVERAL = "The patient's identifiers belong to more than one patient here; a person must decide."
_OTHER_BIRTH_DATE = "The birth date contradicts the one that came with the images; a person must decide."
_OTHER_SEX = "The sex contradicts the one that came with the images; a person must decide."


def service(asks: Sequence[ValueSet] | None = None) -> Service:
    """The service as it is discovered and called; `asks` as in `HookContext`."""
    searches = {key: prefetch.query(search) for key, search in prefetch.templates(asks).items()}
    return Service(
        id=ID,
        hook="patient-view",
        title="Imaging findings",
        description="Findings of AI models on this patient's images, with guideline steps as drafts to accept.",
        usage_requirements="The prefetch key 'patient' is needed, with an identifier of a system that the site has "
        "configured; the others make the advice more complete. What is not prefetched is fetched with "
        "fhirAuthorization, if the site has configured fhirServer.",
        version="1.0.0",
        prefetch={prefetch.PATIENT: "Patient/{{context.patientId}}"} | searches,
        respond=respond,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call, with the patient and the statements that it brought."""

    request: HookRequest
    context: HookContext
    patient: Patient
    stated: RecordStatements

    @property
    def site(self) -> Site:
        return Site(self.context.site_name, self.context.public_url)


@dataclass(frozen=True, slots=True)
class _Shown:
    """The cards of one study, and what was kept back and why."""

    cards: tuple[Json, ...] = ()
    suppressed: tuple[str, ...] = ()


def respond(request: HookRequest, context: HookContext) -> list[Json]:
    """The cards of one patient-view call."""
    resource = _resource(request, context)
    patient = context.read_patient(resource)
    wanted = prefetch.templates(context.asks)
    given = prefetch.statements(request.prefetch, request.patient_id, context.read_statements, wanted)
    reports = _reports(patient, context)
    asked = _Asked(request, context, patient, given.record)
    doubt = _doubt(patient, reports, context)
    if doubt:
        context.on_shown(CardsShown(ID, None, 1, (doubt,)))
        return [cards.unidentified(asked.site, request.hook_instance, doubt)]
    taken_back = _withdrawn(asked)
    if not reports:
        context.on_shown(CardsShown(ID, None, len(taken_back), (_no_report(patient, context),)))
        return taken_back
    own = RecordStatements(context.read_statements({prefetch.PATIENT: resource}))
    asked = replace(asked, stated=record.merge(_completed(asked, given), own))
    return [*taken_back, *(card for report in reports for card in _show(asked, report))]


def _resource(request: HookRequest, context: HookContext) -> Mapping[str, object]:
    """The Patient that was prefetched, or is fetched for this call; raise PreconditionFailed where neither is."""
    try:
        return prefetch.patient(request.prefetch, request.patient_id)
    except PreconditionFailed:
        fetched = context.fetch_patient(request.access, request.patient_id) if request.access else None
        if fetched is None:
            raise
        return prefetch.patient({prefetch.PATIENT: fetched}, request.patient_id)


def _completed(asked: _Asked, given: Given) -> RecordStatements:
    """What was not prefetched is fetched from the client's server, and what is not there is asked of the EHRs."""
    request, context = asked.request, asked.context
    if not given.missing:
        return given.record
    access = request.access
    fetched = context.fetch(access, request.patient_id, given.missing) if access else RecordStatements()
    whole = {one.source for one in fetched.searched}
    lacking = {name for search in given.missing if search.source not in whole for name in search.covers}
    told = context.ask(asked.patient, lacking) if lacking else RecordStatements()
    # What a configured EHR has answered for is not lacking because the call's own server did not.
    answered = {name for one in told.searched for name in one.covers or ()}
    unasked = tuple(one for one in fetched.unasked if not set(one.covers or ()) <= answered)
    return record.merge(given.record, replace(fetched, unasked=unasked), told)


def _withdrawn(asked: _Asked) -> list[Json]:
    """A card for each study that somebody was shown as this patient's and that is not: whoever saw it must know."""
    since = asked.context.clock.now() - _WITHDRAWN_TOLD
    reports = asked.context.reports
    found = {
        one.study_instance_uid: one for i in asked.patient.identifiers for one in reports.withdrawn_of_patient(i, since)
    }
    return [cards.withdrawn(asked.site, asked.request.hook_instance, one) for one in found.values()]


def _reports(patient: Patient, context: HookContext) -> tuple[Report, ...]:
    """The newest report of each study under any of the patient's identifiers."""
    found = [report for identifier in patient.identifiers for report in context.reports.latest_of_patient(identifier)]
    return tuple({report.study.study_instance_uid: report for report in found}.values())


def _doubt(patient: Patient, reports: tuple[Report, ...], context: HookContext) -> str:
    """Why no result may be shown for this patient; empty where nothing contradicts (SAFETY section 1)."""
    if not patient.identifiers:
        return _UNMAPPED
    stored = [report.patient for report in reports if report.patient]
    survivors = {context.reports.survivor(p.id) for p in stored if p.id}
    if len(context.reports.owners(patient.identifiers) | survivors) > 1:
        return _SEVERAL
    if len({p.birth_date for p in (patient, *stored) if p.birth_date}) > 1:
        return _OTHER_BIRTH_DATE
    stated = {p.sex for p in (patient, *stored)}
    return _OTHER_SEX if {Sex.FEMALE, Sex.MALE} <= stated else ""


def _no_report(patient: Patient, context: HookContext) -> str:
    known = any(context.reports.knows_patient(identifier) for identifier in patient.identifiers)
    return "there is no report for this patient" if known else "no wire has ever named this patient"


def _show(asked: _Asked, report: Report) -> tuple[Json, ...]:
    shown = _shown(asked, report)
    uid = report.study.study_instance_uid
    whose = report.patient.id if report.patient else None
    seen = CardsShown(ID, uid, len(shown.cards), shown.suppressed, by=asked.request.user_id, patient_id=whose)
    asked.context.on_shown(seen)
    return shown.cards


def _shown(asked: _Asked, report: Report) -> _Shown:
    seen, withheld = asked.context.view(report), asked.context.withheld(report)
    if seen is None:
        return _Shown(suppressed=withheld or ("the report is not released to referral cards",))
    if not any(isinstance(outcome, Findings) for outcome in seen.outcomes):
        return _Shown(suppressed=("no model could evaluate this study",))
    shown = _cards(asked, seen, _evaluated(asked, seen, believed(seen.outcomes, seen.verifications)))
    return _Shown(shown.cards, (*shown.suppressed, *withheld))


def _evaluated(asked: _Asked, report: Report, outcomes: tuple[ModelOutcome, ...]) -> tuple[PathwayOutcome, ...]:
    study, context = report.study, asked.context
    if study.study_date is None:
        return (CouldNotTell(ID, "All guidelines", "the images carry no study date"),)
    patient = _combined(asked.patient, report.patient)
    statements = record.merge(context.record.statements(report.patient or asked.patient), asked.stated)
    case = Case(
        study_date=study.study_date,
        study_instance_uid=study.study_instance_uid,
        modality="CT" if "CT" in study.modalities else next(iter(study.modalities), ""),
        outcomes=outcomes,
        ehr=record.assemble(
            patient, statements, now=context.clock.now(), today=context.clock.today(), value_sets=context.value_sets
        ),
        today=context.clock.today(),
        procedures=(report.order.procedure,) if report.order and report.order.procedure else (),
    )
    return context.evaluate(case, report)


def _combined(client: Patient, stored: Patient | None) -> Patient:
    """What either side knows of one patient; deceased if either says so."""
    if stored is None:
        return client
    deceased = None if client.deceased is stored.deceased is None else bool(client.deceased or stored.deceased)
    return replace(
        client,
        id=stored.id,
        birth_date=client.birth_date or stored.birth_date,
        sex=stored.sex if client.sex is Sex.UNKNOWN else client.sex,
        deceased=deceased,
    )


def _cards(asked: _Asked, report: Report, outcomes: tuple[PathwayOutcome, ...]) -> _Shown:
    """Advice, and what failed; where a trigger input is not known there is no card (SAFETY section 6)."""
    patient_id = asked.request.patient_id
    advices, left_out = first([o for o in merged(outcomes) if isinstance(o, Advice)], asked.context.most_steps)
    advised = [cards.advice(asked.site, report, one, patient_id) for one in advices]
    advised += [cards.left_out(asked.site, report, left_out)] if left_out else []
    failed = [o for o in outcomes if isinstance(o, CouldNotTell) and o.failed]
    unevaluated = [cards.could_not_tell(asked.site, report, failed)] if failed else []
    quiet = tuple(f"{o.pathway}: {o.reason}" for o in outcomes if not isinstance(o, Advice) and o not in failed)
    return _Shown((*advised, *unevaluated), quiet)
