"""What is written of an order: another draft in its place, and the order itself with what the checks used as a note.

A draft that takes the place of an order keeps what its author decided: for whom, in which encounter, by whom, how soon,
when and why. A note leaves all that stands as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cds.domain.conclusion import input_text
from cds.domain.order import QUEUE_PRIORITY, Priority
from cds.domain.recommendation import Advice, Recommendation
from cds.hooks.answer import Suggestion
from cds.hooks.drafts import Basis, draft, suggestion
from cds.hooks.order_judging import Ordered
from cds.hooks.parts import Json, Site, line
from cds.ordering import (
    contrast_reaction,
    gadolinium_contrast,
    iodinated_contrast,
    metformin,
    pregnancy,
    takes_away,
)
from cds.pathways._facts import NONE_FOUND

#: The checks whose values are of use to whoever performs the exam: contrast medium, kidneys, pregnancy.
_SAFETY = frozenset({contrast_reaction.ID, gadolinium_contrast.ID, iodinated_contrast.ID, metformin.ID, pregnancy.ID})
#: R4 ServiceRequest: what an author decided whatever the exam is.
_KEPT = (
    "subject", "encounter", "requester", "basedOn", "requisition", "occurrenceDateTime", "occurrencePeriod",
    "occurrenceTiming", "asNeededBoolean", "asNeededCodeableConcept", "reasonReference", "supportingInfo", "insurance",
    "authoredOn", "patientInstruction",
)  # fmt: skip
_WHEN = ("occurrenceDateTime", "occurrencePeriod", "occurrenceTiming")
#: Lists that are kept, with ours at their end.
_JOINED = ("reasonCode", "note")
#: What is of the exam that was ordered, or of its draft alone; whatever else an order states and the new draft lacks
#: is named, so that whoever accepts looks at it: a side of the body, say.
_OF_THE_DRAFT = frozenset({
    "resourceType", "id", "meta", "implicitRules", "language", "text", "contained", "identifier", "status", "intent",
    "code", "category", "priority", "doNotPerform", "instantiatesCanonical", "instantiatesUri", "replaces",
})  # fmt: skip
_PRIORITIES = {one.value: QUEUE_PRIORITY[one] for one in Priority}


def suggested(basis: Basis, step: Recommendation, ordered: Ordered) -> Suggestion | None:
    """A step as a draft to accept; what takes the order's place deletes it first. None where there is nothing to do."""
    if not step.instead:
        return suggestion(basis, step)
    actions = [*_deleted(step, ordered), *_created(basis, step, ordered)]
    body: Json = {"label": line(step.action), "actions": actions}
    return Suggestion(step.key, body | ({"isRecommended": True} if step.recommended else {})) if actions else None


def _deleted(step: Recommendation, ordered: Ordered) -> Iterator[Json]:
    if ordered.reference:
        said = line(f"Remove the draft order of {ordered.name}. {step.reason}")
        yield {"type": "delete", "description": said, "resourceId": ordered.reference}


def _created(basis: Basis, step: Recommendation, ordered: Ordered) -> Iterator[Json]:
    if takes_away(step):
        return
    by_hand = "" if ordered.reference else f" The draft order of {ordered.name} has no id: remove it by hand."
    yield {
        "type": "create",
        "description": line(f"Draft: {step.action}. {step.reason}{by_hand}{_not_taken_over(ordered.resource)}"),
        "resource": in_place_of(ordered.resource, draft(basis, step)),
    }


def _not_taken_over(order: Mapping[str, object]) -> str:
    """What the order states and the new draft does not: it may not fit another exam."""
    known = {*_with_extensions(_KEPT), *_JOINED, *_OF_THE_DRAFT}
    left = [name for name in order if name not in known and name.isalpha() and order[name]]
    return f" Not taken over from that order: {', '.join(left)}." if left else ""


def in_place_of(order: Mapping[str, object], made: Json) -> Json:
    """A draft of ours with what belongs to the order that it takes the place of; never less urgent than that."""
    kept = {name: order[name] for name in _with_extensions(_KEPT) if order.get(name)}
    ours = {name: value for name, value in made.items() if name not in _WHEN} if _states_when(order) else made
    joined = {name: [*_list(order.get(name)), *_list(made.get(name))] for name in _JOINED}
    whole = {**ours, **kept, **joined, "priority": _more_urgent(order.get("priority"), made["priority"])}
    inner = _contained(order, whole)
    return {"resourceType": whole["resourceType"], **({"contained": inner} if inner else {}), **whole}


def noted(ordered: Ordered, said: Iterable[Advice], site: Site) -> Json | None:
    """The order with the values that the checks of its safety used as a note at its end; None where there are none.

    An order that has the note already, or that nobody can name, is left alone.
    """
    text = _note(said, site)
    before = ordered.resource.get("note", [])
    if not (text and ordered.reference and isinstance(before, list)) or {"text": text} in before:
        return None
    return {
        "type": "update",
        "description": f"Values that the checks of this order used, as a note for who performs it, by {site.name}",
        "resource": {**ordered.resource, "note": [*before, {"text": text}]},
    }


def _note(said: Iterable[Advice], site: Site) -> str:
    used = [one for advice in said if advice.pathway in _SAFETY for one in advice.inputs if one.value != NONE_FOUND]
    values = dict.fromkeys(line(input_text(one)) for one in used)
    return f"{site.name}, from the record: {'; '.join(values)}. What is not named here is not known to be absent." \
        if values else ""  # fmt: skip


def _states_when(order: Mapping[str, object]) -> bool:
    return any(order.get(name) for name in _WHEN)


def _with_extensions(names: Sequence[str]) -> tuple[str, ...]:
    """R4 JSON: what extends a primitive stands beside it, with an underscore."""
    return (*names, *(f"_{name}" for name in names))


def _more_urgent(stated: object, ours: object) -> object:
    known = [one for one in (stated, ours) if isinstance(one, str) and one in _PRIORITIES]
    return min(known, key=_PRIORITIES.__getitem__)


def _contained(order: Mapping[str, object], whole: Mapping[str, object]) -> list[object]:
    """What the order contains and the new draft still points to, or what is kept points to in turn."""
    there = {f"#{one['id']}": one for one in _list(order.get("contained")) if isinstance(one, Mapping) and "id" in one}
    wanted: dict[str, object] = {}
    new = _references(whole) & there.keys()
    while new:
        wanted |= {name: there[name] for name in sorted(new)}
        new = (_references(list(wanted.values())) & there.keys()) - wanted.keys()
    return list(wanted.values())


def _references(value: object) -> set[str]:
    """Every local reference in a resource."""
    if isinstance(value, Mapping):
        own = value.get("reference")
        inner = {found for item in value.values() for found in _references(item)}
        return inner | ({own} if isinstance(own, str) else set())
    return {found for item in _list(value) for found in _references(item)}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
