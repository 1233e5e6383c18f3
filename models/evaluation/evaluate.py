"""One evaluation from the scored rows of a table, and its comparison with what a manifest states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cds.errors import InvalidInput
from models.evaluation import measurement
from models.evaluation.classification import Classification
from models.evaluation.report import Evaluation, Figure, RefusedCount
from models.evaluation.scored import Scored
from models.evaluation.table import Table, measures
from models.manifest import Manifest, Performance

#: By so much a figure may differ from the stated one: both are rounded to three decimals, and devices differ. Values
#: in mL or HU may be large: a thousandth of them too.
TOLERANCE, RELATIVE = 0.0015, 0.001
_REASONS_TOLD = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that the manifest states and that was not found again, in words."""

    text: str


def evaluation(
    manifest: Manifest,
    table: Table,
    rows: Sequence[Scored],
    *,
    dataset: str,
    min_positives: int,
    seconds: float = 0.0,
    notices: Sequence[str] = (),
) -> Evaluation:
    """All figures; raise InvalidInput where the model evaluated nothing of what the table knows."""
    figures = tuple(
        measurement.figures_of(manifest, rows)
        if measures(manifest)
        else Classification.of(manifest, rows, min_positives).figures()
    )
    if not figures:
        raise InvalidInput(f"nothing was evaluated: {'; '.join(_told(rows)) or 'no output has a known truth'}")
    return Evaluation(
        model=manifest.id,
        version=manifest.version,
        dataset=dataset,
        device=", ".join(sorted({one.device for one in rows if one.device})),
        n=len(rows),
        patients=len({one.row.patient for one in rows}),
        evaluated=sum(not one.refused for one in rows),
        figures=figures,
        refused=tuple(_refused(rows)),
        notices=(*table.notices, *notices),
        thresholds=_thresholds(manifest, rows),
        by_patient=table.by_patient,
        min_positives=min_positives,
        seconds=seconds,
    )


def stated(manifest: Manifest, dataset: str) -> tuple[Performance, ...]:
    """The manifest's figures of a data set; raise InvalidInput that says of which it has some where there is none."""
    found = tuple(one for one in manifest.performance if one.dataset == dataset and one.value is not None)
    if not found:
        names = sorted({one.dataset for one in manifest.performance if one.value is not None})
        raise InvalidInput(
            f"the manifest of {manifest.id} states no figure of the dataset {dataset!r}; it has figures of: "
            f"{', '.join(names) or 'none'}"
        )
    return found


def differences(manifest: Manifest, found: Evaluation) -> list[Difference]:
    """The manifest's figures of the same data set that the evaluation does not reproduce; raise as `stated` does."""
    return [Difference(text) for one in stated(manifest, found.dataset) for text in _difference(one, found)]


def _difference(was: Performance, found: Evaluation) -> Iterator[str]:
    name = f"{was.measure}{' of ' + was.output if was.output else ''}"
    figure = found.figure(was.measure, was.output)
    if figure is None:
        yield f"{name} is stated, and was not measured"
        return
    if was.n is not None and was.n != figure.n:
        yield f"{name} is of {figure.n} images, stated is {was.n}"
    for what, said, now in _pairs(was, figure):
        if said is not None and (now is None or abs(said - now) > max(TOLERANCE, RELATIVE * abs(said))):
            yield f"{what} {name} is {'not known' if now is None else f'{now:.3f}'}, stated is {said:.3f}"


def _pairs(was: Performance, figure: Figure) -> list[tuple[str, float | None, float | None]]:
    return [
        ("the value of", was.value, figure.interval.value),
        ("the lower bound of", was.low, figure.interval.low),
        ("the upper bound of", was.high, figure.interval.high),
    ]


def _refused(rows: Sequence[Scored]) -> Iterator[RefusedCount]:
    gates = Counter(one.gate for one in rows if one.refused)
    for gate, count in gates.most_common():
        reasons = Counter(reason for one in rows if one.refused and one.gate == gate for reason in one.reasons)
        yield RefusedCount(gate, count, tuple(reason for reason, _ in reasons.most_common(_REASONS_TOLD)))


def _told(rows: Sequence[Scored]) -> list[str]:
    return [f"{one.count} refused ({one.gate}: {'; '.join(one.reasons)})" for one in _refused(rows)]


def _thresholds(manifest: Manifest, rows: Sequence[Scored]) -> tuple[tuple[str, float], ...]:
    """The operating point that each output was called at, as the findings say it."""
    found: dict[str, float] = {}
    for one in rows:
        for key, value in one.thresholds.items():
            found.setdefault(key, value)
    return tuple((output.key, found[output.key]) for output in manifest.outputs if output.key in found)
