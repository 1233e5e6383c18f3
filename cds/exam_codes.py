"""What the code of an imaging order asks for: modality, region, contrast, angiography; with each code's evidence.

LOINC names follow the LOINC/RSNA Radiology Playbook: "WO" without, "W" with contrast. A code that is not here stands
for nothing that is known, until the site says what it is. Of CPT only numbers are here: its descriptors are the AMA's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from types import MappingProxyType

from cds.domain.coding import Coding
from cds.domain.imaging_order import Contrast, Exam, ImagingOrder
from cds.value_sets import CPT, ICD10, ICD10_CM, LOINC, SNOMED, ValueSet, system

_NONE, _IODINE, _GADOLINIUM = Contrast.NONE, Contrast.IODINATED, Contrast.GADOLINIUM
#: Code systems of indications that the value sets here are written in: of others nobody knows what they mean.
_OF_INDICATIONS = frozenset({SNOMED, ICD10, ICD10_CM})

PLAYBOOK = "LOINC codes of imaging procedures, as public documentation of a radiology service lists them"
BELGIUM = "eHealth Platform Belgium, value set of diagnostic imaging procedures (be-vs-diagnostic-imaging-procedure)"
EXAMPLES = "as in the value sets of procedures"
LISTS = "public coding lists of payers and radiology practices"


def _ct(region: str | None, contrast: Contrast | None) -> Exam:
    return Exam("CT", region, contrast, angiography=False)


def _cta(region: str) -> Exam:
    return Exam("CT", region, _IODINE, angiography=True)


def _mr(region: str | None, contrast: Contrast | None) -> Exam:
    return Exam("MR", region, contrast, angiography=False)


def _mra(region: str, contrast: Contrast | None) -> Exam:
    return Exam("MR", region, contrast, angiography=True)


def _plain(modality: str, region: str | None) -> Exam:
    """Without contrast medium and vessels: radiographs, ultrasound, mammograms, bone density."""
    return Exam(modality, region, _NONE, angiography=False)


#: Exam → (LOINC, SNOMED CT, CPT). Abdomen with pelvis or chest stands under the abdomen, the neck's spine under the
#: neck, a hip under the pelvis; the thoracic spine has no region: it is neither the chest nor the low back.
_CODES: tuple[tuple[Exam, str, str, str], ...] = (
    (_ct("head", None), "24725-4", "303653007", ""),
    (_ct("head", _NONE), "30799-1", "383371000119108", "70450"),
    (_ct("head", _IODINE), "24727-0 24726-2", "711232001", "70460 70470"),
    (_cta("head"), "30593-8", "582101000119108 702430003", ""),
    (_cta("neck"), "30594-6 36234-3 36146-9", "702435008", ""),
    (_ct("neck", None), "24835-1", "169068008", ""),
    (_ct("neck", _NONE), "30585-4 30592-0", "572061000119104", "70490 72125"),
    (_ct("neck", _IODINE), "36235-0 30586-2 24836-9 24933-4", "431326009 762008", "70491 70492 72126 72127"),
    (_ct("chest", None), "24627-2", "169069000", ""),
    (_ct("chest", _NONE), "29252-4", "395081000119108 16334891000119106", "71250 71271"),
    (_ct("chest", _IODINE), "24628-0 30598-7", "75385009", "71260 71270"),
    (_cta("chest"), "36147-7 36266-5 30804-9", "16332841000119106 411251000119104 444970007", "71275"),
    (_ct("heart", None), "58744-4", "241547009", ""),
    (_ct("heart", _NONE), "36934-8", "504981000119108", "75571"),
    (_cta("heart"), "83289-9", "419545005", ""),
    (_ct("abdomen", _NONE), "36424-0 36952-0", "396101000119105 393161000119104", "74150 74176"),
    (
        _ct("abdomen", _IODINE),
        "36267-3 36813-4 72254-6",
        "32962002 1148701004 432370003 429864007",
        "74160 74170 74177",
    ),
    (_cta("abdomen"), "30805-6 36141-0", "", "74175"),
    (_ct("pelvis", None), "24865-8", "", ""),
    (_ct("pelvis", _NONE), "30615-9", "395771000119107", "72192"),
    (_ct("pelvis", _IODINE), "24866-6 30616-7 36200-4", "74710000 431665001", "72193 72194"),
    (_ct("spine", None), "24963-1", "711224009", ""),
    (_ct("spine", _NONE), "30620-9", "572091000119106", "72131"),
    (_ct("spine", _IODINE), "24964-9 36402-6", "90523008", "72132 72133"),
    (_ct(None, None), "24978-9", "", ""),
    (_ct(None, _NONE), "30597-9", "572081000119108", "72128"),
    (_ct(None, _IODINE), "24979-7", "113105001", "72129 72130"),
    (_ct("limb", _NONE), "30625-8 30627-4", "394491000119101 383941000119102", ""),
    (_ct("limb", _IODINE), "30624-1 30626-6", "26946001 702501008", ""),
    (_mr("head", None), "24590-2", "", ""),
    (_mr("head", _NONE), "30657-1", "", "70551"),
    (_mr("head", _GADOLINIUM), "24589-4 24587-8", "", "70552 70553"),
    (_mra("head", _GADOLINIUM), "24593-6", "702684006", "70545"),
    (_mra("head", _NONE), "", "437731000119100", "70544"),
    (_mr("neck", None), "24839-3 24935-9", "", ""),
    (_mr("neck", _NONE), "30660-5 30667-0", "382911000119105 571891000119109", "72141"),
    (_mr("neck", _GADOLINIUM), "24840-1 24841-9 24938-3", "432541008 60443006", "72142 72156"),
    (_mr("chest", None), "24629-8", "", ""),
    (_mr("chest", _GADOLINIUM), "36156-8 36283-0", "432815006", "71551 71552"),
    (_mr("heart", None), "24748-6", "", ""),
    (_mr("heart", _GADOLINIUM), "36197-2 36357-2", "", "75561"),
    (_mr("breast", None), "30794-2 30795-9", "241615005", ""),
    (_mr("breast", _GADOLINIUM), "36149-3 36150-1 36276-4 36277-2", "432634008 427031000119100", ""),
    (_mr("abdomen", None), "24556-3", "", ""),
    (_mr("abdomen", _NONE), "30668-8", "394531000119101", "74181"),
    (_mr("abdomen", _GADOLINIUM), "36134-5 24557-1", "432369004 699582003", "74182 74183"),
    (_mr("pelvis", None), "24867-4", "241639000", ""),
    (_mr("pelvis", _NONE), "30673-8 30687-8", "396161000119106", "72195"),
    (_mr("pelvis", _GADOLINIUM), "36237-6 30674-6", "433138001", "72196 72197"),
    (_mr("spine", None), "24968-0", "", ""),
    (_mr("spine", _NONE), "30679-5", "394451000119106", "72148"),
    (_mr("spine", _GADOLINIUM), "30678-7 24967-2", "41333006 433140006", "72149"),
    (_mr(None, None), "24980-5", "", ""),
    (_mr(None, _NONE), "", "396171000119100", ""),
    (_mr(None, _GADOLINIUM), "24981-3 24982-1", "91333005", ""),
    (_mr("limb", None), "24802-1 24905-2", "241641004 241633004", ""),
    (_mr("limb", _NONE), "30691-0 30693-6", "", ""),
    (_mr("limb", _GADOLINIUM), "36223-6 24803-9", "432719005", ""),
    (_plain("DX", "chest"), "30745-4 30746-2 36643-5 24648-8 24647-0", "399208008", "71045 71046"),
    (_plain("DX", "head"), "28564-3", "55965002", ""),
    (_plain("DX", "neck"), "24946-6", "712970008", ""),
    (_plain("DX", "spine"), "24972-2 24970-6 30775-1", "840361000 22791004", ""),
    (_plain("DX", "abdomen"), "24799-9 24798-1", "168702005", ""),
    (_plain("DX", "pelvis"), "28561-9 24762-7", "713021002 783628002", ""),
    (_plain("DX", "limb"), "28565-0 24709-8", "1290452004 783543007", ""),
    (_plain("US", "abdomen"), "24558-9 30704-1", "45036003", "76700"),
    (_plain("US", "pelvis"), "24869-0 24677-7", "24848001 429915000", ""),
    (_plain("US", "neck"), "24842-7 25010-0", "241453007 241455000", ""),
    (_plain("US", "heart"), "42148-7", "433236007 40701008", "93306"),
    (_plain("US", "breast"), "24601-7", "47079000", ""),
    (_plain("MG", "breast"), "24606-6 24605-8 26346-7 72142-3", "71651007 24623002", "77067"),
    (_plain("DXA", "spine"), "38268-9", "413841000119101", "77080"),
    (_plain("DXA", None), "", "241686001", ""),
    (_plain("NM", "chest"), "30697-7 24888-0", "", ""),
    (Exam("PT", "whole-body"), "", "443271005", "78815"),
    (Exam("PT"), "", "450436003", ""),
)
#: Codes that were seen where the value sets of procedures have them, not in the lists above.
_SEEN_ELSEWHERE = frozenset(
    {"303653007", "169069000", "16334891000119106", "71651007", "24623002", "24606-6", "24605-8", "26346-7"}
    | {"38268-9", "42148-7", "40701008", "72142-3", "241686001", "450436003"}
)
_SEEN_IN_EXAMPLES = "public FHIR examples and radiology value sets with this name"
_ONLY_IN_EXAMPLES = frozenset({"36952-0", "36813-4", "72254-6", "36643-5", "16332841000119106"})
#: Exams of the pulmonary arteries alone: whoever orders one suspects an embolism.
PULMONARY_ARTERIES = frozenset({(LOINC, "36147-7"), (SNOMED, "16332841000119106")})


def _table() -> Iterator[tuple[tuple[str, str], Exam, str]]:
    for exam_of, loinc, snomed, cpt in _CODES:
        for system_of, listed, seen in ((LOINC, loinc, PLAYBOOK), (SNOMED, snomed, BELGIUM), (CPT, cpt, LISTS)):
            for code in listed.split():
                other = _SEEN_IN_EXAMPLES if code in _ONLY_IN_EXAMPLES else seen
                yield (system_of, code), exam_of, EXAMPLES if code in _SEEN_ELSEWHERE else other


#: Every code that is known, by system and code: the exam, and where the code was seen.
EXAMS: Mapping[tuple[str, str], tuple[Exam, str]] = MappingProxyType({key: (of, seen) for key, of, seen in _table()})


def public_codes(of: Exam) -> tuple[Coding, ...]:
    """The public codes of this very exam."""
    return tuple(Coding(*key) for key, (listed, _) in EXAMS.items() if listed == of)


def exam(codes: Iterable[Coding], site: Mapping[str, Exam]) -> Exam | None:
    """What the codes of one order ask for; None where nobody knows any of them, or they name two modalities.

    `site` has the site's own codes, as "system|code" or the code alone, and goes before the public table. Where several
    codes contradict each other the part in which they do is not known.
    """
    known = tuple(codes)
    own = [found for one in known if (found := site.get(f"{one.system}|{one.code}") or site.get(one.code))]
    public = [EXAMS[key][0] for one in known if (key := (system(one.system), one.code)) in EXAMS]
    return _agreed(own or public)


def of_pulmonary_arteries(codes: Iterable[Coding]) -> bool:
    """Whether one of the codes says that the pulmonary arteries are to be seen."""
    return any((system(one.system), one.code) in PULMONARY_ARTERIES for one in codes)


def indicated(order: ImagingOrder, *value_sets: ValueSet) -> bool | None:
    """Whether one of the order's reasons is of these value sets; None where the reasons are not coded, or by codes of
    which nobody here knows what they mean."""
    if any(value_set.contains(reason) for reason in order.reasons for value_set in value_sets):
        return True
    readable = order.reasons and all(system(reason.system) in _OF_INDICATIONS for reason in order.reasons)
    return False if readable else None


def _agreed(exams: list[Exam]) -> Exam | None:
    """What several descriptions of one exam have in common, each adding what the others leave open."""
    if not exams or len({one.modality for one in exams}) > 1:
        return None
    told: dict[str, object] = {}
    for field in fields(Exam):
        stated = {getattr(one, field.name) for one in exams} - {None}
        told[field.name] = stated.pop() if len(stated) == 1 else None
    region, contrast, angiography = told["region"], told["contrast"], told["angiography"]
    return Exam(
        exams[0].modality,
        region if isinstance(region, str) else None,
        contrast if isinstance(contrast, Contrast) else None,
        angiography if isinstance(angiography, bool) else None,
    )
