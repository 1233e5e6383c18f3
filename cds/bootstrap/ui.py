"""The pages, wired: what `cds.web.ui.app.create_ui` is given; called once in every process of the role `ui`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cds.bootstrap import Stores, stores
from cds.bootstrap.smart import launch_of
from cds.bootstrap.study_pages import Shelf, shelf
from cds.bootstrap.ui_follow_ups import follow_ups
from cds.bootstrap.ui_images import images
from cds.bootstrap.ui_operations import operations
from cds.bootstrap.ui_people import people
from cds.bootstrap.ui_quality import quality
from cds.bootstrap.ui_second_reader import second_reader
from cds.bootstrap.ui_study import study
from cds.bootstrap.ui_worklist import worklist
from cds.bootstrap.users import Users
from cds.bootstrap.watch import banner
from cds.clock import SystemClock
from cds.domain.imaging import Study
from cds.errors import SightlineError, Unauthorized
from cds.ports import Clock
from cds.settings import Settings
from cds.store.heartbeats import Heartbeat
from cds.store.own_keys import own_key
from cds.store.public_ids import study_uid
from cds.store.users import UserStore
from cds.study_pages import Visitor
from cds.ui.chart import ChartServices
from cds.ui.people import Person
from cds.ui.services import UiServices
from cds.ui.users import UserServices

#: How old the alarms on a page may be.
_ALARMS_S: Final = 5.0


def ui_services(settings: Settings, held: Stores | None = None, clock: Clock | None = None) -> UiServices:
    """Everything that the pages may use."""
    held = held or stores(settings, durable=True)
    clock = clock or SystemClock(settings.time_zone)
    pages = shelf(settings, held, held.audit, clock) if settings.smart_apps else None
    local = Users(UserStore(held.database), clock)
    return UiServices(
        settings=settings,
        clock=clock,
        people=people(settings, held, clock, launch_of(settings, held, pages, clock) if pages else None),
        audit=held.audit,
        form_key=lambda: own_key(held.database, "forms"),
        whose=lambda public_id: _owner(held, public_id),
        is_ready=lambda: _answers(held),
        banner=_for_a_moment(banner(settings, held.database, clock)),
        chart=ChartServices(_chart(pages)) if pages else None,
        worklist=worklist(settings, held, clock),
        study=study(settings, held, clock),
        images=images(settings, held, clock),
        second_reader=second_reader(settings, held, clock),
        follow_ups=follow_ups(settings, held, clock),
        quality=quality(settings, held, clock),
        operations=operations(settings, held, clock),
        users=UserServices(local.all, local.add, local.set_roles, local.set_password, local.remove),
    )


def alive(settings: Settings) -> UiServices:
    """The same in a process of the role, which says from now on that it lives."""
    held = stores(settings, durable=True)
    services = ui_services(settings, held)
    Heartbeat(held.database, services.clock, "ui").start()
    return services


def _for_a_moment(look: Callable[[], tuple[str, ...]]) -> Callable[[], tuple[str, ...]]:
    """The alarms stand on every page; they are looked for once in some seconds, however many pages are open."""
    kept: tuple[float, tuple[str, ...]] | None = None

    def lately() -> tuple[str, ...]:
        nonlocal kept
        now, known = time.monotonic(), kept
        if known is None or now - known[0] > _ALARMS_S:
            kept = known = now, look()
        return known[1]

    return lately


def _answers(held: Stores) -> bool:
    try:
        UserStore(held.database).any()
    except SightlineError:
        return False
    return True


def _chart(pages: Shelf) -> Callable[[Person], tuple[Study, ...]]:
    def studies(who: Person) -> tuple[Study, ...]:
        if who.patient_id is None:
            raise Unauthorized("want a session that an EHR opened")
        return pages.studies(Visitor(who.user, who.patient_id))

    return studies


def _owner(held: Stores, public_id: str) -> str:
    """Whose a study is: of whom its newest report is, else of whom its images say; "" where nobody knows."""
    uid = study_uid(held.database, public_id)
    report = held.reports.latest_of_study(uid)
    if report is not None:
        known = report.patient.id if report.patient else None
        return held.reports.survivor(known) if known else ""
    named = held.studies.study(uid).patient
    return next(iter(held.reports.owners([named])), "") if named else ""
