"""A report as a DICOM structured report: Measurement Report, TID 1500 of PS3.16, in a Comprehensive SR.

Always PARTIAL, UNVERIFIED and PRELIMINARY: what a radiologist said of a finding is told in words, and only the RIS
signs the radiology report (SAFETY section 3).
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import highdicom.sr as hd
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage

from adapters.dicom.files import IMPLEMENTATION_CLASS_UID
from adapters.dicom.own import CHARACTER_SET, MANUFACTURER, Edition, Source, finish, lo, reference
from adapters.dicom.quiet import quiet
from cds.codes import DCM, LOINC, SNOMED
from cds.domain.coding import Coding, Quantity
from cds.domain.conclusion import incomplete
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.matching import MatchState
from cds.domain.report import Report
from cds.domain.verification import Agreement, Verdict, Verification
from cds.domain.wording import details
from cds.errors import InvalidInput

DESCRIPTION = "Sightline AI results (preliminary)"
NOTICE = (
    "AI output, preliminary: advice for a clinician, not a radiology report. Research software, not a cleared device."
)
OUR_CODES = "99SIGHTLINE"
_OTHER_HEADER = (
    "The images were attached to an order of another patient than the one whom their header, as here, names."
)
#: Above what scanners number, so that a PACS sorts it behind the images.
SERIES_NUMBER = 9901

_DESIGNATORS = {SNOMED: "SCT", LOINC: "LN", DCM: "DCM", "http://www.radlex.org": "RADLEX"}
_DETECTED = hd.CodedConcept("260373001", "SCT", "Detected")
_NOT_DETECTED = hd.CodedConcept("260415000", "SCT", "Not detected")
#: PS3.16 CID 244.
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right, "both": codes.SCT.Bilateral}
_QUALITATIVE = hd.CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
_ENGLISH = hd.CodedConcept("en", "RFC5646", "English")
#: PS3.16 CID 100.
_PROCEDURES = {"CT": codes.LN.CTUnspecifiedBodyRegion, "MR": codes.LN.MRIUnspecifiedBodyRegion,
               "DX": codes.LN.XRUnspecifiedBodyRegion, "CR": codes.LN.XRUnspecifiedBodyRegion}  # fmt: skip
_VERDICTS = {
    Verdict.CONFIRMED: "confirmed",
    Verdict.REJECTED: "rejected",
    Verdict.CORRECTED: "corrected",
}
_AGREEMENTS = {
    Agreement.AGREES: "agrees with",
    Agreement.DISCORDANT: "contradicts",
    Agreement.NOT_COMPARABLE: "cannot be compared with",
}

_CONTAINS = hd.RelationshipTypeValues.CONTAINS


@dataclass(frozen=True, slots=True)
class Document:
    """What the content of one document is made of; `evidence` names every instance that it refers to."""

    uid: str
    series_uid: str
    series_number: int
    number: int
    description: str
    evidence: tuple[Dataset, ...]
    texts: tuple[tuple[str, str], ...]
    groups: tuple[hd.ContainerContentItem, ...] = ()
    previous: tuple[Dataset, ...] = ()
    modality: str = ""
    #: Pictures, and presentation states of images.
    key_images: tuple[Dataset, ...] = ()


def structured_report(
    edition: Edition,
    source: Source,
    *,
    masks: Sequence[Dataset] = (),
    key_images: Sequence[Dataset] = (),
    notes: Sequence[str] = (),
    predecessor: int | None = None,
) -> Dataset:
    """The document of one version. `source` has some images of every series that a finding names.

    `masks` and `key_images` are what goes with it, `notes` say what does not; `predecessor` is the version of the same
    episode that the destination has.
    """
    report = edition.report
    images = (*source.images, *_key_images(report, source.images))
    known = {image.SOPInstanceUID for image in images}
    marked = [one for one in map(_marked, key_images) if one is not None and one.SOPInstanceUID not in known]
    groups = [
        _group(edition, outcome, finding, images, masks)
        for outcome in report.outcomes
        if isinstance(outcome, Findings)
        for finding in outcome.findings
        if finding.presence is not Presence.NOT_EVALUATED
    ]
    previous = () if predecessor is None else (_earlier(edition, predecessor),)
    document = Document(
        uid=edition.report_uid(report.version),
        series_uid=edition.report_series,
        series_number=SERIES_NUMBER,
        number=report.version,
        description=DESCRIPTION,
        evidence=(*images, *marked, *masks, *key_images),
        texts=(*_heading(report, predecessor), *_outcomes(report), *(("Comment", note) for note in notes)),
        groups=tuple(groups),
        previous=previous,
        modality=str(images[0].get("Modality", "")) if images else "",
        key_images=tuple(key_images),
    )
    return write(document, source.header, report.issued, edition)


def write(document: Document, header: Dataset, at: datetime, edition: Edition) -> Dataset:
    """A Comprehensive SR of the document, filed by `header`."""
    quiet()
    dataset = hd.ComprehensiveSR(
        evidence=list(document.evidence),
        content=_root(document),
        series_instance_uid=document.series_uid,
        series_number=document.series_number,
        sop_instance_uid=document.uid,
        instance_number=document.number,
        manufacturer=MANUFACTURER,
        previous_versions=list(document.previous) or None,
        series_description=document.description,
        specific_character_set=CHARACTER_SET,
        coding_schemes=[CodingSchemeIdentificationItem(OUR_CODES, name=MANUFACTURER)],
    )
    return finish(dataset, header, at, edition)


def observer() -> hd.ObserverContext:
    """TID 1002 and 1004: the observer is a device, whose UID names the implementation."""
    device = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, IMPLEMENTATION_CLASS_UID).int}"
    attributes = hd.DeviceObserverIdentifyingAttributes(
        device, name=MANUFACTURER, manufacturer_name=MANUFACTURER, model_name=MANUFACTURER
    )
    return hd.ObserverContext(codes.DCM.Device, attributes)


def concept(code: Coding) -> hd.CodedConcept:
    """A code as PS3.3 section 8.8 writes it; what has no public designator is ours."""
    return hd.CodedConcept(code.code, _DESIGNATORS.get(code.system, OUR_CODES), lo(code.display or code.code))


def _root(document: Document) -> Dataset:
    root = hd.ContainerContentItem(name=codes.cid7021.ImagingMeasurementReport, template_id="1500")
    root.ContentSequence = hd.ContentSequence()
    root.ContentSequence.extend(hd.LanguageOfContentItemAndDescendants(_ENGLISH))
    root.ContentSequence.extend(hd.ObservationContext(observer_device_context=observer()))
    procedure = _PROCEDURES.get(document.modality, codes.SCT.ImagingProcedure)
    root.ContentSequence.append(
        hd.CodeContentItem(codes.DCM.ProcedureReported, procedure, hd.RelationshipTypeValues.HAS_CONCEPT_MOD)
    )
    if document.groups:
        measured = hd.ContainerContentItem(name=codes.DCM.ImagingMeasurements, relationship_type=_CONTAINS)
        measured.ContentSequence = hd.ContentSequence(document.groups)
        root.ContentSequence.append(measured)
    if document.key_images:
        shown = hd.ContainerContentItem(name=codes.DCM.KeyImages, relationship_type=_CONTAINS)
        shown.ContentSequence = hd.ContentSequence([_key_image(one) for one in document.key_images])
        root.ContentSequence.append(shown)
    told = hd.ContainerContentItem(name=_QUALITATIVE, relationship_type=_CONTAINS)
    told.ContentSequence = hd.ContentSequence([_text(name, value) for name, value in document.texts])
    root.ContentSequence.append(told)
    return root


def _key_image(shown: Dataset) -> hd.ImageContentItem:
    """The picture, or the image together with the presentation state that marks it (PS3.3 C.18.4)."""
    of = _marked(shown)
    if of is None:
        name = codes.DCM.BestIllustrationOfFinding
        return hd.ImageContentItem(name, shown.SOPClassUID, shown.SOPInstanceUID, relationship_type=_CONTAINS)
    item = hd.ImageContentItem(
        codes.DCM.BestIllustrationOfFinding,
        of.SOPClassUID,
        of.SOPInstanceUID,
        referenced_frame_numbers=of.get("ReferencedFrameNumber"),
        relationship_type=_CONTAINS,
    )
    state = Dataset()
    state.ReferencedSOPClassUID, state.ReferencedSOPInstanceUID = shown.SOPClassUID, shown.SOPInstanceUID
    item.ReferencedSOPSequence[0].ReferencedSOPSequence = [state]
    return item


def _marked(shown: Dataset) -> Dataset | None:
    """The original image that a presentation state is for; None for a picture."""
    if "ReferencedSeriesSequence" not in shown:
        return None
    series = shown.ReferencedSeriesSequence[0]
    image = series.ReferencedImageSequence[0]
    of = reference(
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID, series.SeriesInstanceUID, shown.StudyInstanceUID
    )
    [marks] = shown.GraphicAnnotationSequence
    frame = marks.ReferencedImageSequence[0].get("ReferencedFrameNumber")
    if frame is not None:
        of.ReferencedFrameNumber = frame
    return of


def _text(name: str, value: str) -> hd.TextContentItem:
    known = {"Comment": codes.DCM.Comment, "Finding": codes.DCM.Finding}
    code = known.get(name) or hd.CodedConcept(name.lower().replace(" ", "-"), OUR_CODES, name)
    return hd.TextContentItem(code, value, _CONTAINS)


def _group(
    edition: Edition, outcome: Findings, finding: Finding, images: Sequence[Dataset], masks: Sequence[Dataset]
) -> hd.ContainerContentItem:
    """TID 1501, or TID 1411 where the finding was measured in the one segment of a segmentation that goes along."""
    name = ".".join(filter(None, (outcome.model, finding.key, finding.laterality, finding.tracking_id)))
    image = _image(outcome, finding, images)
    measured = finding.value is not None and finding.presence is not Presence.NOT_DETECTED
    segment = _segment(edition, outcome, masks) if measured else None
    shared: dict[str, Any] = {
        "tracking_identifier": hd.TrackingIdentifier(edition.uid("tracking", name), name),
        "algorithm_id": hd.AlgorithmIdentification(
            outcome.model, outcome.version, _parameters(finding) or None, manufacturer=MANUFACTURER
        ),
        "finding_type": concept(finding.code),
        "finding_sites": _sites(finding),
        "measurements": _measurements(finding, image) or None,
        "qualitative_evaluations": _qualitative(finding),
    }
    if segment is not None:
        made = hd.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **shared)[0]
    else:
        sources = [hd.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)] if image else None
        made = hd.MeasurementsAndQualitativeEvaluations(source_images=sources, **shared)[0]
    group = cast(hd.ContainerContentItem, made)
    group.ContentSequence.extend(_text("Comment", text) for text in _words(edition, outcome, finding))
    return group


def _sites(finding: Finding) -> list[hd.FindingSite] | None:
    """Where it is; a side without a site is told in words."""
    if finding.body_site is None:
        return None
    return [hd.FindingSite(concept(finding.body_site), laterality=_SIDES.get(finding.laterality))]


def _measurements(finding: Finding, image: Dataset | None) -> list[hd.Measurement]:
    """The value, and how certain the model is of what it found; of a negative, words alone say what that means."""
    found = [_measurement(finding, finding.value, image)] if finding.value else []
    if finding.confidence is not None and finding.presence is not Presence.NOT_DETECTED:
        if not math.isfinite(finding.confidence):
            raise InvalidInput("want finite numbers in a report")
        percent = hd.CodedConcept("%", "UCUM", "percent")
        found.append(hd.Measurement(codes.DCM.CertaintyOfFinding, round(finding.confidence * 100, 1), percent))
    return found


def _measurement(finding: Finding, value: Quantity, image: Dataset | None) -> hd.Measurement:
    """VR DS knows no infinity: InvalidInput where the value is no number."""
    if not math.isfinite(value.value):
        raise InvalidInput("want finite numbers in a report")
    seen = [hd.SourceImageForMeasurement(image.SOPClassUID, image.SOPInstanceUID)] if image else None
    return hd.Measurement(concept(finding.code), float(value.value), _unit(value.unit), referenced_images=seen)


def _unit(unit: str) -> hd.CodedConcept:
    if unit in ("", "1"):
        return hd.CodedConcept("1", "UCUM", "no units")
    return hd.CodedConcept(unit, "UCUM", lo(unit))


def _qualitative(finding: Finding) -> list[hd.QualitativeEvaluation] | None:
    said = {Presence.PRESENT: _DETECTED, Presence.NOT_DETECTED: _NOT_DETECTED}.get(finding.presence)
    return [hd.QualitativeEvaluation(concept(finding.code), said)] if said else None


def _parameters(finding: Finding) -> list[str]:
    threshold = [f"threshold {amount(finding.threshold)}"] if finding.threshold else []
    return [*threshold, *finding.gates]


def _image(outcome: Findings, finding: Finding, images: Sequence[Dataset]) -> Dataset | None:
    """The key image where the model named one, else the first known one of the series that it looked at."""
    series = finding.series_instance_uid or outcome.series_instance_uid
    mine = [image for image in images if image.SeriesInstanceUID == series]
    key = [image for image in mine if image.SOPInstanceUID == finding.key_sop_instance_uid]
    return next(iter([*key, *mine]), None)


def _key_images(report: Report, images: Sequence[Dataset]) -> Iterator[Dataset]:
    """The key images that were not read: of the same class as the others of their series."""
    known = {image.SOPInstanceUID for image in images}
    classes = {image.SeriesInstanceUID: image.SOPClassUID for image in images}
    for outcome in report.outcomes:
        for finding in outcome.findings if isinstance(outcome, Findings) else ():
            series, key = finding.series_instance_uid or outcome.series_instance_uid, finding.key_sop_instance_uid
            if key and key not in known and series in classes:
                known.add(key)
                yield reference(classes[series], key, series, report.study.study_instance_uid)


def _segment(edition: Edition, outcome: Findings, masks: Sequence[Dataset]) -> hd.ReferencedSegment | None:
    """The segment that a value was measured in, where the model left exactly one."""
    if len(outcome.masks) != 1 or len(outcome.masks[0].labels) != 1:
        return None
    wanted = mask_uid(edition, outcome, 0)
    for mask in masks:
        if mask.SOPInstanceUID == wanted:
            series = hd.SourceSeriesForSegmentation(outcome.masks[0].series_instance_uid)
            return hd.ReferencedSegment(mask.SOPClassUID, mask.SOPInstanceUID, 1, source_series=series)
    return None


def mask_uid(edition: Edition, outcome: Findings, number: int) -> str:
    """The SOP Instance UID of the segmentation of an outcome's mask; masks are counted from 0."""
    return edition.uid("SEG", f"version {edition.report.version}/{outcome.model}/{number}")


