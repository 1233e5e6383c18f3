"""An EHR over real sockets: resources that it searches as R4 says, what it can do, and its faults by type."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.fhir.asking import MOST_RESOURCES
from adapters.fhir.client import open_client
from adapters.fhir.ehr import EhrSource
from adapters.fhir.keys import SmartKeys
from cds import pathways
from cds.codes import LOINC, SNOMED, ValueSet
from cds.fhir_peers import FhirSource
from tests.contract.fhir_wire import Asked, FhirWire, Reply, capability_statement, outcome, serving
from tests.unit.clinical import StillClock

Json = dict[str, Any]
SYSTEM = "https://hospital.example/mrn"
SYSTEMS = {SYSTEM: "HOSPITAL"}
#: What an EHR usually lets its resources be searched by.
PARAMETERS = {
    "Patient": ("identifier",),
    "Observation": ("patient", "code", "date"),
    "Condition": ("patient", "code"),
    "Procedure": ("patient", "code"),
    "DiagnosticReport": ("patient", "code"),
    "ServiceRequest": ("patient", "code"),
    "AllergyIntolerance": ("patient",),
    "MedicationRequest": ("patient",),
    "MedicationStatement": ("patient",),
    "Immunization": ("patient",),
    "FamilyMemberHistory": ("patient",),
}


def code(value: str, system: str = SNOMED, display: str = "") -> Json:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": value, **({"display": display} if display else {})}]}


def person(patient_id: str = "p1", number: str = "4711", **members: Any) -> Json:
    """The patient of `tests.unit.clinical`, as the EHR has her."""
    identifier = [{"system": SYSTEM, "value": number}]
    who: Json = {"resourceType": "Patient", "id": patient_id, "birthDate": "1963-05-01", "gender": "female"}
    return {**who, "identifier": identifier, **members}


def resource(kind: str, name: str, what: Json, **members: Any) -> Json:
    """A resource of that patient, of a status that stands."""
    subject = "patient" if kind in ("AllergyIntolerance", "FamilyMemberHistory", "Immunization") else "subject"
    status = {"Observation": "final", "DiagnosticReport": "final", "Procedure": "completed", "ServiceRequest": "active"}
    return {
        "resourceType": kind,
        "id": name,
        "code": what,
        subject: {"reference": "Patient/p1"},
        **({"status": status[kind]} if kind in status else {}),
        **members,
    }


SMOKES = resource(
    "Observation",
    "smoking",
    code("72166-2", LOINC),
    valueCodeableConcept=code("449868002"),
    effectiveDateTime="2026-10-01",
)
#: US Core 7.0.0, Observation pack-years-example: its code, and a quantity of {pack-years}.
PACK_YEARS = resource(
    "Observation",
    "packs",
    code("401201003"),
    valueQuantity={"value": 38, "unit": "Pack years", "system": "http://unitsofmeasure.org", "code": "{pack-years}"},
    effectiveDateTime="2026-10-01",
)


@dataclass
class Ehr:
    """What the EHR holds. `faults` answers instead of it, by the type that is searched or "metadata"."""

    resources: list[Json] = field(default_factory=lambda: [person(), SMOKES, PACK_YEARS])
    page: int = 50
    parameters: Mapping[str, Sequence[str]] = field(default_factory=lambda: PARAMETERS)
    faults: dict[str, Callable[[Asked], Reply]] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    #: It finds nothing under a patient's bare id.
    typed: bool = False

    def answer(self, asked: Asked) -> Reply:
        """One request."""
        _, _, *parts = asked.path.split("/")
        kind = parts[0]
        if kind in self.faults:
            return self.faults[kind](asked)
        if kind == "metadata":
            return Reply(body=self._capability())
        if parts[1:] == ["_search"]:
            return self._search(kind, asked.form, 0, asked)
        if len(parts) == 1:  # a next page
            params = dict(asked.query)
            rest = [(name, value) for name, value in asked.query if name != "_page"]
            return self._search(kind, rest, int(params["_page"]), asked)
        found = [one for one in self.resources if (one["resourceType"], one["id"]) == (kind, parts[1])]
        return Reply(body=found[0]) if found else Reply(404, outcome("not-found"))

    def _capability(self) -> Json:
        return capability_statement(
            *(
                {
                    "type": kind,
                    "interaction": [{"code": "search-type"}, {"code": "read"}],
                    "searchParam": [{"name": name, "type": "token"} for name in names],
                }
                for kind, names in self.parameters.items()
            )
        )

    def _search(self, kind: str, params: list[tuple[str, str]], page: int, asked: Asked) -> Reply:
        if refused := self.refused & {name for name, _ in params}:
            return Reply(400, outcome("not-supported", *sorted(refused)[1:]))
        found = [
            one
            for one in self.resources
            if one["resourceType"] == kind and _matches(one, dict(params), typed=self.typed)
        ]
        if dict(params).get("_sort") == "-date":
            found.sort(key=lambda one: one.get("effectiveDateTime", ""), reverse=True)
        shown = found[page * self.page : (page + 1) * self.page]
        entries = [{"resource": one, "search": {"mode": "match"}} for one in shown]
        if dict(params).get("_include"):
            named = {one.get("medicationReference", {}).get("reference") for one in shown}
            entries += [
                {"resource": one, "search": {"mode": "include"}}
                for one in self.resources
                if f"{one['resourceType']}/{one['id']}" in named
            ]
        bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}
        if len(found) > (page + 1) * self.page:
            query = "&".join(f"{name}={value.replace('|', '%7C')}" for name, value in params)
            host = asked.headers["Host"]
            url = f"http://{host}/fhir/{kind}?{query}&_page={page + 1}"
            bundle["link"] = [{"relation": "next", "url": url}]
        return Reply(body=bundle)


def _matches(one: Json, params: Mapping[str, str], *, typed: bool) -> bool:
    whose = one.get("subject", one.get("patient", {})).get("reference", "")
    wanted = params.get("patient", params.get("subject", whose))
    named = _codes(one)
    both = named.union(*map(_codes, one.get("component", ())))
    numbers = {f"{i.get('system')}|{i.get('value')}" for i in one.get("identifier", [])}
    by_code = "code" not in params or bool(named & set(params["code"].split(",")))
    by_code &= "combo-code" not in params or bool(both & set(params["combo-code"].split(",")))
    by_number = "identifier" not in params or bool(numbers & set(params["identifier"].split(",")))
    return by_code and by_number and (whose == wanted or (not typed and whose == f"Patient/{wanted}"))


def _codes(element: Json) -> set[str]:
    """The codes of a resource or component as tokens."""
    return {f"{coding.get('system')}|{coding['code']}" for coding in element.get("code", {}).get("coding", ())}


@contextlib.contextmanager
def source(
    ehr: Ehr,
    *,
    asks: Sequence[ValueSet] | None = None,
    name: str = "ehr",
    rest_s: float = 0.0,
    most: int = MOST_RESOURCES,
    **server: Any,
) -> Iterator[tuple[EhrSource, FhirWire]]:
    """The EHR as a source of the record, asked for what the installed pathways want."""
    with serving(ehr.answer) as wire:
        table = FhirSource(url=wire.url, **({"timeout_s": 5.0} | server))
        found = EhrSource(
            open_client(name, table, SmartKeys(()), sleep=lambda _: None),
            table,
            identifier_systems=SYSTEMS,
            asks=pathways.asked() if asks is None else asks,
            clock=StillClock(),
            rest_s=rest_s,
            most=most,
        )
        try:
            yield found, wire
        finally:
            found.close()
