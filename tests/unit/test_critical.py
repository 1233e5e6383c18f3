"""Which findings are critical, and who is told in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds import critical
from cds.codes import SNOMED
from cds.domain.coding import Coding
from cds.domain.critical import Category, delivery_id, message_number, numbered
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from tests.contract.critical_notices import DOUBTFUL, NOTICE, PHI, WITHDRAWN
from tests.contract.critical_site import BLEED, FINDING, ROUTES, settings


def found(*findings: Finding) -> Findings:
    return Findings("ct_head", "1.0", "1.2.9", findings)


def of(system: str, code: str, key: str = "x") -> Finding:
    return Finding(key, Coding(system, code, "A finding"), Presence.PRESENT)


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (SNOMED, "1386000"), (SNOMED, "36118008"), (SNOMED, "59282003"),
        ("http://radlex.org", "RID5352"), ("http://www.radlex.org", "RID5352"), ("http://radlex.org", "RID4834"),
    ],
)  # fmt: skip
def test_what_was_not_verified_at_its_source_does_not_load(system: str, code: str) -> None:
    assert critical.find(settings(), [found(of(system, code))]) == ()
    read = critical.loaded(replace(row, verified=True) for row in critical.TABLE)
    assert read[(system.replace("www.", ""), code)] is Category.MINUTES


@pytest.mark.parametrize("system", ["http://loinc.org", "urn:sightline:observation"])
def test_the_same_code_of_another_system_is_another_finding(system: str) -> None:
    assert critical.find(settings(), [found(of(system, "1386000"))]) == ()


@pytest.mark.parametrize("presence", [p for p in Presence if p is not Presence.PRESENT])
def test_only_what_is_present_is_critical(presence: Presence) -> None:
    assert critical.find(settings(), [found(replace(BLEED, presence=presence))]) == ()


def test_a_refusal_has_no_finding() -> None:
    assert critical.find(settings(), [NotEvaluated("ct_head", "1.0", ("motion",))]) == ()


def test_a_site_adds_and_overrides_and_the_most_urgent_comes_first() -> None:
    site = settings(critical_findings={"ct_head.mass": 1, FINDING: 2})
    mass = Finding("mass", Coding("urn:x", "mass", "Mass"), Presence.PRESENT)
    assert [(one.finding, one.category) for one in critical.find(site, [found(BLEED, mass)])] == [
        ("ct_head.mass", 1),
        (FINDING, 2),
    ]


def test_a_finding_of_a_kind_that_the_site_names_is_critical_whichever_of_several_it_is() -> None:
    site = settings(critical_findings={"ct_head.lesion": 1})
    two = [of("urn:x", "lesion", f"lesion-{number}") for number in (1, 2)]
    assert [one.finding for one in critical.find(site, [found(*two)])] == ["ct_head.lesion-1", "ct_head.lesion-2"]


def test_what_the_table_names_and_the_site_does_not_is_said_to_alert_nobody() -> None:
    bleed, other = BLEED.code, Coding(SNOMED, "1", "Something")
    pneumothorax = Coding("http://www.radlex.org", "RID5352", "pneumothorax")
    outputs = [("ct_head", "bleed", bleed), ("ct_head", "other", other), ("cxr", "ptx", pneumothorax)]
    assert critical.unloaded(settings(critical_findings={}), outputs) == (FINDING, "cxr.ptx")
    assert critical.unloaded(settings(critical_findings={FINDING: 2}), outputs) == ("cxr.ptx",)
    assert critical.unloaded(settings(critical_findings={FINDING: 2, "cxr.ptx": 1}), outputs) == ()


def test_every_row_of_the_table_names_its_source() -> None:
    assert all("doi:10.1016/j.jacr.2013.12.016" in one.source for one in critical.TABLE)


def test_routes_follow_each_other_once_also_in_a_circle() -> None:
    circle = {**ROUTES, "second": {**ROUTES["second"], "escalate_to": "first"}}
    site = settings(critical_routes=circle)
    assert critical.routes(site, test=False) == ("first", "second")
    assert critical.following(site, "first", test=False) == "second"
    assert critical.following(site, "second", test=False) == ""
    assert critical.following(site, "gone", test=False) == ""


def test_a_production_result_passes_over_a_test_system() -> None:
    system = {"host": "127.0.0.1", "port": 9, "processing": "D"}
    routes = {
        "training": {"recipient": "T", "channel": "hl7", "hl7": system, "escalate_to": "first"},
        **ROUTES,
    }
    site = settings(critical_routes=routes, critical_route="training")
    assert critical.routes(site, test=False) == ("first", "second")
    assert critical.routes(site, test=True) == ("training",)


def test_the_number_on_the_wire_leads_back_to_the_delivery() -> None:
    first, second, withdrawal = delivery_id("a", "r"), delivery_id("a", "s"), delivery_id("a", "r", "withdrawal")
    assert len({first, second, withdrawal}) == 3
    assert numbered(f" {message_number(first)} ") == first
    assert len(message_number(first)) == 20


@pytest.mark.parametrize("notice", [NOTICE, DOUBTFUL, WITHDRAWN], ids=["sure", "doubtful", "withdrawn"])
def test_the_words_for_mail_name_no_patient_number_or_study(notice: object) -> None:
    assert isinstance(notice, type(NOTICE))
    text = "\n".join((notice.headline, *notice.lines))
    assert [one for one in PHI if one in text] == []


def test_a_doubt_is_said_without_its_reason() -> None:
    assert "Whose images these are is in doubt: look at the study." in DOUBTFUL.lines
    assert "birth date" not in "".join(DOUBTFUL.lines)
    assert DOUBTFUL.found_by == "The images state accession number ACC1."
    assert NOTICE.found_by == WITHDRAWN.found_by == ""


def test_a_withdrawal_has_no_link() -> None:
    assert "https://" not in "".join(WITHDRAWN.lines)
    assert WITHDRAWN.headline.startswith("Withdrawn: critical AI finding")
