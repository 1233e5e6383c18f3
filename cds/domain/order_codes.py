"""By which codes a recommendation is ordered: the site's own, then a public one; Sightline's own go out as text."""

from __future__ import annotations

from cds.domain.coding import Coding
from cds.domain.recommendation import Recommendation

_SIGHTLINE = "urn:sightline:"


def order_codes(step: Recommendation) -> tuple[Coding, ...]:
    """What stands in ServiceRequest.code.coding; nothing where the action is told in words alone."""
    own = () if step.orderable is None else (step.orderable,)
    return own if step.code.system.startswith(_SIGHTLINE) else (*own, step.code)
