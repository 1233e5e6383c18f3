"""Device: a model in one version, the same resource for every study that it looked at."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.fhir import systems
from adapters.fhir.elements import Element, concept, note
from adapters.fhir.emission import new_resource
from cds.domain.resource import NewResource

_NOT_CLEARED = "Research software, not a cleared medical device. Output is advice for a clinician."


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What an installed model says of itself. `sha256` (hexadecimal) is of its files, "" where nobody took it."""

    title: str
    intended_use: str
    limits: tuple[str, ...] = ()
    performance: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def markdown(self) -> str:
        """The card as the AI Transparency IG wants it in a note."""
        return "\n".join(_lines(self))


def device_id(model: str, version: str) -> str:
    """The id of a model in one version, the same at every site."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{systems.MODEL_IDENTIFIER}:{model}:{version}"))


def device(model: str, version: str, card: ModelCard | None = None) -> NewResource:
    """R4 Device after the AI Transparency IG's AIDevice; the body depends on model, version and card alone."""
    identifier = (systems.MODEL_IDENTIFIER, f"{model}:{version}")
    names: list[Element] = [{"name": model, "type": "model-name"}]
    notes = [note(_NOT_CLEARED)]
    if card is not None:
        names.append({"name": card.title, "type": "user-friendly-name"})
        notes.append(note(card.markdown))
    body = {
        "resourceType": "Device",
        "id": device_id(model, version),
        "extension": [{"url": systems.AI_KIND_EXTENSION, "valueCodeableConcept": concept(systems.IMAGE_ANALYSIS)}],
        "identifier": [{"system": identifier[0], "value": identifier[1]}],
        "status": "active",
        "manufacturer": "Sightline",
        "deviceName": names,
        "modelNumber": model,
        "type": concept(systems.ARTIFICIAL_INTELLIGENCE),
        "version": list(_versions(version, card)),
        "note": notes,
        "safety": [concept(text=_NOT_CLEARED)],
    }
    return new_resource(body, patient_id=None, identifiers=(identifier,))


def _versions(version: str, card: ModelCard | None) -> Iterator[Element]:
    yield {"value": version}
    if card is not None and card.sha256:
        yield {"type": concept(systems.MODEL_DIGEST), "value": card.sha256}


def _lines(card: ModelCard) -> Iterator[str]:
    yield from (f"# {card.title}", "", "## Intended use", "", card.intended_use)
    for heading, texts in (("Limits", card.limits), ("Performance", card.performance), ("Sources", card.sources)):
        if texts:
            yield from ("", f"## {heading}", "", *(f"- {text}" for text in texts))
