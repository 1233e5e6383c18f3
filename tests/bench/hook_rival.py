"""A CDS Hooks service of somebody else, by uvicorn alone (`python hook_rival.py PORT`) or under gunicorn.

Runs by the Python that CDS_BENCH_PEERS names, which knows nothing of Sightline. Each does as little as its library lets
it: one card that is always the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

CARD = {"summary": "Measured", "indicator": "info", "source": {"label": "Bench"}, "detail": "Always the same."}
FASTAPI = "/cds-services/imaging-findings"


def application() -> Any:
    """The application of a worker process; RIVAL names it."""
    return {"healthchain": _healthchain, "fastapi": _fastapi}[os.environ["RIVAL"]]()


def _healthchain() -> Any:
    """As its documentation shows it: a trivial handler of patient-view."""
    from healthchain.gateway import CDSHooksService, HealthChainAPI
    from healthchain.models import CDSRequest, CDSResponse

    service, app = CDSHooksService(), HealthChainAPI()

    @service.hook("patient-view", id="imaging-findings")
    def view(request: CDSRequest) -> CDSResponse:
        return CDSResponse(cards=[CARD])

    app.register_service(service)
    return app


def _fastapi() -> Any:
    """A bare handler that only reads the JSON."""
    app = FastAPI()

    @app.post(FASTAPI)
    async def view(request: Request) -> dict[str, object]:
        body = await request.json()
        return {"cards": [CARD] if body["prefetch"] else []}

    return app


if __name__ == "__main__":
    uvicorn.run(
        "hook_rival:application", factory=True, host="127.0.0.1", port=int(sys.argv[1]), workers=2,
        log_level="warning", access_log=False, app_dir=str(Path(__file__).parent),
    )  # fmt: skip
