"""An evaluation as text and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence

from models.evaluation.figures import Interval
from models.evaluation.report import MEASURES, Evaluation, Figure
from models.evaluation.scored import Scored
from models.manifest import Manifest

_DIGITS = 3
#: Where nothing was refused these figures are those without it.
_CHANCE = "_refused_as_chance"


def as_json(found: Evaluation, differences: Sequence[str] | None = None) -> str:
    """One object; `figures` have the form of a manifest's [[performance]]. Without a check `differences` is null."""
    return json.dumps(
        {
            "model": found.model,
            "version": found.version,
            "dataset": found.dataset,
            "device": found.device,
            "images": found.n,
            "patients": found.patients if found.by_patient else None,
            "evaluated": found.evaluated,
            "seconds": round(found.seconds, 1),
            "min_positives": found.min_positives,
            "resampled_by": "patient" if found.by_patient else "image",
            "refused": [{"gate": one.gate, "images": one.count, "reasons": one.reasons} for one in found.refused],
            "notices": found.notices,
            "thresholds": {key: _rounded(value) for key, value in found.thresholds},
            "positives": {f.output: f.positives for f in found.figures if f.positives is not None and not f.group},
            "figures": [_performance(figure, found.dataset) for figure in found.figures],
            "differences": differences,
        },
        indent=1,
        ensure_ascii=False,
    )


def as_text(found: Evaluation) -> str:
    """For a reader: how many, what was refused, the figures of each output, the groups, the notices."""
    return "\n".join(
        [
            f"{found.model} {found.version} on {found.dataset} ({found.device or 'no device'}, {found.seconds:.0f} s)",
            _counts(found),
            *(f"  refused at {r.gate or 'no gate'}: {r.count} ({'; '.join(r.reasons)})" for r in found.refused),
            *(f"  {notice}" for notice in found.notices),
            "",
            *_summary(found),
            *_outputs(found),
            *_groups(found),
        ]
    )


def as_csv(manifest: Manifest, rows: Sequence[Scored]) -> str:
    """One line for each row: its file, why it was refused, and each output's truth, score, call and value."""
    text = io.StringIO()
    keys = [output.key for output in manifest.outputs]
    parts = ("truth", "score", "called", "true_value", "value")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "gate", "reason", *(f"{key}.{part}" for key in keys for part in parts)])
    for one in rows:
        cells = (_cell(of, key) for key in keys for of in _sources(one))
        writer.writerow([one.row.file, one.gate, "; ".join(one.reasons), *cells])
    return text.getvalue()


def _sources(one: Scored) -> tuple[Mapping[str, float], ...]:
    return (one.row.truth, one.scores, one.called, one.row.values, one.values)


def _cell(of: Mapping[str, float], key: str) -> str:
    if key not in of:
        return ""
    return str(int(of[key])) if isinstance(of[key], bool) else f"{of[key]:.6g}"


def _performance(figure: Figure, dataset: str) -> dict[str, object]:
    value, low, high = figure.interval
    return {
        "statement": _statement(figure),
        "dataset": dataset,
        "measure": figure.name,
        "value": _rounded(value),
        "low": _rounded(low),
        "high": _rounded(high),
        "n": figure.n,
        "output": figure.output,
    }


def _statement(figure: Figure) -> str:
    what = f"{MEASURES[figure.measure]}{', ' + figure.group if figure.group else ''}"
    of = f" of {figure.output}" if figure.output else ""
    positives = f", {figure.positives} positive" if figure.positives is not None else ""
    return f"{what}{of}: {shown(figure.interval)}, n = {figure.n}{positives}."


def shown(interval: Interval) -> str:
    """A figure with its interval in words."""
    value = f"{interval.value:.{_DIGITS}f}"
    if interval.low is None or interval.high is None:
        return value
    return f"{value} (95 % interval {interval.low:.{_DIGITS}f} to {interval.high:.{_DIGITS}f})"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _counts(found: Evaluation) -> str:
    who = f" of {found.patients} patients" if found.by_patient else ""
    by = "patient" if found.by_patient else "image: the table has no column patient_id, so intervals may be too narrow"
    return f"  {found.evaluated} of {found.n} images evaluated{who}; intervals by {by}"


def _summary(found: Evaluation) -> Iterator[str]:
    for measure in ("macro_auc", "macro_auc_refused_as_chance"):
        figure = found.figure(measure)
        if figure is not None and (found.refused or not measure.endswith(_CHANCE)):
            least = f"outputs with at least {found.min_positives} positives"
            yield f"{MEASURES[measure]} ({least}): {shown(figure.interval)}"


def _outputs(found: Evaluation) -> Iterator[str]:
    thresholds = dict(found.thresholds)
    for key in dict.fromkeys(figure.output for figure in found.figures if figure.output):
        all_of_it = [figure for figure in found.of(key) if not figure.group]
        positives = next((f.positives for f in all_of_it if f.positives is not None), None)
        counted = found.figure("brier", key) or next(found.of(key))
        head = f"\n{key}: n = {counted.n}"
        head += f", {positives} positive" if positives is not None else ""
        yield head + (f", threshold {thresholds[key]:.3f}" if key in thresholds else "")
        for figure in all_of_it:
            if figure.measure.endswith(_CHANCE) and not found.refused:
                continue
            of = f"  (n = {figure.n})" if figure.measure in ("sensitivity", "specificity", "ppv", "npv") else ""
            yield f"  {MEASURES[figure.measure]:<26} {shown(figure.interval)}{of}"


def _groups(found: Evaluation) -> Iterator[str]:
    groups = dict.fromkeys(figure.group for figure in found.figures if figure.group)
    if groups:
        yield "\nAUC by group"
    for group in groups:
        of = [figure for figure in found.figures if figure.group == group]
        macro = next((figure for figure in of if not figure.output), None)
        yield f"  {group}: " + (
            f"macro {shown(macro.interval)}, n = {macro.n}" if macro else "no output has enough positives"
        )
        for figure in of:
            if figure.output:
                yield f"    {figure.output:<24} {shown(figure.interval)}, n = {figure.n}, {figure.positives} positive"
