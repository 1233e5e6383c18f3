"""Each adrenal mass with the attenuation that was measured of it, judged for itself; the most suspicious one counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cds import finding_codes
from cds.domain.finding import Change, Finding, Findings
from cds.domain.recommendation import Case
from cds.pathways._aortic import diameter_cm
from cds.pathways._facts import Measured, values
from cds.risk import Answer, Scored
from cds.risk.adrenal_acr_2017 import SCORE

#: From this size on a mass is rather resected.
LARGE_CM = 4.0
_YEAR = 365
#: The steps of the white paper, the least suspicious first; what is not here needs no follow-up.
STEPS = {
    "probably_benign_consider_ct_12mo": "CT of the adrenals after 12 months",
    "adrenal_protocol_ct": "CT of the adrenals with washout",
    "imaging_follow_up_biopsy_petct_or_resection": "imaging follow-up, biopsy, PET-CT or resection",
    "consider_ct_12mo_or_resection": "CT of the adrenals after 12 months, or resection",
    "consider_resection": "referral for resection",
    "consider_biopsy_or_petct": "PET-CT or biopsy",
}
_ORDER = tuple(STEPS)
#: Steps that go into the body: the hormones are tested before.
INVASIVE = frozenset(_ORDER[2:])


@dataclass(frozen=True, slots=True)
class Mass:
    """One mass; `hu` is None where its attenuation was not measured, `actions` empty where it needs no follow-up.

    There are two actions where nobody knows of a cancer: the one with it and the one without.
    """

    measured: Measured
    hu: float | None
    actions: tuple[str, ...] = ()

    @property
    def centimetres(self) -> float:
        """Its largest diameter."""
        return diameter_cm(self.measured)

    @property
    def suspicion(self) -> tuple[int, float, float, str, str]:
        """What is more suspicious is larger; the rest makes the order of the answers not matter."""
        worst = max(map(_ORDER.index, self.actions), default=-1)
        hu = float("inf") if self.hu is None else self.hu
        return worst, self.centimetres, hu, self.measured.by.model, self.measured.finding.key


def judged(case: Case, cancer: bool | None) -> list[Mass]:
    """Every mass that was measured, the most suspicious first."""
    masses = [
        Mass(one, hu, _actions(one, hu, cancer))
        for one in values(case, finding_codes.ADRENAL_MASS)
        for hu in (_attenuation(case, one),)
    ]
    return sorted(masses, key=lambda one: one.suspicion, reverse=True)


def _attenuation(case: Case, mass: Measured) -> float | None:
    """The highest attenuation that the same answer has of this mass; None where it could be that of another one."""
    ours = [one for one in values(case, finding_codes.ADRENAL_ATTENUATION) if one.by is mass.by]
    found = [one.value.value for one in ours if _place(one.finding) == _place(mass.finding)]
    others = _masses(mass.by, lambda one: _place(one) == _place(mass.finding))
    if not found and len(_masses(mass.by, lambda one: True)) == 1:
        found = [one.value.value for one in ours if _may_be(one.finding, mass.finding)]
    return max(found, default=None) if len(others) == 1 else None


def _masses(by: Findings, of: Callable[[Finding], bool]) -> list[Finding]:
    """The masses of one answer, measured or not."""
    return [one for one in by.findings if one.code.same(finding_codes.ADRENAL_MASS) and of(one)]


def _place(finding: Finding) -> tuple[str, str]:
    return finding.laterality, finding.tracking_id


def _may_be(one: Finding, other: Finding) -> bool:
    """Whether side and name do not contradict each other: where one does not tell them it could be the other."""
    return all(not a or not b or a == b for a, b in zip(_place(one), _place(other), strict=True))


def _actions(mass: Measured, hu: float | None, cancer: bool | None) -> tuple[str, ...]:
    """What the white paper says, with and without a cancer where that is not known; none that needs no follow-up."""
    told = (True, False) if cancer is None else (cancer,)
    return tuple(dict.fromkeys(action for one in told for action in _scored(mass, hu, one) if action in STEPS))


def _scored(mass: Measured, hu: float | None, cancer: bool) -> Iterator[str]:
    """An attenuation that was not measured is none of an adenoma: so much is left to find out."""
    answer = score(mass, hu if hu is not None else _NOT_FATTY, cancer)
    if isinstance(answer, Scored):
        yield str(answer.outputs["action"])


#: Stands for an attenuation that was not measured: no adenoma by it.
_NOT_FATTY = 11.0


def score(mass: Measured, hu: float | None, cancer: bool | None) -> Answer:
    """The white paper of one mass. That it has no benign feature is assumed: what has one needs no follow-up."""
    return SCORE(
        {
            "size_cm": diameter_cm(mass),
            "hu_unenhanced": hu,
            "benign_features": False,
            "cancer_history": cancer,
            "prior": prior(mass.finding.change) or "none",
            "washout": "not_done",
        }
    )


def prior(change: Change | None) -> str | None:
    """What the prior says; nothing where there is none, or where it is not known to be beyond the error."""
    if change is None or change.beyond_error is None:
        return None
    if change.beyond_error:
        return "enlarging" if change.absolute > 0 else None
    return "stable_ge_1y" if change.days >= _YEAR else None
