"""The page of follow-ups and critical results, wired over the stores that the commands use too."""

from __future__ import annotations

from dataclasses import dataclass

from cds import critical
from cds.bootstrap import Stores
from cds.bootstrap.follow_up_care import coordinator
from cds.domain.critical import CriticalResult
from cds.errors import InvalidInput, NotFound
from cds.ports import Clock
from cds.settings import Settings
from cds.store.criticals import CriticalStore
from cds.store.follow_up_list import FollowUpList
from cds.store.studies import StudyStore
from cds.ui.follow_ups import Asked, CriticalLine, Detail, FollowUpServices, Sheet, Told

#: How somebody acknowledged a critical result, as its log says it.
_HOW = "the page of follow-ups"


@dataclass(frozen=True, slots=True)
class _Criticals:
    """The critical results that wait, with whom they were told and who is next."""

    settings: Settings
    clock: Clock
    store: CriticalStore
    studies: StudyStore

    def lines(self) -> tuple[CriticalLine, ...]:
        return tuple(map(self._line, self.store.all()))

    def acknowledge(self, critical_id: str, by: str) -> None:
        if not by.strip():
            raise InvalidInput("want the name of the person who has the result")
        self.store.acknowledge(critical_id, by, self.clock.now(), how=_HOW)

    def _line(self, one: CriticalResult) -> CriticalLine:
        told = self.store.deliveries(one.id)
        log = tuple(f"{event.what}: {event.detail}" if event.detail else event.what for event in one.log)
        return CriticalLine(
            id=one.id,
            title=one.title,
            category=one.category.value,
            state=one.state,
            study_public_id=self._public_id(one.study_instance_uid),
            created_at=one.created_at,
            due_at=one.due_at,
            images_at=one.images_at,
            told=tuple(Told(self._recipient(route), at, state) for route, at, state in told),
            next_recipient=self._recipient(self._next(one.route)),
            log=log,
        )

    def _next(self, route: str) -> str:
        """The route that follows in the chain that this one stands in: of tests, or of production."""
        chains = [test for test in (False, True) if route in critical.routes(self.settings, test=test)]
        return critical.following(self.settings, route, test=chains[0]) if chains else ""

    def _recipient(self, route: str) -> str:
        known = self.settings.critical_routes.get(route)
        return known.recipient if known else route

    def _public_id(self, study_uid: str) -> str:
        try:
            return self.studies.study(study_uid).public_id
        except NotFound:
            return ""


def follow_ups(settings: Settings, held: Stores, clock: Clock) -> FollowUpServices:
    """What the routes of /follow-ups use; `held` acknowledges what it commits."""
    listing = FollowUpList(held.database, settings)
    cares = coordinator(held.database, clock)
    criticals = _Criticals(settings, clock, held.criticals, held.studies)

    def sheet(asked: Asked) -> Sheet:
        return listing.sheet(asked, clock.today())

    def detail(follow_up: str) -> Detail:
        return listing.detail(follow_up, clock.today())

    return FollowUpServices(
        criticals=criticals.lines,
        acknowledge=criticals.acknowledge,
        figures=lambda: listing.figures(clock.today())[0],
        sheet=sheet,
        detail=detail,
        end=cares.end,
        reopen=cares.reopen,
        reschedule=cares.reschedule,
        assign=cares.assign,
        decide=cares.decide,
        window_days=settings.follow_ups.on_time_days,
        reminds=bool(settings.follow_ups.remind),
    )
