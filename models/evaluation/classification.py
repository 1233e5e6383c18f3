"""Figures of a model that says of each finding whether it is there: how well it orders, decides and is calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.evaluation import figures
from models.evaluation.figures import Flags, Interval, Resamples, Values, Wins
from models.evaluation.report import Figure
from models.evaluation.scored import Scored
from models.manifest import Manifest


@dataclass(frozen=True)
class _Output:
    """One output over all images: is the truth known, what is it, was it evaluated, how was it scored and called."""

    key: str
    known: Flags
    truth: Flags
    evaluated: Flags
    scores: Values
    called: Flags

    @property
    def used(self) -> Flags:
        return self.known & self.evaluated

    def positives(self, chosen: Flags) -> int:
        return int((self.truth & chosen).sum())

    def has_enough(self, chosen: Flags, least: int) -> bool:
        positives = self.positives(chosen)
        return positives >= max(least, 1) and int(chosen.sum()) - positives >= 1


@dataclass(frozen=True)
class Classification:
    """The rows as arrays, and their resamples by patient; outputs with `min_positives` count in the macro AUC."""

    outputs: tuple[_Output, ...]
    resamples: Resamples
    groups: Mapping[str, Mapping[str, Flags]]
    min_positives: int
    #: What was worked out already, by output and group.
    known: dict[tuple[str, str], Wins] = field(default_factory=dict)

    @classmethod
    def of(
        cls, manifest: Manifest, rows: Sequence[Scored], min_positives: int, resamples: int = figures.RESAMPLES
    ) -> Classification:
        """Of the scored rows of a table."""
        return cls(
            tuple(_output(output.key, rows) for output in manifest.outputs),
            Resamples.draw([one.row.patient for one in rows], resamples),
            _groups(rows),
            min_positives,
        )

    def figures(self) -> Iterator[Figure]:
        """All of them: of every output, of all outputs together, within each group."""
        for output in self.outputs:
            if output.used.any():
                yield from self._of_output(output)
        counted = self._counted()
        yield from _macro("macro_auc", [self._wins(o).auc for o in counted], _most(o.used for o in counted))
        chance = [self._chance(o) for o in counted]
        yield from _macro("macro_auc_refused_as_chance", chance, _most(o.known for o in counted))
        for column, members in self.groups.items():
            yield from self._within(column, members)
            for name, chosen in members.items():
                yield from self._of_group(f"{column}={name}", chosen)

    def _counted(self) -> list[_Output]:
        return [output for output in self.outputs if output.has_enough(output.used, self.min_positives)]

    def _wins(self, output: _Output, group: str = "", members: Flags | None = None) -> Wins:
        """Of the images that were evaluated, in all or in one group."""
        if (output.key, group) not in self.known:
            chosen = output.used if members is None else output.used & members
            found = figures.wins(output.truth[chosen], output.scores[chosen], self.resamples.of(chosen))
            self.known[output.key, group] = found
        return self.known[output.key, group]

    def _chance(self, output: _Output) -> Values:
        """A refused image has no score: every pair with one is half right."""
        wins = self._wins(output)
        pairs = self.resamples.of(output.known).pairs(output.truth[output.known])
        return Wins(wins.right + (pairs - wins.pairs) / 2.0, pairs).auc

    def _of_output(self, output: _Output) -> Iterator[Figure]:
        used = output.used
        truth, scores, called = output.truth[used], output.scores[used], output.called[used]
        n, positives = int(used.sum()), output.positives(used)

        def figure(measure: str, interval: Interval, of: int = n) -> Figure:
            return Figure(measure, interval, of, output.key, positives=positives)

        if output.has_enough(used, 1):
            yield figure("auc", figures.interval(self._wins(output).auc))
            precision = figures.average_precision(truth, scores, self.resamples.of(used))
            yield figure("average_precision", figures.interval(precision))
        if output.has_enough(output.known, 1):
            chance = figures.interval(self._chance(output))
            yield figure("auc_refused_as_chance", chance, int(output.known.sum()))
        for measure, right, of in _decisions(truth, called):
            share = figures.proportion(int((right & of).sum()), int(of.sum()))
            if share is not None:
                yield figure(measure, share, int(of.sum()))
        yield figure("brier", Interval(figures.brier(truth, scores)))
        yield figure("ece", Interval(figures.calibration_error(truth, scores)))

    def _of_group(self, group: str, members: Flags) -> Iterator[Figure]:
        counted: list[Values] = []
        for output in self.outputs:
            chosen = output.used & members
            if not output.has_enough(chosen, 1):
                continue
            auc = self._wins(output, group, members).auc
            n, positives = int(chosen.sum()), output.positives(chosen)
            yield Figure("auc", figures.interval(auc), n, output.key, group, positives)
            if output.has_enough(chosen, self.min_positives):
                counted.append(auc)
        yield from _macro("macro_auc", counted, _most(o.used & members for o in self.outputs), group)

    def _within(self, column: str, members: Mapping[str, Flags]) -> Iterator[Figure]:
        """Pairs of one group alone: what a difference between groups adds to the AUC is not in it."""
        if len(members) < 2:  # noqa: PLR2004 - one group is all
            return
        counted: list[Values] = []
        group = f"within {column}"
        for output in self.outputs:
            parts = [self._wins(output, f"{column}={name}", chosen) for name, chosen in members.items()]
            auc = Wins(
                np.sum([part.right for part in parts], axis=0), np.sum([part.pairs for part in parts], axis=0)
            ).auc
            if np.isnan(auc[0]):
                continue
            used = output.used
            yield Figure("auc", figures.interval(auc), int(used.sum()), output.key, group, output.positives(used))
            if output.has_enough(used, self.min_positives):
                counted.append(auc)
        yield from _macro("macro_auc", counted, _most(o.used for o in self.outputs), group)


def _macro(measure: str, of: Sequence[Values], n: int, group: str = "") -> Iterator[Figure]:
    """The mean over outputs in each resample: they share its patients."""
    if of:
        yield Figure(measure, figures.interval(np.mean(of, axis=0)), n, group=group)


def _most(chosen: Iterable[Flags]) -> int:
    return max((int(one.sum()) for one in chosen), default=0)


def _decisions(truth: Flags, called: Flags) -> list[tuple[str, Flags, Flags]]:
    """(measure, where the model was right, among which)."""
    return [
        ("sensitivity", called, truth),
        ("specificity", ~called, ~truth),
        ("ppv", truth, called),
        ("npv", ~truth, ~called),
    ]


def _output(key: str, rows: Sequence[Scored]) -> _Output:
    return _Output(
        key,
        known=np.array([key in one.row.truth for one in rows], dtype=np.bool_),
        truth=np.array([one.row.truth.get(key, False) for one in rows], dtype=np.bool_),
        evaluated=np.array([key in one.scores for one in rows], dtype=np.bool_),
        scores=np.array([one.scores.get(key, 0.0) for one in rows], dtype=np.float64),
        called=np.array([one.called.get(key, False) for one in rows], dtype=np.bool_),
    )


def _groups(rows: Sequence[Scored]) -> dict[str, dict[str, Flags]]:
    """The images of each group of each column; an image that does not say its group is in none."""
    columns = dict.fromkeys(name for one in rows for name in one.row.groups)
    return {
        column: {
            name: np.array([one.row.groups.get(column) == name for one in rows], dtype=np.bool_)
            for name in sorted({one.row.groups[column] for one in rows if column in one.row.groups})
        }
        for column in columns
    }
