"""What pathways say at a site: evaluated with its options and language, and with the codes that it orders by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from cds import ordering, pathways, release
from cds.action_codes import ACTIONS, name_of
from cds.destinations import Orderable
from cds.domain.coding import Coding
from cds.domain.recommendation import Advice, Case, PathwayOutcome, Recommendation
from cds.domain.report import Audience, Mode, Report
from cds.ports import Switches
from cds.settings import Settings


def evaluator(settings: Settings) -> Callable[[Case, Collection[str]], tuple[PathwayOutcome, ...]]:
    """`pathways.evaluate` with the site's own orderables in what it recommends."""
    return lambda case, names: orderable(pathways.evaluate(case, names), settings.orderables)


def for_cards(settings: Settings, switches: Switches) -> Callable[[Case, Report], tuple[PathwayOutcome, ...]]:
    """What the pathways say to a case that may speak to referral cards of the report's site now."""
    installed, evaluate = tuple(pathways.load()), evaluator(settings)

    def said(case: Case, report: Report) -> tuple[PathwayOutcome, ...]:
        where = release.site(settings, report.study)
        at_site = replace(case, site=settings.options_of(where), language=settings.language_of(where))
        names = release.pathways(settings, switches, installed, where)
        return evaluate(at_site, [name for name in names if settings.hears(name, Audience.REFERRAL)])

    return said


def orderable(outcomes: tuple[PathwayOutcome, ...], catalogue: Mapping[str, Orderable]) -> tuple[PathwayOutcome, ...]:
    """The outcomes with the site's own code in each recommendation that it has one for."""
    if not catalogue:
        return outcomes
    return tuple(_mapped(one, catalogue) if isinstance(one, Advice) else one for one in outcomes)


def actions() -> frozenset[str]:
    """The names of everything that pathways and checks may suggest."""
    return frozenset(map(name_of, ACTIONS.values()))


def unmapped(settings: Settings) -> tuple[str, ...]:
    """The actions of advisory pathways that the site has no code of its own for: they go out as text."""
    where = ("", *settings.sites)
    speaking = [
        one
        for one in (*pathways.load().values(), *ordering.load().values())
        if any(settings.pathway_mode(one.id, at) is Mode.ADVISORY for at in where)
    ]
    suggested = dict.fromkeys(name_of(action) for one in speaking for action in one.suggests)
    return tuple(name for name in suggested if name not in settings.orderables)


def _mapped(advice: Advice, catalogue: Mapping[str, Orderable]) -> Advice:
    return replace(advice, recommendations=tuple(_coded(one, catalogue) for one in advice.recommendations))


def _coded(step: Recommendation, catalogue: Mapping[str, Orderable]) -> Recommendation:
    own = catalogue.get(name_of(step.code))
    return replace(step, orderable=Coding(own.system, own.code, own.display)) if own else step
