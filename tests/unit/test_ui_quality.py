"""The quality page: who may see it, what it says, and that it names no patient and nobody else's figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.parsers import expat

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cds import bootstrap
from cds.bootstrap import Stores
from cds.bootstrap.quality import computed
from cds.bootstrap.ui_quality import quality
from cds.domain.quality import About, Bin, Drift, ModelFigures, QualityDay
from cds.domain.verification import Agreement
from cds.quality_bounds import QualityBounds
from cds.render import plots
from cds.settings import Settings
from cds.store.quality import QualityStore
from cds.store.quality_tables import QualityRunRow
from cds.ui.people import Person, Role
from cds.web.ui.app import create_ui
from tests.contract.quality_site import DAY, MODEL, NOW, VERSION, Case, put
from tests.databases import Databases, fresh
from tests.ui_doors import LAUNCHED, Doormen, StandingClock, client, parsed, staff, ui_services

TODAY = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
READERS = (Role.RADIOLOGIST, Role.CLINICIAN, Role.ENGINEER, Role.AUDITOR)
RADIOLOGIST = staff(Role.RADIOLOGIST)
ADDRESSES = (
    "/quality",
    f"/quality/models/{MODEL}/{VERSION}",
    f"/quality/plots/1/{MODEL}/{VERSION}/days.svg",
    "/quality/csv/models.csv",
)


@dataclass
class Table(HTMLParser):
    """The cells of the rows of a page."""

    rows: list[list[str]] = field(default_factory=list)
    _in_cell: bool = False

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._in_cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())


def rows(answer: TestResponse) -> list[list[str]]:
    """The rows of all tables of a page, cell by cell."""
    found = Table()
    found.feed(answer.get_data(as_text=True))
    return found.rows


class Picture:
    """An SVG as a strict parser reads it: its elements, the text of each `text`, and what it says of itself."""

    def __init__(self, svg: bytes) -> None:
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.said: dict[str, str] = {}
        self._open: list[str] = []
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = lambda _name: self._open.pop()
        parser.CharacterDataHandler = self._read
        parser.Parse(svg, True)

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(name)
        self.elements.append((name, attributes))
        if name == "text":
            self.texts.append("")

    def _read(self, data: str) -> None:
        if self._open[-1] == "text":
            self.texts[-1] += data
        elif self._open[-1] in ("title", "desc"):
            self.said[self._open[-1]] = self.said.get(self._open[-1], "") + data


@dataclass
class Site:
    """An installation with one run, and browsers of several people."""

    settings: Settings
    held: Stores
    databases: Databases
    doormen: Doormen = field(default_factory=Doormen)

    def browser(self, who: Person | None = RADIOLOGIST) -> FlaskClient:
        pages = quality(self.settings, self.held, StandingClock())
        app = create_ui(ui_services(self.settings, doormen=self.doormen, quality=pages))
        return client(app, self.doormen, who)

    def compute(self, day: date = DAY) -> QualityDay:
        found = computed(self.settings, self.databases.app, day)
        QualityStore(self.databases.app).add(found, NOW)
        return found


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Site]:
    with fresh(tmp_path / "data") as databases:
        bounds = QualityBounds(window_days=7, reference_days=30, enough=10, ppv={MODEL: 0.9})
        settings = Settings(data_dir=databases.data_dir, quality=bounds, sites={"north": {"issuers": ["RIS-N"]}})
        held = bootstrap.stores(settings)
        yield Site(settings, held, databases)
        held.database.dispose()


def _said(number: int) -> Agreement:
    """Odd studies agree."""
    return Agreement.AGREES if number % 2 else Agreement.DISCORDANT


@pytest.fixture
def site(empty: Site) -> Site:
    before = (Case(n, TODAY - timedelta(days=60), intensity=float(n)) for n in range(15))
    now = (Case(100 + n, TODAY, agreement=_said(n), scanner="<b>New</b> $x^", intensity=float(n)) for n in range(15))
    put(empty.databases, *before, *now, Case(200, TODAY, refused=True))
    empty.compute()
    return empty


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    ("who", "status"),
    [*((staff(role), 200 if role in READERS else 403) for role in Role), (LAUNCHED, 403), (None, 303)],
)
def test_those_who_answer_for_models_may_look_and_nobody_else(
    site: Site, address: str, who: Person | None, status: int
) -> None:
    answer = site.browser(who).get(address, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/quality?day=yesterday", 400),
        ("/quality?day=2026-11-20", 404),
        (f"/quality/models/{MODEL}/9.9", 404),
        (f"/quality/plots/7/{MODEL}/{VERSION}/days.svg", 404),
        (f"/quality/plots/1/{MODEL}/{VERSION}/drift-999.svg", 404),
        (f"/quality/plots/1/{MODEL}/{VERSION}/drift-²1.svg", 404),
        (f"/quality/plots/1/{MODEL}/{VERSION}/other.svg", 404),
        ("/quality/csv/audit.csv", 404),
        ("/quality/csv/models.csv?day=2026-13-01", 400),
    ],
)
def test_what_is_not_there_or_not_asked_well_is_said_in_words(site: Site, address: str, status: int) -> None:
    answer = site.browser().get(address, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert parsed(answer).all("h1")


def test_before_the_first_run_it_says_how_to_have_one(empty: Site) -> None:
    answer = empty.browser().get("/quality")
    assert answer.status_code == 200
    assert "cds quality run" in parsed(answer).text


def test_the_overview_tells_models_bounds_and_times(site: Site) -> None:
    answer = site.browser().get("/quality")
    page = parsed(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    (model,) = [row for row in rows(answer) if row[0] == f"{MODEL} {VERSION}"]
    # Wilson's lower bound of all of 15: 15 / (15 + 3.8415).
    assert model[1:5] == ["16", "15", "contrast 1", "100.0 % (79.6 to 100.0) 15 of 15"]
    assert model[6] == "⚠ drifted: 1 of 5"
    assert f"crossed PPV of {MODEL}" not in page.text
    assert f"crossed Quality: PPV of {MODEL} {VERSION} for Bleed is 47 % (7 of 15" in page.text
    (report,) = [row for row in rows(answer) if row[0].startswith("First image")]
    assert report[1:] == ["16", "10 min", "10 min", "0"]
    assert "No card was shown or suppressed" in page.text


def test_the_page_of_a_model_says_what_its_shares_are_of(site: Site) -> None:
    answer = site.browser().get(f"/quality/models/{MODEL}/{VERSION}")
    page = parsed(answer)
    (bleed,) = [row for row in rows(answer) if row[0] == "Bleed (bleed)"]
    assert bleed[2] == "46.7 % (24.8 to 69.9) 7 of 15"
    assert bleed[6] == "verification 0, report 15"
    assert "what is missing is not missing by chance" in page.text
    (volume,) = [row for row in rows(answer) if row[0] == "Bleed (volume)"]
    assert volume[1] == "not known"
    assert "<b>New</b> $x^" in page.text, "the name of a scanner is text"


def test_a_page_is_one_document_without_styles_of_its_own_or_patients(site: Site) -> None:
    for address in ADDRESSES[:2]:
        page = parsed(site.browser().get(address))
        assert len(page.all("h1")) == 1
        assert not any("style" in attributes for _, attributes in page.elements)
        assert all(attributes.get("scope") for attributes in page.all("th"))
        assert all(attributes.get("alt") for attributes in page.all("img"))
        assert "1.2.826" not in page.text
        named = {attributes["id"] for _, attributes in page.elements if attributes.get("id")}
        wanted = {attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes}
        assert wanted <= named


def test_an_earlier_window_can_be_chosen(site: Site) -> None:
    put(site.databases, Case(300, TODAY + timedelta(days=1)))
    site.compute(DAY + timedelta(days=1))
    newest, before = site.browser().get("/quality"), site.browser().get(f"/quality?day={DAY}")
    assert [row[1] for row in rows(newest) if row[0] == f"{MODEL} {VERSION}"] == ["17"]
    assert [row[1] for row in rows(before) if row[0] == f"{MODEL} {VERSION}"] == ["16"]
    chosen = [attributes["value"] for attributes in parsed(before).all("option") if "selected" in attributes]
    assert str(DAY) in chosen


def test_it_says_where_nights_were_missed(site: Site) -> None:
    assert "out of date" not in parsed(site.browser().get("/quality")).text
    with site.databases.app.writing() as session:
        session.exec(sa.update(QualityRunRow).values(day=DAY - timedelta(days=2)))
    assert "⚠ out of date The last night was not computed" in parsed(site.browser().get("/quality")).text


def test_every_plot_of_the_page_is_drawn_and_told(site: Site) -> None:
    client = site.browser()
    page = parsed(client.get(f"/quality/models/{MODEL}/{VERSION}"))
    addresses = [attributes["src"] for attributes in page.all("img")]
    assert len(addresses) == 4
    for address in addresses:
        answer = client.get(str(address))
        assert answer.content_type == "image/svg+xml"
        assert answer.headers["Cache-Control"] == "private, max-age=86400, immutable"
        drawn = Picture(answer.data)
        assert MODEL in drawn.said["title"]
        assert drawn.said["desc"]
        assert client.get(str(address)).data == answer.data


def test_tables_come_as_files(site: Site) -> None:
    answer = site.browser(staff(Role.AUDITOR)).get("/quality/csv/findings.csv")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="quality-findings-{DAY}.csv"'
    assert answer.content_type.startswith("text/csv")
    header, *rows = answer.get_data(as_text=True).splitlines()
    assert header.startswith("day,model,version,finding,title,positive,positive_of")
    assert rows[0].startswith(f"{DAY},{MODEL},{VERSION},bleed,Bleed,15,15,1.0,0.7961,1.0,7,15,0.4667,")


def figures() -> ModelFigures:
    """A model whose scanner has a name that means something elsewhere."""
    bins = (Bin('$x^ <b> "q" style="fill: red"', 0.25, 0.75), Bin("others", 0.75, 0.25))
    drift = Drift(About.INPUT, "scanner", 100, 100, 1.1, 0.2, bins=bins, drifted=True)
    day = date(2026, 1, 1)
    return ModelFigures(MODEL, VERSION, day, day, 0, 0, {}, None, 0, drift=(drift,))


def test_a_plot_keeps_its_text_as_text_and_needs_no_styles() -> None:
    svg = plots.drift(figures(), figures().drift[0])
    drawn = Picture(svg)
    assert '$x^ <b> "q" style="fill: red"' in drawn.texts
    assert {"style", "metadata"}.isdisjoint(name for name, _ in drawn.elements)
    assert not any("style" in attributes for _, attributes in drawn.elements)
    assert (drawn.elements[0][1]["role"], drawn.elements[0][1]["aria-labelledby"]) == ("img", "title desc")
    assert "25% then, 75% now" in svg.decode()
    assert len(svg) < 20_000


def test_a_plot_of_nothing_is_drawn_too() -> None:
    assert b"No day." in plots.days(figures())
    assert b"No positive finding has been verified." in plots.findings(figures())
