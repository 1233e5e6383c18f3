"""What FHIR servers know of a patient, as the port `cds.ports.PatientRecord`: only what pathways ask for.

The patient is found first, then all searches are made at once, as many as the server's table allows; what came is
believed for minutes, in memory alone. Whoever waits has a deadline: what does not come in time could not be asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from cachetools import TTLCache

from adapters.fhir import asking
from adapters.fhir.asking import MOST_RESOURCES, Asker, Request, Spelling, Told
from adapters.fhir.client import FhirClient
from adapters.fhir.whose import Whose, find, tokens
from cds import codes
from cds.codes import Index, ValueSet
from cds.domain.identity import Patient
from cds.domain.message import Demographics, RecordStatements, Searched, Statement, Unasked
from cds.errors import SightlineError, Unavailable
from cds.fhir_peers import FhirSource
from cds.logs import get_logger
from cds.ports import Clock
from cds.record import merge
from cds.searches import Search, covered, searches

T = TypeVar("T")
log = get_logger(__name__)

#: Answers that are kept: of some hundred patients.
_MOST_KEPT = 4096
#: So long a server that could not be reached is left alone: studies and hooks do not wait for it one after the other.
_REST_S = 5.0
_LATE, _AWAY = "did not answer in time", "could not be asked"

#: The identifiers of a patient with what contradicts, and what was asked for her.
_Key = tuple[object, ...]
_CAN: _Key = ("what the server can do",)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The searches that were wanted, and what became of each; one that the server does not offer has None."""

    told: Mapping[Search, Told | None]

    def covers(self, made: Iterable[Search]) -> tuple[str, ...]:
        """The value sets that nothing is lacking of, among all searches that the server offers for them."""
        offered = [search for search in made if self.told.get(search, Told(reason=_AWAY)) is not None]
        return covered(offered, [search for search, told in self.told.items() if told and not told.reason])

    def unasked(self, source: str) -> tuple[Unasked, ...]:
        lacking = ((search, told) for search, told in self.told.items() if told is None or told.reason)
        return tuple(
            Unasked(source, told.reason, search.covers)
            if told
            else Unasked(source, f"holds no {search.type} that can be asked for", search.covers, blind=False)
            for search, told in lacking
        )


