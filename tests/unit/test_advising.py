"""What a site makes of the pathways: options, language, audience, and the codes that it orders by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds import action_codes as actions
from cds import finding_codes
from cds.bootstrap import advising, readiness
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.order_codes import order_codes
from cds.domain.recommendation import Advice, Case, PathwayOutcome
from cds.domain.report import Audience
from cds.domain.switch import SwitchKind
from cds.settings import Settings
from tests.unit.clinical import NOT_FOUND, STUDY_DATE, case, ehr, report, study

CATALOGUE = {"adrenal-work-up": {"system": "urn:oid:1.2.3", "code": "IMG77", "display": "Adrenals"}}


class NothingOff:
    """Switches of which none is off."""

    def off(self, kind: SwitchKind, name: str) -> bool:
        """The port."""
        return False


def settings(tmp_path: Path, **changes: Any) -> Settings:
    """A site where the adrenal pathway is advisory."""
    return Settings(**{"data_dir": tmp_path, "pathway_modes": {"adrenal": "advisory"}, **changes})


def mass() -> Case:
    """A CT with an adrenal mass that is worked up."""
    finding = Finding("mass", finding_codes.ADRENAL_MASS, Presence.MEASURED, Quantity(25, "mm"))
    density = Finding("hu", finding_codes.ADRENAL_ATTENUATION, Presence.MEASURED, Quantity(30, "[hnsf'U]"))
    outcomes = (Findings("site_adrenal", "1.0.0", "1.2.3", (finding, density)),)
    return case(ehr(conditions={"cancer": NOT_FOUND}), outcomes)


def only(outcomes: tuple[PathwayOutcome, ...]) -> Advice:
    """The one advice."""
    [said] = outcomes
    assert isinstance(said, Advice)
    return said


def test_a_step_is_ordered_by_the_sites_own_code_and_by_a_public_one(tmp_path: Path) -> None:
    said = only(advising.evaluator(settings(tmp_path, orderables=CATALOGUE))(mass(), ["adrenal"]))
    own = Coding("urn:oid:1.2.3", "IMG77", "Adrenals")
    assert said.recommendations[0].orderable == own
    assert order_codes(said.recommendations[0]) == (own,)
    dxa = replace(said.recommendations[0], code=actions.DXA)
    assert order_codes(dxa) == (own, actions.DXA)


def test_without_a_code_a_step_goes_out_as_text(tmp_path: Path) -> None:
    said = only(advising.evaluator(settings(tmp_path))(mass(), ["adrenal"]))
    assert order_codes(said.recommendations[0]) == ()


def test_actions_without_a_code_of_the_site_are_listed(tmp_path: Path) -> None:
    assert "adrenal-work-up" in advising.unmapped(settings(tmp_path))
    assert advising.unmapped(settings(tmp_path, orderables=CATALOGUE)) == ()
    assert advising.unmapped(settings(tmp_path, pathway_modes={})) == ()


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"orderables": {"adrenal": CATALOGUE["adrenal-work-up"]}}, "CDS_ORDERABLES: no action 'adrenal'"),
        ({"pathway_audiences": {"adrenale": ["referral"]}}, "CDS_PATHWAY_AUDIENCES: no pathway 'adrenale'"),
        ({"system_actions": ["imaging-finding"]}, "CDS_SYSTEM_ACTIONS: no service 'imaging-finding'"),
        ({"fatigue": {"roles": {"s|c": ["emphysem"]}}}, "CDS_FATIGUE: roles: s|c: no pathway 'emphysem'"),
        ({"text_language": "xx"}, "CDS_TEXT_LANGUAGE: no catalogue for 'xx'; want one of en"),
        ({"site_options": {"emphysema.laa_950_percent": "101"}}, "want a number from"),
        ({"site_options": {"emphysema.cut_off": "5"}}, "there is no such option"),
        ({"site_options": {"emphysem.laa_950_percent": "5"}}, "there is no such pathway"),
        ({"sites": {"east": {"issuers": ["E"], "text_language": "xx"}}}, "CDS_SITES: east: text_language"),
        ({"sites": {"east": {"issuers": ["E"], "site_options": {"bone.x": "1"}}}}, "CDS_SITES: east: bone.x"),
    ],
)
def test_a_setting_that_would_change_nothing_is_a_mistake_that_is_told(
    tmp_path: Path, changes: dict[str, object], wanted: str
) -> None:
    found = readiness.misspelt(settings(tmp_path, **changes))
    assert not found.ok
    assert wanted in found.detail


def test_what_is_spelt_right_is_no_mistake(tmp_path: Path) -> None:
    good = settings(
        tmp_path,
        orderables=CATALOGUE,
        pathway_audiences={"adrenal": ["referral"]},
        site_options={"emphysema.laa_950_percent": "5"},
    )
    assert readiness.misspelt(good).ok


def test_cards_have_the_options_and_the_language_of_the_reports_own_site(tmp_path: Path) -> None:
    east = {"issuers": ["RIS"], "text_language": "de", "pathway_modes": {"aorta": "advisory"}}
    found = advising.for_cards(settings(tmp_path, sites={"east": east}), NothingOff())
    finding = Finding("aorta", finding_codes.ABDOMINAL_AORTA, Presence.MEASURED, Quantity(46, "mm"))
    given = case(outcomes=(Findings("site_aorta", "1.0.0", "1.2.3", (finding,)),))
    told = {one.pathway: one for one in found(given, report(of=study()))}
    assert isinstance(told["aorta"], Advice)
    assert told["aorta"].language == "de"
    assert "Bauchaorta" in told["aorta"].summary
    assert str(STUDY_DATE) in told["aorta"].summary


def test_cards_leave_out_a_pathway_that_speaks_to_others(tmp_path: Path) -> None:
    radiology = {"adrenal": [Audience.RADIOLOGIST.value]}
    found = advising.for_cards(settings(tmp_path, pathway_audiences=radiology), NothingOff())
    assert found(mass(), report()) == ()
