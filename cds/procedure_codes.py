"""Value sets of tests and procedures that were done, and of those that are ordered, with the evidence of each code."""

from __future__ import annotations

from cds import action_codes as actions
from cds.domain.coding import Coding
from cds.value_sets import CPT, Entry, ValueSet, loinc, snomed

_BELGIUM = "eHealth Platform Belgium, value set of diagnostic imaging procedures"
_RADIOLOGY = "public list of LOINC codes for imaging procedures"
_IHE = "LOINC codes of the FHIR R4 examples and IHE imaging reports"
_TAIWAN = "Taiwanese FHIR guides of examinations"
_MAMMOGRAMS = "eCQM value set of mammography (CMS125)"
_COGNITION = "eCQM value sets of cognitive assessment (CMS149)"
_CPT_SEEN = "public coding lists; descriptors are the AMA's: not reproduced"

#: All that is here is searched for at once: these are the codes that say most, and few enough for one address.
_PLAYBOOK = "LOINC/RSNA radiology playbook, as `cds.exam_codes` cites it"


def _done(name: str, title: str, *entries: Entry) -> ValueSet:
    return ValueSet(name, title, "procedure", entries)


def _cpt(code: str, display: str) -> Entry:
    return Entry(Coding(CPT, code, display), _CPT_SEEN)


