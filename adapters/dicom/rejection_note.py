"""Rejection notes: Key Object Selections that take images back (IHE RAD TF-3 section 4.66, IOCM; PS3.3 A.35.4)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from adapters.dicom.header import UNREADABLE, check_uid
from adapters.dicom.quiet import quiet
from cds.domain.imaging import RejectionNote
from cds.errors import InvalidInstance

NOTE_CLASS = str(KeyObjectSelectionDocumentStorage)
#: Concept Name Code Sequence, which is the document title of the root, and Current Requested Procedure Evidence.
NOTE_TAGS = frozenset({0x0040A043, 0x0040A375})

#: Titles of PS3.16 CID 7011 that reject: quality, patient safety, incorrect worklist entry, retention expired.
_REJECTING = frozenset({"113001", "113037", "113038", "113039"})


def rejection_notes(dataset: Dataset) -> tuple[RejectionNote, ...]:
    """What a Key Object Selection rejects, one note per study; () where its title is another one.

    The evidence is type 1 and names every instance of the document (PS3.3 table C.17.6.2-1): raise InvalidInstance
    where a note that rejects does not say what.
    """
    quiet()
    try:
        code = _title(dataset)
        if code not in _REJECTING:
            return ()
        named = _named(dataset)
    except UNREADABLE as error:
        raise InvalidInstance("want a rejection note whose title and evidence can be read") from error
    if not named or not all(named.values()):
        raise InvalidInstance("want a rejection note that names its instances (PS3.3 table C.17.6.2-1)")
    return tuple(RejectionNote(code, study, tuple(instances)) for study, instances in named.items())


def _title(dataset: Dataset) -> str:
    item = (dataset.get("ConceptNameCodeSequence") or [Dataset()])[0]
    return str(item.get("CodeValue", "")).strip() if item.get("CodingSchemeDesignator") == "DCM" else ""


def _named(dataset: Dataset) -> dict[str, dict[str, None]]:
    """The instances of each study, in the document's order, each once."""
    named: dict[str, dict[str, None]] = {}
    for study in dataset.get("CurrentRequestedProcedureEvidenceSequence") or []:
        instances = named.setdefault(_uid(study, "StudyInstanceUID"), {})
        for series in study.get("ReferencedSeriesSequence") or []:
            for item in series.get("ReferencedSOPSequence") or []:
                instances[_uid(item, "ReferencedSOPInstanceUID")] = None
    return named


def _uid(item: Dataset, keyword: str) -> str:
    uid = str(item.get(keyword, "")).strip(" \0")
    check_uid(uid)
    return uid
