"""ServiceRequests that an ImagingStudy is based on as orders: what is one, of whom, under which number, and why not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir.imaging_study import StudyReader
from adapters.fhir.order import Exam, LeftOut, OrderReader
from cds.codes import DCM, LOINC, SNOMED
from cds.domain.coding import Coding
from cds.domain.fhir_news import ImagesThere, Ordered
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.order import OrderChange, OrderStatus, Priority, ServiceRequest
from cds.errors import InvalidResource
from tests.unit.clinical import reference
from tests.unit.fhir_samples import bodies, samples

Json = dict[str, Any]

V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
MRN, ORDERS, ACC = "https://h.example/mrn", "https://h.example/orders", "https://h.example/acc"
SYSTEMS = {MRN: "HOSP", ORDERS: "EHR", ACC: "RIS", "https://nation.example/id": "NATION"}
BERLIN = ZoneInfo("Europe/Berlin")
READER = OrderReader("FHIR ehr", SYSTEMS, "SITE", BERLIN)
ANNA = Patient((Identifier("P1", "HOSP"),))
EXAM = Exam()


def number(kind: str, value: str, system: str = "") -> Json:
    """An identifier of a type of HL7 table 0203."""
    typed = {"type": {"coding": [{"system": V2, "code": kind}]}, "value": value}
    return {**typed, "system": system} if system else typed


def request(**members: object) -> Json:
    """An order of a CT as an EHR keeps it."""
    body: Json = {
        "resourceType": "ServiceRequest",
        "id": "o1",
        "meta": {"versionId": "2", "lastUpdated": "2026-11-20T08:00:00.5Z"},
        "identifier": [number("PLAC", "PL1", ORDERS), number("FILL", "FI1", ORDERS), number("ACSN", "A1", ACC)],
        "status": "active",
        "intent": "order",
        "priority": "stat",
        "code": {"coding": [{"system": "urn:local", "code": "CTC"}, {"system": LOINC, "code": "24627-2"}]},
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2026-11-20T08:30:00+01:00",
        "requester": {"reference": "Practitioner/7", "display": "Dr. Ada Roth"},
    }
    return {name: value for name, value in {**body, **members}.items() if value is not None}


def patient(value: str = "P1", /, **members: object) -> Json:
    """Anna, as the EHR knows her."""
    known = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": MRN, "value": value}]}
    return {**known, "birthDate": "1960-03-02", "gender": "female", "name": [{"family": "Test"}], **members}


def study(**members: object) -> Json:
    """A CT that is based on the order."""
    body: Json = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}],
        "subject": {"reference": "Patient/p1"},
        "basedOn": [{"reference": "ServiceRequest/o1"}],
        "series": [{"uid": "1.2.840.1.1", "modality": {"code": "CT"}, "numberOfInstances": 100}],
    }
    return {**body, **members}


def follow(*resources: Json) -> Any:
    """What a server has."""
    known = {f"{one['resourceType']}/{one['id']}": one for one in resources}
    return lambda reference: known.get(reference, {})


def change(exam: Exam = EXAM, whose: Patient | None = ANNA, **members: object) -> OrderChange:
    read = READER.read(request(**members), whose, exam)
    assert isinstance(read, OrderChange)
    return read


def order(exam: Exam = EXAM, **members: object) -> ServiceRequest:
    return change(exam, **members).order


def left_out(exam: Exam = EXAM, whose: Patient | None = ANNA, **members: object) -> str:
    read = READER.read(request(**members), whose, exam)
    assert isinstance(read, LeftOut)
    return read.reason


def ordered(body: Json, *resources: Json, accession: Identifier | None = None) -> Ordered:
    news = StudyReader("FHIR ehr", SYSTEMS, "SITE", BERLIN, lambda modality: True).read(body, follow(*resources))
    assert isinstance(news, ImagesThere)
    return news.ordered


# --- one order


def test_an_order_has_its_numbers_and_what_was_asked() -> None:
    read = change()
    assert read == OrderChange(
        ServiceRequest(
            Identifier("PL1", "EHR"),
            Identifier("FI1", "EHR"),
            Identifier("A1", "RIS"),
            Identifier("P1", "HOSP"),
            OrderStatus.ACTIVE,
            priority=Priority.STAT,
            procedure=Coding(LOINC, "24627-2"),
            requester="Dr. Ada Roth",
            requested_at=datetime(2026, 11, 20, 7, 30, tzinfo=UTC),
            changed_at=datetime(2026, 11, 20, 8, 0, 0, 500000, tzinfo=UTC),
            source="FHIR ehr",
        ),
        "ServiceRequest active, FHIR ehr",
    )


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("active", OrderStatus.ACTIVE),
        ("on-hold", OrderStatus.ON_HOLD),
        ("completed", OrderStatus.COMPLETED),
        ("revoked", OrderStatus.REVOKED),
        ("entered-in-error", OrderStatus.REVOKED),
    ],
)
def test_its_status_is_that_of_the_order_and_an_error_is_a_cancel(status: str, wanted: OrderStatus) -> None:
    read = change(status=status)
    assert read.order.status is wanted
    assert read.control == f"ServiceRequest {status}, FHIR ehr"


@pytest.mark.parametrize("status", ["draft", "unknown", "final", None, 7])
def test_a_draft_is_no_order_and_neither_is_what_has_no_status_of_r4(status: object) -> None:
    assert left_out(status=status) == "the ServiceRequest is a draft, or its status is not known"


@pytest.mark.parametrize("intent", ["order", "original-order", "reflex-order", "filler-order", "instance-order"])
def test_an_order_is_one_whoever_made_it(intent: str) -> None:
    assert order(intent=intent) == order()


@pytest.mark.parametrize("intent", ["proposal", "plan", "directive", "option", None])
def test_what_nobody_is_to_act_upon_is_no_order(intent: str | None) -> None:
    assert left_out(intent=intent) == "the ServiceRequest's intent is not that of an order"


def test_what_is_not_to_be_done_is_no_order() -> None:
    assert "not to be done" in left_out(doNotPerform=True)
    assert order(doNotPerform=False) == order()


def test_what_a_modifier_extension_makes_of_it_is_not_known() -> None:
    assert "modifier extension" in left_out(modifierExtension=[{"url": "https://h.example/not", "valueBoolean": True}])


def test_what_we_propose_ourselves_is_no_order() -> None:
    proposals = [one for said in samples().values() for one in bodies(said, "ServiceRequest")]
    assert proposals
    for proposal in proposals:
        read = READER.read({**proposal, "status": "active"}, ANNA, Exam(Identifier("A1", "RIS")))
        assert read == LeftOut("the ServiceRequest's intent is not that of an order")


def test_the_accession_number_may_stand_at_the_study_and_its_own_comes_first() -> None:
    of_study = Exam(Identifier("A9", "RIS"))
    assert order(of_study, identifier=[number("PLAC", "PL1", ORDERS)]).accession == Identifier("A9", "RIS")
    assert order(of_study).accession == Identifier("A1", "RIS")
    assert order(identifier=[number("ACSN", "A1")]).accession == Identifier("A1", "SITE")


def test_an_order_that_no_image_could_find_is_none() -> None:
    reason = (
        "neither ServiceRequest nor ImagingStudy has an accession number of an issuer known here: an identifier "
        "of type ACSN, with a system of CDS_IDENTIFIER_SYSTEMS, or with none where CDS_ACCESSION_ISSUER is set"
    )
    assert left_out(identifier=[number("PLAC", "PL1", ORDERS)]) == reason
    assert left_out(identifier=[number("ACSN", "A1", "https://elsewhere.example")]) == reason


def test_an_identifier_that_does_not_say_which_number_it_is_is_none() -> None:
    read = order(identifier=[{"system": ORDERS, "value": "G1"}, number("ACSN", "A1", ACC)])
    assert (read.placer_order_number, read.filler_order_number) == (None, None)


@pytest.mark.parametrize("whose", [None, Patient(())])
def test_an_order_of_nobody_who_is_known_by_a_number_is_none(whose: Patient | None) -> None:
    assert left_out(whose=whose) == "the ServiceRequest names no Patient with an identifier of a configured system"


@pytest.mark.parametrize(("stated", "wanted"), [("asap", Priority.ASAP), ("soon", None), (None, None)])
def test_a_priority_that_is_none_of_r4_is_not_stated(stated: str | None, wanted: Priority | None) -> None:
    assert order(priority=stated).priority is wanted


def test_the_procedure_is_a_public_code_before_a_local_one() -> None:
    local, snomed = {"system": "urn:local", "code": "CTC"}, {"system": SNOMED, "code": "169069000", "display": "CT"}
    assert order(code={"coding": [local, snomed]}).procedure == Coding(SNOMED, "169069000", "CT")
    assert order(code={"coding": [local], "text": "CT chest"}).procedure == Coding("urn:local", "CTC", "CT chest")
    assert order(code={"text": "CT chest"}).procedure is None


def test_the_modality_is_what_dicom_codes_else_the_studys() -> None:
    dicom = {"coding": [{"system": DCM, "code": "CT"}]}
    assert order(category=[{"coding": [{"system": SNOMED, "code": "363679005"}]}, dicom]).modality == "CT"
    assert order(Exam(modality="MR"), orderDetail=[dicom]).modality == "CT"
    assert order(Exam(modality="MR")).modality == "MR"
    assert order(orderDetail=[{"coding": [{"system": "urn:local", "code": "CT"}]}]).modality is None
    assert order(category=[{"coding": [{"system": DCM, "code": code} for code in ("CT", "PT")]}]).modality is None


def test_reasons_are_one_code_each_or_words() -> None:
    icd, snomed = {"system": "http://hl7.org/fhir/sid/icd-10", "code": "R91"}, {"system": SNOMED, "code": "427359005"}
    read = order(reasonCode=[{"coding": [icd, snomed]}, {"coding": [icd]}, {"text": "cough"}, {"text": "smoker"}])
    assert [code.code for code in read.reasons] == ["427359005", "R91"]
    assert read.reason_text == "cough; smoker"


@pytest.mark.parametrize(
    ("members", "at"),
    [
        ({"occurrenceDateTime": "2026-11-25T10:00:00Z"}, datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ({"occurrenceDateTime": "2026-11-25T10:00:00"}, datetime(2026, 11, 25, 10, tzinfo=BERLIN)),
        ({"occurrencePeriod": {"start": "2026-11-25"}}, datetime(2026, 11, 25, tzinfo=BERLIN)),
        ({"occurrenceTiming": {"event": ["2026-11-25", "2026-11-26"]}}, datetime(2026, 11, 25, tzinfo=BERLIN)),
        ({"occurrenceDateTime": "2026-11"}, None),
        ({"occurrenceDateTime": "0001-01-01"}, None),
        ({"occurrenceDateTime": "9999-12-31"}, None),
        ({"occurrenceTiming": {"event": 7}}, None),
    ],
)
def test_when_it_is_to_be_done(members: Json, at: datetime | None) -> None:
    assert order(**members).scheduled_at == at


def test_it_is_as_old_as_its_last_change_else_as_its_writing() -> None:
    assert order(meta=None).changed_at == order().requested_at
    assert order(meta=None, authoredOn=None).changed_at is None


@pytest.mark.parametrize(
    "system", ["http://terminology.hl7.org/CodeSystem/v3-ActReason", "http://hl7.org/fhir/v3/ActReason"]
)
def test_test_data_is_of_the_test_realm(system: str) -> None:
    label: Json = {"security": [{"system": system, "code": "HTEST"}]}
    assert order(meta=label).test
    assert order(Exam(test=True)).test
    assert not order().test


# --- the orders of a study, and whose they are


def test_a_study_brings_its_order_with_the_patient_of_the_order() -> None:
    read = ordered(study(), request(), patient())
    assert [one.order.accession for one in read.orders] == [Identifier("A1", "RIS")]
    assert read.orders[0].order.modality == "CT"
    whose = Patient((Identifier("P1", "HOSP"),), HumanName("Test", ""), date(1960, 3, 2), Sex.FEMALE)
    assert read.patient == whose
    assert (read.left_out, read.doubt) == ((), "")


def test_the_example_of_r4_orders_what_it_says_but_names_nobody_by_a_known_number() -> None:
    folder = os.environ.get("CDS_REFERENCE_DIR")
    if folder is None:
        pytest.skip("CDS_REFERENCE_DIR is not set: the examples of R4 are not in this repository")
    examples = reference(Path(folder)) / "fhir-examples"
    example = json.loads((examples / "ServiceRequest-example.json").read_bytes())
    whose = json.loads((examples / "Patient-example.json").read_bytes())
    based = study(
        basedOn=[{"reference": "ServiceRequest/example"}],
        identifier=[*study()["identifier"], number("ACSN", "A1")],
        subject=example["subject"],
    )
    assert ordered(based, example, whose).left_out == (
        "the ServiceRequest names no Patient with an identifier of a configured system",
    )
    known = {**whose, "identifier": [{"system": MRN, "value": "P1"}]}
    (read,) = ordered(based, example, known).orders
    assert read.order.status is OrderStatus.COMPLETED
    assert read.order.procedure == Coding(SNOMED, "303653007", "Computed tomography of head")
    assert read.order.accession == Identifier("A1", "SITE")


def test_order_and_patient_may_be_contained() -> None:
    inside = [request(id="o", subject={"reference": "#p"}), patient(id="p")]
    body = study(contained=inside, basedOn=[{"reference": "#o"}], subject={"reference": "#p"})
    assert ordered(body).patient == ordered(study(), request(), patient()).patient
    own = request(subject={"reference": "#p"}, contained=[patient(id="p")])
    assert ordered(study(subject={"display": "Anna"}), own).patient is not None


def test_an_identifier_in_the_reference_names_the_patient_too() -> None:
    logical = {"identifier": {"system": MRN, "value": "P1"}}
    assert ordered(study(subject=logical), request(subject=logical)).patient == ANNA
    same = {"reference": "Patient/p1", **logical}
    read = ordered(study(subject=same), request())
    assert read.patient == ANNA, "both refer to the same Patient, whom nobody could read"


@pytest.mark.parametrize(
    ("of_study", "of_order"),
    [
        ({"identifier": {"system": MRN, "value": "P2"}}, {"reference": "Patient/p1"}),
        ({"reference": "Patient/p1"}, {"identifier": {"system": MRN, "value": "P2"}}),
        ({"reference": "Patient/p1"}, {"reference": "Patient/p1", "identifier": {"system": MRN, "value": "P2"}}),
    ],
)
def test_a_study_and_an_order_of_different_patients_are_a_doubt(of_study: Json, of_order: Json) -> None:
    read = ordered(study(subject=of_study), request(subject=of_order), patient())
    assert read.doubt == "the ImagingStudy and the ServiceRequests that it is based on name different patients"
    assert "P2" not in read.doubt


def test_a_number_of_another_authority_is_no_contradiction() -> None:
    nation = {"identifier": {"system": "https://nation.example/id", "value": "N7"}}
    read = ordered(study(subject=nation), request(), patient())
    assert read.doubt == ""
    assert read.patient is not None
    assert read.patient.identifiers == (Identifier("P1", "HOSP"),), "who the study's is, is not known to be hers"


def test_she_is_filed_under_the_number_of_her_record() -> None:
    numbers = [{"system": "https://nation.example/id", "value": "N7"}, number("MR", "P1", MRN)]
    read = ordered(study(), request(), patient(identifier=numbers))
    assert read.orders[0].order.patient == Identifier("P1", "HOSP")
    assert read.patient is not None
    assert read.patient.identifiers == (Identifier("P1", "HOSP"), Identifier("N7", "NATION"))


def test_test_data_anywhere_makes_a_test_of_the_order() -> None:
    label: Json = {"meta": {"security": [{"code": "HTEST"}]}}
    for read in (
        ordered(study(**label), request(), patient()),
        ordered(study(), request(**label), patient()),
        ordered(study(), request(), patient(**label)),
    ):
        assert [one.order.test for one in read.orders] == [True]


def test_several_orders_of_a_study_are_several() -> None:
    two = [request(), request(id="o2", identifier=[number("PLAC", "PL2", ORDERS), number("ACSN", "A1", ACC)])]
    body = study(basedOn=[{"reference": "ServiceRequest/o1"}, {"reference": "ServiceRequest/o2"}])
    read = ordered(body, *two, patient())
    assert [one.order.placer_order_number for one in read.orders] == [
        Identifier("PL1", "EHR"), Identifier("PL2", "EHR"),
    ]  # fmt: skip


def test_orders_with_the_same_numbers_are_one_and_it_is_the_one_that_is_still_wanted() -> None:
    two = [request(status="revoked"), request(id="o2", status="active")]
    body = study(basedOn=[{"reference": "ServiceRequest/o1"}, {"reference": "ServiceRequest/o2"}])
    read = ordered(body, *two, patient())
    assert [one.order.status for one in read.orders] == [OrderStatus.ACTIVE]
    assert read.left_out == ("several ServiceRequests of the study have the same numbers: one of them stands for all",)


def test_an_order_that_cannot_be_had_is_said_and_what_is_no_order_is_not() -> None:
    assert ordered(study()).left_out == ("its ServiceRequest could not be had",)
    named = study(basedOn=[{"reference": "urn:uuid:1", "type": "ServiceRequest"}])
    assert ordered(named).left_out == ("its ServiceRequest could not be had",)
    others = study(basedOn=[{"reference": "Appointment/1"}, {"reference": "CarePlan/1"}, {"display": "CT"}])
    assert ordered(others) == Ordered()


def test_who_is_asked_for_twice_is_read_once() -> None:
    asked: list[str] = []

    def reading(at: str) -> Mapping[str, object]:
        asked.append(at)
        found: Mapping[str, object] = follow(request(), patient())(at)
        return found

    StudyReader("FHIR ehr", SYSTEMS, "SITE", BERLIN, lambda modality: True).read(study(), reading)
    assert sorted(asked) == ["Patient/p1", "ServiceRequest/o1"]


def test_what_could_not_be_kept_is_refused() -> None:
    with pytest.raises(InvalidResource, match="NUL"):
        ordered(study(), request(), patient(name=[{"family": "Te\0st"}]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = (
    "identifier", "status", "intent", "priority", "code", "category", "orderDetail", "subject", "authoredOn",
    "requester", "reasonCode", "occurrenceDateTime", "occurrencePeriod", "occurrenceTiming", "meta", "contained",
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=5), st.dictionaries(st.text(max_size=9), JSON, max_size=3)
)
def test_whatever_shape_its_elements_have_it_is_read_or_left_out(members: Json, whose: Json) -> None:
    with suppress(InvalidResource):
        ordered(study(), {**request(), **members}, {**patient(), **whose, "id": "p1", "resourceType": "Patient"})
