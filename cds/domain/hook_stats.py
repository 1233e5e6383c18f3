"""What became of the cards that were shown, counted: acceptance and override rates by pathway, model, version, site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: What stands for the reason of an override without one.
NO_REASON = "none"


@dataclass(frozen=True, slots=True)
class CardCount:
    """The cards of one service, pathway and site that rest on the same models.

    Every card is counted once, by its newest answer: `accepted`, `overridden` and `unanswered` make `shown` together.
    What was held back was not shown. `pathway` is empty for cards that give no advice and want no answer.
    """

    service: str
    pathway: str = ""
    #: "<id> <version>" of each, in the order of their names.
    models: tuple[str, ...] = ()
    site: str = ""
    shown: int = 0
    #: Those of `shown` whose indicator is critical.
    critical: int = 0
    accepted: int = 0
    #: By the code of the reason, `NO_REASON` where none was given.
    overridden: Mapping[str, int] = field(default_factory=dict)
    unanswered: int = 0
    #: By `cds.domain.hook.HeldBack`.
    suppressed: Mapping[str, int] = field(default_factory=dict)
