"""Whether a result is what a follow-up asked for: by the code of the exam, else by modality and region, and by its day.

Only what is sure closes a follow-up by itself. A follow-up that is closed though nobody did what it asks for is lost
without a trace, while one that stays open is asked about again: so each doubt makes a proposal (SAFETY section 6).
Referrals, visits and calls have no result that could be known by a code; people close them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from cds import action_codes as actions
from cds import procedure_codes
from cds.domain.coding import Coding
from cds.domain.follow_up_match import Certainty, Evidence, Verdict, Wanted
from cds.domain.imaging_order import Exam
from cds.exam_codes import exam
from cds.value_sets import ValueSet

_CHEST_CT, _HEAD_CT = Exam("CT", "chest"), Exam("CT", "head")
_BREAST = (Exam("MG", "breast"), Exam("US", "breast"), Exam("MR", "breast"))
_ABDOMEN = (Exam("US", "abdomen"), Exam("CT", "abdomen"), Exam("MR", "abdomen"))
_ANY_PET = (Exam("PT", "whole-body"), Exam("PT", "chest"), Exam("PT"))

#: What one exam answers: another exam of this modality and region is it, whatever code it was ordered by.
_EXAMS: Mapping[str, tuple[Exam, ...]] = MappingProxyType(
    {
        actions.CHEST_CT_FOLLOW_UP.code: (_CHEST_CT,),
        actions.DIAGNOSTIC_CHEST_CT.code: (_CHEST_CT,),
        actions.LOW_DOSE_SCREENING_CT.code: (_CHEST_CT,),
        actions.PET_CT.code: _ANY_PET,
        actions.FOLLOW_UP_CHEST_X_RAY.code: (Exam("DX", "chest"),),
        actions.CT_HEAD_UNENHANCED.code: (_HEAD_CT,),
        actions.DXA.code: (Exam("DXA", "spine"), Exam("DXA")),
        actions.ECHOCARDIOGRAPHY.code: (Exam("US", "heart"),),
        actions.REPEAT_CALCIUM_SCORE.code: (Exam("CT", "heart"),),
        actions.ABDOMINAL_ULTRASOUND.code: (Exam("US", "abdomen"),),
        actions.PELVIC_ULTRASOUND.code: (Exam("US", "pelvis"),),
    }
)
#: What more than one exam could answer, or one of this region for another reason: it is proposed.
_PERHAPS: Mapping[str, tuple[Exam, ...]] = MappingProxyType(
    {
        actions.ADRENAL_WORK_UP.code: _ABDOMEN[1:],
        actions.AORTIC_SURVEILLANCE.code: _ABDOMEN,
        actions.AORTIC_SCREENING.code: _ABDOMEN,
        actions.THORACIC_AORTA_IMAGING.code: (_CHEST_CT, Exam("MR", "chest"), Exam("CT", "heart"), Exam("MR", "heart")),
        actions.BREAST_RECALL.code: _BREAST,
        actions.BREAST_SHORT_FOLLOW_UP.code: _BREAST,
        actions.CT_PULMONARY_ANGIOGRAPHY.code: (_CHEST_CT,),
        actions.LUMBAR_MRI.code: (Exam("MR", "spine"),),
        actions.LUMBAR_MRI_WITH.code: (Exam("MR", "spine"),),
    }
)
#: Tests whose result is the value itself, and what is known by its code alone.
_BY_CODE = frozenset(
    one.code
    for one in (
        actions.NT_PROBNP,
        actions.D_DIMER,
        actions.CREATININE_TEST,
        actions.PREGNANCY_TEST,
        actions.ELASTOGRAPHY,
        actions.BREAST_BIOPSY,
        actions.COGNITIVE_TEST,
    )
)
#: CT codes of abdomen with pelvis or chest stand under the abdomen (`cds.exam_codes`); a CT of the whole body has both.
_MAY_HOLD: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "chest": frozenset({"abdomen", "heart", "whole-body"}),
        "abdomen": frozenset({"chest", "pelvis", "whole-body"}),
        "pelvis": frozenset({"abdomen", "whole-body"}),
        "heart": frozenset({"chest"}),
        "head": frozenset({"neck", "whole-body"}),
        "spine": frozenset({"whole-body"}),
    }
)
#: Body Part Examined (0018,0015), PS3.16 annex L → region.
_BODY_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "CHEST": "chest",
        "THORAX": "chest",
        "LUNG": "chest",
        "HEAD": "head",
        "BRAIN": "head",
        "SKULL": "head",
        "ABDOMEN": "abdomen",
        "LIVER": "abdomen",
        "KIDNEY": "abdomen",
        "PELVIS": "pelvis",
        "HEART": "heart",
        "BREAST": "breast",
        "LSPINE": "spine",
        "WHOLEBODY": "whole-body",
        "CHESTABDOMEN": "abdomen",
        "ABDOMENPELVIS": "abdomen",
        "CHESTABDPELVIS": "abdomen",
        "NECK": "neck",
    }
)
#: Radiographs are radiographs, however the detector works.
_SAME_MODALITY: Mapping[str, str] = MappingProxyType({"CR": "DX", "RG": "DX", "BMD": "DXA"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a site's codes mean: `ordered` are the value sets of requests by name, `site` its own imaging codes."""

    ordered: Mapping[str, ValueSet] = field(
        default_factory=lambda: {one.name: one for one in procedure_codes.ORDERED.values()}
    )
    site: Mapping[str, Exam] = field(default_factory=dict)

    def judge(self, wanted: Wanted, found: Evidence) -> Verdict | None:
        """How sure it is that a result is what was asked for; None where it is not."""
        if _is_the_same_exam(wanted, found) or _is_before(wanted, found):
            return None
        doubts = self._doubts(wanted.code, found)
        if doubts is None:
            return None
        every = (*doubts, *_doubts_of_day(wanted, found))
        when = f" of {found.performed.isoformat()}" if found.performed else ""
        said = f"{found.what}{when} ({found.source})"
        if every:
            return Verdict(Certainty.DOUBTFUL, f"{said}: {'; '.join(every)}")
        return Verdict(Certainty.CLEAR, said)

    def _doubts(self, action: Coding, found: Evidence) -> tuple[str, ...] | None:
        """Why it may be something else; None where it is."""
        if action.code not in _EXAMS and action.code not in _PERHAPS and action.code not in _BY_CODE:
            return None
        ordered = self.ordered.get(actions.request_of(action))
        if ordered is not None and any(ordered.contains(code) for code in found.codes):
            return ()
        exams = (*_EXAMS.get(action.code, ()), *_PERHAPS.get(action.code, ()))
        seen = _seen(found, self.site)
        close = [said for one in exams for other in seen if (said := _compared(one, other)) is not None]
        if not close:
            return None
        least = min(close, key=len)
        alone = ("other exams of this region are made for other reasons",) if action.code in _PERHAPS else ()
        header = () if exam(found.codes, self.site) else (_HEADER_ALONE,)
        return (*least, *alone, *header)


