"""How often a sender is heard: typical and longest normal interval."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cds.store.feeds import Rhythm, heard

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def after(*intervals_s: float, start: Rhythm | None = None) -> Rhythm:
    rhythm = start or heard(Rhythm(NOW), NOW)
    for interval_s in intervals_s:
        rhythm = heard(rhythm, rhythm.last_at + timedelta(seconds=interval_s))
    return rhythm


def test_one_message_is_no_rhythm() -> None:
    assert heard(Rhythm(NOW), NOW) == Rhythm(NOW, 1, None, None)


def test_a_steady_feed_has_its_interval() -> None:
    rhythm = after(*[120.0] * 30)
    assert (rhythm.messages, rhythm.last_at) == (31, NOW + timedelta(hours=1))
    assert rhythm.typical_s == pytest.approx(120)
    assert rhythm.longest_s == pytest.approx(120)


def test_a_burst_moves_the_typical_interval_and_not_the_longest() -> None:
    rhythm = after(*[120.0] * 30, *[0.0] * 50)
    assert rhythm.typical_s is not None
    assert rhythm.typical_s < 1
    assert rhythm.longest_s == pytest.approx(120, rel=0.01)


def test_nights_are_learned_as_normal_and_one_outage_is_not() -> None:
    day = after(*[60.0] * 100)
    night = after(8 * 3600.0, start=day)
    assert night.longest_s == pytest.approx(240)
    week = after(*([60.0] * 960 + [8 * 3600.0]) * 7, start=day)
    assert week.longest_s == pytest.approx(8 * 3600)


def test_the_longest_interval_fades_where_nothing_confirms_it() -> None:
    busier = after(3600.0, *[60.0] * (14 * 1440))
    assert busier.longest_s == pytest.approx(1800, rel=0.02)


def test_a_message_from_before_the_last_one_counts_and_says_nothing_of_the_interval() -> None:
    rhythm = heard(after(60.0, 60.0), NOW)
    assert rhythm == Rhythm(NOW + timedelta(seconds=120), 4, 60.0, pytest.approx(60.0))
