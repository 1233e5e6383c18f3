"""The order-select companion: what speaks for or against an imaging order before it is signed, one check per file.

Checks are pathways (`cds.pathways.pathway`) that read `Case.order` instead of findings: they answer with a better test
or none (`Recommendation.instead`), or with what is to be known or done first.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping

from cds import action_codes, pathways
from cds.domain.recommendation import Case, PathwayOutcome, Recommendation
from cds.errors import ConfigurationError
from cds.pathways.declaration import Pathway
from cds.pathways.merging import merged


def load(*, unverified: bool = False) -> dict[str, Pathway]:
    """Every check by id, as `cds.pathways.load`; raise ConfigurationError for an id that a pathway has too."""
    found = pathways.load(importlib.import_module(__name__), unverified=unverified)
    if taken := sorted(found.keys() & pathways.load(unverified=True).keys()):
        raise ConfigurationError([f"cds.ordering: {name!r} is the id of a pathway already" for name in taken])
    return found


def mistakes(options: Mapping[str, str]) -> list[str]:
    """What is wrong with the options that a site set, for pathways and checks together."""
    checks = importlib.import_module(__name__)
    known = sorted({*pathways.load(), *load()})
    strange = [
        f"{name}: there is no such pathway: want <pathway>.<option>, of {', '.join(known)}"
        if name.partition(".")[0] not in known
        else f"{name}: want <pathway>.<option>"
        for name in options
        if name.partition(".")[0] not in known or not name.partition(".")[2]
    ]
    return strange + pathways.wrong_options(options) + pathways.wrong_options(options, checks)


def evaluate(case: Case, enabled: Collection[str]) -> tuple[PathwayOutcome, ...]:
    """What the enabled checks say of the order of a case, for a reader; one that fails does not stop the others."""
    return merged(pathways.evaluate(case, enabled, importlib.import_module(__name__)))


def takes_away(step: Recommendation) -> bool:
    """Whether a step says that nothing takes the place of the order: then it has no draft of its own."""
    return step.instead and step.code.same(action_codes.NO_IMAGING)
