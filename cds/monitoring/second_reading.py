"""The figures of second reading, counted per study: a study is recalled where any of its parts is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from statsmodels.stats.inter_rater import cohens_kappa

from cds.domain.quality import Share
from cds.domain.reading_figures import Kappa, ReadingFigures, Screened
from cds.domain.second_reading import PartRead, ReadingState, recalled
from cds.monitoring.shares import share, share_of

_COMPARED = (ReadingState.AGREED, ReadingState.ARBITRATION, ReadingState.DECIDED)
_ARBITRATED = (ReadingState.ARBITRATION, ReadingState.DECIDED)


def figures(group: str, screened: Sequence[Screened]) -> ReadingFigures:
    """The figures of a group of studies."""
    own, model, final = (_recalls(screened, of) for of in (_own, _model, _final))
    states = [one.readings.state for one in screened]
    compared = sum(state in _COMPARED for state in states)
    arbitrated = sum(state in _ARBITRATED for state in states)
    known = [one.is_malignant is not None for one in screened]
    followed = [one.is_malignant for one, said in zip(screened, final, strict=True) if said]
    return ReadingFigures(
        group=group,
        studies=len(screened),
        own_recall=share_of(own),
        model_recall=share_of(model),
        recall=share_of(final),
        arbitration=share(arbitrated, compared),
        agreement=share(compared - arbitrated, compared),
        kappa=_kappa(own, model),
        detected=_detected(screened, final),
        own_detected=_detected(screened, own),
        model_detected=_detected(screened, model),
        ppv=share_of(followed),
        results=share(sum(known), len(known)),
        undecided=sum(state is ReadingState.ARBITRATION for state in states),
    )


def grouped(screened: Iterable[Screened], name: Callable[[Screened], str]) -> tuple[ReadingFigures, ...]:
    """The figures of each group, in the order of their names."""
    found: dict[str, list[Screened]] = {}
    for one in screened:
        found.setdefault(name(one), []).append(one)
    return tuple(figures(group, found[group]) for group in sorted(found))


def _recalls(screened: Sequence[Screened], of: Callable[[Screened], Iterable[PartRead]]) -> list[bool | None]:
    return [recalled(of(one)) for one in screened]


def _own(one: Screened) -> Iterable[PartRead]:
    return one.readings.blind.parts if one.readings.blind else ()


def _model(one: Screened) -> Iterable[PartRead]:
    return one.readings.compared.said.parts if one.readings.compared else ()


def _final(one: Screened) -> Iterable[PartRead]:
    return one.readings.outcome


def _detected(screened: Sequence[Screened], recalls: Sequence[bool | None]) -> Share | None:
    """Malignancies that were recalled, of the studies where it is known whether they were.

    None where no result of any is known: what nobody has recorded is no zero.
    """
    if all(one.is_malignant is None for one in screened):
        return None
    pairs = [(one.is_malignant, said) for one, said in zip(screened, recalls, strict=True) if said is not None]
    return share(sum(said and malignant is True for malignant, said in pairs), len(pairs))


def _kappa(own: Sequence[bool | None], model: Sequence[bool | None]) -> Kappa | None:
    """Agreement beyond chance; None where one of the two says the same of every study, or nothing was compared."""
    pairs = [(one, other) for one, other in zip(own, model, strict=True) if one is not None and other is not None]
    if any(set(side) != {True, False} for side in zip(*pairs, strict=True)) or not pairs:
        return None
    said = cohens_kappa([[pairs.count((a, b)) for b in (True, False)] for a in (True, False)])
    found = Kappa(float(said.kappa), float(said.kappa_low), float(said.kappa_upp))
    return found if all(map(math.isfinite, (found.value, found.low, found.high))) else None
