"""Cross-origin calls of CDS Hooks from a browser: off unless origins are named (CDS Hooks 2.0, section CORS)."""

from __future__ import annotations

from flask import Flask, Response, request

_PATH = "/cds-services"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


def install(app: Flask, origins: frozenset[str]) -> None:
    """Answer preflights, which carry no token, and name the origin in answers; only for the origins given."""
    if not origins:
        return

    def preflight() -> Response | None:
        return Response(status=204, headers=_PREFLIGHT) if request.method == "OPTIONS" and _allowed() else None

    def name_origin(response: Response) -> Response:
        if _ours():
            response.headers.add("Vary", "Origin")
        if _allowed():
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        return response

    def _ours() -> bool:
        return request.path == _PATH or request.path.startswith(f"{_PATH}/")

    def _allowed() -> bool:
        return _ours() and request.headers.get("Origin") in origins

    app.before_request(preflight)
    app.after_request(name_origin)
