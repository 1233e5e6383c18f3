"""The replay over the stores of this installation: its line has no models, and its sinks are muted by `cds.replay`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cds.bootstrap import stores
from cds.bootstrap.hooks import hook_context
from cds.bootstrap.line import line
from cds.bootstrap.people import switchable
from cds.domain.audit import AuditEvent
from cds.domain.replay import Replayed
from cds.domain.switch import SwitchKind
from cds.errors import InvalidInput
from cds.ports import Clock
from cds.replay import hypothetical, replay
from cds.settings import Settings
from cds.store.past import studies_between


def replayed(
    settings: Settings, clock: Clock, *, since: datetime, until: datetime, only: Sequence[str], by: str
) -> Replayed:
    """What would have been sent of the studies of a time; raise InvalidInput for names that nothing here has.

    One line of the audit log is all that is written.
    """
    names = switchable(settings)
    models, pathways = names[SwitchKind.MODEL], names[SwitchKind.PATHWAY]
    if unknown := set(only) - {*models, *pathways}:
        there = ", ".join((*models, *pathways))
        raise InvalidInput(f"{len(unknown)} of these are no model or pathway; there is: {there}")
    if since >= until:
        raise InvalidInput("want a time that ends after it begins")
    assumed, advisory = hypothetical(settings, models=models, pathways=pathways, only=only)
    held = stores(settings)
    past = studies_between(held.database, since, until)
    detail = (f"from {since.isoformat()}", f"to {until.isoformat()}", f"{len(past)} studies", *advisory)
    held.audit.write(AuditEvent(clock.now(), by, "shadow replay", detail=detail))
    studies = replay(line(assumed, held, {}, clock), hook_context(assumed, held, clock), past)
    return Replayed(since, until, advisory, studies)
