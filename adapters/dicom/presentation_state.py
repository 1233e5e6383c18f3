"""A key image as Grayscale Softcopy Presentation State (PS3.3 A.33.1): the finding marked on the original image."""

from __future__ import annotations

from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
    TextObject,
)
from pydicom.dataset import Dataset

from adapters.dicom.header import UNREADABLE
from adapters.dicom.key_image import NOTICE, key_uid, marked, window, words
from adapters.dicom.key_slice import KeySlice
from adapters.dicom.own import CHARACTER_SET, MANUFACTURER, Edition, finish, lo
from adapters.dicom.quiet import quiet
from cds import __version__
from cds.errors import NotEvaluable

SERIES_NUMBER = 9906
#: VR ST (PS3.5 table 6.2-1).
_LONGEST_TEXT = 1024
#: Where the words stand, in fractions of the display area.
_TEXT_BOX = (0.01, 0.80, 0.99, 0.99)


def presentation_state(edition: Edition, place: KeySlice, number: int, header: Dataset) -> Dataset:
    """What shows a place on its original image, in a series of its own, filed by `header`.

    Raise NotEvaluable where the image lacks what a presentation state on it needs.
    """
    quiet()
    version, layer = edition.report.version, GraphicLayer("SIGHTLINE", 1, lo(NOTICE))
    shown = window(place)
    try:
        dataset = GrayscaleSoftcopyPresentationState(
            referenced_images=[place.image],
            series_instance_uid=edition.key_series(version),
            series_number=SERIES_NUMBER,
            sop_instance_uid=key_uid(edition, place),
            instance_number=number,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MANUFACTURER,
            software_versions=__version__,
            device_serial_number=__version__,
            content_label="SIGHTLINE",
            content_description=lo(f"{place.outcome.model} {place.outcome.version}: AI, preliminary"),
            graphic_annotations=[_annotation(edition, place, layer)],
            graphic_layers=[layer],
            voi_lut_transformations=[SoftcopyVOILUTTransformation(shown.center, shown.width, shown.name or None)],
            specific_character_set=CHARACTER_SET,
        )
    except UNREADABLE as error:
        raise NotEvaluable("the image lacks what a presentation state on it needs", gate="key image") from error
    dataset.Laterality = ""
    dataset.SeriesDescription = lo(f"Sightline AI key images v{version} (preliminary)")
    finish(dataset, header, edition.report.issued, edition)
    dataset.PresentationCreationDate, dataset.PresentationCreationTime = dataset.ContentDate, dataset.ContentTime
    del dataset.ContentDate, dataset.ContentTime
    return dataset


def _annotation(edition: Edition, place: KeySlice, layer: GraphicLayer) -> GraphicAnnotation:
    """The outlines of the labels on the slice, and the words below."""
    found = marked(place)
    drawn = [
        GraphicObject(GraphicTypeValues.POLYLINE, outline, AnnotationUnitsValues.PIXEL)
        for _, outlines in found
        for outline in outlines
    ]
    outlined = [f"outlined: {name}" for name, _ in found]
    text = TextObject(
        "\r\n".join([*words(edition, place), *outlined])[:_LONGEST_TEXT],
        AnnotationUnitsValues.DISPLAY,
        bounding_box=_TEXT_BOX,
        text_justification="LEFT",
    )
    return GraphicAnnotation(
        [place.image],
        layer,
        referenced_frame_number=place.frame + 1 if place.frames > 1 else None,
        graphic_objects=drawn or None,
        text_objects=[text],
    )
