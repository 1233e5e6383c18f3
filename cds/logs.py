"""JSON lines on stderr, one object per event, and nothing of a patient in them.

Three rules keep it so: the event is a constant sentence, a field is written only if `FIELDS` names it, and an error
appears as its class and where it was raised, never as its text or its variables. Texts of libraries are withheld.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

from cds.errors import SightlineError

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

#: Every field that a log line may carry. A name stands here only if its value is made by Sightline, by the site's
#: administrator or by a peer's protocol layer: an id, a code, a count, a time. Names, birth dates, MRNs, accession
#: numbers, free text, file names, URLs and paths of requests are never fields: they say who the patient is.
FIELDS = frozenset(
    {
        # messages and instances
        "message_control_id", "message_type", "peer", "size", "sha256", "ack_code", "condition", "location",
        "dimse_status", "study_ref", "series", "port",
        # work
        "work_id", "step", "outcome", "model", "version", "gate", "pathway", "reason_code",
        # deliveries
        "destination", "attempt", "delay_s",
        # web
        "cards", "remarks", "service", "method", "route", "http_status", "status", "error",
        # processes
        "role", "slot", "child_pid", "state", "exit_code", "restarts",
        # measures
        "count", "duration_ms",
    }
)  # fmt: skip
WITHHELD = "message of a library, withheld"

_LONGEST_VALUE = 200
_DEEPEST_STACK = 20
_OURS = frozenset({"cds", "adapters", "models"})
#: Libraries that print by handlers of their own; their records are written here and stopped.
_STUBBORN = ("dbos", "gunicorn.error", "gunicorn.access")


@dataclass(slots=True)
class _Process:
    role: str = ""
    level: int = logging.INFO


_PROCESS = _Process()


class _Stderr:
    """Writes whole lines to whatever stderr is now."""

    def line(self, text: str) -> None:
        """A log that cannot be written (full disk, closed pipe) must not fail the work that it tells of."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = line


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger for a module; safe before `configure`, which only sets level and role."""
    logger = structlog.wrap_logger(
        _Stderr(),
        processors=[_wanted, _allowed, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        context_class=dict,
    )
    return cast("FilteringBoundLogger", logger.bind(logger=name))


def configure(role: str, level: str) -> None:
    """Name this process in every line, set the lowest level, and take over what libraries and crashes would print."""
    _PROCESS.role = role
    _PROCESS.level = logging.getLevelNamesMapping()[level.upper()]
    logging.raiseExceptions = False
    logging.setLogRecordFactory(_withheld_record)
    logging.basicConfig(level=logging.WARNING, handlers=[_Library()], force=True)
    for name in _STUBBORN:
        logging.getLogger(name).addFilter(_write_and_stop)
    warnings.showwarning = _warning
    sys.excepthook = _crash
    threading.excepthook = _thread_crash
    sys.unraisablehook = _unraisable


def is_logged(level: str) -> bool:
    """True where lines of this level are written: asked first where there would be thousands a second."""
    return int(getattr(logging, level.upper())) >= _PROCESS.level


def study_ref(uid: str) -> str:
    """Twelve hex digits that stand for a UID: the same study can be followed without naming it."""
    return hashlib.sha256(uid.encode()).hexdigest()[:12]


def _wanted(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if logging.getLevelNamesMapping()[method.upper()] < _PROCESS.level:
        raise structlog.DropEvent
    return event


def _allowed(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": method,
        "process": _PROCESS.role,
        "pid": os.getpid(),
        "logger": event.pop("logger", ""),
        "event": _clean(event.pop("event", "")),
    }
    error = _error(event.pop("exc_info", None))
    known = {name: _clean(value) for name, value in event.items() if name in FIELDS and _is_plain(value)}
    dropped = len(event) - len(known)
    return line | known | ({"dropped": dropped} if dropped else {}) | (_failure(error) if error else {})


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _clean(value: object) -> object:
    """Printable text only, so that a peer cannot forge a line or steer a terminal."""
    if isinstance(value, float):
        return float(value) if value - value == 0 else str(value)
    if not isinstance(value, str):
        return value
    text = str.__str__(value)[:_LONGEST_VALUE]
    return "".join(character for character in text if character.isprintable())


def _error(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return cast("BaseException | None", exc_info[1])
    return sys.exc_info()[1] if exc_info else None


def _failure(error: BaseException) -> dict[str, Any]:
    failure: dict[str, Any] = {"exception": _type_name(error), "frames": _frames(error)}
    if isinstance(error, SightlineError):
        failure["issue_code"] = error.issue_code
    if (cause := error.__cause__ or error.__context__) is not None:
        failure["cause"] = _type_name(cause)
    return failure


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ in {"builtins", "cds.errors"} else f"{kind.__module__}.{kind.__name__}"


def _frames(error: BaseException) -> list[str]:
    """Our own frames, outermost first, and the innermost whosoever it is."""
    walked = [(str(frame.f_globals.get("__name__")), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    kept = [where for where in walked[:-1] if where[0].partition(".")[0] in _OURS] + walked[-1:]
    return [f"{module}:{line}" for module, line in kept[-_DEEPEST_STACK:]]


def _withheld_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """Whatever handler a library brought, it finds no text, no arguments and no traceback to print."""
    record = logging.LogRecord(*args, **kwargs)
    record.raised = _failure(record.exc_info[1]) if record.exc_info and record.exc_info[1] else {}
    record.msg, record.args, record.exc_info, record.stack_info = WITHHELD, (), None, None
    return record


def _write_and_stop(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.WARNING:
        _write(record.levelname.lower(), record.name, WITHHELD, _origin(record) | getattr(record, "raised", {}))
    return False


class _Library(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Say that a library spoke, and from where."""
        _write_and_stop(record)


def _origin(record: logging.LogRecord) -> dict[str, Any]:
    return {"frames": [f"{record.module}:{record.lineno}"]}


def _write(level: str, logger: str, event: str, detail: Mapping[str, Any]) -> None:
    line = _allowed(None, level, {"logger": logger, "event": event})
    _Stderr().line(cast("str", structlog.processors.JSONRenderer()(None, level, {**line, **detail})))


def _warning(  # noqa: PLR0917 - the signature of warnings.showwarning
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    where = f"{PurePath(filename).stem}:{lineno}"
    _write("warning", "warnings", "a library warns, text withheld", {"exception": category.__name__, "frames": [where]})


def _crash(_kind: type[BaseException], error: BaseException, _trace: object) -> None:
    _write("critical", "crash", "the process ends by an error", _failure(error))


def _thread_crash(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        _write("critical", "crash", "a thread ended by an error", _failure(args.exc_value))


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        _write("error", "crash", "an error could not be raised", _failure(args.exc_value))
