"""Value sets of laboratory values, vital signs and contrast allergies, with the evidence of each code."""

from __future__ import annotations

from cds.value_sets import Entry, Reading, ValueSet, loinc, snomed

_CID_12 = "DICOM PS3.16 CID 12, imaging contrast agent"
_CKD = "HL7 FHIR Clinical Guidelines 1.0.0, CKD value sets of creatinine and eGFR"
_VITAL_SIGNS = "FHIR R4 vital signs profiles"
_MESSAGES = "HL7 v2 messages of public test suites, with unit"
_VSAC = "eCQM value sets of laboratory tests (NLM VSAC), as public measures repeat them"
_CHOLESTEROL = "FHIR R4 cholesterol profiles and LDL value set"
_LABORATORY = "NAPKON GECCO+ laboratory value set (Charité)"
_PAIRS = "public tables of mass and molar LOINC codes, checked against the NLM Clinical Tables service"
_COVID = "public tables of COVID-19 laboratory codes with their LOINC names"
_ACUTE = "AKTIN emergency registry and MII intensive care profiles"
_COGNITION = "eCQM value set of standardized tools for assessment of cognition; HL7 PACIO cognitive status"
_BLOOD_PRESSURE = loinc("85354-9", "Blood pressure panel with all children optional", _VITAL_SIGNS)

