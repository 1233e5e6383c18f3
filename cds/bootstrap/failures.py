"""Pathways and checks that break: counted, and told to the people who run the site (SAFETY section 6)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from cds import logs, metrics
from cds.bootstrap.watch import alarm
from cds.domain.identity import Patient
from cds.domain.recommendation import Case, CouldNotTell, PathwayOutcome
from cds.domain.report import Report
from cds.errors import SightlineError
from cds.hooks import HookContext
from cds.ports import Clock
from cds.settings import Settings
from cds.store.engine import Database

log = logs.get_logger(__name__)

_Outcomes = tuple[PathwayOutcome, ...]


def in_background(job: Callable[[], None]) -> None:
    """Do it beside what is going on: an answer does not wait for a message about it."""
    threading.Thread(target=job, name="pathway-failed", daemon=True).start()


def at_once(job: Callable[[], None]) -> None:
    """Do it before going on: the pipeline has the time."""
    job()


@dataclass(slots=True)
class Failures:
    """Hears what pathways said; one that broke is counted each time, and told once a day.

    That it cannot be told never fails what was said; then the next failure tries again.
    """

    tell: Callable[[str, str], None]
    clock: Clock
    start: Callable[[Callable[[], None]], None] = in_background
    #: When each was last told by this process.
    _told: dict[str, date] = field(default_factory=dict)

    def heard(self, outcomes: _Outcomes) -> _Outcomes:
        """The same outcomes."""
        for one in outcomes:
            if isinstance(one, CouldNotTell) and one.failed:
                self._failed(one)
        return outcomes

    def _failed(self, broken: CouldNotTell) -> None:
        metrics.PATHWAY_FAILURES.inc(pathway=broken.pathway)
        today = self.clock.today()
        if self._told.get(broken.pathway) == today:
            return
        self._told[broken.pathway] = today
        self.start(lambda: self._say(broken, today))

    def _say(self, broken: CouldNotTell, today: date) -> None:
        text = f"the pathway {broken.pathway} ({broken.title}) failed: it says nothing in cards and reports until it"
        try:
            self.tell(f"pathway-failed:{broken.pathway}:{today.isoformat()}", f"{text} is mended; see the log")
        except SightlineError as error:
            self._told.pop(broken.pathway, None)
            log.warning("a failed pathway was not told", pathway=broken.pathway, error=type(error).__name__)


def failures(
    settings: Settings,
    database: Database,
    clock: Clock,
    start: Callable[[Callable[[], None]], None] = in_background,
) -> Failures:
    """Told over the channels of the site's alarms."""
    return Failures(alarm(settings, database, clock), clock, start)


def with_failures_told(context: HookContext, told: Failures) -> HookContext:
    """A hook context whose pathways and checks of an order are heard."""

    def evaluate(case: Case, report: Report) -> _Outcomes:
        return told.heard(context.evaluate(case, report))

    def judge(case: Case, whose: Patient) -> _Outcomes:
        return told.heard(context.judge(case, whose))

    return replace(context, evaluate=evaluate, judge=judge)


def heard(
    evaluate: Callable[[Case, Sequence[str]], _Outcomes], told: Failures
) -> Callable[[Case, Sequence[str]], _Outcomes]:
    """The pipeline's way to its pathways, heard."""

    def said(case: Case, names: Sequence[str]) -> _Outcomes:
        return told.heard(evaluate(case, names))

    return said
