"""Logical ids of what Sightline emits: stable over versions, and without a UID or an identifier in them."""

from __future__ import annotations

import uuid

from cds.domain.imaging import Study


def resource_id(study: Study, kind: str, key: str = "", episode: int = 1) -> str:
    """The id of a resource of one study: UUID version 5 of the study's public id over "<kind>/<key>".

    `kind` is the FHIR resource type (DiagnosticReport, Observation, Device, …), `key` tells several of a kind apart.
    Each patient under whom the study was reported (`Report.episode`) has ids of their own.
    """
    name = f"{kind}/{key}" if episode == 1 else f"episode {episode}/{kind}/{key}"
    return str(uuid.uuid5(uuid.UUID(study.public_id), name))


def report_number(study: Study, episode: int) -> str:
    """What numbers the report of a study under one patient: OBR-3, DiagnosticReport.identifier. No UID is in it."""
    return study.public_id if episode == 1 else f"{study.public_id}.{episode}"
