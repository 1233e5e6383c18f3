"""Series and instances from a DICOMweb server: WADO-RS (PS3.18 section 10.4), streamed to disk.

The network comes first: what came is made durable at once, but checked while nothing comes, and at the end. A thread of
its own for the checks would take the interpreter from the one that receives, again and again.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from types import TracebackType

from adapters.dicom.arrival import Arrivals, Arriving, Pending, TooBig
from adapters.dicom.dicomweb import NO_CONTENT, NOT_ACCEPTABLE, NOT_FOUND, Dicomweb, Incoming, NotAllowed, judge
from adapters.dicom.header import check_uid
from adapters.dicom.multipart import boundary_of, parts
from cds.domain.imaging import InstanceHeader
from cds.domain.retrieval import Fetched, RemoteInstance, RemoteSeries
from cds.errors import InvalidInstance, PeerFailed, PeerRefused, SightlineError
from cds.imaging_peers import DicomwebServer
from cds.limits import DicomLimits

_PLAIN = 'multipart/related; type="application/dicom"'
#: As stored, whatever it is compressed with; without it a server must decompress (PS3.18 section 8.7.3.5.2).
_AS_STORED = f"{_PLAIN}; transfer-syntax=*"
_DICOM = "application/dicom"
_ABSENT = "not there any more"
_NOT_SENT = "not in the answer"
_NOT_ASKED = "another instance than asked for"

#: What is committed at once: instances, bytes.
_BATCH, _BATCH_BYTES = 32, 64 * 1024 * 1024
#: Instances that are on disk and not committed, each an open file: above it the network waits. So many are lost at
#: most, and fetched again, where our own process dies.
_IN_FLIGHT = 256
#: Threads that check what is left at the end.
_CHECKERS = 2
_MOST_REASONS = 10


class WadoFetcher:
    """Fetches from one server into the index. `source` names it there; thread-safe."""

    def __init__(
        self,
        server: DicomwebServer,
        arrivals: Arrivals,
        *,
        source: str,
        timeout_s: float,
        parallel: int,
        limits: DicomLimits,
    ) -> None:
        self._server = server
        self._arrivals = arrivals
        self._source = source
        self._timeout_s = timeout_s
        self._parallel = parallel
        self._limits = limits

    def fetch(self, series: RemoteSeries, missing: Sequence[RemoteInstance]) -> Fetched:
        """Bring the missing instances of a series, all of it where none is named; most of it comes in one answer.

        An instance that is not there, or cannot be used, is counted and does not stop the others. Raise Unavailable
        where the server breaks off or the disk is full, and PeerRefused where it refuses: what came before stays.
        """
        path = _path(series)
        wanted = frozenset(one.sop_instance_uid for one in missing)
        for uid in wanted:
            check_uid(uid)
        is_whole = not wanted or 2 * len(wanted) > (series.instances or 0)
        with _Intake(self._arrivals, self._source, self._limits, series, frozenset() if is_whole else wanted) as intake:
            if is_whole:
                with Dicomweb(self._server, self._timeout_s) as web:
                    _receive(web, path, intake, wanted or {""})
            else:
                self._singly(path, wanted, intake)
        return intake.result(wanted)

    def _singly(self, path: str, wanted: frozenset[str], intake: _Intake) -> None:
        """One connection per thread; the first that breaks off ends the others after their present instance."""
        left: SimpleQueue[str] = SimpleQueue()
        for uid in sorted(wanted):
            left.put(uid)
        over = threading.Event()
        count = min(self._parallel, len(wanted))
        with ThreadPoolExecutor(count, "wado") as pool:
            futures = [pool.submit(self._some, path, left, intake, over) for _ in range(count)]
        for future in futures:
            future.result()

    def _some(self, path: str, left: SimpleQueue[str], intake: _Intake, over: threading.Event) -> None:
        with Dicomweb(self._server, self._timeout_s) as web, contextlib.suppress(Empty):
            while not over.is_set():
                uid = left.get_nowait()
                try:
                    _receive(web, f"{path}/instances/{uid}", intake, {uid})
                except NotAllowed:
                    over.set()
                    raise
                except (PeerRefused, PeerFailed) as error:
                    intake.refuse(str(error), {uid})
                except SightlineError:
                    over.set()
                    raise


class _Part:
    """One part of an answer on its way to disk. `refusal` says why it goes nowhere."""

    def __init__(self, arriving: Arriving, largest: int, refusal: str) -> None:
        self.arriving = arriving
        self.refusal = refusal
        self._left = largest

    def write(self, data: bytes | memoryview, /) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.refusal = self.refusal or "larger than the limit for an instance"
        if not self.refusal:
            self.arriving.write(data)

    def close(self) -> None:
        """It is checked before it is closed."""


class _Intake:
    """Checks and commits what came; on leaving, all of it is committed or refused. Thread-safe."""

    def __init__(
        self, arrivals: Arrivals, source: str, limits: DicomLimits, series: RemoteSeries, wanted: frozenset[str]
    ) -> None:
        self._arrivals = arrivals
        self._source = source
        self._limits = limits
        self._series = series
        self._wanted = wanted
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_IN_FLIGHT)
        self._committing = ThreadPoolExecutor(1, "wado-commit")
        self._unchecked: deque[Arriving] = deque()
        self._ready: list[Pending] = []
        self._seen: set[str] = set()
        #: Of those that failed, how many did not say which one they are.
        self._arrived = self._failed = self._nameless = 0
        self._reasons: dict[str, None] = {}
        self._error: BaseException | None = None

    def __enter__(self) -> _Intake:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._check_rest()
        self._commit_ready()
        self._committing.shutdown()
        if self._error is not None and error is None:
            raise self._error

    def open(self, headers: Mapping[str, str]) -> _Part:
        """Where the next part goes."""
        kind = headers.get("content-type", _DICOM).partition(";")[0].strip().lower()
        refusal = "" if kind == _DICOM else "a part that is no application/dicom"
        return _Part(self._arrivals.begin(), self._limits.max_instance_bytes, refusal)

    def add(self, part: _Part) -> None:
        """Make it durable, and check it soon; raise what ended the checking or committing of those before."""
        if self._error is not None or part.refusal:
            part.arriving.discard()
        if self._error is not None:
            raise self._error
        if part.refusal:
            self.refuse(part.refusal)
            return
        self._arrivals.received(part.arriving)
        while not self._slots.acquire(blocking=False):
            if not self.check_one():
                self._slots.acquire()
                break
        self._unchecked.append(part.arriving)

    def check_one(self) -> bool:
        """Check what came and was not checked yet; False where there is nothing. Raise what would end any fetch."""
        try:
            arriving = self._unchecked.popleft()
        except IndexError:
            return False
        self._check(arriving)
        return True

    def refuse(self, reason: str, uids: Collection[str] = (), count: int = 1) -> None:
        """Count instances that will not be had now."""
        with self._lock:
            self._failed += count
            self._nameless += 0 if uids else count
            self._reasons[reason] = None
            self._seen.update(uids)

    def result(self, wanted: frozenset[str]) -> Fetched:
        """What came; `wanted` that the answer did not have counts as failed."""
        lost = len(wanted - self._seen) - self._nameless
        if lost > 0:
            self.refuse(_NOT_SENT, count=lost)
        return Fetched(self._arrived, self._failed, tuple(self._reasons)[:_MOST_REASONS])

    def _check_rest(self) -> None:
        """Of the time for an instance, half is the digest's, which leaves the interpreter to another."""
        with ThreadPoolExecutor(_CHECKERS, "wado-check") as pool:
            for future in [pool.submit(self._check_some) for _ in range(_CHECKERS)]:
                self._note(future)
        for arriving in self._unchecked:
            arriving.discard()

    def _check_some(self) -> None:
        while self._error is None and self.check_one():
            pass

    def _check(self, arriving: Arriving) -> None:
        is_ready = False
        try:
            is_ready = self._is_good(arriving)
        finally:
            if not is_ready:
                self._slots.release()
        with self._lock:
            is_full = len(self._ready) >= _BATCH or sum(one.stored.size for one in self._ready) >= _BATCH_BYTES
        if is_full:
            self._commit_ready()

    def _is_good(self, arriving: Arriving) -> bool:
        """True where it is ready to be committed; what is forgotten here leaves no file."""
        try:
            pending = self._arrivals.prepare_file(arriving)
        except (InvalidInstance, TooBig) as error:
            self.refuse(str(error), {uid for uid in arriving.stated[1:] if uid})
            return False
        if not self._is_asked_for(pending.stored.header):
            self.refuse(_NOT_ASKED, {""})
            return False
        with self._lock:
            self._ready.append(pending)
        return True

    def _is_asked_for(self, header: InstanceHeader) -> bool:
        asked = (self._series.study_instance_uid, self._series.series_instance_uid)
        if (header.study_instance_uid, header.series_instance_uid) != asked:
            return False
        return not self._wanted or header.sop_instance_uid in self._wanted

    def _commit_ready(self) -> None:
        with self._lock:
            batch, self._ready = self._ready, []
        if batch:
            self._committing.submit(self._commit, batch).add_done_callback(self._note)

    def _commit(self, batch: Sequence[Pending]) -> None:
        try:
            outcomes = self._arrivals.commit(batch, source=self._source)
        finally:
            self._slots.release(len(batch))
        with self._lock:
            for one in outcomes:
                self._seen.add(one.sop_instance_uid)
                if one.error is None:
                    self._arrived += 1
                else:
                    self._failed += 1
                    self._reasons[str(one.error)] = None

    def _note(self, future: Future[None]) -> None:
        """The first error of another thread; the receiving one raises it. Waits for the future to end."""
        error = future.exception()
        if error is not None:
            with self._lock:
                self._error = self._error or error


