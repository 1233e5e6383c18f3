"""Radiologists' final reports as FHIR DiagnosticReports, posted by the RIS: taken, and never served back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import orjson
from flask import Blueprint, Response, abort, request
from werkzeug.exceptions import MethodNotAllowed

from adapters.fhir.outcome import informational
from cds.errors import InvalidResource
from cds.services import Json
from cds.web.answers import FHIR_JSON, JSON, answer

_TAKEN = "the radiologist's report is filed; its studies are matched and decided again"
_NOTHING_NEW = "nothing new: the report is known, or it is not signed yet"
_OK, _CREATED = 200, 201


class Files(Protocol):
    """What the routes need of `cds.services.Services`."""

    @property
    def file_final_report(self) -> Callable[[Json], bool]:
        """Keeps a DiagnosticReport; False where it says nothing new. Raises InvalidResource and InsufficientData."""
        ...


def blueprint(services: Files) -> Blueprint:
    """create and update of a DiagnosticReport, and of nothing else."""
    found, views = Blueprint("final_reports", __name__, url_prefix="/fhir"), _Views(services)
    found.add_url_rule("/<resource_type>", view_func=views.create, methods=["POST"])
    found.add_url_rule("/<resource_type>/<resource_id>", view_func=views.update, methods=["PUT"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Files

    def create(self, resource_type: str) -> Response:
        return self._file(_body(resource_type))

    def update(self, resource_type: str, resource_id: str) -> Response:
        body = _body(resource_type)
        if body.get("id") != resource_id:
            raise InvalidResource("want the id of the address in the resource (R4 http.html#update)")
        return self._file(body)

    def _file(self, body: Json) -> Response:
        new = self.services.file_final_report(body)
        text, status = (_TAKEN, _CREATED) if new else (_NOTHING_NEW, _OK)
        return answer(informational(text), status=status, content_type=FHIR_JSON)


def _body(resource_type: str) -> Json:
    if resource_type != "DiagnosticReport":
        raise MethodNotAllowed(valid_methods=("GET", "HEAD"))
    if request.mimetype not in (FHIR_JSON, JSON):
        abort(415)
    try:
        body = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or body.get("resourceType") != resource_type:
        raise InvalidResource("the body wants to be one DiagnosticReport as JSON")
    return body
