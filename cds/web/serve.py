"""The server of the roles web and ui: gunicorn inside this process, configured by code alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from pathlib import Path

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from cds.logs import get_logger
from cds.services import Services
from cds.settings import Settings
from cds.ui.services import UiServices
from cds.web.app import create_app
from cds.web.slow_peers import IDLE_S, worker_class

log = get_logger(__name__)

#: Heartbeats are file times; on a disk that stalls they would make healthy workers look hung.
_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - empty files, named and removed at once by gunicorn
_HEADER_AND_REQUEST_TIMEOUT_S = 60
#: Objects, and collections of the generation before, between two collections: one request with its prefetch makes
#: thousands of objects and hardly a cycle.
_THRESHOLDS = (20_000, 20, 50)
#: gunicorn's own sentences, which name no request, and what we say instead.
_SENTENCES = {
    "Listening at: %s (%s)": "the web server listens",
    "Booting worker with pid: %s": "a web process starts",
    "Worker exiting (pid: %s)": "a web process ends",
    "WORKER TIMEOUT (pid:%s)": "a web process hung and is replaced",
    "Worker (pid:%s) exited with code %s.": "a web process ended with an error and is replaced",
    "Shutting down: %s": "the web server stops",
}


def run(
    make_services: Callable[[], Services],
    settings: Settings,
    *,
    on_ready: Callable[[], None] | None = None,
    idle_s: float = IDLE_S,
) -> None:
    """Serve until SIGTERM, then let requests under way finish for at most `drain_s` seconds; leaves by SystemExit.

    `make_services` is called in every worker process after the fork, so that no connection is shared between them.
    `on_ready` is called once in the parent when the port is bound. Who stalls for `idle_s` loses the connection.
    """
    given = options(settings, idle_s)
    _Server(lambda: create_app(make_services()), given, on_ready).run()


def run_pages(
    make_services: Callable[[], UiServices], settings: Settings, *, on_ready: Callable[[], None] | None = None
) -> None:
    """The same for the pages, in processes of their own: no page slows a hook."""
    from cds.web.ui.app import create_ui

    given = {
        **options(settings),
        "bind": _address(settings.ui_host, settings.ui_port),
        "workers": settings.ui_workers,
        "threads": settings.ui_threads,
        "proc_name": "sightline-ui",
    }
    _Server(lambda: create_ui(make_services()), given, on_ready).run()


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no type hints
    def __init__(
        self, make_app: Callable[[], Flask], given: Mapping[str, object], on_ready: Callable[[], None] | None
    ) -> None:
        self._make_app, self._options, self._on_ready = make_app, given, on_ready
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)
        if (ready := self._on_ready) is not None:
            self.cfg.set("when_ready", lambda _server: ready())

    def load(self) -> Flask:
        """In a worker process: what the application is made of is not looked through again and again for cycles."""
        app = self._make_app()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        return app


def options(settings: Settings, idle_s: float = IDLE_S) -> dict[str, object]:
    """gunicorn's settings: threads, no access log (URLs may name patients), no control socket, SO_REUSEPORT."""
    return {
        "bind": _address(settings.http_host, settings.http_port),
        "workers": settings.http_workers,
        "worker_class": worker_class(idle_s),
        "threads": settings.http_threads,
        "reuse_port": True,
        "timeout": _HEADER_AND_REQUEST_TIMEOUT_S,
        "graceful_timeout": round(settings.drain_s),
        "worker_tmp_dir": str(_MEMORY_FOLDER) if _MEMORY_FOLDER.is_dir() else None,
        "proc_name": "sightline-web",
        "accesslog": None,
        "logger_class": ServerLog,
        "control_socket_disable": True,
        # A proxy on this machine hands on what strangers send: no header of theirs says which address was asked for.
        "forwarder_headers": "",
    }


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class ServerLog(Logger):  # type: ignore[misc]  # gunicorn has no type hints
    """gunicorn's log as ours: known sentences by their meaning, all others without text, which may quote a request."""

    def setup(self, cfg: object) -> None:
        """No handlers: nothing is written but through cds.logs."""
        self.cfg = cfg
        self._access_log_enabled = False

    def debug(self, msg: object, *args: object, **kwargs: object) -> None:
        """Dropped."""

    def info(self, msg: object, *args: object, **kwargs: object) -> None:
        """Known sentences alone."""
        if msg in _SENTENCES:
            log.info(_SENTENCES[str(msg)])

    def warning(self, msg: object, *args: object, **kwargs: object) -> None:
        """A malformed request is the usual one."""
        log.warning(_SENTENCES.get(str(msg), "the web server warns, text withheld"))

    def error(self, msg: object, *args: object, **kwargs: object) -> None:
        """With the class and place of the error, if there is one."""
        log.error(_SENTENCES.get(str(msg), "the web server reports an error, text withheld"), **_raised(kwargs))

    critical = error

    def exception(self, msg: object, *args: object, **kwargs: object) -> None:
        """As `error`, within an except clause."""
        self.error(msg, exc_info=True)

    def log(self, lvl: object, msg: object, *args: object, **kwargs: object) -> None:
        """gunicorn's generic entry, by its level where it is a number at or above an error's."""
        self.warning(msg)


def _raised(kwargs: dict[str, object]) -> dict[str, object]:
    return {"exc_info": kwargs["exc_info"]} if kwargs.get("exc_info") else {}
