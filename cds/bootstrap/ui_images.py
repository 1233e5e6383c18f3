"""The image viewer, wired: which series a study has, what is on them, and their pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING
from urllib.parse import quote

from cds.bootstrap import Stores
from cds.bootstrap.ui_dicomweb import dicomweb
from cds.bootstrap.ui_second_reader import second_reader
from cds.bootstrap.ui_sight import Hidden, Sight, never, sight
from cds.domain.imaging import HeatMapRef, InstanceHeader, Study
from cds.errors import Conflict, NotFound
from cds.ports import Clock
from cds.remembered import Remembered
from cds.settings import Settings
from cds.store.pictures import NOTHING, StoredFile
from cds.store.priors import PriorStore
from cds.ui import marks, pictures
from cds.ui.images import (
    Drawn,
    ImageServices,
    Picked,
    Place,
    Raw,
    SeriesImages,
    SeriesListed,
    Shown,
    StudyImages,
    StudyListed,
)
from cds.ui.marks import Drawing
from cds.ui.people import Person
from cds.ui.pictures import FrameSaid, Look, Rendered

if TYPE_CHECKING:
    from adapters.dicom.gallery import Caller, Gallery

_STORAGE = "1.2.840.10008.5.1.4.1.1."
#: Storage classes without pixels to look at, and segmentations (their own series are listed nowhere else).
_NO_PICTURES = ("88.", "66", "67", "68", "9.", "11.", "104.", "481.2", "481.3", "481.5", "481.8", "481.9", "79.", "80.")
_KEPT_STUDIES, _KEPT_SERIES = 64, 64
_OVER = "The images of this study have changed. Reload the page."
#: Priors that are offered beside a study.
_MOST_PRIORS = 10


@dataclass(frozen=True, slots=True)
class _Series:
    """A series with pictures: a header of it, its files, and what changes whenever they do."""

    listed: SeriesListed
    uid: str
    body_part: str
    files: tuple[StoredFile, ...]
    version: str

    @property
    def sources(self) -> list[tuple[str, str]]:
        """(path, digest) of each file."""
        return [(one.path, one.sha256) for one in self.files]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Implements `cds.ui.images.ImageServices`."""

    settings: Settings
    sight: Sight
    priors: PriorStore
    gallery: Gallery
    catalogues: Remembered[tuple[str, str], tuple[_Series, ...]]
    scrolled: Remembered[tuple[str, str], SeriesImages]

    def study(self, who: Person, public_id: str) -> StudyImages:
        """See the services."""
        study = self.sight.study(who, public_id)
        return StudyImages(study, self._listed(study), self._priors(who, study), self._viewer_url(study))

    def series(self, who: Person, public_id: str, number: int) -> SeriesImages:
        """See the services."""
        study = self.sight.study(who, public_id)
        series = self._series(study, number)
        shown, report = self._scrolled(series), self.sight.report(who, study)
        if report is None:
            return shown
        return replace(
            shown,
            marks=marks.marks(report, series.uid, shown.pictures),
            overlays=tuple(one.overlay for one in marks.drawings(report, series.uid)),
        )

    def pick(self, who: Person, place: Place) -> Picked:
        """See the services."""
        study, series, said = self._said(who, place)
        file = next(one for one in series.files if one.sop_instance_uid == said.sop_instance_uid)
        return Picked(
            path=file.path,
            sha256=file.sha256,
            index=said.index,
            study=study,
            default=next(iter(pictures.presets(series.listed.modality, series.body_part)), None),
            is_fixed=bool(place.version),
            rows=said.rows,
            columns=said.columns,
        )

    def picture(self, picked: Picked, look: Look) -> Rendered:
        """See the services."""
        return self.gallery.picture(picked.path, picked.sha256, picked.index, look, picked.default)

    def raw(self, picked: Picked) -> Raw:
        """See the services."""
        return self.gallery.raw(picked.path, picked.sha256, picked.index)

    def overlay(self, who: Person, place: Place, number: int) -> Drawn | None:
        """See the services."""
        study, series, said = self._said(who, place)
        return self._drawn(series, self._drawing(who, study, series, number)).get((said.sop_instance_uid, said.index))

    def marked(self, who: Person, public_id: str, number: int, overlay: int) -> dict[int, int]:
        """See the services."""
        study = self.sight.study(who, public_id)
        series = self._series(study, number)
        drawn = self._drawn(series, self._drawing(who, study, series, overlay))
        shown = ((one.k, (one.said.sop_instance_uid, one.said.index)) for one in self._scrolled(series).pictures)
        return {k: drawn[key].marked for k, key in shown if key in drawn}

    def patient(self, study: Study) -> str | None:
        """See the services."""
        return self.sight.patient(study)

    def _said(self, who: Person, place: Place) -> tuple[Study, _Series, FrameSaid]:
        study = self.sight.study(who, place.public_id)
        series = self._series(study, place.series)
        if place.version not in ("", series.version):
            raise Conflict(_OVER)
        shown = self._scrolled(series).pictures
        if not 1 <= place.k <= len(shown):
            raise NotFound(NOTHING)
        return study, series, shown[place.k - 1].said

    def _drawing(self, who: Person, study: Study, series: _Series, number: int) -> Drawing:
        report = self.sight.report(who, study)
        found = marks.drawings(report, series.uid) if report else ()
        if not 1 <= number <= len(found):
            raise NotFound("There is nothing of a model to draw here.")
        return found[number - 1]

    def _drawn(self, series: _Series, drawing: Drawing) -> dict[tuple[str, int], Drawn]:
        ref = drawing.ref
        if isinstance(ref, HeatMapRef):
            return {(ref.sop_instance_uid, 0): self.gallery.heat_map(ref.path)}
        received = sorted(series.files, key=lambda one: one.path)
        return self.gallery.mask(ref.path, [(one.path, one.sha256) for one in received], ref.stack)

    def _series(self, study: Study, number: int) -> _Series:
        found = self._catalogue(study)
        if not 1 <= number <= len(found):
            raise NotFound(NOTHING)
        return found[number - 1]

    def _catalogue(self, study: Study) -> tuple[_Series, ...]:
        """The series of a study as it is now, those with pictures, by series number."""
        uid = study.study_instance_uid
        files = self.sight.pictures.files(uid)
        key = (uid, _digest(files))
        return self.catalogues.get(key, lambda: _catalogue(files, self.sight.pictures.headers(uid)))

    def _scrolled(self, series: _Series) -> SeriesImages:
        return self.scrolled.get((series.uid, series.version), lambda: self._described(series))

    def _described(self, series: _Series) -> SeriesImages:
        said = self.gallery.described(series.sources)
        unread = dict.fromkeys(one for one in said if isinstance(one, str))
        frames = [frame for one in said if not isinstance(one, str) for frame in one]
        ordered, in_space = pictures.in_order(frames)
        return SeriesImages(
            listed=series.listed,
            version=series.version,
            pictures=tuple(
                Shown(k, one, pictures.along(one), pictures.letters(one)) for k, one in enumerate(ordered, 1)
            ),
            windows=pictures.windows(series.listed.modality, series.body_part, ordered),
            in_space=in_space,
            unread=tuple(unread),
        )

    def _listed(self, study: Study) -> StudyListed:
        series = tuple(one.listed for one in self._catalogue(study))
        return StudyListed(study.public_id, study.study_date, study.description, series)

    def _priors(self, who: Person, study: Study) -> tuple[StudyListed, ...]:
        found = (one.study for one in self.priors.of_study(study.study_instance_uid))
        seen = [self._listed(one) for one in found if self.sight.may_see(who, one)]
        return tuple(one for one in seen if one.series)[:_MOST_PRIORS]

    def _viewer_url(self, study: Study) -> str:
        """The site's own viewer on this study; "" where none is set, or where it wants what is not known."""
        address = self.settings.viewer.url
        accession = study.accession.value if study.accession else ""
        if not address or ("{accession}" in address and not accession):
            return ""
        return address.format(study_uid=quote(study.study_instance_uid, safe=""), accession=quote(accession, safe=""))


