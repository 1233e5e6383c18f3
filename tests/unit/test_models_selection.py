"""Which instances and series the lung model reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds.domain.imaging import InstanceHeader, SeriesSummary
from cds.domain.retrieval import RemoteSeries
from models.registry import load
from models.selection import choose, consumes, describes_body_part, wants, why_not, why_not_wanted

MANIFEST = load()["ct_lung_density"]
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"
AXIAL = ("ORIGINAL", "PRIMARY", "AXIAL")

HEADER = InstanceHeader(
    sop_instance_uid="1.2.3",
    sop_class_uid=CT_IMAGE,
    series_instance_uid="1.2",
    study_instance_uid="1",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CT",
    body_part="CHEST",
    image_type=AXIAL,
)


def series(uid: str = "1.2", images: int = 100, **other: object) -> SeriesSummary:
    base = SeriesSummary(
        series_instance_uid=uid,
        study_instance_uid="1",
        modality="CT",
        body_part="CHEST",
        series_description="",
        sop_class_uids=(CT_IMAGE,),
        image_types=(AXIAL,),
        paths=tuple(f"{uid}/{number}" for number in range(images)),
    )
    return replace(base, **other)


@pytest.mark.parametrize("body_part", ["CHEST", "chest", "", "Thorax", "CHEST_ABD_PEL", "LUNG", "PARTIALBODY"])
def test_a_ct_of_the_chest_is_consumed(body_part: str) -> None:
    assert consumes(MANIFEST, replace(HEADER, body_part=body_part))


def test_an_enhanced_ct_is_consumed() -> None:
    assert consumes(MANIFEST, replace(HEADER, sop_class_uid=ENHANCED_CT))


@pytest.mark.parametrize(
    "change",
    [
        {"modality": "MR"},
        {"sop_class_uid": DOSE_REPORT},
        {"body_part": "HEAD"},
        {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
        {"image_type": ("DERIVED", "SECONDARY", "REFORMATTED")},
        {"image_type": ("DERIVED", "SECONDARY")},
        {"image_type": ("DERIVED", "PRIMARY", "MPR")},
    ],
)
def test_what_is_no_cross_section_of_the_chest_is_not_consumed(change: dict[str, object]) -> None:
    assert not consumes(MANIFEST, replace(HEADER, **change))


def test_an_axial_image_made_from_raw_data_later_is_consumed() -> None:
    assert consumes(MANIFEST, replace(HEADER, image_type=("DERIVED", "PRIMARY", "AXIAL")))


def test_series_with_more_images_are_tried_first() -> None:
    few, many = series("1.2", 30), series("1.3", 300)
    assert choose(MANIFEST, [few, many]) == [many, few]


def test_the_order_of_equal_series_does_not_depend_on_their_arrival() -> None:
    one, other = series("1.2"), series("1.3")
    assert choose(MANIFEST, [one, other]) == choose(MANIFEST, [other, one])


def test_a_series_of_few_images_is_tried_so_that_its_refusal_has_a_reason() -> None:
    assert choose(MANIFEST, [series(images=1)]) == [series(images=1)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modality": "MR"}, "not CT"),
        ({"body_part": "HEAD"}, "body part"),
        ({"sop_class_uids": (DOSE_REPORT,)}, "SOP class"),
        ({"image_types": (("ORIGINAL", "PRIMARY", "LOCALIZER"),)}, "localizers"),
    ],
)
def test_a_series_that_is_not_tried_has_a_reason(change: dict[str, object], words: str) -> None:
    other = series(**change)
    assert choose(MANIFEST, [other]) == []
    assert words in (why_not(MANIFEST, other) or "")


def test_a_localizer_among_cross_sections_does_not_exclude_the_series() -> None:
    assert why_not(MANIFEST, series(image_types=(("ORIGINAL", "PRIMARY", "LOCALIZER"), AXIAL))) is None


REMOTE = RemoteSeries("1", "1.2", "CT", "CHEST", number=2)


@pytest.mark.parametrize(
    ("change", "sop_class_uids"),
    [
        ({}, (CT_IMAGE,)),
        ({}, ()),
        ({}, (DOSE_REPORT, CT_IMAGE)),
        ({"body_part": "Chest_Abd_Pel"}, (ENHANCED_CT,)),
        ({"body_part": ""}, (CT_IMAGE,)),
        ({"modality": "", "body_part": ""}, ()),
    ],
)
def test_a_series_that_may_be_a_ct_of_the_chest_is_worth_fetching(
    change: dict[str, str], sop_class_uids: tuple[str, ...]
) -> None:
    assert wants(MANIFEST, replace(REMOTE, **change), sop_class_uids)


@pytest.mark.parametrize(
    ("change", "sop_class_uids", "words"),
    [
        ({"modality": "MR"}, (), "not CT"),
        ({"body_part": "HEAD"}, (CT_IMAGE,), "body part"),
        ({}, (DOSE_REPORT,), "SOP class"),
    ],
)
def test_a_series_that_is_not_worth_fetching_has_a_reason(
    change: dict[str, str], sop_class_uids: tuple[str, ...], words: str
) -> None:
    series = replace(REMOTE, **change)
    assert not wants(MANIFEST, series, sop_class_uids)
    assert words in (why_not_wanted(MANIFEST, series, sop_class_uids) or "")


def test_a_model_that_names_its_body_parts_all_wants_series_whose_part_a_pacs_leaves_out() -> None:
    strict = replace(MANIFEST, inputs=replace(MANIFEST.inputs, body_parts=("CHEST",)))
    assert wants(strict, replace(REMOTE, body_part=""), ())
    assert not consumes(strict, replace(HEADER, body_part=""))


@pytest.mark.parametrize(
    ("description", "fits"),
    [
        ("CT Thorax nativ", True),
        ("CT^CHEST_ABD (Adult)", True),
        ("chest abdomen", True),
        ("CT Schädel", False),
        ("", False),
    ],
)
def test_a_description_names_a_body_part_by_a_whole_word(description: str, fits: bool) -> None:
    assert describes_body_part(MANIFEST, description) is fits
