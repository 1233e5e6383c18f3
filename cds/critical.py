"""Which findings are critical (SAFETY section 5): by a site's own list, over a table of codes that were verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cds.codes import SNOMED
from cds.destinations import CriticalRoute
from cds.domain.coding import Coding
from cds.domain.critical import Category, CriticalFinding
from cds.domain.finding import Finding, Findings, ModelOutcome, Presence, kind_of
from cds.settings import Settings

RADLEX = "http://radlex.org"
#: The same, as others write it.
_RADLEX_TOO = "http://www.radlex.org"
#: Larson PA, Berland LL, Griffith B, Kahn CE, Liebscher LA. J Am Coll Radiol 2014;11:552-558. The work group gives
#: examples per category and says that no list is definitive: a site adds to it or overrides it.
SOURCE = "ACR Actionable Reporting Work Group 2014, doi:10.1016/j.jacr.2013.12.016"


@dataclass(frozen=True, slots=True)
class Actionable:
    """A finding that the work group names, by its codes. `reading` says what it names where the code says less.

    `verified` is False until somebody has read the category in the source itself: such a row does not load (SAFETY
    section 6), and a site names the finding in its own `critical_findings`.
    """

    codes: tuple[Coding, ...]
    category: Category
    reading: str = ""
    source: str = SOURCE
    verified: bool = False


#: Known from quotations alone. Where the category depends on what a code does not say, the more urgent one holds.
TABLE: tuple[Actionable, ...] = (
    Actionable((Coding(SNOMED, "1386000", "Intracranial hemorrhage"),), Category.MINUTES),
    Actionable(
        (Coding(SNOMED, "36118008", "Pneumothorax"), Coding(RADLEX, "RID5352", "pneumothorax")),
        Category.MINUTES,
        "1 under tension, 2 without: the code does not exclude tension",
    ),
    Actionable(
        (Coding(SNOMED, "59282003", "Pulmonary embolism"), Coding(RADLEX, "RID4834", "pulmonary embolism")),
        Category.MINUTES,
        "1 where unstable, central or extensive, 2 where stable and peripheral: the code does not say which",
    ),
)


def loaded(table: Iterable[Actionable] = TABLE) -> dict[tuple[str, str], Category]:
    """The categories of the rows that were verified at their source, by system and code."""
    return {(code.system, code.code): one.category for one in table if one.verified for code in one.codes}


_CATEGORIES = loaded()


def find(settings: Settings, outcomes: Iterable[ModelOutcome]) -> tuple[CriticalFinding, ...]:
    """The critical findings of a report, the most urgent first; only what is present is critical."""
    found = (
        _critical(settings, f"{outcome.model}.{finding.key}", finding)
        for outcome in outcomes
        if isinstance(outcome, Findings)
        for finding in outcome.findings
        if finding.presence is Presence.PRESENT
    )
    return tuple(sorted(filter(None, found), key=lambda one: (one.category, one.finding)))


def unloaded(settings: Settings, outputs: Iterable[tuple[str, str, Coding]]) -> tuple[str, ...]:
    """Findings (`model.key`) that the work group names and that alert nobody here.

    Their row is not verified and the site does not name them. `outputs` are (model, key, code) of what may be found.
    """
    waiting = {(code.system, code.code) for one in TABLE if not one.verified for code in one.codes} - _CATEGORIES.keys()
    named = ((f"{model}.{key}", _system_code(code)) for model, key, code in outputs)
    return tuple(sorted({name for name, code in named if code in waiting and name not in settings.critical_findings}))


def routes(settings: Settings, *, test: bool) -> tuple[str, ...]:
    """Who is told, in order: the first route, and who is next. A test result goes to test systems alone, and no other.

    MSH-11 T and D (HL7 table 0103); mail and webhooks reach people, so they take no tests.
    """
    return tuple(name for name in _chain(settings) if _takes_tests(settings.critical_routes[name]) is test)


def following(settings: Settings, route: str, *, test: bool) -> str:
    """The route after this one; empty after the last, or where the route is not configured any more."""
    chain = routes(settings, test=test)
    place = chain.index(route) + 1 if route in chain else len(chain)
    return chain[place] if place < len(chain) else ""


def _critical(settings: Settings, name: str, finding: Finding) -> CriticalFinding | None:
    named = settings.critical_findings
    category = named.get(name) or named.get(kind_of(name)) or _CATEGORIES.get(_system_code(finding.code))
    return CriticalFinding(name, finding.code.display or finding.key, category) if category else None


def _system_code(code: Coding) -> tuple[str, str]:
    return (RADLEX if code.system == _RADLEX_TOO else code.system, code.code)


def _chain(settings: Settings) -> Iterator[str]:
    """The routes as they follow each other, each once, also where they lead in a circle."""
    seen: set[str] = set()
    name = settings.critical_route
    while name and name not in seen:
        seen.add(name)
        yield name
        name = settings.critical_routes[name].escalate_to


def _takes_tests(route: CriticalRoute) -> bool:
    to = route.hl7 or route.fhir
    return to is not None and to.processing != "P"