def images(
    settings: Settings, held: Stores, clock: Clock, *, hidden: Hidden = never, caller: Caller | None = None
) -> ImageServices:
    """The services of the viewer.

    `caller` runs the decoders, processes of their own where none is given. The site's second readers say which models
    are hidden; `hidden` says it where there are none.
    """
    from adapters.dicom.gallery import Gallery
    from adapters.dicom.pool import DecodePool

    limits = settings.dicom_limits
    run = caller or DecodePool(limits, processes=settings.viewer.decode_processes)
    gallery = Gallery(settings.data_dir, limits, run, cache_bytes=settings.viewer.cache_bytes)
    seen = sight(settings, held, hidden, second_reader(settings, held, clock))
    viewer = Viewer(
        settings=settings,
        sight=seen,
        priors=PriorStore(held.database, held.studies),
        gallery=gallery,
        catalogues=Remembered(_KEPT_STUDIES),
        scrolled=Remembered(_KEPT_SERIES),
    )
    return ImageServices(
        study=viewer.study,
        series=viewer.series,
        pick=viewer.pick,
        picture=viewer.picture,
        raw=viewer.raw,
        overlay=viewer.overlay,
        marked=viewer.marked,
        tile=_tile,
        patient=viewer.patient,
        dicomweb=dicomweb(settings, seen, gallery, run),
    )


