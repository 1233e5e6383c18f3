"""The port over tables: by every way that a search may go, and without what is switched off or in doubt.

A subclass named Test… gives the fixture `databases`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from cds.domain.search import Criterion, Include, IndexEntry, ResourceQuery, Sort, Wanted
from cds.errors import InvalidResource, NotFound
from cds.store.resource_cursor import Cursor
from cds.store.resource_plan import Sizes
from cds.store.resource_versions import put_all
from cds.store.resources import SqlResourceStore
from cds.store.tables import StudyRow
from tests.contract.memory_store import Commit
from tests.contract.resource_index_contract import commit
from tests.contract.resource_oracle_contract import MakeStores, SearchOracleContract
from tests.contract.resource_search_contract import ResourceSearchContract, SearchBoundsContract
from tests.contract.resource_store_contract import (
    ANNA,
    BORIS,
    START,
    MakeStore,
    ResourceStoreContract,
    at,
    id_of,
    ids,
    numbers,
    observation,
    of,
    person,
    resource,
    token,
)
from tests.databases import Databases


class SqlResourceStoreContract(
    ResourceStoreContract, ResourceSearchContract, SearchBoundsContract, SearchOracleContract
):
    """All of the port, over tables."""

    @pytest.fixture
    def databases(self) -> Databases:
        """Empty ones."""
        raise NotImplementedError

    @pytest.fixture
    def make_store(self, databases: Databases) -> MakeStore:
        """Each commit in a transaction of its own, as reports do it; what is committed already stays."""

        def make(commits: Sequence[Commit]) -> SqlResourceStore:
            for one in commits:
                with databases.app.writing() as session:
                    put_all(session, [(resource, None) for resource in one.resources], one.at)
            return SqlResourceStore(databases.app, edition=1)

        return make

    @pytest.fixture
    def make_stores(self, databases: Databases, make_store: MakeStore) -> MakeStores:
        """One that goes the ways of a small store, and others that go those of larger ones."""

        def make(commits: Sequence[Commit]) -> Sequence[SqlResourceStore]:
            make_store(commits)
            sizes = (Sizes(), Sizes(few=2, many=3, most=4, values=1), Sizes(few=5, many=30, most=60, values=2))
            return [SqlResourceStore(databases.app, edition=1, sizes=one) for one in sizes]

        return make

    @pytest.mark.parametrize(
        ("sort", "content"),
        [
            ("_lastUpdated", [1.5, 1]), ("_lastUpdated", ["x", 1]), ("_lastUpdated", [True, 1]),
            ("_lastUpdated", [1, 1.5]), ("_lastUpdated", [2**63, 1]), ("_lastUpdated", [1, 2**63]),
            ("_id", [1, 1]), ("_id", ["a\0b", 1]), ("date", ["x", 1]), ("date", [None, 1]), ("date", [1.0, "1"]),
            ("date", [1.0]), ("_id", {"x": 1}),
        ],
    )  # fmt: skip
    def test_a_cursor_of_another_order_is_refused(self, make_store: MakeStore, sort: str, content: object) -> None:
        cursor = base64.urlsafe_b64encode(orjson.dumps(content)).decode()
        store = make_store([at(0, observation(1))])
        with pytest.raises(InvalidResource):
            store.search(ResourceQuery("Observation", sort=Sort(sort), after=cursor))

    @pytest.mark.parametrize("criteria", [(), (of(ANNA),)])
    @pytest.mark.parametrize("number", [-(2**62), 0, 2**62])
    def test_a_cursor_may_lie_beyond_everything(
        self, make_store: MakeStore, number: int, criteria: tuple[Criterion, ...]
    ) -> None:
        store = make_store([at(0, person(ANNA), observation(1))])
        for sort, key in (("_lastUpdated", 2**62), ("date", 1e302), ("_id", "~")):
            for descending in (False, True):
                after = Cursor(key, number).text
                query = ResourceQuery("Observation", criteria, sort=Sort(sort, descending), after=after)
                assert ids(store.search(query)) == ([id_of(1)] if descending else [])
        assert ids(store.everything(ANNA, after=Cursor(f"hers {10**30}", number).text)) == []

    def test_what_many_have_under_several_systems_is_counted_once(
        self, databases: Databases, make_store: MakeStore
    ) -> None:
        twice = [IndexEntry("code", "token", "x", system) for system in ("urn:a", "urn:b")]
        make_store([at(0, *(resource(n, *twice) for n in range(1, 4)), resource(4, twice[0]))])
        many = SqlResourceStore(databases.app, edition=1, sizes=Sizes(few=1, many=1, most=1))
        query = ResourceQuery("Observation", (token("code", "x"),), count=2, total="accurate")
        assert many.search(query).total == 4
        assert many.search(replace(query, criteria=(token("code", "urn:b|x", "urn:a|x"),))).total == 4
        assert numbers(many.search(replace(query, count=50))) == [1, 2, 3, 4]

    def test_days_that_lie_apart_may_be_asked_for_at_once(self, databases: Databases, make_store: MakeStore) -> None:
        def day(number: int) -> tuple[float, float]:
            low = (START + timedelta(days=number)).timestamp()
            return low, low + 86_400

        dates = [IndexEntry("date", "date", low=day(n)[0], high=day(n)[1]) for n in range(9)]
        store = make_store([at(0, *(resource(n, entry) for n, entry in enumerate(dates)))])
        either = (
            Wanted(prefix="lt", low=day(2)[0], high=day(2)[1]),
            Wanted(prefix="ge", low=day(6)[0], high=day(6)[1]),
        )
        until = Wanted(prefix="lt", low=day(8)[0], high=day(8)[1])
        criteria = Criterion("date", "date", either), Criterion("date", "date", (until,))
        for sizes in (Sizes(), Sizes(few=1, many=1, most=1)):
            ways = SqlResourceStore(databases.app, edition=1, sizes=sizes)
            for sort in (Sort(), Sort("date"), Sort("date", descending=True)):
                page = ways.search(ResourceQuery("Observation", criteria, sort=sort))
                assert sorted(numbers(page)) == [0, 1, 6, 7]
        assert store.search(ResourceQuery("Observation", criteria[::-1], count=0)).total == 4


class ResourceVisibilityContract:
    """What is switched off or in doubt is nowhere to be seen, found or guessed."""

    @pytest.fixture
    def databases(self) -> Databases:
        """Empty ones."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, databases: Databases) -> SqlResourceStore:
        """Anna by a model that is switched off, Boris by none; a finding of each; a report on both findings."""
        named = [IndexEntry("identifier", "token", value) for value in ("1", "2")]
        results = [IndexEntry("result", "reference", f"Observation/{id_of(n)}") for n in (1, 2)]
        report = resource(5, *results, resource_type="DiagnosticReport")
        hidden = replace(observation(1), made_by=("model:off",))
        commit(
            databases,
            person(ANNA, named[0], made_by=("model:off",)),
            person(BORIS, named[1]),
            hidden,
            observation(2, patient=BORIS),
            observation(3, patient=ANNA),
            report,
        )
        return SqlResourceStore(databases.app, lambda: {"model:off", "pathway:100%"}, edition=1)

    def test_what_is_hidden_is_found_in_no_order_and_not_counted(self, store: SqlResourceStore) -> None:
        for param in ("_lastUpdated", "_id", "date"):
            page = store.search(ResourceQuery("Observation", sort=Sort(param), count=1, total="accurate"))
            assert (ids(page), page.total) == ([id_of(2)], 2)
        assert ids(store.search(ResourceQuery("Observation", (of(ANNA),)))) == [id_of(3)]
        assert store.search(ResourceQuery("Observation", (token("status", "preliminary"),), count=0)).total == 2
        named = Criterion("_id", "token", (Wanted(id_of(1)), Wanted(id_of(2))))
        assert ids(store.search(ResourceQuery("Observation", (named,)))) == [id_of(2)]
        assert ids(store.search(ResourceQuery("Observation", compartment=ANNA))) == [id_of(3)]

    def test_what_is_hidden_does_not_come_along(self, store: SqlResourceStore) -> None:
        include = Include("DiagnosticReport", "result")
        page = store.search(ResourceQuery("DiagnosticReport", (), (include,)))
        assert [stored.id for stored in page.included] == [id_of(2)]
        subject = Include("Observation", "subject")
        page = store.search(ResourceQuery("Observation", (), (subject,)))
        assert [stored.id for stored in page.included] == [BORIS]
        reverse = Include("Observation", "subject", reverse=True)
        page = store.search(ResourceQuery("Patient", (), (reverse,)))
        assert [stored.id for stored in page.included] == [id_of(2)]

    def test_a_chain_does_not_ask_what_is_hidden(self, store: SqlResourceStore) -> None:
        def by(value: str) -> Criterion:
            return Criterion("subject", "reference", chain=("Patient", token("identifier", value)))

        assert ids(store.search(ResourceQuery("Observation", (by("1"),)))) == []
        assert ids(store.search(ResourceQuery("Observation", (by("2"),)))) == [id_of(2)]
        named = Criterion("subject", "reference", chain=("Patient", Criterion("identifier", "token", missing=False)))
        assert ids(store.search(ResourceQuery("Observation", (named,)))) == [id_of(2)]

    def test_everything_leaves_out_what_is_hidden(self, databases: Databases, store: SqlResourceStore) -> None:
        with pytest.raises(NotFound):
            store.everything(ANNA)
        device = resource(9, resource_type="Device")
        entry = IndexEntry("device", "reference", f"Device/{id_of(9)}")
        commit(databases, device, replace(resource(8, entry, patient=BORIS), made_by=("model:off",)))
        assert sorted(ids(store.everything(BORIS))) == sorted([BORIS, id_of(2)])
        commit(databases, resource(7, entry, patient=BORIS))
        assert sorted(ids(store.everything(BORIS))) == sorted([BORIS, id_of(2), id_of(7), id_of(9)])

    def test_what_is_hidden_now_has_no_former_versions_either(
        self, databases: Databases, store: SqlResourceStore
    ) -> None:
        first = observation(6)
        commit(databases, first)
        commit(databases, replace(first, body={**first.body, "status": "x"}, made_by=("model:off",)), minutes=1)
        with pytest.raises(NotFound):
            store.vread("Observation", id_of(6), 1)

    def test_what_is_in_doubt_has_no_former_versions_either(
        self, databases: Databases, store: SqlResourceStore
    ) -> None:
        first = replace(observation(6), made_by=("model:on",))
        commit(databases, first, study="1.2")
        commit(databases, replace(first, body={**first.body, "status": "x"}), minutes=1, study="1.2")
        numbers = {"image_revision": 1, "match_revision": 1, "analysis_run": 1, "revision_open": False}
        when = {"first_instance_at": START, "last_instance_at": START}
        assert store.vread("Observation", id_of(6), 1).version == 1
        with databases.app.writing() as session:
            session.add(StudyRow(uid="1.2", public_id="p", source="dicom", stopped="wrong patient", **numbers, **when))
        for ask in (store.read, store.history, lambda *name: store.vread(*name, 1)):
            with pytest.raises(NotFound):
                ask("Observation", id_of(6))

    def test_a_name_that_is_hidden_is_taken_as_it_is(self, databases: Databases, store: SqlResourceStore) -> None:
        commit(databases, replace(observation(6), made_by=("pathway:1000",)))
        assert store.read("Observation", id_of(6)).version == 1
        assert id_of(6) in ids(store.search(ResourceQuery("Observation")))
