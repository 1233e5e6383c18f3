"""Figures of a model that measures: its values against the true ones, output by output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from models.evaluation.figures import Interval, agreement
from models.evaluation.report import Figure
from models.evaluation.scored import Scored
from models.manifest import Manifest


def figures_of(manifest: Manifest, rows: Sequence[Scored]) -> Iterator[Figure]:
    """Bland and Altman's figures of every output that has a measured and a true value in some case, in its unit."""
    for output in manifest.outputs:
        both = [
            (one.values[output.key], one.row.values[output.key])
            for one in rows
            if output.key in one.values and output.key in one.row.values
        ]
        if both:
            yield from _figures(output.key, np.array(both, dtype=np.float64))


def _figures(key: str, both: np.typing.NDArray[np.float64]) -> Iterator[Figure]:
    found = agreement(both[:, 0], both[:, 1])
    yield Figure("bias", found.bias, found.n, key)
    yield Figure("mean_absolute_error", Interval(found.mean_absolute_error), found.n, key)
    for measure, limit in (
        ("lower_limit_of_agreement", found.lower_limit),
        ("upper_limit_of_agreement", found.upper_limit),
    ):
        if limit is not None:
            yield Figure(measure, Interval(limit), found.n, key)
    if found.correlation is not None:
        yield Figure("correlation", found.correlation, found.n, key)
