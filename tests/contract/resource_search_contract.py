"""What a search of every ResourceStore means (R4 search.html). A subclass Test… gives the fixture `make_store`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cds.domain.resource import NewResource
from cds.domain.search import Criterion, Include, IndexEntry, Modifier, Prefix, ResourceQuery, Sort, Wanted
from cds.errors import InvalidResource
from cds.ports import ResourceStore
from tests.contract.resource_store_contract import (
    ANNA,
    BORIS,
    START,
    MakeStore,
    all_pages,
    at,
    id_of,
    ids,
    minute,
    numbers,
    observation,
    of,
    person,
    resource,
    token,
)

DAY = 86_400.0


def date(low: float | None, high: float | None) -> IndexEntry:
    return IndexEntry("date", "date", low=low, high=high)


def quantity(low: float, high: float, unit: str = "mm", system: str = "http://unitsofmeasure.org") -> IndexEntry:
    return IndexEntry("value-quantity", "quantity", unit, system, low, high)


def found(store: ResourceStore, *criteria: Criterion, resource_type: str = "Observation") -> list[int]:
    """The numbers of what matches, and that their count is told alike in any way."""
    page = store.search(ResourceQuery(resource_type, criteria))
    assert store.search(ResourceQuery(resource_type, criteria, count=0)).total == len(page.resources) == page.total
    return sorted(numbers(page))


class ResourceSearchContract:
    """Every test gets an empty place to commit into, in the order given."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """A store into which the commits were made."""
        raise NotImplementedError

    # --- tokens and references

    @pytest.mark.parametrize(
        ("asked", "matching"),
        [
            (("7",), [1, 2, 4]), (("urn:b|7",), [2]), (("urn:b|8",), [1]), (("|7",), [4]), (("urn:a|",), [1]),
            (("urn:a|7", "urn:b|7"), [1, 2]), (("7", "8"), [1, 2, 4]), (("nothing",), []), (("urn:c|",), []),
        ],
    )  # fmt: skip
    def test_a_token_is_found_with_its_system_without_one_and_in_any(
        self, make_store: MakeStore, asked: tuple[str, ...], matching: list[int]
    ) -> None:
        def named(number: int, *tokens: tuple[str, str]) -> NewResource:
            return resource(number, *(IndexEntry("identifier", "token", v, s) for s, v in tokens))

        store = make_store(
            [
                at(0, named(1, ("urn:a", "7"), ("urn:b", "8"), ("urn:c2", "7"))),
                at(1, named(2, ("urn:b", "7")), named(3), named(4, ("", "7"))),
            ]
        )
        criterion = token("identifier", *asked)
        assert found(store, criterion) == matching
        others = [n for n in (1, 2, 3, 4) if n not in matching]
        assert found(store, Criterion("identifier", "token", criterion.any_of, "not")) == others

    def test_codes_that_differ_in_case_are_different(self, make_store: MakeStore) -> None:
        store = make_store(
            [at(0, resource(1, IndexEntry("code", "token", "Ab")), resource(2, IndexEntry("code", "token", "ab")))]
        )
        assert found(store, token("code", "Ab")) == [1]

    def test_very_long_values_are_told_apart_at_their_ends(self, make_store: MakeStore) -> None:
        one, other = "x" * 5000 + "1", "x" * 5000 + "2"
        store = make_store(
            [at(0, resource(1, IndexEntry("code", "token", one)), resource(2, IndexEntry("code", "token", other)))]
        )
        assert found(store, token("code", one)) == [1]
        assert found(store, token("code", other, one)) == [1, 2]

    def test_as_many_values_may_be_asked_for_as_a_search_takes(self, make_store: MakeStore) -> None:
        entries = (IndexEntry("code", "token", "7", "urn:7"), IndexEntry("target", "reference", "Observation/9"))
        store = make_store([at(0, resource(1, *entries, IndexEntry("name", "string", "Anna")), resource(2))])
        systems = token("code", *(f"urn:{n}|{n}" for n in range(400)))
        assert found(store, systems) == [1]
        assert found(store, replace(systems, modifier="not")) == [2]
        kinds = ("Observation", "Device", "Task", "Flag", "Patient", "DiagnosticReport", "RiskAssessment")
        named = [Wanted(f"{kind}/{n}", "") for n in range(400) for kind in kinds]
        assert found(store, Criterion("target", "reference", tuple(named))) == [1]
        texts = (Wanted("nna"), *(Wanted(f"x{n}") for n in range(399)))
        assert found(store, Criterion("name", "string", texts, "contains")) == [1]

    @pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "%", "_", "'", "\\", "ü" * 400])
    def test_any_text_may_be_asked_for_and_finds_nothing(self, make_store: MakeStore, text: str) -> None:
        entries = (IndexEntry("code", "token", "a"), IndexEntry("name", "string", "Abc"))
        store = make_store([at(0, resource(1, *entries))])
        modifiers: Sequence[Modifier] = ("", "exact", "contains")
        assert found(store, token("code", text)) == []
        assert found(store, Criterion("_id", "token", (Wanted(text),))) == []
        for modifier in modifiers:
            assert found(store, Criterion("name", "string", (Wanted(text),), modifier)) == []

    def test_what_is_missing_is_found_by_that(self, make_store: MakeStore) -> None:
        absent = IndexEntry("date", "date")  # an element that says nothing which could be compared
        store = make_store([at(0, resource(1, IndexEntry("code", "token", "x")), resource(2), resource(3, absent))])
        for param, kind, there in (("code", "token", [1]), ("date", "date", [3])):
            assert found(store, Criterion(param, kind, missing=False)) == there
            assert found(store, Criterion(param, kind, missing=True)) == [n for n in (1, 2, 3) if n not in there]
        assert found(store, Criterion("date", "date", (Wanted(prefix="ge", low=0, high=1),))) == []

    def test_every_criterion_must_hold_and_one_value_of_each_will_do(self, make_store: MakeStore) -> None:
        def coded(number: int, patient: str, *codes: str) -> NewResource:
            return resource(
                number,
                IndexEntry("subject", "reference", f"Patient/{patient}"),
                *(IndexEntry("code", "token", code) for code in codes),
            )

        store = make_store(
            [at(0, coded(1, ANNA, "a", "b"), coded(2, ANNA, "b"), coded(3, BORIS, "a"), coded(4, BORIS))]
        )
        assert found(store, of(ANNA), token("code", "a")) == [1]
        assert found(store, token("code", "a"), token("code", "b")) == [1]
        assert found(store, token("code", "a", "b")) == [1, 2, 3]
        either = token("subject", f"Patient/{ANNA}", f"Patient/{BORIS}", f"Patient/{id_of(9)}", kind="reference")
        assert found(store, either, token("code", "b")) == [1, 2]
        assert found(store, either, Criterion("code", "token", (Wanted("b"),), "not")) == [3, 4]

    # --- strings

    @pytest.mark.parametrize(
        ("modifier", "text", "matching"),
        [
            ("", "muller", [1, 2]), ("", "MÜLLER-L", [2]), ("", "üdén", []), ("contains", "DEN", [2]),
            ("exact", "Müller", [1]), ("exact", "muller", []), ("exact", "Müller-L", []), ("contains", "LL", [1, 2]),
            ("", "lodz", [3]), ("", "Łódź", [3]), ("contains", "%", []), ("contains", "_", [4]), ("", "a_", [4]),
            ("", "strasse", [5]), ("contains", "ß", [5]), ("exact", "Straße", [5]),
        ],
    )  # fmt: skip
    def test_strings_begin_so_or_have_it_in_them_whatever_case_and_accent(
        self, make_store: MakeStore, modifier: Modifier, text: str, matching: list[int]
    ) -> None:
        names = ["Müller", "Muller-Lüdén", "Łódź", "A_b", "Straße", "Axb"]
        store = make_store(
            [at(0, *(resource(n, IndexEntry("name", "string", name)) for n, name in enumerate(names, 1)))]
        )
        assert found(store, Criterion("name", "string", (Wanted(text),), modifier)) == matching

    # --- dates and quantities

    @pytest.mark.parametrize(
        ("prefix", "matching"),
        [
            # the second day; of: first day, its last hour, noon of the second, all three, the third, from then on
            ("eq", [3]), ("ne", [1, 2, 4, 5, 6, 7]), ("gt", [4, 5, 6]), ("lt", [1, 2, 4, 7]), ("ge", [3, 4, 5, 6]),
            ("le", [1, 2, 3, 4, 7]), ("sa", [5]), ("eb", [1, 2, 7]), ("ap", [3, 4, 6]),
        ],
    )  # fmt: skip
    def test_dates_are_ranges_and_every_prefix_compares_them(
        self, make_store: MakeStore, prefix: Prefix, matching: list[int]
    ) -> None:
        low = START.timestamp()
        stored = [
            date(low, low + DAY), date(low + DAY - 3600, low + DAY), date(low + 1.5 * DAY, low + 1.5 * DAY + 60),
            date(low, low + 3 * DAY), date(low + 2 * DAY, low + 3 * DAY), date(low + 1.5 * DAY, None),
            date(None, low + DAY),
        ]  # fmt: skip
        store = make_store([at(0, *(resource(n, entry) for n, entry in enumerate(stored, 1)))])
        wanted = Wanted(prefix=prefix, low=low + DAY, high=low + 2 * DAY)
        assert found(store, Criterion("date", "date", (wanted,))) == matching

    def test_two_bounds_may_be_fulfilled_by_two_dates_of_one_resource(self, make_store: MakeStore) -> None:
        low = START.timestamp()
        early, late, middle = (
            date(low, low + 60),
            date(low + 9 * DAY, low + 9 * DAY + 60),
            date(low + 5 * DAY, low + 6 * DAY),
        )
        store = make_store(
            [at(0, resource(1, early, late), resource(2, middle), resource(3, early), resource(4, late))]
        )
        since = Criterion("date", "date", (Wanted(prefix="ge", low=low + 4 * DAY, high=low + 4 * DAY + 60),))
        until = Criterion("date", "date", (Wanted(prefix="lt", low=low + 7 * DAY, high=low + 7 * DAY + 60),))
        assert found(store, since, until) == [1, 2]
        assert found(store, since) == [1, 2, 4]
        assert found(store, until) == [1, 2, 3]

    def test_dates_of_two_kinds_are_compared_each_with_its_own(self, make_store: MakeStore) -> None:
        low = START.timestamp()
        day = IndexEntry("date", "date", system="day", low=low, high=low + DAY)
        store = make_store([at(0, resource(1, day), resource(2, date(low + 3600, low + 3660)))])
        asked = (
            Wanted(system="day", low=low, high=low + DAY),
            Wanted(system="", low=low + 7200, high=low + 7200 + DAY),
        )
        assert found(store, Criterion("date", "date", asked)) == [1]

    @pytest.mark.parametrize(
        ("wanted", "matching"),
        [
            (Wanted(None, None, "eq", 5.35, 5.45), [1, 2]),
            (Wanted("mm", None, "eq", 5.35, 5.45), [1]),
            (Wanted("mm", None, "eq", 5.395, 5.405), [1]),
            (Wanted(None, None, "eq", 5.4, 5.4), [1, 2]),
            (Wanted(None, None, "eq", 5.3, 5.4), []),
            (Wanted("mm", "urn:other", "eq", 5.35, 5.45), []),
            (Wanted("mm", "http://unitsofmeasure.org", "eq", 5.35, 5.45), [1]),
            (Wanted(None, None, "ne", 5.35, 5.45), [3, 4]),
            (Wanted(None, None, "gt", 5.35, 5.45), [4]),
            (Wanted(None, None, "gt", 5.4, 5.4), [4]),
            (Wanted(None, None, "ge", 5.35, 5.45), [1, 2, 4]),
            (Wanted(None, None, "lt", 5.4, 5.4), [3]),
            (Wanted("mm", None, "le", 5.4, 5.4), [1, 3]),
            (Wanted(None, None, "sa", 5.4, 5.4), [4]),
            (Wanted(None, None, "eb", 5.4, 5.4), [3]),
            (Wanted(None, None, "ap", 4.9, 5.9), [1, 2, 3]),
            (Wanted("mm", None, "gt", -1.0, -1.0), [1, 3, 4]),
        ],
    )
    def test_quantities_are_compared_as_numbers_with_their_units(
        self, make_store: MakeStore, wanted: Wanted, matching: list[int]
    ) -> None:
        values = [quantity(5.35, 5.45), quantity(5.35, 5.45, "cm"), quantity(4.95, 5.05), quantity(99.5, 100.5)]
        store = make_store([at(0, *(resource(n, entry) for n, entry in enumerate(values, 1)))])
        assert found(store, Criterion("value-quantity", "quantity", (wanted,))) == matching

    # --- of the resource itself

    @pytest.mark.parametrize(
        ("bounds", "matching"),
        [
            ([("eq", 1)], [2]), ([("lt", 1)], [1]), ([("le", 1)], [1, 2]), ([("gt", 1)], [3]), ([("ge", 1)], [2, 3]),
            ([("ge", 1), ("lt", 2)], [2]), ([("ne", 1)], [1, 3]), ([("sa", 1)], [3]), ([("eb", 1)], [1]),
            ([("ap", 1)], [2]),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("descending", [False, True])
    def test_last_updated_bounds_a_search(
        self, make_store: MakeStore, bounds: list[tuple[Prefix, int]], matching: list[int], descending: bool
    ) -> None:
        store = make_store([at(i, observation(i + 1)) for i in range(3)])
        exactly = [
            Criterion("_lastUpdated", "date", (Wanted(prefix=p, low=minute(m)[0], high=minute(m)[0] + 0.001),))
            for p, m in bounds
        ]
        assert found(store, *exactly) == matching
        assert found(store, *exactly, of(ANNA)) == matching
        query = ResourceQuery("Observation", tuple(exactly), sort=Sort(descending=descending), count=1)
        paged = [int(stored.id[-12:]) for stored in all_pages(store, query)]
        assert paged == sorted(matching, reverse=descending)

    def test_ids_name_resources(self, make_store: MakeStore) -> None:
        store = make_store([at(0, *(observation(n) for n in range(1, 5)))])
        named = Criterion("_id", "token", (Wanted(id_of(3)), Wanted(id_of(1)), Wanted("nobody")))
        assert found(store, named) == [1, 3]
        assert found(store, named, of(BORIS)) == []
        query = ResourceQuery("Observation", (named,), sort=Sort("_id", descending=True), count=1)
        assert [stored.id for stored in all_pages(store, query)] == [id_of(3), id_of(1)]

    # --- chains

    def test_a_chain_asks_what_the_reference_names(self, make_store: MakeStore) -> None:
        def named(key: str, name: str, number: str) -> NewResource:
            return person(key, IndexEntry("name", "string", name), IndexEntry("identifier", "token", number, "urn:mrn"))

        store = make_store(
            [
                at(
                    0,
                    named(ANNA, "Anna", "1"),
                    named(BORIS, "Boris", "2"),
                    observation(1),
                    observation(2, patient=BORIS),
                    observation(3, patient=None),
                )
            ]
        )

        def chained(inner: Criterion, target: str = "Patient") -> Criterion:
            return Criterion("subject", "reference", chain=(target, inner))

        assert found(store, chained(token("identifier", "urn:mrn|2"))) == [2]
        assert found(store, chained(token("identifier", "9"))) == []
        assert found(store, chained(token("identifier", "1")), token("status", "preliminary")) == [1]
        assert found(store, chained(Criterion("name", "string", (Wanted("a"),)))) == [1]
        assert found(store, chained(Criterion("name", "string", missing=False))) == [1, 2]
        assert found(store, chained(Criterion("_id", "token", (Wanted(ANNA),)))) == [1]
        assert found(store, chained(token("identifier", "1"), target="Device")) == []

    def test_a_chain_may_lead_to_many(self, make_store: MakeStore) -> None:
        people = [f"9f1c7d1e-0000-4000-8000-{n:012d}" for n in range(300)]
        patients = [
            person(key, IndexEntry("gender", "token", "female" if n % 3 else "male")) for n, key in enumerate(people)
        ]
        store = make_store(
            [at(0, *patients), at(1, *(observation(n, patient=people[n - 1]) for n in range(1, 301, 25)))]
        )
        women = Criterion("subject", "reference", chain=("Patient", token("gender", "female")))
        men = Criterion("subject", "reference", chain=("Patient", token("gender", "male")))
        all_numbers = list(range(1, 301, 25))
        assert found(store, women) == [n for n in all_numbers if (n - 1) % 3]
        assert found(store, men) == [n for n in all_numbers if not (n - 1) % 3]

    # --- what comes along

    def related(self, make_store: MakeStore) -> ResourceStore:
        """Report 1 of findings 2 and 3, of Anna, by devices; a provenance of the findings; Boris's report 8."""

        def refers(number: int, resource_type: str, patient: str, *targets: tuple[str, str]) -> NewResource:
            entries = (IndexEntry(param, "reference", value) for param, value in targets)
            return resource(number, *entries, resource_type=resource_type, patient=patient)

        anna, boris = ("subject", f"Patient/{ANNA}"), ("subject", f"Patient/{BORIS}")
        results = [("result", f"Observation/{id_of(n)}") for n in (2, 3, 99)]
        return make_store(
            [
                at(0, person(ANNA), person(BORIS), resource(50, resource_type="Device")),
                at(1, refers(2, "Observation", ANNA, anna, ("device", f"Device/{id_of(50)}"))),
                at(1, refers(3, "Observation", ANNA, anna)),
                at(2, refers(1, "DiagnosticReport", ANNA, anna, *results)),
                at(2, refers(8, "DiagnosticReport", BORIS, boris, results[0])),
                at(3, refers(7, "Provenance", ANNA, *(("target", value) for _, value in results[:2]))),
            ]
        )

    def along(self, store: ResourceStore, query: ResourceQuery) -> list[str]:
        page = store.search(query)
        names = [f"{stored.type} {stored.id[-2:]}" for stored in page.included]
        assert len(names) == len(set(names))
        return sorted(names)

    def test_what_matches_refer_to_comes_along_once(self, make_store: MakeStore) -> None:
        store = self.related(make_store)
        report, result = Include("DiagnosticReport", "subject"), Include("DiagnosticReport", "result")
        device = Include("Observation", "device")
        assert self.along(store, ResourceQuery("DiagnosticReport", (of(ANNA),), (report, result))) == [
            "Observation 02", "Observation 03", "Patient 0a",
        ]  # fmt: skip
        assert self.along(store, ResourceQuery("DiagnosticReport", (of(ANNA),), (result, device))) == [
            "Observation 02", "Observation 03",
        ]  # fmt: skip
        further = Include("Observation", "device", iterate=True)
        assert self.along(store, ResourceQuery("DiagnosticReport", (of(ANNA),), (result, further))) == [
            "Device 50", "Observation 02", "Observation 03",
        ]  # fmt: skip
        assert self.along(store, ResourceQuery("Observation", (), (further,))) == ["Device 50"]
        only = Include("DiagnosticReport", "subject", "Device")
        assert self.along(store, ResourceQuery("DiagnosticReport", (), (only,))) == []

    def test_what_refers_to_matches_comes_along_once(self, make_store: MakeStore) -> None:
        store = self.related(make_store)
        provenance = Include("Provenance", "target", reverse=True)
        report = Include("DiagnosticReport", "result", "Observation", reverse=True)
        assert self.along(store, ResourceQuery("Observation", (), (provenance, report))) == [
            "DiagnosticReport 01", "DiagnosticReport 08", "Provenance 07",
        ]  # fmt: skip
        other = Include("Provenance", "target", "DiagnosticReport", reverse=True)
        assert self.along(store, ResourceQuery("Observation", (), (other,))) == []
        further = Include("Provenance", "target", reverse=True, iterate=True)
        result = Include("DiagnosticReport", "result")
        assert self.along(store, ResourceQuery("DiagnosticReport", (of(BORIS),), (result, further))) == [
            "Observation 02", "Provenance 07",
        ]  # fmt: skip

    def test_a_match_does_not_come_along_with_itself(self, make_store: MakeStore) -> None:
        refers = IndexEntry("derived-from", "reference", f"Observation/{id_of(2)}")
        store = make_store([at(0, resource(1, refers), resource(2, refers))])
        assert self.along(store, ResourceQuery("Observation", (), (Include("Observation", "derived-from"),))) == []
        first = ResourceQuery("Observation", (), (Include("Observation", "derived-from"),), count=1)
        assert self.along(store, first) == ["Observation 02"]

    def test_nothing_of_others_comes_along_into_a_compartment(self, make_store: MakeStore) -> None:
        store = self.related(make_store)
        report = Include("DiagnosticReport", "result", reverse=True)
        device = Include("Observation", "device")
        query = ResourceQuery("Observation", (), (report, device), compartment=ANNA)
        assert self.along(store, query) == ["Device 50", "DiagnosticReport 01"]

    def test_what_is_nobodys_brings_along_what_is_in_the_compartment(self, make_store: MakeStore) -> None:
        device = Include("Observation", "device", reverse=True)
        query = ResourceQuery("Device", (), (device,), compartment=ANNA)
        refers = IndexEntry("device", "reference", f"Device/{id_of(50)}")
        hers, others = resource(1, refers, patient=ANNA), [resource(n, refers, patient=BORIS) for n in range(100, 1150)]
        store = make_store([at(0, resource(50, resource_type="Device"), hers, *others)])
        assert self.along(store, query) == ["Observation 01"]

    def test_a_chain_from_a_compartment_does_not_ask_others(self, make_store: MakeStore) -> None:
        named = IndexEntry("identifier", "token", "2")
        both = [IndexEntry("subject", "reference", f"Patient/{key}") for key in (ANNA, BORIS)]
        store = make_store([at(0, person(ANNA), person(BORIS, named), resource(1, *both, patient=ANNA))])
        chained = Criterion("subject", "reference", chain=("Patient", token("identifier", "2")))
        assert ids(store.search(ResourceQuery("Observation", (chained,)))) == [id_of(1)]
        assert ids(store.search(ResourceQuery("Observation", (chained,), compartment=ANNA))) == []


