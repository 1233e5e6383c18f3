"""Writes the tables of docs/fhir-conformance.md that the code decides: `.venv/bin/python docs/fhir_tables.py`.

A test holds the file to `rendered`, so that neither can change alone. They come from what /fhir/metadata says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from adapters.fhir.capability import INTERACTIONS, TAKEN, TAKEN_TOGETHER, included, reverse_included
from adapters.fhir.controls import sortable
from adapters.fhir.criteria import MODIFIERS
from adapters.fhir.parameters import COMMON, PARAMETERS, Parameter, canonical
from adapters.fhir.scopes import needed
from cds import codes, value_sets
from cds.destinations import FhirDestination
from cds.fhir_peers import FhirSource

CONFORMANCE = Path(__file__).with_name("fhir-conformance.md")

_SYSTEMS = {
    codes.SNOMED: "SNOMED CT",
    codes.LOINC: "LOINC",
    codes.ICD10: "ICD-10",
    codes.ICD10_CM: "ICD-10-CM",
    codes.CPT: "CPT",
    value_sets.ATC: "ATC",
    value_sets.RXNORM: "RxNorm",
    codes.SIGHTLINE_ACTION: "Sightline",
}
_URL = "https://ehr.example/fhir"
#: A server in each of the parts that it may have for us.
_PARTS = (
    ("patients' data", FhirSource(url=_URL, events="none")),
    ("news", FhirSource(url=_URL, ehr_data=False, events="subscription")),
    ("results", FhirDestination(url=_URL)),
)


def rendered(text: str) -> str:
    """The document with its tables as the code has them now."""
    tables = (
        ("types", _table(("resource", "interactions", "_include", "_revinclude", "_sort"), _types())),
        ("common", _table(("parameter", "type", "for"), _common())),
        ("parameters", _table(("resource", "parameter", "type", "for", "modifiers", "defined in R4"), _parameters())),
        ("modifiers", _table(("type", "modifiers"), _modifiers())),
        ("taken", _table(("resource", "interactions", "what becomes of it"), _taken())),
        ("client", _table(("resource", *(part for part, _ in _PARTS)), _client())),
        ("asked", _table(("what", "kind", "unit", "codes"), _asked())),
    )
    for name, table in tables:
        pattern = rf"(<!-- table: {name} -->\n).*?(\n<!-- end -->)"
        text, found = re.subn(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"want one table {name} between its marks, found {found}")
    return text


def _types() -> Iterable[tuple[str, ...]]:
    for name in PARAMETERS:
        operation = ("$everything",) if name == "Patient" else ()
        yield (
            name,
            ", ".join((*INTERACTIONS, *operation)),
            _names(one.partition(":")[2] for one in included(name)),
            _names(reverse_included(name)),
            _names(one for one in sortable(name) if one not in ("_id", "_lastUpdated")),
        )


def _common() -> Iterable[tuple[str, ...]]:
    return ((f"`{one.name}`", one.type, one.documentation) for one in COMMON)


def _parameters() -> Iterable[tuple[str, ...]]:
    for name, table in PARAMETERS.items():
        for one in table.values():
            if one not in COMMON:
                defined = canonical(name, one).rpartition("/")[2]
                yield name, f"`{one.name}`", one.type, one.documentation, _modified(one), defined


def _modified(parameter: Parameter) -> str:
    return "" if parameter.of_patient else _names((*MODIFIERS[parameter.type], *parameter.targets))


def _modifiers() -> Iterable[tuple[str, ...]]:
    return ((kind, _names(modifiers)) for kind, modifiers in MODIFIERS.items())


def _taken() -> Iterable[tuple[str, ...]]:
    for name, taken in TAKEN.items():
        yield name, ", ".join(taken.interactions), taken.documentation
    for interaction, said in TAKEN_TOGETHER.items():
        yield "Bundle", interaction, said


def _client() -> Iterable[tuple[str, ...]]:
    wanted = [dict(scope.removeprefix("system/").split(".") for scope in needed(s).split()) for _, s in _PARTS]
    for name in sorted({name for scopes in wanted for name in scopes}):
        yield name, *(scopes.get(name, "") for scopes in wanted)


def _asked() -> Iterable[tuple[str, ...]]:
    for one in sorted(codes.loaded().values(), key=lambda found: (found.kind, found.title)):
        listed = (f"{_SYSTEMS[e.coding.system]} {e.coding.code}{'…' if e.prefix else ''}" for e in one.entries)
        yield one.title, one.kind, f"`{one.unit}`" if one.unit else "", ", ".join(listed)


def _names(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    written = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join([*lines, *(f"| {row} |" for row in written)])


if __name__ == "__main__":
    CONFORMANCE.write_text(rendered(CONFORMANCE.read_text()))
