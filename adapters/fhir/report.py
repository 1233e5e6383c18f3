"""A report as FHIR R4: DiagnosticReport, Observations, RiskAssessments, follow-ups, Devices, Provenance and Patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from adapters.fhir import systems
from adapters.fhir.device import ModelCard, device
from adapters.fhir.elements import Element, attachment, concept, identifier, imaging_study, reference, without_empty
from adapters.fhir.emission import Emission, ai_label, new_resource
from adapters.fhir.flag import flags
from adapters.fhir.observation import observations
from adapters.fhir.provenance import provenance, verified
from adapters.fhir.risk import risk_assessments
from adapters.fhir.service_request import service_requests
from adapters.fhir.task import tasks
from cds.agreement import terms
from cds.codes import SNOMED
from cds.domain import conclusion
from cds.domain.coding import Coding
from cds.domain.finding import Finding, Findings, ModelOutcome, Presence
from cds.domain.identity import Patient
from cds.domain.ids import report_number
from cds.domain.matching import MatchState
from cds.domain.opinion import verifications
from cds.domain.report import Report
from cds.domain.resource import WITHDRAWABLE, NewResource, PresentedForm
from cds.domain.verification import Agreement, Verdict

#: What makes a report a document; what it draws is the same for the same report.
Forms = Callable[[Report], Sequence[PresentedForm]]


def no_forms(report: Report) -> Sequence[PresentedForm]:
    """No document."""
    return ()


def resources(
    report: Report,
    *,
    identifier_systems: Mapping[str, str],
    site_name: str,
    previous: int | None = None,
    forms: Forms = no_forms,
    cards: Mapping[str, ModelCard] = MappingProxyType({}),
) -> list[NewResource]:
    """Everything that one version of a report says in FHIR, each resource checked against R4.

    `report` is what its audience may see. Ids stay the same over the versions of a study under one patient, so that the
    store numbers them. `identifier_systems` maps system to assigning authority. Without a known patient no Patient is
    made, and the subject says that it is not known.
    `previous` is the version of the study's DiagnosticReport that is stored now, 0 where there is none; without it
    only a first report knows the number that the store will give. `cards` are by "model:version".
    """
    known = 0 if previous is None and report.version == 1 else previous
    emission = Emission(report, systems.systems_by_authority(identifier_systems), site_name, known)
    found = observations(emission)
    results = [o.resource for o in found]
    risks = risk_assessments(emission, found)
    main = _diagnostic_report(emission, results, forms)
    asked = service_requests(emission)
    following = [*asked, *tasks(emission, asked), *flags(emission, found)]
    models = dict.fromkeys((outcome.model, outcome.version) for outcome in report.outcomes)
    patient = [_patient(emission.patient, emission.by_authority)] if emission.patient else []
    return [
        *patient,
        *(device(model, version, cards.get(f"{model}:{version}")) for model, version in models),
        *results,
        *risks,
        main,
        *following,
        provenance(emission, main, [*results, *risks, *following]),
        *verified(emission, found),
    ]


def withdrawn(body: Mapping[str, object], *, patient_id: str | None) -> NewResource:
    """A stored resource as a new version in status entered-in-error: its study left the patient, or it is stale.

    It keeps what it said, but for documents: who reads one does not see the status. Of a Provenance, Device or Patient
    there is no such status: raise ValueError.
    """
    if body.get("resourceType") not in WITHDRAWABLE:
        raise ValueError(f"only these can be withdrawn: {', '.join(WITHDRAWABLE)}")
    meta = body.get("meta")
    label = {k: v for k, v in meta.items() if k == "security"} if isinstance(meta, dict) else {}
    rest = {name: value for name, value in body.items() if name not in ("meta", "presentedForm")}
    return new_resource(
        {**rest, "meta": label, "status": "entered-in-error"}, patient_id=patient_id, identifiers=_own_identifiers(body)
    )


def _diagnostic_report(emission: Emission, results: Sequence[NewResource], forms: Forms) -> NewResource:
    report = emission.report
    own = (systems.REPORT_IDENTIFIER, report_number(report.study, report.episode))
    body: Element = {
        "resourceType": "DiagnosticReport",
        "id": emission.id_of("DiagnosticReport"),
        "meta": ai_label(),
        "identifier": [{"system": own[0], "value": own[1]}],
        "basedOn": _based_on(emission),
        "status": "preliminary",
        "category": [concept(systems.RADIOLOGY), concept(systems.US_CORE_RADIOLOGY)],
        "code": concept(systems.AI_ANALYSIS),
        "subject": emission.subject,
        **emission.effective,
        "issued": emission.issued,
        "performer": [{"type": "Organization", "display": emission.site_name}],
        "imagingStudy": [imaging_study(report.study)],
        "result": [reference(r.type, r.id) for r in results],
        "conclusion": conclusion.text(report),
        "conclusionCode": [concept(code) for code in dict.fromkeys(_concluded(report))],
        # Nobody is named in a document whose subject is not known.
        "presentedForm": [attachment(form, report.issued) for form in forms(replace(report, patient=emission.patient))],
    }
    return emission.new(body, identifiers=(own,), made_by=emission.made_by)


def _concluded(report: Report) -> Iterator[Coding]:
    """The findings that are there, where a verified code means exactly that; silence says nothing of the others."""
    for outcome in report.outcomes:
        for finding in outcome.findings if isinstance(outcome, Findings) else ():
            if (
                finding.presence is Presence.PRESENT
                and _stands(report, outcome, finding)
                and _is_verified(finding.code)
            ):
                yield finding.code


def _stands(report: Report, outcome: ModelOutcome, finding: Finding) -> bool:
    """False where a radiologist rejected it, or where their report contradicts it and nobody confirmed it."""
    said = verifications(report, outcome.model, outcome.version, finding.key)
    if said:
        return said[-1].verdict is not Verdict.REJECTED
    name = f"{outcome.model}.{finding.key}"
    compared = (c.agreement for c in report.decision.comparisons if c.finding == name)
    return Agreement.DISCORDANT not in compared


def _is_verified(code: Coding) -> bool:
    return code.system == SNOMED and any(term.means(code) for term in terms.loaded())


def _based_on(emission: Emission) -> list[Element]:
    order = emission.report.order if emission.report.match.state is MatchState.MATCHED else None
    if order is None or order.accession is None:
        return []
    accession = order.accession.as_sent()
    by_issuer = {accession.assigner: systems.accession_system(accession.assigner)}
    return [{"type": "ServiceRequest", "identifier": identifier(accession, by_issuer, systems.ACCESSION)}]


def _patient(patient: Patient, by_authority: Mapping[str, str]) -> NewResource:
    identifiers = [identifier(value, by_authority) for value in patient.identifiers]
    identifiers += [{"use": "old", **identifier(value, by_authority)} for value in patient.former]
    name: Element = {"family": patient.name.family, "given": [patient.name.given] if patient.name.given else []}
    body: Element = {
        "resourceType": "Patient",
        "id": patient.id,
        "identifier": identifiers,
        "name": [without_empty(name)] if without_empty(name) else [],
        "gender": patient.sex.value,
        "birthDate": patient.birth_date.isoformat() if patient.birth_date else None,
        "deceasedBoolean": patient.deceased,
    }
    sent = [i.as_sent() for i in patient.known_as]
    index = tuple((systems.system_of(i.assigner, by_authority), i.value) for i in sent)
    return new_resource(body, patient_id=patient.id, identifiers=index)


def _own_identifiers(body: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    listed = body.get("identifier")
    items = listed if isinstance(listed, list) else []
    return tuple((i["system"], i["value"]) for i in items if "system" in i and "value" in i)
