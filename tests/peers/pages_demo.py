"""`cds demo` as it runs for anybody, and what a working day adds: doubtful images, a critical result, figures."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from adapters.dicom.sender import send
from cds.bootstrap import Stores, stores
from cds.bootstrap.users import users_of
from cds.demo.story import AUTHORITY, heroine
from cds.domain.critical import Category, CriticalFinding, Opening
from cds.domain.hold import HoldKind
from cds.domain.staff import Role
from cds.imaging_peers import DicomNode
from cds.settings import Settings
from cds.store.holds import HoldStore
from tests.e2e.site import Person, series, until
from tests.peers.pages_sight import chromium, sight, sign_in

_SHOWN = re.compile(
    r"the pages: (?P<url>\S+)\s+sign in as (?P<user>\S+) with the password (?P<password>\S+)"
    r".*?CDS_DATA_DIR=(?P<data>\S+) \S+ why (?P<accession>\S+)",
    re.DOTALL,
)
_PLAYED_S, _HELD_S, _ENDED_S = 240, 90, 60
CRITICAL = "Suspected pneumothorax"


@dataclass(frozen=True)
class Demo:
    """A demo that keeps serving: what it printed for the person who looks."""

    url: str
    user: str
    password: str
    accession: str
    data_dir: Path

    @property
    def settings(self) -> Settings:
        """Enough of the demo's settings to open its stores."""
        return Settings(
            data_dir=self.data_dir, insecure=True, assigning_authority=AUTHORITY, accession_issuer=AUTHORITY
        )

    def cds(self, *arguments: str) -> None:
        """A command beside the server that runs."""
        environment = {**os.environ, "CDS_DATA_DIR": str(self.data_dir), "CDS_INSECURE": "1"}
        subprocess.run([sys.executable, "-P", "-m", "cds", *arguments], env=environment, check=True, timeout=120)


@contextmanager
def playing(folder: Path) -> Iterator[Demo]:
    """The demo up to where it keeps serving; ended by Ctrl-C, as a person ends it."""
    said = folder / "said"
    with said.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-P", "-m", "cds", "demo"], cwd=folder, stdout=out, stderr=out)
    try:

        def look() -> re.Match[str] | None:
            text = said.read_text()
            assert process.poll() is None, text[-3000:]
            return _SHOWN.search(text) if "keeps serving" in text else None

        shown = until(look, _PLAYED_S, "the demo to play its acts")
        yield Demo(shown["url"], shown["user"], shown["password"], shown["accession"], Path(shown["data"]))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_ENDED_S)


@dataclass(frozen=True)
class House:
    """The demo, the public id of its study, and the cookies of somebody who signed in to it."""

    demo: Demo
    study: str
    cookies: Any


@contextmanager
def at_work(folder: Path) -> Iterator[House]:
    """A demo that serves, a working day in it, and somebody who signed in; skips where no browser is installed."""
    with ExitStack() as stack:
        with chromium() as browser, sight(browser) as page:
            demo = stack.enter_context(playing(folder))
            sign_in(page, demo.url, demo.user, demo.password)
            page.goto(f"{demo.url}/operations/configuration")
            port = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="dicom_port", exact=True))
            study = working_day(folder / "images", int(port.get_by_role("cell").first.inner_text()), demo)
            house = House(demo, study, page.context.storage_state())
        yield house


def working_day(folder: Path, dicom_port: int, demo: Demo) -> str:
    """Give the pages what the demo's one patient does not, and answer the public id of her study."""
    held = stores(demo.settings)
    try:
        study = _critical_result(demo, held)
        _doubtful_images(folder, dicom_port, demo, held)
        demo.cds("quality", "run")
        return study
    finally:
        held.database.dispose()


def administrator(demo: Demo, name: str, password: str) -> str:
    """The name of one who adds others: the demo makes none."""
    return users_of(demo.settings).add(name, password, [Role.ADMINISTRATOR], "a test")


def _doubtful_images(folder: Path, dicom_port: int, demo: Demo, held: Stores) -> None:
    """Her identifier and accession number with another birth date: a person has to say whose images these are."""
    cast = heroine(datetime.now(UTC))
    somebody = Person(cast.mrn, "Otherperson", "Olga", date(1958, 7, 9), cast.sex, demo.accession)
    thick = (10.0, 6.0, 6.0)
    images = series(folder, somebody, spacing_mm=thick, issuer=AUTHORITY, accession_issuer=AUTHORITY)
    receiver = DicomNode(host="127.0.0.1", port=dicom_port, ae_title="SIGHTLINE", calling_ae_title="CT2")
    assert all(one.stored for one in send(images, receiver, timeout_s=60))
    until(lambda: _waits(held), _HELD_S, "the doubtful images to be held")


def _waits(held: Stores) -> bool:
    return any(one.kind is HoldKind.MATCH_IN_DOUBT for one in HoldStore(held.database).open())


def _critical_result(demo: Demo, held: Stores) -> str:
    """No model of the demo finds one. No route is configured, so it is an alarm at once."""
    uid, now = held.opinions.study_named(demo.accession), datetime.now(UTC)
    report = held.reports.latest_of_study(uid)
    assert report is not None
    assert report.patient is not None
    found = CriticalFinding("test.pneumothorax", CRITICAL, Category.MINUTES)
    opening = Opening(uid, report.work.id, found, "", now, report.patient.id, now)
    held.criticals.open(opening, lambda notice, delivery_id: b"", now)
    return report.study.public_id
