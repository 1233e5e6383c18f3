"""Value sets of what the reason of an order says: records are not searched for them, so that they have no questions.

Each is as wide as its sign where it speaks for an exam; the complaints by which an exam may be spoken against (`MINOR`,
`PRIMARY_HEADACHE` and their like) are as narrow as they can be.
"""

from __future__ import annotations

from cds.domain.coding import Coding
from cds.value_sets import ICD10_CM, Entry, ValueSet, icd, snomed

_WHO = "ICD-10, WHO tabular list (https://icd.who.int/browse10/2019/en)"
_CM = "ICD-10-CM, tabular list; not in the WHO list"
_SEEN = "as in the value sets of conditions and symptoms"
_MIGRAINE_SEEN = "GECCO value set of neurological diseases (FHIR)"


def _reason(name: str, title: str, *entries: Entry) -> ValueSet:
    return ValueSet(name, title, "condition", entries)


def _cm(code: str, display: str, *, prefix: bool = True) -> Entry:
    return Entry(Coding(ICD10_CM, code, display), _CM, prefix=prefix)


def _chapter(letter: str, first: int, last: int, display: str) -> tuple[Entry, ...]:
    """The categories of a chapter from one number to another."""
    return tuple(icd(f"{letter}{number:02}", display, _WHO) for number in range(first, last + 1))


