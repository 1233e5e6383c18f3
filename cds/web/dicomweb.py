"""STOW-RS (PS3.18 section 10.5): instances pushed over HTTP. The body is streamed to disk and never held in memory."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Protocol

from flask import Blueprint, Response, request

from cds import metrics
from cds.errors import SightlineError
from cds.logs import get_logger
from cds.services import Json
from cds.web.answers import answer

log = get_logger(__name__)

DICOM_JSON = "application/dicom+json"
_TEXT = "text/plain; charset=utf-8"
#: Uploads at once in one process: the other threads answer hooks meanwhile.
_UPLOADS = 2
_BUSY, _RETRY_AFTER_S = 503, 5
_NOT_ACCEPTABLE = 406


class Stores(Protocol):
    """What the routes need of `cds.services.Services`."""

    @property
    def store_instances(self) -> Callable[[IO[bytes], str, str], tuple[int, Json]]:
        """(body, content type, Study Instance UID or "") → HTTP status, and the Store Instances Response.

        Raises InvalidInput where the body cannot be read, OutOfResources and Unavailable where nothing can be kept.
        """
        ...


def blueprint(services: Stores) -> Blueprint:
    """`POST /dicom-web/studies` and `POST /dicom-web/studies/<study>`."""
    found, views = Blueprint("dicomweb", __name__, url_prefix="/dicom-web"), _Views(services)
    found.add_url_rule("/studies", view_func=views.store, methods=["POST"])
    found.add_url_rule("/studies/<study>", view_func=views.store, methods=["POST"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Stores
    room: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_UPLOADS))

    def store(self, study: str = "") -> Response:
        """The answer is a data set; errors of the whole request are a sentence (PS3.18 section 8.4)."""
        if request.accept_mimetypes and not request.accept_mimetypes[DICOM_JSON]:
            return _said(_NOT_ACCEPTABLE, f"want {DICOM_JSON} accepted: the answer comes in nothing else")
        if not self.room.acquire(blocking=False):
            response = _said(_BUSY, "too many uploads at once, please send again")
            response.headers["Retry-After"] = str(_RETRY_AFTER_S)
            return response
        try:
            return self._store(study)
        finally:
            self.room.release()

    def _store(self, study: str) -> Response:
        request.max_content_length = sys.maxsize  # None would be the application's; instances and disk have bounds
        try:
            status, said = self.services.store_instances(request.stream, request.content_type or "", study)
        except SightlineError as error:
            metrics.DICOM_INSTANCES.inc(outcome="refused")
            log.warning("an upload was refused", route="stow", exc_info=error)
            return _said(error.http_status, str(error))
        return answer(said, status=status, content_type=DICOM_JSON)


def _said(status: int, text: str) -> Response:
    return Response(f"{text}\n", status=status, content_type=_TEXT)
