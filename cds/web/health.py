"""Is the process alive, is it ready, and what has it counted?"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response

from cds import metrics
from cds.services import Services
from cds.web.answers import answer


def blueprint(services: Services) -> Blueprint:
    """The addresses that an orchestrator and Prometheus ask."""
    found, views = Blueprint("health", __name__), _Views(services)
    found.add_url_rule("/health/live", view_func=views.live)
    found.add_url_rule("/health/ready", view_func=views.ready)
    found.add_url_rule("/metrics", view_func=views.counted)
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    services: Services

    def live(self) -> Response:
        return answer({"status": "live"})

    def ready(self) -> Response:
        """503 as soon as one thing does not work, with all of them named; what alarms beside that is no outage."""
        probes = self.services.probes()
        ok = all(probe.ok for probe in probes)
        body = {
            "status": "ready" if ok else "not ready",
            "probes": [{"name": p.name, "ok": p.ok, **({"detail": p.detail} if p.detail else {})} for p in probes],
            "alarms": list(self.services.banner()),
        }
        return answer(body, status=200 if ok else 503)

    def counted(self) -> Response:
        """Not JSON: the Prometheus text format."""
        return Response(metrics.render(), content_type=metrics.CONTENT_TYPE)
