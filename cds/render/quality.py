"""The quality figures as tables: for CSV and for a terminal. No patient and no user.

Each row of a table repeats its day: files of several days are put together.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence

from cds.domain.quality import Drift, FindingFigures, ModelFigures, QualityDay, Share, Subgroup

Cell = str | int | float | None
Row = Mapping[str, Cell]

#: What a spreadsheet takes for a formula: names of scanners come from strangers.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOTHING = "Nothing was computed for it."


def tables() -> tuple[str, ...]:
    """The names of the tables."""
    return tuple(_TABLES)


def rows(day: QualityDay, table: str) -> list[Row]:
    """The rows of one table; `table` is one of `tables()`."""
    return [{"day": day.day.isoformat(), **row} for row in _TABLES[table](day)]


def as_csv(day: QualityDay, table: str) -> str:
    """One table as CSV (RFC 4180); what is not known, or told apart, is empty."""
    out = io.StringIO()
    found = rows(day, table)
    writer = csv.DictWriter(out, list(found[0]) if found else ["day"], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in found)
    return out.getvalue()


def as_text(day: QualityDay, table: str) -> str:
    """One table for a terminal, columns aligned."""
    found = rows(day, table)
    if not found:
        return _NOTHING
    names = [name for name in found[0] if name != "day"]
    lines = [names, *([_shown(row[name]) for name in names] for row in found)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _models(day: QualityDay) -> Iterator[Row]:
    for one in day.models:
        yield {
            "model": one.model,
            "version": one.version,
            "read": one.read,
            "evaluated": one.evaluated,
            "not_evaluated": "; ".join(f"{gate}={count}" for gate, count in one.not_evaluated.items()),
            **_share("positive", one.positive),
            "disputed_cards": one.disputed,
            "drifted": sum(drift.drifted for drift in one.drift),
            "reference_from": one.reference_from.isoformat(),
            "reference_to": one.reference_to.isoformat(),
        }


def _findings(day: QualityDay) -> Iterator[Row]:
    for model in day.models:
        for one in model.findings:
            yield {**_named(model), **_finding(one)}


def _finding(one: FindingFigures) -> Row:
    return {
        "finding": one.kind,
        "title": one.title,
        **_share("positive", one.positive),
        **_share("ppv", one.ppv),
        **_share("sensitivity", one.sensitivity),
        **_share("specificity", one.specificity),
        "unverified_positives": one.unverified,
        "known_by_radiologist": one.by_radiologist,
        "known_by_report": one.by_report,
    }


def _drift(day: QualityDay) -> Iterator[Row]:
    for model in day.models:
        for one in model.drift:
            yield {**_named(model), **_drifted(one)}


def _drifted(one: Drift) -> Row:
    then, now = one.reference_spread, one.current_spread
    return {
        "about": one.about.value,
        "name": one.name,
        "reference": one.reference,
        "current": one.current,
        "psi": _rounded(one.psi),
        "psi_noise": _rounded(one.psi_noise),
        "ks": _rounded(one.ks),
        "ks_p": None if one.ks_p is None else float(f"{one.ks_p:.3g}"),
        "reference_median": then.p50 if then else None,
        "current_median": now.p50 if now else None,
        "drifted": "yes" if one.drifted else "no" if not one.reason else "",
        "reason": one.reason,
    }


def _subgroups(day: QualityDay) -> Iterator[Row]:
    for model in day.models:
        for one in model.subgroups:
            yield {**_named(model), **_subgroup(one, day.smallest_cell)}


def _subgroup(one: Subgroup, smallest: int) -> Row:
    return {
        "finding": one.kind,
        "by": one.dimension,
        "group": one.group,
        "studies": one.studies,
        "hidden": "" if one.studies is not None else f"too few to be told apart (smallest cell {smallest})",
        **_share("positive", one.positive),
        **_share("ppv", one.ppv),
        **_share("sensitivity", one.sensitivity),
    }


def _days(day: QualityDay) -> Iterator[Row]:
    for model in day.models:
        for one in model.days:
            counts = {"read": one.read, "evaluated": one.evaluated, "positive": one.positive}
            yield {**_named(model), "date": one.day.isoformat(), **counts}


def _pathways(day: QualityDay) -> Iterator[Row]:
    for one in day.pathways:
        yield {
            "pathway": one.pathway,
            "shown": one.shown,
            "critical": one.critical,
            "unanswered": one.unanswered,
            **_share("accepted", one.accepted),
            **_share("overridden", one.overridden),
            "reasons": _listed(one.reasons),
            "suppressed": _listed(one.suppressed),
        }


def _times(day: QualityDay) -> Iterator[Row]:
    for one in day.turnaround:
        yield {
            "until": one.what,
            "done": one.done,
            "open": one.open,
            "p50_minutes": _rounded(one.p50_minutes),
            "p90_minutes": _rounded(one.p90_minutes),
        }


def _bounds(day: QualityDay) -> Iterator[Row]:
    for one in day.crossed:
        yield {"key": one.key, "text": one.text}


_TABLES: Mapping[str, Callable[[QualityDay], Iterator[Row]]] = {
    "models": _models,
    "findings": _findings,
    "drift": _drift,
    "subgroups": _subgroups,
    "days": _days,
    "pathways": _pathways,
    "turnaround": _times,
    "bounds": _bounds,
}


def _named(model: ModelFigures) -> Row:
    return {"model": model.model, "version": model.version}


def _share(name: str, found: Share | None) -> Row:
    if found is None:
        return dict.fromkeys((name, f"{name}_of", f"{name}_share", f"{name}_low", f"{name}_high"))
    return {
        name: found.count,
        f"{name}_of": found.of,
        f"{name}_share": round(found.value, 4),
        f"{name}_low": round(found.low, 4),
        f"{name}_high": round(found.high, 4),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _listed(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{name}={count}" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _safe(value: Cell) -> Cell:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _shown(value: Cell) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return "".join(letter for letter in text if letter.isprintable())


def headed(day: QualityDay, names: Sequence[str] = ()) -> str:
    """Several tables for a terminal, each under its name; all where none is named."""
    window = f"Window {day.window_from.isoformat()} to {day.day.isoformat()}, method {day.method}"
    return "\n\n".join([window, *(f"{name}\n{as_text(day, name)}" for name in names or tables())])
