"""Which instances and series the lung model reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds.domain.coding import Coding
from cds.domain.imaging import InstanceHeader, SeriesSummary
from cds.domain.inference import StudyFacts
from cds.domain.retrieval import RemoteSeries
from models import inputs
from models.contrast_words import contrast_told
from models.manifest import Manifest
from models.registry import load
from models.selection import (
    cautions,
    choose,
    consumes,
    describes_body_part,
    is_urgent,
    refusal,
    wants,
    why_not,
    why_not_wanted,
)

MANIFEST = load()["ct_lung_density"]
DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"
#: A model of radiographs of the chest, seen from behind or from the front.
CHEST_XRAY = replace(
    MANIFEST,
    inputs=inputs.Inputs(
        modality="DX",
        modalities=("CR",),
        sop_class_uids=(DX_IMAGE,),
        body_parts=("CHEST",),
        kind="projection",
        projection=inputs.Projections(("PA", "AP"), 100, 100, max_images=3),
    ),
)
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


def asking(**words: tuple[str, ...]) -> Manifest:
    return replace(MANIFEST, inputs=replace(MANIFEST.inputs, words=inputs.Words(**words)))


@pytest.mark.parametrize(
    ("change", "about", "fits"),
    [
        ({"series_description": "Thorax duenn"}, StudyFacts(), True),
        ({"series_description": "5.0 B30f"}, StudyFacts(study_description="CT Thorax"), True),
        ({"series_description": "5.0 B30f", "protocols": ("Chest_Routine", "Thorax")}, StudyFacts(), True),
        ({"series_description": "Neck"}, StudyFacts(study_description="CT Neck"), False),
        ({}, StudyFacts(), True),
    ],
    ids=["series", "study", "protocol", "none of them", "nothing is said"],
)
def test_a_word_that_must_be_there_may_stand_in_any_description(
    change: dict[str, object], about: StudyFacts, fits: bool
) -> None:
    found = refusal(asking(only=("thorax",)), series(**change), about)
    assert (found is None) is fits
    assert fits or (found is not None and found.gate == "words")


def test_a_procedure_code_of_the_order_stands_for_the_words() -> None:
    wanting = asking(only=("thorax",), procedures=("24627-2",))
    ordered = StudyFacts(procedures=(Coding("http://loinc.org", "24627-2"),))
    other = StudyFacts(procedures=(Coding("http://loinc.org", "24725-4"),))
    neck = series(series_description="Neck")
    assert why_not(wanting, neck, ordered) is None
    assert why_not(wanting, neck, other) is not None


def test_a_word_that_must_not_be_there_excludes_whatever_was_ordered() -> None:
    wanting = asking(never=("biops",), procedures=("24627-2",))
    ordered = StudyFacts(procedures=(Coding("http://loinc.org", "24627-2"),))
    said = refusal(wanting, series(series_description="CT-guided BIOPSY, Anna Smith"), ordered)
    assert said is not None
    assert "(biops)" in said.reason
    assert "Smith" not in said.reason
    assert why_not_wanted(wanting, RemoteSeries("1", "1.2", "CT", "CHEST", number=2, description="biopsy"), ())


def test_an_instance_is_consumed_where_an_order_may_still_make_it_readable() -> None:
    neck = replace(HEADER, series_description="Neck")
    assert not consumes(asking(only=("thorax",)), neck)
    assert consumes(asking(only=("thorax",), procedures=("24627-2",)), neck)
    assert not consumes(asking(never=("neck",), procedures=("24627-2",)), neck)


def test_a_description_names_the_body_part_that_the_header_leaves_out() -> None:
    strict = replace(MANIFEST, inputs=replace(MANIFEST.inputs, body_parts=("CHEST", "THORAX")))
    assert refusal(strict, series(body_part="", series_description="CT Thorax nativ")) is None
    assert refusal(strict, series(body_part="HEAD", series_description="CT Thorax nativ")) is not None
    assert refusal(strict, series(body_part="")) is not None
    assert consumes(strict, replace(HEADER, body_part="", study_description="CT Thorax"))


ADULTS = replace(MANIFEST, inputs=replace(MANIFEST.inputs, min_age_years=18, max_age_years=90))


@pytest.mark.parametrize(("age", "fits"), [(17, False), (18, True), (90, True), (91, False), (None, True)])
def test_an_age_that_the_model_is_not_made_for_is_refused_in_words(age: int | None, fits: bool) -> None:
    found = refusal(ADULTS, series(), StudyFacts(age_years=age))
    assert (found is None) is fits
    if found is not None:
        assert (found.gate, found.reason) == (
            "age",
            "the patient's age is not one that the model is made for (of 18 to 90 years)",
        )


def test_a_series_of_another_kind_says_so_and_not_that_the_patient_is_too_young() -> None:
    found = refusal(ADULTS, series(modality="MR"), StudyFacts(age_years=3))
    assert found is not None
    assert found.gate == "modality"


def test_an_unknown_age_is_said_as_a_limit_by_a_model_that_is_made_for_some_ages() -> None:
    assert cautions(ADULTS, StudyFacts()) == (
        "The patient's age is not known; the model is made for patients of 18 to 90 years.",
    )
    assert cautions(ADULTS, StudyFacts(age_years=50)) == ()
    any_age = replace(MANIFEST, inputs=replace(MANIFEST.inputs, min_age_years=None, max_age_years=None))
    assert cautions(any_age, StudyFacts()) == ()


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ("Thorax mit KM", "yes"),
        ("CHEST WITH CONTRAST", "yes"),
        ("CHEST W/ IV CONTRAST", "yes"),
        ("AX T1 +C", "yes"),
        ("T1 C+ FS", "yes"),
        ("CTA Thorax", "yes"),
        ("CT-Angio Aorta", "yes"),
        ("Abdomen portalvenös", "yes"),
        ("AX POST GAD", "yes"),
        ("arterial phase", "yes"),
        ("CHEST W/O CONTRAST", "no"),
        ("Thorax nativ 1.0 B30f", "no"),
        ("Thorax ohne KM", "no"),
        ("Head non-contrast", "no"),
        ("unenhanced", "no"),
        ("NCCT HEAD", "no"),
        ("Chest C-", "no"),
        ("W/WO CONTRAST", "unknown"),
        ("with and without contrast", "unknown"),
        ("LUNG 1.25mm", "unknown"),
        ("C-SPINE", "unknown"),
        ("arterial spin labeling", "unknown"),
        ("TOF angio", "unknown"),
        ("edge enhanced", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_a_description_says_of_contrast_medium(description: str, told: str) -> None:
    assert contrast_told(description) == told


def test_a_description_that_says_contrast_keeps_a_model_away_that_wants_none() -> None:
    found = refusal(MANIFEST, series(series_description="Thorax mit KM"))
    assert found is not None
    assert (found.gate, found.reason) == ("contrast", "its description says that contrast medium was given")
    assert refusal(MANIFEST, series(series_description="Thorax nativ")) is None


@pytest.mark.parametrize(
    "worse",
    [
        {"kernels": ("B70f",)},
        {"kernels": ("B30f", "B70f")},
        {"slice_thickness_mm": 5.0},
        {"contrasts": ("yes",)},
        {"orientations": ((1.0, 0.0, 0.0, 0.0, 0.0, -1.0),)},
    ],
    ids=["sharp kernel", "two kernels", "thick", "contrast", "coronal"],
)
def test_a_series_whose_headers_fail_a_gate_is_tried_after_a_smaller_one_that_passes(worse: dict[str, object]) -> None:
    passing: dict[str, object] = {
        "kernels": ("B30f",),
        "slice_thickness_mm": 1.5,
        "contrasts": ("unknown",),
        "orientations": ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0),),
    }
    good, bad = series("1.9", 100, **passing), series("1.2", 300, **passing | worse)
    assert choose(MANIFEST, [bad, good]) == [good, bad]


def test_of_equally_many_images_the_thinner_slices_are_tried_first() -> None:
    thick, thin = series("1.2", slice_thickness_mm=3.0), series("1.3", slice_thickness_mm=1.0)
    assert choose(MANIFEST, [thick, thin]) == [thin, thick]


def projection(uid: str, *views: str, images: int = 1, **other: object) -> SeriesSummary:
    return series(uid, images, modality="DX", sop_class_uids=(DX_IMAGE,), image_types=(), views=views, **other)


@pytest.mark.parametrize(
    ("views", "fits"),
    [(("PA",), True), (("LL",), False), (("LL", "AP"), True), (("postero-anterior",), True), ((), False)],
    ids=["PA", "lateral", "both", "in words", "not stated"],
)
def test_a_radiograph_is_read_in_the_views_that_the_manifest_names(views: tuple[str, ...], fits: bool) -> None:
    assert (refusal(CHEST_XRAY, projection("1.2", *views)) is None) is fits


def test_a_lateral_view_is_not_consumed_and_a_view_that_is_not_stated_only_where_the_manifest_takes_it() -> None:
    header = replace(HEADER, modality="CR", sop_class_uid=DX_IMAGE, image_type=(), view_position="PA")
    assert consumes(CHEST_XRAY, header)
    assert not consumes(CHEST_XRAY, replace(header, view_position="LL"))
    assert not consumes(CHEST_XRAY, replace(header, view_position=""))
    lenient = replace(
        CHEST_XRAY, inputs=replace(CHEST_XRAY.inputs, projection=inputs.Projections(("PA", ""), 100, 100))
    )
    assert consumes(lenient, replace(header, view_position=""))


def test_projections_are_looked_at_together_in_the_order_of_the_views_up_to_the_most_images() -> None:
    behind, front = projection("1.9", "PA"), projection("1.2", "AP")
    more = projection("1.3", "AP", images=2)
    lateral = projection("1.1", "LL")
    assert choose(CHEST_XRAY, [front, lateral, behind]) == [behind, front]
    assert choose(CHEST_XRAY, [more, front, behind]) == [behind, front]
    assert choose(CHEST_XRAY, [projection("1.5", "PA", images=9)]) == [projection("1.5", "PA", images=9)]


def test_a_radiograph_made_from_others_is_not_read() -> None:
    made = projection("1.2", "PA")
    assert refusal(CHEST_XRAY, replace(made, image_types=(("DERIVED", "SECONDARY"),))) is not None
    assert refusal(CHEST_XRAY, replace(made, image_types=(("DERIVED", "PRIMARY", ""),))) is None


def test_a_word_or_a_code_of_the_reason_makes_a_study_urgent() -> None:
    model = asking(urgent=("h(ae|e)morrhage", "^I61"))
    assert is_urgent(model, StudyFacts(reason="fall, ?Haemorrhage"))
    assert is_urgent(model, StudyFacts(reasons=(Coding("http://hl7.org/fhir/sid/icd-10", "I61.9"),)))
    assert not is_urgent(model, StudyFacts(reason="cough"))


STROKE = StudyFacts(study_description="CT Head and CTA Neck")


@pytest.mark.parametrize(
    ("description", "fits"),
    [
        ("Head 5.0 H31s", True),
        ("Spirale nativ", True),
        ("Head CTA 1.0", False),
        ("Spirale 1.0", False),
        ("", False),
    ],
)
def test_what_a_whole_study_says_does_not_exclude_a_series_that_says_itself_what_it_is(
    description: str, fits: bool
) -> None:
    model = asking(only=("head",), never=("cta",))
    for one in (STROKE, StudyFacts(study_description="Head")):
        found = refusal(model, series(series_description=description, protocols=("Stroke_CTA",)), one)
        assert (found is None) is fits
    header = replace(HEADER, series_description=description, study_description=STROKE.study_description)
    assert consumes(model, header) is fits
