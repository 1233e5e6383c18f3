"""Draft imaging orders of a CDS Hooks call, read tolerantly."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir.draft_order import read_draft_orders, read_orders
from cds.domain.coding import Coding
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.order import Priority
from tests.unit.clinical import reference

LOINC = "http://loinc.org"
KNEE = Exam("MR", "limb", Contrast.NONE, angiography=False)


def request(name: str = "draft-1", code: str = "24627-2", **members: object) -> dict[str, object]:
    """A draft ServiceRequest."""
    return {
        "resourceType": "ServiceRequest",
        "id": name,
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": LOINC, "code": code, "display": "CT Chest"}]},
        **members,
    }


def context(*resources: object, **members: object) -> dict[str, object]:
    """The context of order-select."""
    bundle = {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}
    return {"patientId": "1", "draftOrders": bundle, **members}


def test_a_draft_is_read_with_its_exam_reasons_and_day() -> None:
    reason = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "R06.0"}], "text": "short of breath"}
    [order] = read_draft_orders(
        context(
            request(
                code="36147-7", reasonCode=[reason, {"text": "since today"}], occurrenceDateTime="2026-11-23T08:00:00Z"
            )
        )
    )
    assert order.key == "draft-1"
    assert order.codes == (Coding(LOINC, "36147-7", "CT Chest"),)
    assert order.exam == Exam("CT", "chest", Contrast.IODINATED, angiography=True)
    assert [one.code for one in order.reasons] == ["R06.0"]
    assert order.reason_text == "short of breath; since today"
    assert order.wanted_on == date(2026, 11, 23)
    assert order.text == "CT Chest"


def test_a_period_begins_on_the_day_that_is_wanted() -> None:
    [order] = read_draft_orders(context(request(occurrencePeriod={"start": "2026-12-01", "end": "2026-12-31"})))
    assert order.wanted_on == date(2026, 12, 1)


def test_only_what_is_selected_is_read_with_or_without_its_type() -> None:
    two = (request("a"), request("b"))
    assert [one.key for one in read_draft_orders(context(*two, selections=["ServiceRequest/b"]))] == ["b"]
    assert [one.key for one in read_draft_orders(context(*two, selections=["a"]))] == ["a"]
    assert [one.key for one in read_draft_orders(context(*two))] == ["a", "b"]
    assert read_draft_orders(context(*two, selections=[])) == ()


@pytest.mark.parametrize(
    "members",
    [
        {"status": "active"},
        {"status": "revoked"},
        {"status": None},
        {"doNotPerform": True},
        {"resourceType": "MedicationRequest"},
    ],
)
def test_what_is_no_draft_of_a_service_is_left_out(members: dict[str, object]) -> None:
    assert read_draft_orders(context(request(**members))) == ()


def test_a_code_that_nobody_knows_gives_an_order_without_an_exam_until_the_site_says_what_it_is() -> None:
    own = request(code="IMG77")
    assert read_draft_orders(context(own))[0].exam is None
    assert read_draft_orders(context(own), {"IMG77": KNEE})[0].exam == KNEE
    assert read_draft_orders(context(request(code="")))[0].codes == ()


def test_one_without_an_id_is_named_by_its_place_and_so_is_the_second_of_two_with_one_id() -> None:
    assert [one.key for one in read_draft_orders(context(request(""), request("")))] == ["#0", "#1"]
    drafts = context(request("a", "24627-2"), request("a", "24725-4"), request("a", "30799-1"))
    orders = read_draft_orders(drafts)
    assert [(one.key, one.codes[0].code) for one in orders] == [
        ("a", "24627-2"),
        ("a#1", "24725-4"),
        ("a#2", "30799-1"),
    ]
    assert len(read_draft_orders(drafts | {"selections": ["a"]})) == 3


@pytest.mark.parametrize("priority", Priority)
def test_the_priority_is_read_however_it_is_written(priority: Priority) -> None:
    for written in (priority.value, priority.value.upper()):
        [order] = read_draft_orders(context(request(priority=written)))
        assert (order.priority, order.further) == (priority, False)


def test_a_priority_that_nobody_knows_says_more_than_was_read() -> None:
    [order] = read_draft_orders(context(request()))
    assert (order.priority, order.further) == (None, False)
    for odd in ("emergency", 1, ["stat"]):
        [order] = read_draft_orders(context(request(priority=odd)))
        assert (order.priority, order.further) == (None, True)


LOW_BACK = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "M54.5"}]}


@pytest.mark.parametrize(
    "members",
    [
        {"reasonReference": [{"reference": "Condition/1"}]},
        {"supportingInfo": [{"reference": "Observation/1"}]},
        {"note": [{"text": "cannot pass water since tonight"}]},
        {"reason": [{"concept": LOW_BACK}]},
        {"reasonCode": LOW_BACK},
        {"reasonCode": [LOW_BACK, "cannot pass water"]},
        {"reasonCode": [LOW_BACK, {"extension": [{"valueString": "cannot pass water"}]}]},
        {"reasonCode": [{"coding": [*LOW_BACK["coding"], {"display": "Retention of urine"}]}]},
        {"reasonCode": [{"coding": LOW_BACK["coding"][0]}]},
    ],
)
def test_what_says_more_of_why_than_is_read_is_told(members: dict[str, object]) -> None:
    [order] = read_draft_orders(context(request(**members)))
    assert order.further


def test_coded_and_written_reasons_are_read_in_whole() -> None:
    for concepts in ([LOW_BACK], [LOW_BACK, {"text": "since today"}], [LOW_BACK | {"text": "low back pain"}], []):
        [order] = read_draft_orders(context(request(reasonCode=concepts, reasonReference=[], supportingInfo=[])))
        assert not order.further


def test_what_is_written_is_no_display_of_a_code_that_has_none() -> None:
    [order] = read_draft_orders(context(request(reasonCode=[LOW_BACK | {"text": "cannot pass water"}])))
    assert [one.display for one in order.reasons] == [""]
    assert order.reason_text == "cannot pass water"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(members=st.dictionaries(st.sampled_from(["code", "reasonCode", "occurrenceDateTime", "id", "status"]), JSON))
def test_odd_members_raise_nothing(members: dict[str, object]) -> None:
    for order in read_draft_orders(context(request(**members))):
        assert order.wanted_on is None or isinstance(order.wanted_on, date)


@given(bundle=JSON, selections=JSON)
def test_odd_contexts_raise_nothing(bundle: object, selections: object) -> None:
    assert read_draft_orders({"draftOrders": bundle, "selections": selections}) == ()
    read_draft_orders(context(request(), selections=selections))


@pytest.mark.parametrize("status", ["draft", "active", "on-hold"])
def test_an_order_that_still_stands_is_read_as_the_same_draft_is(status: str) -> None:
    signed = request(status=status, authoredOn="2026-11-20T10:00:00+01:00", priority="stat")
    [order] = read_orders([signed])
    [drafted] = read_draft_orders(context(signed | {"status": "draft"}))
    assert order == drafted
    assert order.authored_on == date(2026, 11, 20)


@pytest.mark.parametrize(
    "members",
    [
        {"status": "revoked"},
        {"status": "completed"},
        {"status": "entered-in-error"},
        {"status": "unknown"},
        {"status": None},
        {"status": "active", "doNotPerform": True},
        {"status": "active", "resourceType": "DeviceRequest"},
    ],
)
def test_what_is_not_to_be_done_any_more_is_no_order(members: dict[str, object]) -> None:
    assert read_orders([request(**members)]) == ()


def test_a_signed_order_is_no_draft() -> None:
    assert read_draft_orders(context(request(status="active"))) == ()


@given(members=st.dictionaries(st.sampled_from(["code", "reasonCode", "authoredOn", "id", "status", "priority"]), JSON))
def test_odd_members_of_a_dispatched_order_raise_nothing(members: dict[str, object]) -> None:
    for order in read_orders([request(status="active") | members]):
        assert order.authored_on is None or isinstance(order.authored_on, date)


def test_the_published_example_of_order_select_is_read() -> None:
    folder = os.environ.get("CDS_REFERENCE_DIR")
    if not folder:
        pytest.skip("CDS_REFERENCE_DIR names no reference folder")
    path = reference(Path(folder)) / "cds-hooks" / "examples" / "request_order-select.json"
    if not path.exists():
        pytest.skip("the reference folder has no example of order-select")
    [order] = read_draft_orders(json.loads(path.read_text())["context"])
    assert order.key == "draft-ct-1"
    assert order.exam == Exam("CT", "chest", None, angiography=False)
