"""Asking PACS: which of them has a study, whether it is the one that is meant, and which of its series are wanted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cds.domain.endpoint import dicomweb_base
from cds.domain.identity import Identifier
from cds.domain.matching import dates_fit
from cds.domain.retrieval import (
    NOT_KNOWN,
    Expected,
    Purpose,
    RemoteInstance,
    RemoteSeries,
    RemoteStudy,
    Retrieval,
    StatedSeries,
    StudyQuery,
)
from cds.domain.switch import SwitchKind
from cds.errors import InvalidInput, NotFound, PeerRefused, Unavailable
from cds.imaging_peers import PacsSource
from cds.ports import Archive
from cds.retrieving.parts import Reader, Retrieving

#: An exam may be several studies; more than these under one accession number are not one exam.
_MOST_STUDIES = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What the PACS answered: the studies of the first that knows them; else what contradicts, and who refused."""

    source: str = ""
    studies: tuple[RemoteStudy, ...] = ()
    doubts: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


def ask(line: Retrieving, retrieval: Retrieval) -> Asked:
    """Ask one PACS after the other for the study.

    Raise Unavailable where one that may know it cannot be asked now, and no other knows it.
    """
    expected, doubts, refusals = line.retrievals.patient_of(retrieval), list[str](), list[str]()
    down: Unavailable | None = None
    for archive in sources(line, retrieval):
        try:
            found = archive.studies(_query(retrieval))
        except Unavailable as error:
            down = error
            continue
        except (PeerRefused, InvalidInput) as error:
            refusals.append(f"{archive.name}: {error}")
            continue
        fitting, contradicted = _sorted_out(line, retrieval, expected, found)
        if fitting:
            return Asked(archive.name, fitting)
        doubts += [f"{archive.name}: {doubt}" for doubt in contradicted]
    if down is not None:
        raise down
    return Asked(doubts=tuple(doubts), refusals=tuple(refusals))


def _sorted_out(
    line: Retrieving, retrieval: Retrieval, expected: Expected, found: Sequence[RemoteStudy]
) -> tuple[tuple[RemoteStudy, ...], Sequence[str]]:
    """The studies that fit, and why others do not. A UID is given out once, an accession number again and again."""
    if retrieval.study_instance_uid:
        return tuple(found), ()
    judged = [(study, _doubt(line, expected, study)) for study in found]
    fitting = tuple(study for study, doubt in judged if not doubt)
    if len(fitting) > _MOST_STUDIES:
        return (), (f"{len(fitting)} studies have this accession number, and none is fetched: nobody says which",)
    return fitting, tuple(dict.fromkeys(doubt for _, doubt in judged if doubt))


def _query(retrieval: Retrieval) -> StudyQuery:
    if retrieval.study_instance_uid or retrieval.accession is None:
        return StudyQuery(study_instance_uid=retrieval.study_instance_uid)
    return StudyQuery(accession_number=retrieval.accession.value)


def sources(line: Retrieving, retrieval: Retrieval) -> list[Archive]:
    """Those whose issuers fit what is known of the study: the one that had it before, then those that a wire named."""
    expected = line.retrievals.patient_of(retrieval)
    issuers = {identifier.as_sent().assigner for identifier in expected.patients}
    issuers |= {retrieval.accession.as_sent().assigner} if retrieval.accession else set()
    fitting = [a for a in line.archives if _may_have(line.sources[a.name], issuers)]
    return sorted(fitting, key=lambda a: (a.name != retrieval.source, not _is_named(line.sources[a.name], expected)))


def _is_named(source: PacsSource, expected: Expected) -> bool:
    """Whether a wire said that the study is there. An address that is not configured is never asked."""
    return source.dicomweb is not None and dicomweb_base(source.dicomweb.url) in expected.endpoints


def _may_have(source: PacsSource, issuers: Collection[str]) -> bool:
    return not source.issuers or not issuers or bool(set(source.issuers).intersection(issuers))


def _doubt(line: Retrieving, expected: Expected, study: RemoteStudy) -> str:
    """Why a study that was found by its accession number is not the one: these numbers are given out again."""
    whose = patient(line, study)
    if expected.patients and whose and whose not in {one.as_sent() for one in expected.patients}:
        return "a study with this accession number is another patient's, and is not fetched"
    if expected.orders and not any(dates_fit(study.study_date, order) for order in expected.orders):
        return "a study with this accession number is too far in time, and is not fetched: the number was reused"
    return ""


