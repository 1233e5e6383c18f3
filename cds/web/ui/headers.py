"""What every answer of the pages carries; and every request is counted."""

from __future__ import annotations

from flask import Flask, Response, request

from cds import metrics

_CSP = "Content-Security-Policy"
#: Everything comes from here; nothing runs or is drawn that stands in the page itself. Bootstrap's signs are data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    # Not "no-referrer": Flask-WTF asks forms over https which page they come from.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Other methods of the wild would make the label an open set.
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


def install(app: Flask, *, insecure: bool, https: bool) -> None:
    """Add the headers to answers of every kind, errors included; only files and pictures may say how to keep them."""

    def finish(response: Response) -> Response:
        response.headers.update(_ALWAYS)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault(_CSP, POLICY)
        if https:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if insecure:
            response.headers["Sightline-Insecure"] = "development mode"
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in _METHODS else "other"
        metrics.HTTP_REQUESTS.inc(route=route, method=method, status=str(response.status_code))
        return response

    app.after_request(finish)
