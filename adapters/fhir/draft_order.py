"""Draft imaging orders of a CDS Hooks call (order-select, order-sign): ServiceRequests of `context.draftOrders`.

Read tolerantly: what is no ServiceRequest, or is not a draft any more, is no draft order; odd members say less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adapters.fhir.tolerant import codings, full_day, items, obj, text
from cds import exam_codes
from cds.domain.coding import Coding
from cds.domain.imaging_order import Exam, ImagingOrder

#: R4 request-status of what nobody has signed.
_DRAFT = "draft"
_NO_CODES: Mapping[str, Exam] = {}


def read_draft_orders(context: Mapping[str, object], site: Mapping[str, Exam] = _NO_CODES) -> tuple[ImagingOrder, ...]:
    """The draft orders of a call, those that were selected alone where `selections` says which.

    `site` says what the site's own codes ask for. A code that nobody knows gives an order without an exam.
    """
    selected = _selections(context.get("selections"))
    found: dict[str, ImagingOrder] = {}
    for number, resource in enumerate(_service_requests(context.get("draftOrders"))):
        name = text(resource.get("id"))
        if selected is None or name in selected:
            key = name or f"#{number}"
            found.setdefault(key, _order(key, resource, site))
    return tuple(found.values())


def _selections(value: object) -> frozenset[str] | None:
    """The ids of what was selected, with or without their type; None where nothing says it (order-sign)."""
    if not isinstance(value, list):
        return None
    named = (text(one) for one in value)
    return frozenset(name.rpartition("/")[2] for name in named if name)


def _service_requests(bundle: object) -> Iterator[Mapping[str, object]]:
    for entry in items(obj(bundle).get("entry")):
        resource = obj(entry.get("resource"))
        asked = resource.get("resourceType") == "ServiceRequest" and resource.get("doNotPerform") is not True
        if asked and text(resource.get("status")) == _DRAFT:
            yield resource


def _order(key: str, resource: Mapping[str, object], site: Mapping[str, Exam]) -> ImagingOrder:
    codes = tuple(codings(resource.get("code")))
    reasons, reason_text = _reasons(resource)
    return ImagingOrder(
        key=key,
        codes=codes,
        exam=exam_codes.exam(codes, site),
        text=text(obj(resource.get("code")).get("text")) or next((one.display for one in codes if one.display), ""),
        reasons=reasons,
        reason_text=reason_text,
        wanted_on=full_day(resource.get("occurrenceDateTime")) or full_day(_period(resource).get("start")),
    )


def _period(resource: Mapping[str, object]) -> Mapping[str, object]:
    return obj(resource.get("occurrencePeriod"))


def _reasons(resource: Mapping[str, object]) -> tuple[tuple[Coding, ...], str]:
    """The coded reasons, and what was written of them."""
    coded = tuple(one for concept in items(resource.get("reasonCode")) for one in codings(concept))
    written = (text(concept.get("text")) for concept in items(resource.get("reasonCode")))
    return coded, "; ".join(dict.fromkeys(filter(None, written)))
