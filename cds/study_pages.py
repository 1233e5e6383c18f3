"""The study page: who may see it after a launch from the EHR (SMART App Launch 2.2), and what stands on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cds.domain.imaging import Study
from cds.domain.recommendation import PathwayOutcome
from cds.domain.report import Report


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody whom an EHR vouched for, and the one patient whose studies they may see until then.

    `user` is as CDS Hooks names them (Practitioner/123) where the EHR tells; `patient_id` is our random id.
    """

    user: str
    patient_id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a browser is sent to be let in; `kept` is what it has to bring back, sealed, under `state`."""

    url: str
    state: str
    kept: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A launch that ended well: the sealed session, and the study that the launch is about, "" for none."""

    session: str
    study: str = ""


@dataclass(frozen=True, slots=True)
class StudyPage:
    """What may be shown of one study now, and what the guidelines say to it with the record of now."""

    report: Report
    said: tuple[PathwayOutcome, ...]
    visitor: Visitor


@dataclass(frozen=True, slots=True)
class StudyServices:
    """What the routes of a launch and of the study page use."""

    #: (iss, launch) of an EHR → where the browser goes; raises InvalidInput, Unavailable, PeerRefused.
    begin: Callable[[str, str], Begun]
    #: (what was kept, the query of the redirect) → the session; raises InvalidInput, Forbidden, NotFound, Unavailable,
    #: PeerRefused.
    finish: Callable[[str, Mapping[str, str]], Arrived]
    #: A sealed session → who it is; raises Unauthorized where it is none of ours, or over.
    visitor: Callable[[str], Visitor]
    #: The studies of the visitor's patient that may be shown now, newest first.
    studies: Callable[[Visitor], tuple[Study, ...]]
    #: (visitor, public id) → the study's page, once the audit log has it; raises NotFound, Unavailable.
    page: Callable[[Visitor, str], StudyPage]
