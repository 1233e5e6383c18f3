"""What people who use the pages are here for."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What somebody is here for; what each may open is marked at the routes (`cds.web.ui.guard.allow`)."""

    RADIOLOGIST = "radiologist"
    CLINICIAN = "clinician"
    COORDINATOR = "coordinator"
    ENGINEER = "engineer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
