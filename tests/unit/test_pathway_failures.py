"""Pathways that break: counted, told once a day, and never in the way of an answer (SAFETY section 6)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import prometheus_client

from cds.bootstrap.failures import Failures, at_once, heard, in_background, with_failures_told
from cds.domain.recommendation import CouldNotTell, NothingToSay
from cds.errors import Unavailable
from tests.unit.clinical import TODAY, StillClock, case, patient, report
from tests.unit.hook_desk import Desk

BROKEN = CouldNotTell("nodule", "Lung nodule", "it failed; this was reported to the administrator", failed=True)
UNKNOWN = CouldNotTell("bone", "Bone", "a value that it needs is missing")
SILENT = NothingToSay("liver", "it does not apply")


@dataclass
class People:
    """Whoever is told; `away` while nobody can be."""

    said: list[tuple[str, str]] = field(default_factory=list)
    away: bool = False

    def tell(self, key: str, text: str) -> None:
        """The alarm."""
        if self.away:
            raise Unavailable("the database is away")
        self.said.append((key, text))

    def failures(self, start: Callable[[Callable[[], None]], None] = at_once) -> Failures:
        """What hears pathways for them."""
        return Failures(self.tell, StillClock(), start)


def counted(pathway: str) -> float:
    """The metric now."""
    value = prometheus_client.REGISTRY.get_sample_value("sightline_pathway_failures_total", {"pathway": pathway})
    return value or 0.0


def test_one_that_broke_is_counted_each_time_and_told_once_a_day() -> None:
    people, before = People(), counted("nodule")
    failures = people.failures()
    for _ in range(3):
        assert failures.heard((BROKEN, UNKNOWN, SILENT)) == (BROKEN, UNKNOWN, SILENT)
    assert counted("nodule") == before + 3
    assert counted("bone") == 0
    [(key, text)] = people.said
    assert key == f"pathway-failed:nodule:{TODAY.isoformat()}"
    assert "Lung nodule" in text
    failures.clock = StillClock(day=TODAY + timedelta(days=1))
    failures.heard((BROKEN,))
    assert [key for key, _ in people.said][1:] == ["pathway-failed:nodule:2026-11-23"]


def test_where_nobody_can_be_told_the_outcomes_are_the_same_and_the_next_failure_tries_again() -> None:
    people = People(away=True)
    failures = people.failures()
    assert failures.heard((BROKEN,)) == (BROKEN,)
    people.away = False
    failures.heard((BROKEN,))
    assert len(people.said) == 1


def test_a_hook_does_not_wait_for_the_alarm() -> None:
    may_go_on, told = threading.Event(), threading.Event()

    def slow(key: str, text: str) -> None:
        assert may_go_on.wait(10)
        told.set()

    failures = Failures(slow, StillClock(), in_background)
    context = with_failures_told(Desk(evaluate=lambda _: (BROKEN,)).context(), failures)
    assert context.evaluate(case(), report()) == (BROKEN,)
    assert not told.is_set()
    may_go_on.set()
    assert told.wait(10)


def test_checks_of_an_order_and_the_pipeline_are_heard_too() -> None:
    people = People()
    context = with_failures_told(Desk().context(), people.failures())
    assert context.judge(case(), patient()) == ()
    assert people.said == []
    assert heard(lambda *_: (BROKEN,), people.failures())(case(), ["nodule"]) == (BROKEN,)
    assert len(people.said) == 1
