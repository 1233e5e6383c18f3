"""What is not known, conflicting or over is never treated as normal, by any pathway (SAFETY sections 1 and 6)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, EhrData, Fact, Known, NotFoundSince, SmokingStatus, Unknown
from cds.domain.identity import Sex
from cds.domain.recommendation import Advice, Case, CouldNotTell, NothingToSay, PathwayOutcome
from cds.pathways import evaluate, load
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, TODAY, case, density, ehr, refusal
from tests.unit.test_pathway_registry import folder  # noqa: F401 - a fixture

#: It would advise anybody, so that only what all pathways share can stop it.
EAGER = """
from cds.domain.recommendation import Advice, Indicator, Source
from cds.pathways import pathway
from cds.pathways._facts import Need

HERE = Source("s", "https://example.org")

@pathway(id="{id}", title="{id} title", source=HERE, needs=({needs}))
def rule(case):
    return Advice("{id}", "title", "summary", Indicator.INFO, HERE, (), (), ())
"""
INSTALLED = sorted(load())
GONE = Unknown("nobody could be asked")


@pytest.fixture
def eager(folder: Path) -> ModuleType:  # noqa: F811 - the fixture above
    """Pathways that need nothing, the age, the sex, and both."""
    needs = {"free": "", "aged": "Need.AGE,", "sexed": "Need.SEX,", "both": "Need.AGE, Need.SEX"}
    for name, needed in needs.items():
        (folder / f"{name}.py").write_text(EAGER.format(id=name, needs=needed))
    importlib.invalidate_caches()
    return importlib.import_module("some_pathways")


def kinds(data: EhrData, package: ModuleType) -> dict[str, str]:
    """What each eager pathway came to."""
    return {said.pathway: said.kind for said in evaluate(case(data), {"free", "aged", "sexed", "both"}, package)}


def of_all(given_case: Case) -> list[PathwayOutcome]:
    """What every installed pathway says, also those that read nothing of the study."""
    return [pathway(given_case) for pathway in load().values()]


def known(value: object) -> Known[object]:
    return Known(value, None, "patient demographics")


def test_where_everything_is_known_all_advise(eager: ModuleType) -> None:
    assert set(kinds(ehr(), eager).values()) == {"advice"}


def test_nothing_is_said_of_the_deceased_by_any_pathway(eager: ModuleType) -> None:
    gone = ehr(deceased=known(True))
    assert set(kinds(gone, eager).values()) == {"nothing"}
    for said in of_all(case(gone)):
        assert isinstance(said, NothingToSay)
        assert said.reason == "the patient is recorded as deceased"


def test_not_being_told_whether_somebody_lives_is_no_death(eager: ModuleType) -> None:
    assert set(kinds(ehr(deceased=GONE), eager).values()) == {"advice"}
    assert set(kinds(ehr(deceased=known(False)), eager).values()) == {"advice"}


@pytest.mark.parametrize(("days", "kind"), [(0, "advice"), (1, "could-not-tell")])
def test_whoever_is_born_after_the_images_is_not_who_is_in_them(eager: ModuleType, days: int, kind: str) -> None:
    born = ehr(birth_date=known(STUDY_DATE + timedelta(days=days)))
    assert set(kinds(born, eager).values()) == {kind}


def test_an_unborn_patient_is_a_doubt_for_every_installed_pathway_and_no_child() -> None:
    for said in of_all(case(ehr(birth_date=known(STUDY_DATE + timedelta(days=1))))):
        assert isinstance(said, CouldNotTell)
        assert said.missing == ("age: the birth date lies after the day of the images",)
        assert said.how_to_get == ("age: find out whose images these are",)


def test_an_unknown_age_stops_who_needs_it(eager: ModuleType) -> None:
    assert kinds(ehr(birth_date=GONE), eager) == {
        "free": "advice",
        "aged": "could-not-tell",
        "sexed": "advice",
        "both": "could-not-tell",
    }


@pytest.mark.parametrize("sex", [GONE, known(Sex.OTHER), known(Sex.UNKNOWN)])
def test_a_sex_that_is_neither_female_nor_male_is_taken_for_neither(eager: ModuleType, sex: Fact[Sex]) -> None:
    assert kinds(ehr(sex=sex), eager) == {
        "free": "advice",
        "aged": "advice",
        "sexed": "could-not-tell",
        "both": "could-not-tell",
    }


def test_what_is_missing_is_told_with_how_to_get_it(eager: ModuleType) -> None:
    (said,) = evaluate(case(ehr(birth_date=GONE, sex=known(Sex.OTHER))), {"both"}, eager)
    assert isinstance(said, CouldNotTell)
    assert (said.title, said.reason) == ("both title", "it needs the age and the sex")
    assert said.missing == ("age: nobody could be asked", "sex: it is recorded as other")
    assert said.how_to_get[0] == "age: correct the birth date in the registration"


# --- what removing an input does

SMOKING = st.sampled_from(SmokingStatus).map(lambda status: Known(status, date(2026, 9, 1), SOURCE))
ITEM: st.SearchStrategy[Fact[ClinicalItem]] = st.sampled_from(
    [NOT_FOUND, GONE, Known(ClinicalItem(Coding("s", "1"), "it"), date(2025, 5, 6), SOURCE)]
)
BIRTH_DATES = st.dates(date(1920, 1, 1), STUDY_DATE).map(known)
RECORDS = st.builds(
    ehr,
    birth_date=st.one_of(BIRTH_DATES, st.just(GONE)),
    sex=st.sampled_from([known(Sex.FEMALE), known(Sex.OTHER), GONE]),
    deceased=st.sampled_from([known(False), GONE]),
    smoking_status=st.one_of(SMOKING, st.just(NOT_FOUND), st.just(GONE)),
    pack_years=st.one_of(
        st.floats(0, 90).map(lambda n: Known(Quantity(n, "{pack-years}"), date(2026, 9, 1), SOURCE)), st.just(GONE)
    ),
    quit_date=st.one_of(st.just(NOT_FOUND), st.just(Known(date(2020, 1, 1), date(2026, 9, 1), SOURCE))),
    procedures=st.fixed_dictionaries({"spirometry": ITEM, "low-dose-chest-ct": ITEM}),
    conditions=st.fixed_dictionaries({"copd": ITEM, "lung-cancer": ITEM}),
    symptoms=st.fixed_dictionaries({"haemoptysis": ITEM, "weight-loss": ITEM}),
)
CASES = st.builds(
    case,
    RECORDS,
    st.sampled_from([(density(),), (density(5.0),), (refusal(),), ()]),
    st.sampled_from([{}, {"emphysema.laa_950_percent": "10"}, {"emphysema.laa_950_percent": "none"}]),
)


def without_one(given_case: Case) -> Iterator[Case]:
    """The same case, each time with one thing less that is known."""
    data = given_case.ehr
    for field in fields(data):
        value = getattr(data, field.name)
        if isinstance(value, Known | NotFoundSince):
            yield replace(given_case, ehr=replace(data, **{field.name: GONE}))
        for name in value if isinstance(value, dict) else ():
            yield replace(given_case, ehr=replace(data, **{field.name: {**value, name: GONE}}))
    if given_case.site:
        yield replace(given_case, site={})
    if given_case.outcomes:
        yield replace(given_case, outcomes=(refusal(),))


def by_pathway(given_case: Case) -> dict[str, PathwayOutcome]:
    """What every installed pathway says."""
    return {said.pathway: said for said in evaluate(given_case, INSTALLED)}


@settings(derandomize=True, deadline=None, max_examples=150)
@given(given_case=CASES)
def test_knowing_less_never_turns_could_not_tell_into_advice(given_case: Case) -> None:
    before = by_pathway(given_case)
    for less in without_one(given_case):
        for name, after in by_pathway(less).items():
            assert not (isinstance(before[name], CouldNotTell) and isinstance(after, Advice)), name


@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=RECORDS, status=st.sampled_from([GONE, NOT_FOUND, Known(SmokingStatus.UNKNOWN, TODAY, SOURCE)]))
def test_a_trigger_that_is_not_known_makes_no_card(data: EhrData, status: Fact[SmokingStatus]) -> None:
    for said in evaluate(case(replace(data, smoking_status=status)), INSTALLED):
        assert not isinstance(said, Advice)
