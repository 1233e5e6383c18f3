"""Device: a model in one version, the same resource for every study that it looked at."""

from __future__ import annotations

import uuid

from adapters.fhir import systems
from adapters.fhir.elements import concept, note
from adapters.fhir.emission import new_resource
from cds.domain.resource import NewResource


def device_id(model: str, version: str) -> str:
    """The id of a model in one version, the same at every site."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{systems.MODEL_IDENTIFIER}:{model}:{version}"))


def device(model: str, version: str) -> NewResource:
    """R4 Device after the AI Transparency IG's AIDevice; the body depends on model and version alone."""
    identifier = (systems.MODEL_IDENTIFIER, f"{model}:{version}")
    body = {
        "resourceType": "Device",
        "id": device_id(model, version),
        "identifier": [{"system": identifier[0], "value": identifier[1]}],
        "status": "active",
        "manufacturer": "Sightline",
        "deviceName": [{"name": model, "type": "model-name"}],
        "modelNumber": model,
        "type": concept(systems.ARTIFICIAL_INTELLIGENCE),
        "version": [{"value": version}],
        "note": [note("Research software, not a cleared medical device. Output is advice for a clinician.")],
    }
    return new_resource(body, patient_id=None, identifiers=(identifier,))
