"""The worklist, wired: what of a study may be shown is what the release says, as everywhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cds import __version__, critical, release
from cds.bootstrap import Stores
from cds.bootstrap.ui_second_reader import second_reader
from cds.domain.finding import ModelOutcome
from cds.domain.matching import Match, MatchState
from cds.domain.report import Audience, Decision, Mode, Release, Report
from cds.domain.revision import Revision, Work
from cds.domain.switch import SwitchKind
from cds.errors import Unavailable
from cds.ports import Clock
from cds.remembered import Remembered
from cds.settings import Settings
from cds.store.worklist import Making, WorklistStore
from cds.ui.second_reader import SecondReaderServices, without
from cds.ui.worklist import Entry, WorklistServices
from cds.ui.worklist_rows import Facts, Judged, entry

#: What rows are made of beside the record: other values make all rows anew.
_RULES = {"model_modes", "sites", "release", "release_rows", "critical_findings", "second_readers"}
#: A list is fresh every few seconds: somebody who looks at it sees the same patient once in so long.
_SAME_LOOK = timedelta(minutes=15)
_LOOKS = 20_000
#: Things that changed which a timer makes good at once: it keeps no reader waiting, but other writers.
_BY_TIMER = 50
_NOT_MATCHED = Match(MatchState.UNMATCHED, ("the images are not matched yet",))

#: A Study Instance UID → the models whose reading is hidden from everybody now.
Hidden = Callable[[str], frozenset[str]]


def _nothing_hidden(_uid: str) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class _Off:
    """The models that were switched off when the facts were read."""

    models: frozenset[str]

    def off(self, kind: SwitchKind, name: str) -> bool:
        """See `cds.ports.Switches`."""
        return kind is SwitchKind.MODEL and name in self.models


@dataclass(frozen=True, slots=True)
class Judge:
    """What the settings and the release let a radiologist see of a study."""

    settings: Settings
    hidden: Hidden = _nothing_hidden

    def enter(self, facts: Facts) -> Entry:
        """The row of a study."""
        return entry(facts, self.judged(facts))

    def judged(self, facts: Facts) -> Judged:
        """Its site, what may be seen and what is critical."""
        where = release.site(self.settings, facts.study)
        urgent = critical.find(self.settings, self._loud(facts, where))
        hidden = self.hidden(facts.study.study_instance_uid)
        report = replace(_report(facts), critical=tuple(one.finding for one in urgent))
        off, audience = _Off(facts.off), Audience.RADIOLOGIST
        seen = release.view(self.settings, off, report, audience, production=not report.test)
        return Judged(where, without(seen, hidden).outcomes if seen else (), urgent, is_hidden=bool(hidden))

    def _loud(self, facts: Facts, where: str) -> list[ModelOutcome]:
        """The answers that may be critical, as `cds.prioritising` has them."""
        believed = release.believed(facts.outcomes, facts.verifications)
        advisory = [one for one in believed if self.settings.model_mode(one.model, where) is Mode.ADVISORY]
        return [one for one in advisory if one.model not in facts.off]


def _report(facts: Facts) -> Report:
    """The study as a report that nobody has committed: what the release judges."""
    study = facts.study
    work = Work("", study.study_instance_uid, Revision(study.image_revision, study.match_revision, 0))
    return Report(
        work=facts.work or work,
        version=0,
        study=study,
        match=facts.match or _NOT_MATCHED,
        patient=facts.patient,
        order=facts.order,
        outcomes=facts.outcomes,
        ehr=None,
        decision=Decision((), Release(frozenset()), facts.received_at.date()),
        issued=facts.received_at,
        verifications=facts.verifications,
        final_report=facts.final,
        test=facts.order.test if facts.order else False,
    )


@dataclass(frozen=True, slots=True)
class Looks:
    """Who saw whom on the list, once in a while: the list is asked for again every few seconds."""

    store: WorklistStore
    clock: Clock
    known: Remembered[tuple[str, str, str, int], bool] = field(default_factory=lambda: Remembered(_LOOKS))

    def seen(self, user: str, entries: Sequence[Entry], action: str) -> None:
        """See `WorklistServices.seen`."""
        now = self.clock.now()
        period = int(now.timestamp() // _SAME_LOOK.total_seconds())
        fresh = {(user, one.public_id, action, period): one for one in entries}
        fresh = {key: one for key, one in fresh.items() if self.known.find(key) is None}
        if fresh:
            self.store.write_seen(user, fresh.values(), action, now)
        for key in fresh:
            self.known.keep(key, True)


def worklist_store(settings: Settings, held: Stores, hidden: Hidden = _nothing_hidden) -> WorklistStore:
    """The rows of the worklist, made by the settings of now."""
    judge = Judge(settings, hidden)
    return WorklistStore(held.database, Making(judge.enter, held.studies.study, rules_of(settings)))


def rules_of(settings: Settings) -> str:
    """The same in every process of an installation, for the same settings and release."""
    said = json.dumps(settings.model_dump(include=_RULES), sort_keys=True, default=_plain)
    return hashlib.sha256(f"{__version__} {said}".encode()).hexdigest()


def _plain(value: object) -> object:
    """A set has no order of its own."""
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


def keeper(settings: Settings, held: Stores, clock: Clock) -> Callable[[datetime], None]:
    """A timer that keeps the rows while nobody looks, so that whoever does finds little to be made good."""
    store, _ = _store_and_reader(settings, held, clock)

    def keep(_now: datetime) -> None:
        store.keep(_BY_TIMER)

    return keep


def worklist(settings: Settings, held: Stores, clock: Clock) -> WorklistServices:
    """What the pages of the worklist use."""
    store, reader = _store_and_reader(settings, held, clock)

    sites = tuple(settings.sites)

    def search(asked: str) -> tuple[Entry, ...]:
        with suppress(Unavailable):  # what is known is found all the same
            store.keep()
        return store.search(asked)

    services = WorklistServices(lambda wanted: store.fresh(wanted, sites), search, Looks(store, clock).seen)
    return replace(services, second_readings=reader.states) if reader else services


def _store_and_reader(
    settings: Settings, held: Stores, clock: Clock
) -> tuple[WorklistStore, SecondReaderServices | None]:
    reader = second_reader(settings, held, clock)
    return worklist_store(settings, held, reader.hidden if reader else _nothing_hidden), reader
