"""What every ResourceStore does. A subclass named Test… gives the fixture `make_store`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from cds.domain.resource import NewResource, ResourcePage, StoredResource
from cds.domain.search import Criterion, IndexEntry, Kind, ResourceQuery, Sort, Wanted
from cds.errors import InvalidResource, NotFound
from cds.ports import ResourceStore
from tests.contract.memory_store import Commit

MakeStore = Callable[[Sequence[Commit]], ResourceStore]

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
ANNA, BORIS = "9f1c7d1e-0000-4000-8000-00000000000a", "9f1c7d1e-0000-4000-8000-00000000000b"


def id_of(number: int) -> str:
    """The id of the resource with this number."""
    return f"00000000-0000-4000-8000-{number:012d}"


def resource(
    number: int, *index: IndexEntry, resource_type: str = "Observation", status: str = "", patient: str | None = None
) -> NewResource:
    """A resource that is found by what is said here and by nothing else."""
    body: dict[str, object] = {"resourceType": resource_type, "id": id_of(number), "status": status}
    return NewResource(resource_type, id_of(number), body, patient, index=index, edition=1)


def observation(
    number: int,
    *,
    status: str = "preliminary",
    patient: str | None = ANNA,
    identifiers: tuple[tuple[str, str], ...] = (),
    resource_type: str = "Observation",
) -> NewResource:
    """A resource that differs from others by its number alone."""
    body: dict[str, object] = {"resourceType": resource_type, "id": id_of(number), "status": status}
    entries = [IndexEntry("status", "token", status)]
    entries += [IndexEntry("identifier", "token", value, system) for system, value in identifiers]
    if patient is not None:
        entries.append(IndexEntry("subject", "reference", f"Patient/{patient}"))
    return NewResource(resource_type, id_of(number), body, patient, identifiers, index=tuple(entries), edition=1)


def person(key: str, *index: IndexEntry, made_by: tuple[str, ...] = ()) -> NewResource:
    """A Patient, who is her own."""
    body: dict[str, object] = {"resourceType": "Patient", "id": key}
    return NewResource("Patient", key, body, key, index=index, made_by=made_by, edition=1)


def at(minutes: int, *resources: NewResource) -> Commit:
    """A commit so many minutes after the start."""
    return Commit(START + timedelta(minutes=minutes), resources)


def minute(number: int) -> tuple[float, float]:
    """The range that a minute after the start is, in seconds since 1970."""
    low = (START + timedelta(minutes=number)).timestamp()
    return low, low + 60


def token(param: str, *values: str, kind: Kind = "token") -> Criterion:
    """A parameter that has one of these values, "system|value" or "value" in any system."""
    any_of = []
    for value in values:
        system, bar, code = value.rpartition("|")
        any_of.append(Wanted(code or None, system if bar else None))
    return Criterion(param, kind, tuple(any_of))


def of(patient: str) -> Criterion:
    """What is this patient's."""
    return token("subject", f"Patient/{patient}", kind="reference")


def ids(page: ResourcePage) -> list[str]:
    """The matches of a page."""
    return [stored.id for stored in page.resources]


def numbers(page: ResourcePage) -> list[int]:
    """The matches of a page by the numbers that they were made with."""
    return [int(stored.id[-12:]) for stored in page.resources]


def all_pages(store: ResourceStore, query: ResourceQuery) -> list[StoredResource]:
    """The matches of a search page by page, and that each page but the last is full."""
    found: list[StoredResource] = []
    after = query.after
    while True:
        asked = ResourceQuery(
            query.type, query.criteria, query.includes, query.sort, query.count, query.total, after, query.compartment
        )
        page = store.search(asked)
        found += page.resources
        if page.next is None:
            return found
        assert len(page.resources) == query.count
        after = page.next


