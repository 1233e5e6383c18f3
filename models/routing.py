"""Which model looks at which series of a study, decision by decision, so that a person can follow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cds.domain.imaging import SeriesSummary
from cds.domain.inference import StudyFacts
from models import preference
from models.manifest import Manifest
from models.selection import cautions, choose, is_urgent, refusal


@dataclass(frozen=True, slots=True)
class Decision:
    """One model and one series: its place among those tried (1 is the first), or the rule and reason why it is not.

    `standing` is what the place comes from; for projections all with a place are looked at together.
    """

    series_instance_uid: str
    rank: int | None
    gate: str = ""
    reason: str = ""
    standing: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """What one model does with one study. `urgent` where the order's reason raises its priority for this model."""

    model: str
    version: str
    decisions: tuple[Decision, ...]
    urgent: bool = False
    cautions: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[str, ...]:
        """The Series Instance UIDs that are tried, best first."""
        ranked = sorted((d.rank, d.series_instance_uid) for d in self.decisions if d.rank is not None)
        return tuple(uid for _, uid in ranked)


def routes(manifests: Iterable[Manifest], series: Sequence[SeriesSummary], about: StudyFacts) -> tuple[Route, ...]:
    """The route of each model, in their order."""
    return tuple(route(manifest, series, about) for manifest in manifests)


def route(manifest: Manifest, series: Sequence[SeriesSummary], about: StudyFacts) -> Route:
    """A decision on every series, in their order."""
    chosen = [one.series_instance_uid for one in choose(manifest, series, about)]
    return Route(
        manifest.id,
        manifest.version,
        tuple(_decisions(manifest, series, about, chosen)),
        is_urgent(manifest, about),
        cautions(manifest, about) if chosen else (),
    )


def _decisions(
    manifest: Manifest, series: Sequence[SeriesSummary], about: StudyFacts, chosen: Sequence[str]
) -> Iterator[Decision]:
    for one in series:
        uid = one.series_instance_uid
        said = refusal(manifest, one, about)
        if said is not None:
            yield Decision(uid, None, said.gate, said.reason)
        elif uid in chosen:
            yield Decision(uid, chosen.index(uid) + 1, standing=preference.standing(manifest, one))
        else:
            yield Decision(uid, None, "images", "the series before it have as many images as the model looks at")
