"""The report as an HTML page: what it says, that it loads nothing and nobody can write into it, and stays the same."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.domain.identity import HumanName
from cds.domain.recommendation import Source
from cds.domain.report import Report
from cds.render.forms import presented
from cds.render.html import render
from tests.unit import fhir_samples
from tests.unit.fhir_samples import ADVICE, DENSITY, HEAD, PATIENT, REFUSAL, STUDY, report, samples

#: Everything that a page may be made of; "br" and "meta" have no end.
_ALONE = {"meta", "br"}
_ELEMENTS = _ALONE | {"html", "head", "title", "style", "body", "main", "h1", "h2", "p", "a", "footer"}
_ELEMENTS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}


class _Page(HTMLParser):
    """Its elements with their attributes, its text by element, and whether every end has its beginning."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))

    def all(self, *tags: str) -> list[str]:
        """The texts of these elements."""
        return [text for tag, text in self.texts if tag in tags]


def page(said: Report) -> _Page:
    return _Page(render(said, site_name="Sample Hospital", time_zone="Europe/Berlin"))


def words(said: Report) -> str:
    """All its text, blanks as one."""
    drawn = page(said)
    return " ".join(" ".join(text for tag, text in drawn.texts if tag != "style").split())


def test_it_says_what_it_is_who_and_what_by_which_model_and_where_its_limits_lie() -> None:
    text = words(report(DENSITY, REFUSAL, version=2))
    for wanted in (
        "AI analysis of imaging study - Sample Hospital",
        "AI output, preliminary, advisory; not a radiology report.",
        "artificial intelligence asserted (AIAST)",
        "Unmistakable, Quentina",
        "12345 (HOSPITAL); 9 (Other Clinic)",
        "1958-04-05, female",
        "ACC1 (RIS)",
        "version 2, preliminary",
        "Low attenuation area below -950 HU (Lung structure) measured 12.5 % 6 % ct_lung_density 1.0.0",
        "the lungs are not covered; only 3 slices",
        "Limit of ct_lung_density 1.0.0: no contrast only.",
        "Used: smoking status: former (no date, FHIR prefetch).",
        "Used: pack-years: 30 (2026-01-02, HL7 LAB|HOSPITAL).",
        "Missing for A published score: age.",
        "Not evaluated: unknown age.",
        "Spirometry by 2026-06-04 (routine)",
        "it replaces version 1",
    ):
        assert wanted in text


def test_html_and_pdf_are_drawn_from_the_same_words() -> None:
    html, pdf = presented(report(), site_name="Sample Hospital", time_zone="Europe/Berlin")
    assert (html.content_type, pdf.content_type) == ("text/html", "application/pdf")
    assert html.title == pdf.title == "AI analysis of imaging study, version 1, preliminary"
    assert pdf.data.startswith(b"%PDF-")


def test_a_test_report_and_incomplete_images_are_said_in_a_notice() -> None:
    tested = page(samples()["test"])
    incomplete = page(samples()["incomplete"])
    assert "TEST: made from test messages, not a result of a patient." in tested.all("p")
    assert "Made from incomplete images: 184 of 200 images of series 3." in incomplete.all("p")
    assert [a["class"] for tag, a in incomplete.elements if tag == "p" and "class" in a] == ["notice", "notice"]


def test_a_finding_has_its_certainty_and_a_negative_excludes_nothing() -> None:
    assert "detected, certainty 94 %" in words(samples()["positive"])
    negative = words(samples()["not detected"])
    assert "not detected; does not exclude" in negative
    assert "certainty" not in negative


def test_nobody_is_named_where_nobody_is_known() -> None:
    text = words(report(HEAD, match=fhir_samples.UNMATCHED, patient=None, advice=()))
    assert "Name" not in text
    assert "Not attached to a patient" in text


class TestAccessible:
    """WCAG: a language, a title, headings in order, tables whose cells have headers."""

    @pytest.mark.parametrize("kind", samples())
    def test_every_page_is_well_formed_and_has_language_title_and_one_top_heading(self, kind: str) -> None:
        drawn = page(samples()[kind])
        assert drawn.open == []
        assert drawn.elements[0] == ("html", {"lang": "en"})
        assert drawn.all("title") == ["AI analysis of imaging study"]
        headings = [tag for tag, _ in drawn.elements if tag in ("h1", "h2", "h3")]
        assert headings[0] == "h1"
        assert headings.count("h1") == 1
        assert {tag for tag, _ in drawn.elements} <= _ELEMENTS

    def test_every_table_names_its_columns_or_its_rows(self) -> None:
        drawn = page(report(DENSITY, REFUSAL))
        heads = [attributes.get("scope") for tag, attributes in drawn.elements if tag == "th"]
        assert set(heads) == {"col", "row"}
        tables = sum(tag == "table" for tag, _ in drawn.elements)
        assert tables == sum(tag in ("caption", "thead") for tag, _ in drawn.elements) == 4


class TestSafe:
    """Nothing runs, nothing is loaded, and no word becomes markup."""

    @pytest.mark.parametrize("kind", samples())
    def test_no_page_loads_or_runs_anything(self, kind: str) -> None:
        drawn = page(samples()[kind])
        names = {name for _, attributes in drawn.elements for name in attributes}
        assert names <= {"lang", "charset", "http-equiv", "content", "name", "class", "scope", "dir", "href", "rel"}
        links = [attributes["href"] for tag, attributes in drawn.elements if tag == "a"]
        assert all(link and link.startswith("https://doi.org/") for link in links)
        [policy] = [a["content"] for _, a in drawn.elements if a.get("http-equiv") == "Content-Security-Policy"]
        assert policy == "default-src 'none'; style-src 'unsafe-inline'"

    def test_a_source_that_is_no_doi_is_no_link(self) -> None:
        other = Source("A guideline", "javascript:alert(1)")
        said = report(advice=(replace(ADVICE, risks=(), recommendations=(
            replace(ADVICE.recommendations[0], source=other),)),))  # fmt: skip
        drawn = page(said)
        assert "a" not in {tag for tag, _ in drawn.elements}
        assert "A guideline, javascript:alert(1)" in drawn.all("td")

    @given(st.text(alphabet=st.sampled_from("<>&\"'/=a \n\x00\x1b\x85script"), min_size=1, max_size=40))
    def test_no_word_of_a_record_becomes_markup(self, text: str) -> None:
        said = report(
            DENSITY,
            study=replace(STUDY, description=text),
            patient=replace(PATIENT, name=HumanName(text, text)),
        )
        plain, drawn = page(report(DENSITY)), page(said)
        shape = [tag for tag, _ in drawn.elements if tag != "br"]
        assert shape == [tag for tag, _ in plain.elements]
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", render(
            said, site_name="Sample Hospital", time_zone="UTC").decode())  # fmt: skip

    @pytest.mark.parametrize("kind", samples())
    def test_the_same_report_gives_the_same_bytes(self, kind: str) -> None:
        first, second = (
            render(samples()[kind], site_name="Sample Hospital", time_zone="Europe/Berlin") for _ in range(2)
        )
        assert first == second
