"""What others send to /fhir: radiologists' reports, imaging studies, transactions of both. It is never served back."""

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
from cds.web.fhir_access import may_send

#: What is said of each type that is taken: where it says something new, and where it does not.
TAKEN = {
    "DiagnosticReport": (
        "the radiologist's report is filed; its studies are matched and decided again",
        "nothing new: the report is known, or it is not signed yet",
    ),
    "ImagingStudy": (
        "the study is announced, and its images are fetched where a model reads them; or its withdrawal is noted",
        "nothing new: the study is known, or its images are not there yet, or no model reads them",
    ),
}
_OK, _CREATED = 200, 201


class Takes(Protocol):
    """What the routes need of `cds.services.Services`."""

    @property
    def take(self) -> Callable[[Json], bool]:
        """Keeps a resource of a type in `TAKEN`; False where it says nothing new.

        Raises InvalidResource and InsufficientData.
        """
        ...

    @property
    def take_bundle(self) -> Callable[[Json], Json]:
        """Keeps what a transaction or batch Bundle brings, of a transaction all or nothing; answers its response.

        Raises InvalidResource and InsufficientData, which name the entry.
        """
        ...


def blueprint(services: Takes) -> Blueprint:
    """create and update of what is taken, and of nothing else; transaction and batch at the base."""
    found, views = Blueprint("taken", __name__, url_prefix="/fhir"), _Views(services)
    found.add_url_rule("", view_func=views.bundle, methods=["POST"])
    found.add_url_rule("/", view_func=views.bundle, methods=["POST"], endpoint="bundle_at_base")
    found.add_url_rule("/<resource_type>", view_func=views.create, methods=["POST"])
    found.add_url_rule("/<resource_type>/<resource_id>", view_func=views.update, methods=["PUT"])
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Takes

    def create(self, resource_type: str) -> Response:
        _known(resource_type)
        may_send(resource_type, "c")
        return self._take(_body(resource_type))

    def update(self, resource_type: str, resource_id: str) -> Response:
        _known(resource_type)
        may_send(resource_type, "u")
        body = _body(resource_type)
        if body.get("id") != resource_id:
            raise InvalidResource("want the id of the address in the resource (R4 http.html#update)")
        return self._take(body)

    def bundle(self) -> Response:
        """A transaction may hold both types, so its sender must be allowed to send both; and to update, by a PUT."""
        for resource_type in TAKEN:
            may_send(resource_type, "c")
        body = _body("Bundle")
        if "PUT" in _methods(body):
            for resource_type in TAKEN:
                may_send(resource_type, "u")
        return answer(self.services.take_bundle(body), content_type=FHIR_JSON)

    def _take(self, body: Json) -> Response:
        new, known = TAKEN[str(body["resourceType"])]
        taken = self.services.take(body)
        said = informational(new if taken else known)
        return answer(said, status=_CREATED if taken else _OK, content_type=FHIR_JSON)


def _known(resource_type: str) -> None:
    if resource_type not in TAKEN:
        raise MethodNotAllowed(valid_methods=("GET", "HEAD"))


def _methods(bundle: Json) -> set[str]:
    """Of its entries; what is no entry is refused when it is read."""
    entries = bundle.get("entry")
    requests = [one.get("request") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return {str(one.get("method")).strip() for one in requests if isinstance(one, dict)}


def _body(resource_type: str) -> Json:
    if request.mimetype not in (FHIR_JSON, JSON):
        abort(415)
    try:
        body = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or body.get("resourceType") != resource_type:
        raise InvalidResource(f"the body wants to be one {resource_type} as JSON")
    return body
