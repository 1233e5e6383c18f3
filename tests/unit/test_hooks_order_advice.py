"""The imaging-order-advice service: drafts of an order are judged, replaced, noted, and never lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cds import condition_codes, hooks
from cds.codes import LOINC
from cds.domain.coding import Coding
from cds.domain.ehr import NotFoundSince, Unknown
from cds.domain.identity import Patient
from cds.domain.message import RecordStatements
from cds.domain.order import OrderStatus, Priority
from cds.domain.order import ServiceRequest as Placed
from cds.domain.recommendation import Case, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.domain.report import Report
from cds.errors import InvalidResource, NothingEvaluated, PreconditionFailed
from cds.hooks import parts
from cds.hooks.drafts import Basis, draft
from cds.hooks.order_cards import named
from cds.hooks.order_drafts import in_place_of
from cds.hooks.parts import Site
from cds.ordering import iodinated_contrast
from tests.unit.clinical import MRN, TODAY, patient, reference, report, study
from tests.unit.hook_desk import PATIENT
from tests.unit.order_desk import (
    ADVICE,
    CHEST_X_RAY,
    CREATININE,
    FAILED,
    HEAD_CT,
    ULTRASOUND,
    Json,
    OrderDesk,
    actions,
    advice,
    kidneys,
    order,
    saying,
    step,
    used,
)

IMAGING = [{"coding": [{"system": "http://snomed.info/sct", "code": "363679005"}]}]
NO_IMAGING = saying(advice(step()))
SECOND = step("us", ULTRASOUND, recommended=False)
MEDICINE = {"resourceType": "MedicationRequest", "id": "m1", "status": "draft", "intent": "order"}
LABORATORY = order("lab", ("2160-0", "Creatinine"))


def schema(reference_dir: Path, name: str) -> Draft202012Validator:
    """A schema of the reference collection."""
    path = reference(reference_dir) / "cds-hooks" / "schema" / f"{name}.schema.json"
    return Draft202012Validator(json.loads(path.read_text()))


@dataclass
class Listening:
    """A check that remembers what it was asked, and has nothing to say."""

    cases: list[Case] = field(default_factory=list)
    whose: list[Patient] = field(default_factory=list)

    def __call__(self, case: Case, whose: Patient) -> tuple[PathwayOutcome, ...]:
        """Judge an order."""
        self.cases.append(case)
        self.whose.append(whose)
        return (NothingToSay("x", "x"),)


# --- the wire


def test_the_service_is_discovered_once_for_each_of_its_hooks_under_one_id() -> None:
    found = [one for one in cast("list[Json]", hooks.discovery()["services"]) if one["id"] == ADVICE]
    assert [one["hook"] for one in found] == ["order-select", "order-sign"]
    assert found[0]["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert not any("draftOrders" in template for one in found for template in one["prefetch"].values())
    assert found[0]["prefetch"] == found[1]["prefetch"]


@pytest.mark.parametrize(
    "desk",
    [
        OrderDesk(held=kidneys(22)),
        OrderDesk(judge=NO_IMAGING, acts=frozenset({ADVICE})),
        OrderDesk(judge=saying(advice(SECOND, step()))),
        OrderDesk(judge=saying(FAILED, advice())),
        OrderDesk(who=patient(identifiers=())),
        OrderDesk(who=patient(birth_date=TODAY)),
    ],
    ids=["real checks", "no imaging", "several steps", "failed", "unmapped", "in doubt"],
)
def test_the_schema_accepts_every_kind_of_answer_about_an_order(reference_dir: Path, desk: OrderDesk) -> None:
    for drafts in ((order(),), (order(None),), (order(), order("d2", HEAD_CT)), (MEDICINE,)):
        desk.ask(*drafts)
        schema(reference_dir, "response").validate(desk.answered)
        assert json.loads(json.dumps(desk.answered)) == desk.answered


@pytest.mark.parametrize("name", ["order-select", "order-sign"])
def test_the_standards_example_requests_about_orders_are_answered(reference_dir: Path, name: str) -> None:
    body = json.loads((reference(reference_dir) / "cds-hooks" / "examples" / f"request_{name}.json").read_text())
    body.setdefault("prefetch", {})["patient"] = PATIENT
    desk = OrderDesk(judge=NO_IMAGING)
    (card,) = cast("list[Json]", hooks.call(ADVICE, body, desk.context())["cards"])
    assert card["summary"] == "CT Chest: No imaging is needed at first."
    assert card["suggestions"][0]["actions"][0]["resourceId"] == "ServiceRequest/draft-ct-1"


def test_orders_of_diets_and_medicines_of_the_crd_fixtures_get_no_card_and_need_no_patient(reference_dir: Path) -> None:
    for name in ("order_select", "order_sign"):
        path = reference(reference_dir) / "crd-fixtures" / f"{name}_hook_request.json"
        assert hooks.call(ADVICE, json.loads(path.read_text()), OrderDesk(judge=NO_IMAGING).context()) == {"cards": []}


def test_orders_that_are_not_imaging_get_no_card() -> None:
    desk = OrderDesk(judge=NO_IMAGING)
    assert desk.ask(MEDICINE, LABORATORY) == []
    assert desk.ask() == []


def test_an_exam_that_nobody_here_knows_is_imaging_by_its_category() -> None:
    unknown = order(exam=("99999-9", "Special exam"), category=IMAGING)
    (card,) = OrderDesk(judge=NO_IMAGING).ask(unknown)
    assert card["summary"].startswith("Special exam: ")
    assert OrderDesk().ask(unknown) == []


@pytest.mark.parametrize("drafts", [None, [], "Bundle", {"resourceType": "Bundle", "entry": {}}])
def test_a_call_without_a_bundle_of_draft_orders_is_refused(drafts: object) -> None:
    with pytest.raises(InvalidResource, match="draftOrders"):
        OrderDesk().ask(draftOrders=drafts)


def test_an_imaging_order_cannot_be_judged_without_the_patient() -> None:
    desk, body = OrderDesk(), {"userId": "Practitioner/1", "draftOrders": {"entry": [{"resource": order()}]}}
    with pytest.raises(PreconditionFailed):
        desk.sent(ADVICE, "order-sign", body, prefetch={})


# --- what a card says


def test_a_card_about_an_order_names_the_exam_and_tells_of_no_finding() -> None:
    (card,) = OrderDesk(held=kidneys(22)).ask(order())
    assert card["summary"] == "CT Chest W contrast: Iodinated contrast at high kidney risk: saline first."
    assert card["indicator"] == "warning"
    assert card["source"]["topic"]["code"] == "imaging-orders"
    assert card["selectionBehavior"] == "any"
    assert "Finding (AI" not in card["detail"]
    assert "What the order and the record say" in card["detail"]
    assert "22 mL/min/1.73 m² (2026-11-19" in card["detail"]
    assert OrderDesk(held=kidneys(95)).ask(order()) == []


@pytest.mark.parametrize("length", [1, 40, 100, 139, 400])
def test_the_name_of_an_exam_is_shortened_before_what_is_said_of_it(length: int) -> None:
    said = "Iodinated contrast at high kidney risk: saline first."
    whole = named("M" * length, said)
    assert len(whole) < 140
    assert whole.endswith(said)
    assert named("MR", "x" * 139) == "x" * 139


def test_reasons_to_override_advice_on_an_order_are_not_about_findings() -> None:
    (card,) = OrderDesk(judge=NO_IMAGING).ask(order())
    given_ = {one["code"] for one in card["overrideReasons"]}
    assert "already-known" in given_
    assert parts.AI_FINDING_WRONG.code not in given_


def test_text_of_an_order_is_never_markup_nor_a_second_line() -> None:
    (card,) = OrderDesk(judge=NO_IMAGING).ask(order(code={"text": "CT\n<b>[x](http://evil.example)"}, category=IMAGING))
    assert "\n" not in card["summary"]
    assert "<b>" not in card["detail"]
    assert "](http://evil.example)" not in card["detail"]


def test_the_most_urgent_advice_on_all_orders_stands_first() -> None:
    loud = advice(pathway="pregnancy", indicator=Indicator.CRITICAL, summary="Stop.")
    quiet = advice(step("creatinine", CREATININE, instead=False), pathway="metformin")
    desk = OrderDesk(judge=lambda case, _: (quiet, loud) if case.modality == "CT" else (quiet,))
    assert [one["indicator"] for one in desk.ask(order("d1", CHEST_X_RAY), order())] == ["critical", "info"]


def test_what_a_check_says_alike_to_two_orders_stands_once_and_names_both() -> None:
    (card,) = OrderDesk(judge=saying(advice(step("creatinine", CREATININE, instead=False)))).ask(
        order(), order("d2", HEAD_CT)
    )
    assert "CT Chest W contrast" in card["detail"]
    assert "CT Head" in card["detail"]


def test_what_takes_the_place_of_an_order_is_said_to_each_of_two_orders() -> None:
    cards = OrderDesk(judge=NO_IMAGING).ask(order(), order("d2", HEAD_CT))
    deleted = [one["suggestions"][0]["actions"][0]["resourceId"] for one in cards]
    assert deleted == ["ServiceRequest/draft-1", "ServiceRequest/d2"]


def test_a_card_is_about_the_same_for_as_long_as_the_same_exam_is_ordered() -> None:
    desk = OrderDesk(judge=NO_IMAGING)
    keys = []
    for one in (order("a"), order("b"), order("a", HEAD_CT)):
        desk.ask(one)
        keys.append(desk.calls[-1].shown[0].about.key)
    assert keys[0] == keys[1] != keys[2]
    about = desk.calls[-1].shown[0].about
    assert (about.pathway, about.site, about.study_instance_uid) == ("low_back_pain", "north", None)


def test_at_order_select_only_what_was_selected_is_judged() -> None:
    desk, both = OrderDesk(judge=NO_IMAGING), (order(), order("d2", HEAD_CT))
    for name in ("d2", "ServiceRequest/d2"):
        (card,) = desk.ask(*both, hook="order-select", selections=[name])
        assert card["summary"].startswith("CT Head: ")
    assert desk.ask(*both, hook="order-select", selections=[]) == []
    assert len(desk.ask(*both, hook="order-select")) == 2


# --- whose order


def test_an_order_of_another_patient_is_not_judged_and_somebody_has_to_look() -> None:
    desk = OrderDesk(judge=NO_IMAGING, acts=frozenset({ADVICE}))
    (card,) = desk.ask(order(subject={"reference": "Patient/2"}))
    assert card["indicator"] == "warning"
    assert "another patient" in card["summary"]
    assert "suggestions" not in card
    assert "systemActions" not in desk.answered


def test_a_patient_whom_sightline_does_not_know_is_judged_by_the_call_alone() -> None:
    desk = OrderDesk(held=kidneys(22), judge=NO_IMAGING, who=patient(identifiers=()))
    (card,) = desk.ask(order())
    assert "without Sightline's own record" in card["detail"].replace("\\", "")
    assert card["suggestions"]


@pytest.mark.parametrize("who", [patient(identifiers=()), patient(birth_date=TODAY)], ids=["unmapped", "contradiction"])
def test_where_it_is_in_doubt_who_the_patient_is_the_own_record_stays_closed(who: object) -> None:
    own = OrderDesk(held=kidneys(22), who=who)
    assert not any("22 mL" in one["detail"] for one in own.ask(order()))
    assert not own.fetched


def test_of_a_patient_in_doubt_what_our_own_record_might_hold_is_not_called_absent() -> None:
    sure, doubtful = Listening(), Listening()
    OrderDesk(held=kidneys(22), judge=sure).ask(order())
    OrderDesk(held=kidneys(22), judge=doubtful, who=patient(birth_date=TODAY)).ask(order())
    name = condition_codes.DIALYSIS.name
    assert isinstance(sure.cases[0].ehr.conditions[name], NotFoundSince)
    assert isinstance(doubtful.cases[0].ehr.conditions[name], Unknown)


def test_a_contradiction_of_who_the_patient_is_is_told_beside_the_advice() -> None:
    cards = OrderDesk(judge=NO_IMAGING, who=patient(birth_date=TODAY)).ask(order())
    assert [one["indicator"] for one in cards] == ["info", "info"]
    assert "in doubt" in cards[0]["summary"]
    assert cards[1]["suggestions"]


def test_a_check_is_told_the_order_the_day_and_no_findings() -> None:
    heard = Listening()
    OrderDesk(judge=heard).ask(order(priority="stat"))
    (case,) = heard.cases
    assert case.order is not None
    assert (case.order.priority, case.modality, case.outcomes, case.study_date) == (Priority.STAT, "CT", (), TODAY)
    assert heard.whose[0].identifiers == (MRN,)


# --- what broke


def test_checks_that_broke_are_told_in_one_card_while_the_others_answer() -> None:
    cards = OrderDesk(judge=saying(FAILED, advice(step()))).ask(order(), order("d2", HEAD_CT))
    (told,) = (one for one in cards if one["summary"].startswith("Not checked"))
    assert told["summary"] == "Not checked before this order: Headache"
    assert told["detail"].count("it failed") == 1
    assert len(cards) == 3


def test_where_every_check_broke_the_call_fails() -> None:
    with pytest.raises(NothingEvaluated):
        OrderDesk(judge=saying(FAILED)).ask(order())


def test_a_check_that_cannot_tell_is_silent() -> None:
    assert OrderDesk(judge=saying(CouldNotTell("x", "X", "no reason is stated"))).ask(order()) == []


# --- suggestions


@pytest.mark.requirement(133, 134)
def test_no_imaging_deletes_the_draft_and_creates_nothing() -> None:
    (card,) = OrderDesk(judge=NO_IMAGING).ask(order())
    assert actions(card) == [["delete"]]
    assert card["suggestions"][0]["actions"][0]["resourceId"] == "ServiceRequest/draft-1"
    assert card["selectionBehavior"] == "at-most-one"


@pytest.mark.requirement(125)
def test_a_better_exam_deletes_the_draft_before_it_creates_another() -> None:
    (card,) = OrderDesk(judge=saying(advice(SECOND))).ask(order())
    assert actions(card) == [["delete", "create"]]


@pytest.mark.parametrize("drafts", [[order(None)], [order("no/id")], [order("twice"), order("twice", HEAD_CT)]])
def test_a_draft_that_nobody_can_name_is_not_deleted_and_the_card_says_so(drafts: list[Json]) -> None:
    for card in OrderDesk(judge=saying(advice(step(), SECOND))).ask(*drafts):
        assert actions(card) == [["create"]]
        assert "has no id" in card["suggestions"][0]["actions"][0]["description"]
        assert "removes it by hand" in card["detail"]


@pytest.mark.requirement(122)
def test_of_suggestions_of_which_one_is_taken_at_most_one_is_recommended() -> None:
    (card,) = OrderDesk(judge=saying(advice(step(), step("us", ULTRASOUND)))).ask(order())
    assert [one.get("isRecommended") for one in card["suggestions"]] == [True, None]


def test_a_new_draft_keeps_what_belongs_to_the_order_that_it_replaces() -> None:
    kept: Json = {
        "encounter": {"reference": "Encounter/1"},
        "requester": {"reference": "Practitioner/123"},
        "subject": {"reference": "Patient/1288992", "display": "as the order names her"},
        "priority": "stat",
        "occurrenceDateTime": "2026-11-30",
        "reasonReference": [{"reference": "#why"}],
        "contained": [{"resourceType": "Condition", "id": "why"}, {"resourceType": "Condition", "id": "other"}],
    }
    (card,) = OrderDesk(judge=saying(advice(SECOND))).ask(order(**kept))
    made = card["suggestions"][0]["actions"][1]["resource"]
    assert {name: made[name] for name in kept if name != "contained"} == {
        name: value for name, value in kept.items() if name != "contained"
    }
    assert [one["id"] for one in made["contained"]] == ["why"]
    assert "occurrencePeriod" not in made
    assert "id" not in made
    assert made["code"]["coding"][0]["code"] == ULTRASOUND.code


def test_what_an_order_states_and_a_new_draft_does_not_is_named_where_it_is_accepted() -> None:
    stated = order(bodySite=[{"text": "left"}], orderDetail=[{"text": "thin"}], basedOn=[{"reference": "CarePlan/1"}])
    (card,) = OrderDesk(judge=saying(advice(SECOND))).ask(stated)
    made = card["suggestions"][0]["actions"][1]
    assert made["description"].endswith("Not taken over from that order: bodySite, orderDetail.")
    assert made["resource"]["basedOn"] == [{"reference": "CarePlan/1"}]
    (plain,) = OrderDesk(judge=saying(advice(SECOND))).ask(order())
    assert "Not taken over" not in plain["suggestions"][0]["actions"][1]["description"]


def test_a_new_draft_is_never_less_urgent_than_the_order_nor_than_the_step() -> None:
    urgent = draft(Basis(Site("S", "https://s.example"), "1"), step("us", ULTRASOUND, priority=Priority.URGENT))
    assert in_place_of(order(priority="stat"), urgent)["priority"] == "stat"
    assert in_place_of(order(priority="routine"), urgent)["priority"] == "urgent"
    assert in_place_of(order(priority="odd"), urgent)["priority"] == "urgent"


REFERENCES = st.builds(lambda name: {"reference": f"Encounter/{name}"}, st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True))
DAYS = st.dates().map(str)
KEPT = st.fixed_dictionaries(
    {},
    optional={
        "encounter": REFERENCES,
        "requester": REFERENCES,
        "authoredOn": DAYS,
        "occurrenceDateTime": DAYS,
        "reasonReference": st.lists(REFERENCES, min_size=1, max_size=2),
        "supportingInfo": st.lists(REFERENCES, min_size=1, max_size=2),
        "priority": st.sampled_from(["routine", "urgent", "asap", "stat"]),
        "reasonCode": st.lists(st.builds(lambda t: {"text": t}, st.sampled_from(["pain", "fever"])), max_size=2),
        "note": st.lists(st.builds(lambda t: {"text": t}, st.sampled_from(["left", "claustrophobic"])), max_size=2),
        "bodySite": st.just([{"text": "left"}]),
    },
)


@given(members=KEPT)
def test_nothing_that_was_stated_is_lost_in_a_draft_that_replaces_an_order_and_it_is_valid_r4(members: Json) -> None:
    made = in_place_of(order(**members), draft(Basis(Site("S", "https://s.example"), "1288992"), SECOND))
    ServiceRequest.model_validate(json.loads(json.dumps(made)))
    for name in members.keys() - {"priority", "bodySite", "reasonCode", "note"}:
        assert made[name] == members[name]
    for name in ("reasonCode", "note"):
        stated = members.get(name, [])
        assert cast("list[Json]", made[name])[: len(stated)] == stated
    assert made["status"] == "draft"
    assert (made["subject"], made["intent"]) == ({"reference": "Patient/1288992"}, "proposal")


# --- acting without asking


SAFETY = advice(
    pathway=iodinated_contrast.ID,
    inputs=(used("eGFR", "22 mL/min/1.73 m²"), used("dialysis", "none found")),
)
BACK = advice(inputs=(used("fever", "yes"),))


def acting(**changes: Any) -> OrderDesk:
    """A site that lets the service act."""
    return replace(OrderDesk(judge=saying(SAFETY, BACK), acts=frozenset({ADVICE})), **changes)


def test_an_order_that_is_signed_carries_the_values_of_its_safety_as_a_note() -> None:
    desk, stated = acting(), order(note=[{"text": "left side"}], category=IMAGING)
    desk.ask(stated)
    (action,) = desk.answered["systemActions"]
    assert action["type"] == "update"
    first, second = action["resource"]["note"]
    assert first == {"text": "left side"}
    assert "eGFR: 22 mL/min/1.73 m² (2026-11-19, HL7 LAB|HOSPITAL)" in second["text"]
    assert "dialysis" not in second["text"]
    assert "fever" not in second["text"]
    assert {**action["resource"], "note": [first]} == stated
    ServiceRequest.model_validate(action["resource"])


def test_a_note_is_written_once() -> None:
    desk = acting()
    desk.ask(order())
    (action,) = desk.answered["systemActions"]
    desk.ask(action["resource"])
    assert "systemActions" not in desk.answered


@pytest.mark.parametrize(
    ("desk", "hook", "drafts"),
    [
        (acting(acts=frozenset()), "order-sign", order()),
        (acting(), "order-select", order()),
        (acting(judge=saying(BACK)), "order-sign", order()),
        (acting(who=patient(birth_date=TODAY)), "order-sign", order()),
        (acting(), "order-sign", order(None)),
    ],
    ids=["not agreed", "not being signed", "nothing of safety", "in doubt", "without an id"],
)
def test_nothing_is_done_without_asking_where_it_was_not_agreed_or_is_not_sure(
    desk: OrderDesk, hook: str, drafts: Json
) -> None:
    assert desk.ask(drafts, hook=hook)
    assert "systemActions" not in desk.answered


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=5,
)


@given(extra=st.dictionaries(st.from_regex(r"_?[a-z]{3,8}", fullmatch=True), JSON, max_size=4))
def test_a_note_changes_nothing_else_of_an_order_whatever_it_has(extra: Json) -> None:
    stated = {**extra, **order(category=IMAGING)}
    desk = acting()
    desk.ask(stated)
    for action in desk.answered.get("systemActions", []):
        rest = {name: value for name, value in action["resource"].items() if name != "note"}
        assert rest == {name: value for name, value in stated.items() if name != "note"}


def test_without_any_record_at_all_a_check_asks_rather_than_tells() -> None:
    cards = OrderDesk(held=RecordStatements(), reports=()).ask(order())
    assert {one["source"]["label"] for one in cards}
    assert not any(action == ["delete"] for one in cards for action in actions(one))
    assert any("Missing" in one["detail"] for one in cards)


def _imaged(procedure: Coding | None) -> Report:
    """A stored CT of the chest of the day before; `procedure` is what its order asked for."""
    day = TODAY - timedelta(days=1)
    drawn = report(of=replace(study(), study_date=day))
    placed = Placed(None, None, None, MRN, OrderStatus.COMPLETED, procedure=procedure) if procedure else None
    return replace(drawn, order=placed)


@pytest.mark.parametrize("code", ["24627-2", "24628-0", "29252-4"])
def test_an_exam_of_which_the_images_are_here_is_an_earlier_one_whatever_the_ehr_says(code: str) -> None:
    again = order(exam=(code, "CT Chest"))
    desk = OrderDesk(reports=(_imaged(Coding(LOINC, code, "CT Chest")),))
    (card,) = [one for one in desk.ask(again) if "exam is on record" in one["summary"]]
    assert f"{TODAY - timedelta(days=1)}" in card["detail"]
    assert "Sightline's own images" in card["detail"]


def test_images_of_which_no_order_says_what_they_are_are_no_earlier_exam() -> None:
    desk = OrderDesk(reports=(_imaged(None),))
    assert not any("own images" in one["detail"] for one in desk.ask(order(exam=("24627-2", "CT Chest"))))
