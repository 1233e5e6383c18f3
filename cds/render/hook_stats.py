"""What became of cards, as text, JSON and CSV: counts, and shares with Wilson's interval. No patient and no user.

A share is of the cards that were shown. Where no card was ever answered there is none: whether an EHR sends feedback
at all is not known then, and 0 % would say that nobody accepts.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from math import sqrt

from cds.domain.hook_stats import CardCount

#: The 97.5 % quantile of the standard normal distribution, for 95 % intervals.
_Z = 1.959963984540054
_NOTHING = "No card was shown or held back."
#: What a code looks like; a client may send anything as the code of a reason.
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OTHER = "other"


class By(StrEnum):
    """What the numbers are told by."""

    ALL = "all"
    PATHWAY = "pathway"
    MODEL = "model"
    SITE = "site"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Share:
    """A share with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def share(count: int, of: int) -> Share:
    """A share of `of` > 0 with Wilson's interval (https://doi.org/10.1080/01621459.1927.10502953)."""
    found, square = count / of, _Z * _Z
    middle = (found + square / (2 * of)) / (1 + square / of)
    half = _Z * sqrt(found * (1 - found) / of + square / (4 * of * of)) / (1 + square / of)
    return Share(found, max(middle - half, 0.0), min(middle + half, 1.0))


def told_by(counts: Sequence[CardCount], by: By) -> Sequence[CardCount]:
    """The counts summed up by one thing; a card that rests on several models counts for each of them.

    Sums are of advice alone: a card that gives none wants no answer, and would make every share smaller.
    """
    if by is By.ALL:
        return counts
    groups: dict[str, list[CardCount]] = defaultdict(list)
    for count in (one for one in counts if one.pathway):
        for name in _NAMES[by](count):
            groups[name].append(count)
    return [_sum(by, name, group) for name, group in sorted(groups.items())]


def as_text(counts: Sequence[CardCount]) -> str:
    """One line of what it is about, and one each of what came of it."""
    return "\n".join(line for one in counts for line in _lines(one)) or _NOTHING


def as_json(counts: Sequence[CardCount]) -> str:
    """The counts as a JSON array; a share that nobody can tell is null."""
    return json.dumps([_row(one) for one in counts], indent=2, ensure_ascii=False)


def as_csv(counts: Sequence[CardCount]) -> str:
    """The counts as a table; a share that nobody can tell is empty."""
    out = io.StringIO()
    rows = [_flat(one) for one in counts]
    table = csv.DictWriter(out, _flat(CardCount("")).keys(), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue()


_NAMES: Mapping[By, Callable[[CardCount], tuple[str, ...]]] = {
    By.PATHWAY: lambda one: (one.pathway,),
    By.MODEL: lambda one: one.models or ("",),
    By.SITE: lambda one: (one.site,),
    By.SERVICE: lambda one: (one.service,),
}


def _sum(by: By, name: str, group: Sequence[CardCount]) -> CardCount:
    return CardCount(
        service=name if by is By.SERVICE else "",
        pathway=name if by is By.PATHWAY else "",
        models=(name,) if by is By.MODEL and name else (),
        site=name if by is By.SITE else "",
        shown=sum(one.shown for one in group),
        critical=sum(one.critical for one in group),
        accepted=sum(one.accepted for one in group),
        overridden=_added(one.overridden for one in group),
        unanswered=sum(one.unanswered for one in group),
        suppressed=_added(one.suppressed for one in group),
    )


def _added(counts: Iterator[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for name, count in chain.from_iterable(one.items() for one in counts):
        total[name] += count
    return dict(total)


def _reasons(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first; what is no code is shown as "other"."""
    told: Counter[str] = Counter()
    for name, count in counts.items():
        told[name if _CODE.fullmatch(name) else _OTHER] += count
    return dict(sorted(told.items(), key=lambda item: (-item[1], item[0])))


def _shares(one: CardCount) -> tuple[Share | None, Share | None]:
    """Of the cards shown: accepted, and overridden; None where nobody answered any."""
    overridden = sum(one.overridden.values())
    if not one.shown or not one.accepted + overridden:
        return None, None
    return share(one.accepted, one.shown), share(overridden, one.shown)


def _lines(one: CardCount) -> Iterator[str]:
    accepted, overridden = _shares(one)
    names = (one.service, one.pathway, ", ".join(one.models), f"site {one.site}" if one.site else "")
    yield "  ".join(filter(None, names)) or "(no name)"
    critical = f", {one.critical} of them critical" if one.critical else ""
    yield f"  shown {one.shown}{critical}; unanswered {one.unanswered}"
    yield f"  accepted {one.accepted}{_percent(accepted)}"
    yield f"  overridden {sum(one.overridden.values())}{_percent(overridden)}{_listed(one.overridden)}"
    if one.suppressed:
        yield f"  held back {sum(one.suppressed.values())}{_listed(one.suppressed)}"


def _percent(told: Share | None) -> str:
    if told is None:
        return " (nobody answered)"
    return f" ({100 * told.value:.1f} %, 95 % interval {100 * told.low:.1f} to {100 * told.high:.1f})"


def _listed(counts: Mapping[str, int]) -> str:
    return ": " + ", ".join(f"{name} {count}" for name, count in _reasons(counts).items()) if counts else ""


def _row(one: CardCount) -> dict[str, object]:
    accepted, overridden = _shares(one)
    return {
        "service": one.service,
        "pathway": one.pathway,
        "models": list(one.models),
        "site": one.site,
        "shown": one.shown,
        "critical": one.critical,
        "unanswered": one.unanswered,
        "accepted": one.accepted,
        "accepted_share": _bounds(accepted),
        "overridden": sum(one.overridden.values()),
        "overridden_share": _bounds(overridden),
        "reasons": _reasons(one.overridden),
        "held_back": _reasons(one.suppressed),
    }


def _bounds(told: Share | None) -> dict[str, float] | None:
    if told is None:
        return None
    return {name: round(value, 4) for name, value in (("value", told.value), ("low", told.low), ("high", told.high))}


def _flat(one: CardCount) -> dict[str, object]:
    """A row whose cells are no formulas: names come from the settings, codes are letters and digits."""
    row: dict[str, object] = {}
    for name, value in _row(one).items():
        if name.endswith("_share"):
            bounds = value if isinstance(value, dict) else {}
            row |= {name: bounds.get("value", ""), f"{name}_low": bounds.get("low", "")}
            row |= {f"{name}_high": bounds.get("high", "")}
        elif isinstance(value, dict):
            row[name] = "; ".join(f"{key}={count}" for key, count in value.items())
        else:
            row[name] = "; ".join(value) if isinstance(value, list) else value
    return row
