"""The played EHR's desk: it opens charts, calls services as an EHR does, and answers cards."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cds.errors import InvalidInput, NotFound
from cds.sandbox import orders, outcomes, prefetching
from cds.sandbox.chart import Chart, Json, objects, the_object
from cds.sandbox.orders import Draft
from cds.sandbox.outcomes import Override

_MOST_EXCHANGES = 100
_TOKEN_S = 300


class Reply(Protocol):
    """What a CDS Hooks server answered."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def body(self) -> Json | None:
        """The JSON object, None where it is none."""
        ...

    @property
    def took_ms(self) -> float:
        """How long it took."""
        ...

    @property
    def is_answer(self) -> bool:
        """Whether it is a 200 with an object."""
        ...

    @property
    def said(self) -> str:
        """The text of its OperationOutcome."""
        ...


class Server(Protocol):
    """A CDS Hooks server; raises Unavailable where it does not answer."""

    @property
    def base_url(self) -> str:
        """Its base URL."""
        ...

    def discover(self) -> Reply:
        """The discovery document."""
        ...

    def call(self, service: str, body: Mapping[str, object]) -> Reply:
        """Call a service."""
        ...

    def feedback(self, service: str, body: Mapping[str, object]) -> Reply:
        """Send feedback."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """What a person filled in before a call; `keys` are the prefetch keys that are honoured."""

    user: str = "Practitioner/sandbox-user"
    keys: Collection[str] = ()
    with_token: bool = True
    draft: Draft | None = None


@dataclass(slots=True)
class Exchange:
    """One call with its answer, and by card what was done with it."""

    chart: Chart
    service: Json
    request: Json
    reply: Reply
    left_out: Mapping[str, str]
    done: dict[str, list[str]] = field(default_factory=dict)
    #: The suggestions that were accepted, by card.
    accepted: dict[str, set[str]] = field(default_factory=dict)

    @property
    def cards(self) -> list[Json]:
        """The cards of the answer."""
        return objects((self.reply.body or {}).get("cards"))

    def is_open(self, card: Json, suggestion: Json) -> bool:
        """Whether a suggestion can still be accepted: after another one only where the card lets any be chosen."""
        name = str(card.get("uuid"))
        if name not in self.accepted:
            return name not in self.done
        return card.get("selectionBehavior") == "any" and suggestion.get("uuid") not in self.accepted[name]

    def card(self, number: int) -> Json:
        """A card by its place; raise NotFound."""
        if not 0 <= number < len(self.cards):
            raise NotFound("the answer has no such card")
        return self.cards[number]


class Desk:
    """What a sandbox remembers while it runs; `base_url` is where its FHIR server answers."""

    def __init__(self, charts: Sequence[Chart], server: Server, base_url: str, now: Callable[[], datetime]) -> None:
        self.charts = tuple(charts)
        self.server = server
        self.fhir_url = f"{base_url}/fhir"
        #: The bearer token that the played EHR gives away with its calls.
        self.token = secrets.token_urlsafe(32)
        self._now = now
        self._exchanges: dict[str, Exchange] = {}

    def services(self) -> list[Json]:
        """What the server offers; raise NotFound in words where it offers nothing that can be read."""
        reply = self.server.discover()
        found = (reply.body or {}).get("services")
        if not reply.is_answer or not isinstance(found, list):
            raise NotFound(f"no discovery document: HTTP {reply.status}. {reply.said}".strip())
        return [one for one in objects(found) if isinstance(one.get("id"), str) and isinstance(one.get("hook"), str)]

    def service(self, service_id: str, hook: str) -> Json:
        """One of them; raise NotFound."""
        for one in self.services():
            if (one.get("id"), one.get("hook")) == (service_id, hook):
                return one
        raise NotFound("the server has no such service")

    def chart(self, number: int) -> Chart:
        """A chart by its place; raise NotFound."""
        if not 0 <= number < len(self.charts):
            raise NotFound("there is no such patient")
        return self.charts[number]

    def find(self, kind: str, name: str) -> tuple[Chart, Json]:
        """A resource of any chart; raise NotFound."""
        for chart in self.charts:
            try:
                return chart, chart.read(kind, name)
            except NotFound:
                continue
        raise NotFound("no chart has such a resource")

    def call(self, chart: Chart, service: Json, form: Form) -> str:
        """Call a service as an EHR does; answer the name of the exchange."""
        context = self._context(chart, str(service.get("hook")), form)
        templates = the_object(service.get("prefetch"))
        filled = prefetching.fill(templates, context, chart, base_url=self.fhir_url, wanted=form.keys)
        request: Json = {
            "hook": service.get("hook"),
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": self.fhir_url,
            **(self._authorization(chart, form) if form.with_token else {}),
            "context": context,
            "prefetch": filled.found,
        }
        reply = self.server.call(str(service.get("id")), request)
        return self._keep(Exchange(chart, service, request, reply, filled.left_out))

    def exchange(self, name: str) -> Exchange:
        """An earlier call; raise NotFound."""
        if name not in self._exchanges:
            raise NotFound("there is no such call; the sandbox forgets old ones, and all when it ends")
        return self._exchanges[name]

    def accept(self, exchange: Exchange, number: int, suggestion_id: str) -> None:
        """Accept a suggestion: the chart is changed, and the server is told."""
        card = exchange.card(number)
        found = objects(card.get("suggestions"))
        chosen = next((one for one in found if one.get("uuid") == suggestion_id), None)
        if chosen is None:
            raise NotFound("the card has no such suggestion")
        done = list(outcomes.apply(chosen, exchange.chart))
        exchange.accepted.setdefault(str(card.get("uuid")), set()).add(suggestion_id)
        body = outcomes.accepted(str(card.get("uuid")), [suggestion_id], self._now())
        self._tell(exchange, card, [f"accepted: {chosen.get('label')}", *done], body)

    def override(self, exchange: Exchange, number: int, code: str, comment: str = "") -> None:
        """Override a card with one of its reasons, or without, and tell the server."""
        card = exchange.card(number)
        reasons = objects(card.get("overrideReasons"))
        reason = next((one for one in reasons if f"{one.get('system', '')}|{one.get('code')}" == code), None)
        if code and reason is None:
            raise InvalidInput("the card has no such reason")
        body = outcomes.overridden(str(card.get("uuid")), Override(reason, comment), self._now())
        told = reason.get("display") if reason else "without a reason"
        self._tell(exchange, card, [f"overridden: {told}"], body)

    def _tell(self, exchange: Exchange, card: Json, done: list[str], body: Json) -> None:
        reply = self.server.feedback(str(exchange.service.get("id")), body)
        said = f"feedback answered HTTP {reply.status}. {reply.said}".strip()
        exchange.done.setdefault(str(card.get("uuid")), []).extend([*done, said])

    def _context(self, chart: Chart, hook: str, form: Form) -> Json:
        if hook not in orders.PLAYED:
            raise InvalidInput(f"the sandbox cannot play the hook {hook!r}")
        visit = orders.visit(chart, form.user, hook)
        if hook not in orders.WITH_ORDER:
            return orders.context(hook, visit)
        if form.draft is None:
            raise InvalidInput("want an order: this hook is about one")
        status = "draft" if hook in orders.WITH_DRAFTS else "active"
        name = f"sandbox-{secrets.token_hex(4)}"
        written = orders.order(form.draft, chart.patient_id, name, status=status)
        if hook not in orders.WITH_DRAFTS:
            chart.add(written)
        return orders.context(hook, visit, (written,), form.draft.performer)

    def _authorization(self, chart: Chart, form: Form) -> Json:
        given: Json = {
            "access_token": self.token,
            "token_type": "Bearer",
            "expires_in": _TOKEN_S,
            "scope": "patient/*.rs",
            "subject": "sightline-sandbox",
            "patient": chart.patient_id,
        }
        return {"fhirAuthorization": given}

    def _keep(self, exchange: Exchange) -> str:
        while len(self._exchanges) >= _MOST_EXCHANGES:
            del self._exchanges[next(iter(self._exchanges))]
        name = secrets.token_hex(8)
        self._exchanges[name] = exchange
        return name
