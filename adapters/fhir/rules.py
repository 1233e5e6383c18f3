"""The invariants of R4's types, of the US Core note profile, and Sightline's own: each by its key, over one element."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.fhir import systems
from adapters.fhir.primitives import is_absolute, moment
from adapters.fhir.tolerant import items
from cds.codes import UCUM

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rule:
    """`holds` answers for an element whose structure is right already; `at` is the place below it that is named."""

    key: str
    text: str
    holds: Callable[[Json], bool]
    at: tuple[str, ...] = ()


def _has(value: Json, *names: str) -> bool:
    return any(name in value or f"_{name}" in value for name in names)


def _starting(value: Json, name: str) -> object:
    """The value of a choice element, whatever its type."""
    return next(
        (member for key, member in value.items() if key.startswith(name) and key[len(name) :][:1].isupper()), None
    )


def _needs(one: str, *others: str) -> Callable[[Json], bool]:
    return lambda value: not _has(value, one) or _has(value, *others)


def _some(*names: str) -> Callable[[Json], bool]:
    return lambda value: _has(value, *names)


def _in_order(start: object, end: object) -> bool:
    """False where both are known to the same precision and the end comes first."""
    if not isinstance(start, str) or not isinstance(end, str):
        return True
    first, last = moment(start), moment(end)
    if first is not None and last is not None:
        return first <= last
    if first is not None or last is not None:
        return True
    known = min(len(start), len(end))
    return start[:known] <= end[:known]


def _codings(concept: object) -> set[tuple[object, object]]:
    if not isinstance(concept, Mapping):
        return set()
    return {(coding.get("system"), coding.get("code")) for coding in items(concept.get("coding"))}


def _obs_7(value: Json) -> bool:
    if _starting(value, "value") is None:
        return True
    own = _codings(value.get("code"))
    return not any(own & _codings(part.get("code")) for part in items(value.get("component")))


def _obs_6(value: Json) -> bool:
    return not (_has(value, "dataAbsentReason") and _starting(value, "value") is not None)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _at_most(value: object, most: float) -> bool:
    number = _number(value)
    return number is None or number <= most


def _ras_1(value: Json) -> bool:
    ends = value.get("probabilityRange")
    found = [ends.get("low"), ends.get("high")] if isinstance(ends, Mapping) else []
    return all((end.get("system"), end.get("code")) == (UCUM, "%") for end in found if isinstance(end, Mapping))


def _rng_2(value: Json) -> bool:
    low, high = value.get("low"), value.get("high")
    if not isinstance(low, Mapping) or not isinstance(high, Mapping) or low.get("code") != high.get("code"):
        return True
    first, last = _number(low.get("value")), _number(high.get("value"))
    return first is None or last is None or first <= last


def _rat_1(value: Json) -> bool:
    both = ("numerator" in value, "denominator" in value)
    return both[0] == both[1] and (both[0] or "extension" in value)


def _never_negative(name: str) -> Callable[[Json], bool]:
    return lambda value: (_number(value.get(name)) or 0) >= 0


def _tim_9(value: Json) -> bool:
    when = value.get("when")
    meals = {"C", "CM", "CD", "CV"}
    return not _has(value, "offset") or (isinstance(when, list) and not meals & set(when))


def _entries(name: str, *types: str) -> Callable[[Json], bool]:
    """Every entry has the element exactly where the Bundle is of one of the types."""
    return lambda value: all((name in entry) is (value.get("type") in types) for entry in items(value.get("entry")))


def _bdl_2(value: Json) -> bool:
    return value.get("type") == "searchset" or not any("search" in entry for entry in items(value.get("entry")))


def _bdl_7(value: Json) -> bool:
    urls = [entry["fullUrl"] for entry in items(value.get("entry")) if "fullUrl" in entry]
    return value.get("type") == "history" or len(set(urls)) == len(urls)


def _body_where_sent(value: Json) -> bool:
    request = value.get("request")
    method = request.get("method") if isinstance(request, Mapping) else None
    return method is None or ("resource" in value) is (method in ("POST", "PUT", "PATCH"))


def _labelled(value: Json) -> bool:
    meta = value.get("meta")
    labels = {label.get("code") for label in items(meta.get("security"))} if isinstance(meta, Mapping) else set()
    return systems.AI_ASSERTED.code in labels


def _one_of(name: str, *codes: str) -> Callable[[Json], bool]:
    return lambda value: value.get(name) in codes


def _own_code(value: Json) -> bool:
    return _codings(value.get("code")) == {(systems.AI_ANALYSIS.system, systems.AI_ANALYSIS.code)}


_EFFECTIVE_WANTED = ("partial", "preliminary", "final", "amended", "corrected", "appended")
_LABEL = Rule("sightline-1", "what an AI asserted says so (AIAST)", _labelled, ("security", "meta"))
_PRELIMINARY = Rule(
    "sightline-2",
    "a result of an AI is preliminary or entered-in-error: only the RIS signs",
    _one_of("status", "preliminary", "entered-in-error"),
    ("status",),
)
_QTY_3 = Rule("qty-3", "a code of a unit wants its system", _needs("code", "system"), ("system",))

#: By type; parts of a resource by their path.
RULES: Mapping[str, tuple[Rule, ...]] = {
    "Attachment": (Rule("att-1", "data wants its contentType", _needs("data", "contentType"), ("contentType",)),),
    "Bundle": (
        Rule("bdl-1", "a total in a searchset or history alone",
             lambda v: not _has(v, "total") or v.get("type") in ("searchset", "history"), ("total",)),
        Rule("bdl-2", "entry.search in a searchset alone", _bdl_2, ("entry",)),
        Rule("bdl-3", "entry.request in a batch, transaction or history, in each of its entries",
             _entries("request", "batch", "transaction", "history"), ("entry",)),
        Rule("bdl-4", "entry.response in a batch-response, transaction-response or history, in each of its entries",
             _entries("response", "batch-response", "transaction-response", "history"), ("entry",)),
        Rule("bdl-7", "each fullUrl once", _bdl_7, ("entry",)),
        Rule("sightline-5", "no document and no message", lambda v: v.get("type") not in ("document", "message"),
             ("type",)),
    ),
    "Bundle.entry": (
        Rule("bdl-5", "want a resource, request or response", _some("resource", "request", "response")),
        Rule("bdl-8", "fullUrl names no version", lambda v: "/_history/" not in str(v.get("fullUrl", "")),
             ("fullUrl",)),
        Rule("fullUrl", "want an absolute URI (R4 bundle.html#bundle-unique)",
             lambda v: "fullUrl" not in v or is_absolute(str(v["fullUrl"])), ("fullUrl",)),
        Rule("request", "POST, PUT and PATCH want a resource, others none (R4 http.html#transaction)",
             _body_where_sent, ("resource",)),
    ),
    "Communication": (_LABEL,),
    "ContactPoint": (Rule("cpt-2", "a value wants its system", _needs("value", "system"), ("system",)),),
    "DiagnosticReport": (
        Rule("us-core-10", "want effective[x] in this status",
             lambda v: v.get("status") not in _EFFECTIVE_WANTED or _has(v, "effectiveDateTime", "effectivePeriod"),
             ("effectiveDateTime",)),
        Rule("us-core", "want a category", _some("category"), ("category",)),
        Rule("us-core", "want a subject", _some("subject"), ("subject",)),
        _LABEL,
        _PRELIMINARY,
        Rule("sightline-3", "an AI's report has its own code, never the examination's", _own_code, ("code",)),
    ),
    "Duration": (_QTY_3,),
    "Extension": (
        Rule("ext-1", "want either extensions or a value",
             lambda v: ("extension" in v) is not (_starting(v, "value") is not None)),
    ),
    "Flag": (_LABEL,),
    "Observation": (
        Rule("obs-6", "dataAbsentReason only where there is no value", _obs_6, ("dataAbsentReason",)),
        Rule("obs-7", "no component has the code of an Observation with a value", _obs_7, ("component",)),
        _LABEL,
        _PRELIMINARY,
    ),
    "Observation.referenceRange": (Rule("obs-3", "want low, high or text", _some("low", "high", "text")),),
    "Patient.contact": (
        Rule("pat-1", "want a name, telecom, address or organization",
             _some("name", "telecom", "address", "organization")),
    ),
    "Period": (
        Rule("per-1", "the start comes first", lambda v: _in_order(v.get("start"), v.get("end")), ("end",)),
    ),
    "Quantity": (_QTY_3,),
    "Range": (Rule("rng-2", "the low end is not above the high one", _rng_2, ("high",)),),
    "Ratio": (Rule("rat-1", "want both numerator and denominator, or none and an extension", _rat_1),),
    "Reference": (
        Rule("reference", "want reference, identifier, display or an extension (R4 references.html#Reference)",
             _some("reference", "identifier", "display", "extension")),
    ),
    "RiskAssessment": (_LABEL, _PRELIMINARY),
    "RiskAssessment.prediction": (
        Rule("ras-2", "a probability is a percentage, 100 at most",
             lambda v: _at_most(v.get("probabilityDecimal"), 100), ("probabilityDecimal",)),
        Rule("ras-1", "the ends of a probability are percentages", _ras_1, ("probabilityRange",)),
    ),
    "ServiceRequest": (
        Rule("prr-1", "orderDetail wants a code", _needs("orderDetail", "code"), ("code",)),
        _LABEL,
        Rule("sightline-4", "a proposal: nothing is ordered until a person signs",
             lambda v: v.get("intent") in ("proposal", "plan") and v.get("status") != "active", ("intent",)),
    ),
    "SimpleQuantity": (_QTY_3,),
    "Task": (
        Rule("inv-1", "lastModified does not come before authoredOn",
             lambda v: _in_order(v.get("authoredOn"), v.get("lastModified")), ("lastModified",)),
        _LABEL,
    ),
    "Timing.repeat": (
        Rule("tim-1", "a duration wants its unit", _needs("duration", "durationUnit")),
        Rule("tim-2", "a period wants its unit", _needs("period", "periodUnit")),
        Rule("tim-4", "a duration is not negative", _never_negative("duration")),
        Rule("tim-5", "a period is not negative", _never_negative("period")),
        Rule("tim-6", "periodMax wants a period", _needs("periodMax", "period")),
        Rule("tim-7", "durationMax wants a duration", _needs("durationMax", "duration")),
        Rule("tim-8", "countMax wants a count", _needs("countMax", "count")),
        Rule("tim-9", "an offset wants when, and no meal in it", _tim_9),
        Rule("tim-10", "timeOfDay or when, not both", lambda v: not (_has(v, "timeOfDay") and _has(v, "when"))),
    ),
}  # fmt: skip