def _path(series: RemoteSeries) -> str:
    for uid in (series.study_instance_uid, series.series_instance_uid):
        check_uid(uid)
    return f"/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"


def _receive(web: Dicomweb, path: str, intake: _Intake, asked: Collection[str]) -> None:
    for accept in (_AS_STORED, _PLAIN):
        with web.send("GET", path, {"Accept": accept}) as answer:
            if answer.status == NOT_ACCEPTABLE and accept == _AS_STORED:
                continue
            if answer.status in (NOT_FOUND, NO_CONTENT):
                intake.refuse(_ABSENT, asked, len(asked))
                return
            judge(answer)
            _take(answer, intake)
            return


def _take(answer: Incoming, intake: _Intake) -> None:
    """The parts of an answer; one that does not come whole leaves nothing."""
    opened: list[_Part] = []

    def open_part(headers: Mapping[str, str]) -> _Part:
        opened.append(intake.open(headers))
        return opened[-1]

    try:
        for whole in _parts(answer, open_part, intake.check_one):
            intake.add(whole)
            opened.clear()
    except InvalidInstance:
        raise PeerFailed("want a multipart body from the DICOMweb server that can be read") from None
    finally:
        for part in opened:
            part.arriving.discard()


def _parts(
    answer: Incoming, open_part: Callable[[Mapping[str, str]], _Part], meanwhile: Callable[[], bool]
) -> Iterator[_Part]:
    """Some servers send one instance without a multipart body around it."""
    if answer.content_type.partition(";")[0].strip().lower() != _DICOM:
        yield from parts(answer.chunks(meanwhile), boundary_of(answer.content_type), open_part=open_part)
        return
    alone = open_part({})
    for chunk in answer.chunks(meanwhile):
        alone.write(chunk)
    yield alone