DXA = _done(
    "dxa",
    "bone density by DXA",
    snomed("413841000119101", "Dual energy X-ray absorptiometry of hip and spine", _BELGIUM),
    snomed("241686001", "Dual energy X-ray absorptiometry", "DICOM PS3.16 CID 10005"),
    loinc("38268-9", "DXA Skeletal system Views for bone density", f"{_TAIWAN}; {_RADIOLOGY}"),
    _cpt("77080", "Bone density by DXA, axial skeleton"),
)
ECHOCARDIOGRAPHY = _done(
    "echocardiography",
    "echocardiography",
    snomed("40701008", "Echocardiography", "NAPKON cardiology value set (Charité)"),
    snomed("433236007", "Transthoracic echocardiography", f"{_BELGIUM}; NAPKON cardiology value set (Charité)"),
    loinc("42148-7", "US Heart", "document types of eHealth Suisse; FHIR test data"),
    _cpt("93306", "Transthoracic echocardiography, complete, with Doppler"),
)
ELASTOGRAPHY = _done(
    "elastography",
    "liver elastography",
    snomed("441491005", "Ultrasound elastography of liver", "OHDSI concept 40479203; public FHIR catalogue of orders"),
    Entry(Coding(CPT, "91200", "Liver elastography"), "recalled, not seen in a public list", verified=False),
)
MAMMOGRAPHY = _done(
    "mammography",
    "mammography",
    snomed("71651007", "Mammography", "DICOM PS3.16 CID 10005; public SNOMED CT hierarchy"),
    snomed("24623002", "Screening mammography", "Synthea; public SNOMED CT hierarchy"),
    loinc("24606-6", "MG Breast Screening", _MAMMOGRAMS),
    loinc("24605-8", "MG Breast Diagnostic", _MAMMOGRAMS),
    loinc("26346-7", "MG Breast - bilateral Diagnostic", _MAMMOGRAMS),
    loinc("72142-3", "DBT Breast - bilateral screening", _MAMMOGRAMS),
    _cpt("77067", "Screening mammography, bilateral"),
)
BREAST_MRI = _done(
    "breast-mri",
    "MRI of the breast",
    snomed("241615005", "Magnetic resonance imaging of breast", _BELGIUM),
    loinc("30794-2", "MR Breast", _RADIOLOGY),
)
CHEST_X_RAY = _done(
    "chest-x-ray",
    "chest X-ray",
    snomed("399208008", "Plain X-ray of chest", "eHealth Platform Belgium; Synthea"),
    loinc("30745-4", "XR Chest Views", _PLAYBOOK),
    loinc("36643-5", "XR Chest 2 Views", _PLAYBOOK),
)
CHEST_CT = _done(
    "chest-ct",
    "CT of the chest",
    snomed("169069000", "Computed tomography of chest", "FHIR R4 examples; MII test data"),
    snomed("395081000119108", "Computed tomography of chest without contrast", _BELGIUM),
    snomed("75385009", "Computed tomography of thorax with contrast", _BELGIUM),
    loinc("24627-2", "CT Chest", f"{_IHE}; {_RADIOLOGY}"),
    loinc("29252-4", "CT Chest WO contrast", _IHE),
    _cpt("71250", "CT of the chest without contrast"),
)
HEAD_CT = _done(
    "head-ct",
    "CT of the head",
    snomed("303653007", "Computed tomography of head", "FHIR examples; AKTIN emergency registry"),
    snomed("383371000119108", "Computed tomography of head without contrast", _BELGIUM),
    loinc("24725-4", "CT Head", f"{_IHE}; {_RADIOLOGY}"),
    loinc("30799-1", "CT Head WO contrast", _IHE),
)
PET_CT = _done(
    "pet-ct",
    "PET-CT",
    snomed("450436003", "Positron emission tomography with computed tomography", "GECCO imaging value set (Charité)"),
    snomed("443271005", "PET-CT of whole body using fluorodeoxyglucose (18-F)", _BELGIUM),
    _cpt("78815", "PET-CT, skull base to mid-thigh"),
)
ABDOMINAL_ULTRASOUND = _done(
    "abdominal-ultrasound",
    "ultrasound of the abdomen",
    snomed("45036003", "Ultrasonography of abdomen", f"FHIR R4 examples; {_BELGIUM}"),
    loinc("24558-9", "US Abdomen", f"{_TAIWAN}; {_RADIOLOGY}"),
    _cpt("76700", "Ultrasound of the abdomen"),
)
_AORTIC_ULTRASOUND = (
    loinc("24547-2", "US Thoracic and abdominal aorta", _RADIOLOGY),
    _cpt("76706", "Ultrasound screening for abdominal aortic aneurysm"),
)
_ENTIRE_AORTA = snomed("431431005", "Magnetic resonance angiography of entire aorta", _BELGIUM)
ABDOMINAL_AORTA_IMAGING = _done(
    "abdominal-aorta-imaging", "imaging of the abdominal aorta", _ENTIRE_AORTA, *_AORTIC_ULTRASOUND
)
#: Ultrasound through the wall of the chest does not see all of it: what is coded for both parts is in the other set.
THORACIC_AORTA_IMAGING = _done(
    "thoracic-aorta-imaging",
    "imaging of the thoracic aorta",
    _ENTIRE_AORTA,
    snomed("444970007", "Computed tomography angiography of thoracic aorta with contrast", _BELGIUM),
    loinc("24544-9", "CT Thoracic Aorta", _RADIOLOGY),
    loinc("24660-3", "MRA Thoracic Aorta", _RADIOLOGY),
)
AORTIC_REPAIR = _done(
    "aortic-repair",
    "repair of the aorta",
    snomed(
        "429205001", "History of repair of aneurysm of abdominal aorta", "public map of AAA from ICD-10 to SNOMED CT"
    ),
    _cpt("34701", "Endovascular repair of infrarenal aortic aneurysm"),
    _cpt("34705", "Endovascular repair of abdominal aortic aneurysm"),
)
CALCIUM_SCORE_CT = _done(
    "calcium-score-ct",
    "CT for coronary calcium",
    snomed("504981000119108", "Computed tomography of heart without contrast with calcium scoring", _BELGIUM),
    loinc("36934-8", "CT Heart for calcium scoring", _RADIOLOGY),
    _cpt("75571", "CT of the heart for coronary calcium"),
)
#: Charts code the operation itself, one of thousands: that none was found by this code says little.
SURGERY = _done(
    "surgery", "surgery", snomed("387713003", "Surgical procedure", "FHIR and Dutch guides of procedures, as category")
)
COGNITIVE_ASSESSMENT = _done(
    "cognitive-assessment",
    "cognitive assessment",
    snomed("113024001", "Assessment of higher cerebral function, cognitive testing", _COGNITION),
    snomed("4719001", "Psychologic cognitive testing and assessment", _COGNITION),
    loinc(
        "72133-2", "Montreal Cognitive Assessment [MoCA]", "LOINC forms; HL7 US PACIO and Multiple Chronic Conditions"
    ),
)

