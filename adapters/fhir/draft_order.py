"""Imaging orders of a CDS Hooks call: drafts of `context.draftOrders` (order-select, order-sign), and dispatched ones.

Read tolerantly: what is no ServiceRequest, or is not a draft any more, is no draft order; odd members say less. Of why
an exam is ordered nothing is lost without a word: what is not read here is told by `ImagingOrder.further`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from adapters.fhir.tolerant import codings, full_day, items, obj, text
from cds import exam_codes
from cds.domain.coding import Coding
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.order import Priority

#: R4 request-status of what nobody has signed, and of what is still to be done.
_DRAFT = frozenset({"draft"})
_STANDING = frozenset({"draft", "active", "on-hold"})
#: R4 request-priority.
_PRIORITIES = {one.value: one for one in Priority}
#: Members that say why, and are not read: R4 references and notes; `reason` is that of R5.
_FURTHER = ("reasonReference", "supportingInfo", "note", "reason")
_NO_CODES: Mapping[str, Exam] = {}


def read_draft_orders(context: Mapping[str, object], site: Mapping[str, Exam] = _NO_CODES) -> tuple[ImagingOrder, ...]:
    """The draft orders of a call, those that were selected alone where `selections` says which.

    `site` says what the site's own codes ask for. A code that nobody knows gives an order without an exam. Of drafts
    with one id the later ones are named by their place too.
    """
    selected = _selections(context.get("selections"))
    found: dict[str, ImagingOrder] = {}
    for number, resource in enumerate(_service_requests(context.get("draftOrders"))):
        name = text(resource.get("id"))
        if selected is None or name in selected:
            key = name if name and name not in found else f"{name}#{number}"
            found[key] = _order(key, resource, site)
    return tuple(found.values())


def read_orders(
    resources: Iterable[Mapping[str, object]], site: Mapping[str, Exam] = _NO_CODES
) -> tuple[ImagingOrder, ...]:
    """Orders that were dispatched, signed or not, as far as they still stand: whoever performs one is to know more."""
    return tuple(_order(text(one.get("id")), one, site) for one in resources if _asks(one, _STANDING))


def _selections(value: object) -> frozenset[str] | None:
    """The ids of what was selected, with or without their type; None where nothing says it (order-sign)."""
    if not isinstance(value, list):
        return None
    named = (text(one) for one in value)
    return frozenset(name.rpartition("/")[2] for name in named if name)


def _service_requests(bundle: object) -> Iterator[Mapping[str, object]]:
    for entry in items(obj(bundle).get("entry")):
        resource = obj(entry.get("resource"))
        if _asks(resource, _DRAFT):
            yield resource


def _asks(resource: Mapping[str, object], statuses: Collection[str]) -> bool:
    """Whether it asks for something to be done, and has one of these statuses."""
    asked = resource.get("resourceType") == "ServiceRequest" and resource.get("doNotPerform") is not True
    return asked and text(resource.get("status")) in statuses


def _order(key: str, resource: Mapping[str, object], site: Mapping[str, Exam]) -> ImagingOrder:
    codes = tuple(codings(resource.get("code")))
    reasons, reason_text = _reasons(resource)
    priority = text(resource.get("priority")).lower()
    return ImagingOrder(
        key=key,
        codes=codes,
        exam=exam_codes.exam(codes, site),
        text=text(obj(resource.get("code")).get("text")) or next((one.display for one in codes if one.display), ""),
        reasons=reasons,
        reason_text=reason_text,
        wanted_on=full_day(resource.get("occurrenceDateTime")) or full_day(_period(resource).get("start")),
        priority=_PRIORITIES.get(priority),
        further=_says_further(resource),
        authored_on=full_day(resource.get("authoredOn")),
    )


def _says_further(resource: Mapping[str, object]) -> bool:
    """Whether it says more of why, or how soon, than was read."""
    priority, coded = resource.get("priority"), resource.get("reasonCode")
    odd = bool(priority) and text(priority).lower() not in _PRIORITIES
    concepts = items(coded)
    whole = isinstance(coded, list) and len(concepts) == len(coded) and all(map(_is_read, concepts))
    return odd or (bool(coded) and not whole) or any(resource.get(name) for name in _FURTHER)


def _is_read(concept: Mapping[str, object]) -> bool:
    """Whether all of a reason is read: each of its codings has a code, and it has one or a text."""
    stated = concept.get("coding") or []
    if not isinstance(stated, list) or len(codings(concept)) != len(stated):
        return False
    return bool(stated) or bool(text(concept.get("text")))


def _period(resource: Mapping[str, object]) -> Mapping[str, object]:
    return obj(resource.get("occurrencePeriod"))


def _reasons(resource: Mapping[str, object]) -> tuple[tuple[Coding, ...], str]:
    """The coded reasons, and what was written of them: it is no display of a code that has none."""
    concepts = items(resource.get("reasonCode"))
    coded = tuple(one for concept in concepts for one in codings({"coding": concept.get("coding")}))
    written = (text(concept.get("text")) for concept in items(resource.get("reasonCode")))
    return coded, "; ".join(dict.fromkeys(filter(None, written)))
