"""The image viewer: pictures of studies for a browser, with or without its script. For looking, not for diagnosis."""

from __future__ import annotations

import gzip
import hashlib
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from cds.domain.audit import IMAGES_VIEWED
from cds.domain.imaging import Study
from cds.errors import InvalidInput, NotEvaluable, NotFound, SightlineError
from cds.remembered import Remembered
from cds.ui.images import ImageServices, Overlay, Place, SeriesImages, Shown, StudyImages, StudyListed
from cds.ui.people import Role
from cds.ui.pictures import Look, Window
from cds.ui.services import UiServices
from cds.web.ui.guard import allow, person, ui_services, viewed
from cds.web.ui.shown import local_day, page

VIEWED = IMAGES_VIEWED
#: Scrolling is one view: what somebody looks at again within so many seconds is not written again.
_ONE_VIEW_S = 600
_VIEWS, _MOST_VIEWS = "sightline_image_views", 4096
#: Under an address with the version in it a picture stays what it is; the browser of one person keeps it.
_FIXED = "private, max-age=3600, immutable"
_ASK_AGAIN = "private, no-cache"
_UNPROCESSABLE, _NOT_MODIFIED, _NOTHING = 422, 304, 204
_FUNCTIONS = frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"})
_LARGEST = 1e7
_LONGEST_SIDE = 8192
_OCTETS, _JSON = "application/octet-stream", "application/json"
#: Colours of labels and heat maps, which tell apart for the colour-blind (Okabe and Ito 2008).
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00")

may_look = allow(Role.RADIOLOGIST, Role.CLINICIAN, launched=True)


def blueprint(services: UiServices) -> Blueprint:
    """The routes below `/studies/<public_id>`; none where no images are wired."""
    found = Blueprint("images", __name__, url_prefix="/studies/<public_id>")
    if services.images is None:
        return found
    series = "/series/<int:series>"
    for rule, view in (
        ("/images", alone),
        ("/images.json", study),
        (f"{series}/pictures.json", pictures),
        (f"{series}/frames/<int:k>.png", picture),
        (f"{series}/frames/<int:k>.raw", raw),
        (f"{series}/frames/<int:k>/overlays/<int:number>.raw", overlay),
        (f"{series}/overlays/<int:number>.json", marked),
    ):
        found.add_url_rule(rule, view_func=view)
    found.add_app_template_global(fragment, "image_viewer")
    return found


@may_look
def alone(public_id: str) -> Response:
    """The viewer by itself; without its script one picture of one series, with links to the others."""
    shown = _services().study(person(), public_id)
    _viewed(shown.study)
    number, k = _number("series", 1), _number("picture", 0)
    listed = next((one for one in shown.listed.series if one.number == number), None)
    if listed is None:
        raise NotFound("The study has no such series of images.")
    return page("images.html", public_id=public_id, shown=shown.listed, listed=listed, k=k or middle(listed.images))


@may_look
def study(public_id: str) -> Response:
    """The series of a study and of those before it."""
    shown = _services().study(person(), public_id)
    _viewed(shown.study)
    return _json(_study(shown))


@may_look
def pictures(public_id: str, series: int) -> Response:
    """The pictures of a series in order, and what models marked on them."""
    services = _services()
    shown = services.study(person(), public_id)
    _viewed(shown.study)
    return _json(_series(public_id, services.series(person(), public_id, series)))


@may_look
def picture(public_id: str, series: int, k: int) -> AnyResponse:
    """One picture as PNG: with `window=center,width[,function]` as asked, else as the image itself says."""
    services, look = _services(), _look()
    picked = services.pick(person(), _place(public_id, series, k))
    _viewed(picked.study)
    etag = _etag(picked.etag, look.key, str(picked.default))
    if request.if_none_match.contains(etag):
        return _kept(Response(status=_NOT_MODIFIED), etag, is_fixed=picked.is_fixed)
    try:
        shown = services.picture(picked, look)
    except SightlineError as error:
        tile = services.tile(str(error), picked.rows, picked.columns)
        return Response(tile.body, status=_status(error), content_type=tile.content_type)
    return _kept(Response(shown.body, content_type=shown.content_type), etag, is_fixed=picked.is_fixed)