#: The entries that stand for an action beside its own code, in requests; what is not here has its own code alone.
_SAME_AS: dict[str, tuple[Entry, ...]] = {
    actions.CARDIOLOGY_REFERRAL.code: (
        snomed("183519002", "Referral to cardiology service", "Synthea; HL7 US guides"),
    ),
    actions.ABDOMINAL_ULTRASOUND.code: (loinc("24558-9", "US Abdomen", _PLAYBOOK),),
    actions.PELVIC_ULTRASOUND.code: (loinc("24869-0", "US Pelvis", _PLAYBOOK),),
    actions.LUMBAR_MRI.code: (loinc("30679-5", "MR Lumbar spine WO contrast", _PLAYBOOK),),
    actions.LUMBAR_MRI_WITH.code: (loinc("24967-2", "MR Lumbar spine WO and W contrast IV", _PLAYBOOK),),
    actions.DXA.code: DXA.entries,
    actions.ECHOCARDIOGRAPHY.code: ECHOCARDIOGRAPHY.entries,
    actions.HEART_FAILURE_REFERRAL.code: ECHOCARDIOGRAPHY.entries,
    actions.ELASTOGRAPHY.code: ELASTOGRAPHY.entries,
    actions.CHEST_CT_FOLLOW_UP.code: (
        snomed("16334891000119106", "Low dose CT of chest without contrast", "HL7 Lithuania, Lung Cancer IG; Synthea"),
        *CHEST_CT.entries,
    ),
    actions.DIAGNOSTIC_CHEST_CT.code: CHEST_CT.entries,
    actions.LOW_DOSE_SCREENING_CT.code: (
        snomed("16334891000119106", "Low dose CT of chest without contrast", "HL7 Lithuania, Lung Cancer IG; Synthea"),
        loinc("79086-5", "CT Chest for screening WO contrast", "public FSH of imaging studies, beside RadLex RPID6002"),
        Entry(Coding(CPT, "71271", "Low-dose CT for lung cancer screening"), "ACR and Noridian (CMS) screening pages"),
    ),
    actions.PET_CT.code: PET_CT.entries,
    actions.AORTIC_SURVEILLANCE.code: (*ABDOMINAL_AORTA_IMAGING.entries, *ABDOMINAL_ULTRASOUND.entries),
    actions.THORACIC_AORTA_IMAGING.code: (*THORACIC_AORTA_IMAGING.entries, *CHEST_CT.entries),
    actions.AORTIC_SCREENING.code: (*_AORTIC_ULTRASOUND, *ABDOMINAL_ULTRASOUND.entries),
    actions.REPEAT_CALCIUM_SCORE.code: CALCIUM_SCORE_CT.entries,
    actions.COGNITIVE_TEST.code: COGNITIVE_ASSESSMENT.entries,
    actions.CT_HEAD_UNENHANCED.code: HEAD_CT.entries,
    actions.CT_PULMONARY_ANGIOGRAPHY.code: (
        snomed("411251000119104", "Computed tomography angiography of chest with contrast", _BELGIUM),
    ),
    actions.FOLLOW_UP_CHEST_X_RAY.code: (snomed("399208008", "Plain X-ray of chest", f"{_BELGIUM}; Synthea"),),
    actions.BREAST_BIOPSY.code: (
        snomed("122548005", "Biopsy of breast", "HL7 mCODE test data; public imaging guides"),
    ),
    actions.NT_PROBNP.code: (loinc("33762-6", "Natriuretic peptide.B prohormone N-Terminal", "MII test data"),),
    actions.D_DIMER.code: (loinc("48065-7", "Fibrin D-dimer FEU in Platelet poor plasma", "AU eRequesting examples"),),
    actions.CREATININE_TEST.code: (loinc("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "order code lists"),),
    actions.PREGNANCY_TEST.code: (loinc("2106-3", "Choriogonadotropin (pregnancy test) in Urine", "FHIR examples"),),
}
#: The value set of the open requests for each action, by the action's code.
ORDERED = {code: actions.ordered(action, *_SAME_AS.get(code, ())) for code, action in actions.ACTIONS.items()}

ALL = (*(one for one in list(vars().values()) if isinstance(one, ValueSet)), *ORDERED.values())