def patient(line: Retrieving, study: RemoteStudy) -> Identifier | None:
    """Whose study it is, by the rule for images: an identifier without an authority has the site's."""
    issuer = study.issuer_of_patient_id or line.assigning_authority
    return Identifier(study.patient_id, issuer) if study.patient_id and issuer else None


def nobody_knows(line: Retrieving, retrieval: Retrieval) -> str:
    """Why a study was not found though every PACS that may have it answered."""
    if not sources(line, retrieval):
        return f"{NOT_KNOWN}: none that may hold it is configured"
    return NOT_KNOWN if retrieval.study_instance_uid else f"{NOT_KNOWN} by its accession number"


def state(line: Retrieving, retrieval: Retrieval, source: str) -> Sequence[StatedSeries]:
    """Ask for the series of a study, decide which are wanted, and keep it."""
    now, pacs = line.clock.now(), archive(line, source)
    found = pacs.series(retrieval.study_instance_uid)
    stated = [_judged(line, retrieval, pacs, series, now) for series in found]
    return line.retrievals.state(retrieval.study_instance_uid, source, stated, now)


def _judged(line: Retrieving, retrieval: Retrieval, pacs: Archive, series: RemoteSeries, now: datetime) -> StatedSeries:
    """Modality and body part first; the SOP classes of the instances are asked for where these may fit."""
    may_read = readers(line, retrieval.purpose)
    if not may_read:
        reason = "no model that could read it is installed and switched on"
        return StatedSeries(series, pacs.name, now, reason=reason)
    if all(reader.why_not(series, ()) for reader in may_read):
        return StatedSeries(series, pacs.name, now, reason=_why_none(may_read, series, ()))
    instances = pacs.instances(series.study_instance_uid, series.series_instance_uid)
    classes = {one.sop_class_uid for one in instances if one.sop_class_uid}
    counted = replace(series, instances=len(instances)) if series.instances is None and instances else series
    wanted = any(reader.why_not(series, classes) is None for reader in may_read)
    reason = "" if wanted else _why_none(may_read, series, classes)
    return StatedSeries(counted, pacs.name, now, wanted=wanted, reason=reason)


def _why_none(may_read: Sequence[Reader], series: RemoteSeries, classes: Collection[str]) -> str:
    return "; ".join(f"{reader.id}: {reader.why_not(series, classes)}" for reader in may_read)


def readers(line: Retrieving, purpose: Purpose) -> list[Reader]:
    """The models that are on now; a prior is wanted by those alone that compare."""
    on = [reader for reader in line.readers if not line.switches.off(SwitchKind.MODEL, reader.id)]
    return [reader for reader in on if reader.priors or purpose is Purpose.STUDY]


def missing(line: Retrieving, pacs: Archive, series: RemoteSeries) -> Sequence[RemoteInstance] | None:
    """What has to be fetched of a series; () for all of it, None for nothing."""
    remote = pacs.instances(series.study_instance_uid, series.series_instance_uid)
    if not remote:
        return () if _uncounted(line, series) else None
    known = line.known(series.study_instance_uid)
    return [one for one in remote if one.sop_instance_uid not in known] or None


def absent(line: Retrieving, pacs: Archive, series: RemoteSeries) -> int:
    """How many instances of a series are not here."""
    to_fetch = missing(line, pacs, series)
    return 0 if to_fetch is None else len(to_fetch) or _uncounted(line, series)


def here(line: Retrieving, series: RemoteSeries) -> int:
    """How many instances of a series are here."""
    return len(line.retrievals.local(series.study_instance_uid).get(series.series_instance_uid, ()))


def _uncounted(line: Retrieving, series: RemoteSeries) -> int:
    """How many are not here of a series whose instances the PACS does not list; 1 where it gives no count either."""
    if series.instances is None:
        return 0 if here(line, series) else 1
    return max(0, series.instances - here(line, series))


def archive(line: Retrieving, name: str) -> Archive:
    for archive in line.archives:
        if archive.name == name:
            return archive
    raise NotFound("the PACS that has the study is not configured any more")


def named(series: RemoteSeries) -> str:
    """A series in words: its number and modality, no UID."""
    number = f"series {series.number}" if series.number is not None else "a series without number"
    return f"{number} ({series.modality})" if series.modality else number
