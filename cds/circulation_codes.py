"""Value sets of diseases of heart, vessels and kidneys, of diabetes and hypertension, with the evidence of each code.

Some hold codes in common, where one question includes another: an ischaemic stroke is an atherosclerotic disease too.
"""

from __future__ import annotations

from cds.domain.coding import Coding
from cds.value_sets import ICD10_CM, Entry, ValueSet, icd, snomed

_WHO = "ICD-10, WHO tabular list (https://icd.who.int/browse10/2019/en)"
_CM = "ICD-10-CM, tabular list; not in the WHO list"
_CATH = "DICOM PS3.16 CID 3700, cath diagnosis"
_RISK_FACTORS = "DICOM PS3.16 CID 3756, cardiac patient risk factors"
_GECCO = "GECCO value sets of the German COVID-19 research network (FHIR)"
_UNDERLYING = "FHIR value sets of conditions that underlie COVID-19 (FSH)"
_LISTS = "public code lists and FHIR examples, with this meaning"


def _condition(name: str, title: str, *entries: Entry) -> ValueSet:
    return ValueSet(name, title, "condition", entries)


def _cm(code: str, display: str, *, prefix: bool = True) -> Entry:
    return Entry(Coding(ICD10_CM, code, display), _CM, prefix=prefix)


#: Not in pregnancy alone (O24.4), not diabetes insipidus (E23.2), no raised glucose (R73).
DIABETES = _condition(
    "diabetes",
    "diabetes",
    snomed("73211009", "Diabetes mellitus", _GECCO),
    snomed("46635009", "Diabetes mellitus type 1", _GECCO),
    snomed("44054006", "Diabetes mellitus type 2", _GECCO),
    snomed("237599002", "Insulin treated type 2 diabetes mellitus", _GECCO),
    snomed("8801005", "Secondary diabetes mellitus", _GECCO),
    _cm("E08", "Diabetes mellitus due to underlying condition"),
    _cm("E09", "Drug or chemical induced diabetes mellitus"),
    icd("E10", "Type 1 diabetes mellitus", _WHO),
    icd("E11", "Type 2 diabetes mellitus", _WHO),
    icd("E12", "Malnutrition-related diabetes mellitus", _WHO),
    icd("E13", "Other specified diabetes mellitus", _WHO),
    icd("E14", "Unspecified diabetes mellitus", _WHO),
    icd("O24.0", "Pre-existing type 1 diabetes mellitus in pregnancy", _WHO),
    icd("O24.1", "Pre-existing type 2 diabetes mellitus in pregnancy", _WHO),
    icd("O24.2", "Pre-existing malnutrition-related diabetes mellitus in pregnancy", _WHO),
    icd("O24.3", "Pre-existing diabetes mellitus in pregnancy, unspecified", _WHO),
)
#: Not a single raised reading (R03.0), not by pregnancy alone (O13), nor pulmonary (I27) or portal (K76.6).
HYPERTENSION = _condition(
    "hypertension",
    "hypertension",
    snomed("38341003", "Hypertensive disorder, systemic arterial", _GECCO),
    snomed("59621000", "Essential hypertension", _LISTS),
    snomed("64715009", "Hypertensive heart disease", _CATH),
    icd("I10", "Essential (primary) hypertension", _WHO),
    icd("I11", "Hypertensive heart disease", _WHO),
    icd("I12", "Hypertensive renal disease", _WHO),
    icd("I13", "Hypertensive heart and renal disease", _WHO),
    icd("I15", "Secondary hypertension", _WHO),
    _cm("I16", "Hypertensive crisis"),
    icd("O10", "Pre-existing hypertension complicating pregnancy", _WHO),
    icd("O11", "Pre-existing hypertension with superimposed proteinuria or pre-eclampsia", _WHO),
)
_TRANSIENT_ATTACKS = (
    # G45.4, transient global amnesia, is none.
    icd("G45.0", "Vertebro-basilar artery syndrome", _WHO),
    icd("G45.1", "Carotid artery syndrome (hemispheric)", _WHO),
    icd("G45.2", "Multiple and bilateral precerebral artery syndromes", _WHO),
    icd("G45.3", "Amaurosis fugax", _WHO),
    icd("G45.8", "Other transient cerebral ischaemic attacks and related syndromes", _WHO),
    icd("G45.9", "Transient cerebral ischaemic attack, unspecified", _WHO),
)
_ISCHAEMIC_STROKE = (
    snomed("230690007", "Cerebrovascular accident", _GECCO),
    snomed("422504002", "Ischemic stroke", _LISTS),
    snomed("432504007", "Cerebral infarction", _LISTS),
    snomed("266257000", "Transient cerebral ischemia", _UNDERLYING),
    snomed("275526006", "History of cerebrovascular accident", _UNDERLYING),
    snomed("161511000", "History of transient ischemic attack", _UNDERLYING),
    snomed("440140008", "History of cerebrovascular accident with residual deficit", _GECCO),
    snomed("429993008", "History of cerebrovascular accident without residual deficits", _GECCO),
    icd("I63", "Cerebral infarction", _WHO),
    icd("I64", "Stroke, not specified as haemorrhage or infarction", _WHO),
    icd("I69.3", "Sequelae of cerebral infarction", _WHO),
    icd("I69.4", "Sequelae of stroke, not specified as haemorrhage or infarction", _WHO),
    _cm("Z86.73", "Personal history of transient ischaemic attack and cerebral infarction"),
    *_TRANSIENT_ATTACKS,
)
#: AHA/ACC 2018 (doi:10.1161/CIR.0000000000000625): coronary disease, stroke or TIA, and peripheral arterial disease, of
#: atherosclerotic origin. Not the wall of the aorta alone (I70.0): imaging shows it in most elderly people, and it is
#: no clinical disease. Aneurysms are a question of their own.
ASCVD = _condition(
    "ascvd",
    "atherosclerotic cardiovascular disease",
    snomed("53741008", "Coronary arteriosclerosis", f"{_CATH}; {_GECCO}"),
    snomed("414545008", "Ischemic heart disease", _LISTS),
    snomed("194828000", "Angina", _LISTS),
    snomed("233819005", "Stable angina", _CATH),
    snomed("4557003", "Unstable angina", _CATH),
    snomed("394659003", "Acute coronary syndrome", _LISTS),
    snomed("22298006", "Myocardial infarction", _GECCO),
    snomed("57054005", "Acute myocardial infarction", _CATH),
    snomed("401303003", "Acute ST segment elevation myocardial infarction", _LISTS),
    snomed("401314000", "Acute non-ST segment elevation myocardial infarction", _LISTS),
    snomed("399211009", "History of myocardial infarction", f"{_RISK_FACTORS}; {_GECCO}"),
    snomed("399261000", "History of coronary artery bypass grafting", _GECCO),
    snomed("232717009", "Coronary artery bypass graft", _UNDERLYING),
    snomed("415070008", "Percutaneous coronary intervention", "public FHIR registry value set; procedure tables"),
    snomed("399957001", "Peripheral arterial occlusive disease", _GECCO),
    snomed("400047006", "Peripheral vascular disease", _RISK_FACTORS),
    snomed("64586002", "Carotid artery stenosis", _GECCO),
    snomed("72092001", "Arteriosclerotic vascular disease", _UNDERLYING),
    icd("I20", "Angina pectoris", _WHO),
    icd("I21", "Acute myocardial infarction", _WHO),
    icd("I22", "Subsequent myocardial infarction", _WHO),
    icd("I23", "Certain current complications following acute myocardial infarction", _WHO),
    icd("I24", "Other acute ischaemic heart diseases", _WHO),
    icd("I25", "Chronic ischaemic heart disease", _WHO),
    icd("I65", "Occlusion and stenosis of precerebral arteries", _WHO),
    icd("I66", "Occlusion and stenosis of cerebral arteries", _WHO),
    icd("I67.2", "Cerebral atherosclerosis", _WHO),
    icd("I70.1", "Atherosclerosis of renal artery", _WHO),
    icd("I70.2", "Atherosclerosis of arteries of extremities", _WHO),
    *(_cm(f"I70.{n}", "Atherosclerosis of bypass graft of the extremities") for n in range(3, 8)),
    icd("I70.8", "Atherosclerosis of other arteries", _WHO),
    icd("I70.9", "Generalized and unspecified atherosclerosis", _WHO),
    icd("I73.9", "Peripheral vascular disease, unspecified", _WHO),
    icd("Z95.1", "Presence of aortocoronary bypass graft", _WHO),
    icd("Z95.5", "Presence of coronary angioplasty implant and graft", _WHO),
    _cm("Z98.61", "Coronary angioplasty status"),
    *_ISCHAEMIC_STROKE,
)
#: E78.0 of the WHO list is any pure hypercholesterolaemia.
FAMILIAL_HYPERCHOLESTEROLAEMIA = _condition(
    "familial-hypercholesterolaemia",
    "familial hypercholesterolaemia",
    snomed("398036000", "Familial hypercholesterolemia", "HL7 Genomics Reporting, examples of phenotypes"),
    _cm("E78.01", "Familial hypercholesterolaemia"),
)
#: Bleeding into brain and subarachnoid space is stroke (doi:10.1161/STR.0b013e318296aeca) and a risk of further ones
#: (ESC 2020, doi:10.1093/eurheartj/ehaa612, table of CHA2DS2-VASc); subdural and traumatic bleeding is not.
STROKE = _condition(
    "stroke",
    "stroke or transient ischaemic attack",
    snomed("274100004", "Cerebral hemorrhage", _LISTS),
    snomed("21454007", "Subarachnoid intracranial hemorrhage", _LISTS),
    icd("I60", "Subarachnoid haemorrhage", _WHO),
    icd("I61", "Intracerebral haemorrhage", _WHO),
    icd("I69.0", "Sequelae of subarachnoid haemorrhage", _WHO),
    icd("I69.1", "Sequelae of intracerebral haemorrhage", _WHO),
    *_ISCHAEMIC_STROKE,
)
#: Not cardiomyopathy (I42) or an enlarged heart (I51.7) without failure.
HEART_FAILURE = _condition(
    "heart-failure",
    "heart failure",
    snomed("84114007", "Heart failure", _GECCO),
    snomed("42343007", "Congestive heart failure", _CATH),
    snomed("88805009", "Chronic congestive heart failure", _LISTS),
    snomed(
        "703272007", "Heart failure with reduced ejection fraction", "public German value set of heart failure (FSH)"
    ),
    snomed("446221000", "Heart failure with preserved ejection fraction", _LISTS),
    snomed("161505003", "History of congestive heart failure", _RISK_FACTORS),
    icd("I50", "Heart failure", _WHO),
    icd("I11.0", "Hypertensive heart disease with (congestive) heart failure", _WHO),
    icd("I13.0", "Hypertensive heart and renal disease with (congestive) heart failure", _WHO),
    icd("I13.2", "Hypertensive heart and renal disease with both heart failure and renal failure", _WHO),
    _cm("I09.81", "Rheumatic heart failure"),
)
#: With atrial flutter, as the scores have it (ESC 2020).
ATRIAL_FIBRILLATION = _condition(
    "atrial-fibrillation",
    "atrial fibrillation",
    snomed("49436004", "Atrial fibrillation", f"{_CATH}; NAPKON cardiology value set"),
    snomed("5370000", "Atrial flutter", "NAPKON cardiology value set"),
    snomed("282825002", "Paroxysmal atrial fibrillation", _LISTS),
    snomed("440059007", "Persistent atrial fibrillation", _LISTS),
    snomed("440028005", "Permanent atrial fibrillation", _LISTS),
    icd("I48", "Atrial fibrillation and flutter", _WHO),
)
#: N19, kidney failure of which nobody says whether it is acute, is none.
CHRONIC_KIDNEY_DISEASE = _condition(
    "chronic-kidney-disease",
    "chronic kidney disease",
    snomed("709044004", "Chronic kidney disease", _GECCO),
    snomed("431855005", "Chronic kidney disease stage 1", _GECCO),
    snomed("431856006", "Chronic kidney disease stage 2", _GECCO),
    snomed("433144002", "Chronic kidney disease stage 3", _GECCO),
    snomed("431857002", "Chronic kidney disease stage 4", _GECCO),
    snomed("433146000", "Chronic kidney disease stage 5", _GECCO),
    snomed("714152005", "Chronic kidney disease stage 5 on dialysis", _GECCO),
    snomed("46177005", "End-stage renal disease", _UNDERLYING),
    icd("N18", "Chronic kidney disease", _WHO),
    icd("I12.0", "Hypertensive renal disease with renal failure", _WHO),
    icd("I13.1", "Hypertensive heart and renal disease with renal failure", _WHO),
    icd("I13.2", "Hypertensive heart and renal disease with both heart failure and renal failure", _WHO),
    _cm("E10.22", "Type 1 diabetes mellitus with diabetic chronic kidney disease"),
    _cm("E11.22", "Type 2 diabetes mellitus with diabetic chronic kidney disease"),
    _cm("E13.22", "Other specified diabetes mellitus with diabetic chronic kidney disease"),
)
ACUTE_KIDNEY_INJURY = _condition(
    "acute-kidney-injury",
    "acute kidney injury",
    snomed("14669001", "Acute renal failure syndrome", _GECCO),
    icd("N17", "Acute renal failure", _WHO),
    icd("O90.4", "Postpartum acute renal failure", _WHO),
)
#: Living on it: neither its preparation (Z49.0) nor one session, which may have been for an acute failure.
DIALYSIS = _condition(
    "dialysis",
    "dialysis",
    snomed("105502003", "Dependence on renal dialysis", _UNDERLYING),
    snomed("714152005", "Chronic kidney disease stage 5 on dialysis", _GECCO),
    icd("Z99.2", "Dependence on renal dialysis", _WHO),
    icd("Z49.1", "Extracorporeal dialysis", _WHO),
    icd("Z49.2", "Other dialysis", _WHO),
    _cm("Z49.3", "Encounter for adequacy testing for dialysis"),
)
#: With dissection: who has either is known to, and followed for it. Not ectasia (I77.81 of ICD-10-CM).
AORTIC_ANEURYSM = _condition(
    "aortic-aneurysm",
    "aortic aneurysm",
    snomed("67362008", "Aortic aneurysm", _CATH),
    snomed("233985008", "Abdominal aortic aneurysm", _LISTS),
    snomed("433068007", "Aneurysm of thoracic aorta", _LISTS),
    snomed("308546005", "Aortic dissection", _CATH),
    icd("I71", "Aortic aneurysm and dissection", _WHO),
    icd("I79.0", "Aneurysm of aorta in diseases classified elsewhere", _WHO),
)
_BOTH_PARTS = (
    icd("I71.5", "Thoracoabdominal aortic aneurysm, ruptured", _WHO),
    icd("I71.6", "Thoracoabdominal aortic aneurysm, without mention of rupture", _WHO),
    _cm("I71.03", "Dissection of thoracoabdominal aorta"),
)
#: What is coded without the part of the aorta is in neither of both parts: nobody can tell which it was.
ABDOMINAL_AORTIC_ANEURYSM = _condition(
    "abdominal-aortic-aneurysm",
    "abdominal aortic aneurysm",
    snomed("233985008", "Abdominal aortic aneurysm", _LISTS),
    icd("I71.3", "Abdominal aortic aneurysm, ruptured", _WHO),
    icd("I71.4", "Abdominal aortic aneurysm, without mention of rupture", _WHO),
    _cm("I71.02", "Dissection of abdominal aorta"),
    *_BOTH_PARTS,
)
THORACIC_AORTIC_ANEURYSM = _condition(
    "thoracic-aortic-aneurysm",
    "thoracic aortic aneurysm",
    snomed("433068007", "Aneurysm of thoracic aorta", _LISTS),
    icd("I71.1", "Thoracic aortic aneurysm, ruptured", _WHO),
    icd("I71.2", "Thoracic aortic aneurysm, without mention of rupture", _WHO),
    _cm("I71.01", "Dissection of thoracic aorta"),
    *_BOTH_PARTS,
)
#: ACC/AHA 2022 (doi:10.1161/CIR.0000000000001106). Q23.1 of the WHO list includes the bicuspid valve. Of the
#: Ehlers-Danlos syndromes (Q79.6) only the vascular one.
AORTOPATHY = _condition(
    "aortopathy",
    "hereditary aortic disease or bicuspid aortic valve",
    snomed("19346006", "Marfan syndrome", "MII rare diseases, FHIR examples"),
    snomed("72352009", "Bicuspid aortic valve", "public map to UMLS C0149630; lists of aortic disease"),
    snomed("38804009", "Turner syndrome", "public list of aortic disease, with ICD-10 Q96"),
    Entry(Coding("http://snomed.info/sct", "446263001", "Loeys-Dietz syndrome"), "not found in public", verified=False),
    icd("Q87.4", "Marfan syndrome", _WHO),
    icd("Q96", "Turner syndrome", _WHO),
    icd("Q23.1", "Congenital insufficiency of aortic valve, with bicuspid aortic valve", _WHO),
    _cm("Q23.81", "Bicuspid aortic valve"),
    _cm("Q79.63", "Vascular Ehlers-Danlos syndrome"),
)
#: Of deep veins: not superficial (I80.0), nor a vein that is not named (I80.3, I82.9).
VENOUS_THROMBOEMBOLISM = _condition(
    "venous-thromboembolism",
    "deep vein thrombosis or pulmonary embolism",
    snomed("59282003", "Pulmonary embolism", _GECCO),
    snomed("128053003", "Deep venous thrombosis", _UNDERLYING),
    snomed("161508001", "History of deep vein thrombosis", _UNDERLYING),
    snomed("161512007", "History of pulmonary embolus", _UNDERLYING),
    icd("I26", "Pulmonary embolism", _WHO),
    _cm("I27.82", "Chronic pulmonary embolism"),
    icd("I80.1", "Phlebitis and thrombophlebitis of femoral vein", _WHO),
    icd("I80.2", "Phlebitis and thrombophlebitis of other deep vessels of lower extremities", _WHO),
    icd("I82.2", "Embolism and thrombosis of vena cava", _WHO),
    _cm("I82.4", "Acute embolism and thrombosis of deep veins of lower extremity"),
    _cm("I82.5", "Chronic embolism and thrombosis of deep veins of lower extremity"),
    _cm("I82.62", "Acute embolism and thrombosis of deep veins of upper extremity"),
    _cm("I82.72", "Chronic embolism and thrombosis of deep veins of upper extremity"),
    *(_cm(f"I82.{vein}", "Embolism and thrombosis of axillary, subclavian or jugular vein") for vein in "ABC"),
    icd("O22.3", "Deep phlebothrombosis in pregnancy", _WHO),
    icd("O87.1", "Deep phlebothrombosis in the puerperium", _WHO),
    icd("O88.2", "Obstetric blood-clot embolism", _WHO),
    _cm("Z86.71", "Personal history of venous thrombosis and embolism"),
)
#: Z95.8 of the WHO list is any other implant of heart and vessels.
CARDIAC_DEVICE = _condition(
    "cardiac-device",
    "cardiac pacemaker or defibrillator",
    snomed("441509002", "Cardiac pacemaker in situ", _LISTS),
    snomed(
        "443325000", "Implantable cardioverter defibrillator in situ", "DICOM PS3.16, ECG report, as highdicom has it"
    ),
    icd("Z95.0", "Presence of cardiac pacemaker", _WHO),
    icd("Z45.0", "Adjustment and management of cardiac pacemaker or defibrillator", _WHO),
    _cm("Z95.810", "Presence of automatic (implantable) cardiac defibrillator", prefix=False),
)
#: Not what is left of it (I69.0 to I69.2), nor of the newborn (P52).
INTRACRANIAL_HAEMORRHAGE = _condition(
    "intracranial-haemorrhage",
    "intracranial haemorrhage",
    snomed("1386000", "Intracranial hemorrhage", "public FHIR examples and code lists of head CT"),
    snomed("274100004", "Cerebral hemorrhage", _LISTS),
    snomed("21454007", "Subarachnoid intracranial hemorrhage", _LISTS),
    snomed("35486000", "Subdural hemorrhage", "public code lists of head CT"),
    icd("I60", "Subarachnoid haemorrhage", _WHO),
    icd("I61", "Intracerebral haemorrhage", _WHO),
    icd("I62", "Other nontraumatic intracranial haemorrhage", _WHO),
    icd("S06.4", "Epidural haemorrhage", _WHO),
    icd("S06.5", "Traumatic subdural haemorrhage", _WHO),
    icd("S06.6", "Traumatic subarachnoid haemorrhage", _WHO),
    _cm("S06.34", "Traumatic haemorrhage of right cerebrum"),
    _cm("S06.35", "Traumatic haemorrhage of left cerebrum"),
    _cm("S06.36", "Traumatic haemorrhage of cerebrum, unspecified"),
)
