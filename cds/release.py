"""Who may see a result now: the one place that every sink and every hook asks (SAFETY section 4)."""

from __future__ import annotations

from collections.abc import Iterable

from cds.domain.finding import ModelOutcome
from cds.domain.matching import Match, MatchState
from cds.domain.report import Audience, Gate, Mode, Release
from cds.settings import Settings


def decide(settings: Settings, match: Match, outcomes: Iterable[ModelOutcome], *, verified: bool) -> Release:
    """The release of one report. Held studies reach nobody, unmatched ones the radiologist, shadow models neither.

    `verified` is True once a radiologist confirmed the findings or a final report does not contradict them.
    """
    if match.state is MatchState.HELD:
        return Release(frozenset(), ("held: " + "; ".join(match.reasons),))
    if not any(settings.model_mode(outcome.model) is Mode.ADVISORY for outcome in outcomes):
        return Release(frozenset(), ("no model of this report is in advisory mode at this site",))
    allowed: set[Audience] = set()
    withheld: list[str] = []
    for audience in Audience:
        reason = _withheld(settings, audience, match, verified=verified)
        if reason is None:
            allowed.add(audience)
        else:
            withheld.append(f"{audience.value}: {reason}")
    return Release(frozenset(allowed), tuple(withheld))


def _withheld(settings: Settings, audience: Audience, match: Match, *, verified: bool) -> str | None:
    gate = settings.release.gate(audience)
    if gate is Gate.NEVER:
        return "the release matrix never lets it go there"
    if audience is not Audience.RADIOLOGIST and match.state is not MatchState.MATCHED:
        return "the images have no order: " + "; ".join(match.reasons)
    if gate is Gate.VERIFIED and not verified:
        return "waits for a radiologist's verification"
    return None
