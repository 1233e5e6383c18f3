"""`cds check` asks FHIR servers, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cds.bootstrap.fhir_check import destination_check, fhir_checks, source_check
from cds.settings import Settings
from tests.contract.certificates import signing_key
from tests.contract.fhir_wire import Answering, Asked, Reply, capability_statement, outcome, searchset, serving
from tests.e2e import site as e2e
from tests.e2e.site import free_port

RECORD = (
    "AllergyIntolerance", "Condition", "DiagnosticReport", "FamilyMemberHistory", "MedicationRequest", "Observation",
    "Procedure", "ServiceRequest",
)  # fmt: skip
RESULT = ("DiagnosticReport", "Observation", "RiskAssessment", "Device", "Provenance")


def readable(name: str, *params: str) -> dict[str, Any]:
    """A type that can be searched."""
    interactions = [{"code": "read"}, {"code": "search-type"}]
    return {"type": name, "interaction": interactions, "searchParam": [{"name": one} for one in params]}


def writable(name: str, **members: Any) -> dict[str, Any]:
    """A type that can be created, updated, read and found again."""
    interactions = [{"code": code} for code in ("create", "update", "read", "search-type")]
    params = [{"name": "_tag" if name == "Provenance" else "identifier"}]
    conditions = {"conditionalCreate": True, "conditionalUpdate": True}
    return {"type": name, "interaction": interactions, "searchParam": params, **conditions, **members}


EHR = (
    readable("Patient", "identifier"),
    readable("ImagingStudy", "_lastUpdated"),
    *(readable(name, "patient", "_lastUpdated") for name in RECORD),
)


def ehr(statement: Mapping[str, Any], refusal: Reply | None = None) -> Answering:
    """A server with a CapabilityStatement, which answers everything else as `refusal`, else with nothing found."""

    def answer(asked: Asked) -> Reply:
        if asked.path == "/fhir/metadata":
            return Reply(body=statement)
        return refusal or Reply(body=searchset())

    return answer


def site(folder: Path, **tables: Any) -> Settings:
    return Settings(data_dir=folder, **{"identifier_systems": {"urn:mrn": "SITE"}, **tables})


def test_an_ehr_that_has_what_we_want_is_fine_and_is_asked_for_nobody(tmp_path: Path) -> None:
    with serving(ehr(capability_statement(*EHR))) as wire:
        check = source_check(site(tmp_path, fhir_sources={"ehr": {"url": wire.url}}), "ehr")
        assert wire.paths == ["GET /fhir/metadata", "POST /fhir/Patient/_search"]
        assert [name for name, _ in wire.asked[1].form] == ["_id"]
    assert (check.name, check.ok, check.detail) == ("FHIR source ehr", True, "answers as Wire 1, FHIR 4.0.1")


def test_what_an_ehr_cannot_do_is_named_and_fails_only_where_nothing_works_without_it(tmp_path: Path) -> None:
    some = [one for one in EHR if one["type"] not in ("FamilyMemberHistory", "ImagingStudy")]
    said = capability_statement(*some, readable("ImagingStudy"))
    with serving(ehr(said)) as wire:
        source = {"url": wire.url, "events": "subscription"}
        check = source_check(site(tmp_path, fhir_sources={"ehr": source}), "ehr")
    assert check.ok
    without = "does without FamilyMemberHistory by patient, ImagingStudy by _lastUpdated, Subscription (it is polled)"
    assert check.detail == f"answers as Wire 1, FHIR 4.0.1; {without}"
    with serving(ehr(capability_statement(readable("Patient")))) as wire:
        check = source_check(site(tmp_path, fhir_sources={"ehr": {"url": wire.url}}), "ehr")
    assert not check.ok
    assert check.detail.endswith("lacks Patient by identifier, ImagingStudy, DiagnosticReport")
    assert "CDS_FHIR_SOURCES" in check.how_to_fix


def test_a_server_of_another_version_is_not_ours(tmp_path: Path) -> None:
    for version in ("5.0.0", "3.0.2", "4.3.0", None, "\x1b[31m"):
        with serving(ehr(capability_statement(*EHR) | {"fhirVersion": version})) as wire:
            check = source_check(site(tmp_path, fhir_sources={"ehr": {"url": wire.url}}), "ehr")
        assert not check.ok
        assert "want 4.0.1" in check.detail
        assert check.detail.isprintable()


@pytest.mark.parametrize(("status", "how"), [(401, "token_file"), (403, "scopes"), (405, 'search = "get"')])
def test_a_server_that_shows_itself_and_does_not_let_us_in_is_told_apart(status: int, how: str, tmp_path: Path) -> None:
    with serving(ehr(capability_statement(*EHR), Reply(status, outcome("forbidden")))) as wire:
        check = source_check(site(tmp_path, fhir_sources={"ehr": {"url": wire.url}}), "ehr")
    assert not check.ok
    assert str(status) in check.detail
    assert how in check.how_to_fix


def test_a_server_without_search_is_read_for_nobody(tmp_path: Path) -> None:
    only_read = {"type": "Patient", "interaction": [{"code": "read"}]}
    statement = capability_statement(
        only_read, *(writable(name) for name in RESULT), interaction=[{"code": "transaction"}]
    )
    with serving(ehr(statement, Reply(404))) as wire:
        settings = site(tmp_path, fhir_destinations={"ehr": {"url": wire.url}})
        assert destination_check(settings, "ehr").ok
        assert wire.asked[1].path.startswith("/fhir/Patient/")
    with serving(ehr(statement, Reply(401))) as wire:
        settings = site(tmp_path, fhir_destinations={"ehr": {"url": wire.url}})
        assert not destination_check(settings, "ehr").ok


def test_a_destination_that_takes_all_is_fine_and_nothing_is_written(tmp_path: Path) -> None:
    statement = capability_statement(*(writable(name) for name in RESULT), interaction=[{"code": "transaction"}])
    with serving(ehr(statement)) as wire:
        check = destination_check(site(tmp_path, fhir_destinations={"ehr": {"url": wire.url}}), "ehr")
        assert wire.paths == ["GET /fhir/metadata"]
    assert (check.name, check.ok, check.detail) == ("destination ehr", True, "answers as Wire 1, FHIR 4.0.1")


def test_a_destination_that_takes_no_reports_wants_oru_or_is_of_no_use(tmp_path: Path) -> None:
    unchangeable = {"type": "DiagnosticReport", "interaction": [{"code": "create"}]}
    with serving(ehr(capability_statement(writable("Observation"), unchangeable))) as wire:
        check = destination_check(site(tmp_path, fhir_destinations={"ehr": {"url": wire.url}}), "ehr")
        lacks = "lacks a way to DiagnosticReport (create, update, search by identifier)"
        assert (check.ok, check.detail.partition("; ")[2]) == (False, f"its CapabilityStatement {lacks}")
        hl7 = {"host": "127.0.0.1", "port": free_port()}
        check = destination_check(site(tmp_path, fhir_destinations={"ehr": {"url": wire.url, "hl7": hl7}}), "ehr")
    assert (check.ok, check.detail.partition("; ")[2]) == (
        True,
        "does without DiagnosticReport, so that it all goes by HL7 v2",
    )


def test_what_a_destination_leaves_out_of_a_report_is_named(tmp_path: Path) -> None:
    plain = {"conditionalCreate": False, "conditionalUpdate": False}
    with serving(ehr(capability_statement(writable("DiagnosticReport", **plain), writable("Observation")))) as wire:
        check = destination_check(site(tmp_path, fhir_destinations={"ehr": {"url": wire.url}}), "ehr")
    without = "transaction, RiskAssessment, Device, Provenance, conditions for DiagnosticReport"
    assert (check.ok, check.detail.partition("; ")[2]) == (True, f"does without {without}")


def test_every_server_of_the_settings_is_asked_and_one_that_nobody_runs_is_told_with_what_to_do(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/fhir"
    route = {"recipient": "on call", "channel": "fhir", "fhir": {"url": url, "timeout_s": 0.3}}
    settings = site(
        tmp_path,
        fhir_sources={"ehr": {"url": url, "timeout_s": 0.3}},
        fhir_destinations={"store": {"url": url, "timeout_s": 0.3}},
        critical_routes={"night": route},
        critical_route="night",
    )
    found = [check() for check in fhir_checks(settings)]
    assert [check.name for check in found] == ["FHIR source ehr", "destination store", "critical route night"]
    for check in found:
        assert not check.ok
        assert "ConnectError" in check.detail
        assert check.how_to_fix.startswith("start it")


def test_a_critical_route_wants_communications(tmp_path: Path) -> None:
    for kinds, ok in (([writable("Communication")], True), ([writable("DiagnosticReport")], False)):
        with serving(ehr(capability_statement(*kinds, interaction=[{"code": "transaction"}]))) as wire:
            route = {"recipient": "on call", "channel": "fhir", "fhir": {"url": wire.url}}
            settings = site(tmp_path, critical_routes={"night": route}, critical_route="night")
            (check,) = (one() for one in fhir_checks(settings))
        assert (check.ok, "Communication" in check.detail) == (ok, not ok)


def test_a_server_that_does_not_know_our_keys_is_to_be_told_where_they_are(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(b"no key")
    with serving(lambda asked: Reply(401, {"error": "invalid_client"})) as wire:
        source = {"url": wire.url, "client_id": "x", "token_url": f"{wire.root}/token"}
        settings = site(
            tmp_path, fhir_sources={"ehr": source}, smart_key_files=(key,), base_url="https://sightline.example"
        )
        broken = source_check(settings, "ehr")
        assert "CDS_SMART_KEY_FILES" in broken.how_to_fix
        key.write_bytes(signing_key())
        check = source_check(settings, "ehr")
    assert (check.ok, "invalid_client" in check.detail) == (False, True)
    assert "https://sightline.example/.well-known/jwks.json" in check.how_to_fix


def test_a_file_that_holds_no_key_is_told_before_any_role_is_started(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(b"no key")
    ended = e2e.site(tmp_path / "site", CDS_SMART_KEY_FILES=json.dumps([str(key)])).cds("serve")
    assert ended.returncode == 2
    assert f"CDS_SMART_KEY_FILES: {key}: want a PEM private key" in ended.stderr
    assert "role started" not in ended.stderr


def test_a_source_of_which_no_patient_can_be_known_says_so(tmp_path: Path) -> None:
    with serving(ehr(capability_statement(*EHR))) as wire:
        check = source_check(site(tmp_path, fhir_sources={"ehr": {"url": wire.url}}, identifier_systems={}), "ehr")
    assert check.ok
    assert check.detail.endswith("; CDS_IDENTIFIER_SYSTEMS is empty, so that no patient of it is known here")
