"""What the images tell of a bleed: where the blood is and how much of it, each as yes, no or not known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds import finding_codes
from cds.domain.finding import Presence
from cds.domain.recommendation import Case
from cds.pathways._facts import Seen, where
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import codes, looked, millilitres
from cds.risk import Answer, Scored
from cds.risk.ich_score import SCORE

_WITHIN = (finding_codes.IPH_VOLUME, finding_codes.CEREBELLAR_HAEMORRHAGE)
_VOLUMES = (finding_codes.IPH_VOLUME, finding_codes.EAH_VOLUME, finding_codes.IVH_VOLUME)
READ = (
    finding_codes.INTRACRANIAL_HAEMORRHAGE,
    *_VOLUMES,
    finding_codes.IPH_ABC2,
    finding_codes.CEREBELLAR_HAEMORRHAGE,
    finding_codes.HYDROCEPHALUS,
)
WANTED = codes(*READ)
_PRESENCE = finding_codes.INTRACRANIAL_HAEMORRHAGE.code
_CEREBELLAR = finding_codes.CEREBELLAR_HAEMORRHAGE.code
#: What counts as blood where its model does not say itself whether there is some.
_COUNTING = frozenset(one.code for one in (*_VOLUMES, finding_codes.CEREBELLAR_HAEMORRHAGE))


@dataclass(frozen=True, slots=True)
class Bleed:
    """A bleed as the images tell it. Volumes in mL; None where no model measured them or looked."""

    by: tuple[Seen, ...]
    within: float | None
    by_diameters: float | None
    outside: float | None
    ventricular: float | None
    cerebellar: float | None
    hydrocephalus: bool | None
    #: Blood in the cerebellum lies below the tentorium; that none was found there leaves the brain stem.
    infratentorial: bool | None

    @property
    def total(self) -> float | None:
        """What the model says of all blood; the sum of its parts where it says no more."""
        said = [millilitres(one) for one in self.by if one.present]
        parts = [one for one in (self.largest, self.outside, self.ventricular) if one is not None]
        return max((one for one in said if one is not None), default=sum(parts) if parts else None)

    @property
    def largest(self) -> float | None:
        """The blood within the brain by whichever method finds more."""
        return max((one for one in (self.within, self.by_diameters) if one is not None), default=None)

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
    presence = [one for one in seen if one.finding.code.code == _PRESENCE]
    judges = {id(one.by) for one in presence}
    by = [one for one in presence if one.present or _is_blood(one, least)]
    by += [
        one for one in seen if id(one.by) not in judges and one.finding.code.code in _COUNTING and _is_blood(one, least)
    ]
    if not by:
        return None
    volumes = _volumes(seen)
    cerebellar = volumes.get(_CEREBELLAR)
    below = cerebellar or _there(one for one in seen if one.finding.code.code == _CEREBELLAR)
    return Bleed(
        by=tuple(by),
        within=max((volumes[one.code] for one in _WITHIN if one.code in volumes), default=None),
        by_diameters=volumes.get(finding_codes.IPH_ABC2.code),
        outside=volumes.get(finding_codes.EAH_VOLUME.code),
        ventricular=volumes.get(finding_codes.IVH_VOLUME.code),
        cerebellar=cerebellar,
        hydrocephalus=_there(one for one in seen if one.finding.code.code == finding_codes.HYDROCEPHALUS.code),
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
        (found.say("blood within the brain by ABC/2"), one.by_diameters),
        (found.say("blood outside the brain"), one.outside),
        (found.say("blood in the ventricles"), one.ventricular),
        (found.say("blood in the cerebellum"), one.cerebellar),
    )
    source = where(found.case, one.by[0])
    for name, volume in names:
        if volume is not None:
            found.measured(name, shown(volume), source)
    for finding in (one for one in seen if one.finding.code.code == finding_codes.HYDROCEPHALUS.code):
        there = found.say("seen") if finding.present else found.say("not detected")
        found.measured(found.say("hydrocephalus"), there, where(found.case, finding))


def shown(volume: float) -> str:
    """A volume for the reader."""
    return f"{round(volume, 1):g} mL"


def ich_points(gcs: float | None, one: Bleed, least: float, age: int | None) -> tuple[Answer, tuple[int, ...]]:
    """The answer of the ICH score, and the points that are possible where only the place is not known."""
    inputs: dict[str, object] = {
        "gcs": gcs,
        "volume_ml": one.largest,
        "ivh": one.in_ventricles(least),
        "infratentorial": one.infratentorial,
        "age": age,
    }
    answer = SCORE(inputs)
    if isinstance(answer, Scored):
        return answer, (int(answer.number("ich_score")),)
    if answer.missing != ("infratentorial",) or answer.out_of_range:
        return answer, ()
    both = tuple(SCORE(inputs | {"infratentorial": below}) for below in (False, True))
    return both[0], tuple(int(each.number("ich_score")) for each in both if isinstance(each, Scored))


def _is_blood(seen: Seen, least: float) -> bool:
    volume = millilitres(seen) if seen.finding.presence is Presence.MEASURED else None
    return seen.present or (volume is not None and 0 < least <= volume)


def _volumes(seen: tuple[Seen, ...]) -> dict[str, float]:
    """The largest volume of each code; 0 where a model looked and did not detect it."""
    found: dict[str, float] = {}
    for one in seen:
        volume = 0.0 if one.finding.presence is Presence.NOT_DETECTED else millilitres(one)
        if volume is not None:
            found[one.finding.code.code] = max(volume, found.get(one.finding.code.code, 0.0))
    return found


def _there(seen: Iterable[Seen]) -> bool | None:
    told_of = [one.present for one in seen]
    return True if True in told_of else False if told_of else None
