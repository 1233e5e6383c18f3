"""How a page is answered: its template with navigation, notices and headers; and where a form leads afterwards."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, Response, flash, g, redirect, render_template, url_for
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from cds.errors import SightlineError
from cds.hook_peers import INSECURE
from cds.ui.people import Person
from cds.ui.services import UiServices
from cds.web.ui import cookies, guard

_SEE_OTHER = 303
THEMES = ("auto", "light", "dark")
#: In the order of the navigation; the first that somebody may open is their home. The list of one patient's studies is
#: for whom an EHR sends.
CHART = "/studies"
PAGES = (
    ("/worklist", "Worklist"),
    (CHART, "Studies"),
    ("/second-reader", "Second reader"),
    ("/follow-ups", "Follow-ups"),
    ("/quality", "Quality"),
    ("/operations", "Operations"),
    ("/users", "Users"),
)


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """The page of a template; what every page has is added by `install`."""
    return Response(render_template(template, **values), status=status, content_type="text/html; charset=utf-8")


def redirect_to(endpoint: str, **values: Any) -> AnyResponse:
    """Where a form leads after it was taken (RFC 9110 section 15.4.4): a reload sends nothing again."""
    return redirect(url_for(endpoint, **values), code=_SEE_OTHER)


def say(text: str, kind: str = "ok") -> None:
    """A message that the next page shows once. It lies in a cookie until then: it names no patient."""
    flash(text, kind)


def install(app: Flask, services: UiServices) -> None:
    """What templates may use: `person`, `pages`, `theme`, `notice`, and the filters `local_time` and `local_day`."""
    settings = services.settings
    zone = ZoneInfo(settings.time_zone)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        local_time=lambda at: local_time(at, zone), local_day=local_day, iso=lambda at: at.isoformat()
    )
    app.jinja_env.globals.update(
        site_name=settings.site_name, time_zone=settings.time_zone, notice=INSECURE if settings.insecure else ""
    )

    def every_page() -> dict[str, object]:
        who = guard.person_or_none() if "person" in g else None
        return {"person": who, "pages": pages_of(app, who), "theme": _theme(services), "alarms": _alarms(services, who)}

    app.context_processor(every_page)


def local_time(at: datetime, zone: ZoneInfo) -> str:
    """A moment in the site's zone that nobody reads in two ways: 22 Nov 2026 14:05."""
    there = at.astimezone(zone)
    return f"{local_day(there)} {there:%H:%M}"


def local_day(day: date) -> str:
    """A day that nobody reads in two ways: 22 Nov 2026."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def pages_of(app: Flask, who: Person | None) -> list[tuple[str, str]]:
    """Address and title of the pages that somebody may open, in the order of the navigation."""
    if who is None:
        return []
    return [(path, title) for path, title in PAGES if _lets(app, path, who) and (path != CHART or who.patient_id)]


def _lets(app: Flask, path: str, who: Person) -> bool:
    try:
        endpoint, _ = app.url_map.bind("").match(path, method="GET")
    except HTTPException:
        return False
    mark = guard.mark_of(app, endpoint)
    return mark is not None and mark.lets(who)


def _alarms(services: UiServices, who: Person | None) -> tuple[str, ...]:
    """For staff; a page that says that the database is away must not fail because it is."""
    if who is None or who.patient_id is not None:
        return ()
    try:
        return services.banner()
    except SightlineError as error:
        return (f"alarms cannot be looked for: {error}",)


def _theme(services: UiServices) -> str:
    chosen = cookies.read(services.settings, cookies.THEME)
    return chosen if chosen in THEMES else "auto"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
