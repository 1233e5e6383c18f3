"""What only the store in the database does: rows of the index, indexing again, pages in constant memory, own keys.

A subclass named Test… gives the fixture `databases`.
"""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import select

from cds.domain.resource import NewResource
from cds.domain.search import Criterion, Include, IndexEntry, ResourceQuery, Sort, Wanted
from cds.errors import Unavailable
from cds.store import schema
from cds.store.fhir_tables import OwnKeyRow, ResourceIndexRow, ResourceRow
from cds.store.own_keys import own_key
from cds.store.publishing import put
from cds.store.resource_versions import put_all
from cds.store.resources import SqlResourceStore
from cds.store.tables import UtcDateTime
from tests.contract.resource_store_contract import (
    ANNA,
    START,
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


def commit(databases: Databases, *resources: NewResource, minutes: int = 0, study: str | None = None) -> None:
    """All in one transaction."""
    with databases.app.writing() as session:
        put_all(session, [(one, study) for one in resources], START + timedelta(minutes=minutes))


class ResourceIndexContract:
    """The rows that resources are searched by."""

    @pytest.fixture
    def databases(self) -> Databases:
        """Empty ones."""
        raise NotImplementedError

    def rows(self, databases: Databases) -> list[tuple[str, str]]:
        """Parameter and value of everything that is indexed."""
        with databases.app.reading() as session:
            found = session.exec(select(ResourceIndexRow.param, ResourceIndexRow.value))
            return sorted((param, value) for param, value in found)

    def test_a_version_that_is_not_written_leaves_no_rows(self, databases: Databases) -> None:
        commit(databases, observation(1))
        before = self.rows(databases)
        with databases.app.writing() as session:
            put(session, observation(1, status="final"), None, START)
            session.rollback()
        assert self.rows(databases) == before

    def test_the_number_of_a_resource_is_kept_and_its_former_version_moves_on(self, databases: Databases) -> None:
        for minutes, status in enumerate(("a", "b", "c")):
            commit(databases, observation(1, status=status), minutes=minutes)
        with databases.app.reading() as session:
            order = sa.select(ResourceRow.version, ResourceRow.number).order_by(sa.column("version"))
            found = {version: number for version, number in session.execute(order)}
        assert found[3] == min(found.values())
        assert ("Observation.status", "c") in self.rows(databases)
        assert len(self.rows(databases)) == len(observation(1).index)

    def test_a_version_is_never_older_than_the_one_before(self, databases: Databases) -> None:
        commit(databases, observation(1), minutes=5)
        commit(databases, observation(1, status="final"), minutes=1)
        stored = SqlResourceStore(databases.app).read("Observation", id_of(1))
        assert (stored.version, stored.last_updated) == (2, START + timedelta(minutes=5))

    def test_the_same_resource_twice_in_one_commit_is_two_versions(self, databases: Databases) -> None:
        commit(databases, observation(1), observation(1, status="final"), observation(2))
        store = SqlResourceStore(databases.app)
        assert [stored.version for stored in store.history("Observation", id_of(1)).resources] == [2, 1]
        assert ids(store.search(ResourceQuery("Observation", (token("status", "final"),)))) == [id_of(1)]

    def test_many_writers_of_one_resource_leave_one_current_version(self, databases: Databases) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: commit(databases, observation(1, status=f"s{n}"), observation(2 + n)), range(12)))
        store = SqlResourceStore(databases.app, edition=1)
        assert store.history("Observation", id_of(1)).total == 12
        assert store.search(ResourceQuery("Observation", count=0)).total == 13
        newest = store.read("Observation", id_of(1)).version
        page = store.search(ResourceQuery("Observation", (Criterion("_id", "token", (Wanted(id_of(1)),)),)))
        assert [stored.version for stored in page.resources] == [newest]

    # --- indexing again

    def test_what_waits_to_be_indexed_is_not_missed_in_silence(self, databases: Databases) -> None:
        old = [replace(observation(n), index=(), edition=0) for n in range(1, 8)]
        commit(databases, *old, person(ANNA))
        store = SqlResourceStore(databases.app, edition=1)
        reverse = Include("Observation", "subject", reverse=True)
        chained = Criterion("subject", "reference", chain=("Observation", token("status", "x")))
        for query in (
            ResourceQuery("Observation", (of(ANNA),)),
            ResourceQuery("Observation", sort=Sort("date")),
            ResourceQuery("Patient", (), (reverse,)),
            ResourceQuery("Patient", (chained,)),
        ):
            with pytest.raises(Unavailable, match="indexed for search"):
                store.search(query)
        with pytest.raises(Unavailable, match="indexed for search"):
            store.everything(ANNA)
        assert len(store.search(ResourceQuery("Observation")).resources) == 7
        assert ids(store.search(ResourceQuery("Patient", (token("identifier", "1"),)))) == []

        def extract(body: Mapping[str, object]) -> Sequence[IndexEntry]:
            return [IndexEntry("code", "token", str(body["status"]))]

        done = [store.reindex(extract, 1, 3) for _ in range(4)]
        assert done == [3, 3, 1, 0]
        assert len(store.search(ResourceQuery("Observation", (token("code", "preliminary"),))).resources) == 7
        assert len(store.everything(ANNA).resources) == 8

    def test_the_newest_of_a_type_are_indexed_first_and_former_versions_never(self, databases: Databases) -> None:
        for minutes in range(3):
            commit(databases, replace(observation(minutes), edition=0), minutes=minutes)
        commit(databases, replace(observation(1, status="final"), edition=0), minutes=9)
        seen: list[str] = []

        def extract(body: Mapping[str, object]) -> Sequence[IndexEntry]:
            seen.append(str(body["id"]))
            return []

        store = SqlResourceStore(databases.app, edition=1)
        while store.reindex(extract, 1, 1):
            pass
        assert seen == [id_of(1), id_of(2), id_of(0)]

    def test_what_changes_while_it_is_indexed_keeps_its_new_rows(self, databases: Databases) -> None:
        commit(databases, *(replace(observation(n), edition=0) for n in (1, 2, 3)))
        store = SqlResourceStore(databases.app, edition=1)

        def extract(body: Mapping[str, object]) -> Sequence[IndexEntry]:
            if body["id"] == id_of(1):
                commit(databases, observation(1, status="final"), minutes=1)
            if body["id"] == id_of(3) and body["status"] == "preliminary":  # by a role that was not upgraded yet
                commit(databases, replace(observation(3, status="final"), edition=0), minutes=1)
            return [IndexEntry("status", "token", f"read when {body['status']}")]

        assert [store.reindex(extract, 1, 10) for _ in range(3)] == [3, 1, 0]
        assert ids(store.search(ResourceQuery("Observation", (token("status", "final"),)))) == [id_of(1)]
        preliminary, final = (token("status", f"read when {status}") for status in ("preliminary", "final"))
        assert ids(store.search(ResourceQuery("Observation", (preliminary,)))) == [id_of(2)]
        assert ids(store.search(ResourceQuery("Observation", (final,)))) == [id_of(3)]

    def test_the_same_content_of_a_later_edition_is_indexed_by_it(self, databases: Databases) -> None:
        commit(databases, replace(observation(1), index=(), edition=1))
        commit(databases, replace(observation(1), edition=2), minutes=5)
        store = SqlResourceStore(databases.app, edition=2)
        page = store.search(ResourceQuery("Observation", (token("status", "preliminary"),)))
        assert [(stored.version, stored.last_updated) for stored in page.resources] == [(1, START)]

    # --- resources that were there before

    def test_resources_of_the_former_tables_are_kept_and_found_once_they_are_indexed(
        self, databases: Databases
    ) -> None:
        before = START + timedelta(microseconds=123456)
        schema.downgrade(databases.app, "app", "0004")
        with databases.app.writer.begin() as connection:
            for version in (1, 2):
                connection.execute(
                    sa.text(
                        "INSERT INTO resource (type, id, version, last_updated, study_uid, made_by, is_current, body) "
                        "VALUES ('Observation', 'a', :version, :at, '1.2', '', :current, :body)"
                    ).bindparams(sa.bindparam("at", type_=UtcDateTime()), sa.bindparam("current", type_=sa.Boolean())),
                    {"version": version, "at": before, "current": version == 2, "body": b'{"code": "x"}'},
                )
        schema.upgrade(databases.app, "app")
        schema.check(databases.app, "app")
        store = SqlResourceStore(databases.app, edition=1)
        query = ResourceQuery("Observation", (token("identifier", "x"),))
        versions = store.history("Observation", "a").resources
        assert [(v.version, v.last_updated) for v in versions] == [
            (n, START + timedelta(milliseconds=123)) for n in (2, 1)
        ]
        with pytest.raises(Unavailable):
            store.search(query)
        assert store.reindex(lambda body: [IndexEntry("identifier", "token", str(body["code"]), "urn:a")], 1) == 1
        assert ids(store.search(query)) == ["a"]
        commit(databases, resource(5))
        schema.downgrade(databases.app, "app", "0004")
        with databases.app.reader.connect() as connection:
            known = connection.execute(sa.text("SELECT type, id, system, value FROM resource_identifier")).all()
            kept = connection.execute(sa.text("SELECT count(*) FROM resource")).scalar()
        assert ([tuple(row) for row in known], kept) == ([("Observation", "a", "urn:a", "x")], 3)
        schema.upgrade(databases.app, "app")

    # --- pages in constant memory

    def test_ten_thousand_reports_are_read_page_by_page_in_constant_memory_while_others_come(
        self, databases: Databases
    ) -> None:
        padding = "x" * 2000
        for start in range(1, 10_001, 500):
            with databases.app.writing() as session:
                reports = (_report(n, padding) for n in range(start, start + 500))
                put_all(session, [(one, None) for one in reports], START + timedelta(seconds=start))
        store = SqlResourceStore(databases.app, edition=1)
        stop, inserted = threading.Event(), []

        def insert() -> None:
            number = 20_000
            while not stop.is_set():
                commit(databases, _report(number, padding), minutes=400)
                inserted.append(number)
                number += 1

        query = ResourceQuery("DiagnosticReport", (token("code", "ai"),), count=100)
        store.search(query)  # what is made once is not the pages'
        other = threading.Thread(target=insert)
        other.start()
        tracemalloc.start()
        try:
            found, peaks, after = [], [], None
            while True:
                tracemalloc.reset_peak()
                page = store.search(replace(query, after=after))
                peaks.append(tracemalloc.get_traced_memory()[1])
                found += numbers(page)
                after = page.next
                if after is None or len(found) > 10_500:
                    break
        finally:
            tracemalloc.stop()
            stop.set()
            other.join()
        assert sorted(n for n in found if n <= 10_000) == list(range(1, 10_001))
        assert len(found) == len(set(found))
        assert inserted
        pages = len(peaks)
        assert max(peaks[pages // 2 :]) < 1.5 * max(peaks[: pages // 2])
        assert max(peaks) < 100 * 2_500 * 8

    # --- own keys

    def test_everybody_who_asks_first_gets_the_same_key(self, databases: Databases) -> None:
        begin = threading.Barrier(4)

        def ask(_: int) -> bytes:
            begin.wait()
            return own_key(databases.app, "cursors")

        with ThreadPoolExecutor(4) as pool:
            keys = set(pool.map(ask, range(4)))
        assert [len(key) for key in keys] == [32]
        assert own_key(databases.app, "cursors") in keys
        assert own_key(databases.app, "others") not in keys
        with databases.app.reading() as session:
            assert len(session.exec(select(OwnKeyRow)).all()) == 2


def _report(number: int, padding: str) -> NewResource:
    code = IndexEntry("code", "token", "ai", "urn:sightline:codes")
    body: dict[str, object] = {"resourceType": "DiagnosticReport", "id": id_of(number), "conclusion": padding}
    return NewResource("DiagnosticReport", id_of(number), body, ANNA, index=(code,), edition=1)
