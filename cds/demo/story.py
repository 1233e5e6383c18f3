"""The demo's patient and her messages: HL7 v2 as an interface engine would send them. Nobody real."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cds.value_sets import LOINC, UCUM

AUTHORITY = "DEMO-HOSPITAL"
IDENTIFIER_SYSTEM = "urn:sightline:demo:mrn"
FHIR_ID = "demo-patient"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is examined, under which numbers, and when."""

    mrn: str
    family: str
    given: str
    birth_date: date
    sex: str
    accession_number: str
    now: datetime
    ordered_at: datetime
    authority: str = AUTHORITY
    accession_issuer: str = AUTHORITY

    @property
    def stamp(self) -> str:
        """The story's moment as an HL7 timestamp with offset."""
        return self.now.strftime("%Y%m%d%H%M%S+0000")


def heroine(now: datetime) -> Cast:
    """A former smoker of 66 years with 35 pack-years, whose accession number is new at every run."""
    number = now.strftime("D%y%m%d%H%M%S")
    return Cast("DEMO-4711", "Demoperson", "Dora", date(now.year - 66, 3, 2), "F", number, now, now)


def messages(cast: Cast) -> dict[str, bytes]:
    """The three messages that come before the images, by a title for people."""
    return {
        "ADT^A04 registers the patient": _adt(cast),
        "ORU^R01 brings labs and smoking history": _oru(cast),
        "ORM^O01 orders a chest CT": _orm(cast),
    }


def patient_resource(cast: Cast) -> dict[str, object]:
    """The Patient that the EHR prefetches for its CDS Hooks call."""
    return {
        "resourceType": "Patient",
        "id": FHIR_ID,
        "identifier": [{"system": IDENTIFIER_SYSTEM, "value": cast.mrn}],
        "name": [{"family": cast.family, "given": [cast.given]}],
        "gender": {"F": "female", "M": "male", "O": "other"}.get(cast.sex, "unknown"),
        "birthDate": cast.birth_date.isoformat(),
    }


def chart(cast: Cast) -> dict[str, object]:
    """What an EHR holds of the patient, as a FHIR R4 Bundle: `cds hooks sandbox` plays that EHR."""
    who = {"reference": f"Patient/{FHIR_ID}"}
    measured = (cast.now - timedelta(days=40)).date().isoformat()
    visit = {"resourceType": "Encounter", "id": "demo-visit", "status": "in-progress", "subject": who}
    creatinine = {
        "resourceType": "Observation",
        "id": "demo-creatinine",
        "status": "final",
        "subject": who,
        "code": {"coding": [{"system": LOINC, "code": "2160-0", "display": "Creatinine"}]},
        "effectiveDateTime": measured,
        "valueQuantity": {"value": 0.9, "unit": "mg/dL", "system": UCUM, "code": "mg/dL"},
    }
    density = {
        "resourceType": "DiagnosticReport",
        "id": "demo-bone-density",
        "status": "final",
        "subject": who,
        "code": {
            "coding": [{"system": LOINC, "code": "38268-9", "display": "DXA Skeletal system Views for bone density"}]
        },
        "effectiveDateTime": (cast.now - timedelta(days=12)).date().isoformat(),
    }
    entries = [{"resource": one} for one in (patient_resource(cast), visit, creatinine, density)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _adt(cast: Cast) -> bytes:
    return _message(cast, "ADT^A04^ADT_A01", "1", [f"EVN|A04|{cast.stamp}", _pid(cast), "PV1|1|O"])


def _oru(cast: Cast) -> bytes:
    when = (cast.now - timedelta(days=40)).strftime("%Y%m%d")
    quit_date = f"{cast.now.year - 6}0915"
    return _message(
        cast,
        "ORU^R01^ORU_R01",
        "2",
        [
            _pid(cast),
            f"OBR|1||LAB-{cast.accession_number}|SOCHX^Social history and labs^L|||{when}|||||||||||||||{when}||LAB|F",
            f"OBX|1|CWE|72166-2^Tobacco smoking status^LN||8517006^Former smoker^SCT||||||F|||{when}",
            f"OBX|2|NM|401201003^Cigarette pack-years^SCT||35|{{pack-years}}^^UCUM|||||F|||{when}",
            f"OBX|3|DT|74010-0^Date quit tobacco smoking^LN||{quit_date}||||||F|||{when}",
            f"OBX|4|NM|2160-0^Creatinine^LN||0.9|mg/dL^^UCUM|0.5-1.1||||F|||{when}",
        ],
    )


def _orm(cast: Cast) -> bytes:
    number = cast.accession_number
    ordered = cast.ordered_at.strftime("%Y%m%d%H%M%S+0000")
    return _message(
        cast,
        "ORM^O01^ORM_O01",
        "3",
        [
            _pid(cast),
            "PV1|1|O",
            f"ORC|NW|P{number}^EHR|F{number}^RIS||||||{ordered}|||77^Ordering^Olga",
            f"OBR|1|P{number}^EHR|F{number}^RIS|24627-2^Chest CT^LN|||{ordered}|||||||||77^Ordering^Olga||{number}"
            "||||||CT|||1^^^^^R",
            "TQ1|1||||||||R",
            "DG1|1||Z87.891^Personal history of nicotine dependence^I10C||",
        ],
    )


def _pid(cast: Cast) -> str:
    born = cast.birth_date.strftime("%Y%m%d")
    return f"PID|1||{cast.mrn}^^^{cast.authority}^MR||{cast.family}^{cast.given}||{born}|{cast.sex}"


def _message(cast: Cast, kind: str, ordinal: str, segments: list[str]) -> bytes:
    control_id = f"{cast.accession_number}-{ordinal}"
    header = f"MSH|^~\\&|DEMO-EHR|DEMO|SIGHTLINE|DEMO|{cast.stamp}||{kind}|{control_id}|P|2.5.1||||||UNICODE UTF-8"
    return ("\r".join([header, *segments]) + "\r").encode()