def amount(value: Quantity) -> str:
    """A quantity for the reader, six significant digits at most, with its UCUM unit."""
    return value.digits if value.unit in ("", "1") else f"{value.digits} {value.unit}"


def _words(edition: Edition, outcome: Findings, finding: Finding) -> Iterator[str]:
    """What belongs to a finding in words, the negative first: it names its model and threshold (SAFETY section 6)."""
    report, name = edition.report, f"{outcome.model}.{finding.key}"
    if finding.presence is Presence.NOT_DETECTED:
        at = f" at threshold {amount(finding.threshold)}" if finding.threshold else ""
        yield f"not detected by {outcome.model} {outcome.version}{at}; does not exclude"
    if finding.confidence is not None:
        yield f"confidence {finding.confidence:.2f} of 1"
    if finding.reason:
        yield finding.reason
    yield from details(finding)
    yield from (_verified(said, edition) for said in report.verifications if said.finding.name == name)
    for compared in report.decision.comparisons:
        if compared.finding == name:
            yield f"{_AGREEMENTS[compared.agreement]} the radiologist's final report: {compared.reason}"


def _verified(said: Verification, edition: Edition) -> str:
    day = said.at.astimezone(edition.zone).date().isoformat()
    value = f" to {amount(said.corrected)}" if said.corrected else ""
    reason = f": {said.reason}" if said.reason else ""
    return f"{_VERDICTS[said.verdict]} by a radiologist on {day}{value}{reason}"


