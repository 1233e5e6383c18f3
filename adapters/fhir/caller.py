"""The FHIR server of whoever calls a CDS Hooks service, asked with the token of that call and of no other.

Only a server that the site has configured is asked, whatever the call names, and its token is sent nowhere else. A
hook has to answer at once: everything is asked at the same time, and what does not come in time is left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from urllib.parse import urlsplit

from adapters.fhir import asking
from adapters.fhir.asking import Asker, Spelling, Told
from adapters.fhir.client import FhirClient, authorized
from adapters.fhir.read import SOURCE
from cds import codes
from cds.destinations import PeerTls
from cds.domain.message import RecordStatements, Searched, Statement, Unasked
from cds.errors import InvalidResource, SightlineError
from cds.ports import Clock
from cds.searches import Search

#: How the server of a call is named to the reader.
CALLER = "the FHIR server of the call"
_LATE = "did not answer in time"
_PORTS = {"https": 443, "http": 80}
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Call:
    """What one hook call gives: the server that it names, its token, and the patient's id there."""

    server: str
    token: str
    patient_id: str


class Caller:
    """Asks the servers of hook calls. `servers` are those that may be asked, with whom we believe there."""

    def __init__(self, servers: Mapping[str, PeerTls | None], clock: Clock, *, within_s: float) -> None:
        self._servers = {address(url): tls for url, tls in servers.items()}
        self._spellings = {server: Spelling() for server in self._servers}
        self._clock, self._within_s = clock, within_s

    def patient(self, call: Call) -> Mapping[str, object] | None:
        """The patient's resource; None where the server may not be asked, or does not answer in time."""
        return self.resource(call, f"Patient/{call.patient_id}")

    def resource(self, call: Call, reference: str) -> Mapping[str, object] | None:
        """A resource by its relative reference; None as for the patient."""
        client = self._client(call)
        if isinstance(client, str):
            return None
        with _Pool(client) as pool:
            future = pool.submit(client.read, reference)
            wait_for([future], self._within_s)
            return None if not future.done() or isinstance(future.exception(), SightlineError) else future.result()

    def statements(self, call: Call, searches: Sequence[Search]) -> RecordStatements:
        """What these searches state. Never raises for what the server does: what is lacking stands in `unasked`."""
        client = self._client(call)
        if isinstance(client, str):
            names = tuple(dict.fromkeys(name for search in searches for name in search.covers))
            return RecordStatements(unasked=(Unasked(CALLER, client, names, blind=False),))
        server = address(call.server)
        asker, end = Asker(SOURCE, codes.index(), self._clock.now()), time.monotonic() + self._within_s
        with _Pool(client) as pool:
            asked = {
                search: pool.submit(
                    asking.ask, client, asking.as_template(search), call.patient_id, asker, self._spellings[server]
                )
                for search in searches
            }
            wait_for(asked.values(), max(0.0, end - time.monotonic()))
            return _record({search: _told(future) for search, future in asked.items()})

    def _client(self, call: Call) -> FhirClient | str:
        """The client of a call, or why there is none."""
        named = address(call.server)
        if named not in self._servers:
            return "is not one that this site has configured: it was not asked"
        try:
            return authorized(call.server, call.token, timeout_s=self._within_s, tls=self._servers[named])
        except InvalidResource:
            return "has no https:// address that a token may be sent to: it was not asked"


class _Pool(ThreadPoolExecutor):
    """Threads for one call. Its end waits for nobody: what is still on its way ends with the client's own deadline."""

    def __init__(self, client: FhirClient) -> None:
        super().__init__(_AT_ONCE, thread_name_prefix="hook call")
        self._client = client

    def __exit__(self, *_: object) -> None:
        self.shutdown(wait=False, cancel_futures=True)
        threading.Thread(target=self._close, name="end of a hook call", daemon=True).start()

    def _close(self) -> None:
        self.shutdown(wait=True)
        self._client.close()


def address(url: str) -> tuple[str, str, int | None, str]:
    """A base URL in the form in which two that mean one server are equal (RFC 3986 section 6.2.2 and 6.2.3)."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme), parts.path.rstrip("/")


def _told(future: Future[Told]) -> Told:
    return future.result() if future.done() else Told(reason=_LATE)


def _record(told: Mapping[Search, Told]) -> RecordStatements:
    stated: dict[tuple[str, str], Statement] = {}
    for one in told.values():
        stated |= {(statement.value.category, statement.value.key): statement for statement in one.statements}
    return RecordStatements(
        statements=tuple(stated.values()),
        searched=tuple(Searched(search.source, None, search.covers) for search, one in told.items() if not one.reason),
        unasked=tuple(Unasked(CALLER, one.reason, search.covers) for search, one in told.items() if one.reason),
    )