def _tile(why: str, rows: int, columns: int) -> Rendered:
    from adapters.dicom.rendering import tile

    return tile(why, rows, columns)


def _digest(files: Sequence[StoredFile]) -> str:
    told = "\n".join(f"{one.series_instance_uid} {one.sop_instance_uid} {one.sha256} {one.path}" for one in files)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _catalogue(files: Sequence[StoredFile], headers: dict[str, InstanceHeader]) -> tuple[_Series, ...]:
    """Files are in the order of their series; what has no header any more came or left just now."""
    found: list[tuple[InstanceHeader, tuple[StoredFile, ...]]] = []
    for _uid, some in groupby(files, key=lambda one: one.series_instance_uid):
        own = tuple(one for one in some if one.sop_instance_uid in headers)
        shown = tuple(one for one in own if _has_pictures(headers[one.sop_instance_uid].sop_class_uid))
        if shown:
            found.append((headers[shown[0].sop_instance_uid], shown))
    found.sort(key=lambda one: (one[0].series_number is None, one[0].series_number or 0, one[0].series_instance_uid))
    return tuple(
        _Series(_named(number, header, own, headers), header.series_instance_uid, header.body_part, own, _digest(own))
        for number, (header, own) in enumerate(found, 1)
    )


def _named(
    number: int, header: InstanceHeader, files: Sequence[StoredFile], headers: dict[str, InstanceHeader]
) -> SeriesListed:
    every = [headers[one.sop_instance_uid] for one in files]
    sides, views = ({getattr(one, name) for one in every} for name in ("laterality", "view_position"))
    return SeriesListed(
        number=number,
        modality=header.modality,
        description=header.series_description,
        images=sum(max(one.frames, 1) for one in every),
        laterality=sides.pop() if len(sides) == 1 else "",
        view=views.pop() if len(views) == 1 else "",
    )


def _has_pictures(sop_class_uid: str) -> bool:
    own = sop_class_uid.removeprefix(_STORAGE)
    return not any(own == uid.rstrip(".") or own.startswith(uid if uid.endswith(".") else f"{uid}.")
                   for uid in _NO_PICTURES)  # fmt: skip
