"""Code systems and identifier systems, each URI once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from cds.codes import DCM, LOINC, SNOMED
from cds.domain.coding import Coding

#: Sightline's own codes: it never borrows the LOINC code of the examination for an AI analysis (SAFETY section 3).
SIGHTLINE = "urn:sightline:codes"
REPORT_IDENTIFIER = "urn:sightline:report"
OBSERVATION_IDENTIFIER = "urn:sightline:observation-id"
RISK_IDENTIFIER = "urn:sightline:risk-assessment-id"
#: R4 Provenance has no identifier: another server's copy is found by a tag (meta.tag, search parameter _tag).
PROVENANCE_TAG = "urn:sightline:provenance-id"
DELIVERY_IDENTIFIER = "urn:sightline:delivery-id"
PERSON_IDENTIFIER = "urn:sightline:person"
MODEL_IDENTIFIER = "urn:sightline:model"
SCORE = "urn:sightline:score"
#: An authority that no FHIR system is configured for is still told apart from all others.
AUTHORITY_PREFIX = "urn:sightline:authority:"
#: An issuer of accession numbers is not an authority of patient identifiers, even where a site names both alike.
ACCESSION_PREFIX = "urn:sightline:accession:"

DICOM_UID = "urn:dicom:uid"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
DATA_ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
DATA_ABSENT_EXTENSION = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
AI_DEVICE_TYPE = "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AIdeviceTypeCS"
PROVENANCE_AGENT_TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

#: What people said of a finding, on the Observation that says it; its parts are named by words alone.
VERIFICATION_EXTENSION = "urn:sightline:finding-verification"
_AI_TRANSPARENCY = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/"
#: How long each step of a model took for this report: its parts name the model, the device, and each step in ms.
TIMING_EXTENSION = "urn:sightline:model-timing"
#: How sure a model is, 0 to 1 (AI Transparency IG).
CONFIDENCE_EXTENSION = f"{_AI_TRANSPARENCY}AIconfidence"
#: What kind of AI a Device is (AI Transparency IG).
AI_KIND_EXTENSION = f"{_AI_TRANSPARENCY}aitransparency.AIKind"

AI_ANALYSIS = Coding(SIGHTLINE, "ai-analysis", "AI analysis of imaging study")
VERIFIED = Coding(SIGHTLINE, "finding-verified", "Verification of a finding of an AI")
WITHDRAWAL = Coding(SIGHTLINE, "withdrawal", "Withdrawal of a report that does not hold")
THRESHOLD = Coding(SIGHTLINE, "threshold", "Threshold of the finding")
SIZE = Coding(SIGHTLINE, "size", "Size of the finding")
MEASURED = Coding(SIGHTLINE, "measured", "Measured value of the finding")
CHANGE = Coding(SIGHTLINE, "change", "Change since the earlier study")
CHANGE_PER_YEAR = Coding(SIGHTLINE, "change-per-year", "Change per year since the earlier study")
PRIOR_VALUE = Coding(SIGHTLINE, "prior-value", "Value in the earlier study")
DOUBLING_TIME = Coding(SIGHTLINE, "doubling-time", "Volume doubling time since the earlier study")
CATEGORY = Coding(SIGHTLINE, "category", "Published category of the value")
TRACKING = Coding(DCM, "112039", "Tracking Identifier")
#: PS3.16 CID 244, and the concept that it qualifies (TID 1501).
LATERALITY = Coding(SNOMED, "272741003", "Laterality")
SIDES: Mapping[str, Coding] = MappingProxyType(
    {
        "left": Coding(SNOMED, "7771000", "Left"),
        "right": Coding(SNOMED, "24028007", "Right"),
        "both": Coding(SNOMED, "51440002", "Bilateral"),
    }
)
KEY_IMAGE = Coding(SIGHTLINE, "key-image", "Key image of the finding (SOP Instance UID)")
#: SHA-256 of what a model is made of, as hexadecimal digits.
MODEL_DIGEST = Coding(SIGHTLINE, "model-sha256", "SHA-256 of the model's files")
#: The label that every AI-made resource carries in meta.security (AI Transparency IG).
AI_ASSERTED = Coding(
    "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "AIAST", "Artificial Intelligence asserted"
)
ARTIFICIAL_INTELLIGENCE = Coding(AI_DEVICE_TYPE, "Artificial-Intelligence", "Artificial Intelligence")
IMAGE_ANALYSIS = Coding(AI_DEVICE_TYPE, "Medical-Image-Analysis", "Medical Image Analysis")
RADIOLOGY = Coding("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology")
#: US Core, value set us-core-diagnosticreport-category: a LOINC part.
US_CORE_RADIOLOGY = Coding(LOINC, "LP29684-5", "Radiology")
IMAGING = Coding("http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging")
ACCESSION = Coding(IDENTIFIER_TYPE, "ACSN", "Accession ID")
#: "test health data": no production chart shows it (v3 ActReason, R4 security labels).
TEST_DATA = Coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST", "test health data")
NOT_PERFORMED = Coding(DATA_ABSENT_REASON, "not-performed", "Not Performed")
IN_ERROR = Coding(DATA_ABSENT_REASON, "error", "Error")
CERTAINTY = Coding(DCM, "111012", "Certainty of Finding")
SERIES_INSTANCE_UID = Coding(DCM, "112002", "Series Instance UID")
DETECTED = Coding(SNOMED, "260373001", "Detected")
NOT_DETECTED = Coding(SNOMED, "260415000", "Not detected")
INTERPRETED_DETECTED = Coding(INTERPRETATION, "DET", "Detected")
INTERPRETED_NOT_DETECTED = Coding(INTERPRETATION, "ND", "Not detected")


def systems_by_authority(identifier_systems: Mapping[str, str]) -> dict[str, str]:
    """Turn the site's table (system → authority) round; of several systems of one authority the first is used."""
    inverted: dict[str, str] = {}
    for system, authority in identifier_systems.items():
        inverted.setdefault(authority, system)
    return inverted


def accession_system(issuer: str) -> str:
    """The identifier system of an issuer's accession numbers."""
    return ACCESSION_PREFIX + quote(issuer, safe="")


def system_of(authority: str, systems: Mapping[str, str]) -> str:
    """The identifier system of an assigning authority."""
    return systems.get(authority) or AUTHORITY_PREFIX + quote(authority, safe="")
