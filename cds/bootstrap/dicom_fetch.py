"""What `cds dicom fetch` does: one study of one PACS into the index of this data folder, by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cds.bootstrap import dicom, stores
from cds.domain.retrieval import RemoteInstance, RemoteSeries
from cds.errors import NotFound, Unavailable
from cds.ports import Archive
from cds.settings import Settings
from cds.store.studies import StudyStore


@dataclass(frozen=True, slots=True)
class SeriesFetched:
    """What came of one series, counted in instances. `left_out` says why it was not fetched, `reasons` what failed.

    `here` were in the index before; `missing` are not here now, None where the PACS does not say what it has.
    """

    series: RemoteSeries
    here: int = 0
    arrived: int = 0
    missing: int | None = 0
    left_out: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """True where nothing of it that was wanted is missing."""
        return bool(self.left_out) or not (self.missing or self.reasons)


def fetch(
    settings: Settings, study: str, source: str, *, series: Sequence[str] = (), everything: bool = False
) -> Iterator[SeriesFetched]:
    """Fetch a study, one result for each of its series: those that an installed model reads, or the named, or all.

    Raise ConfigurationError for a PACS that the settings do not have, NotFound for a study or series that it does not
    have, and what `cds.ports.Archive` raises where it cannot be asked.
    """
    held = stores(settings, durable=True)
    into = dicom.arrivals(settings, held, "fetch")
    into.discard_partial()
    pacs = dicom.archive(settings, source, into, held.studies)
    found = pacs.series(study)
    if not found:
        raise NotFound(f"{source} knows no such study")
    if set(series) - {one.series_instance_uid for one in found}:
        raise NotFound(f"{source} knows no such series of this study")
    chosen = [one for one in found if not series or one.series_instance_uid in series]
    return _each(settings, held.studies, pacs, chosen, judged=not (series or everything))


def advice(settings: Settings, source: str) -> Iterator[str]:
    """What to look at where not all of it came: over C-MOVE the PACS sends to a listener, which must run."""
    way = settings.pacs_sources[source]
    if way.retrieve == "c-move":
        title = way.move_destination or settings.dicom_ae_title
        yield f"want cds serve or cds dicom running, and {source} sending to it as {title}, port {settings.dicom_port}"


def _each(
    settings: Settings, index: StudyStore, pacs: Archive, found: Sequence[RemoteSeries], *, judged: bool
) -> Iterator[SeriesFetched]:
    readers = dicom.readers(settings)
    for series in found:
        listed = pacs.instances(series.study_instance_uid, series.series_instance_uid)
        classes = {one.sop_class_uid for one in listed if one.sop_class_uid}
        reasons = [f"{reader.id}: {reader.why_not(series, classes)}" for reader in readers]
        if judged and all(reader.why_not(series, classes) for reader in readers):
            yield SeriesFetched(series, left_out="; ".join(reasons) or "no model is installed and switched on")
        else:
            yield _fetched(index, pacs, series, listed)


def _fetched(index: StudyStore, pacs: Archive, series: RemoteSeries, listed: Sequence[RemoteInstance]) -> SeriesFetched:
    """A transfer that breaks off leaves what arrived: asked again, the command fetches the rest."""
    missing = _missing(index, listed)
    here = len(listed) - len(missing)
    if listed and not missing:
        return SeriesFetched(series, here=here)
    try:
        fetched = pacs.fetch(series, missing)
    except Unavailable as error:
        left = len(_missing(index, listed))
        return SeriesFetched(series, here, len(missing) - left, left if listed else None, reasons=(str(error),))
    left = len(_missing(index, listed))
    return SeriesFetched(series, here, fetched.arrived, left if listed else None, reasons=fetched.reasons)


def _missing(index: StudyStore, listed: Sequence[RemoteInstance]) -> list[RemoteInstance]:
    known = index.known(listed[0].study_instance_uid) if listed else frozenset()
    return [one for one in listed if one.sop_instance_uid not in known]
