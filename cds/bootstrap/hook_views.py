"""What a referral card may show of a report now: the database is asked each time, the rest is worked out once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cds import release
from cds.bootstrap import Stores
from cds.domain.identity import Identifier
from cds.domain.matching import MatchState
from cds.domain.report import Audience, Report
from cds.domain.verification import Verification
from cds.hooks.again import Again, Digest
from cds.settings import Settings
from cds.store.standing import standing


@dataclass(frozen=True, slots=True)
class Views:
    """Reports as they stand: a verification, or a doubt, counts before the next version of the report is there."""

    settings: Settings
    held: Stores
    again: Again

    def view(self, report: Report) -> Report | None:
        """See `cds.hooks.HookContext.view`; the same object for what has not changed."""
        said, doubt = self._stands(report)

        def made() -> tuple[Report | None]:
            now = _now(report, said, doubt)
            return (release.view(self.settings, self.held.switches, now, Audience.REFERRAL),)

        return self.again.answered(("view", said, doubt), (report,), made)[0]

    def withheld(self, report: Report) -> tuple[str, ...]:
        """See `cds.hooks.HookContext.withheld`."""
        return release.decide(self.settings, self.held.switches, _now(report, *self._stands(report))).withheld

    def _stands(self, report: Report) -> tuple[tuple[Verification, ...], str]:
        """What people said of it until now, and why it may not be its patient's; empty where nothing is known."""
        uid = report.study.study_instance_uid
        now = standing(self.held.database, uid)
        doubt = now.contradiction or ("" if now.is_decided else _anothers(now.patient, report))
        asked = now.is_verified
        return self.held.opinions.verifications(uid, report.work.revision.image) if asked else (), doubt


def again(held: Stores) -> Again:
    """What a web process remembers of calls: switches are looked at each time."""
    from adapters.fhir.read import digest

    def since() -> dict[Any, Any] | None:
        look = held.database.look()
        return look.foreseen if look is not None and look.lasts else None

    return Again(held.switches.hidden, lambda prefetch: Digest(*digest(prefetch)), since)


def _now(report: Report, said: tuple[Verification, ...], doubt: str) -> Report:
    match = replace(report.match, state=MatchState.HELD, reasons=(doubt,)) if doubt else report.match
    return replace(report, verifications=said, match=match)


def _anothers(pictured: Identifier | None, report: Report) -> str:
    """Why a report is not its patient's any more, before the next version says so; empty where it is."""
    if pictured is None or report.patient is None:
        return ""
    known = {identifier.as_sent() for identifier in report.patient.known_as}
    return "" if pictured in known else "the images name another patient now"
