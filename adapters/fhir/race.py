"""Race and ethnicity of a Patient, as US Core extends it (StructureDefinition us-core-race and us-core-ethnicity)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adapters.fhir.tolerant import items, obj, text
from cds import race
from cds.domain.message import RecordValue

_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_RACE, _ETHNICITY = f"{_US_CORE}us-core-race", f"{_US_CORE}us-core-ethnicity"


def read_race(patient: Mapping[str, object]) -> RecordValue | None:
    """What a Patient states, by its OMB categories: the detailed codes and the text are of no published score."""
    return race.statement(f"Patient/{text(patient.get('id'))}#race", _categories(patient))


def _categories(patient: Mapping[str, object]) -> Iterator[str]:
    for extension in items(patient.get("extension")):
        url = text(extension.get("url"))
        for part in items(extension.get("extension")) if url in (_RACE, _ETHNICITY) else ():
            code = text(obj(part.get("valueCoding")).get("code"))
            if text(part.get("url")) == "ombCategory" and (url == _RACE or code in race.KNOWN):
                yield code
