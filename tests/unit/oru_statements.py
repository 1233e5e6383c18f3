"""FHIR resources cut into statements, and an ORU^R01 asked whether it makes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.hl7.message import Message, Segment
from adapters.hl7.timestamp import moment

Json = dict[str, Any]

_SYSTEMS = {
    "http://loinc.org": "LN",
    "http://snomed.info/sct": "SCT",
    "http://dicom.nema.org/resources/ontology/DCM": "DCM",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationValue": "99V3OBSVALUE",
}
#: Codes of ours that a receiver of HL7 v2 knows by another name.
_OWN_CODES = {"ai-analysis": "AI-ANALYSIS", "threshold": "AI-THRESHOLD", "measured": "AI-MEASURED"}
#: How FHIR and HL7 v2 begin the same remark.
_PREFIXES = re.compile(r"^(Checked|Limit|Not evaluated|Input|Not known):? ")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Coded:
    """A code and its system."""

    system: str
    code: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and its UCUM code."""

    value: float
    unit: str


Statement = Coded | Measured | str | bool | float


def statements(body: Json) -> Iterator[tuple[str, Statement]]:
    """Every leaf of a resource with its path; codings and quantities are leaves."""
    yield from _walk(body["resourceType"], body)


def _walk(path: str, value: Any) -> Iterator[tuple[str, Statement]]:
    if isinstance(value, list):
        for item in value:
            yield from _walk(path, item)
    elif not isinstance(value, dict):
        yield path, value
    elif "code" in value and "system" in value and "value" in value:
        yield path, Measured(float(value["value"]), value["code"])
    elif isinstance(value.get("code"), str) and "system" in value:
        yield path, Coded(value["system"], value["code"])
        yield from _walk(f"{path}.display", value.get("display", []))
    else:
        for name, item in value.items():
            yield from _walk(f"{path}.{name}", item)


class Oru:
    """What an ORU^R01 says: codes, measurements, moments, and texts."""

    def __init__(self, block: bytes) -> None:
        self.message = Message(block)
        observations = self.message.all("OBX")
        fields = [value for segment in self.message for number in range(1, 50) for value in segment.values(number)]
        self.codes = {(value.text(1), value.text(3)) for value in fields}
        self.measured = {(float(o.text(5)), o.text(6)) for o in observations if o.raw(2) == "NM"}
        self.numbers = {value for value, _ in self.measured}
        self.text = "\n".join(filter(None, (value.whole() for value in fields))).casefold()
        self.words = " ".join(self.text.replace("^", " ").split())
        self.moments = set(self._moments())

    def says(self, statement: Statement) -> bool:
        """True where the same is said somewhere in it."""
        if isinstance(statement, Coded):
            system = _SYSTEMS.get(statement.system, "99SIGHTLINE")
            return (_OWN_CODES.get(statement.code, statement.code), system) in self.codes
        if isinstance(statement, Measured):
            return (statement.value, statement.unit) in self.measured
        if isinstance(statement, str):
            return self._says_text(statement)
        return float(statement) in self.numbers

    def _says_text(self, text: str) -> bool:
        said = _PREFIXES.sub("", text).rstrip(".").casefold()
        if said in self.text or " ".join(said.split()) in self.words or text.removeprefix("urn:oid:") in self.text:
            return True
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            return False
        if _DATE.fullmatch(text):
            return text.replace("-", "") in self.moments
        return when in self.moments or when.astimezone(UTC).strftime("%Y-%m-%d %H:%M utc") in self.text

    def _moments(self) -> Iterator[datetime | str]:
        segments: list[tuple[Segment, tuple[int, ...]]] = [
            (segment, {"OBX": (14, 19), "OBR": (7, 22), "PID": (7,)}.get(segment.name, ())) for segment in self.message
        ]
        for segment, numbers in segments:
            for text in filter(None, (segment.text(number) for number in numbers)):
                yield moment(text, UTC) if len(text) > 8 else text
