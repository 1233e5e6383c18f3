"""The viewer over real stores and files: a study with a model's mask, its prior, and browsers of several people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from adapters.dicom.projection import InPlace
from cds.bootstrap.ui_images import images
from cds.bootstrap.ui_sight import Hidden, never
from cds.domain.imaging import Study
from cds.ui.people import Person, Role
from cds.ui.services import UiServices
from cds.web.ui.app import create_ui
from tests.lifecycle.stage import ANNA, Stage, opened
from tests.ui_doors import Doormen, client, staff, ui_services

RADIOLOGIST, CLINICIAN = staff(Role.RADIOLOGIST), staff(Role.CLINICIAN)


@dataclass
class ImagesSite:
    """The pages of a stage."""

    stage: Stage
    app: Flask
    doormen: Doormen
    services: UiServices

    def browser(self, who: Person | None = RADIOLOGIST) -> FlaskClient:
        """A browser in which somebody is signed in."""
        return client(self.app, self.doormen, who)

    def launched(self, study: Study, patient_id: str = "") -> Person:
        """Whom an EHR let in for the patient of a study, or for another one."""
        assert self.services.images is not None
        hers = patient_id or self.services.images.patient(study)
        return Person("Practitioner/1", "Practitioner/1", frozenset({Role.CLINICIAN}), hers)

    @property
    def seen(self) -> list[tuple[str, str, str | None]]:
        """Who did what with which study, by the audit log."""
        events = self.services.audit.events
        return [(one.actor, one.action, one.study_instance_uid) for one in events]


@contextmanager
def images_site(folder: Path, *, hidden: Hidden = never, **changes: Any) -> Iterator[ImagesSite]:
    """A stage with the viewer's pages; decoding happens in this process."""
    with ExitStack() as stack:
        stage = opened(folder, stack, **changes)
        doormen = Doormen()
        wired = images(stage.settings, stage.held, stage.clock, hidden=hidden, caller=InPlace())

        def whose(public_id: str) -> str:
            return str(wired.patient(stage.held.studies.study(_uid(stage, public_id))))

        services = ui_services(stage.settings, doormen=doormen, images=wired, whose=whose, clock=stage.clock)
        yield ImagesSite(stage, create_ui(services), doormen, services)


def reported(site: ImagesSite) -> Study:
    """Anna's head CT with blood, ordered, read by the stand-in model and released."""
    site.stage.order(ANNA)
    site.stage.scan(ANNA)
    site.stage.settle()
    return site.stage.study(ANNA)


def _uid(stage: Stage, public_id: str) -> str:
    from cds.store.pictures import Pictures

    return Pictures(stage.held.database, stage.held.studies).study(public_id).study_instance_uid
