"""Follow-ups by command: what waits, and what a person does with a recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cds.bootstrap import stores
from cds.bootstrap.follow_up_care import Coordinator, coordinator
from cds.domain.follow_up import Acceptance, Answer, FollowUp
from cds.errors import InvalidInput
from cds.ports import Clock
from cds.settings import Settings
from cds.store.acceptances import AcceptanceStore, follow_up_id
from cds.store.follow_up_list import FollowUpList
from cds.store.opinions import OpinionStore
from cds.ui.follow_ups import Asked, Listed, Show


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as a person gives it: `recommendation` is `<pathway>.<recommendation>`.

    `overrule` where it may say otherwise than another person did.
    """

    recommendation: str
    answer: Answer
    by: str
    role: str
    reason: str = ""
    overrule: bool = False


def listed(settings: Settings, clock: Clock, *, asked: str = "", overdue: bool = False) -> Sequence[FollowUp]:
    """All of the one study with this Study Instance UID or accession number; else what waits. Raise NotFound."""
    database = stores(settings).database
    study = OpinionStore(database).study_named(asked) if asked else ""
    today = clock.today() if overdue else None
    return AcceptanceStore(database).follow_ups(study_uid=study, overdue_on=today)


def answer(settings: Settings, asked: str, said: Answered, clock: Clock) -> bool:
    """Record what a person does with a recommendation of that study; False where it was answered so before."""
    database, now = stores(settings).database, clock.now()
    acceptances = AcceptanceStore(database)
    study = OpinionStore(database).study_named(asked)
    pathway, recommendation = _parts(said.recommendation)
    episode = acceptances.episode(study)
    given = Acceptance(study, episode, pathway, recommendation, said.answer, said.by, said.role, now, said.reason)
    return acceptances.accept(given, now, overrule=said.overrule)


def desk(settings: Settings, clock: Clock) -> Coordinator:
    """What a coordinator does with follow-ups."""
    return coordinator(stores(settings, durable=True).database, clock)


def named(settings: Settings, asked: str, name: str) -> str:
    """The id of the follow-up `<pathway>.<recommendation>` of a study by accession number or UID; raise NotFound."""
    database = stores(settings).database
    study = OpinionStore(database).study_named(asked)
    return follow_up_id(study, AcceptanceStore(database).episode(study), *_parts(name))


def proposals(settings: Settings, clock: Clock) -> tuple[Listed, ...]:
    """The follow-ups that a result may have ended, those that are due first."""
    listing = FollowUpList(stores(settings).database, settings)
    first = listing.sheet(Asked(show=Show.PROPOSED), clock.today())
    others = [listing.sheet(Asked(show=Show.PROPOSED, page=n), clock.today()) for n in range(2, first.pages + 1)]
    return tuple(one for sheet in (first, *others) for one in sheet.rows)


def _parts(name: str) -> tuple[str, str]:
    pathway, _, recommendation = name.partition(".")
    if not pathway or not recommendation:
        raise InvalidInput("want a recommendation as <pathway>.<recommendation>, as cds follow-ups list shows it")
    return pathway, recommendation
