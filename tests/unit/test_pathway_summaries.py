"""The summary of a card is at most 139 characters in every language, whatever the case (CDS Hooks: below 140)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from cds import condition_codes, finding_codes, measurement_codes, procedure_codes
from cds.domain.ehr import Known, SmokingStatus
from cds.domain.finding import Finding, Presence
from cds.domain.recommendation import Advice, Case
from cds.pathways import Pathway, language
from cds.pathways.heart import heart
from cds.pathways.liver import liver
from cds.pathways.pneumonia import pneumonia
from cds.pathways.pneumonia_follow_up import pneumonia_follow_up
from tests.unit import infection_cases as infection
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, case
from tests.unit.pathway_records import answer, item, measured, record, study, value

LONGEST = 139


def hearts() -> Iterator[Case]:
    """Oedema and a large heart, with any NT-proBNP, urgent or not."""
    asked = [one for one in heart.asks if one.kind != "answer"]
    signs = (
        Finding("oedema", finding_codes.PULMONARY_OEDEMA, Presence.PRESENT),
        Finding("heart", finding_codes.CARDIOMEGALY, Presence.PRESENT, gates=("view: PA",)),
    )
    for number, symptom in product((None, 60, 200, 900, 5000), (NOT_FOUND, item(STUDY_DATE))):
        facts = {condition_codes.HYPERTENSION: item(), condition_codes.DYSPNOEA: symptom}
        facts |= {measurement_codes.NT_PROBNP: value(number, "pg/mL", STUDY_DATE)} if number else {}
        yield replace(case(record(asked, facts), (answer(*signs),), {}, STUDY_DATE), modality="CR")


def infections(pathway: Pathway) -> Iterator[Case]:
    """Pneumonia of every number of points, of which any may be missing, with and without oxygen and immunity."""
    low = (
        {condition_codes.CONFUSION: item(STUDY_DATE)},
        {measurement_codes.UREA_NITROGEN: value(40, "mg/dL", STUDY_DATE)},
        {measurement_codes.RESPIRATORY_RATE: value(40, "/min", STUDY_DATE)},
        {measurement_codes.SYSTOLIC: value(70, "mm[Hg]", STUDY_DATE)},
    )
    gone = {one: NOT_FOUND for one in infection.NO_POINTS}
    other = (
        {},
        gone,
        {measurement_codes.OXYGEN_SATURATION: value(80, "%", STUDY_DATE)},
        {condition_codes.IMMUNOSUPPRESSION: item()},
    )
    for chosen, more in product(product((False, True), repeat=len(low)), other):
        facts = more | {name: fact for one, on in zip(low, chosen, strict=True) if on for name, fact in one.items()}
        smokes = Known(SmokingStatus.CURRENT, STUDY_DATE, SOURCE)
        data = infection.patient(pathway.asks, facts, smoking_status=smokes)
        yield infection.film(data, site={"pneumonia_follow_up.guideline": "bts-2009"})


def livers() -> Iterator[Case]:
    """Fat with any FIB-4, a stiff or an acutely ill liver."""
    seen = measured(finding_codes.LIVER_ATTENUATION, 35.0, "[hnsf'U]")
    for ast, kpa, scanned in product((None, 20, 60, 190, 900), (None, 5, 15), (NOT_FOUND, item(STUDY_DATE))):
        facts: dict[object, object] = {procedure_codes.ELASTOGRAPHY: scanned}
        facts |= {measurement_codes.LIVER_STIFFNESS: value(kpa, "kPa")} if kpa else {}
        facts |= {measurement_codes.ALT: value(30, "U/L"), measurement_codes.PLATELETS: value(200, "10*9/L")}
        facts |= {measurement_codes.AST: value(ast, "U/L")} if ast else {}
        yield study(record(liver.asks, facts), seen)


CASES = {
    heart: tuple(hearts()),
    pneumonia: tuple(infections(pneumonia)),
    pneumonia_follow_up: tuple(infections(pneumonia_follow_up)),
    liver: tuple(livers()),
}


@pytest.mark.parametrize("code", language.languages())
@pytest.mark.parametrize("pathway", CASES, ids=lambda one: one.id)
def test_a_summary_has_at_most_139_characters_in_every_language(pathway: Pathway, code: str) -> None:
    said = [pathway(replace(one, language=code)) for one in CASES[pathway]]
    cards = [one for one in said if isinstance(one, Advice)]
    assert cards
    for card in cards:
        assert 0 < len(card.summary) <= LONGEST, card.summary
