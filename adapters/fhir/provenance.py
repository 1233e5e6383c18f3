"""Provenance: which models and which inputs made one version of a report, and what it replaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.fhir import systems
from adapters.fhir.device import device_id
from adapters.fhir.elements import Element, concept, identifier, imaging_study, quantity, reference, software
from adapters.fhir.emission import Emission, made_by_model
from adapters.fhir.observation import FindingObservation
from adapters.fhir.verification import practitioner
from cds.domain.coding import Coding, Quantity
from cds.domain.conclusion import guidance, input_text
from cds.domain.finding import Findings
from cds.domain.opinion import verifications
from cds.domain.recommendation import Advice
from cds.domain.resource import NewResource
from cds.domain.verification import FinalReport, Verification

_AUTHOR = Coding(systems.PROVENANCE_AGENT_TYPE, "author", "Author")
_ASSEMBLER = Coding(systems.PROVENANCE_AGENT_TYPE, "assembler", "Assembler")
_VERIFIER = Coding(systems.PROVENANCE_AGENT_TYPE, "verifier", "Verifier")


def provenance(emission: Emission, main: NewResource, parts: Sequence[NewResource]) -> NewResource:
    """R4 Provenance after the AI Transparency IG; each version of the report has its own.

    The DiagnosticReport is named in its version where that is known; a part that did not change keeps its version.
    """
    version = None if emission.previous is None else emission.previous + 1
    body = {
        "resourceType": "Provenance",
        "id": emission.id_of("Provenance", f"version/{emission.report.version}"),
        "extension": list(_timings(emission)),
        "target": [reference(main.type, main.id, version=version), *(reference(p.type, p.id) for p in parts)],
        "recorded": emission.issued,
        "reason": [concept(systems.AI_ASSERTED)],
        "agent": list(_agents(emission)),
        "entity": list(_entities(emission)),
    }
    return emission.new(body, made_by=emission.made_by)


def _timings(emission: Emission) -> Iterator[Element]:
    """How long each step of a model took, and on what: R4 Provenance has no element for it."""
    for outcome in emission.report.outcomes:
        if isinstance(outcome, Findings) and outcome.timings_ms:
            steps: list[Element] = [
                {
                    "url": "step",
                    "extension": [
                        {"url": "name", "valueString": step},
                        {"url": "took", "valueQuantity": quantity(Quantity(took, "ms"))},
                    ],
                }
                for step, took in outcome.timings_ms.items()
            ]
            said: list[Element] = [
                {"url": "model", "valueString": f"{outcome.model} {outcome.version}"},
                {"url": "device", "valueString": outcome.device},
            ]
            yield {"url": systems.TIMING_EXTENSION, "extension": [*said, *steps]}


def verified(emission: Emission, observations: Sequence[FindingObservation]) -> Iterator[NewResource]:
    """One Provenance per verification: who verified which Observation, when, in which role (AI Transparency IG).

    It attests the finding of the AI and signs nothing: the report stays preliminary (SAFETY section 3).
    """
    for found in observations:
        for said in verifications(emission.report, found.model, found.version, found.finding_key):
            yield emission.new(_verification(emission, found, said), made_by=(made_by_model(found.model),))


def assembler(site_name: str) -> Element:
    """Sightline itself as an agent."""
    return {
        "type": concept(_ASSEMBLER),
        "who": software(),
        "onBehalfOf": {"type": "Organization", "display": site_name},
    }


def _verification(emission: Emission, found: FindingObservation, said: Verification) -> Element:
    return {
        "resourceType": "Provenance",
        "id": emission.id_of("Provenance", f"verification/{found.resource.id}/{said.at.isoformat()}"),
        "target": [reference(found.resource.type, found.resource.id)],
        "recorded": said.at.isoformat(),
        "activity": concept(systems.VERIFIED, text=f"Finding {said.verdict.value}"),
        "agent": [
            {
                "type": concept(_VERIFIER),
                "role": [concept(text=said.role)],
                "who": practitioner(said.by),
                "onBehalfOf": {"type": "Organization", "display": emission.site_name},
            }
        ],
    }


def _agents(emission: Emission) -> Iterator[Element]:
    site: Element = {"type": "Organization", "display": emission.site_name}
    models = dict.fromkeys((outcome.model, outcome.version) for outcome in emission.report.outcomes)
    for model, version in models:
        yield {
            "type": concept(_AUTHOR),
            "role": [concept(systems.ARTIFICIAL_INTELLIGENCE)],
            "who": reference("Device", device_id(model, version), f"{model} {version}"),
            "onBehalfOf": site,
        }
    yield assembler(emission.site_name)


def _entities(emission: Emission) -> Iterator[Element]:
    report = emission.report
    yield {"role": "source", "what": imaging_study(report.study)}
    if report.final_report is not None:
        yield {"role": "source", "what": _final(report.final_report)}
    for text in dict.fromkeys(_inputs(emission)):
        yield {"role": "source", "what": {"display": text}}
    if report.version > 1 and emission.previous != 0:
        replaced = f"version {report.replaces or report.version - 1}"
        main = emission.id_of("DiagnosticReport")
        yield {"role": "revision", "what": reference("DiagnosticReport", main, replaced, version=emission.previous)}


def _inputs(emission: Emission) -> Iterator[str]:
    """What the record gave, to the pathways and to their scores."""
    for advice in guidance(emission.report):
        if isinstance(advice, Advice):
            yield from (input_text(item) for item in advice.inputs)
            yield from (input_text(item) for risk in advice.risks for item in risk.inputs)


def _final(report: FinalReport) -> Element:
    """The radiologist's report by its accession number alone; its text stays where it is."""
    accession = report.accession.as_sent()
    by_issuer = {accession.assigner: systems.accession_system(accession.assigner)}
    day = (report.issued or report.received_at).date().isoformat()
    return {
        "type": "DiagnosticReport",
        "identifier": identifier(accession, by_issuer, systems.ACCESSION),
        "display": f"Radiology report of {day}",
    }
