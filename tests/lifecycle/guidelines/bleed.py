"""A stand-in guideline: blood in the head goes to neurosurgery."""

from __future__ import annotations

from cds.domain.coding import Coding
from cds.domain.finding import Findings, Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, Indicator, NothingToSay, PathwayOutcome, Recommendation, Source
from cds.pathways import pathway

_BLOOD = Coding("http://snomed.info/sct", "1386000", "Intracranial hemorrhage")
_SOURCE = Source("A stand-in for tests", "https://sightline.example/bleed")


@pathway(id="bleed", title="Blood in the head", source=_SOURCE, reads=(_BLOOD,))
def bleed(case: Case) -> PathwayOutcome:
    """A referral where the finding is present."""
    found = [f for o in case.outcomes if isinstance(o, Findings) for f in o.findings if f.key == "haemorrhage"]
    present = [f for f in found if f.presence is Presence.PRESENT]
    if not present:
        return NothingToSay("bleed", "no haemorrhage was found; that does not exclude one")
    step = Recommendation(
        "refer",
        "Refer to neurosurgery",
        Coding("urn:sightline:action", "neurosurgery", "Neurosurgery referral"),
        "Blood was found.",
        _SOURCE,
        Priority.STAT,
        by=case.study_date,
        recommended=True,
    )
    return Advice(
        pathway="bleed",
        title="Blood in the head",
        summary="Possible intracranial haemorrhage on CT",
        indicator=Indicator.CRITICAL,
        source=_SOURCE,
        recommendations=(step,),
        inputs=(),
        finding_keys=("haemorrhage",),
        seen=("A model found dense blood.",),
    )