@may_look
def raw(public_id: str, series: int, k: int) -> AnyResponse:
    """The stored values of one picture, packed; what makes them values that a window is told in stands in headers."""
    services = _services()
    picked = services.pick(person(), _place(public_id, series, k))
    _viewed(picked.study)
    etag = _etag(picked.etag, "raw")
    if request.if_none_match.contains(etag):
        return _kept(Response(status=_NOT_MODIFIED), etag, is_fixed=picked.is_fixed)
    try:
        found = services.raw(picked)
    except SightlineError as error:
        return _json({"why": str(error)}, status=_status(error))
    response = _kept(_packed(found.body), etag, is_fixed=picked.is_fixed)
    response.headers["Sightline-Pixels"] = f"{found.dtype} {found.rows} {found.columns}"
    response.headers["Sightline-Rescale"] = f"{found.slope!r} {found.intercept!r}"
    response.headers["Sightline-Inverted"] = "yes" if found.is_inverted else "no"
    return response


@may_look
def overlay(public_id: str, series: int, k: int, number: int) -> AnyResponse:
    """What a model drew on one picture: a label, or 0 to 255 of a heat map, for each pixel; 204 for nothing."""
    services = _services()
    place = _place(public_id, series, k)
    picked = services.pick(person(), place)
    _viewed(picked.study)
    try:
        drawn = services.overlay(person(), place, number)
    except NotEvaluable as error:
        return _json({"why": str(error)}, status=_UNPROCESSABLE)
    if drawn is None:
        return Response(status=_NOTHING)
    response = _packed(drawn.body)
    response.headers["Sightline-Pixels"] = f"uint8 {drawn.rows} {drawn.columns}"
    return response


@may_look
def marked(public_id: str, series: int, number: int) -> Response:
    """On which pictures a model drew something, and on how many of their pixels."""
    services = _services()
    _viewed(services.study(person(), public_id).study)
    try:
        found = services.marked(person(), public_id, series, number)
    except NotEvaluable as error:
        return _json({"why": str(error)}, status=_UNPROCESSABLE)
    return _json({"pictures": [{"k": k, "marked": count} for k, count in sorted(found.items())]})


def fragment(public_id: str | None = None) -> StudyImages | None:
    """For `_viewer.html`: the images of a study that the person may see; None where there are none for them."""
    services, who = ui_services().images, person()
    asked = public_id or (request.view_args or {}).get("public_id")
    if services is None or asked is None or not who.is_any(Role.RADIOLOGIST, Role.CLINICIAN):
        return None
    try:
        shown = services.study(who, str(asked))
    except NotFound:
        return None
    return shown if shown.listed.series else None


