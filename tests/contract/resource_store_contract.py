"""What every ResourceStore does. A subclass named Test… gives the fixture `make_store`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from cds.domain.resource import NewResource, ResourceQuery
from cds.errors import InvalidResource, NotFound
from cds.ports import ResourceStore
from tests.contract.memory_store import Commit

MakeStore = Callable[[Sequence[Commit]], ResourceStore]

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
ANNA, BORIS = "9f1c7d1e-0000-4000-8000-00000000000a", "9f1c7d1e-0000-4000-8000-00000000000b"


def observation(
    number: int,
    *,
    status: str = "preliminary",
    patient: str | None = ANNA,
    identifiers: tuple[tuple[str, str], ...] = (),
    resource_type: str = "Observation",
) -> NewResource:
    """A resource that differs from others by its number alone."""
    resource_id = f"00000000-0000-4000-8000-{number:012d}"
    body: dict[str, object] = {"resourceType": resource_type, "id": resource_id, "status": status}
    return NewResource(resource_type, resource_id, body, patient, identifiers)


def at(minutes: int, *resources: NewResource) -> Commit:
    """A commit so many minutes after the start."""
    return Commit(START + timedelta(minutes=minutes), resources)


class ResourceStoreContract:
    """Every test gets an empty place to commit into, in the order given."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """A store into which the commits were made."""
        raise NotImplementedError

    def test_a_resource_is_read_with_its_version_and_time_in_its_body(self, make_store: MakeStore) -> None:
        one = observation(1)
        stored = make_store([at(0, one)]).read("Observation", one.id)
        body = orjson.loads(stored.body)
        assert (stored.type, stored.id, stored.version, stored.last_updated) == ("Observation", one.id, 1, START)
        assert body["meta"]["versionId"] == "1"
        assert datetime.fromisoformat(body["meta"]["lastUpdated"]) == START
        assert {name: body[name] for name in one.body} == one.body

    def test_a_changed_resource_is_a_new_version_and_the_old_one_stays(self, make_store: MakeStore) -> None:
        one, changed = observation(1), observation(1, status="entered-in-error")
        store = make_store([at(0, one), at(5, changed)])
        assert store.read("Observation", one.id).version == 2
        assert orjson.loads(store.vread("Observation", one.id, 1).body)["status"] == "preliminary"
        assert [stored.version for stored in store.history("Observation", one.id)] == [2, 1]

    def test_an_unchanged_resource_gets_no_version(self, make_store: MakeStore) -> None:
        store = make_store([at(0, observation(1)), at(5, observation(1))])
        assert len(store.history("Observation", observation(1).id)) == 1

    def test_what_is_not_there_is_not_found(self, make_store: MakeStore) -> None:
        one = observation(1)
        store = make_store([at(0, one)])
        with pytest.raises(NotFound):
            store.read("Observation", observation(2).id)
        with pytest.raises(NotFound):
            store.read("Device", one.id)
        with pytest.raises(NotFound):
            store.vread("Observation", one.id, 2)
        with pytest.raises(NotFound):
            store.history("Observation", observation(2).id)

    def test_a_search_finds_current_versions_of_one_type_and_patient(self, make_store: MakeStore) -> None:
        store = make_store(
            [
                at(0, observation(1), observation(2, patient=BORIS), observation(3, patient=None)),
                at(1, observation(4, resource_type="RiskAssessment")),
                at(2, observation(1, status="entered-in-error")),
            ]
        )
        page = store.search(ResourceQuery("Observation", patient_id=ANNA))
        assert [(stored.id, stored.version) for stored in page.resources] == [(observation(1).id, 2)]
        assert (page.total, page.next) == (1, None)
        assert store.search(ResourceQuery("Observation", patient_id="nobody")).total == 0

    def test_an_identifier_is_found_with_its_system_and_without(self, make_store: MakeStore) -> None:
        store = make_store(
            [
                at(0, observation(1, identifiers=(("urn:a", "7"), ("urn:b", "8")))),
                at(1, observation(2, identifiers=(("urn:b", "7"),))),
            ]
        )

        def found(system: str | None, value: str) -> list[str]:
            page = store.search(ResourceQuery("Observation", identifier=(system, value)))
            return [stored.id for stored in page.resources]

        assert found(None, "7") == [observation(1).id, observation(2).id]
        assert found("urn:b", "7") == [observation(2).id]
        assert found("urn:b", "8") == [observation(1).id]
        assert found("", "7") == []

    @pytest.mark.parametrize(
        ("bounds", "numbers"),
        [
            ([("eq", 1)], [2]),
            ([("lt", 1)], [1]),
            ([("le", 1)], [1, 2]),
            ([("gt", 1)], [3]),
            ([("ge", 1)], [2, 3]),
            ([("ge", 1), ("lt", 2)], [2]),
        ],
    )
    def test_last_updated_bounds_a_search(
        self, make_store: MakeStore, bounds: list[tuple[str, int]], numbers: list[int]
    ) -> None:
        store = make_store([at(i, observation(i + 1)) for i in range(3)])
        moments = tuple((prefix, START + timedelta(minutes=minutes)) for prefix, minutes in bounds)
        page = store.search(ResourceQuery("Observation", last_updated=moments))
        assert [stored.id for stored in page.resources] == [observation(n).id for n in numbers]

    def test_pages_give_every_match_once_oldest_change_first(self, make_store: MakeStore) -> None:
        together = [observation(n) for n in range(1, 6)]
        store = make_store([at(1, *together), at(0 + 2, observation(9)), at(3, observation(7))])
        found, after, totals = [], None, set()
        while True:
            page = store.search(ResourceQuery("Observation", count=2, after=after))
            found += [stored.id for stored in page.resources]
            totals.add(page.total)
            if page.next is None:
                break
            assert len(page.resources) == 2
            after = page.next
        assert found == [*sorted(o.id for o in together), observation(9).id, observation(7).id]
        assert totals == {7}

    def test_a_change_between_pages_loses_nothing(self, make_store: MakeStore) -> None:
        before = [at(0, observation(1), observation(2), observation(3))]
        cursor = make_store(before).search(ResourceQuery("Observation", count=1)).next
        later = make_store([*before, at(1, observation(3, status="final"))])
        page = later.search(ResourceQuery("Observation", count=9, after=cursor))
        assert [stored.id for stored in page.resources] == [observation(2).id, observation(3).id]

    def test_a_count_of_zero_gives_the_total_alone(self, make_store: MakeStore) -> None:
        page = make_store([at(0, observation(1), observation(2))]).search(ResourceQuery("Observation", count=0))
        assert (page.resources, page.total, page.next) == ((), 2, None)

    @pytest.mark.parametrize("cursor", ["nonsense", "%00", "AAAA", "é"])
    def test_a_cursor_that_nobody_gave_is_refused(self, make_store: MakeStore, cursor: str) -> None:
        store = make_store([at(0, observation(1))])
        with pytest.raises(InvalidResource):
            store.search(ResourceQuery("Observation", after=cursor))