CONTRAST_ALLERGY = ValueSet(
    "contrast-allergy",
    "allergy to contrast medium",
    "allergy",
    (
        snomed("293637006", "Contrast media allergy", "DICOM PS3.16 CID 1201, contraindications for XA imaging"),
        snomed("7140000", "Contrast agent", _CID_12),
        snomed("353962003", "Iodixanol", _CID_12),
        snomed("109218004", "Iohexol", _CID_12),
        snomed("109219007", "Iopamidol", _CID_12),
        snomed("353903006", "Iopromide", _CID_12),
        snomed("109222009", "Ioversol", _CID_12),
        snomed("407976008", "Gadobutrol", _CID_12),
        snomed("712714000", "Gadoterate meglumine", _CID_12),
        snomed("353946009", "Gadoteridol", _CID_12),
        snomed("768763008", "Gadolinium", _CID_12),
    ),
)
CREATININE = ValueSet(
    "creatinine",
    "creatinine",
    "measurement",
    (
        loinc("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", f"{_CKD}; {_MESSAGES}"),
        loinc("14682-9", "Creatinine [Moles/volume] in Serum or Plasma", _CKD),
    ),
    unit="mg/dL",
    grams_per_mole=113.12,  # C4H7N3O, IUPAC atomic weights
)
#: The equations are not interchangeable: what an equation of 2021 wants is not answered by an older one.
EGFR_2021 = ValueSet(
    "egfr-ckd-epi-2021",
    "eGFR (CKD-EPI 2021)",
    "measurement",
    (loinc("98979-8", "eGFR by creatinine, CKD-EPI 2021", "CH LAB profile"),),
    unit="mL/min/{1.73_m2}",
)
EGFR_OLDER = ValueSet(
    "egfr-before-2021",
    "eGFR (MDRD or CKD-EPI before 2021)",
    "measurement",
    (
        loinc("33914-3", "eGFR by creatinine-based formula (MDRD)", _CKD),
        loinc("77147-7", "eGFR by creatinine-based formula (MDRD), serum, plasma or blood", _CKD),
        loinc("62238-1", "eGFR by creatinine-based formula (CKD-EPI)", "HL7 Lithuania, laboratory value set"),
    ),
    unit="mL/min/{1.73_m2}",
)
BODY_WEIGHT = ValueSet(
    "body-weight",
    "body weight",
    "measurement",
    (loinc("29463-7", "Body weight", _VITAL_SIGNS), loinc("3141-9", "Body weight Measured", _MESSAGES)),
    unit="kg",
)
BODY_HEIGHT = ValueSet(
    "body-height", "body height", "measurement", (loinc("8302-2", "Body height", _VITAL_SIGNS),), unit="cm"
)
HEART_RATE = ValueSet(
    "heart-rate", "heart rate", "measurement", (loinc("8867-4", "Heart rate", _VITAL_SIGNS),), unit="/min"
)
SYSTOLIC = ValueSet(
    "systolic-blood-pressure",
    "systolic blood pressure",
    "measurement",
    (loinc("8480-6", "Systolic blood pressure", _VITAL_SIGNS),),
    unit="mm[Hg]",
    panels=(_BLOOD_PRESSURE,),
)
DIASTOLIC = ValueSet(
    "diastolic-blood-pressure",
    "diastolic blood pressure",
    "measurement",
    (loinc("8462-4", "Diastolic blood pressure", _VITAL_SIGNS),),
    unit="mm[Hg]",
    panels=(_BLOOD_PRESSURE,),
)
HAEMOGLOBIN = ValueSet(
    "haemoglobin",
    "haemoglobin",
    "measurement",
    (loinc("718-7", "Hemoglobin [Mass/volume] in Blood", _MESSAGES),),
    unit="g/dL",
)
PLATELETS = ValueSet(
    "platelets",
    "platelets",
    "measurement",
    (
        loinc("777-3", "Platelets [#/volume] in Blood by Automated count", _MESSAGES),
        loinc("26515-7", "Platelets [#/volume] in Blood", _COVID),
    ),
    unit="10*3/uL",
)
INR = ValueSet(
    "inr",
    "INR",
    "measurement",
    (
        loinc("6301-6", "INR in Platelet poor plasma by Coagulation assay", "PACIO sample data, unit 1"),
        loinc("34714-6", "INR in Blood by Coagulation assay", _COVID),
    ),
    unit="1",
)
TSH = ValueSet(
    "tsh",
    "TSH",
    "measurement",
    (loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", _MESSAGES),),
    unit="m[IU]/L",
)


def _measured(
    name: str, title: str, unit: str, *entries: Entry, grams_per_mole: float = 0.0, readings: tuple[Reading, ...] = ()
) -> ValueSet:
    return ValueSet(name, title, "measurement", entries, unit=unit, grams_per_mole=grams_per_mole, readings=readings)


_CHOLESTEROL_GRAMS = 386.65  # C27H46O, IUPAC atomic weights

TOTAL_CHOLESTEROL = _measured(
    "total-cholesterol",
    "total cholesterol",
    "mg/dL",
    loinc("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", _CHOLESTEROL),
    loinc("14647-2", "Cholesterol [Moles/volume] in Serum or Plasma", "FHIR R4 example value set of cholesterol"),
    grams_per_mole=_CHOLESTEROL_GRAMS,
)
HDL_CHOLESTEROL = _measured(
    "hdl-cholesterol",
    "HDL cholesterol",
    "mg/dL",
    loinc("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", _CHOLESTEROL),
    loinc("14646-4", "Cholesterol in HDL [Moles/volume] in Serum or Plasma", f"{_LABORATORY}; {_PAIRS}"),
    grams_per_mole=_CHOLESTEROL_GRAMS,
)
LDL_CHOLESTEROL = _measured(
    "ldl-cholesterol",
    "LDL cholesterol",
    "mg/dL",
    loinc("13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation", _CHOLESTEROL),
    loinc("18262-6", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by Direct assay", _CHOLESTEROL),
    loinc("2089-1", "Cholesterol in LDL [Mass/volume] in Serum or Plasma", _LABORATORY),
    loinc("22748-8", "Cholesterol in LDL [Moles/volume] in Serum or Plasma", f"{_LABORATORY}; {_PAIRS}"),
    loinc("39469-2", "Cholesterol in LDL [Moles/volume] in Serum or Plasma by calculation", _LABORATORY),
    loinc("69419-0", "Cholesterol in LDL [Moles/volume] in Serum or Plasma by Direct assay", _LABORATORY),
    grams_per_mole=_CHOLESTEROL_GRAMS,
)
#: Master equation between the two reference systems: NGSP (%) = 0.09148 x IFCC (mmol/mol) + 2.152
#: (Hoelzel 2004, doi:10.1373/clinchem.2003.024802). A percentage under the IFCC's own code would be of a third scale.
HBA1C = _measured(
    "hba1c",
    "HbA1c",
    "%",
    loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", f"{_VSAC}; FHIR examples, unit %"),
    loinc("17856-6", "Hemoglobin A1c/Hemoglobin.total in Blood by HPLC", f"{_VSAC}; FHIR IPS examples, unit %"),
    loinc("59261-8", "Hemoglobin A1c/Hemoglobin.total in Blood by IFCC protocol", "public FHIR guides, unit mmol/mol"),
    readings=(Reading("mmol/mol", 0.09148, 2.152), Reading("mmol/mol", 0.09148, 2.152, codes=("59261-8",))),
)
#: The molar mass is that of creatinine: mg/mmol is what is told in Europe.
UACR = _measured(
    "urine-albumin-creatinine-ratio",
    "urine albumin-creatinine ratio",
    "mg/g",
    loinc("9318-7", "Albumin/Creatinine [Mass Ratio] in Urine", f"{_CKD}; public test suites"),
    loinc("14959-1", "Microalbumin/Creatinine [Mass Ratio] in Urine", "LOINC short lists of two public registries"),
    loinc("32294-1", "Albumin/Creatinine [Ratio] in Urine", "HL7 Lithuania, laboratory profile"),
    grams_per_mole=113.12,
)
BODY_MASS_INDEX = _measured(
    "body-mass-index", "body mass index", "kg/m2", loinc("39156-5", "Body mass index (BMI) [Ratio]", _VITAL_SIGNS)
)
ALT = _measured(
    "alt",
    "ALT",
    "U/L",
    loinc("1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", _VSAC),
    loinc("1743-4", "Alanine aminotransferase in Serum or Plasma by With P-5'-P", "public FHIR ConceptMap; HL7 tables"),
)
AST = _measured(
    "ast",
    "AST",
    "U/L",
    loinc("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma", _VSAC),
    loinc("30239-8", "Aspartate aminotransferase in Serum or Plasma by With P-5'-P", _VSAC),
    loinc("88112-8", "Aspartate aminotransferase in Serum or Plasma by No addition of P-5'-P", _COVID),
)
ALBUMIN = _measured(
    "albumin",
    "albumin",
    "g/dL",
    loinc("1751-7", "Albumin [Mass/volume] in Serum or Plasma", f"{_VSAC}; {_LABORATORY}"),
)
#: A mole of urea (60.06 g) holds 28.014 g of nitrogen; "urea nitrogen" in mmol/L counts the same molecules.
_OF_UREA = Reading("mmol/L", 2.8014, codes=("3091-6", "22664-7", "20977-5", "72903-8"), grams_per_mole=60.06)
UREA_NITROGEN = _measured(
    "urea-nitrogen",
    "urea nitrogen",
    "mg/dL",
    loinc("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", f"{_VSAC}; {_PAIRS}"),
    loinc("14937-7", "Urea nitrogen [Moles/volume] in Serum or Plasma", f"{_VSAC}; {_PAIRS}"),
    loinc("3091-6", "Urea [Mass/volume] in Serum or Plasma", _PAIRS),
    loinc("22664-7", "Urea [Moles/volume] in Serum or Plasma", f"{_PAIRS}; ELGA laboratory value set"),
    loinc("20977-5", "Urea [Mass/volume] in Blood", _LABORATORY),
    loinc("72903-8", "Urea [Moles/volume] in Blood", _LABORATORY),
    grams_per_mole=28.014,
    readings=(_OF_UREA,),
)
RESPIRATORY_RATE = _measured(
    "respiratory-rate", "respiratory rate", "/min", loinc("9279-1", "Respiratory rate", _VITAL_SIGNS)
)
BODY_TEMPERATURE = _measured(
    "body-temperature", "body temperature", "Cel", loinc("8310-5", "Body temperature", _VITAL_SIGNS)
)
OXYGEN_SATURATION = _measured(
    "oxygen-saturation",
    "oxygen saturation",
    "%",
    loinc("2708-6", "Oxygen saturation in Arterial blood", _VITAL_SIGNS),
    loinc("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry", "US Core pulse oximetry profile"),
)
GLASGOW_COMA_SCORE = _measured(
    "glasgow-coma-score", "Glasgow Coma Score", "{score}", loinc("9269-2", "Glasgow coma score total", _ACUTE)
)
#: B-type natriuretic peptide (30934-4, 42637-9) is another marker with other limits. The molar mass is what assays
#: print their second unit by: 1 pmol/L is 8.457 pg/mL (Roche Elecsys proBNP II, method sheet).
NT_PROBNP = _measured(
    "nt-probnp",
    "NT-proBNP",
    "pg/mL",
    loinc("33762-6", "Natriuretic peptide.B prohormone N-Terminal [Mass/volume] in Serum or Plasma", "MII test data"),
    loinc("83107-3", "Natriuretic peptide.B prohormone N-Terminal in Serum or Plasma by Immunoassay", "MII profiles"),
    loinc("33763-4", "Natriuretic peptide.B prohormone N-Terminal [Moles/volume] in Serum or Plasma", "MII queries"),
    grams_per_mole=8457.0,
)
#: The codes say that fibrinogen equivalents are counted; a plain unit under them leaves out what they have said. What
#: is counted as D-dimer units (48066-5, 48058-2) is about half of it, by no factor that holds for every assay.
_FEU = ("48065-7", "48067-3", "71427-9")
D_DIMER = _measured(
    "d-dimer",
    "D-dimer",
    "ng/mL{FEU}",
    loinc("48065-7", "Fibrin D-dimer FEU [Mass/volume] in Platelet poor plasma", "AU eRequesting examples; MIMIC"),
    loinc("48067-3", "Fibrin D-dimer FEU [Mass/volume] in Platelet poor plasma by Immunoassay", _COVID),
    loinc("71427-9", "Fibrin D-dimer FEU [Mass/volume] in Blood by Immunoassay", _COVID),
    readings=(Reading("ng/mL{FEU}", codes=_FEU), Reading("ng/mL", codes=_FEU)),
)
SODIUM = _measured(
    "sodium",
    "sodium",
    "mmol/L",
    loinc("2951-2", "Sodium [Moles/volume] in Serum or Plasma", _LABORATORY),
    loinc("2947-0", "Sodium [Moles/volume] in Blood", _LABORATORY),
    readings=(Reading("meq/L"),),  # its ion has one charge
)
GLUCOSE = _measured(
    "glucose",
    "glucose",
    "mg/dL",
    loinc("2345-7", "Glucose [Mass/volume] in Serum or Plasma", _PAIRS),
    loinc("14749-6", "Glucose [Moles/volume] in Serum or Plasma", _PAIRS),
    loinc("2339-0", "Glucose [Mass/volume] in Blood", f"{_LABORATORY}; {_PAIRS}"),
    loinc("15074-8", "Glucose [Moles/volume] in Blood", f"{_LABORATORY}; {_PAIRS}"),
    grams_per_mole=180.156,  # C6H12O6
)
HAEMATOCRIT = _measured(
    "haematocrit",
    "haematocrit",
    "%",
    loinc("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", _MESSAGES),
    loinc("20570-8", "Hematocrit [Volume Fraction] of Blood", _LABORATORY),
)
ARTERIAL_PH = _measured(
    "arterial-ph", "arterial pH", "[pH]", loinc("2744-1", "pH of Arterial blood", "public blood gas panels, unit [pH]")
)
ARTERIAL_PO2 = _measured(
    "arterial-po2",
    "arterial oxygen pressure",
    "mm[Hg]",
    loinc("2703-7", "Oxygen [Partial pressure] in Arterial blood", f"{_VSAC}; Fiji FHIR guide, unit mm[Hg]"),
)
MENARCHE_AGE = _measured(
    "menarche-age",
    "age at menarche",
    "a",
    loinc("42798-9", "Age at menarche", "Dutch birth care profiles (nictiz); MII breast cancer example"),
)
#: No public code was found that says it: who asks for it gets no answer but the reader's own.
FIRST_BIRTH_AGE = _measured("first-birth-age", "age at first birth", "a")
BREAST_BIOPSIES = _measured("breast-biopsies", "number of breast biopsies", "1")
LIVER_STIFFNESS = _measured("liver-stiffness", "liver stiffness", "kPa")
EDUCATION_YEARS = _measured(
    "education-years",
    "years of education",
    "a",
    loinc("82590-1", "Years of education [#] - Reported", "MII Soziodemographie, Schuljahre, unit 1"),
    readings=(Reading("1"),),
)
MOCA = _measured("moca", "Montreal Cognitive Assessment", "{score}", loinc("72172-0", "Total score [MoCA]", _COGNITION))
MMSE = _measured("mmse", "Mini-Mental State Examination", "{score}", loinc("72106-8", "Total score [MMSE]", _COGNITION))
#: Packs a day (LOINC 8663-7) are another count.
CIGARETTES_PER_DAY = _measured(
    "cigarettes-per-day",
    "cigarettes a day",
    "1",
    loinc("64218-1", "How many cigarettes do you smoke per day now [PhenX]", "public FSH guides of tobacco use"),
    readings=(Reading("/d"),),
)

ALL = tuple(one for one in list(vars().values()) if isinstance(one, ValueSet))
