"""What a CDS Hooks request must hold, and how a prefetch is judged."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from cds import codes
from cds.domain.message import Statement
from cds.errors import InvalidResource, PreconditionFailed
from cds.hooks import prefetch, request
from tests.unit.clinical import SMOKING, reference, said

INSTANCE = "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc"


def body(**changes: object) -> dict[str, object]:
    """A good patient-view request, changed."""
    good: dict[str, object] = {
        "hook": "patient-view",
        "hookInstance": INSTANCE,
        "context": {"userId": "Practitioner/123", "patientId": "1288992"},
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def test_a_good_request_is_read() -> None:
    read = request.read(body(hookInstance=f"urn:uuid:{INSTANCE.upper()}", extension={"x": 1}), hooks={"patient-view"})
    assert (read.hook_instance, read.user_id, read.patient_id) == (INSTANCE, "Practitioner/123", "1288992")
    assert str(uuid.UUID(read.hook_instance)) == INSTANCE
    assert read.prefetch == {}


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"hook": ...}, "hook: want"),
        ({"hook": 7}, "hook: want"),
        ({"hook": "order-sign"}, "hook: want 'patient-view'"),
        ({"hookInstance": ...}, "hookInstance: want a UUID"),
        ({"hookInstance": "not-a-uuid"}, "hookInstance: want a UUID"),
        ({"context": ...}, "context: want an object"),
        ({"context": []}, "context: want an object"),
        ({"context": {"userId": "Practitioner/1"}}, "context.patientId: want a FHIR id"),
        ({"context": {"userId": "Practitioner/1", "patientId": 12}}, "context.patientId: want a FHIR id"),
        ({"context": {"userId": "Practitioner/1", "patientId": "a/b"}}, "context.patientId: want a FHIR id"),
        ({"context": {"userId": "Practitioner/1", "patientId": "x" * 65}}, "context.patientId: want a FHIR id"),
        ({"context": {"patientId": "1"}}, "context.userId: want a reference"),
        ({"context": {"userId": "Device/1", "patientId": "1"}}, "context.userId: want a reference"),
        ({"prefetch": "all"}, "prefetch: want an object"),
        ({"prefetch": [1]}, "prefetch: want an object"),
        ({"fhirAuthorization": {"access_token": "x"}}, "fhirServer: want"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_wanted(changes: dict[str, object], member: str) -> None:
    with pytest.raises(InvalidResource, match=f"^{member}"):
        request.read(body(**changes), hooks={"patient-view"})


def test_an_error_does_not_repeat_what_came_in() -> None:
    with pytest.raises(InvalidResource) as refused:
        request.read(body(context={"userId": "Practitioner/1", "patientId": "Unmistakable/x"}), hooks={"patient-view"})
    assert "Unmistakable" not in str(refused.value)


@pytest.mark.parametrize("name", ["patient-view", "prefetch_error_OperationOutcome", "prefetch_paginated"])
def test_the_standards_examples_are_read(reference_dir: Path, name: str) -> None:
    example = json.loads((reference(reference_dir) / "cds-hooks" / "examples" / f"request_{name}.json").read_text())
    assert request.read(example, hooks={"patient-view"}).patient_id == "1288992"


# --- fhirServer and fhirAuthorization

SERVER = "https://ehr.example.org/fhir"


def authorized(**changes: object) -> dict[str, object]:
    """A good request of a client that gives a token, its authorization changed."""
    good: dict[str, object] = {
        "access_token": "some.bearer-token=",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "patient/Patient.read patient/Observation.read",
        "subject": "cds-service",
        "patient": "1288992",
    }
    given = {name: value for name, value in (good | changes).items() if value is not ...}
    return body(fhirServer=f"{SERVER}/", fhirAuthorization=given)


def test_the_server_and_its_token_are_read_and_the_token_is_not_shown() -> None:
    access = request.read(authorized(), hooks={"patient-view"}).access
    assert access == request.FhirAccess(
        SERVER, "some.bearer-token=", ("patient/Patient.read", "patient/Observation.read"), 300.0
    )
    assert "some.bearer" not in repr(request.read(authorized(), hooks={"patient-view"}))


@pytest.mark.parametrize("changes", [{"patient": ...}, {"scope": ...}, {"subject": ...}, {"token_type": "bearer"}])
def test_what_is_not_needed_of_an_authorization_may_be_missing(changes: dict[str, object]) -> None:
    assert request.read(authorized(**changes), hooks={"patient-view"}).access is not None


@pytest.mark.parametrize("expires_in", [0, -1])
def test_an_expired_token_is_as_good_as_none(expires_in: int) -> None:
    assert request.read(authorized(expires_in=expires_in), hooks={"patient-view"}).access is None


def test_without_a_server_or_without_a_token_there_is_no_access() -> None:
    for asked in (body(), body(fhirServer=SERVER), body(fhirServer=SERVER, fhirAuthorization=None)):
        assert request.read(asked, hooks={"patient-view"}).access is None


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"access_token": ...}, "fhirAuthorization.access_token: want a bearer token"),
        ({"access_token": "two words"}, "fhirAuthorization.access_token: want a bearer token"),
        ({"access_token": "a\r\nX-Header: b"}, "fhirAuthorization.access_token: want a bearer token"),
        ({"token_type": "MAC"}, "fhirAuthorization.token_type: want Bearer"),
        ({"token_type": ...}, "fhirAuthorization.token_type: want Bearer"),
        ({"expires_in": "300"}, "fhirAuthorization.expires_in: want seconds"),
        ({"expires_in": True}, "fhirAuthorization.expires_in: want seconds"),
        ({"scope": ["a"]}, "fhirAuthorization.scope: want"),
        ({"patient": "another"}, "fhirAuthorization.patient: want the patient of context.patientId"),
    ],
)
def test_an_authorization_that_cannot_be_used_is_named_without_its_token(
    changes: dict[str, object], member: str
) -> None:
    with pytest.raises(InvalidResource, match=f"^{member}") as refused:
        request.read(authorized(**changes), hooks={"patient-view"})
    assert "some.bearer" not in str(refused.value)
    assert "X-Header" not in str(refused.value)


@pytest.mark.parametrize(
    "server",
    [
        *("ehr.example.org", "ftp://ehr.example.org", "https://user@ehr.example.org", 7, ""),
        *("https://ehr.example.org:abc/fhir", "https://ehr.example.org:99999", "https://[/fhir", "https://[::1/fhir"),
        *("https://a]b/fhir", "https://\N{ACCOUNT OF}.example/fhir"),
    ],
)
def test_a_server_that_is_no_url_is_refused(server: object) -> None:
    with pytest.raises(InvalidResource, match=r"^fhirServer: want the base URL of a FHIR server"):
        request.read(body(fhirServer=server), hooks={"patient-view"})


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("patient/Observation.read", True),
        ("user/*.*", True),
        ("system/Observation.rs", True),
        ("user/*.cruds", True),
        ("patient/Observation.rs?category=laboratory", False),
        ("patient/Observation.r", False),
        ("patient/Observation.write", False),
        ("patient/Condition.read", False),
        ("openid fhirUser launch/patient", True),
        ("", True),
        ("patient/Condition.read user/Observation.rs", True),
    ],
)
def test_a_scope_lets_a_type_be_searched(scope: str, *, allowed: bool) -> None:
    access = request.FhirAccess(SERVER, "t", tuple(scope.split()))
    assert access.allows("Observation") is allowed


@pytest.mark.parametrize("name", ["patient-view", "prefetch_paginated"])
def test_the_standards_examples_give_access(reference_dir: Path, name: str) -> None:
    example = json.loads((reference(reference_dir) / "cds-hooks" / "examples" / f"request_{name}.json").read_text())
    asked = request.read(example, hooks={"patient-view"})
    assert asked.access is not None
    assert asked.access.server == SERVER
    assert asked.access.allows("Patient")


# --- prefetch


@pytest.mark.parametrize(
    ("fetched", "found"),
    [
        ({}, "absent"),
        ({"patient": None}, "null"),
        ({"patient": {"resourceType": "OperationOutcome"}}, "an OperationOutcome"),
    ],
)
@pytest.mark.requirement(54)
def test_without_a_patient_the_precondition_fails_and_names_the_key(fetched: dict[str, object], found: str) -> None:
    with pytest.raises(PreconditionFailed, match=f"prefetch key 'patient' is needed .* it was {found}"):
        prefetch.patient(fetched, "1")


@pytest.mark.parametrize("patient", ["x", {"resourceType": "Bundle"}, {"resourceType": "Patient", "id": "2"}])
def test_another_resource_or_another_patient_is_refused(patient: object) -> None:
    with pytest.raises(InvalidResource, match="want"):
        prefetch.patient({"patient": patient}, "1")


def bundle(*resources: dict[str, object], **members: object) -> dict[str, object]:
    """A searchset."""
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in resources], **members}


def of(patient_id: str) -> dict[str, object]:
    """A resource about a patient."""
    return {"resourceType": "Observation", "subject": {"reference": f"Patient/{patient_id}"}}


def covered(fetched: dict[str, object]) -> set[str]:
    """The value sets that this prefetch lets be called not found."""
    record = prefetch.statements(fetched, "1", lambda _: ()).record
    return {name for searched in record.searched for name in searched.covers or ()}


@pytest.mark.requirement(52)
def test_absent_null_empty_failed_and_further_pages_are_told_apart() -> None:
    assert covered({}) == set()
    assert covered({"smoking": None}) == {"smoking-status"}
    assert covered({"smoking": bundle()}) == {"smoking-status"}
    assert covered({"smoking": {"resourceType": "Bundle"}}) == {"smoking-status"}
    assert covered({"smoking": bundle(of("1"), total=1)}) == {"smoking-status"}
    assert covered({"smoking": {"resourceType": "OperationOutcome"}}) == set()
    assert covered({"smoking": bundle({"resourceType": "OperationOutcome"})}) == set()
    assert covered({"smoking": bundle(of("1"), link=[{"relation": "next", "url": "x"}])}) == set()
    assert covered({"smoking": bundle(of("1"), total=2)}) == set()
    assert covered({"unknownKey": bundle()}) == set()


def test_conditions_answer_for_diseases_and_symptoms_and_procedures_for_tests() -> None:
    told = covered({"conditions": bundle()})
    assert {"copd", "emphysema", "lung-cancer", "haemoptysis", "weight-loss", "dyspnoea", "diabetes"} <= told
    done = covered({"procedures": bundle()})
    assert {"spirometry", "low-dose-chest-ct", "dxa"} <= done
    assert not told & done


def test_a_resource_of_another_patient_is_left_out_and_proves_nothing() -> None:
    seen: list[object] = []

    def read(fetched: object) -> tuple[Statement, ...]:
        seen.append(fetched)
        return (said(SMOKING),)

    record = prefetch.statements({"smoking": bundle(of("1"), of("2"))}, "1", read).record
    assert seen == [{"smoking": bundle(of("1"))}]
    assert len(record.statements) == 1
    assert record.searched == ()


@pytest.mark.parametrize(
    ("key", "resource_type"),
    [("allergies", "AllergyIntolerance"), ("familyHistory", "FamilyMemberHistory")],
)
def test_what_names_its_patient_as_patient_is_left_out_where_that_is_another(key: str, resource_type: str) -> None:
    seen: list[object] = []

    def read(fetched: object) -> tuple[Statement, ...]:
        seen.append(fetched)
        return ()

    mine, other = (
        {"resourceType": resource_type, "patient": {"reference": f"Patient/{number}"}} for number in ("1", "2")
    )
    wanted = prefetch.templates(codes.loaded().values())
    record = prefetch.statements({key: bundle(mine, other)}, "1", read, wanted).record
    assert seen == [{key: bundle(mine)}]
    assert record.searched == ()


def test_what_was_not_prefetched_or_not_whole_is_missing() -> None:
    given = prefetch.statements({"smoking": bundle(), "packYears": bundle(of("1"), total=2)}, "1", lambda _: ())
    assert {search.key for search in given.missing} == set(prefetch.templates()) - {"smoking"}


def test_the_standards_examples_claim_no_more_than_they_hold(reference_dir: Path) -> None:
    for name in ("patient-view", "prefetch_error_OperationOutcome", "prefetch_paginated"):
        path = reference(reference_dir) / "cds-hooks" / "examples" / f"request_{name}.json"
        assert covered(json.loads(path.read_text())["prefetch"]) == set()


@pytest.mark.parametrize("answer", ["text", 3, [], {"resourceType": "Patient"}, {"resourceType": "Bundle", "entry": 1}])
def test_an_answer_of_another_kind_is_refused_with_its_key(answer: object) -> None:
    with pytest.raises(InvalidResource, match=r"^prefetch\.smoking: want a searchset Bundle"):
        prefetch.statements({"smoking": answer}, "1", lambda _: ())