class ResourceStoreContract:
    """Every test gets an empty place to commit into, in the order given."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """A store into which the commits were made."""
        raise NotImplementedError

    # --- read, vread, history

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
        versions = store.history("Observation", one.id).resources
        assert [stored.version for stored in versions] == [2, 1]
        assert [stored.last_updated for stored in versions] == [START + timedelta(minutes=5), START]

    def test_an_unchanged_resource_gets_no_version(self, make_store: MakeStore) -> None:
        store = make_store([at(0, observation(1)), at(5, observation(1))])
        assert len(store.history("Observation", observation(1).id).resources) == 1

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

    def test_a_history_is_read_page_by_page_newest_first_and_its_length_is_known(self, make_store: MakeStore) -> None:
        store = make_store([at(n, observation(1, status=f"s{n}")) for n in range(5)])
        first = store.history("Observation", id_of(1), count=2)
        assert ([v.version for v in first.resources], first.total, first.next) == ([5, 4], 5, "4")
        second = store.history("Observation", id_of(1), count=2, before=4)
        assert ([v.version for v in second.resources], second.total, second.next) == ([3, 2], 5, "2")
        last = store.history("Observation", id_of(1), count=2, before=2)
        assert ([v.version for v in last.resources], last.total, last.next) == ([1], 5, None)

    def test_versions_of_a_former_patient_are_nobodys_who_sees_one_compartment(self, make_store: MakeStore) -> None:
        moved = observation(1, status="corrected", patient=BORIS)
        store = make_store([at(0, observation(1)), at(1, moved), at(2, replace(moved, body={**moved.body, "x": "y"}))])
        assert store.read("Observation", id_of(1), compartment=BORIS).version == 3
        assert store.vread("Observation", id_of(1), 2, compartment=BORIS).version == 2
        page = store.history("Observation", id_of(1), compartment=BORIS)
        assert ([stored.version for stored in page.resources], page.total, page.next) == ([3, 2], 2, None)
        first = store.history("Observation", id_of(1), compartment=BORIS, count=1, before=3)
        assert ([stored.version for stored in first.resources], first.total, first.next) == ([2], 2, None)
        for patient, version in ((BORIS, 1), (ANNA, 1), (ANNA, 2), ("nobody", 1)):
            with pytest.raises(NotFound):
                store.vread("Observation", id_of(1), version, compartment=patient)
        for ask in (store.read, store.history):
            with pytest.raises(NotFound):
                ask("Observation", id_of(1), compartment=ANNA)

    def test_what_is_nobodys_is_read_from_every_compartment(self, make_store: MakeStore) -> None:
        store = make_store([at(0, observation(1, resource_type="Device", patient=None), observation(2, patient=None))])
        assert store.read("Device", id_of(1), compartment=ANNA).version == 1
        assert store.vread("Device", id_of(1), 1, compartment=ANNA).version == 1
        assert store.history("Device", id_of(1), compartment=ANNA).total == 1
        assert ids(store.search(ResourceQuery("Device", compartment=ANNA))) == [id_of(1)]
        with pytest.raises(NotFound):
            store.read("Observation", id_of(2), compartment=ANNA)

    # --- search: which resources

    def test_a_search_finds_current_versions_of_one_type_and_patient(self, make_store: MakeStore) -> None:
        store = make_store(
            [
                at(0, observation(1), observation(2, patient=BORIS), observation(3, patient=None)),
                at(1, observation(4, resource_type="RiskAssessment")),
                at(2, observation(1, status="entered-in-error")),
            ]
        )
        page = store.search(ResourceQuery("Observation", (of(ANNA),)))
        assert [(stored.id, stored.version) for stored in page.resources] == [(observation(1).id, 2)]
        assert (page.total, page.next) == (1, None)
        assert store.search(ResourceQuery("Observation", (of("nobody"),))).total == 0

    def test_a_new_version_is_found_by_what_it_says_and_not_by_what_the_former_said(
        self, make_store: MakeStore
    ) -> None:
        store = make_store([at(0, observation(1)), at(1, observation(1, status="amended"))])
        assert ids(store.search(ResourceQuery("Observation", (token("status", "amended"),)))) == [id_of(1)]
        assert ids(store.search(ResourceQuery("Observation", (token("status", "preliminary"),)))) == []

    def test_a_compartment_has_what_is_the_patients_and_the_patient(self, make_store: MakeStore) -> None:
        store = make_store([at(0, person(ANNA), person(BORIS), observation(1), observation(2, patient=BORIS))])
        assert ids(store.search(ResourceQuery("Observation", compartment=BORIS))) == [id_of(2)]
        assert ids(store.search(ResourceQuery("Patient", compartment=BORIS))) == [BORIS]
        assert ids(store.search(ResourceQuery("Observation", (of(ANNA),), compartment=BORIS))) == []
        named = Criterion("_id", "token", (Wanted(id_of(1)), Wanted(id_of(2))))
        assert ids(store.search(ResourceQuery("Observation", (named,), compartment=BORIS))) == [id_of(2)]

    # --- pages

    def test_pages_give_every_match_once_oldest_change_first(self, make_store: MakeStore) -> None:
        together = [observation(n) for n in range(1, 6)]
        store = make_store([at(1, *together), at(2, observation(9)), at(3, observation(7))])
        found = [stored.id for stored in all_pages(store, ResourceQuery("Observation", count=2))]
        assert set(found[:5]) == {o.id for o in together}
        assert found[5:] == [observation(9).id, observation(7).id]

    @pytest.mark.parametrize("criteria", [(), (of(ANNA),), (token("status", "preliminary"), of(ANNA))])
    @pytest.mark.parametrize("param", ["_lastUpdated", "_id", "date"])
    @pytest.mark.parametrize("descending", [False, True])
    def test_pages_in_any_order_have_every_match_once(
        self, make_store: MakeStore, param: str, descending: bool, criteria: tuple[Criterion, ...]
    ) -> None:
        def dated(number: int, *minutes: int) -> NewResource:
            dates = tuple(IndexEntry("date", "date", low=minute(m)[0], high=minute(m)[1]) for m in minutes)
            others = observation(number).index
            return resource(number, *others, *dates, patient=ANNA)

        commits = [
            at(5, dated(1, 30), dated(2, 10), dated(3)),
            at(1, dated(4, 20, 40), dated(5, 20), dated(6)),
            at(3, dated(7, 20)),
        ]
        orders = {
            "_lastUpdated": ([[4, 5, 6], [7], [1, 2, 3]], [[1, 2, 3], [7], [4, 5, 6]]),
            "_id": ([[n] for n in range(1, 8)], [[n] for n in range(7, 0, -1)]),
            "date": ([[2], [4, 5, 7], [1], [3, 6]], [[4], [1], [5, 7], [2], [3, 6]]),
        }
        store = make_store(commits)
        for count in (1, 2, 3, 50):
            query = ResourceQuery("Observation", criteria, sort=Sort(param, descending), count=count)
            found = [int(stored.id[-12:]) for stored in all_pages(store, query)]
            assert len(found) == 7
            for group in orders[param][descending]:
                assert sorted(found[: len(group)]) == group
                found = found[len(group) :]

    def test_a_change_between_pages_loses_nothing(self, make_store: MakeStore) -> None:
        before = [at(0, observation(1), observation(2), observation(3))]
        first = make_store(before).search(ResourceQuery("Observation", count=1))
        assert ids(first) == [id_of(1)]
        later = make_store([*before, at(1, observation(3, status="final"))])
        page = later.search(ResourceQuery("Observation", count=9, after=first.next))
        assert ids(page) == [observation(2).id, observation(3).id]

    def test_a_change_between_pages_that_are_sorted_by_id_or_date_shows_nothing_twice(
        self, make_store: MakeStore
    ) -> None:
        def dated(number: int, status: str = "") -> NewResource:
            low, high = minute(7)
            return resource(number, IndexEntry("date", "date", low=low, high=high), status=status)

        before = [at(0, *(dated(n) for n in range(1, 5)))]
        changed = [*before, at(1, dated(1, "final"), dated(3, "final")), at(2, dated(9))]
        for sort in (Sort("_id"), Sort("date"), Sort("date", descending=True), Sort("_id", descending=True)):
            first = make_store(before).search(ResourceQuery("Observation", sort=sort, count=2))
            rest = make_store(changed).search(ResourceQuery("Observation", sort=sort, count=9, after=first.next))
            found = ids(first) + ids(rest)
            assert len(found) == len(set(found))
            assert {id_of(n) for n in range(1, 5)} <= set(found)

    def test_the_total_is_known_where_it_is_asked_for_or_all_is_on_the_page(self, make_store: MakeStore) -> None:
        store = make_store([at(0, *(observation(n) for n in range(1, 6)))])
        assert store.search(ResourceQuery("Observation", count=2)).total is None
        assert store.search(ResourceQuery("Observation", count=5)).total == 5
        asked = ResourceQuery("Observation", (of(ANNA),), count=2, total="accurate")
        first = store.search(asked)
        assert first.total == 5
        second = ResourceQuery("Observation", (of(ANNA),), count=2, total="accurate", after=first.next)
        assert store.search(second).total == 5

    def test_a_count_of_zero_gives_the_total_alone(self, make_store: MakeStore) -> None:
        store = make_store([at(0, observation(1), observation(2), observation(3, patient=BORIS))])
        page = store.search(ResourceQuery("Observation", count=0))
        assert (page.resources, page.total, page.next) == ((), 3, None)
        page = store.search(ResourceQuery("Observation", (of(ANNA),), count=0))
        assert (page.resources, page.total, page.next) == ((), 2, None)

    @pytest.mark.parametrize("cursor", ["nonsense", "%00", "AAAA", "é", "W10=", "WzEsMiwzXQ", "bnVsbA"])
    def test_a_cursor_that_nobody_gave_is_refused(self, make_store: MakeStore, cursor: str) -> None:
        store = make_store([at(0, observation(1), person(ANNA))])
        with pytest.raises(InvalidResource):
            store.search(ResourceQuery("Observation", after=cursor))
        with pytest.raises(InvalidResource):
            store.everything(ANNA, after=cursor)

    # --- everything

    def test_everything_is_the_patient_what_is_hers_and_the_devices_that_it_names_once(
        self, make_store: MakeStore
    ) -> None:
        def by(number: int, device: int, patient: str = ANNA) -> NewResource:
            entry = IndexEntry("device", "reference", f"Device/{id_of(device)}")
            return resource(number, entry, patient=patient)

        devices = [resource(n, resource_type="Device") for n in (100, 101, 102)]
        store = make_store(
            [
                at(0, *devices, person(BORIS), by(50, 102, BORIS)),
                at(1, by(1, 100), by(2, 100), by(3, 101)),
                at(2, person(ANNA)),
                at(3, resource(4, resource_type="RiskAssessment", patient=ANNA)),
            ]
        )
        hers = [id_of(1), id_of(2), id_of(3), ANNA, id_of(4), id_of(100), id_of(101)]
        whole = store.everything(ANNA)
        assert (sorted(ids(whole)), whole.total, whole.next) == (sorted(hers), 7, None)
        for count in (1, 2, 3, 6):
            found: list[str] = []
            after = None
            while True:
                page = store.everything(ANNA, count=count, after=after)
                found += ids(page)
                if page.next is None:
                    break
                assert len(page.resources) == count
                after = page.next
            assert sorted(found) == sorted(hers)
            assert found.index(ANNA) == 3

    def test_everything_can_be_limited_to_types_and_to_what_changed_since(self, make_store: MakeStore) -> None:
        store = make_store([at(0, person(ANNA), observation(1)), at(5, observation(2, resource_type="RiskAssessment"))])
        assert ids(store.everything(ANNA, types=("RiskAssessment",))) == [id_of(2)]
        assert ids(store.everything(ANNA, types=("Patient",))) == [ANNA]
        assert ids(store.everything(ANNA, since=START + timedelta(minutes=5))) == [id_of(2)]
        assert store.everything(ANNA, since=START + timedelta(minutes=6)).total == 0

    def test_everything_of_nobody_is_not_found(self, make_store: MakeStore) -> None:
        store = make_store([at(0, person(ANNA), observation(1, patient=BORIS))])
        with pytest.raises(NotFound):
            store.everything(BORIS)
