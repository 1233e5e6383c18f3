"""What reports in FHIR are given beyond the report: its documents, and the cards of the installed models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
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
def model_cards(models_dir: Path | None = None) -> Mapping[str, ModelCard]:
    """The card of every model by "id:version", with the digest of its files: read once in a process.

    `models_dir` holds the site's own ones.
    """
    from adapters.fhir.device import ModelCard
    from models.fingerprint import of
    from models.registry import load

    return MappingProxyType(
        {
            f"{one.id}:{one.version}": ModelCard(
                title=one.title,
                intended_use=one.intended_use,
                limits=one.limits,
                performance=tuple(str(figure) for figure in one.performance),
                sources=one.source,
                sha256=of(one, models_dir),
            )
            for one in load(models_dir=models_dir).values()
        }
    )
