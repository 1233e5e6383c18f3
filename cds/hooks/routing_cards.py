"""Cards for whoever performs an imaging order: how urgent, what was seen of the region before, what to mind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from cds.domain.critical import CriticalResult
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.hook import About
from cds.domain.imaging_order import ImagingOrder
from cds.domain.recommendation import Advice, CouldNotTell, Indicator
from cds.domain.report import Report
from cds.domain.wording import amount
from cds.hooks import order_cards, parts
from cds.hooks.answer import Card
from cds.hooks.asked import Asked
from cds.hooks.cards import links, untold_lines
from cds.hooks.order_judging import Ordered
from cds.hooks.parts import Json, Site
from cds.pathways import card as markup
from cds.pathways import markdown as md
from cds.release import believed

#: So many earlier exams are told, the newest first.
_MOST = 5
_NO_PRIOR = "None that Sightline has: there may be others in the archive."
_NO_FINDING = "no finding to tell, which is no negative result"


@dataclass(frozen=True, slots=True)
class Prior:
    """An earlier exam; `seen` is the report as it may be shown now, None where nothing of it may be."""

    report: Report
    seen: Report | None
    #: False where nobody here knows which region it is of.
    same_region: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """What is to be told of one order."""

    ordered: Ordered
    priors: tuple[Prior, ...] = ()
    critical: tuple[CriticalResult, ...] = ()
    #: Those of `critical`, by id, of which the finding may be named.
    released: frozenset[str] = frozenset()
    advices: tuple[Advice, ...] = ()
    #: Checks that broke, and those that lack something.
    untold: tuple[CouldNotTell, ...] = ()
    undecided: tuple[CouldNotTell, ...] = ()


def routing(asked: Asked, known: Known) -> Card:
    """The card of one order: it tells, so that nobody has to answer it and it is never held back."""
    loud = known.critical or any(one.indicator is not Indicator.INFO for one in known.advices)
    indicator = Indicator.WARNING if loud else Indicator.INFO
    body: Json = {
        "summary": order_cards.named(known.ordered.name, _summary(known, read=not asked.doubt)),
        "detail": _detail(asked, known),
        "indicator": indicator.value,
        "source": parts.source(asked.site, parts.ORDERS, "for whoever performs an exam"),
    }
    found = [
        *(link for one in _shown(known) for link in links(asked.site, one)),
        *order_cards.guidelines(known.advices),
    ]
    key = order_cards.key(asked, known.ordered, "dispatch")
    return Card(About(key, "", indicator=indicator), body | ({"links": found} if found else {}))


def told_of(known: Known) -> frozenset[str]:
    """The studies of which the card of an order tells a result, or that there is one."""
    return frozenset(
        (*(one.study.study_instance_uid for one in _shown(known)), *(one.study_instance_uid for one in known.critical))
    )


def unseen(site: Site, whose: str, references: Sequence[str]) -> Card:
    """Orders that could not be read: nothing was checked of them."""
    many = "1 dispatched order" if len(references) == 1 else f"{len(references)} dispatched orders"
    return order_cards.telling(
        site,
        f"order/{whose}/unseen",
        f"{many} could not be read: nothing was checked",
        md.bullets(map(md.escape, references)),
        "The call brought no resource of it, and it could not be fetched: that needs fhirAuthorization with a scope "
        "that allows ServiceRequest, and a fhirServer that the site has configured. "
        "That is no sign that nothing is to be minded.",
    )


def _summary(known: Known, *, read: bool) -> str:
    priority = known.ordered.order.priority
    parts_ = [f"priority {priority.value}" if priority else "no priority stated"]
    parts_ += [_count(len(known.critical), "unacknowledged critical result")] if known.critical else []
    parts_ += [_count(len(known.advices), "thing to mind", "things to mind")] if known.advices else []
    parts_ += [_count(len(known.priors), "earlier exam")] if known.priors else []
    parts_ += [] if read else ["earlier imaging not looked up"]
    parts_ += [_count(len(known.untold), "check") + " failed"] if known.untold else []
    return "; ".join(parts_)


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def _detail(asked: Asked, known: Known) -> str:
    priors = [] if asked.doubt else list(_priors(known.priors))
    earlier = md.bullets(priors) if priors or asked.doubt else _NO_PRIOR
    not_evaluated = untold_lines(known.untold) if known.untold else ""
    return md.document(
        f"Order: **{md.escape(known.ordered.name)}**",
        order_cards.record_line(asked),
        md.section("How urgent, and why", md.bullets(_urgency(known.ordered.order))),
        md.section("Critical results that nobody has acknowledged", md.bullets(_criticals(known))),
        md.section("What to mind with this exam", md.bullets(_to_mind(known.advices))),
        md.section("Values used", md.bullets(_used(known.advices))),
        md.section("Missing", md.bullets(_each(known.advices, lambda one: one.missing))),
        md.section("Earlier imaging of the region", earlier),
        md.section("Not checked, as something is not known", md.bullets(_undecided(known.undecided))),
        md.section("Could not be evaluated, which is no sign of nothing to mind", not_evaluated),
        markup.DISCLAIMER,
    )


def _urgency(order: ImagingOrder) -> Iterator[str]:
    yield f"Priority as ordered: {order.priority.value if order.priority else 'none is stated'}"
    if order.wanted_on:
        yield f"Planned for {md.day(order.wanted_on)}"
    reasons = dict.fromkeys(one.display or one.code for one in order.reasons)
    reasons |= {order.reason_text: None} if order.reason_text else {}
    further = "more is said of it than was read here" if order.further else ""
    told = "; ".join(map(md.escape, filter(None, (*reasons, further))))
    yield f"Reason: {told or 'none is stated'}"


def _criticals(known: Known) -> Iterator[str]:
    """What the release keeps from this card is told without its name: the critical route tells it (SAFETY 5)."""
    for one in known.critical:
        made = f", images of {md.day(one.images_at.date())}" if one.images_at else ""
        title = md.escape(one.title) if one.id in known.released else "a finding that is with the radiologist"
        yield f"{title} (ACR category {one.category.value}{made})"


def _to_mind(advices: Sequence[Advice]) -> Iterator[str]:
    for one in advices:
        steps = [f"{md.escape(step.action)}. {md.escape(step.reason)}" for step in one.recommendations]
        yield "\n  - ".join((f"**{md.escape(one.title)}**: {md.escape(one.summary)}", *steps))


def _undecided(untold: Sequence[CouldNotTell]) -> Iterator[str]:
    """What is not known, each reason once with all the checks that it stops."""
    reasons: dict[str, list[str]] = {}
    for one in untold:
        reasons.setdefault(one.reason, []).append(one.title)
    return (md.escape(f"{reason}: {'; '.join(titles)}") for reason, titles in reasons.items())


def _used(advices: Sequence[Advice]) -> list[str]:
    return _each(advices, lambda one: tuple(markup.used(one.language, item) for item in one.inputs), escaped=True)


def _each(advices: Sequence[Advice], say: Callable[[Advice], tuple[str, ...]], *, escaped: bool = False) -> list[str]:
    """What several advices say, each line once."""
    told = dict.fromkeys(text for one in advices for text in say(one))
    return list(told) if escaped else list(map(md.escape, told))


def _priors(priors: Sequence[Prior]) -> Iterator[str]:
    for one in priors[:_MOST]:
        study, order = one.report.study, one.report.order
        name = order.procedure.display if order and order.procedure else ""
        what = " ".join(filter(None, (" ".join(study.modalities), name)))
        where = "" if one.same_region else ", region not known"
        lines = _findings(one.seen) if one.seen else ["an AI result is not released"]
        yield "\n  - ".join((f"{md.day(study.study_date)}: {md.escape(what)}{where}", *lines))
    if len(priors) > _MOST:
        yield f"and {_count(len(priors) - _MOST, 'older one')}"


def _findings(report: Report) -> list[str]:
    """What AI found, as radiologists left it standing, and what they said of it."""
    said = {one.finding.name: f"{one.verdict.value} by a radiologist" for one in report.verifications}
    lines = [
        f"{_found(finding)} (AI, {md.escape(outcome.model)}; {said.get(name, 'unverified')})"
        for outcome in believed(report.outcomes, report.verifications)
        if isinstance(outcome, Findings)
        for finding in outcome.findings
        if finding.presence in (Presence.PRESENT, Presence.MEASURED) and (name := f"{outcome.model}.{finding.key}")
    ]
    return lines or [_NO_FINDING]


def _found(finding: Finding) -> str:
    title = finding.code.display or finding.code.code
    return md.escape(f"{title}: {amount(finding.value)}" if finding.value else title)


def _shown(known: Known) -> list[Report]:
    return [one.seen for one in known.priors[:_MOST] if one.seen]


def newest_first(priors: Sequence[Prior]) -> tuple[Prior, ...]:
    """Those of which the region is known before the others, and the newest first."""
    return tuple(
        sorted(priors, key=lambda one: (one.same_region, one.report.study.study_date or date.min), reverse=True)
    )
