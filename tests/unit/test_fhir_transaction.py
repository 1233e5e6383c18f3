"""A report as a transaction for another FHIR server: conditional, self-contained, and never about its Patient."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fhir.resources.R4B.bundle import Bundle

from adapters.fhir.client import open_client
from adapters.fhir.keys import SmartKeys
from adapters.fhir.sink import FhirSink
from cds.destinations import FhirDestination
from cds.domain.matching import Match, MatchState
from cds.domain.report import Audience, Report
from cds.domain.verification import Verdict
from cds.errors import InvalidInput
from tests.unit.clinical import StillClock
from tests.unit.fhir_samples import (
    DENSITY,
    LAA,
    ORDER,
    PATIENT,
    PATIENT_ID,
    PUBLIC_ID,
    SYSTEMS,
    UNMATCHED,
    emitted,
    report,
)
from tests.unit.opinions import verified

AT = datetime(2026, 3, 7, 8, 0, tzinfo=UTC)
RESULTS = ("Unmistakable", "12.5", "955", "Spirometry", "2.5 %", "thickness", "pack-years")


def sink(processing: str = "P") -> FhirSink:
    """A sink that nobody listens to: what it encodes is looked at."""
    to = FhirDestination.model_validate({"url": "http://127.0.0.1:1/fhir", "processing": processing})
    client = open_client("ehr", to, SmartKeys(()))
    return FhirSink(
        "ehr", to, client=client, identifier_systems=SYSTEMS, site_name="Sample Hospital", clock=StillClock(AT)
    )


def encoded(said: Report, earlier: Report | None = None) -> dict[str, Any]:
    """The Bundle of a report."""
    bundle: dict[str, Any] = json.loads(sink().encode(said, "delivery-1", earlier))
    return bundle


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The resources of one type in a Bundle."""
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def references(value: object) -> Iterator[str]:
    """Every literal reference."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


SAID = verified(report(version=2), Verdict.CONFIRMED)


class TestEncode:
    """One transaction per version."""

    def test_it_is_a_valid_transaction_that_names_its_delivery(self) -> None:
        bundle = encoded(SAID)
        Bundle.model_validate(bundle)
        assert bundle["type"] == "transaction"
        assert bundle["identifier"] == {"system": "urn:sightline:delivery-id", "value": "delivery-1"}
        assert sink().encode(SAID, "delivery-1") == sink().encode(SAID, "delivery-1")

    def test_every_entry_is_a_conditional_update_by_an_identifier_or_tag_that_the_resource_has(self) -> None:
        seen = set()
        for entry in encoded(SAID)["entry"]:
            body, request = entry["resource"], entry["request"]
            url = urlsplit(request["url"])
            [(name, [token])] = parse_qs(url.query).items()
            system, value = token.split("|")
            assert (request["method"], url.path) == ("PUT", body["resourceType"])
            if name == "_tag":
                assert {"system": system, "code": value} in body["meta"]["tag"]
            else:
                assert (name, {"system": system, "value": value}) == ("identifier", body["identifier"][0])
            assert "id" not in body
            seen.add(request["url"])
        assert len(seen) == len(encoded(SAID)["entry"])
        assert f"DiagnosticReport?identifier=urn:sightline:report%7C{PUBLIC_ID}" in seen

    @pytest.mark.parametrize("said", [report(), SAID], ids=["first version", "second version"])
    def test_references_stay_inside_and_name_no_version_of_ours(self, said: Report) -> None:
        bundle = encoded(said)
        assert all("reference" in target for body in resources(bundle, "Provenance") for target in body["target"])
        inside = {entry["fullUrl"] for entry in bundle["entry"]}
        found = set(references([entry["resource"] for entry in bundle["entry"]]))
        assert found <= inside
        assert len(found) >= 5

    def test_the_servers_patient_is_never_written_and_is_named_by_a_number_that_it_knows(self) -> None:
        bundle = encoded(report())
        assert resources(bundle, "Patient") == []
        subjects = [e["resource"]["subject"] for e in bundle["entry"] if "subject" in e["resource"]]
        assert len(subjects) == 4
        assert all(
            subject
            == {
                "type": "Patient",
                "identifier": {
                    "system": "https://hospital.example/mrn",
                    "value": "12345",
                    "assigner": {"display": "HOSPITAL"},
                },
            }
            for subject in subjects
        )
        assert PATIENT_ID not in json.dumps(bundle)

    def test_a_number_whose_system_is_configured_goes_before_the_one_that_the_order_came_under(self) -> None:
        other = replace(ORDER, patient=PATIENT.identifiers[1])
        [main] = resources(encoded(replace(report(), order=other)), "DiagnosticReport")
        assert main["subject"]["identifier"]["value"] == "12345"

    def test_a_patient_without_any_number_is_not_sent(self) -> None:
        with pytest.raises(InvalidInput):
            encoded(report(patient=replace(PATIENT, identifiers=())))

    def test_images_of_nobody_name_nobody(self) -> None:
        [main] = resources(encoded(report(match=UNMATCHED, advice=())), "DiagnosticReport")
        assert main["subject"]["extension"][0]["valueCode"] == "unknown"

    def test_a_cancelled_order_is_not_named_and_its_patient_is(self) -> None:
        cancelled = Match(MatchState.DETACHED, ("the order was cancelled",), None, PATIENT_ID)
        [main] = resources(encoded(report(match=cancelled, advice=())), "DiagnosticReport")
        assert main["subject"]["identifier"]["value"] == "12345"
        assert "basedOn" not in main

    def test_another_episode_shares_nothing_but_the_device(self) -> None:
        first, second = encoded(report()), encoded(replace(report(), episode=2))
        both = {e["request"]["url"] for e in first["entry"]} & {e["request"]["url"] for e in second["entry"]}
        assert {url.partition("?")[0] for url in both} == {"Device"}


class TestTestResults:
    """MSH-11 T and D (SAFETY section 3)."""

    def test_they_are_labelled_and_go_to_test_destinations_alone(self) -> None:
        ours = replace(PATIENT, identifiers=tuple(i.in_test() for i in PATIENT.identifiers))
        said = replace(report(patient=ours), test=True)
        bundle = json.loads(sink("T").encode(said, "d"))
        for entry in bundle["entry"]:
            assert "HTEST" in [label["code"] for label in entry["resource"]["meta"]["security"]]
        [main] = resources(bundle, "DiagnosticReport")
        assert main["subject"]["identifier"]["system"] == "https://hospital.example/mrn"
        assert "AIAST" in [label["code"] for label in main["meta"]["security"]]
        with pytest.raises(InvalidInput):
            sink().encode(said, "d")
        with pytest.raises(InvalidInput):
            sink("T").retract(report(), "d", "void")

    def test_a_sink_says_whose_eyes_it_has_and_whether_it_is_for_production(self, tmp_path: Path) -> None:
        assert (sink().name, sink().audience, sink().production, sink().made(b"")) == ("ehr", Audience.EHR, True, ())
        assert not sink("D").production


class TestRetract:
    """The same resources, none of their content (R4: entered-in-error)."""

    def retracted(self) -> dict[str, Any]:
        bundle: dict[str, Any] = json.loads(sink().retract(report(), "delivery-2", "it was of another patient"))
        return bundle

    def test_everything_that_has_a_status_is_entered_in_error_under_the_same_condition(self) -> None:
        gone, told = self.retracted(), encoded(report())
        Bundle.model_validate(gone)
        by_url = {e["request"]["url"]: e["resource"] for e in gone["entry"]}
        stated = [
            e["request"]["url"]
            for e in told["entry"]
            if "status" in e["resource"] and "Device?" not in e["request"]["url"]
        ]
        assert len(stated) == 5
        assert {by_url[url]["status"] for url in stated} == {"entered-in-error"}

    def test_no_result_is_said_again_and_the_reason_is(self) -> None:
        text = json.dumps(self.retracted())
        assert not [word for word in RESULTS if word in text]
        [main] = resources(self.retracted(), "DiagnosticReport")
        assert main["conclusion"] == "Withdrawn: it was of another patient."
        assert main["issued"] == "2026-03-07T08:00:00Z"
        assert "basedOn" not in main
        for kind in ("Observation", "RiskAssessment"):
            for body in resources(self.retracted(), kind):
                assert [n["text"] for n in body["note"]] == ["Withdrawn: it was of another patient."]
                assert not [name for name in body if name.startswith(("value", "prediction", "component", "device"))]

    def test_the_patient_of_the_wrong_report_is_named_and_a_provenance_tells_when_and_why(self) -> None:
        gone = self.retracted()
        [main] = resources(gone, "DiagnosticReport")
        [why] = resources(gone, "Provenance")
        assert main["subject"]["identifier"]["value"] == "12345"
        assert (why["recorded"], why["reason"][0]["text"]) == ("2026-03-07T08:00:00Z", "it was of another patient")
        assert len(why["target"]) == 5
        assert set(references([e["resource"] for e in gone["entry"]])) <= {e["fullUrl"] for e in gone["entry"]}


class TestEarlier:
    """What a later version does not say any more does not stand at the destination either."""

    def test_an_observation_that_is_gone_is_entered_in_error_in_the_same_transaction(self) -> None:
        bundle = encoded(report(replace(DENSITY, findings=(LAA,)), version=2, advice=()), report())
        Bundle.model_validate(bundle)
        statuses = [body["status"] for body in resources(bundle, "Observation")]
        assert statuses == ["preliminary", "entered-in-error"]
        assert [body["status"] for body in resources(bundle, "RiskAssessment")] == ["entered-in-error"]
        assert "955" not in json.dumps(bundle)
        [main] = resources(bundle, "DiagnosticReport")
        assert (main["status"], len(main["result"])) == ("preliminary", 1)

    def test_what_was_another_patients_is_left_to_its_retraction(self) -> None:
        fewer = replace(report(replace(DENSITY, findings=(LAA,))), episode=2)
        assert encoded(fewer, report()) == encoded(fewer)


def test_observations_and_scores_can_be_searched_by_their_identifier_on_our_own_server_too() -> None:
    found = {
        r.type: (r.identifiers, r.body["identifier"])
        for r in emitted(report())
        if r.type in ("Observation", "RiskAssessment")
    }
    assert set(found) == {"Observation", "RiskAssessment"}
    for identifiers, own in found.values():
        assert [{"system": system, "value": value} for system, value in identifiers] == own
