"""Logs: one JSON object per line, and nothing of a patient, whoever speaks and however it goes wrong."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.logs import FIELDS, study_ref

ROOT = Path(__file__).parents[2]
PATIENT = "UNMISTAKABLE^PATIENT"
METHODS = {"debug", "info", "warning", "error", "critical", "exception"}


def spoken(code: str, level: str = "info", **variables: str) -> list[dict[str, object]]:
    """The lines of a process that configures the logs and runs the code; what is no JSON fails."""
    prelude = f"import sys, logging, warnings\nfrom cds import logs, errors\nP = {PATIENT!r}\n"
    prelude += f"logs.configure('worker-0', {level!r})\nlog = logs.get_logger('cds.test')\n"
    done = subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, check=False)
    assert PATIENT not in done.stderr + done.stdout
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_says_when_who_and_what() -> None:
    (line,) = spoken("log.info('order stored', message_control_id='17', attempt=2)")
    assert str(line.pop("time")).endswith("+00:00")
    assert isinstance(line.pop("pid"), int)
    assert line == {
        "level": "info",
        "process": "worker-0",
        "logger": "cds.test",
        "event": "order stored",
        "message_control_id": "17",
        "attempt": 2,
    }


def test_a_field_that_is_not_on_the_list_is_dropped_and_counted() -> None:
    (line,) = spoken("log.bind(patient=P).info('x', name=P, work_id='w')")
    assert (line["dropped"], line["work_id"]) == (2, "w")


def test_only_plain_values_are_written() -> None:
    (line,) = spoken("log.info('x', work_id=[P], step={'a': P}, count=1, outcome=None, size=1.5)")
    assert (line["dropped"], line["count"], line["outcome"], line["size"]) == (2, 1, None, 1.5)


def test_a_value_cannot_forge_a_line_or_steer_a_terminal() -> None:
    (line,) = spoken("log.info('x', peer='a\\n{\"level\": \"info\"}\\x1b[31m\\u2028\\u202e\\x00b')")
    assert line["peer"] == 'a{"level": "info"}[31mb'


def test_a_long_value_is_cut() -> None:
    (line,) = spoken("log.info('x', peer='a' * 5000)")
    assert line["peer"] == "a" * 200


def test_a_number_that_json_does_not_know_is_written_as_text() -> None:
    (line,) = spoken("log.info('x', duration_ms=float('nan'))")
    assert line["duration_ms"] == "nan"


def test_the_level_is_obeyed() -> None:
    assert spoken("log.info('x')\nlog.debug('x')", level="warning") == []


def test_an_error_shows_its_class_and_place_and_never_its_text() -> None:
    code = "def inner():\n    name = P\n    raise errors.Conflict(P)\n"
    code += "try:\n    inner()\nexcept errors.Conflict:\n    log.exception('held')"
    (line,) = spoken(code)
    assert (line["exception"], line["issue_code"], line["level"]) == ("Conflict", "conflict", "error")
    assert line["frames"] == ["__main__:8"]


def test_the_frames_of_the_project_lead_to_the_error() -> None:
    code = "from cds.exclusive import hold\nfrom pathlib import Path\n"
    code += "try:\n    with hold(Path('/proc/nowhere')):\n        pass\nexcept Exception as error:\n"
    code += "    log.warning('x', exc_info=error)"
    (line,) = spoken(code)
    frames = line["frames"]
    assert isinstance(frames, list)
    assert all(frame.startswith("cds.exclusive:") for frame in frames)
    assert (line["exception"], line["cause"]) == ("ConfigurationError", "FileNotFoundError")


@pytest.mark.parametrize(
    "name", ["pynetdicom.assoc", "pydicom", "dbos", "gunicorn.error", "apscheduler", "sqlalchemy.engine", "httpx"]
)
def test_a_library_is_heard_and_its_text_withheld(name: str) -> None:
    code = f"logger = logging.getLogger({name!r})\nlogger.error('for %s', P, extra={{'patient': P}})\n"
    code += "try:\n    raise ValueError(P)\nexcept ValueError:\n    logger.exception(P)\nlogger.info(P)\n"
    first, second = spoken(code)
    assert first["event"] == second["event"] == "message of a library, withheld"
    assert (first["logger"], first["level"], second["exception"]) == (name, "error", "ValueError")


def test_a_handler_that_a_library_brought_finds_nothing_to_print() -> None:
    code = "logger = logging.getLogger('own')\nlogger.addHandler(logging.StreamHandler(sys.stdout))\n"
    code += "try:\n    raise ValueError(P)\nexcept ValueError:\n    logger.exception('for %s', P, stack_info=True)"
    (line,) = spoken(code)
    assert line["exception"] == "ValueError"


def test_a_warning_is_heard_and_its_text_withheld() -> None:
    (line,) = spoken("warnings.warn(P, UserWarning)")
    assert (line["event"], line["exception"]) == ("a library warns, text withheld", "UserWarning")


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("raise ValueError(P)", "the process ends by an error"),
        (
            "import threading\nt = threading.Thread(target=int, args=(P,))\nt.start()\nt.join()",
            "a thread ended by an error",
        ),
        (
            "class Bad:\n    def __del__(self):\n        raise ValueError(P)\nBad()",
            "an error could not be raised",
        ),
    ],
)
def test_a_crash_prints_no_traceback(code: str, event: str) -> None:
    (line,) = spoken(code)
    assert (line["event"], line["exception"]) == (event, "ValueError")


def test_a_log_that_cannot_be_written_does_not_fail_the_work() -> None:
    code = "import os\nos.close(2)\nlog.info('x')\nsys.stdout.write('done')"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nfrom cds.logs import get_logger\nlog = get_logger('x')\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done"


def test_before_it_is_configured_a_logger_is_as_silent_about_patients() -> None:
    code = "from cds.logs import get_logger\ntry:\n    raise ValueError('x' * 3)\n"
    code += "except ValueError:\n    get_logger('a').exception('failed', name='xxx')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "xxx" not in done.stderr
    assert json.loads(done.stderr)["dropped"] == 1


def test_a_study_is_followed_by_twelve_hex_digits() -> None:
    """Computed with sha256sum(1)."""
    assert study_ref("1.2.840.10008.1.1") == "7a96f697a695"


def test_no_field_names_a_patient() -> None:
    forbidden = {"name", "patient", "mrn", "birth_date", "accession", "path", "url", "message", "text", "value", "uid"}
    assert not FIELDS & forbidden


def modules() -> Iterator[tuple[str, ast.Module]]:
    """The product's modules; cds/logs.py itself makes the loggers, and trainings are run by hand, without patients."""
    for package in ("cds", "adapters", "models"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path != ROOT / "cds" / "logs.py" and path.parent != ROOT / "models" / "training":
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def log_calls(module: ast.Module) -> Iterator[ast.Call]:
    """Every call of a method of a logger: `log.info(…)`, `self._log.info(…)`, `log.bind(…).info(…)`."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and is_log_call(node.func):
            yield node


def is_log_call(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute) or function.attr not in METHODS | {"bind"}:
        return False
    owner = function.value
    while isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute):
        owner = owner.func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name.lstrip("_").lower() in {"log", "logger"}


def tables_of_sentences(module: ast.Module) -> set[str]:
    """The module's constants that map to plain strings and to nothing else."""
    return {
        target.id
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and all(map(is_text, node.value.values))
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_sentence(event: ast.expr, tables: set[str]) -> bool:
    """A plain literal, or an entry of a table of such: TABLE[key], TABLE.get(key, "literal")."""
    match event:
        case ast.Subscript(value=ast.Name(id=table)):
            return table in tables
        case ast.Call(func=ast.Attribute(value=ast.Name(id=table), attr="get"), args=[_, default]):
            return table in tables and is_text(default)
    return is_text(event)


def wrong_events(module: ast.Module) -> list[int]:
    tables = tables_of_sentences(module)
    return [
        call.lineno
        for call in log_calls(module)
        if not is_bind(call) and not (len(call.args) == 1 and is_sentence(call.args[0], tables))
    ]


def is_bind(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "bind"


@pytest.mark.parametrize(
    "call", ["log.info(f'{x}')", "log.info('a %s', x)", "log.info(x)", "self._log.bind(a=1).error(T[x])", "log.info()"]
)
def test_an_event_that_is_no_constant_sentence_is_noticed(call: str) -> None:
    assert wrong_events(ast.parse(f"T = {{1: x}}\n{call}")) == [2]


def test_every_event_is_a_constant_sentence() -> None:
    assert {name: wrong for name, module in modules() if (wrong := wrong_events(module))} == {}


def test_every_field_that_is_written_is_on_the_list() -> None:
    """A mapping that is unpacked cannot be seen here; `cds.logs` drops and counts what it should not hold."""
    wrong = [
        f"{name}:{call.lineno} {keyword.arg}"
        for name, module in modules()
        for call in log_calls(module)
        for keyword in call.keywords
        if keyword.arg not in FIELDS | {"exc_info", None}
    ]
    assert wrong == []


def test_there_are_calls_to_look_at() -> None:
    assert sum(len(list(log_calls(module))) for _, module in modules()) > 20
