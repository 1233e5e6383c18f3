"""What pathways declare that they ask is all that they look up, and what was ordered is not suggested again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest

from cds import codes, ordering, pathways
from cds.bootstrap.explaining import read
from cds.codes import SNOMED, ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, EhrData, Known, NotFoundSince, SmokingStatus, Unknown
from cds.domain.recommendation import NothingToSay
from cds.pathways.declaration import Pathway
from tests.unit.clinical import NOT_FOUND, SOURCE, TODAY, case, ehr
from tests.unit.emphysema_cases import advice, former, outcome, shown, smoking, steps

PATIENTS = Path(__file__).with_name("patients")
EHR = "FHIR ehr"
ANSWERS = {
    "smoking_status": "smoking-status",
    "pack_years": "pack-years",
    "quit_date": "quit-date",
    "pregnancy": "pregnancy",
}
BY_NAME = (
    "condition", "procedure", "symptom", "allergy", "medication", "immunization", "relative", "request", "measurement",
)  # fmt: skip


class Watched:
    """`EhrData` that remembers what of it was looked up."""

    def __init__(self, data: EhrData, seen: set[str]) -> None:
        self._data, self._seen = data, seen

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._data, name)
        if name in ANSWERS:
            self._seen.add(ANSWERS[name])
        return self._watched(found) if name in BY_NAME else found

    def _watched(self, look_up: Callable[[str], object]) -> Callable[[str], object]:
        def asked(name: str) -> object:
            self._seen.add(name.removeprefix("suspected-"))
            return look_up(name)

        return asked


def request(value_set: ValueSet, on: date | None) -> EhrData:
    """The usual case with an open request of a day."""
    item = ClinicalItem(Coding(SNOMED, value_set.entries[0].coding.code), value_set.title)
    return ehr(requests={value_set.name: Known(item, on, EHR)})


CASES = (
    ehr(),
    former(date(2020, 1, 1)),
    former(date(2001, 1, 1)),
    ehr(smoking_status=Unknown("nobody was asked")),
    ehr(smoking_status=smoking(SmokingStatus.NEVER)),
    ehr(procedures={"spirometry": Unknown("nobody was asked")}),
    request(codes.SPIROMETRY_ORDERED, date(2026, 11, 10)),
    request(codes.LOW_DOSE_CT_ORDERED, date(2026, 11, 10)),
)


def test_a_pathway_looks_up_all_that_it_declares() -> None:
    declared = {value_set.name for value_set in pathways.load()["emphysema"].asks}
    seen: set[str] = set()
    for data in CASES:
        pathways.evaluate(case(Watched(data, seen)), {"emphysema"})
    assert seen == declared


@pytest.mark.parametrize("name", sorted(pathways.load(unverified=True)))
def test_no_pathway_looks_up_what_it_does_not_declare(name: str) -> None:
    """What nobody declares no EHR is asked for, so that it would always be unknown."""
    pathway = pathways.load(unverified=True)[name]
    seen: set[str] = set()
    for bundle in sorted(PATIENTS.glob("*.bundle.json")):
        given = read(bundle, bundle.with_name(bundle.name.replace(".bundle.", ".findings.")))
        pathway(replace(given, ehr=cast("EhrData", Watched(given.ehr, seen))))
    assert seen <= {value_set.name for value_set in pathway.asks} | {"palliative-care"}


@pytest.mark.parametrize("pathway", [*pathways.load(unverified=True).values(), *ordering.load().values()])
def test_what_a_pathway_asks_is_what_records_are_read_for(pathway: Pathway) -> None:
    """A value set that `cds.codes` does not know is never filled: it would be unknown for ever."""
    assert {one.name for one in pathway.asks} <= codes.loaded().keys()


def test_only_the_pathways_that_are_named_are_asked_for() -> None:
    assert pathways.asked([]) == ()
    assert pathways.asked(["no-such-pathway"]) == ()
    assert set(pathways.asked(["emphysema"])) == set(pathways.load()["emphysema"].asks)
    assert set(pathways.asked()) >= set(pathways.asked(["emphysema"]))


@pytest.mark.parametrize(
    ("ordered", "step", "words"),
    [
        (codes.SPIROMETRY_ORDERED, "spirometry", "Spirometry: an open request for spirometry is on record"),
        (codes.LOW_DOSE_CT_ORDERED, "screening-visit", "an open request for low-dose CT of the chest is on record"),
        (codes.CESSATION_ORDERED, "cessation", "an open request for help to stop smoking is on record"),
    ],
)
def test_what_somebody_ordered_is_not_suggested_again_and_the_card_says_when(
    ordered: ValueSet, step: str, words: str
) -> None:
    said = advice(request(ordered, date(2026, 11, 10)))
    assert set(steps(said)) == {"spirometry", "screening-visit", "cessation"} - {step}
    assert f"{words} (2026-11-10, {EHR})" in shown(said)


@pytest.mark.parametrize("on", [date(2025, 11, 21), None])
def test_an_order_of_more_than_a_year_ago_or_of_no_date_was_forgotten(on: date | None) -> None:
    assert "spirometry" in steps(advice(request(codes.SPIROMETRY_ORDERED, on)))
    edge = date(TODAY.year - 1, TODAY.month, TODAY.day)
    assert "spirometry" not in steps(advice(request(codes.SPIROMETRY_ORDERED, edge)))


def test_no_order_found_changes_nothing() -> None:
    searched = {"spirometry-request": NotFoundSince((EHR,), None)}
    assert steps(advice(ehr(requests=searched))) == steps(advice())


def test_where_everything_was_ordered_or_done_there_is_nothing_to_say() -> None:
    never = ehr(
        smoking_status=smoking(SmokingStatus.NEVER),
        requests=request(codes.SPIROMETRY_ORDERED, date(2026, 11, 10)).requests,
    )
    said = outcome(case(never))
    assert isinstance(said, NothingToSay)
    assert "an open request for spirometry is on record" in said.reason


def test_an_ehr_that_is_away_stands_in_the_card_as_missing() -> None:
    away = Unknown(f"{EHR} could not be asked; {NOT_FOUND.sentence('spirometry')}")
    said = advice(ehr(procedures={"spirometry": away, "low-dose-chest-ct": NOT_FOUND}))
    assert "spirometry" not in steps(said)
    assert f"spirometry: {EHR} could not be asked; no spirometry found in {SOURCE}" in said.missing[0]
