"""A DICOMweb server that holds files: QIDO-RS of studies, series and instances, WADO-RS of series and instances."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from tests.contract.dicomweb_peer import DICOM_JSON, RELATED, Reply, Request, multipart

_OF_STUDY = ("StudyInstanceUID", "StudyDate", "AccessionNumber", "PatientID", "IssuerOfPatientID", "StudyDescription")
_OF_SERIES = ("StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "BodyPartExamined")
_OF_INSTANCE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_MATCHED = {
    "0020000D": "StudyInstanceUID",
    "00080050": "AccessionNumber",
    "00100020": "PatientID",
    "StudyInstanceUID": "StudyInstanceUID",
    "AccessionNumber": "AccessionNumber",
    "PatientID": "PatientID",
}


@dataclass
class Held:
    """The files of the server. `cut` closes the connection after so many bytes of the next retrieval."""

    paths: list[Path] = field(default_factory=list)
    cut: int | None = None

    def answer(self, request: Request) -> Reply:
        """What `dicomweb_peer.serving` asks."""
        parts = request.path.strip("/").split("/")
        found = [path for path in self.paths if _under(path, parts)]
        if request.headers.get("accept", "").startswith("multipart/related"):
            return self._retrieved(found)
        level = {1: _OF_STUDY, 3: _OF_SERIES, 5: _OF_INSTANCE}[len(parts)]
        asked = [(name, value) for name, value in request.query if name in _MATCHED]
        return _searched([path for path in found if _matches(path, asked)], level)

    def _retrieved(self, found: Sequence[Path]) -> Reply:
        cut, self.cut = self.cut, None
        if not found:
            return Reply(404)
        return Reply(200, multipart(*(path.read_bytes() for path in found)), RELATED, cut=cut)


def _under(path: Path, parts: Sequence[str]) -> bool:
    named = dict(zip(parts[::2], parts[1::2], strict=False))
    header = _header(path)
    wanted = {
        "studies": header.StudyInstanceUID,
        "series": header.SeriesInstanceUID,
        "instances": header.SOPInstanceUID,
    }
    return all(wanted[level] == uid for level, uid in named.items())


def _matches(path: Path, asked: Sequence[tuple[str, str]]) -> bool:
    header = _header(path)
    return all(str(header.get(_MATCHED[name], "")) == value for name, value in asked)


def _searched(found: Sequence[Path], level: Sequence[str]) -> Reply:
    """One item for each thing of the level, with its counts."""
    items: dict[str, Dataset] = {}
    counts: dict[str, int] = {}
    for path in found:
        header = _header(path)
        item = Dataset()
        for keyword in level:
            setattr(item, keyword, header.get(keyword))
        uid = str(header[{5: "SeriesInstanceUID", 6: "StudyInstanceUID"}.get(len(level), "SOPInstanceUID")].value)
        items[uid], counts[uid] = item, counts.get(uid, 0) + 1
    for uid, item in items.items():
        if level is _OF_SERIES:
            item.NumberOfSeriesRelatedInstances = counts[uid]
        if level is _OF_STUDY:
            item.ModalitiesInStudy = sorted({_header(path).Modality for path in found})
    body = json.dumps([item.to_json_dict() for item in items.values()]).encode()
    return Reply(200 if items else 204, body if items else b"", DICOM_JSON)


def _header(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True)
