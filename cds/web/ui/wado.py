"""DICOMweb of the pages (PS3.18): QIDO-RS and WADO-RS, so that any viewer can be pointed at it. Nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson
from flask import Blueprint, Response, request

from cds.domain.imaging import Study
from cds.errors import InvalidInput, NotEvaluable, NotFound, SightlineError, Unauthorized
from cds.ui import qido
from cds.ui.dicomweb import DataSet, DicomwebServices, Named
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.web.ui import wado_answers as answers
from cds.web.ui import wado_asked as asked
from cds.web.ui.guard import allow, open_to_all, person, ui_services, viewed
from cds.web.ui.images import VIEWED, seen_before
from cds.web.ui.media import MULTIPART
from cds.web.ui.wado_answers import DICOM, OCTETS

PREFIX = "/dicomweb"
DICOM_JSON = "application/dicom+json"
_TEXT = "text/plain; charset=utf-8"
_NOT_ACCEPTABLE, _NO_CONTENT = 406, 204
_SMALL = 128

may_read = allow(Role.RADIOLOGIST, Role.CLINICIAN, launched=True, bearer=True)


class NotAcceptable(SightlineError):
    """Nothing that the caller accepts can be answered."""

    http_status = _NOT_ACCEPTABLE
    issue_code = "not-supported"


def blueprint(services: UiServices) -> Blueprint:
    """The routes below `/dicomweb`; none where no images are wired."""
    found = Blueprint("wado", __name__, url_prefix=PREFIX)
    if services.images is None:
        return found
    series, instance = "/studies/<study>/series/<series>", "/studies/<study>/series/<series>/instances/<instance>"
    views: tuple[tuple[str, Callable[..., Response]], ...] = (
        ("/studies", studies),
        ("/studies/<study>/series", series_of),
        ("/studies/<study>/instances", instances_of),
        (f"{series}/instances", instances_of),
        *((f"{rule}/metadata", metadata) for rule in ("/studies/<study>", series, instance)),
        *((rule, retrieve) for rule in ("/studies/<study>", series, instance)),
        (f"{instance}/frames/<frames>", frames),
        (f"{instance}/rendered", rendered),
        (f"{instance}/thumbnail", thumbnail),
        (f"{instance}/frames/<frames>/rendered", rendered),
        (f"{instance}/frames/<frames>/thumbnail", thumbnail),
        (f"{instance}/bulkdata/<path:at>", bulk),
    )
    for rule, view in views:
        found.add_url_rule(rule, f"{view.__name__} {rule}", view_func=view)
    found.add_url_rule("/<path:anything>", view_func=preflight, methods=["OPTIONS"])
    found.register_error_handler(SightlineError, _said)
    origins = frozenset(origin.rstrip("/").lower() for origin in services.settings.viewer.origins)

    def name_origin(response: Response) -> Response:
        return _named(response, origins)

    found.after_request(name_origin)
    return found


@open_to_all
def preflight(anything: str) -> Response:
    """What a browser asks before it reads for the page of another origin; the origin is named where it is allowed."""
    return Response(
        status=_NO_CONTENT,
        headers={
            "Access-Control-Allow-Methods": "GET, HEAD",
            "Access-Control-Allow-Headers": "Authorization, Accept, Content-Type",
            "Access-Control-Max-Age": "600",
        },
    )


@may_read
def studies() -> Response:
    """QIDO-RS for studies (PS3.18 section 10.6)."""
    _json_wanted()
    found = _services().studies(person(), asked.search())
    for study in {one.patient: one for _, one in found}.values():
        _viewed(study, "images searched")
    return _listed([qido.with_address(told, f"{_base()}/studies/{one.study_instance_uid}") for told, one in found])


@may_read
def series_of(study: str) -> Response:
    """QIDO-RS for the series of a study."""
    _json_wanted()
    named = _named_study(study)
    found = _services().series(person(), named, asked.matching(asked.ABOUT_SERIES))
    return _listed([qido.with_address(one, f"{_base()}/studies/{study}/series/{_uid(one)}") for one in found])


@may_read
def instances_of(study: str, series: str = "") -> Response:
    """QIDO-RS for the instances of a study or series."""
    _json_wanted()
    named = _named_study(study, series)
    return _listed(_services().instances(person(), named, asked.matching(asked.ABOUT_SERIES | asked.ABOUT_INSTANCES)))


@may_read
def metadata(study: str, series: str = "", instance: str = "") -> Response:
    """WADO-RS metadata: every attribute, bulk data by its address."""
    _json_wanted()
    named = _named_study(study, series, instance)
    found = _services().metadata(person(), named, _base())
    return Response(orjson.dumps(list(found)), content_type=DICOM_JSON)


@may_read
def retrieve(study: str, series: str = "", instance: str = "") -> Response:
    """WADO-RS of whole instances: uncompressed, or as they are stored where the caller takes that."""
    kept = _services().kept(person(), _named_study(study, series, instance))
    for one in answers.accepted():
        found = answers.instances(_services(), kept, one)
        if found is not None:
            return found
    raise NotAcceptable(f"want {DICOM} accepted, in {MULTIPART} or, for one instance, alone")


@may_read
def frames(study: str, series: str, instance: str, frames: str) -> Response:
    """WADO-RS of frames: uncompressed little endian, or as they are stored where the caller takes that."""
    (kept,) = _services().kept(person(), _named_study(study, series, instance))
    numbers = asked.frames(frames)
    for one in answers.accepted():
        found = answers.frames(_services(), kept, numbers, one)
        if found is not None:
            return found
    raise NotAcceptable(f"want {OCTETS} accepted, or the frames as they are stored: transfer-syntax=*")


@may_read
def rendered(study: str, series: str, instance: str, frames: str = "1") -> Response:
    """WADO-RS rendered: one frame as JPEG or PNG, with `window`, `viewport` and `quality` (PS3.18 section 8.3.5)."""
    return _picture(study, series, instance, frames, 0)


@may_read
def thumbnail(study: str, series: str, instance: str, frames: str = "1") -> Response:
    """WADO-RS thumbnail: the same, small."""
    return _picture(study, series, instance, frames, _SMALL)


@may_read
def bulk(study: str, series: str, instance: str, at: str) -> Response:
    """A value that metadata names by its address."""
    (kept,) = _services().kept(person(), _named_study(study, series, instance))
    body = _services().bulk(kept, asked.path(at))
    for one in answers.accepted():
        if one.takes(OCTETS):
            return answers.alone_or_not(OCTETS, body, one)
    raise NotAcceptable(f"want {OCTETS} accepted")


def _picture(study: str, series: str, instance: str, told: str, longest: int) -> Response:
    (kept,) = _services().kept(person(), _named_study(study, series, instance))
    number, *others = asked.frames(told)
    if others:
        raise InvalidInput("want one frame at a time rendered")
    form = next((form for one in answers.accepted() for form in ("jpeg", "png") if one.takes(f"image/{form}")), "")
    if not form:
        raise NotAcceptable("want image/jpeg or image/png accepted")
    shown = _services().rendered(kept, number, asked.look(form, longest))
    return Response(shown.body, content_type=shown.content_type)


def _services() -> DicomwebServices:
    images = ui_services().images
    if images is None:
        raise NotFound("No images are wired here.")
    return images.dicomweb


def _named_study(study: str, series: str = "", instance: str = "") -> Named:
    """What the address names, once the view is in the audit log; raise NotFound where it is not theirs to see."""
    named = asked.named(study, series, instance)
    _viewed(_services().study(person(), named.study), VIEWED)
    return named


def _viewed(study: Study, action: str) -> None:
    images = ui_services().images
    uid = study.study_instance_uid
    if images is not None and not seen_before(person().user, uid, action):
        viewed(uid, images.patient(study), action)


def _base() -> str:
    settings = ui_services().settings
    return f"{settings.pages_at(settings.base_url)}{PREFIX}"


def _uid(series: DataSet) -> str:
    told = series["0020000E"]
    return str(told["Value"][0]) if isinstance(told, dict) else ""


def _listed(found: Sequence[DataSet]) -> Response:
    """PS3.18 section 8.6: no result is no content."""
    if not found:
        return Response(status=_NO_CONTENT)
    return Response(orjson.dumps(found), content_type=DICOM_JSON)


def _json_wanted() -> None:
    if not any(one.takes(DICOM_JSON) or one.takes("application/json") for one in answers.accepted()):
        raise NotAcceptable(f"want {DICOM_JSON} accepted")


def _said(error: SightlineError) -> Response:
    """Errors are a sentence (PS3.18 section 8.4): viewers show it, and nothing parses it."""
    status = _NOT_ACCEPTABLE if isinstance(error, NotEvaluable) else error.http_status
    response = Response(f"{error}\n", status=status, content_type=_TEXT)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="Sightline"'
    return response


def _named(response: Response, origins: frozenset[str]) -> Response:
    """Cross-origin reading, for the origins that the site allows alone; the answer differs by origin."""
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin", "").lower()
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Allow-Credentials"] = "true"
    return response
