"""What every answer carries: nothing is cached, framed, sniffed or referred; and every request is counted."""

from __future__ import annotations

from flask import Flask, Response, request

from cds import metrics

_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
#: Other methods of the wild would make the label an open set.
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


def install(app: Flask) -> None:
    """Add the headers to answers of every kind, errors included, and count them by url rule."""

    def finish(response: Response) -> Response:
        response.headers.update(_ALWAYS)
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in _METHODS else "other"
        metrics.HTTP_REQUESTS.inc(route=route, method=method, status=str(response.status_code))
        return response

    app.after_request(finish)