class SearchBoundsContract:
    """What only a store with bounds does."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """A store into which the commits were made."""
        raise NotImplementedError

    def test_a_page_with_much_to_bring_along_is_shorter_and_the_next_goes_on(self, make_store: MakeStore) -> None:
        def finding(number: int, report: int) -> NewResource:
            return resource(number, IndexEntry("part-of", "reference", f"DiagnosticReport/{id_of(report)}"))

        reports = [resource(n, resource_type="DiagnosticReport") for n in range(1, 5)]
        findings = [finding(1000 * report + n, report) for report in range(1, 5) for n in range(400)]
        store = make_store([at(0, *reports), at(1, *findings)])
        revinclude = (Include("Observation", "part-of", reverse=True),)
        matches: list[int] = []
        along: list[str] = []
        after = None
        while True:
            page = store.search(ResourceQuery("DiagnosticReport", (), revinclude, after=after))
            assert len(page.included) <= 1000
            matches += numbers(page)
            along += [stored.id for stored in page.included]
            after = page.next
            if after is None:
                break
        assert matches == [1, 2, 3, 4]
        assert sorted(along) == sorted(one.id for one in findings)

    def test_one_match_that_brings_too_much_along_is_refused(self, make_store: MakeStore) -> None:
        entry = IndexEntry("subject", "reference", f"Patient/{ANNA}")
        store = make_store([at(0, person(ANNA), *(resource(n, entry) for n in range(1, 1002)))])
        with pytest.raises(InvalidResource, match="more than 1000"):
            store.search(ResourceQuery("Patient", (), (Include("Observation", "subject", reverse=True),)))
