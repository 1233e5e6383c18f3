"""Static files: ours and Bootstrap's from its package, kept by browsers under an address that changes with them."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from flask import Blueprint, Flask, Response, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from cds.errors import NotFound
from cds.web.ui.guard import open_to_all

_BOOTSTRAP = {
    "bootstrap.min.css": "static/bootstrap5/css/bootstrap.min.css",
    "bootstrap.bundle.min.js": "static/bootstrap5/js/bootstrap.bundle.min.js",
}
_A_YEAR = "public, max-age=31536000, immutable"
_DIGITS = 16


def blueprint() -> Blueprint:
    """`GET /static/<name>`."""
    found = Blueprint("static", __name__)

    @open_to_all
    def file(name: str) -> AnyResponse:
        body, digest = _read(name)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        response = Response(body, content_type=f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        response.headers["Cache-Control"] = _A_YEAR if request.args.get("v") == digest else "no-cache"
        response.set_etag(digest)
        return response.make_conditional(request)

    found.add_url_rule("/static/<name>", view_func=file, endpoint="file")
    return found


def install(app: Flask) -> None:
    """What templates may use: `static(name)`, an address; and `bootstrap_css()`, an element."""

    def bootstrap_css() -> Markup:
        return Markup('<link rel="stylesheet" href="{}">').format(static("bootstrap.min.css"))

    app.jinja_env.globals.update(static=static, bootstrap_css=bootstrap_css)


def static(name: str) -> str:
    """The address of a file, with the digest of what is in it."""
    return url_for("static.file", name=name, v=_read(name)[1])


@cache
def _read(name: str) -> tuple[bytes, str]:
    file = _file(name)
    if not file.is_file():
        raise NotFound("There is no such file.")
    body = file.read_bytes()
    return body, hashlib.sha256(body).hexdigest()[:_DIGITS]


def _file(name: str) -> Traversable:
    """No name leads out of the folder: the route takes one part of a path."""
    if name in _BOOTSTRAP:
        return resources.files("flask_bootstrap").joinpath(_BOOTSTRAP[name])
    return resources.files("cds.web.ui").joinpath("static", name.replace("..", ""))
