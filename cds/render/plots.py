"""Plots of the quality figures as SVG: drawn on the server, read aloud by their title and description.

Text stays text, and every style is an attribute: a page may be as strict as it likes about inline styles. The same
figures give the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from cds.domain.quality import Drift, FindingFigures, ModelFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES, _ROW_INCHES = 7.0, 0.32
#: Told apart without colour as well (hatching, markers); all have a contrast of 3 to 1 with white.
_THEN, _NOW, _THIRD = "#767676", "#0b5394", "#b45309"
_FONT = "sans-serif"
_STYLED = re.compile(r'(<[^<>]*?) style="([^"]*)"')
#: What is about the file, and the styles that are for a document of its own.
_NOT_SHOWN = re.compile(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)


def days(model: ModelFigures) -> bytes:
    """Studies by day: read, evaluated and positive."""
    names = [one.day.isoformat() for one in model.days]
    read, evaluated = [one.read for one in model.days], [one.evaluated for one in model.days]
    positive = [one.positive for one in model.days]

    def draw(axes: Axes) -> None:
        places = range(len(names))
        axes.bar(places, read, color="white", edgecolor=_THEN, label="read")
        axes.bar(places, evaluated, color=_NOW, alpha=0.45, label="evaluated")
        axes.plot(places, positive, color=_THIRD, marker="o", markersize=3, linewidth=1, label="positive")
        shown = list(places)[:: max(1, len(names) // 5)]
        axes.set_xticks(shown, [names[place] for place in shown])
        axes.set_ylabel("studies")
        axes.set_ylim(bottom=0)
        _legend(axes)

    counts = f"{sum(read)} read, {sum(evaluated)} evaluated, {sum(positive)} positive."
    told = f"From {names[0]} to {names[-1]}: {counts}" if names else "No day."
    return _drawn(f"Studies of {model.model} {model.version} by day", told, draw)


def findings(model: ModelFigures) -> bytes:
    """Positive predictive values with their intervals."""
    known = [one for one in model.findings if one.ppv is not None]

    def draw(axes: Axes) -> None:
        for place, one in enumerate(reversed(known)):
            if one.ppv is not None:
                axes.plot([one.ppv.low, one.ppv.high], [place, place], color=_NOW, linewidth=2)
                axes.plot([one.ppv.value], [place], color=_NOW, marker="D", markersize=5)
        axes.set_yticks(range(len(known)), [one.title for one in reversed(known)])
        axes.set_xlim(0, 1)
        axes.set_xlabel("positive predictive value, 95 % interval")

    told = " ".join(map(_ppv, known)) or "No positive finding has been verified."
    title = f"Positive predictive value of {model.model} {model.version}"
    return _drawn(title, told, draw, rows=len(known))


def drift(model: ModelFigures, one: Drift) -> bytes:
    """The shares by bin of the reference window and of the current one."""

    def draw(axes: Axes) -> None:
        places = range(len(one.bins))
        then, now = [part.reference for part in one.bins], [part.current for part in one.bins]
        axes.barh([place - 0.2 for place in places], then, 0.4, color="white", edgecolor=_THEN, hatch="///",
                  label=f"reference, {one.reference} studies")  # fmt: skip
        axes.barh([place + 0.2 for place in places], now, 0.4, color=_NOW, label=f"current, {one.current} studies")
        axes.set_yticks(places, [part.label for part in one.bins])
        axes.invert_yaxis()
        axes.set_xlabel("share of studies")
        _legend(axes)

    parts = (f"{part.label}: {part.reference:.0%} then, {part.current:.0%} now." for part in one.bins)
    title = f"{one.about.value.capitalize()} {one.name} of {model.model} {model.version}, reference and current window"
    return _drawn(title, " ".join(parts) or one.reason, draw, rows=2 * len(one.bins))


def _legend(axes: Axes) -> None:
    """Above the plot, where it hides nothing."""
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _ppv(one: FindingFigures) -> str:
    share = one.ppv
    return (
        f"{one.title}: {share.value:.0%} ({share.low:.0%} to {share.high:.0%}), {share.of} verified." if share else ""
    )


def _drawn(title: str, told: str, draw: Callable[[Axes], None], rows: int = 8) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    # The same for every plot of a process: threads that draw at once do not disagree.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sightline", "text.parse_math": False})
    figure = Figure(figsize=(_INCHES, 1.2 + _ROW_INCHES * max(rows, 3)), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    out = io.StringIO()
    figure.savefig(out, format="svg", backend="svg", metadata={"Date": None, "Creator": None})
    return _accessible(out.getvalue(), title, told)


def _accessible(svg: str, title: str, told: str) -> bytes:
    """With title and description, without metadata, and with attributes in place of styles."""
    plain = _STYLED.sub(lambda tag: f"{tag[1]} {_attributes(tag[2])}", _NOT_SHOWN.sub("", svg[svg.index("<svg ") :]))
    root, _, rest = plain.partition(">")
    opened = f'{root} role="img" aria-labelledby="title desc" stroke-linejoin="round" stroke-linecap="butt">'
    said = f'<title id="title">{escape(title)}</title><desc id="desc">{escape(told)}</desc>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{opened}{said}{rest}'.encode()


def _attributes(style: str) -> str:
    found = dict(part.strip().split(": ", 1) for part in style.split(";") if part.strip())
    if "font-family" in found:
        found["font-family"] = _FONT
    return " ".join(f'{name}="{value}"' for name, value in found.items())
