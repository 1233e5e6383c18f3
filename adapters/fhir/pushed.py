"""Bundles that others push: what of a transaction or batch concerns us, read before anything of it is kept.

R4 http.html#transaction: of a transaction all entries are taken or none; of a batch each for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.fhir.intake import NewsReader
from adapters.fhir.outcome import informational, operation_outcome
from adapters.fhir.references import Follow
from adapters.fhir.tolerant import items, obj, text
from cds.domain.fhir_news import News, Outcome, Reason
from cds.errors import InsufficientData, InvalidResource, SightlineError

Resource = Mapping[str, object]
Json = dict[str, object]

#: What is taken; everything else in `_CONTEXT` is read with what refers to it, and not kept as a resource.
_TAKEN = frozenset({"DiagnosticReport", "ImagingStudy"})
_CONTEXT = frozenset(
    {
        "CareTeam", "Encounter", "Endpoint", "Location", "Observation", "Organization", "Patient", "Practitioner",
        "PractitionerRole", "Provenance", "ServiceRequest", "Specimen",
    }
)  # fmt: skip
_MOST_ENTRIES = 1000
_BUNDLES = frozenset({"transaction", "batch"})
_SAID = {
    Outcome.ANNOUNCED: "the study is announced: its images are fetched where a model reads them",
    Outcome.FILED: "the radiologist's report is filed; its studies are matched and decided again",
    Outcome.WITHDRAWN: "it is noted that the study was withdrawn",
    Outcome.HELD: "the study is announced; a person has to look at its order, which is not applied",
    Outcome.KNOWN: "nothing new",
    Reason.NOT_YET: "its images are not there yet",
    Reason.NOT_CONSUMED: "no installed model reads its images",
    Reason.MADE_BY_AI: "a report that an AI made is not taken",
    Reason.NOT_SIGNED: "the report is not signed yet",
    Reason.ANOTHER_SERVICE: "nothing says that the report is of radiology",
}
_NEW = frozenset({Outcome.ANNOUNCED, Outcome.FILED, Outcome.HELD, Outcome.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Pushed:
    """A Bundle as read. Per entry: what it says, None where it is context, or why it cannot be taken (batch alone)."""

    is_transaction: bool
    entries: tuple[News | SightlineError | None, ...]

    @property
    def news(self) -> tuple[News, ...]:
        """What is to be kept, in the order of the entries."""
        return tuple(one for _, one in self._news())

    @property
    def places(self) -> tuple[str, ...]:
        """Where each of `news` stands."""
        return tuple(place for place, _ in self._news())

    def _news(self) -> Iterator[tuple[str, News]]:
        for index, one in enumerate(self.entries):
            if one is not None and not isinstance(one, SightlineError):
                yield _place(index), one


def read_bundle(reader: NewsReader, bundle: Resource, received_at: datetime) -> Pushed:
    """Raise InvalidResource or InsufficientData that names the entry; of a batch only where it is no batch at all."""
    kind = text(bundle.get("type"))
    if bundle.get("resourceType") != "Bundle" or kind not in _BUNDLES:
        raise InvalidResource("want a Bundle of type transaction or batch")
    listed = bundle.get("entry", [])
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_ENTRIES:
        raise InvalidResource(f"Bundle.entry wants 1 to {_MOST_ENTRIES} entries")
    follow = _within(bundle)
    read: list[News | SightlineError | None] = []
    for index, entry in enumerate(listed):
        try:
            read.append(_entry(reader, obj(entry), follow, received_at))
        except (InvalidResource, InsufficientData) as error:
            named = type(error)(f"{_place(index)}: {error}")
            if kind == "transaction":
                raise named from None
            read.append(named)
    return Pushed(kind == "transaction", tuple(read))


def response(pushed: Pushed, outcomes: Sequence[Outcome | Reason | SightlineError]) -> Json:
    """The transaction-response or batch-response; `outcomes` of `pushed.news`, in their order."""
    became = iter(outcomes)
    entries = []
    for one in pushed.entries:
        what = one if one is None or isinstance(one, SightlineError) else next(became)
        entries.append({"response": _response(what)})
    kind = "transaction-response" if pushed.is_transaction else "batch-response"
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def _response(what: Outcome | Reason | SightlineError | None) -> Json:
    if what is None:
        return {"status": "200", "outcome": informational("read with what refers to it, and not kept as a resource")}
    if isinstance(what, SightlineError):
        return {"status": str(what.http_status), "outcome": operation_outcome(what.issue_code, str(what))}
    return {"status": "201" if what in _NEW else "200", "outcome": informational(_SAID[what])}


def _place(index: int) -> str:
    return f"Bundle.entry[{index}]"


def _entry(reader: NewsReader, entry: Resource, follow: Follow, received_at: datetime) -> News | None:
    method = text(obj(entry.get("request")).get("method"))
    if method not in ("POST", "PUT"):
        raise InvalidResource("request.method wants POST or PUT: nothing else is taken")
    resource = obj(entry.get("resource"))
    resource_type = text(resource.get("resourceType"))
    asked, slash, asked_id = text(obj(entry.get("request")).get("url")).partition("?")[0].partition("/")
    if not resource_type or asked != resource_type or (slash and asked_id != text(resource.get("id"))):
        raise InvalidResource("request.url wants the type of the resource, and its id where there is one")
    if resource_type in _TAKEN:
        return reader.read(resource, follow, received_at)
    if resource_type not in _CONTEXT:
        raise InvalidResource(f"want {' or '.join(sorted(_TAKEN))}, with what they refer to")
    return None


def _within(bundle: Resource) -> Follow:
    """References are looked for in the Bundle alone (R4 bundle.html#references)."""
    known: dict[str, Resource] = {}
    for entry in items(bundle.get("entry")):
        resource = obj(entry.get("resource"))
        kind, own_id = text(resource.get("resourceType")), text(resource.get("id"))
        for name in (text(entry.get("fullUrl")), f"{kind}/{own_id}" if own_id else ""):
            if name:
                known.setdefault(name, resource)
    return lambda reference: known.get(reference, {})
