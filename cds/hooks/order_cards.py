"""Cards about imaging orders that are not signed yet: what a check says, and what could not be judged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cds.domain.hook import About
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, Source
from cds.hooks import parts
from cds.hooks.answer import Card, Suggestion, digest
from cds.hooks.asked import Asked
from cds.hooks.cards import untold_lines
from cds.hooks.drafts import Basis
from cds.hooks.order_drafts import suggested
from cds.hooks.order_judging import Ordered
from cds.hooks.parts import Json, Site, line, summary
from cds.ordering import takes_away
from cds.pathways import card as markup
from cds.pathways import markdown as md

_LABEL = "imaging orders"
#: A name that would be shorter than this says nothing.
_SHORTEST = 12
_NOT_A_YES = "That is no sign that nothing speaks against it."


def advice(asked: Asked, ordered: Ordered, said: Advice, others: Sequence[Ordered] = ()) -> Card:
    """The card of a check that has something to say to an order; `others` are orders to which it says the same."""
    instead = any(one.instead for one in said.recommendations)
    basis = Basis(asked.site, asked.request.patient_id)
    drafts = [found for one in said.recommendations if (found := suggested(basis, one, ordered))]
    body: Json = {
        "summary": named(ordered.name, said.summary),
        "detail": md.document(
            f"Order: **{'**, **'.join(md.escape(one.name) for one in (ordered, *others))}**",
            record_line(asked),
            markup.detail(said, ordered=True),
            *_by_hand(ordered, said),
        ),
        "indicator": said.indicator.value,
        "source": parts.guideline(asked.site, parts.ORDERS, said),
        "links": guidelines((said,)),
        "overrideReasons": parts.reasons(parts.ORDER_REASONS),
    }
    about = About(
        key(asked, ordered, said.pathway),
        digest(said),
        said.pathway,
        said.indicator,
        site=asked.context.home(asked.patient),
    )
    return Card(
        about, body, tuple(_one_first(drafts)) if instead else tuple(drafts), "at-most-one" if instead else "any"
    )


def key(asked: Asked, ordered: Ordered, what: str) -> str:
    """The same for as long as the same exam is ordered for the same patient, whatever id the draft has."""
    exam = hashlib.sha256(ordered.code.encode()).hexdigest()[:16]
    return f"order/{asked.whose}/{exam}/{what}"


def named(name: str, said: str) -> str:
    """A summary that names the exam; the name is shortened before what is said of it is."""
    whole, room = line(name), parts.LONGEST_SUMMARY - len(line(said)) - len(": ")
    if len(whole) > room:
        whole = f"{whole[: room - 1].rstrip()}…" if room >= _SHORTEST else ""
    return summary(f"{whole}: {said}" if whole else said)


def record_line(asked: Asked) -> str:
    """That our own record was not read, and why; empty where it was."""
    if not asked.doubt:
        return ""
    return md.escape(f"Judged without {asked.site.name}'s own record of this patient. {asked.doubt}")


def guidelines(said: Sequence[Advice]) -> list[Json]:
    """The guidelines of some advices, and those that single steps come from, each once."""
    sources: dict[Source, None] = {}
    for one in said:
        sources |= dict.fromkeys((one.source, *(step.source for step in one.recommendations)))
    return [parts.to_source(one) for one in sources]


def could_not_tell(asked: Asked, orders: Sequence[Ordered], untold: Sequence[CouldNotTell]) -> Card:
    """One card for all checks that broke, whatever the order (SAFETY section 6)."""
    titles = dict.fromkeys(one.title for one in untold)
    return telling(
        asked.site,
        f"order/{asked.whose}/could-not-tell",
        f"Not checked before this order: {', '.join(titles)}",
        f"Order: **{'**, **'.join(md.escape(one.name) for one in orders)}**",
        f"The following could not be evaluated. {_NOT_A_YES}",
        untold_lines(tuple(dict.fromkeys(untold))),
    )


def unidentified(asked: Asked) -> Card:
    """Something contradicts who the patient is here: the orders are judged by what the call itself brought."""
    return telling(
        asked.site,
        f"order/{asked.whose}/unidentified",
        "It is in doubt who this patient is in Sightline; orders are judged without its own record",
        md.escape(asked.doubt),
        "So earlier imaging, values and reactions that came to Sightline alone are not known here. "
        "That does not mean that there are none.",
    )


def another_patient(site: Site, whose: str, orders: Sequence[Ordered]) -> Card:
    """Orders that name another patient than the call: nothing is said of them, and somebody has to look."""
    told = telling(
        site,
        f"order/{whose}/another-patient",
        "Not judged: an order names another patient than the one whose chart is open",
        md.bullets(md.escape(one.name) for one in orders),
        f"Look whose order this is before it goes on. {_NOT_A_YES}",
    )
    about = replace(told.about, indicator=Indicator.WARNING)
    return replace(told, about=about, body=told.body | {"indicator": Indicator.WARNING.value})


def telling(site: Site, about: str, said: str, *detail: str) -> Card:
    """A card that gives no advice: it is always shown, and people have nothing to answer to it."""
    body: Json = {
        "summary": summary(said),
        "detail": md.document(*detail),
        "indicator": Indicator.INFO.value,
        "source": parts.source(site, parts.ORDERS, _LABEL),
    }
    return Card(About(about, ""), body)


def _by_hand(ordered: Ordered, said: Advice) -> Iterator[str]:
    """What no action can do: a draft without an id of its own cannot be deleted for a person."""
    if not ordered.reference and any(map(takes_away, said.recommendations)):
        yield "The draft order has no id: whoever agrees removes it by hand."


def _one_first(found: Sequence[Suggestion]) -> Iterator[Suggestion]:
    """CDS Hooks 2.0: of suggestions of which at most one is taken, at most one is recommended."""
    meant = False
    for one in found:
        body = {name: value for name, value in one.body.items() if not (meant and name == "isRecommended")}
        meant = meant or "isRecommended" in body
        yield replace(one, body=body)
