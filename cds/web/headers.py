"""What every answer carries: nothing is cached, framed, sniffed or referred; and every request is counted."""

from __future__ import annotations

from flask import Flask, Response, request

from cds import metrics

_CSP = "Content-Security-Policy"
#: Where a route names no other: a page names the style that it has.
_NOTHING_LOADS = "default-src 'none'; frame-ancestors 'none'"
_ALWAYS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_INSECURE = {"Sightline-Insecure": "development mode"}
#: Other methods of the wild would make the label an open set.
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


def always(*, insecure: bool) -> dict[str, str]:
    """What an answer carries whose route names no policy of its own."""
    return {**_ALWAYS, _CSP: _NOTHING_LOADS, **(_INSECURE if insecure else {})}


def install(app: Flask, *, insecure: bool = False) -> None:
    """Add the headers to answers of every kind, errors included, and count them by url rule.

    `insecure` says in every answer that this server is for development.
    """

    def finish(response: Response) -> Response:
        response.headers.update(_ALWAYS)
        response.headers.setdefault(_CSP, _NOTHING_LOADS)
        if insecure:
            response.headers.update(_INSECURE)
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in _METHODS else "other"
        metrics.HTTP_REQUESTS.inc(route=route, method=method, status=str(response.status_code))
        return response

    app.after_request(finish)
