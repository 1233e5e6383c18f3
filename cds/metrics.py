"""Counters and times for Prometheus. Labels are closed sets of words: never an id, never a patient.

Several processes share them by files in one folder; `prepare` names it before the first metric is touched, because
prometheus_client decides at its import how it counts. A metric that cannot be counted never fails the work.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

if TYPE_CHECKING:
    import prometheus_client

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Several workers look at the same tables: the newest word of any of them counts, and is never added up.
_NEWEST: Final = "mostrecent"
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: What prometheus_client maps per process and kind; bytes.
_FILE_BYTES = 1024 * 1024
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

_lock = threading.Lock()
_files = threading.Lock()
_built: dict[str, Any] = {}
#: A metric's name and labels → what counts them.
_children: dict[tuple[object, ...], Any] = {}
_reserved: set[tuple[str, int]] = set()


@dataclass(frozen=True, slots=True)
class Counter:
    """A count by outcome; made on its first use."""

    name: str
    help: str
    labels: tuple[str, ...]

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Count, with exactly the labels declared."""
        if _reserve("counter"):
            _child(self.name, labels, self._metric).inc(amount)

    def _metric(self) -> prometheus_client.Counter:
        import prometheus_client

        return _once(self.name, lambda: prometheus_client.Counter(self.name, self.help, self.labels))


@dataclass(frozen=True, slots=True)
class Histogram:
    """A distribution of seconds; made on its first use."""

    name: str
    help: str
    labels: tuple[str, ...]

    def observe(self, seconds: float, **labels: str) -> None:
        """Record a duration, with exactly the labels declared."""
        if _reserve("histogram"):
            _child(self.name, labels, self._metric).observe(seconds)

    @contextmanager
    def time(self, **labels: str) -> Iterator[None]:
        """Record how long the block takes, whether it succeeds or not."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - start, **labels)

    def _metric(self) -> prometheus_client.Histogram:
        import prometheus_client

        return _once(
            self.name, lambda: prometheus_client.Histogram(self.name, self.help, self.labels, buckets=_SECONDS)
        )


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number as it is now, whoever looked last; made on its first use."""

    name: str
    help: str
    labels: tuple[str, ...]

    def set(self, value: float, **labels: str) -> None:
        """Say how it is now, with exactly the labels declared."""
        if _reserve(f"gauge_{_NEWEST}"):
            gauge = self._metric()
            (gauge.labels(**labels) if labels else gauge).set(value)

    def _metric(self) -> prometheus_client.Gauge:
        import prometheus_client

        return _once(
            self.name, lambda: prometheus_client.Gauge(self.name, self.help, self.labels, multiprocess_mode=_NEWEST)
        )


