"""What the images tell of a bleed: where the blood is and how much of it, each as yes, no or not known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds import finding_codes
from cds.domain.finding import Presence
from cds.domain.recommendation import Case
from cds.errors import InvalidInput
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
#: What counts as blood: that there is some, and every volume of it.
_COUNTING = frozenset(one.code for one in READ) - {finding_codes.HYDROCEPHALUS.code}


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
    #: Blood in the cerebellum of which no volume was measured.
    cerebellar_unmeasured: bool
    #: The volume counts, and its own model says that it detected no blood.
    denied: bool
    #: Blood in the cerebellum lies below the tentorium; that none was found there leaves the brain stem.
    infratentorial: bool | None

    @property
    def total(self) -> float | None:
        """What the model says of all blood; the sum of its parts where it says no more."""
        said = [millilitres(one) for one in self.by if one.finding.code.code == _PRESENCE]
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
    """The bleed on a study; None where nothing that was seen or measured is one.

    A volume that counts is blood whatever is said beside it, and so is the sum of small ones in different places.
    """
    volumes = _volumes(seen, least)
    by, denied = _blood(seen, volumes, least)
    if not by:
        return None
    below = _there(one for one in seen if one.finding.code.code == _CEREBELLAR)
    cerebellar = volumes.get(_CEREBELLAR)
    return Bleed(
        by=by,
        within=max((volumes[one.code] for one in _WITHIN if one.code in volumes), default=None),
        by_diameters=volumes.get(finding_codes.IPH_ABC2.code),
        outside=volumes.get(finding_codes.EAH_VOLUME.code),
        ventricular=volumes.get(finding_codes.IVH_VOLUME.code),
        cerebellar=cerebellar,
        hydrocephalus=hydrocephalic(seen),
        cerebellar_unmeasured=below is True and not cerebellar,
        denied=denied,
        infratentorial=True if cerebellar or below else None,
    )


def _blood(seen: tuple[Seen, ...], volumes: dict[str, float], least: float) -> tuple[tuple[Seen, ...], bool]:
    """What counts as blood, and whether a model that says that there is none measured it."""
    counting = [one for one in seen if one.finding.code.code in _COUNTING]
    judged = {id(one.by) for one in counting if one.finding.code.code == _PRESENCE}
    sure = {id(one.by) for one in counting if one.finding.code.code == _PRESENCE and one.present}
    by = [
        one
        for one in counting
        if (one.finding.code.code == _PRESENCE or id(one.by) not in sure)
        and (one.present or (_volume(one, least) or 0) >= least)
    ]
    if not by and _sum(volumes) >= least:
        by = [one for one in counting if _volume(one, least)]
    return tuple(by), any(id(one.by) in judged - sure for one in by)


def _sum(volumes: dict[str, float]) -> float:
    """The blood in all places, of each the larger where several measured it."""
    within = max(volumes.get(one.code, 0) for one in (*_WITHIN, finding_codes.IPH_ABC2))
    return within + sum(volumes.get(one.code, 0) for one in (finding_codes.EAH_VOLUME, finding_codes.IVH_VOLUME))


def below_least(seen: tuple[Seen, ...]) -> bool:
    """Whether a model that does not say itself if there is blood measured some: for what is no bleed by its volume."""
    judged = {id(one.by) for one in seen if one.finding.code.code == _PRESENCE}
    return any(
        one.finding.presence is Presence.MEASURED and one.finding.code.code in _COUNTING and bool(millilitres(one))
        for one in seen
        if id(one.by) not in judged
    )


def hydrocephalic(seen: tuple[Seen, ...]) -> bool | None:
    """Whether there is hydrocephalus; None where nobody looked for it."""
    return _there(one for one in seen if one.finding.code.code == finding_codes.HYDROCEPHALUS.code)


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


def _volumes(seen: tuple[Seen, ...], least: float) -> dict[str, float]:
    """The largest volume of each code; 0 where a model looked and did not detect it."""
    found: dict[str, float] = {}
    for one in seen:
        volume = _volume(one, least)
        if volume is not None:
            found[one.finding.code.code] = max(volume, found.get(one.finding.code.code, 0.0))
    return found


def _volume(seen: Seen, least: float) -> float | None:
    """A volume in mL; 0 for what was not detected, unless so much was measured of it that it counts."""
    if seen.finding.presence is not Presence.NOT_DETECTED:
        return millilitres(seen)
    try:
        volume = millilitres(seen)
    except InvalidInput:  # how sure a model is that there is none is no volume
        return 0.0
    return volume if volume is not None and volume >= least else 0.0


def _there(seen: Iterable[Seen]) -> bool | None:
    told = [one.finding.presence for one in seen]
    return True if Presence.PRESENT in told else False if Presence.NOT_DETECTED in told else None
