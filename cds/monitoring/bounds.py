"""Which bounds of the site are crossed. A share crosses one where its whole 95 % interval lies beyond it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cds.domain.quality import Crossed, Drift, FindingFigures, ModelFigures, PathwayFigures, Share, Turnaround
from cds.quality_bounds import QualityBounds, Timed

_ABOUT = "Quality"


def crossed(
    models: Iterable[ModelFigures],
    pathways: Iterable[PathwayFigures],
    times: Iterable[Turnaround],
    bounds: QualityBounds,
) -> tuple[Crossed, ...]:
    """Everything that is beyond its bound, one entry per cause."""
    return (
        *(one for model in models for one in _model(model, bounds)),
        *_pathways(pathways, bounds.overridden),
        *_times(times, bounds.p90_minutes),
    )


def idle(models: Iterable[ModelFigures], pathways: Iterable[PathwayFigures], bounds: QualityBounds) -> tuple[str, ...]:
    """Bounds that are about nothing which was read or shown: a misspelt one would never be crossed."""
    named = [(one.model, {f"{one.model}.{finding.kind}" for finding in one.findings}) for one in models]
    known = {name for model, kinds in named for name in (model, *kinds)}
    wanted = {"ppv": bounds.ppv, "sensitivity": bounds.sensitivity, "specificity": bounds.specificity}
    found = [f"{what}: {name}" for what, stated in wanted.items() for name in stated if name not in known]
    shown = {one.pathway for one in pathways}
    return (*found, *(f"overridden: {name}" for name in bounds.overridden if name not in shown))


def _model(model: ModelFigures, bounds: QualityBounds) -> Iterator[Crossed]:
    name = f"{model.model} {model.version}"
    for finding in model.findings:
        for what, share, wanted in _accuracy(finding, bounds):
            bound = wanted.get(f"{model.model}.{finding.kind}", wanted.get(model.model))
            if share is not None and bound is not None and share.high < bound:
                key = f"quality:{what}:{name}:{finding.kind}"
                text = f"{_ABOUT}: {what} of {name} for {finding.title} is {_percent(share)}, want {100 * bound:.0f} %"
                yield Crossed(key, text)
    drifted = [_named(drift) for drift in model.drift if drift.drifted]
    if drifted:
        yield Crossed(f"quality:drift:{name}", f"{_ABOUT}: {name} sees or says other things than before: "
                      + "; ".join(drifted))  # fmt: skip


def _accuracy(
    finding: FindingFigures, bounds: QualityBounds
) -> Iterator[tuple[str, Share | None, Mapping[str, float]]]:
    yield "PPV", finding.ppv, bounds.ppv
    yield "sensitivity", finding.sensitivity, bounds.sensitivity
    yield "specificity", finding.specificity, bounds.specificity


def _named(drift: Drift) -> str:
    figures = [f"PSI {drift.psi:.2f}"] if drift.psi is not None else []
    figures += [f"KS {drift.ks:.2f}"] if drift.ks is not None else []
    return f"{drift.about.value} {drift.name} ({', '.join(figures)})"


def _pathways(pathways: Iterable[PathwayFigures], wanted: Mapping[str, float]) -> Iterator[Crossed]:
    for one in pathways:
        bound, share = wanted.get(one.pathway), one.overridden
        if share is not None and bound is not None and share.low > bound:
            text = f"{_ABOUT}: cards of {one.pathway} overridden in {_percent(share)}, want at most {100 * bound:.0f} %"
            yield Crossed(f"quality:overridden:{one.pathway}", text)


def _times(times: Iterable[Turnaround], wanted: Mapping[Timed, float]) -> Iterator[Crossed]:
    for one in times:
        bound = next((minutes for timed, minutes in wanted.items() if timed == one.what), None)
        if one.p90_minutes is not None and bound is not None and one.p90_minutes > bound:
            text = f"{_ABOUT}: the 90th percentile until {one.what} is {one.p90_minutes:.0f} min, want {bound:.0f} min"
            yield Crossed(f"quality:time:{one.what}", text)


def _percent(share: Share) -> str:
    bounds = f"{100 * share.low:.0f} to {100 * share.high:.0f} %"
    return f"{100 * share.value:.0f} % ({share.count} of {share.of}, 95 % interval {bounds})"
