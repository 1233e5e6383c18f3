"""A finding's values over time as a small SVG: points at their days, the value beside each, no colour that says more.

It is drawn in the colour of the text around it, without a style of its own: a page's policy lets none in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from html import escape

from cds.domain.wording import amount, unit_name
from cds.ui.study import Point

_WIDTH, _HEIGHT = 320, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 28, 28, 24, 28
_RADIUS = 4


def svg(points: Sequence[Point], title: str) -> str:
    """The plot of at least two points; a hollow point is of another version of the model than the newest."""
    words = in_words(points, title)
    drawn = "".join(_drawn(points))
    return (
        f'<svg class="trend" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" aria-label="{escape(words, quote=True)}">{drawn}</svg>'
    )


def in_words(points: Sequence[Point], title: str) -> str:
    """What the plot shows, for whoever does not see it."""
    told = "; ".join(f"{one.on.isoformat()}: {amount(one.value)}" for one in points)
    return f"{title} over time: {told}"


def _drawn(points: Sequence[Point]) -> Iterator[str]:
    places = list(_places(points))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    axis = _HEIGHT - _BOTTOM + 8
    yield f'<line x1="{_LEFT}" y1="{axis}" x2="{_WIDTH - _RIGHT}" y2="{axis}" stroke="currentColor" opacity="0.4"/>'
    yield f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    newest = points[-1].version
    for (x, y), point in zip(places, points, strict=True):
        fill = "currentColor" if point.version == newest else "none"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" fill="{fill}" stroke="currentColor"/>'
    for place, point in ((places[0], points[0]), (places[-1], points[-1])):
        yield _label(place, point)
    yield f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 4}" {_TEXT} text-anchor="middle">{_span(points)}</text>'


_TEXT = 'font-size="11" fill="currentColor"'


def _label(place: tuple[float, float], point: Point) -> str:
    """The value above the first and the last point; those between stand in the table beside the plot."""
    x, y = place
    return f'<text x="{x:.1f}" y="{y - 9:.1f}" {_TEXT} text-anchor="middle">{escape(point.value.digits)}</text>'


def _span(points: Sequence[Point]) -> str:
    unit = unit_name(points[-1].value.unit)
    told = f"{points[0].on.isoformat()} to {points[-1].on.isoformat()}"
    return escape(f"{told}, {unit}" if unit not in ("", "1") else told)


def _places(points: Sequence[Point]) -> Iterator[tuple[float, float]]:
    """Days to the right, values upwards; one value alone stands in the middle."""
    values = [one.value.value for one in points]
    low, high = min(values), max(values)
    for one in points:
        share = (one.value.value - low) / (high - low) if high > low else 0.5
        yield _x(one.on, points), _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _x(day: date, points: Sequence[Point]) -> float:
    days = (points[-1].on - points[0].on).days
    share = (day - points[0].on).days / days if days else 0.5
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
