"""Provenance: which models and which inputs made one version of a report, and what it replaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.fhir import systems
from adapters.fhir.device import device_id
from adapters.fhir.elements import Element, concept, imaging_study, reference
from adapters.fhir.emission import Emission
from adapters.fhir.risk import input_text
from cds import __version__
from cds.domain.coding import Coding
from cds.domain.recommendation import Advice
from cds.domain.resource import NewResource

_AUTHOR = Coding(systems.PROVENANCE_AGENT_TYPE, "author", "Author")
_ASSEMBLER = Coding(systems.PROVENANCE_AGENT_TYPE, "assembler", "Assembler")


def provenance(emission: Emission, targets: Sequence[NewResource]) -> NewResource:
    """R4 Provenance after the AI Transparency IG; each version of the report has its own."""
    body = {
        "resourceType": "Provenance",
        "id": emission.id_of("Provenance", f"version/{emission.report.version}"),
        "target": [reference(target.type, target.id) for target in targets],
        "recorded": emission.issued,
        "reason": [concept(systems.AI_ASSERTED)],
        "agent": list(_agents(emission)),
        "entity": list(_entities(emission)),
    }
    return emission.new(body)


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
    yield {
        "type": concept(_ASSEMBLER),
        "who": {"type": "Device", "display": f"Sightline {__version__}"},
        "onBehalfOf": site,
    }


def _entities(emission: Emission) -> Iterator[Element]:
    report = emission.report
    yield {"role": "source", "what": imaging_study(report.study)}
    for text in dict.fromkeys(_inputs(emission)):
        yield {"role": "source", "what": {"display": text}}
    if report.version > 1:
        previous = f"version {report.replaces or report.version - 1}"
        yield {
            "role": "revision",
            "what": reference("DiagnosticReport", emission.id_of("DiagnosticReport"), previous),
        }


def _inputs(emission: Emission) -> Iterator[str]:
    for advice in emission.report.decision.outcomes:
        if isinstance(advice, Advice):
            yield from (input_text(item) for item in advice.inputs)
