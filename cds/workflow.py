"""The only file that knows the durable engine (DBOS) and the timers (APScheduler).

A study is one workflow: its steps are those of `cds.pipeline`, each checkpointed, so that a worker killed in one of
them goes on there when it is back under the same executor id. Fetching one from a PACS is another, of the steps of
`cds.retrieving`; what it transfers it does in a third, of which each PACS has one at a time, the most urgent first.
Only ids and small values enter the engine's tables, as JSON. `APPLICATION_VERSION` is raised by hand, when the order
of steps changes: works of another version wait for it.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from apscheduler.schedulers.background import BackgroundScheduler
from dbos import DBOS, DBOSPortableJSONSerializer

from cds import comparing, delivering, metrics, pipeline, prioritising, reading
from cds.domain.retrieval import RetrievalState
from cds.domain.revision import Work
from cds.errors import SightlineError, Unavailable
from cds.line import Line
from cds.logs import get_logger
from cds.patience import ATTEMPTS, Step, StepFailed, delay_s, patiently
from cds.retrieving import steps as retrieval_steps
from cds.retrieving.following import follow
from cds.retrieving.parts import Retrieving
from cds.retrieving.priors import priors

log = get_logger(__name__)

APPLICATION_VERSION = "3"
STUDIES, DELIVERIES, RETRIEVALS, TRANSFERS = "studies", "deliveries", "retrievals", "transfers"
#: A study whose worker died this often is given to a person.
MAX_RECOVERY_ATTEMPTS = 3
_POLL_S = 0.2
#: An inference process that dies of a study is not tried for an hour.
_INFERENCE_ATTEMPTS = 4
#: Studies that a worker has in work at once: while one is decoded another is inferred, and some share a batch.
_STUDIES_AT_ONCE = 4
#: Retrievals of one PACS that a worker follows at once; most of them only wait for what is announced.
_RETRIEVALS_AT_ONCE = 32
#: How long a destination that was switched on again waits at most.
_PAUSE_S = 5.0
#: The timers that every worker has.
_OWN_TIMERS = 4
_KEPT, _FORGOTTEN_AT_ONCE = timedelta(days=30), 1000
_DEAD = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"

#: The steps of a study by name; tests replace one to see what a crash in it does.
STEPS: Mapping[str, Step] = {
    "match": pipeline.match,
    "retrieve": reading.retrieve,
    "infer": reading.infer,
    "compare": comparing.compare,
    "enrich": pipeline.enrich,
    "decide": pipeline.decide,
    "report": pipeline.report,
    "alert": prioritising.alert,
    "deliver": delivering.deliver,
}

#: The steps of a retrieval likewise.
RETRIEVAL_STEPS: Mapping[str, Step] = {
    "look": retrieval_steps.look,
    "fetch": retrieval_steps.fetch,
    "verify": retrieval_steps.verify,
    "priors": priors,
    "end": retrieval_steps.end,
}


class Outbox(Protocol):
    """Works that wait for the engine, and where their ends are kept."""

    def pending(self) -> Sequence[Any]:
        """Works with `id` and `priority` that the engine does not have yet."""
        ...

    def mark(self, work_id: str, state: str, now: datetime, *, only_from: Sequence[str]) -> None:
        """Move a work to another state, if it is in one of these."""
        ...

    def fail(self, work_id: str, reason: str, now: datetime) -> None:
        """Give a work to a person."""
        ...

    def unfinished(self) -> Sequence[str]:
        """Works that the engine has and that did not end."""
        ...


@dataclass(frozen=True, slots=True)
class Timer:
    """Something that a worker does again and again: several workers may do it at the same time."""

    name: str
    every_s: float
    run: Callable[[datetime], object]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the timers look at."""

    outbox: Outbox
    pending_deliveries: Callable[[], Sequence[Any]]
    refuse_delivery: Callable[[str, str, datetime], None]
    close_complete: Callable[[datetime], Sequence[Work]]


