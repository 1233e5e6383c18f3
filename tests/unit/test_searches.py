"""What a FHIR server is asked for: one description for prefetch templates and for our own searches."""

from __future__ import annotations

import pytest

from cds import action_codes as actions
from cds import codes, pathways
from cds.action_codes import name_of, request_of, with_orderables
from cds.codes import LOINC, SNOMED, Entry, ValueSet
from cds.domain.coding import Coding
from cds.searches import Search, covered, searches
from cds.value_sets import Kind

DRUG = ValueSet("a-drug", "a drug", "medication", (Entry(Coding("urn:test", "d"), "a test"),))


def by_type(*asked: ValueSet) -> dict[str, list[Search]]:
    """The searches of some value sets by type."""
    found: dict[str, list[Search]] = {}
    for search in searches(asked):
        found.setdefault(search.type, []).append(search)
    return found


def test_a_value_is_searched_by_its_codes_and_newest_first() -> None:
    ((smoking, packs),) = by_type(codes.SMOKING_STATUS, codes.PACK_YEARS).values()
    assert (smoking.type, smoking.codes, smoking.newest_first) == ("Observation", (f"{LOINC}|72166-2",), True)
    assert packs.covers == ("pack-years",)
    assert f"{SNOMED}|401201003" in packs.codes


def test_a_code_that_is_not_verified_is_not_asked_for() -> None:
    (packs,) = searches([codes.PACK_YEARS])
    assert not any("8664-5" in token for token in packs.codes)


def test_a_value_that_is_a_component_is_searched_for_in_its_panel_too() -> None:
    (pressure,) = searches([codes.loaded()["systolic-blood-pressure"]])
    assert (pressure.codes, pressure.panels) == ((f"{LOINC}|8480-6",), (f"{LOINC}|85354-9",))


def test_what_was_done_may_stand_in_three_types_and_each_is_asked_for_its_own_codes() -> None:
    found = by_type(codes.SPIROMETRY, codes.LOW_DOSE_CT)
    assert set(found) == {"Observation", "Procedure", "DiagnosticReport"}
    assert all(token.startswith(LOINC) for token in found["Observation"][0].codes)
    assert not any(token.startswith(LOINC) for token in found["Procedure"][0].codes)
    assert found["Procedure"][0].covers == ("spirometry", "low-dose-chest-ct")


@pytest.mark.parametrize("asked", [codes.COPD, codes.HAEMOPTYSIS])
def test_the_problem_list_is_taken_whole_and_answers_for_every_disease_and_symptom(asked: ValueSet) -> None:
    (search,) = searches([asked])
    assert (search.type, search.codes) == ("Condition", ())
    assert {"copd", "emphysema", "lung-cancer", "haemoptysis", "weight-loss", "heart-failure"} <= set(search.covers)
    assert {codes.loaded()[name].kind for name in search.covers} <= {"condition", "symptom", "answer"}


def test_an_answer_that_may_stand_on_the_problem_list_is_looked_for_there_too() -> None:
    found = by_type(codes.PREGNANCY)
    assert set(found) == {"Observation", "Condition"}
    assert "pregnancy" in found["Condition"][0].covers


@pytest.mark.parametrize(
    ("kind", "types"),
    [
        ("allergy", {"AllergyIntolerance"}),
        ("medication", {"MedicationRequest", "MedicationStatement"}),
        ("immunization", {"Immunization"}),
        ("family-history", {"FamilyMemberHistory"}),
    ],
)
def test_lists_are_taken_whole(kind: Kind, types: set[str]) -> None:
    found = by_type(ValueSet("x", "x", kind, DRUG.entries))
    assert set(found) == types
    assert all(search.codes == () and "x" in search.covers for of in found.values() for search in of)


def test_a_prescription_brings_the_drug_along_that_it_names() -> None:
    found = by_type(DRUG)
    assert found["MedicationRequest"][0].include == "MedicationRequest:medication"
    assert by_type(codes.COPD)["Condition"][0].include == ""


def test_orders_are_asked_for_apart_from_what_was_done() -> None:
    (search,) = searches([codes.SPIROMETRY_ORDERED])
    assert (search.type, search.covers) == ("ServiceRequest", ("spirometry-request",))


def test_nothing_is_searched_where_nothing_is_asked() -> None:
    assert searches([]) == ()


def test_a_value_set_is_covered_only_when_every_search_for_it_came_back_whole() -> None:
    made = searches([codes.SPIROMETRY, codes.LOW_DOSE_CT, codes.SMOKING_STATUS])
    assert set(covered(made, made)) == {"spirometry", "low-dose-chest-ct", "smoking-status"}
    without_reports = [search for search in made if search.type != "DiagnosticReport"]
    assert covered(made, without_reports) == ("smoking-status",)


def test_every_search_has_a_key_and_a_name_of_its_own() -> None:
    made = searches([*codes.ALL, DRUG])
    assert len({search.key for search in made}) == len({search.source for search in made}) == len(made)


def test_the_installed_pathways_ask_for_what_has_a_search() -> None:
    asked = pathways.asked()
    public = {one.name for one in asked if any(e.coding.system != codes.SIGHTLINE_ACTION for e in one.entries)}
    assert public <= set(covered(made := searches(asked), made))


def test_a_request_is_searched_by_the_sites_own_code_too() -> None:
    name = request_of(actions.HEPATOLOGY_REFERRAL)
    own = {name_of(actions.HEPATOLOGY_REFERRAL): Coding("urn:oid:1.2.3", "REF7")}
    assert searches([codes.loaded()[name]]) == ()
    (search,) = searches([with_orderables(codes.loaded().values(), own)[name]])
    assert (search.type, search.codes, search.covers) == ("ServiceRequest", ("urn:oid:1.2.3|REF7",), (name,))


def test_no_query_is_longer_than_an_address_may_be_and_every_value_set_is_in_one() -> None:
    made = [one for one in searches(codes.loaded().values()) if one.type == "DiagnosticReport"]
    assert len(made) > 1
    assert len({one.key for one in made}) == len(made)
    assert all(len(",".join(one.codes)) <= 1500 for one in made)
    names = [name for one in made for name in one.covers]
    assert len(names) == len(set(names))
    assert {"spirometry", "dxa", "chest-x-ray"} <= set(names)