CAUDA_EQUINA = _reason(
    "cauda-equina",
    "cauda equina syndrome, or loss of bladder or bowel control",
    icd("G83.4", "Cauda equina syndrome", _WHO),
    icd("R15", "Faecal incontinence", _WHO),
    icd("R32", "Unspecified urinary incontinence", _WHO),
    icd("R33", "Retention of urine", _WHO),
)
SPINAL_INFECTION = _reason(
    "spinal-or-urinary-infection",
    "infection of the spine, of the urinary tract or of the blood",
    icd("A18.0", "Tuberculosis of bones and joints", _WHO),
    icd("A40", "Streptococcal sepsis", _WHO),
    icd("A41", "Other sepsis", _WHO),
    icd("G06.1", "Intraspinal abscess and granuloma", _WHO),
    icd("I33", "Acute and subacute endocarditis", _WHO),
    icd("M46.2", "Osteomyelitis of vertebra", _WHO),
    icd("M46.3", "Infection of intervertebral disc (pyogenic)", _WHO),
    icd("M46.4", "Discitis, unspecified", _WHO),
    icd("M46.5", "Other infective spondylopathies", _WHO),
    icd("N10", "Acute tubulo-interstitial nephritis", _WHO),
    icd("N39.0", "Urinary tract infection, site not specified", _WHO),
)
SPINE_TRAUMA = _reason(
    "spine-trauma",
    "injury of the lumbar spine",
    icd("S32", "Fracture of lumbar spine and pelvis", _WHO),
    icd("S33", "Dislocation, sprain and strain of joints and ligaments of lumbar spine and pelvis", _WHO),
    icd("S34", "Injury of nerves and lumbar spinal cord", _WHO),
    icd("T08", "Fracture of spine, level unspecified", _WHO),
    *_chapter("W", 0, 19, "Falls"),
    *_chapter("V", 1, 99, "Transport accidents"),
)
SPINE_OPERATED = _reason(
    "lumbar-surgery",
    "after an operation of the spine",
    icd("M96.1", "Postlaminectomy syndrome, not elsewhere classified", _WHO),
)
DEFICIT = _reason(
    "neurological-deficit",
    "neurological deficit",
    icd("G81", "Hemiplegia", _WHO),
    icd("G82", "Paraplegia and tetraplegia", _WHO),
    icd("G83", "Other paralytic syndromes", _WHO),
    icd("H53.2", "Diplopia", _WHO),
    icd("R40", "Somnolence, stupor and coma", _WHO),
    icd("R47.0", "Dysphasia and aphasia", _WHO),
)
PAPILLOEDEMA = _reason("papilloedema", "papilloedema", icd("H47.1", "Papilloedema, unspecified", _WHO))
EXERTION = _reason(
    "exertion-or-position",
    "headache by exertion, sexual activity or position",
    _cm("G44.82", "Headache associated with sexual activity"),
    _cm("G44.83", "Primary cough headache"),
    _cm("G44.84", "Primary exertional headache"),
    _cm("R51.0", "Headache with orthostatic component"),
)
#: All injuries of the head, of the skin too.
INJURED_HEAD = _reason("injured-head", "injury of the head", *_chapter("S", 0, 9, "Injuries to the head"))
VOMITING = _reason("vomiting", "vomiting", icd("R11", "Nausea and vomiting", _WHO))
SKULL_FRACTURE = _reason(
    "skull-fracture", "fracture of the skull", icd("S02", "Fracture of skull and facial bones", _WHO)
)
SKULL_BASE_FRACTURE = _reason(
    "basal-skull", "fracture of the base of the skull", icd("S02.1", "Fracture of base of skull", _WHO)
)
BLEEDING_DISORDER = _reason(
    "bleeding-disorder",
    "bleeding disorder",
    *_chapter("D", 65, 69, "Coagulation defects, purpura and other haemorrhagic conditions"),
)
DANGEROUS_MECHANISM = _reason(
    "dangerous-mechanism",
    "transport accident or fall from a height",
    *_chapter("V", 1, 99, "Transport accidents"),
    *_chapter("W", 10, 17, "Fall from one level to another"),
)
ANTICOAGULATED = _reason(
    "anticoagulated",
    "use of anticoagulants",
    icd("D68.3", "Haemorrhagic disorder due to circulating anticoagulants", _WHO),
    icd("Z92.1", "Personal history of long-term (current) use of anticoagulants", _WHO),
    _cm("Z79.01", "Long term (current) use of anticoagulants"),
)
WITH_ANTIPLATELET = _reason(
    "with-antiplatelet",
    "use of antiplatelet drugs",
    _cm("Z79.02", "Long term (current) use of antithrombotics and antiplatelets"),
    _cm("Z79.82", "Long term (current) use of aspirin"),
)
DEEP_VEIN = _reason(
    "deep-vein-thrombosis",
    "deep vein thrombosis",
    snomed("128053003", "Deep venous thrombosis", _SEEN),
    icd("I80.1", "Phlebitis and thrombophlebitis of femoral vein", _WHO),
    icd("I80.2", "Phlebitis and thrombophlebitis of other deep vessels of lower extremities", _WHO),
    _cm("I82.4", "Acute embolism and thrombosis of deep veins of lower extremity"),
)
#: Not the embolism of now, which is what the exam looks for.
EARLIER_EMBOLISM = _reason(
    "earlier-embolism",
    "deep vein thrombosis or pulmonary embolism in the past",
    snomed("161508001", "History of deep vein thrombosis", _SEEN),
    snomed("161512007", "History of pulmonary embolus", _SEEN),
    _cm("I27.82", "Chronic pulmonary embolism"),
    _cm("I82.5", "Chronic embolism and thrombosis of deep veins of lower extremity"),
    _cm("Z86.71", "Personal history of venous thrombosis and embolism"),
)
#: Nothing said of the heart's strain, of a saddle embolus, nor of pregnancy.
SUSPECTED_EMBOLISM = _reason(
    "suspected-embolism",
    "suspected pulmonary embolism",
    snomed("59282003", "Pulmonary embolism", _SEEN),
    icd("I26", "Pulmonary embolism", _WHO, prefix=False),
    icd("I26.9", "Pulmonary embolism without mention of acute cor pulmonale", _WHO, prefix=False),
    _cm("I26.99", "Other pulmonary embolism without acute cor pulmonale", prefix=False),
)
#: Not open (S06.01 of the WHO list), not with a long loss of consciousness, no fracture and nothing within the skull.
MINOR = _reason(
    "minor-head-injury",
    "minor head injury",
    snomed("82271004", "Injury of head", _SEEN),
    snomed("110030002", "Concussion injury of brain", _SEEN),
    snomed("62106007", "Concussion with no loss of consciousness", _SEEN),
    snomed("62564004", "Concussion with loss of consciousness", _SEEN),
    icd("S00", "Superficial injury of head", _WHO),
    icd("S06.0", "Concussion", _WHO, prefix=False),
    icd("S06.00", "Concussion without open intracranial wound", _WHO, prefix=False),
    *(_cm(f"S06.0X{n}", "Concussion, without or with a brief or unspecified loss of consciousness") for n in "019A"),
    icd("S09.9", "Unspecified injury of head", _WHO),
)
#: The primary headaches of the ACR's second variant: no complicated migraine, with a stroke or with a palsy.
PRIMARY_HEADACHE = _reason(
    "primary-headache",
    "migraine or tension-type headache",
    snomed("37796009", "Migraine", _MIGRAINE_SEEN),
    icd("G43", "Migraine", _WHO, prefix=False),
    icd("G43.0", "Migraine without aura", _WHO),
    icd("G43.1", "Migraine with aura", _WHO),
    icd("G43.9", "Migraine, unspecified", _WHO),
    icd("G44.2", "Tension-type headache", _WHO),
)
#: What says no more than that the head aches.
PLAIN_HEADACHE = _reason(
    "plain-headache",
    "headache",
    snomed("25064002", "Headache", _SEEN),
    icd("R51", "Headache", _WHO, prefix=False),
    _cm("R51.9", "Headache, unspecified", prefix=False),
)
