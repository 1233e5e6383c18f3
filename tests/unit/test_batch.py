"""What a batch knows, and what it leaves to the database."""

from __future__ import annotations

from datetime import UTC, datetime

from cds.store.batch import Batch, Shelf
from cds.store.tables import OrderRow, PatientRow

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def asked() -> list[str]:
    return ["of the database"]


def order(patient_id: str) -> OrderRow:
    number = {"placer_order_number": "PL1|EHR"}
    return OrderRow(id="o", patient_id=patient_id, status="active", body="", created_at=NOW, updated_at=NOW, **number)


def test_a_shelf_answers_what_was_foreseen_and_leaves_the_rest_to_the_database() -> None:
    shelf = Shelf[str, str]()
    shelf.foresee(["a", "b"])
    shelf.put("a", "one")
    shelf.put("c", "never foreseen")
    assert shelf.all("a", asked) == ["one"]
    assert shelf.all("b", asked) == []
    assert shelf.all("c", asked) == asked()
    assert shelf.all_of(["a", "b"], asked) == ["one"]
    assert shelf.all_of(["a", "c"], asked) == asked()


def test_only_what_was_foreseen_is_known_to_be_absent() -> None:
    shelf = Shelf[str, str]()
    shelf.foresee(["a", "b"])
    shelf.put("a", "one")
    assert [shelf.is_empty(key) for key in "abc"] == [False, True, False]
    shelf.forget("b")
    assert not shelf.is_empty("b")


def test_what_is_foreseen_again_keeps_its_rows() -> None:
    shelf = Shelf[str, str]()
    shelf.foresee(["a"])
    shelf.put("a", "one")
    shelf.put("a", "one")
    shelf.foresee(["a"])
    assert shelf.all("a", asked) == ["one"]


def test_orders_of_patients_whom_the_batch_does_not_know_are_asked_of_the_database() -> None:
    batch, new, known = Batch(), order("new"), order("known")
    batch.orders_with["placer_order_number"].foresee(["PL1|EHR"])
    batch.born(PatientRow(id="new", updated_at=NOW))
    batch.ordered(new)
    assert batch.orders(["new"], "placer_order_number", "PL1|EHR", lambda: [known]) == [new]
    assert batch.orders(["new", "known"], "placer_order_number", "PL1|EHR", lambda: [known, new]) == [known, new]