def middle(images: int) -> int:
    """The picture that stands for a series before anything is known of it."""
    return max(1, (images + 1) // 2)


def seen_before(user: str, study_uid: str, what: str) -> bool:
    """Whether somebody looked at the same a moment ago; from now on they did."""
    views: Remembered[tuple[str, str, str, int], bool] = current_app.extensions.setdefault(
        _VIEWS, Remembered(_MOST_VIEWS)
    )
    key = (user, study_uid, what, int(ui_services().clock.now().timestamp()) // _ONE_VIEW_S)
    known = views.find(key) is not None
    views.keep(key, True)
    return known


def _viewed(study: Study) -> None:
    """Write the view before anything is answered; a session from another patient's chart ends here."""
    uid = study.study_instance_uid
    if not seen_before(person().user, uid, VIEWED):
        viewed(uid, _services().patient(study), VIEWED)


def _services() -> ImageServices:
    found = ui_services().images
    if found is None:
        raise NotFound("No images are wired here.")
    return found


def _place(public_id: str, series: int, k: int) -> Place:
    return Place(public_id, series, k, request.args.get("v", ""))


def _look() -> Look:
    size = _number("size", 0)
    if size > _LONGEST_SIDE:
        raise InvalidInput(f"size: want at most {_LONGEST_SIDE}")
    return Look(window(request.args.get("window", "")), longest=size)


def window(told: str) -> Window | None:
    """`center,width[,function]`; None for nothing; raise InvalidInput."""
    if not told:
        return None
    center, _, rest = told.partition(",")
    width, _, function = rest.partition(",")
    try:
        found = Window(float(center), float(width), "", (function or "LINEAR").upper().replace("-", "_"))
    except ValueError:
        raise InvalidInput("window: want center,width") from None
    sane = abs(found.center) <= _LARGEST and 0 < found.width <= _LARGEST
    if not sane or found.function not in _FUNCTIONS:
        raise InvalidInput("window: want center,width[,linear | linear-exact | sigmoid], a width above 0")
    return found


def _number(name: str, default: int) -> int:
    told = request.args.get(name, "")
    if told and not (told.isdecimal() and len(told) < len("1000000")):
        raise InvalidInput(f"{name}: want a whole number")
    return int(told) if told else default


def _status(error: SightlineError) -> int:
    return _UNPROCESSABLE if isinstance(error, NotEvaluable) else error.http_status


def _etag(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _kept(response: Response, etag: str, *, is_fixed: bool) -> Response:
    response.set_etag(etag)
    response.headers["Cache-Control"] = _FIXED if is_fixed else _ASK_AGAIN
    response.headers.add("Vary", "Cookie")
    return response


def _packed(body: bytes) -> Response:
    """gzip as it is, unpacked for the few that do not take it."""
    if request.accept_encodings["gzip"] > 0:
        response = Response(body, content_type=_OCTETS)
        response.headers["Content-Encoding"] = "gzip"
    else:
        response = Response(gzip.decompress(body), content_type=_OCTETS)
    response.headers.add("Vary", "Accept-Encoding")
    return response


def _json(value: dict[str, Any], *, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status=status, content_type=_JSON)


def _study(shown: StudyImages) -> dict[str, Any]:
    return _listed(shown.listed) | {
        "priors": [_listed(one) for one in shown.priors],
        "viewerUrl": shown.viewer_url,
    }


def _listed(one: StudyListed) -> dict[str, Any]:
    return {
        "publicId": one.public_id,
        "date": one.study_date.isoformat() if one.study_date else None,
        "day": local_day(one.study_date) if one.study_date else "day not known",
        "description": one.description,
        "series": [
            {
                "number": series.number,
                "modality": series.modality,
                "description": series.description,
                "images": series.images,
                "laterality": series.laterality,
                "view": series.view,
                "pictures": url_for("images.pictures", public_id=one.public_id, series=series.number),
                "base": f"{request.script_root}/studies/{one.public_id}/series/{series.number}",
            }
            for series in one.series
        ],
    }


def _series(public_id: str, shown: SeriesImages) -> dict[str, Any]:
    return {
        "number": shown.listed.number,
        "modality": shown.listed.modality,
        "description": shown.listed.description,
        "base": f"{request.script_root}/studies/{public_id}/series/{shown.listed.number}",
        "version": shown.version,
        "inSpace": shown.in_space,
        "unread": list(shown.unread),
        "windows": [
            {"name": one.name, "center": one.center, "width": one.width, "function": one.function}
            for one in shown.windows
        ],
        "pictures": [_picture(one) for one in shown.pictures],
        "marks": [
            {"finding": m.finding, "text": m.text, "presence": m.presence, "model": m.model, "pictures": m.pictures}
            for m in shown.marks
        ],
        "overlays": [_overlay(one) for one in shown.overlays],
    }


def _picture(one: Shown) -> dict[str, Any]:
    said = one.said
    return {
        "k": one.k,
        "number": said.number,
        "frame": said.index + 1,
        "rows": said.rows,
        "columns": said.columns,
        "spacing": said.spacing_mm,
        "spacingSource": said.spacing_source,
        "mm": one.position_mm,
        "letters": one.letters,
        "laterality": said.laterality,
        "view": said.view,
        "colour": said.is_colour,
        "lossy": said.is_lossy,
        "table": said.has_table,
        "timeMs": said.time_ms,
    }


def _overlay(one: Overlay) -> dict[str, Any]:
    labels = [
        {"value": label.value, "name": label.name, "colour": COLOURS[n % len(COLOURS)]}
        for n, label in enumerate(one.labels)
    ]
    return {
        "number": one.number,
        "kind": one.kind,
        "model": one.model,
        "name": one.name,
        "labels": labels,
        "findings": list(one.findings),
    }