#: Body Part Examined was wrong in 15.5 % of the images of a hospital's routine: doi:10.1117/12.467017.
_HEADER_ALONE = "what was examined is known by the images' headers alone"


def _seen(found: Evidence, site: Mapping[str, Exam]) -> tuple[Exam, ...]:
    """The exams that a result may be of: as it was ordered, else as the images say."""
    by_code = exam(found.codes, site)
    if by_code is not None and by_code.region is not None:
        return (by_code,)
    modalities = [by_code.modality] if by_code is not None else list(found.modalities)
    return tuple(Exam(modality, region) for modality in modalities for region in _regions(found.body_parts))


def _regions(body_parts: Sequence[str]) -> Iterator[str | None]:
    named = [_BODY_PARTS.get("".join(part.split()).upper()) for part in body_parts]
    yield from dict.fromkeys(named) or (None,)


def _compared(wanted: Exam, seen: Exam) -> tuple[str, ...] | None:
    """Why one exam may be another than the one that is wanted; None where it is another."""
    if wanted.modality != _SAME_MODALITY.get(seen.modality, seen.modality):
        return None
    if wanted.region is None or seen.region == wanted.region:
        return ("it was an angiography",) if seen.angiography else ()
    if seen.region is None:
        return ("which part of the body was examined is not known",)
    if seen.region in _MAY_HOLD.get(wanted.region, frozenset()):
        return (f"it was of the {seen.region}, which may hold the {wanted.region}",)
    return None


def _is_the_same_exam(wanted: Wanted, found: Evidence) -> bool:
    """Whether it is the very exam that the follow-up comes from."""
    if found.study_instance_uid and found.study_instance_uid == wanted.study_instance_uid:
        return True
    return found.accession is not None and found.accession == wanted.accession


def _is_before(wanted: Wanted, found: Evidence) -> bool:
    return wanted.since is not None and found.performed is not None and found.performed < wanted.since


def _doubts_of_day(wanted: Wanted, found: Evidence) -> Iterable[str]:
    if found.performed is None:
        yield "when it was made is not known"
    elif wanted.since is None:
        yield "when the images were made that it follows is not known"
    elif found.performed == wanted.since:
        yield "it was made on the day of the images that it would follow"
    elif wanted.not_before is not None and found.performed < wanted.not_before:
        yield f"it was made before {wanted.not_before.isoformat()}, from when it was asked for"