@dataclass(slots=True)
class Worker:
    """One worker process: the durable engine and its timers. `start` recovers what its predecessor left."""

    line: Line
    sources: Sources
    engine: Any  # SQLAlchemy's; its home is the store
    slot: int
    steps: Mapping[str, Step] = field(default_factory=lambda: STEPS)
    timers: Sequence[Timer] = ()
    #: None where no PACS is configured to fetch from.
    retrieving: Retrieving | None = None
    retrieval_steps: Mapping[str, Step] = field(default_factory=lambda: RETRIEVAL_STEPS)
    _timers: BackgroundScheduler = field(default_factory=lambda: BackgroundScheduler(timezone="UTC"))
    _handed_over: set[str] = field(default_factory=set)

    def start(self) -> None:
        """Launch the engine under this slot's stable id, then the timers."""
        DBOS(
            config={
                "name": "sightline",
                "system_database_engine": self.engine,
                "serializer": DBOSPortableJSONSerializer(),
                "executor_id": f"w{self.slot}",
                "application_version": APPLICATION_VERSION,
                "log_level": "WARNING",
                "notification_listener_polling_interval_sec": _POLL_S,
                "use_listen_notify": False,
            }
        )
        self._register()
        DBOS.launch()
        DBOS.register_queue(STUDIES, worker_concurrency=_STUDIES_AT_ONCE, polling_interval_sec=_POLL_S)
        DBOS.register_queue(DELIVERIES, partition_concurrency=1, polling_interval_sec=_POLL_S)
        at_once = _RETRIEVALS_AT_ONCE
        DBOS.register_queue(RETRIEVALS, partition_worker_concurrency=at_once, polling_interval_sec=_POLL_S)
        DBOS.register_queue(TRANSFERS, partition_concurrency=1, polling_interval_sec=_POLL_S)
        every = self._timers.add_job
        every(self._guarded(self._sweep), "interval", seconds=1, max_instances=1, coalesce=True)
        every(self._guarded(self._hand_over), "interval", seconds=0.4, max_instances=1, coalesce=True)
        every(self._guarded(self._bury_the_dead), "interval", seconds=5, max_instances=1, coalesce=True)
        every(self._guarded(self._forget_the_finished), "interval", hours=1, max_instances=1, coalesce=True)
        for timer in self.timers:
            job = self._guarded(lambda run=timer.run: run(self.line.clock.now()))  # type: ignore[misc]  # bound now
            every(job, "interval", seconds=timer.every_s, max_instances=1, coalesce=True, name=timer.name)
        # A server that answers slowly keeps its own timer waiting, and no other.
        self._timers.add_executor("threadpool", max_workers=_OWN_TIMERS + len(self.timers))
        # It warns of every look that comes while the last one still waits for a lock; those are simply left out.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._timers.start()

    def drain(self, timeout_s: float) -> None:
        """Take no more work, give the running steps time to end; what does not is recovered at the next start."""
        self._timers.shutdown(wait=False)
        DBOS.destroy(workflow_completion_timeout_sec=int(timeout_s))

    def _register(self) -> None:
        """Name the workflows to the engine. A step that has to wait says so; the workflow sleeps, durably."""
        steps = {name: DBOS.step(name=name)(self._step(name, run)) for name, run in self.steps.items()}

        @DBOS.workflow(name="study", max_recovery_attempts=MAX_RECOVERY_ATTEMPTS)
        def study(work_id: str) -> str:
            return self._study(steps, work_id)

        @DBOS.workflow(name="delivery", max_recovery_attempts=None)
        def delivery(delivery_id: str) -> str:
            attempt = 0
            while True:
                said = steps["deliver"](delivery_id)
                if "failed" in said:
                    self.sources.refuse_delivery(delivery_id, said["failed"], self.line.clock.now())
                    return "failed"
                if said["value"] not in (None, "retry", "paused"):
                    return str(said["value"])
                if said["value"] == "paused":
                    DBOS.sleep(_PAUSE_S)
                    continue
                attempt += 1
                DBOS.sleep(delay_s(attempt))

        if self.retrieving is not None:
            self._register_retrieval(self.retrieving)

    def _register_retrieval(self, line: Retrieving) -> None:
        steps = {name: DBOS.step(name=name)(self._step(name, run, line)) for name, run in self.retrieval_steps.items()}

        @DBOS.workflow(name="retrieval", max_recovery_attempts=MAX_RECOVERY_ATTEMPTS)
        def retrieval(retrieval_id: str) -> str:
            return self._retrieval(steps, line, retrieval_id)

        @DBOS.workflow(name="transfer", max_recovery_attempts=MAX_RECOVERY_ATTEMPTS)
        def transfer(retrieval_id: str, source: str, series_uid: str) -> dict[str, Any]:
            said: dict[str, Any] = steps["fetch"](retrieval_id, source, series_uid)
            return said

    def _retrieval(self, steps: Mapping[str, Step], line: Retrieving, retrieval_id: str) -> str:
        numbers = itertools.count(1)

        def transfer(source: str, series_uid: str, priority: int) -> Any:
            """One try is a workflow of its own: nothing waits in the queue of a PACS."""
            name, arguments = f"{retrieval_id}-{next(numbers)}", (retrieval_id, source, series_uid)
            handed = _enqueue("transfer", TRANSFERS, name, *arguments, priority=priority, partition=source)
            return handed.get_result(polling_interval_sec=_POLL_S)

        return follow({**steps, "fetch": transfer}, retrieval_id, line.count_interval_s, DBOS.sleep)

    def _study(self, steps: Mapping[str, Step], work_id: str) -> str:
        try:
            matched = _patiently(steps["match"], work_id)
            if matched == "held":  # what was told is taken back before anything that takes long, or breaks
                _patiently(steps["report"], work_id)
            for model_id in _patiently(steps["retrieve"], work_id):
                _patiently(steps["infer"], work_id, model_id, attempts=_INFERENCE_ATTEMPTS)
                _patiently(steps["alert"], work_id)
            _patiently(steps["alert"], work_id)
            _patiently(steps["compare"], work_id)
            if matched in ("matched", "detached"):
                _patiently(steps["enrich"], work_id)
            _patiently(steps["decide"], work_id)
            _patiently(steps["report"], work_id)
        except StepFailed as error:
            self.sources.outbox.fail(work_id, str(error), self.line.clock.now())
            metrics.WORK.inc(outcome="failed")
            log.error("study failed", work_id=work_id)
            self.line.artifacts.discard(work_id)
            return "failed"
        self.line.artifacts.discard(work_id)
        metrics.WORK.inc(outcome="done")
        return "done"

    def _step(self, name: str, run: Step, line: Line | Retrieving | None = None) -> Step:
        """The step as the engine sees it: JSON that says its value, or that it has to wait, or why it failed.

        The engine's tables so never hold an exception, whose text could name a patient.
        """
        line = line or self.line

        def step(*arguments: str) -> dict[str, Any]:
            with metrics.STEP_SECONDS.time(step=name):
                try:
                    return {"value": run(line, *arguments)}
                except Unavailable as error:
                    log.warning("a step waits", step=name, error=type(error).__name__)
                    return {"value": None, "waits": str(error)}
                except SightlineError as error:
                    log.error("step failed", step=name, exc_info=error)
                    return {"value": None, "failed": str(error)}
                except Exception as error:  # the worker's outer loop: the study is given to a person
                    log.error("step failed", step=name, exc_info=error)
                    return {"value": None, "failed": f"step {name} broke with {type(error).__name__}; see the log"}

        return step

    def _sweep(self) -> None:
        for work in self.sources.close_complete(self.line.clock.now()):
            log.info("study complete", work_id=work.id)

    def _hand_over(self) -> None:
        """The outbox: a work is enqueued under its own id, so that handing it over twice is one run."""
        for work in self.sources.outbox.pending():
            place = reading.queue_place(self.line, work.id, work.priority)
            _enqueue("study", STUDIES, work.id, work.id, priority=place)
            self.sources.outbox.mark(work.id, "enqueued", self.line.clock.now(), only_from=("pending",))
        due = self.sources.pending_deliveries()
        self._handed_over &= {delivery.id for delivery in due}
        for delivery in due:
            if delivery.id not in self._handed_over:  # its sequence as priority keeps a destination's order
                place, partition = delivery.sequence, delivery.destination
                _enqueue("delivery", DELIVERIES, delivery.id, delivery.id, priority=place, partition=partition)
                self._handed_over.add(delivery.id)
        if self.retrieving is not None:
            self._hand_over_retrievals(self.retrieving)

    def _hand_over_retrievals(self, line: Retrieving) -> None:
        for wanted in line.retrievals.pending():
            place, partition = retrieval_steps.queue_priority(wanted), retrieval_steps.first_source(line, wanted)
            _enqueue("retrieval", RETRIEVALS, wanted.id, wanted.id, priority=place, partition=partition or "none")
            line.retrievals.mark(wanted.id, RetrievalState.RUNNING, line.clock.now())

    def _bury_the_dead(self) -> None:
        """Works and retrievals that the engine gave up wait for a person."""
        if self.retrieving is not None:
            self._bury_retrievals(self.retrieving)
        unfinished = set(self.sources.outbox.unfinished())
        if not unfinished:
            return
        for status in DBOS.list_workflows(status=[_DEAD, "ERROR"], name="study", load_input=False, load_output=False):
            if status.workflow_id in unfinished:
                died = f"the worker died {MAX_RECOVERY_ATTEMPTS + 1} times while it worked on this study"
                reason = died if status.status == _DEAD else "the engine could not finish this study; see the log"
                self.sources.outbox.fail(status.workflow_id, reason, self.line.clock.now())
                metrics.WORK.inc(outcome="failed")

    def _bury_retrievals(self, line: Retrieving) -> None:
        unfinished = set(line.retrievals.unfinished())
        if not unfinished:
            return
        for dead in DBOS.list_workflows(status=[_DEAD, "ERROR"], name="retrieval", load_input=False, load_output=False):
            if dead.workflow_id in unfinished:
                died = f"the worker died {MAX_RECOVERY_ATTEMPTS + 1} times while it fetched this study"
                reason = died if dead.status == _DEAD else "the engine could not finish fetching; see the log"
                retrieval_steps.bury(line, dead.workflow_id, reason)

    def _forget_the_finished(self) -> None:
        """The engine keeps everything for ever; what ended well long ago is told by our own tables."""
        before = (self.line.clock.now() - _KEPT).isoformat()
        done = DBOS.list_workflows(
            status="SUCCESS", completed_before=before, limit=_FORGOTTEN_AT_ONCE, load_input=False, load_output=False
        )
        if done:
            DBOS.delete_workflows([status.workflow_id for status in done])

    def _guarded(self, job: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                job()
            except Unavailable as error:
                log.warning("a timer waits for the database", error=type(error).__name__)

        return run


def _enqueue(
    workflow: str, queue: str, workflow_id: str, *arguments: str, priority: int, partition: str | None = None
) -> Any:
    options: dict[str, Any] = {
        "workflow_name": workflow,
        "queue_name": queue,
        "workflow_id": workflow_id,
        "app_version": APPLICATION_VERSION,
        "priority": priority,
    }
    if partition is not None:
        options["queue_partition_key"] = partition
    return DBOS.enqueue_workflow_with_options(options, *arguments)  # type: ignore[arg-type]  # a TypedDict in parts


def _patiently(step: Step, *arguments: str, attempts: int = ATTEMPTS) -> Any:
    return patiently(DBOS.sleep, step, *arguments, attempts=attempts)