def _heading(report: Report, predecessor: int | None) -> Iterator[tuple[str, str]]:
    yield "Notice", NOTICE
    if report.test:
        yield "Notice", "Test data: not for patient care."
    if predecessor is not None:
        yield "Comment", f"Version {report.version}; it replaces version {predecessor} and its segmentations."
    yield from (("Notice", text) for text in incomplete(report))
    if report.match.state is not MatchState.MATCHED:
        yield "Comment", f"Not attached to an order: {'; '.join(report.match.reasons)}."
    if report.patient and report.study.patient and report.study.patient not in report.patient.known_as:
        yield "Notice", _OTHER_HEADER


def _outcomes(report: Report) -> Iterator[tuple[str, str]]:
    """What could not be evaluated, which is no negative, and the limits of what could."""
    for outcome in report.outcomes:
        model = f"{outcome.model} {outcome.version}"
        if isinstance(outcome, NotEvaluated):
            yield "Not evaluated", f"not evaluated by {model}: {'; '.join(outcome.reasons) or 'no reason given'}"
            continue
        for finding in outcome.findings:
            if finding.presence is Presence.NOT_EVALUATED:
                what = finding.code.display or finding.code.code
                yield "Not evaluated", f"{what}: not evaluated by {model}: {finding.reason or 'no reason given'}"
        for limit in outcome.limits:
            yield "Limit", f"{model}: {limit}"


def _earlier(edition: Edition, version: int) -> Dataset:
    study = edition.report.study.study_instance_uid
    return reference(ComprehensiveSRStorage, edition.report_uid(version), edition.report_series, study)
