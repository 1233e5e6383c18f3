"""The honest figures: of every image by what was trained without its patient, with intervals and within groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation import figures
from models.evaluation.figures import Flags, Resamples, Values
from models.training.calibrate import threshold
from models.training.images import Case

#: The share of the positives that a threshold is chosen to call.
SENSITIVITY = 0.80
#: Labels with fewer positives do not count in a mean.
MIN_POSITIVES = 15
_AGES = ((18, "0-17"), (40, "18-39"), (65, "40-64"), (1000, "65+"))
_NOT_TOLD = frozenset({"Hernia", "No Finding"})


@dataclass(frozen=True)
class Outside:
    """Out-of-fold scores (items, labels): of the members, of the plain reader, and joined as calibrated logits."""

    rows: tuple[Case, ...]
    truth: Flags
    members: Values
    plain: Values
    joined: Values


def report(outside: Outside, labels: Sequence[str]) -> dict[str, object]:
    """AUC with interval, thresholds and what they give, calibration, and AUC within groups, for each label."""
    resamples = Resamples.draw([row.patient for row in outside.rows])
    told = [index for index, label in enumerate(labels) if label not in _NOT_TOLD]
    chances = 1 / (1 + np.exp(-outside.joined))
    return {
        "images": len(outside.rows),
        "patients": len({row.patient for row in outside.rows}),
        "macro_auc": {
            name: _macro(outside.truth, scores, told, np.ones(len(outside.rows), dtype=np.bool_), resamples)
            for name, scores in (("joined", outside.joined), ("members", outside.members), ("plain", outside.plain))
        },
        "labels": {labels[i]: _label(outside.truth[:, i], chances[:, i], resamples) for i in range(len(labels))},
        "groups": {
            name: {
                "images": int(chosen.sum()),
                "macro_auc": _macro(outside.truth, outside.joined, told, chosen, resamples),
                "labels": {labels[i]: _auc(outside.truth[:, i], outside.joined[:, i], chosen, resamples) for i in told},
            }
            for name, chosen in _groups(outside.rows).items()
        },
    }


def _label(truth: Flags, chances: Values, resamples: Resamples) -> dict[str, object]:
    cut = threshold(chances, truth, SENSITIVITY)
    called = chances >= cut
    return {
        "auc": _auc(truth, chances, np.ones(len(truth), dtype=np.bool_), resamples),
        "threshold": cut,
        "sensitivity": _share(called & truth, truth),
        "specificity": _share(~called & ~truth, ~truth),
        "ppv": _share(called & truth, called),
        "npv": _share(~called & ~truth, ~called),
        "prevalence": round(float(truth.mean()), 4),
        "brier": round(figures.brier(truth, chances), 4),
        "brier_of_prevalence": round(float(truth.mean() * (1 - truth.mean())), 4),
        "ece": round(figures.calibration_error(truth, chances), 4),
    }


def _auc(truth: Flags, scores: Values, chosen: Flags, resamples: Resamples) -> list[float | None]:
    """Value, lower and upper bound, positives."""
    positives = int(truth[chosen].sum())
    if positives in (0, int(chosen.sum())):
        return [None, None, None, positives]
    found = figures.interval(figures.wins(truth[chosen], scores[chosen], resamples.of(chosen)).auc)
    return [*_rounded(found), positives]


def _macro(truth: Flags, scores: Values, labels: list[int], chosen: Flags, resamples: Resamples) -> list[float | None]:
    """Mean over the labels with enough positives: value, bounds, how many labels."""
    counted = [label for label in labels if truth[chosen, label].sum() >= MIN_POSITIVES]
    some = resamples.of(chosen)
    of = [figures.wins(truth[chosen, label], scores[chosen, label], some).auc for label in counted]
    return [*_rounded(figures.interval(np.mean(of, axis=0))), len(counted)] if of else [None, None, None, 0]


def _share(count: Flags, of: Flags) -> list[float | None]:
    found = figures.proportion(int(count.sum()), int(of.sum()))
    return _rounded(found) if found is not None else [None, None, None]


def _rounded(found: figures.Interval) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in found]


def _groups(rows: Sequence[Case]) -> dict[str, Flags]:
    def where(values: Sequence[object], wanted: object) -> Flags:
        return np.array([value == wanted for value in values], dtype=np.bool_)

    columns = {
        "source": [row.source for row in rows],
        "sex": [row.sex for row in rows],
        "view": [row.view for row in rows],
        "age": [_age_group(row.age) for row in rows],
    }
    return {
        f"{column}={value}": where(values, value)
        for column, values in columns.items()
        for value in sorted(set(values))
        if value
    }


def _age_group(age: int | None) -> str:
    """The age groups of `cds models evaluate`."""
    if age is None:
        return ""
    return next(name for below, name in _AGES if age < below)
