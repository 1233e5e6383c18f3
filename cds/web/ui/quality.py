"""Quality, for whoever answers for the models: how they did, and whether what they see has changed. No patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, request

from cds.domain.quality import ModelFigures, QualityRun
from cds.errors import InvalidInput, NotFound
from cds.ports import Clock
from cds.remembered import Remembered
from cds.render import plots
from cds.render import quality as telling
from cds.ui.people import Role
from cds.ui.quality import QualityServices, model_of
from cds.ui.services import UiServices
from cds.web.ui.guard import allow
from cds.web.ui.shown import page

_READERS = (Role.RADIOLOGIST, Role.CLINICIAN, Role.ENGINEER, Role.AUDITOR)
#: A run is never changed, so neither is a plot of it.
_KEPT = "private, max-age=86400, immutable"
_PLOTS = 64
#: The last whole day is yesterday; before the night's hour it is the day before.
_A_NIGHT_LATE = timedelta(days=2)


def blueprint(services: UiServices) -> Blueprint:
    """Everything below /quality; nothing where this installation gives it no services."""
    found = Blueprint("quality", __name__, url_prefix="/quality")
    if services.quality is None:
        return found
    views = _Views(services.quality, services.clock)
    found.context_processor(lambda: {"tables": telling.tables()})
    found.add_url_rule("", view_func=views.overview)
    found.add_url_rule("/models/<model>/<version>", view_func=views.model)
    found.add_url_rule("/plots/<int:run>/<model>/<version>/<name>.svg", view_func=views.plot)
    found.add_url_rule("/csv/<table>.csv", view_func=views.table)
    return found


@dataclass(frozen=True, slots=True)
class _Views:
    quality: QualityServices
    clock: Clock
    drawn: Remembered[tuple[int, str, str, str], bytes] = field(default_factory=lambda: Remembered(_PLOTS))

    @allow(*_READERS)
    def overview(self) -> Response:
        """All models, pathways and times of one window."""
        try:
            run = self.quality.newest(_day())
        except NotFound:
            if request.args.get("day"):
                raise
            return page("quality_empty.html")
        return page("quality.html", **self._values(run))

    @allow(*_READERS)
    def model(self, model: str, version: str) -> Response:
        """One version of a model: its findings, what has drifted, its subgroups."""
        run = self.quality.newest(_day())
        return page("quality_model.html", **self._values(run), model=model_of(run.day, model, version))

    @allow(*_READERS)
    def plot(self, run: int, model: str, version: str, name: str) -> Response:
        """A plot, drawn once."""
        key = (run, model, version, name)
        body = self.drawn.get(key, lambda: _drawn(model_of(self.quality.run(run).day, model, version), name))
        response = Response(body, content_type="image/svg+xml")
        response.headers["Cache-Control"] = _KEPT
        return response

    @allow(*_READERS)
    def table(self, table: str) -> Response:
        """One table as a file."""
        if table not in telling.tables():
            raise NotFound("There is no such table.")
        run = self.quality.newest(_day())
        response = Response(telling.as_csv(run.day, table), content_type="text/csv; charset=utf-8; header=present")
        name = f"quality-{table}-{run.day.day.isoformat()}.csv"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def _values(self, run: QualityRun) -> dict[str, Any]:
        days = self.quality.days()
        missed = max(days) < self.clock.today() - _A_NIGHT_LATE
        return {"run": run, "day": run.day, "days": days, "missed": missed}


def _day() -> date | None:
    asked = request.args.get("day", "")
    try:
        return date.fromisoformat(asked) if asked else None
    except ValueError:
        raise InvalidInput("want day as YYYY-MM-DD") from None


def _drawn(model: ModelFigures, name: str) -> bytes:
    if name == "days":
        return plots.days(model)
    if name == "findings":
        return plots.findings(model)
    number = name.removeprefix("drift-")
    if number.isascii() and number.isdigit() and int(number) < len(model.drift):
        return plots.drift(model, model.drift[int(number)])
    raise NotFound("There is no such plot.")
