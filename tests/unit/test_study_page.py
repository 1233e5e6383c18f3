"""What stands on the study page, and that whatever a record says is text on it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest

from cds.domain.coding import Quantity
from cds.domain.finding import Change, Findings, Presence
from cds.domain.identity import HumanName
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.domain.report import Report
from cds.domain.verification import Verdict
from cds.render import study_page
from cds.study_pages import StudyPage, Visitor
from tests.unit.fhir_samples import ADVICE, DENSITY, LAA, PATIENT, REFUSAL, STUDY, report
from tests.unit.opinions import verified

VISITOR = Visitor("Practitioner/7", "patient-1", datetime(2026, 3, 5, tzinfo=UTC))
_VOID = frozenset({"meta", "br"})


class Outline(HTMLParser):
    """The headings of a page in their order, what is open at its end, and every tag and address in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(of: Report | None = None, *said: PathwayOutcome, insecure: bool = False) -> str:
    """The page of the sample report with what pathways say to it."""
    shown = StudyPage(of or report(), said, VISITOR)
    return study_page.render(shown, site_name="Site", time_zone="Europe/Berlin", insecure=insecure)


def text(html: str) -> str:
    """What a reader sees, without the markup."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html))


def test_it_tells_the_study_the_finding_its_value_and_its_threshold() -> None:
    said = text(page())
    assert "2026-03-04" in said
    assert "Low attenuation area below -950 HU (Lung structure) measured 12.5 % 6 % ct_lung_density 1.0.0" in said
    assert "Limit of ct_lung_density 1.0.0: no contrast only." in said


def test_what_was_not_evaluated_stands_with_its_reason_and_is_no_negative() -> None:
    said = text(page(report(REFUSAL, advice=())))
    assert "ct_lung_density 1.0.0 the lungs are not covered; only 3 slices" in said
    assert "No finding could be evaluated." in said
    assert "what is absent from this page is not a negative result" in said


def test_a_comparison_with_the_earlier_study_is_told() -> None:
    change = Change("1.2.3", date(2025, 3, 4), 365, Quantity(10.0, "%"), 2.5, error="2 %", beyond_error=True)
    grown = replace(DENSITY, findings=(replace(LAA, change=change),))
    assert "Change: +2.5 % since 2025-03-04, then 10 %; beyond the error" in text(page(report(grown)))


def test_it_says_how_much_a_radiologist_has_verified() -> None:
    assert "Verified by a radiologist: none of 2 findings." in text(page())
    said = text(page(verified(report(), Verdict.CONFIRMED)))
    assert "Verified by a radiologist: 1 of 2 findings." in said
    assert "confirmed this finding" in said


def test_the_advice_of_now_stands_and_not_that_of_when_the_report_was_made() -> None:
    newer = replace(ADVICE, summary="Something else is advised today.")
    said = text(page(report(), newer))
    assert "Something else is advised today." in said
    assert ADVICE.summary not in said


@pytest.mark.parametrize(
    ("indicator", "word"), [("info", "Information"), ("warning", "Warning"), ("critical", "Critical")]
)
def test_urgency_is_told_in_words_not_by_colour_alone(indicator: str, word: str) -> None:
    advice: Advice = replace(ADVICE, indicator=Indicator(indicator))
    assert f"{word}: {advice.summary}" in text(page(None, advice))


def test_an_advice_in_another_language_says_so_to_whoever_listens() -> None:
    assert '<section class="advice warning" lang="de">' in page(None, replace(ADVICE, language="de"))


def test_what_could_not_be_told_says_what_is_missing_and_how_to_get_it() -> None:
    untold = CouldNotTell("p", "Lung nodule", "the age is not known", ("age",), ("look at the chart",))
    said = text(page(None, untold))
    assert "Lung nodule : the age is not known. Missing: age. How to get it: look at the chart." in said
    assert "has a step to suggest" not in said


def test_nothing_to_suggest_is_told_only_where_a_guideline_could_be_evaluated() -> None:
    nothing = NothingToSay("q", "it does not apply")
    assert "No guideline that could be evaluated has a step to suggest." in text(page(None, nothing))
    assert "No guideline is in use here for such a study." in text(page())


def test_that_an_ai_advises_and_a_clinician_decides_is_on_every_page() -> None:
    pages = (
        page(),
        study_page.listing([STUDY], site_name="Site"),
        study_page.message("Not here", "Nothing.", site_name="Site"),
    )
    assert all("Advice for a clinician, who decides" in one for one in pages)


def test_links_lead_to_guidelines_and_to_our_own_pages_alone() -> None:
    links = Outline(page(None, ADVICE)).links
    assert ADVICE.source.url in links
    assert all(one.startswith(("https://", "../", "#")) for one in links)


def test_headings_are_in_their_order_and_every_tag_is_closed() -> None:
    found = Outline(page(report(), ADVICE, CouldNotTell("p", "P", "because")))
    assert found.open == []
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in zip(found.headings, found.headings[1:], strict=False))


HOSTILE = '<img src=x onerror="alert(1)"> [x](javascript:alert(1)) <script>alert(1)</script> `'


def test_what_a_record_says_is_text() -> None:
    person = replace(PATIENT, name=HumanName(HOSTILE, HOSTILE))
    hostile = replace(report(), patient=person, study=replace(STUDY, description=HOSTILE))
    advice = replace(ADVICE, title=HOSTILE, summary=HOSTILE, seen=(HOSTILE,), notes=(HOSTILE,))
    pages = [page(hostile, advice), study_page.listing([hostile.study], site_name=HOSTILE)]
    pages.append(study_page.message(HOSTILE, HOSTILE, site_name=HOSTILE))
    for one in pages:
        found = Outline(one)
        assert not found.tags & {"img", "script", "iframe", "object"}
        assert not any("javascript" in link.lower() for link in found.links)


def test_the_policy_names_the_style_that_the_page_has() -> None:
    """CSP 3, section 6.7.3.3: the digest is over the text of the element."""
    for one in (page(), study_page.listing([], site_name="Site"), study_page.message("a", "b", site_name="Site")):
        [style] = re.findall("<style>(.*?)</style>", one)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in study_page.CONTENT_SECURITY_POLICY
        assert "style=" not in one


def test_a_list_without_studies_is_no_negative_result() -> None:
    assert "This is not a negative result." in study_page.listing([], site_name="Site")


def test_a_list_names_studies_by_date_modality_and_description_and_links_by_random_id() -> None:
    listed = study_page.listing([STUDY, replace(STUDY, study_date=None, public_id="other")], site_name="Site")
    assert f'<a href="studies/{STUDY.public_id}">2026-03-04, CT, CT chest</a>' in listed
    assert ">date not known, CT, CT chest</a>" in listed


def test_an_insecure_server_says_so_on_every_page() -> None:
    assert "INSECURE" in page(insecure=True)
    assert "INSECURE" in study_page.listing([], site_name="Site", insecure=True)
    assert "INSECURE" in study_page.message("a", "b", site_name="Site", insecure=True)
    assert "INSECURE" not in page()


def test_a_finding_that_was_not_evaluated_counts_for_nothing() -> None:
    blind = replace(LAA, presence=Presence.NOT_EVALUATED, value=None, reason="motion")
    told = Findings("ct_lung_density", "1.0.0", "1.2.3", (blind,))
    assert "No finding could be evaluated." in page(report(told))
