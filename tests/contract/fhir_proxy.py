"""A proxy in front of any FHIR server: it looks after every write, and lets some go wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.contract.fhir_server import HTTP, FhirServer
from tests.contract.fhir_wire import Asked, Reply, outcome, serving

#: The number of the write, counted from 1 → what goes wrong with it, None for nothing.
Fault = Callable[[int], str | None]


@dataclass
class Proxy:
    """A server behind a door. `fault`: "before" it is refused with 503, "lost" it is done and its answer is lost.

    Anything else that is a number is answered in place of the server.
    """

    server: FhirServer
    fault: Fault = lambda _: None
    down: bool = False
    writes: int = 0
    #: References to nothing that a reader could have met between two writes.
    dangling: set[str] = field(default_factory=set)
    url: str = ""

    def answer(self, asked: Asked) -> Reply:
        """One request, passed on."""
        if self.down:
            return Reply(gone=True)
        if not _writes(asked):
            return self._pass_on(asked)
        self.writes += 1
        wrong = self.fault(self.writes)
        if wrong and wrong.isdecimal():
            return Reply(int(wrong), outcome("transient"))
        if wrong == "before":
            return Reply(503, outcome("transient"))
        reply = self._pass_on(asked)
        self.dangling |= self.server.dangling()
        return Reply(gone=True) if wrong == "lost" else reply

    def _pass_on(self, asked: Asked) -> Reply:
        kept = {name: value for name, value in asked.headers.items() if name.lower() not in ("host", "content-length")}
        url = f"{self.server.url}{asked.path.removeprefix('/fhir')}"
        query = f"?{urlencode(asked.query)}" if asked.query else ""
        said = HTTP.request(asked.method, url + query, headers=kept, content=asked.body)
        headers = {name: said.headers[name] for name in ("ETag", "Location") if name in said.headers}
        return Reply(said.status_code, said.content, headers)


@contextlib.contextmanager
def proxy(server: FhirServer) -> Iterator[Proxy]:
    """The proxy of a server, on a port of its own."""
    door = Proxy(server)
    with serving(door.answer) as wire:
        door.url = wire.url
        yield door


def _writes(asked: Asked) -> bool:
    return asked.method in ("POST", "PUT", "PATCH", "DELETE") and not asked.path.endswith("/_search")
