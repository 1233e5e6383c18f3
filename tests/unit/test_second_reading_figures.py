"""The figures of second reading, worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cds.domain.coding import Coding
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.reading_figures import Screened
from cds.domain.second_reading import WHOLE, About, Arbitration, OwnReading, PartRead, Readings, compare
from cds.monitoring.second_reading import figures, grouped

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def exam(number: int, own: bool, model: bool | None, decided: bool | None = None, **more: bool) -> Screened:
    """One study read as a whole by "a" (even numbers) or "b"."""
    about = About(f"1.{number}", 1, "mammo")
    reading = OwnReading(about, "ab"[number % 2], NOW, (PartRead(WHOLE, own),), id=number)
    said = {True: Presence.PRESENT, False: Presence.NOT_DETECTED, None: Presence.NOT_EVALUATED}[model]
    answer = Findings("mammo", "1", "1.1", (Finding("mass", Coding("s", "mass"), said),))
    third = () if decided is None else (Arbitration(about, "c", NOW, (PartRead(WHOLE, decided),), "seen"),)
    return Screened(Readings(about, (reading,), compare(reading, answer, NOW), third), more.get("malignant"))


def cohen() -> list[Screened]:
    """The worked example of Cohen's kappa with 20, 5, 10 and 15 of 50: agreement 0.7, chance 0.5, kappa 0.4."""
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    return [exam(n, own, model) for n, (own, model) in enumerate(pairs)]


def test_agreement_and_kappa_are_those_of_the_worked_example() -> None:
    said = figures("all", cohen())
    assert said.agreement is not None
    assert said.arbitration is not None
    assert (said.agreement.count, said.agreement.of) == (35, 50)
    assert (said.arbitration.count, said.arbitration.of) == (15, 50)
    assert said.kappa is not None
    assert said.kappa.value == pytest.approx(0.4)
    assert said.kappa.low < 0.4 < said.kappa.high
    assert said.undecided == 15


def test_recall_and_detection_count_what_each_reader_would_have_recalled() -> None:
    said = figures(
        "all",
        [
            exam(0, True, True, malignant=True),
            exam(1, False, True, True, malignant=True),
            exam(2, True, False, False, malignant=False),
            exam(3, False, False),
            exam(4, False, None, malignant=True),
        ],
    )
    shares = (said.own_recall, said.model_recall, said.recall, said.detected, said.own_detected, said.model_detected)
    assert [(one.count, one.of) for one in shares if one] == [(2, 5), (2, 4), (2, 5), (2, 5), (1, 5), (2, 4)]
    assert said.ppv is not None
    assert (said.ppv.count, said.ppv.of) == (2, 2)
    assert said.results is not None
    assert (said.results.count, said.results.of) == (4, 5)


def test_an_interval_is_wilsons() -> None:
    """Of 10 of 50: centre (0.2 + z²/100) / (1 + z²/50) = 0.2214, half width 0.1090, with z = 1.95996."""
    said = figures("all", [exam(n, n < 10, False) for n in range(50)])
    assert said.own_recall is not None
    assert said.own_recall.low == pytest.approx(0.11244, abs=5e-5)
    assert said.own_recall.high == pytest.approx(0.33036, abs=5e-5)


def test_an_open_disagreement_is_neither_recalled_nor_not() -> None:
    said = figures("all", [exam(0, True, False), exam(1, False, False)])
    assert said.recall is not None
    assert (said.recall.count, said.recall.of, said.undecided) == (0, 1, 1)


def test_nothing_to_count_is_no_zero() -> None:
    said = figures("all", [exam(0, False, None)])
    assert (said.model_recall, said.agreement, said.kappa, said.ppv) == (None, None, None, None)
    assert (said.detected, said.own_detected) == (None, None)
    assert figures("none", []).own_recall is None


def test_groups_are_counted_each_for_itself() -> None:
    found = grouped(cohen(), lambda one: one.readings.own[0].by)
    assert [(one.group, one.studies) for one in found] == [("a", 25), ("b", 25)]
