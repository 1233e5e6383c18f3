"""A finding's values over time: which belong together, and how they are drawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Findings, Presence
from cds.domain.report import Report
from cds.render.trend import in_words, svg
from cds.ui.study import Point, over_time
from tests.unit.fhir_samples import DENSITY, LAA, report

NEWEST = date(2026, 3, 4)
NAME = f"{DENSITY.model}.{LAA.key}"


def then(day: date | None, value: float, **changes: object) -> Report:
    """An earlier report with one value, or with another finding."""
    made = report(replace(DENSITY, findings=(replace(LAA, value=Quantity(value, "%"), **changes),)))
    return replace(made, study=replace(made.study, study_date=day, study_instance_uid=f"1.{day}"))


def values(*earlier: Report) -> list[tuple[date, float]]:
    """The line of the finding through these reports."""
    return [(one.on, one.value.value) for one in over_time(report(), earlier).get(NAME, ())]


def test_the_values_of_earlier_studies_stand_before_todays_in_the_order_of_their_days() -> None:
    found = values(then(date(2025, 3, 4), 10.0), then(date(2024, 1, 2), 8.0))
    assert found == [(date(2024, 1, 2), 8.0), (date(2025, 3, 4), 10.0), (NEWEST, 12.5)]


NOT_COMPARED = [
    then(None, 10.0),
    then(date(2027, 1, 1), 10.0),
    then(NEWEST, 10.0),
    then(date(2025, 1, 1), 10.0, code=Coding("s", "other", "Other")),
    then(date(2025, 1, 1), 10.0, laterality="left"),
    replace(then(date(2025, 1, 1), 10.0), outcomes=(Findings("another", "1", "1.2", (LAA,)),)),
]


@pytest.mark.parametrize("earlier", NOT_COMPARED)
def test_what_is_not_the_same_finding_of_an_earlier_day_is_no_point(earlier: Report) -> None:
    assert values(earlier) == []


def test_one_value_alone_has_no_line() -> None:
    assert over_time(report(), []) == {}


def test_what_was_not_evaluated_is_no_point() -> None:
    blind = replace(LAA, presence=Presence.NOT_EVALUATED, reason="motion")
    assert over_time(report(replace(DENSITY, findings=(blind,))), [then(date(2025, 1, 1), 10.0)]) == {}


POINTS = (
    Point(date(2024, 1, 1), Quantity(3.0, "mL"), "1"),
    Point(date(2025, 1, 1), Quantity(5.0, "mL"), "2"),
    Point(date(2026, 1, 1), Quantity(4.0, "mL"), "2"),
)


class Drawing(HTMLParser):
    """The elements of a plot, and its words."""

    def __init__(self, plot: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(plot)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of the elements of a kind."""
        return [given for name, given in self.elements if name == tag]


def drawn(points: tuple[Point, ...] = POINTS, title: str = "Volume") -> Drawing:
    """The plot as its elements."""
    return Drawing(svg(points, title))


def test_points_stand_at_their_days_and_heights_and_the_other_version_is_hollow() -> None:
    circles = drawn().of("circle")
    xs, ys = ([float(one[name] or "") for one in circles] for name in ("cx", "cy"))
    assert xs[0] < xs[1] < xs[2]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], rel=0.01)  # 366 and 365 days
    assert ys[1] < ys[2] < ys[0]
    assert [one["fill"] for one in circles] == ["none", "currentColor", "currentColor"]


def test_the_plot_is_told_in_words_and_carries_no_style() -> None:
    plot = drawn()
    [whole] = plot.of("svg")
    assert whole["role"] == "img"
    assert whole["aria-label"] == "Volume over time: 2024-01-01: 3 mL; 2025-01-01: 5 mL; 2026-01-01: 4 mL"
    assert not any("style" in given for _, given in plot.elements)
    assert "2024-01-01 to 2026-01-01, mL" in plot.words


def test_values_that_did_not_change_and_points_of_one_day_are_drawn() -> None:
    same = (POINTS[0], replace(POINTS[1], value=Quantity(3.0, "mL")))
    one_day = (POINTS[0], replace(POINTS[1], on=POINTS[0].on))
    for points in (same, one_day):
        assert len(drawn(points).of("circle")) == 2


def test_what_a_model_calls_a_finding_is_text() -> None:
    hostile = '"><script>alert(1)</script>'
    [whole] = drawn(title=hostile).of("svg")
    assert whole["aria-label"] == in_words(POINTS, hostile)
    assert drawn(title=hostile).of("script") == []