HL7_MESSAGES = Counter("sightline_hl7_messages_total", "HL7 v2 messages received, by acknowledgment", ("outcome",))
HL7_CONNECTIONS = Counter("sightline_hl7_connections_total", "HL7 v2 connections, by outcome", ("outcome",))
HL7_FILES = Counter("sightline_hl7_files_total", "Files taken from the HL7 v2 folder, by outcome", ("outcome",))
DICOM_CONNECTIONS = Counter("sightline_dicom_connections_total", "DICOM connections, by outcome", ("outcome",))
DICOM_INSTANCES = Counter("sightline_dicom_instances_total", "DICOM instances received, by outcome", ("outcome",))
RETRIEVALS = Counter("sightline_retrievals_total", "Studies fetched from PACS, by outcome", ("source", "outcome"))
RETRIEVED_INSTANCES = Counter(
    "sightline_retrieved_instances_total", "Instances fetched from PACS, by outcome", ("source", "outcome")
)
RETRIEVAL_SECONDS = Histogram("sightline_retrieval_seconds", "Duration of fetching a series", ("source",))
FHIR_NOTIFICATIONS = Counter(
    "sightline_fhir_notifications_total", "Notifications of FHIR servers, by type", ("source", "kind")
)
FHIR_POLLS = Counter("sightline_fhir_polls_total", "Looks at FHIR servers for news, by outcome", ("source", "outcome"))
FHIR_EVENTS = Counter(
    "sightline_fhir_events_total", "Studies and reports that FHIR servers told of, by outcome", ("source", "outcome")
)
STEP_SECONDS = Histogram("sightline_step_seconds", "Duration of the steps of a study", ("step",))
MODEL_SECONDS = Histogram(
    "sightline_model_seconds", "Duration of the steps of a model's run", ("model", "step", "device")
)
MODEL_BATCHES = Counter("sightline_model_batches_total", "Batches that a network computed", ("model", "device"))
MODEL_ITEMS = Counter("sightline_model_items_total", "Items in the batches of a network", ("model", "device"))
MODEL_EVICTIONS = Counter(
    "sightline_model_evictions_total", "Networks that left the memory to others", ("model", "device")
)
MODEL_MEMORY = Counter(
    "sightline_model_memory_short_total", "Too little memory, by how it was answered", ("model", "device", "outcome")
)
INFERENCE_WAITING = Gauge("sightline_inference_waiting", "Requests that wait for their turn to be inferred", ())
WORK = Counter("sightline_work_total", "Studies worked on, by outcome", ("outcome",))
DELIVERIES = Counter("sightline_deliveries_total", "Attempts to deliver a report", ("destination", "outcome"))
HOOK_SECONDS = Histogram("sightline_hook_seconds", "Duration of CDS Hooks calls", ("service",))
HOOKS = Counter("sightline_hook_total", "CDS Hooks calls, by outcome", ("service", "client", "outcome"))
HOOK_FEEDBACK = Counter("sightline_hook_feedback_total", "CDS Hooks feedback", ("service", "client", "outcome"))
CARDS = Counter("sightline_cards_total", "Cards of CDS Hooks shown, by indicator", ("service", "pathway", "kind"))
CARDS_HELD_BACK = Counter(
    "sightline_cards_held_back_total", "Cards of CDS Hooks held back, by reason", ("service", "pathway", "reason")
)
CARD_FEEDBACK = Counter(
    "sightline_card_feedback_total",
    "What people did with cards of CDS Hooks",
    ("service", "pathway", "outcome", "reason"),
)
PATHWAY_FAILURES = Counter(
    "sightline_pathway_failures_total", "Evaluations of pathways and checks of an order that broke", ("pathway",)
)
HTTP_REQUESTS = Counter("sightline_http_requests_total", "HTTP requests by url rule", ("route", "method", "status"))
HOLDS = Gauge("sightline_holds", "What waits for a person, by kind", ("kind",))
DELIVERIES_WAITING = Gauge("sightline_deliveries_waiting", "Deliveries that are not sent yet", ("destination",))
DELIVERY_OLDEST_SECONDS = Gauge(
    "sightline_delivery_oldest_seconds", "Age of the oldest delivery that is not sent yet", ("destination",)
)
HL7_WAITING = Gauge("sightline_hl7_waiting", "HL7 v2 messages that are committed and not applied yet", ())
FHIR_WAITING = Gauge("sightline_fhir_waiting", "What FHIR servers told and is not worked off yet", ("source",))
FEEDS_SILENT = Gauge("sightline_feeds_silent", "Senders of HL7 v2 that are silent for longer than is normal", ())
CRITICAL_WAITING = Gauge(
    "sightline_critical_waiting", "Critical results that nobody has acknowledged, by state", ("state",)
)
ALARMS = Gauge("sightline_alarms", "Alarms that hold now, by kind", ("kind",))


def prepare(folder: Path, *, clear: bool = False) -> None:
    """Share the metrics of all processes in `folder`; call it before the first metric is used.

    `clear` forgets what earlier processes counted: for the supervisor, before it starts the first role.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if clear:
        for file in folder.glob("*.db"):
            file.unlink(missing_ok=True)
    os.environ[_FOLDER] = str(folder)


def render() -> bytes:
    """All metrics of all processes that share the folder, in the Prometheus text format 0.0.4."""
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    if _FOLDER not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no hint there
    return generate_latest(registry)


_Metric = TypeVar("_Metric")


def _once(name: str, build: Callable[[], _Metric]) -> _Metric:
    with _lock:
        if name not in _built:
            _built[name] = build()
        return cast("_Metric", _built[name])


def _child(name: str, labels: Mapping[str, str], metric: Callable[[], Any]) -> Any:
    """What counts these labels: to have the library find it takes longer than to count."""
    key = (name, *labels.items())
    found = _children.get(key)
    return _children.setdefault(key, metric().labels(**labels)) if found is None else found


def _reserve(kind: str) -> bool:
    """Give the file that this process counts in its blocks; False where the disk has none left.

    prometheus_client maps a sparse file, and on a full disk the first write to such a map kills the process (SIGBUS).
    """
    key = kind, os.getpid()
    if key in _reserved:
        return True
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return True
    try:
        with _files:
            _make_file(Path(folder, f"{kind}_{key[1]}.db"))
    except OSError:
        return False
    _reserved.add(key)
    return True


def _make_file(file: Path) -> None:
    if file.exists():
        return
    half_made = file.with_suffix(".new")
    try:
        with half_made.open("wb") as blocks:
            os.posix_fallocate(blocks.fileno(), 0, _FILE_BYTES)
        half_made.rename(file)
    finally:
        half_made.unlink(missing_ok=True)
