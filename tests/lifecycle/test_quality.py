"""What a model is given is kept with its answer, the figures come of it, and a bound that is crossed is told once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from cds.bootstrap.quality import computed, seen
from cds.domain.quality import Crossed, QualityDay
from cds.monitoring import METHOD
from cds.quality_bounds import QualityBounds
from cds.store.quality import QualityStore
from cds.store.quality_tables import QualityInputRow
from cds.store.watch import Watch
from cds.watch import Alarm, AlarmKind, Change, Limits, Seen, alarms
from tests.lifecycle.bleed import ID, HeadBleed
from tests.lifecycle.stage import ANNA, NOW, Stage, opened


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        made = opened(tmp_path, stack)
        made.line = replace(made.line, models={ID: HeadBleed()}, seen=seen(made.held.database, made.clock))
        made.worker.line = made.line
        yield made


def test_what_a_model_read_is_kept_and_counted(stage: Stage) -> None:
    stage.order(ANNA)
    stage.scan(ANNA)
    stage.settle()
    with stage.held.database.reading() as session:
        (kept,) = session.exec(select(QualityInputRow)).all()
    assert (kept.model, kept.image_revision) == (ID, 1)
    assert '"slices":' in kept.numbers
    settings = stage.settings.model_copy(update={"quality": QualityBounds(smallest_cell=1)})
    day = computed(settings, stage.held.database, NOW.date())
    (model,) = day.models
    assert (model.model, model.read, model.evaluated) == (ID, 1, 1)
    assert day.turnaround[0].done == 1


def test_a_bound_is_raised_once_and_cleared_once(stage: Stage) -> None:
    told: list[Change] = []

    def tell(change: Change) -> list[tuple[str, bytes]]:
        told.append(change)
        return []

    watch, kept = Watch(stage.held.database, Limits(timedelta(hours=1)), tell), QualityStore(stage.held.database)
    beyond = QualityDay(NOW.date(), NOW.date(), METHOD, 10, crossed=(Crossed("quality:drift:m 1", "m 1 drifts"),))
    kept.add(beyond, NOW)
    for minute in range(3):
        watch.look(NOW + timedelta(minutes=minute))
    assert [(change.alarm.key, change.kind) for change in told] == [("quality:drift:m 1", "alarm")]
    kept.add(replace(beyond, day=NOW.date() + timedelta(days=1), crossed=()), NOW)
    for minute in range(3, 6):
        watch.look(NOW + timedelta(minutes=minute))
    assert [change.kind for change in told] == ["alarm", "alarm-over"]


def test_what_is_beyond_a_bound_is_an_alarm_of_its_own_kind() -> None:
    seen_now = Seen(quality=(Crossed("quality:PPV:m 1:bleed", "PPV is low"),))
    expected = Alarm("quality:PPV:m 1:bleed", AlarmKind.QUALITY_BOUND, "PPV is low")
    assert alarms(seen_now, Limits(timedelta(hours=1)), NOW) == (expected,)
