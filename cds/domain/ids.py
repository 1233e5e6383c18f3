"""Logical ids of what Sightline emits: stable over versions, and without a UID or an identifier in them."""

from __future__ import annotations

import uuid

from cds.domain.imaging import Study


def resource_id(study: Study, kind: str, key: str = "") -> str:
    """The id of a resource of one study: UUID version 5 of the study's public id over "<kind>/<key>".

    `kind` is the FHIR resource type (DiagnosticReport, Observation, Device, …), `key` tells several of a kind apart.
    """
    return str(uuid.uuid5(uuid.UUID(study.public_id), f"{kind}/{key}"))
