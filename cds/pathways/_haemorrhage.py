"""What the images tell of a bleed: where the blood is and how much of it, each as yes, no or not known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds import finding_codes
from cds.domain.coding import Coding
from cds.domain.finding import Presence
from cds.domain.recommendation import Case
from cds.pathways._facts import Seen, where
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import codes, looked, millilitres
from cds.risk import Answer, Scored
from cds.risk.ich_score import SCORE

_WITHIN = (finding_codes.IPH_VOLUME, finding_codes.IPH_ABC2, finding_codes.CEREBELLAR_HAEMORRHAGE)
_VOLUMES = (finding_codes.IPH_VOLUME, finding_codes.EAH_VOLUME, finding_codes.IVH_VOLUME)
READ = (
    finding_codes.INTRACRANIAL_HAEMORRHAGE,
    *_VOLUMES,
    finding_codes.IPH_ABC2,
    finding_codes.CEREBELLAR_HAEMORRHAGE,
    finding_codes.HYDROCEPHALUS,
)
WANTED = codes(*READ)


@dataclass(frozen=True, slots=True)
class Bleed:
    """A bleed as the images tell it. Volumes in mL; None where no model measured them or looked."""

    by: tuple[Seen, ...]
    within: float | None
    outside: float | None
    ventricular: float | None
    cerebellar: float | None
    hydrocephalus: bool | None
    #: Blood in the cerebellum lies below the tentorium; that none was found there leaves the brain stem.
    infratentorial: bool | None

    @property
    def total(self) -> float | None:
        """All that was measured; what a presence finding itself says, where no part was."""
        parts = [one for one in (self.within, self.outside, self.ventricular) if one is not None]
        if parts:
            return sum(parts)
        return max((one for seen in self.by if (one := millilitres(seen)) is not None), default=None)

    def in_ventricles(self, least: float) -> bool | None:
        """Whether there is blood in the ventricles; a trace below what counts as blood is for a person to judge."""
        return counts(self.ventricular, least)


def counts(volume: float | None, least: float) -> bool | None:
    """Whether a volume is blood: none is none, and what lies between none and the least is not known."""
    if volume is None or 0 < volume < least:
        return None
    return volume >= least if volume else False


def bleed(seen: tuple[Seen, ...], least: float) -> Bleed | None:
    """The bleed on a study; None where no model says that there is one.

    A model that says itself whether there is blood is believed; of one that only measures, the volume counts.
    """
    presence = [one for one in seen if one.finding.code.same(finding_codes.INTRACRANIAL_HAEMORRHAGE)]
    judges = {id(one.by) for one in presence}
    by = [one for one in presence if one.present or _is_blood(one, least)]
    by += [one for one in seen if id(one.by) not in judges and _is_volume(one) and _is_blood(one, least)]
    if not by:
        return None
    cerebellar = _most(seen, finding_codes.CEREBELLAR_HAEMORRHAGE)
    below = cerebellar or _there(one for one in seen if one.finding.code.same(finding_codes.CEREBELLAR_HAEMORRHAGE))
    return Bleed(
        by=tuple(by),
        within=_most(seen, *_WITHIN),
        outside=_most(seen, finding_codes.EAH_VOLUME),
        ventricular=_most(seen, finding_codes.IVH_VOLUME),
        cerebellar=cerebellar,
        hydrocephalus=_there(one for one in seen if one.finding.code.same(finding_codes.HYDROCEPHALUS)),
        infratentorial=True if below else None,
    )


def looked_for(case: Case) -> tuple[Seen, ...]:
    """Every finding of a bleed, or of what comes with one, that was evaluated."""
    return looked(case, WANTED)


def told(found: Reasoning, seen: tuple[Seen, ...], one: Bleed) -> None:
    """The volumes as values used."""
    names = (
        (found.say("blood in all"), one.total),
        (found.say("blood within the brain"), one.within),
        (found.say("blood outside the brain"), one.outside),
        (found.say("blood in the ventricles"), one.ventricular),
        (found.say("blood in the cerebellum"), one.cerebellar),
    )
    source = where(found.case, one.by[0])
    for name, volume in names:
        if volume is not None:
            found.measured(name, shown(volume), source)
    for finding in (one for one in seen if one.finding.code.same(finding_codes.HYDROCEPHALUS)):
        there = found.say("seen") if finding.present else found.say("not detected")
        found.measured(found.say("hydrocephalus"), there, where(found.case, finding))


def shown(volume: float) -> str:
    """A volume for the reader."""
    return f"{round(volume, 1):g} mL"


def ich_points(gcs: float | None, one: Bleed, least: float, age: int | None) -> tuple[Answer, tuple[int, ...]]:
    """The answer of the ICH score, and the points that are possible where only the place is not known."""
    inputs: dict[str, object] = {
        "gcs": gcs,
        "volume_ml": one.within,
        "ivh": one.in_ventricles(least),
        "infratentorial": one.infratentorial,
        "age": age,
    }
    answer = SCORE(inputs)
    if isinstance(answer, Scored):
        return answer, (int(answer.number("ich_score")),)
    if answer.missing != ("infratentorial",) or answer.out_of_range:
        return answer, ()
    both = (SCORE(inputs | {"infratentorial": below}) for below in (False, True))
    return answer, tuple(int(each.number("ich_score")) for each in both if isinstance(each, Scored))


def _is_volume(seen: Seen) -> bool:
    return any(seen.finding.code.same(one) for one in (*_VOLUMES, finding_codes.CEREBELLAR_HAEMORRHAGE))


def _is_blood(seen: Seen, least: float) -> bool:
    volume = millilitres(seen) if seen.finding.presence is Presence.MEASURED else None
    return seen.present or (volume is not None and 0 < least <= volume)


def _most(seen: tuple[Seen, ...], *wanted: Coding) -> float | None:
    """The largest volume of some codes; 0 where a model looked and did not detect it."""
    volumes: list[float] = []
    for one in seen:
        if any(one.finding.code.same(code) for code in wanted):
            volume = 0.0 if one.finding.presence is Presence.NOT_DETECTED else millilitres(one)
            volumes += [] if volume is None else [volume]
    return max(volumes, default=None)


def _there(seen: Iterable[Seen]) -> bool | None:
    told_of = [one.present for one in seen]
    return True if True in told_of else False if told_of else None
