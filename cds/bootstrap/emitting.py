"""What reports in FHIR are given beyond the report: its documents, and the cards of the installed models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from cds.settings import Settings

if TYPE_CHECKING:
    from adapters.fhir.device import ModelCard
    from adapters.fhir.report import Forms


def forms(settings: Settings) -> Forms:
    """Draws a report as HTML and PDF in the site's name and zone."""
    from cds.render.forms import presented

    return partial(presented, site_name=settings.site_name, time_zone=settings.time_zone)


@cache
def model_cards() -> Mapping[str, ModelCard]:
    """The card of every installed model by "id:version", with the digest of its files: read once in a process."""
    from adapters.fhir.device import ModelCard
    from models.fingerprint import sha256
    from models.registry import load

    return MappingProxyType(
        {
            f"{one.id}:{one.version}": ModelCard(
                title=one.title,
                intended_use=one.intended_use,
                limits=one.limits,
                performance=one.performance,
                sources=one.source,
                sha256=sha256(one.id),
            )
            for one in load().values()
        }
    )
