"""Provenance: which models and which inputs made one version of a report, and what it replaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.fhir import systems
from adapters.fhir.device import device_id
from adapters.fhir.elements import Element, concept, imaging_study, reference
from adapters.fhir.emission import Emission, guidance
from adapters.fhir.risk import input_text
from cds import __version__
from cds.domain.coding import Coding
from cds.domain.recommendation import Advice
from cds.domain.resource import NewResource

_AUTHOR = Coding(systems.PROVENANCE_AGENT_TYPE, "author", "Author")
_ASSEMBLER = Coding(systems.PROVENANCE_AGENT_TYPE, "assembler", "Assembler")


def provenance(emission: Emission, main: NewResource, parts: Sequence[NewResource]) -> NewResource:
    """R4 Provenance after the AI Transparency IG; each version of the report has its own.

    The DiagnosticReport is named in its version where that is known; a part that did not change keeps its version.
    """
    version = None if emission.previous is None else emission.previous + 1
    body = {
        "resourceType": "Provenance",
        "id": emission.id_of("Provenance", f"version/{emission.report.version}"),
        "target": [reference(main.type, main.id, version=version), *(reference(p.type, p.id) for p in parts)],
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
    if report.version > 1 and emission.previous != 0:
        replaced = f"version {report.replaces or report.version - 1}"
        main = emission.id_of("DiagnosticReport")
        yield {"role": "revision", "what": reference("DiagnosticReport", main, replaced, version=emission.previous)}


def _inputs(emission: Emission) -> Iterator[str]:
    for advice in guidance(emission.report):
        if isinstance(advice, Advice):
            yield from (input_text(item) for item in advice.inputs)