class EhrSource:
    """One FHIR server as a source of the record. Thread-safe; one request for whoever asks the same at once."""

    def __init__(
        self,
        client: FhirClient,
        server: FhirSource,
        *,
        identifier_systems: Mapping[str, str],
        asks: Sequence[ValueSet],
        clock: Clock,
        rest_s: float = _REST_S,
        most: int = MOST_RESOURCES,
    ) -> None:
        self.source = f"FHIR {client.name}"
        self._client, self._server, self._clock = client, server, clock
        self._systems = identifier_systems
        self._searches = searches(asks)
        self._index = Index({s.name: s for s in (*codes.loaded().values(), *asks)}.values())
        self._pool = ThreadPoolExecutor(server.parallel, thread_name_prefix=f"ehr {client.name}")
        self._lock = threading.RLock()  # what ended already calls back where it was started
        self._kept: TTLCache[_Key, Future[object]] = TTLCache(_MOST_KEPT, server.cache_s)
        self._spelling = Spelling()
        self._most, self._rest_s, self._rests_until = most, rest_s, 0.0

    def statements(self, patient: Patient) -> RecordStatements:
        """See the port: waits as long as one request to the server may take."""
        return self.ask(patient, within_s=self._server.timeout_s)

    def ask(self, patient: Patient, only: Collection[str] | None = None, *, within_s: float) -> RecordStatements:
        """What the server says of a patient within so many seconds; `only` limits it to value sets, by name.

        Never raises for what the server does: what could not be asked stands in `unasked`, and the server in `away`
        where asking again later may help.
        """
        wanted = [s for s in self._searches if only is None or not set(only).isdisjoint(s.covers)]
        number = tokens(patient, self._systems, self._server.issuers)
        if not wanted or not number:
            reason = "knows none of this patient's identifiers"
            return self._silent(reason, blind=False) if wanted else RecordStatements()
        who = (number, patient.birth_date, patient.sex)
        end = time.monotonic() + within_s
        try:
            whose = self._whose(who, patient, end)
            if whose.patient is None:
                return self._silent(whose.reason, blind=whose.blind)
            return self._said(whose, whose.patient, self._asked(who, whose, wanted, end))
        except SightlineError as error:
            reason, again = _why(error)
            return self._silent(reason, again=again)

    def close(self) -> None:
        """Make no further requests; what is on its way is waited for."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _silent(self, reason: str, *, blind: bool = True, again: bool = False) -> RecordStatements:
        """Nothing, of all that it would have been asked for."""
        names = tuple(dict.fromkeys(name for search in self._searches for name in search.covers))
        away = (self.source,) if again else ()
        return RecordStatements(away=away, unasked=(Unasked(self.source, reason, names, blind=blind),))

    def _said(self, whose: Whose, patient: Patient, asked: _Asked) -> RecordStatements:
        answers = [told for told in asked.told.values() if told is not None]
        stated = {(one.value.category, one.value.key): one for told in answers for one in told.statements}
        race = (Statement(whose.race, self.source, self._clock.now()),) if whose.race else ()
        covers = asked.covers(self._searches)
        return RecordStatements(
            statements=(*cast("Iterable[Statement]", stated.values()), *race),
            searched=(Searched(self.source, None, covers),) if covers else (),
            away=(self.source,) if any(told.again for told in answers) else (),
            unasked=asked.unasked(self.source),
            demographics=(Demographics(self.source, patient.birth_date, patient.sex, patient.deceased),),
        )

    def _whose(self, who: _Key, patient: Patient, end: float) -> Whose:
        """The server's own patient; what it can do is asked for meanwhile."""
        self._once(_CAN, self._client.capability, end)
        number = cast("tuple[str, ...]", who[0])
        look = partial(find, self._client, patient, number, self._systems)
        return self._result(self._once((who,), look, end), end)

    def _asked(self, who: _Key, whose: Whose, wanted: Sequence[Search], end: float) -> _Asked:
        abilities = self._result(self._once(_CAN, self._client.capability, end), end)
        put = {search: asking.put(search, abilities) for search in wanted}
        started = {
            search: self._once((who, whose.patient_id, request), partial(self._tell, request, whose.patient_id), end)
            for search, request in put.items()
            if request is not None
        }
        wait_for(started.values(), max(0.0, end - time.monotonic()))
        return _Asked({search: self._told(started[search]) if search in started else None for search in put})

    def _tell(self, request: Request, patient_id: str) -> Told:
        asker = Asker(self.source, self._index, self._clock.now(), self._most)
        return asking.ask(self._client, request, patient_id, asker, self._spelling)

    def _told(self, future: Future[Told]) -> Told:
        try:
            return future.result(timeout=0) if future.done() else Told(reason=_LATE, again=True)
        except SightlineError as error:
            reason, again = _why(error)
            return Told(reason=reason, again=again)

    def _result(self, future: Future[T], end: float) -> T:
        try:
            return future.result(max(0.0, end - time.monotonic()))
        except TimeoutError:
            raise _Late(_LATE) from None

    def _once(self, key: _Key, work: Callable[[], T], end: float) -> Future[T]:
        """The answer that is there or on its way; else asked for now, unless nobody waits for it any more by then."""
        with self._lock:
            known = self._kept.get(key)
            if known is None:
                known = self._kept[key] = self._pool.submit(self._in_time, work, end)
                known.add_done_callback(partial(self._ended, key))
        return cast("Future[T]", known)

    def _in_time(self, work: Callable[[], object], end: float) -> object:
        if time.monotonic() > end:
            raise _Late(_LATE)
        if time.monotonic() < self._rests_until:
            raise _Resting(_AWAY)
        return work()

    def _ended(self, key: _Key, future: Future[object]) -> None:
        """Nothing is kept of what failed; a server that could not be reached rests."""
        error = None if future.cancelled() else future.exception()
        told = future.result() if error is None and not future.cancelled() else None
        if error is None and not (isinstance(told, Told) and told.again):
            return
        with self._lock:
            if self._kept.get(key) is future:
                del self._kept[key]
            if isinstance(error, Unavailable) and not isinstance(error, _Late | _Resting):
                self._rests_until = time.monotonic() + self._rest_s
                log.warning("an EHR could not be asked", service=self.source, error=type(error).__name__)


class _Late(Unavailable):
    """The deadline passed."""


class _Resting(Unavailable):
    """The server is left alone for now."""


def _why(error: SightlineError) -> tuple[str, bool]:
    return (_LATE, True) if isinstance(error, _Late) else asking.reason(error)


class EhrSources:
    """Several servers as one, asked at the same time."""

    def __init__(self, sources: Sequence[EhrSource]) -> None:
        self._sources = tuple(sources)

    def statements(self, patient: Patient) -> RecordStatements:
        """See the port."""
        return self._all(lambda source: source.statements(patient))

    def ask(self, patient: Patient, only: Collection[str] | None = None, *, within_s: float) -> RecordStatements:
        """See `EhrSource.ask`."""
        return self._all(lambda source: source.ask(patient, only, within_s=within_s))

    def close(self) -> None:
        """Make no further requests."""
        for source in self._sources:
            source.close()

    def _all(self, ask: Callable[[EhrSource], RecordStatements]) -> RecordStatements:
        with ThreadPoolExecutor(max(1, len(self._sources))) as pool:
            return merge(*pool.map(ask, self._sources))
