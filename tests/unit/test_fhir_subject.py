"""Whose report it is in FHIR: the patient, nobody yet, or not any more (SAFETY sections 1 and 3)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapters.fhir.report import withdrawn
from adapters.fhir.transaction import void
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.matching import Match, MatchState
from cds.domain.resource import WITHDRAWABLE
from tests.unit.fhir_samples import (
    DENSITY,
    DRAWN,
    HEAD,
    PATIENT,
    PATIENT_ID,
    PUBLIC_ID,
    UNMATCHED,
    bodies,
    emitted,
    report,
    samples,
)


class TestWithoutAPatient:
    """Images without an order are reported without naming anybody (SAFETY section 1)."""

    def test_nobody_is_named_even_where_a_patient_is_at_hand(self) -> None:
        said = emitted(report(match=UNMATCHED, advice=()))
        assert {r.type for r in said} == {"Device", "Observation", "DiagnosticReport", "Provenance"}
        assert {r.patient_id for r in said} == {None}
        text = json.dumps([r.body for r in said])
        assert not [word for word in ("Unmistakable", "12345", "ACC1", PATIENT_ID) if word in text]

    def test_the_subject_says_that_it_is_unknown_and_the_conclusion_why(self) -> None:
        [body] = bodies(report(match=UNMATCHED, advice=()), "DiagnosticReport")
        assert body["subject"]["extension"][0]["valueCode"] == "unknown"
        assert "Not attached to a patient: the images carry no accession number." in body["conclusion"]
        assert "basedOn" not in body

    def test_a_patient_whom_the_store_has_not_named_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="wants an id"):
            emitted(report(patient=replace(PATIENT, id=None)))


class TestDetached:
    """The order was cancelled after the images came: whose they are is known, which order they belong to is not."""

    def test_the_patient_is_named_and_no_order(self) -> None:
        cancelled = Match(MatchState.DETACHED, ("the order was cancelled",), None, PATIENT_ID)
        [body] = bodies(report(match=cancelled, advice=()), "DiagnosticReport")
        assert body["subject"] == {"reference": f"Patient/{PATIENT_ID}"}
        assert "basedOn" not in body
        assert "Not attached to an order: the order was cancelled." in body["conclusion"]


class TestEpisode:
    """Another patient gets resources of their own: what was another's is never updated into theirs."""

    def test_nothing_but_the_device_keeps_its_id(self) -> None:
        first, second = emitted(report()), emitted(replace(report(), episode=2))
        kept = {(r.type, r.id) for r in first} & {(r.type, r.id) for r in second}
        assert {kind for kind, _ in kept} == {"Device", "Patient"}

    def test_the_report_has_a_number_of_its_own(self) -> None:
        [body] = bodies(replace(report(), episode=2), "DiagnosticReport")
        assert body["identifier"] == [{"system": "urn:sightline:report", "value": f"{PUBLIC_ID}.2"}]


class TestPatient:
    """As the record has it."""

    def test_demographics_and_identifiers_are_carried(self) -> None:
        [body] = bodies(report(), "Patient")
        assert body["id"] == PATIENT_ID
        assert body["name"] == [{"family": "Unmistakable", "given": ["Quentina"]}]
        assert (body["gender"], body["birthDate"], body["deceasedBoolean"]) == ("female", "1958-04-05", False)
        assert body["identifier"][0]["assigner"] == {"display": "HOSPITAL"}

    def test_control_characters_and_blanks_of_a_record_do_not_stop_a_report(self) -> None:
        odd = replace(PATIENT, name=HumanName("Unmis\x0btak\x1bable", "  "), identifiers=(Identifier("1\x002", "X"),))
        [body] = bodies(report(patient=odd), "Patient")
        assert body["name"] == [{"family": "Unmistakable"}]
        assert body["identifier"][0]["value"] == "12"

    def test_what_is_not_known_is_left_out(self) -> None:
        bare = Patient((Identifier("1", "X"),), HumanName(), None, Sex.UNKNOWN, None, PATIENT_ID)
        [body] = bodies(report(patient=bare), "Patient")
        assert set(body) == {"resourceType", "id", "identifier", "gender"}
        assert body["gender"] == "unknown"


class TestWithdrawal:
    """A report whose study left the patient, or a finding that a later version no longer has."""

    def test_a_stored_resource_becomes_entered_in_error_and_keeps_its_identity(self) -> None:
        main = next(r for r in emitted(report()) if r.type == "DiagnosticReport")
        stored = {**main.body, "meta": {**main.body["meta"], "versionId": "3", "lastUpdated": "2026-03-05T10:11:12Z"}}
        gone = withdrawn(stored, patient_id=PATIENT_ID)
        assert gone.body == {**main.body, "status": "entered-in-error"}
        assert (gone.id, gone.identifiers, gone.patient_id) == (main.id, main.identifiers, PATIENT_ID)

    def test_a_document_that_does_not_hold_any_more_is_not_kept_in_it(self) -> None:
        main = next(r for r in emitted(report(), forms=DRAWN) if r.type == "DiagnosticReport")
        gone = withdrawn(main.body, patient_id=PATIENT_ID)
        assert main.body.keys() - gone.body.keys() == {"presentedForm"}

    @pytest.mark.parametrize("kind", WITHDRAWABLE)
    def test_everything_that_can_be_withdrawn_can_be_voided_too(self, kind: str) -> None:
        said = replace(samples()["follow-up accepted"], outcomes=(DENSITY, HEAD), critical=("head_bleed.haemorrhage",))
        found = [r for r in emitted(said) if r.type == kind]
        assert found
        for resource in found:
            for gone in (withdrawn(resource.body, patient_id=PATIENT_ID), void(resource, "because", said.issued)):
                assert (gone.id, gone.body["status"]) == (resource.id, "entered-in-error")
                assert gone.body["identifier"] == resource.body["identifier"]

    def test_a_device_cannot_be_withdrawn(self) -> None:
        [device] = bodies(report(), "Device")
        with pytest.raises(ValueError, match="can be withdrawn"):
            withdrawn(device, patient_id=None)
