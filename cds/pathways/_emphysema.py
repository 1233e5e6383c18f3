"""Whether there is emphysema on the images: marked by a model or a radiologist, or measured at the site's cut-off.

LAA-950 (%) has no agreed cut-off: what lies below that of the site excludes nothing, and without one it says nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from cds import finding_codes, units
from cds.domain.recommendation import Case
from cds.errors import InvalidInput
from cds.pathways._facts import Measured, Seen, findings, values
from cds.pathways.declaration import Option, option

#: The pathway whose options these are.
PATHWAY = "emphysema"
#: DICOM modalities of radiographs (PS3.3 C.7.3.1.1.1), which show emphysema by its signs alone.
RADIOGRAPHS = frozenset({"CR", "DX"})
CUT_OFF = Option("laa_950_percent", "Cut-off for LAA-950, which has no agreed one", None, "%", low=0.1, high=100)


class OnImages(NamedTuple):
    """Whether emphysema is on the images: False only where it was looked for itself, None where nobody can tell.

    `by_density`: LAA-950 alone tells of it.
    """

    there: bool | None
    by_density: bool


def emphysema(case: Case) -> OnImages:
    """What the images tell of emphysema, for every pathway alike."""
    looked = findings(case, finding_codes.EMPHYSEMA)
    if any([one.present for one in looked]):
        return OnImages(there=True, by_density=False)
    dense = bool(reaches_cut_off(case))
    return OnImages(True if dense else False if looked else None, dense)


def marked(case: Case) -> Seen | None:
    """The finding of emphysema that is there, the surest first; its grade is not known."""
    there = [one for one in findings(case, finding_codes.EMPHYSEMA) if one.present]
    return min(there, key=lambda one: (-(one.finding.confidence or 0.0), one.finding.key, one.by.model), default=None)


def reaches_cut_off(case: Case) -> bool | None:
    """Whether LAA-950 reaches the site's cut-off; None where it was not measured, or no cut-off is set.

    A mistake in the site's option is told by the emphysema pathway; elsewhere nobody can tell then.
    """
    measured = values(case, finding_codes.LAA_950)
    if not measured:
        return None
    try:
        text = option(case, PATHWAY, CUT_OFF)
        return None if text is None else largest(measured)[0] >= float(text)
    except InvalidInput:
        return None


def largest(measured: list[Measured]) -> tuple[float, Measured]:
    """The largest area in %, with its finding; raise InvalidInput for a unit that is none of an area's."""
    shares = ((units.convert(one.value, "%").value, one) for one in measured)
    return max(shares, key=lambda two: (two[0], two[1].by.model, two[1].finding.key))
