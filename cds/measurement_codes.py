"""Value sets of laboratory values, vital signs and contrast allergies, with the evidence of each code."""

from __future__ import annotations

from cds.value_sets import ValueSet, loinc, snomed

_CID_12 = "DICOM PS3.16 CID 12, imaging contrast agent"
_CKD = "HL7 FHIR Clinical Guidelines 1.0.0, CKD value sets of creatinine and eGFR"
_VITAL_SIGNS = "FHIR R4 vital signs profiles"
_MESSAGES = "HL7 v2 messages of public test suites, with unit"
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
    (loinc("777-3", "Platelets [#/volume] in Blood by Automated count", _MESSAGES),),
    unit="10*3/uL",
)
INR = ValueSet(
    "inr",
    "INR",
    "measurement",
    (loinc("6301-6", "INR in Platelet poor plasma by Coagulation assay", "PACIO sample data, unit 1"),),
    unit="1",
)
TSH = ValueSet(
    "tsh",
    "TSH",
    "measurement",
    (loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", _MESSAGES),),
    unit="m[IU]/L",
)

ALL = (
    CONTRAST_ALLERGY,
    CREATININE,
    EGFR_2021,
    EGFR_OLDER,
    BODY_WEIGHT,
    BODY_HEIGHT,
    HEART_RATE,
    SYSTOLIC,
    DIASTOLIC,
    HAEMOGLOBIN,
    PLATELETS,
    INR,
    TSH,
)
