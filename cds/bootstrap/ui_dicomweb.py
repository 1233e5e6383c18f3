"""DICOMweb, wired: what is searched in the index, and what is read of stored files (PS3.18)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cds.bootstrap.ui_sight import Sight
from cds.domain.imaging import InstanceHeader, Study
from cds.errors import InvalidInput, NotFound
from cds.settings import Settings
from cds.store.pictures import NOTHING, FoundStudy, StoredFile
from cds.ui import qido
from cds.ui.dicomweb import (
    DataSet,
    DicomwebServices,
    Kept,
    Matching,
    Named,
    StoredFrame,
    StudySearch,
)
from cds.ui.people import Person
from cds.ui.pictures import Look, Rendered, presets

if TYPE_CHECKING:
    from adapters.dicom.gallery import Caller, Gallery

_PER_TASK = 10
#: So many studies are looked at for somebody who may not see all.
_LOOKED_AT = 200
_NAME_ONE = "want StudyInstanceUID, PatientID or AccessionNumber: only radiologists may list every study"


@dataclass(frozen=True, slots=True)
class _Dicomweb:
    """Implements `cds.ui.dicomweb.DicomwebServices`."""

    settings: Settings
    sight: Sight
    gallery: Gallery
    caller: Caller

    def studies(self, who: Person, query: StudySearch) -> Sequence[tuple[DataSet, Study]]:
        if self.sight.sees_all(who):
            return [(qido.study(one.study, one.series, one.instances), one.study) for one in self._found(query)]
        whose = self.sight.identifiers(who.patient_id) if who.patient_id is not None else None
        if whose is None and not query.names_one:
            raise InvalidInput(_NAME_ONE)
        every = self.sight.pictures.search(replace(query, limit=_LOOKED_AT, offset=0), whose)
        seen = [one for one in every if self.sight.may_see(who, one.study)]
        page = seen[query.offset : query.offset + query.limit]
        return [(qido.study(one.study, one.series, one.instances), one.study) for one in page]

    def series(self, who: Person, named: Named, asked: Matching) -> Sequence[DataSet]:
        grouped: dict[str, list[InstanceHeader]] = {}
        for header in self._headers(who, named):
            grouped.setdefault(header.series_instance_uid, []).append(header)
        every = sorted(grouped.values(), key=lambda own: (own[0].series_number or 0, own[0].series_instance_uid))
        return _page([qido.series(own) for own in every], asked)

    def instances(self, who: Person, named: Named, asked: Matching) -> Sequence[DataSet]:
        every = sorted(self._headers(who, named), key=lambda one: (one.instance_number or 0, one.sop_instance_uid))
        return _page([qido.instance(one) for one in every], asked)

    def study(self, who: Person, uid: str) -> Study:
        return self.sight.by_uid(who, uid)

    def metadata(self, who: Person, named: Named, base: str) -> Iterator[DataSet]:
        from adapters.dicom import served

        kept = self.kept(who, named)
        for at in range(0, len(kept), _PER_TASK):
            some = kept[at : at + _PER_TASK]
            addresses = tuple(
                f"{base}/studies/{named.study}/series/{one.series_instance_uid}/instances/{one.sop_instance_uid}"
                for one in some
            )
            read = self.caller.call(served.metadata, tuple(one.file for one in some), addresses)
            yield from (one for one in read if one is not None)

    def kept(self, who: Person, named: Named) -> Sequence[Kept]:
        study = self.sight.by_uid(who, named.study)
        headers = self.sight.pictures.headers(study.study_instance_uid)
        found = [
            self._kept(one, headers[one.sop_instance_uid])
            for one in self.sight.pictures.files(study.study_instance_uid)
            if one.sop_instance_uid in headers
            and named.series in ("", one.series_instance_uid)
            and named.instance in ("", one.sop_instance_uid)
        ]
        if not found:
            raise NotFound(NOTHING)
        return sorted(found, key=lambda one: (one.series_instance_uid, _number(headers[one.sop_instance_uid])))

    def plain(self, kept: Kept) -> bytes:
        from adapters.dicom import served

        return self.caller.call(served.plain, kept.file, self._most)

    def frames(self, kept: Kept, numbers: Sequence[int], as_stored: bool) -> Iterator[StoredFrame]:
        from adapters.dicom import served

        for number in numbers:
            (one,) = self.caller.call(served.frames, kept.file, (number - 1,), as_stored, self._most)
            form = "application/octet-stream" if one.syntax in served.PLAIN else qido.MEDIA.get(one.syntax, "")
            yield StoredFrame(one.body, form or "application/octet-stream", one.syntax)

    def bulk(self, kept: Kept, path: str) -> bytes:
        from adapters.dicom import served

        return self.caller.call(served.bulk, kept.file, path, self._most)

    def rendered(self, kept: Kept, number: int, look: Look) -> Rendered:
        path = str(kept.file.relative_to(self.settings.data_dir))
        return self.gallery.picture(path, kept.sha256, number - 1, look, kept.default)

    @property
    def _most(self) -> int:
        return self.settings.dicom_limits.max_instance_bytes

    def _found(self, query: StudySearch) -> Sequence[FoundStudy]:
        return self.sight.pictures.search(query)

    def _headers(self, who: Person, named: Named) -> list[InstanceHeader]:
        study = self.sight.by_uid(who, named.study)
        every = self.sight.pictures.headers(study.study_instance_uid).values()
        return [one for one in every if named.series in ("", one.series_instance_uid)]

    def _kept(self, file: StoredFile, header: InstanceHeader) -> Kept:
        return Kept(
            sop_instance_uid=file.sop_instance_uid,
            series_instance_uid=file.series_instance_uid,
            file=self.settings.data_dir / file.path,
            transfer_syntax=header.transfer_syntax_uid,
            size=file.size,
            sha256=file.sha256,
            default=next(iter(presets(header.modality, header.body_part)), None),
        )


def _number(header: InstanceHeader) -> int:
    return header.instance_number or 0


def _page(found: Sequence[DataSet], asked: Matching) -> Sequence[DataSet]:
    """Those whose values match, and of them the page that is asked for."""
    matching = [one for one in found if all(qido.matches(one, name, value) for name, value in asked.values.items())]
    return matching[asked.offset : asked.offset + asked.limit]


def dicomweb(settings: Settings, sight: Sight, gallery: Gallery, caller: Caller) -> DicomwebServices:
    """DICOMweb over the same sight as the viewer's."""
    served = _Dicomweb(settings, sight, gallery, caller)
    return DicomwebServices(
        studies=served.studies,
        series=served.series,
        instances=served.instances,
        study=served.study,
        metadata=served.metadata,
        kept=served.kept,
        plain=served.plain,
        frames=served.frames,
        bulk=served.bulk,
        rendered=served.rendered,
    )
