"""What waits for a person: one plain page, and the same as JSON. It shows; `cds holds resolve` acts."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, request

from cds.render import holds
from cds.services import Services
from cds.web.answers import JSON, answer

_HTML = "text/html"


def blueprint(services: Services) -> Blueprint:
    """The page."""
    found = Blueprint("holds", __name__)
    found.add_url_rule("/holds", view_func=_Views(services).page)
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Services

    def page(self) -> Response:
        """JSON where the caller prefers it, else HTML."""
        waiting, now, banner = self.services.holds(), self.services.clock.now(), self.services.banner()
        if request.accept_mimetypes.best_match((_HTML, JSON), default=_HTML) == JSON:
            return answer({"banner": banner, "holds": holds.rows(waiting, now)})
        return Response(holds.as_html(waiting, now, banner), content_type=f"{_HTML}; charset=utf-8")
