"""What was done and what is ordered, by public codes, and the names of the requests for each action."""

from __future__ import annotations

import pytest

from cds import action_codes, codes, procedure_codes
from cds.codes import CPT, LOINC, SNOMED, Entry
from cds.domain.coding import Coding
from cds.hooks.prefetch import query
from cds.searches import searches
from tests.unit.test_codes import mod10, verhoeff


def done(name: str, system: str, code: str) -> bool:
    """Whether a code is one of a value set."""
    return codes.loaded()[name].contains(Coding(system, code))


@pytest.mark.parametrize(
    ("name", "system", "code"),
    [
        ("dxa", SNOMED, "413841000119101"),
        ("dxa", LOINC, "38268-9"),
        ("dxa", CPT, "77080"),
        ("echocardiography", "SCT", "433236007"),
        ("elastography", SNOMED, "441491005"),
        ("mammography", LOINC, "24606-6"),
        ("breast-mri", SNOMED, "241615005"),
        ("chest-ct", LOINC, "24627-2"),
        ("chest-ct", "C4", "71250"),
        ("head-ct", SNOMED, "383371000119108"),
        ("pet-ct", SNOMED, "450436003"),
        ("abdominal-ultrasound", SNOMED, "45036003"),
        ("abdominal-aorta-imaging", CPT, "76706"),
        ("abdominal-aorta-imaging", SNOMED, "431431005"),
        ("thoracic-aorta-imaging", SNOMED, "431431005"),
        ("thoracic-aorta-imaging", LOINC, "24544-9"),
        ("calcium-score-ct", LOINC, "36934-8"),
        ("cognitive-assessment", SNOMED, "113024001"),
    ],
)
def test_what_was_done_is_recognised(name: str, system: str, code: str) -> None:
    assert done(name, system, code)


@pytest.mark.parametrize(
    ("name", "system", "code"),
    [
        ("dxa", SNOMED, "22059005"),  # bone density by CT
        ("dxa", SNOMED, "391077008"),  # heel ultrasound
        ("echocardiography", SNOMED, "433235006"),  # of a fetus
        ("chest-ct", SNOMED, "383371000119108"),  # head
        ("head-ct", SNOMED, "169069000"),  # chest
        ("mammography", LOINC, "24601-7"),  # ultrasound
        ("breast-mri", SNOMED, "71651007"),  # mammography
        ("abdominal-ultrasound", SNOMED, "24848001"),  # pelvis
        ("calcium-score-ct", SNOMED, "241547009"),  # CT of the heart, whatever for
        ("pet-ct", CPT, "78811"),  # PET without CT
    ],
)
def test_its_neighbours_are_not_taken_for_it(name: str, system: str, code: str) -> None:
    assert not done(name, system, code)


def test_every_action_has_a_code_and_a_name_of_its_own() -> None:
    stated = [one for one in vars(action_codes).values() if isinstance(one, Coding)]
    assert len(action_codes.ACTIONS) == len(stated) == len({action_codes.name_of(one) for one in stated})


def test_public_codes_of_actions_have_right_check_digits_and_evidence() -> None:
    public = [one for one in action_codes.ACTIONS.values() if one.system != codes.SIGHTLINE_ACTION]
    assert len(public) >= 12
    for action in public:
        assert (verhoeff if action.system == SNOMED else mod10)(action.code)
        entry = next(e for e in procedure_codes.ORDERED[action.code].entries if e.coding.code == action.code)
        assert entry.verified
        assert "Sightline" not in entry.evidence


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (action_codes.ECHOCARDIOGRAPHY, "echocardiography-request"),
        (action_codes.DXA, "dxa-request"),
        (action_codes.NT_PROBNP, "nt-probnp-request"),
        (action_codes.LIPID_VISIT, "lipid-treatment-visit-request"),
    ],
)
def test_requests_have_names_that_can_be_read_whatever_code_the_action_has(action: Coding, name: str) -> None:
    assert action_codes.request_of(action) == name
    assert codes.loaded()[name].kind == "request"
    assert codes.loaded()[name].contains(action)


def test_an_open_request_is_known_by_public_codes_that_ask_for_the_same() -> None:
    assert done("dxa-request", CPT, "77080")
    assert done("heart-failure-assessment-request", SNOMED, "40701008")
    assert done("chest-ct-follow-up-request", LOINC, "24627-2")
    assert not done("dxa-request", CPT, "93306")


def test_a_code_stands_once_among_the_requests_for_an_action() -> None:
    for requests in procedure_codes.ORDERED.values():
        stated = [(entry.coding.system, entry.coding.code) for entry in requests.entries]
        assert len(stated) == len(set(stated))


@pytest.mark.parametrize("named", [action_codes.ECHOCARDIOGRAPHY.code, "echocardiography"])
def test_a_site_recognises_the_requests_that_it_makes_by_its_own_catalogue(named: str) -> None:
    own = Coding("urn:oid:1.2.3", "ECHO1")
    sets = action_codes.with_orderables(codes.loaded().values(), {named: own})
    assert sets["echocardiography-request"].contains(own)
    assert sets["echocardiography-request"].contains(action_codes.ECHOCARDIOGRAPHY)
    assert sets["echocardiography"] is codes.loaded()["echocardiography"]
    assert not codes.loaded()["echocardiography-request"].contains(own)


def test_a_request_that_is_coded_twice_is_one_entry() -> None:
    again = Entry(action_codes.PET_CT, "a test")
    assert action_codes.ordered(action_codes.PET_CT, again).entries == (again,)


def test_no_query_over_all_value_sets_is_longer_than_addresses_may_be() -> None:
    assert max(len(query(search)) for search in searches(codes.ALL)) < 2000


def test_requests_that_only_sightline_names_are_not_searched_for_and_so_never_called_absent() -> None:
    made = [search for search in searches(codes.ALL) if search.key == "requests"]
    assert not any(codes.SIGHTLINE_ACTION in token for search in made for token in search.codes)
    assert not any("lipid-treatment-visit-request" in search.covers for search in made)
    assert all("dxa-request" in search.covers for search in made)
