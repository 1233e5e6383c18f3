"""Random searches over random resources, held against one that looks at every resource by itself.

A subclass Test… gives the fixture `make_stores`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from cds.domain.resource import NewResource
from cds.domain.search import Criterion, Include, IndexEntry, Prefix, ResourceQuery, Sort, Wanted
from cds.ports import ResourceStore
from tests.contract.memory_store import Commit, MemoryResourceStore
from tests.contract.resource_search_contract import DAY, date, quantity
from tests.contract.resource_store_contract import START, all_pages, at, id_of, person, resource, token

MakeStores = Callable[[Sequence[Commit]], Sequence[ResourceStore]]


class SearchOracleContract:
    """Random searches over random resources, held against one that looks at every resource by itself."""

    @pytest.fixture
    def make_stores(self) -> MakeStores:
        """Stores into which the commits were made, that go different ways."""
        raise NotImplementedError

    @pytest.mark.parametrize("seed", range(5))
    def test_any_search_finds_what_looking_at_each_resource_finds(self, make_stores: MakeStores, seed: int) -> None:
        chance = random.Random(seed)
        commits = _commits(chance)
        stores, oracle = make_stores(commits), MemoryResourceStore(commits)
        for number in range(120):
            query, store = _query(chance), stores[number % len(stores)]
            told = f"seed {seed}, number {number}: {query}"
            assert store.search(query).total == oracle.search(query).total or query.total == "none", told
            mine, theirs = all_pages(store, query), all_pages(oracle, query)
            assert [(s.id, s.version) for s in mine] == [(s.id, s.version) for s in theirs], told
            brought, wanted = store.search(query).included, oracle.search(query).included
            assert sorted((s.type, s.id) for s in brought) == sorted((s.type, s.id) for s in wanted), told


_PATIENTS = [f"9f1c7d1e-0000-4000-8000-{n:012d}" for n in range(8)]
_WORDS = ("Anna", "ännchen", "Boris", "BO", "Łucja", "")
_PREFIXES: tuple[Prefix, ...] = ("eq", "ne", "lt", "gt", "ge", "le", "sa", "eb", "ap")


def _commits(chance: random.Random) -> list[Commit]:
    people = [
        person(
            key,
            IndexEntry("identifier", "token", str(n % 5), chance.choice(("urn:a", "urn:b"))),
            IndexEntry("name", "string", chance.choice(_WORDS[:5])),
        )
        for n, key in enumerate(_PATIENTS)
    ]
    commits = [at(0, *people)]
    for number in range(1, 120):
        commits.append(at(number // 3, *(_random(chance, n) for n in {number, chance.randrange(1, number + 1)})))
    return commits


def _random(chance: random.Random, number: int) -> NewResource:
    patient = chance.choice(_PATIENTS)
    entries = [IndexEntry("subject", "reference", f"Patient/{patient}")]
    entries += [
        IndexEntry("code", "token", chance.choice("abcd"), chance.choice(("", "urn:a", "urn:b")))
        for _ in range(chance.randrange(3))
    ]
    entries += [IndexEntry("note", "string", chance.choice(_WORDS)) for _ in range(chance.randrange(3))]
    for _ in range(chance.choice((0, 1, 1, 1, 2))):
        low = START.timestamp() + chance.randrange(20) * DAY / 2
        entries.append(
            date(*chance.choice(((low, low + 60), (low, low + DAY), (low, low + 9 * DAY), (low, None), (None, low))))
        )
    for _ in range(chance.choice((0, 1, 1, 2))):
        value = chance.randrange(1, 9)
        entries.append(quantity(value - 0.5, value + 0.5, chance.choice(("mm", "cm"))))
    entries += [
        IndexEntry("derived-from", "reference", f"Observation/{id_of(chance.randrange(1, 120))}")
        for _ in range(chance.randrange(2))
    ]
    return resource(number, *entries, status=str(chance.random()), patient=patient)


def _query(chance: random.Random) -> ResourceQuery:
    criteria = tuple(_criterion(chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3))))
    includes = chance.sample(
        [
            Include("Observation", "subject"),
            Include("Observation", "derived-from", iterate=chance.random() < 0.5),
            Include("Observation", "derived-from", reverse=True),
            Include("Observation", "subject", "Device"),
        ],
        chance.choice((0, 0, 1, 2)),
    )
    return ResourceQuery(
        "Observation",
        criteria,
        tuple(includes),
        Sort(chance.choice(("_lastUpdated", "_id", "date")), chance.random() < 0.5),
        count=chance.choice((2, 7, 50, 50)),
        total=chance.choice(("none", "accurate")),
        compartment=chance.choice((None, None, None, chance.choice(_PATIENTS))),
    )


def _criterion(chance: random.Random) -> Criterion:
    low = START.timestamp() + chance.randrange(20) * DAY / 2
    ranges = tuple(
        Wanted(
            prefix=chance.choice(_PREFIXES), low=low + n * DAY, high=low + n * DAY + chance.choice((60, DAY, 3 * DAY))
        )
        for n in range(chance.choice((1, 1, 1, 2)))
    )
    number = chance.randrange(1, 9)
    size = Wanted(chance.choice((None, "mm")), None, chance.choice(_PREFIXES), number - 0.5, number + 0.5)
    codes = tuple(
        Wanted(chance.choice(("a", "b", "c", "d", None)), chance.choice((None, "", "urn:a")))
        for _ in range(chance.choice((1, 2)))
    )
    codes = tuple(one if (one.value or one.system) else Wanted("a") for one in codes)
    changed = (START + timedelta(minutes=chance.randrange(40))).timestamp()
    patients = tuple(Wanted(f"Patient/{key}") for key in chance.sample(_PATIENTS, 2))
    return chance.choice(
        [
            Criterion("code", "token", codes, chance.choice(("", "", "not"))),
            Criterion("subject", "reference", patients[:1]),
            Criterion("subject", "reference", patients),
            Criterion("subject", "reference", chain=("Patient", token("identifier", "urn:a|1", "2"))),
            Criterion("subject", "reference", chain=("Patient", Criterion("name", "string", (Wanted("an"),)))),
            Criterion("date", "date", ranges),
            Criterion("date", "date", ranges[:1]),
            Criterion("value-quantity", "quantity", (size,)),
            Criterion(
                "note",
                "string",
                (Wanted(chance.choice(("an", "BO", "Łucja"))),),
                chance.choice(("", "exact", "contains")),
            ),
            Criterion(chance.choice(("code", "date", "note")), "token", missing=chance.random() < 0.5),
            Criterion(
                "_id",
                "token",
                tuple(Wanted(id_of(chance.randrange(1, 120))) for _ in range(9)),
                chance.choice(("", "not")),
            ),
            Criterion(
                "_lastUpdated", "date", (Wanted(prefix=chance.choice(_PREFIXES), low=changed, high=changed + 60),)
            ),
        ]
    )
