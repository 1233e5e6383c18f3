"""What takes back instances that a PACS has: a rejection note, and a report that says so to those who ignore notes.

The note is a Key Object Selection (IHE RAD TF-3 section 4.66, Imaging Object Change Management). A PACS that does not
know it still shows the withdrawal, which succeeds the report in its own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from adapters.dicom.own import CHARACTER_SET, MANUFACTURER, Edition, finish, reference
from adapters.dicom.quiet import quiet
from adapters.dicom.structured_report import Document, observer, write
from cds.domain.imaging import OwnInstance

#: DCM codes of the document title (PS3.16 CID 7010).
TITLES = {
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
}
_CLASSES = {
    "sr": ComprehensiveSRStorage,
    "seg": SegmentationStorage,
    "sc": SecondaryCaptureImageStorage,
    "pr": GrayscaleSoftcopyPresentationStateStorage,
}
_WITHDRAWN_NUMBER, _NOTE_NUMBER = 9903, 9904


def sent_before(edition: Edition, own: Sequence[OwnInstance]) -> list[Dataset]:
    """The reports, segmentations and key images of all versions of the edition's episode, as far as they ever left."""
    versions = range(1, edition.report.version + 1)
    series = {edition.report_series}
    for version in versions:
        series |= {edition.mask_series(version), edition.key_series(version)}
    study = edition.report.study.study_instance_uid
    return [
        reference(_CLASSES[one.kind], one.sop_instance_uid, one.series_instance_uid, study)
        for one in sorted(own, key=lambda one: (one.kind != "sr", one.sop_instance_uid))
        if one.series_instance_uid in series and one.kind in _CLASSES
    ]


def rejection_note(
    edition: Edition, rejected: Sequence[Dataset], header: Dataset, at: datetime, *, key: str, code: str = "113037"
) -> Dataset:
    """The note that rejects instances of the edition's study; `key` tells several notes apart."""
    quiet()
    dataset = KeyObjectSelectionDocument(
        evidence=list(rejected),
        content=KeyObjectSelection(
            CodedConcept(code, "DCM", TITLES[code]), list(rejected), observer_device_context=observer()
        ),
        series_instance_uid=edition.uid("KO", f"series {key}"),
        series_number=_NOTE_NUMBER,
        sop_instance_uid=edition.uid("KO", key),
        instance_number=1,
        manufacturer=MANUFACTURER,
        series_description="Sightline AI results withdrawn",
        specific_character_set=CHARACTER_SET,
    )
    return finish(dataset, header, at, edition)


def withdrawal(
    edition: Edition, rejected: Sequence[Dataset], header: Dataset, at: datetime, *, key: str, reason: str
) -> Dataset:
    """The report that succeeds what is rejected and says in one sentence that it was withdrawn, and why."""
    said = f"This AI result was withdrawn: {reason.rstrip('.')}. Do not use it for this patient."
    document = Document(
        uid=edition.uid("SR", f"withdrawn {key}"),
        series_uid=edition.uid("SR", f"series withdrawn {key}"),
        series_number=_WITHDRAWN_NUMBER,
        number=1,
        description="Sightline AI results WITHDRAWN",
        evidence=tuple(rejected),
        texts=(("Withdrawn", said),),
        previous=tuple(one for one in rejected if one.SOPClassUID == ComprehensiveSRStorage),
    )
    return write(document, header, at, edition)
