"""What an MR series must be to be measured: each gate, by what scanners and people write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cds.domain.imaging import VolumeRef
from models import mr_gates
from models.manifest import read
from models.registry import SHIPPED

MANIFEST = read(SHIPPED / "brain_volumetry.toml")
MPRAGE = {
    "description": "t1_mprage_sag_p2_iso",
    "protocol": "t1_mprage_sag_p2_iso",
    "scanning_sequence": "GR\\IR",
    "repetition_time_ms": "2300",
    "echo_time_ms": "2.98",
    "inversion_time_ms": "900",
    "acquisition_dimension": "3D",
    "magnetic_field_t": "3",
    "slice_thickness_mm": "1",
    "contrast": "unknown",
}


def volume(
    shape: tuple[int, int, int] = (176, 256, 256),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    modality: str = "MR",
    **attributes: str,
) -> VolumeRef:
    """Sagittal slices from right to left, rows to the feet, columns to the back."""
    deep, high, wide = spacing
    affine = (deep, 0.0, 0.0, -88.0, 0.0, 0.0, wide, -128.0, 0.0, -high, 0.0, 128.0, 0.0, 0.0, 0.0, 1.0)
    return VolumeRef("", "int16", shape, spacing, affine, "1.2.3", modality, "sagittal", MPRAGE | attributes)


def refusals(given: VolumeRef) -> dict[str, str]:
    return dict(mr_gates.check(MANIFEST, given)[1])


def only(given: VolumeRef, gate: str) -> str:
    """The reason of the only gate that refuses."""
    refused = refusals(given)
    assert set(refused) == {gate}
    return refused[gate]


def named(description: str, **attributes: str) -> VolumeRef:
    told = {"description": description, "protocol": ""}
    return replace(volume(), attributes=MPRAGE | told | attributes)


def test_a_three_dimensional_t1_of_the_whole_head_passes_every_gate() -> None:
    passed, refused = mr_gates.check(MANIFEST, volume())
    assert refused == []
    assert dict(passed) == {
        "modality": "MR",
        "orientation": "sagittal",
        "weighting": "T1",
        "contrast": "unknown",
        "slices": "176",
        "coverage": "176 mm side to side, 256 mm head to feet, 256 mm front to back",
        "slice spacing": "1.00 mm",
        "slice thickness": "1.00 mm",
        "pixel spacing": "1.00 mm",
        "dimension": "3D",
        "field strength": "3.0 T",
    }


def test_another_modality_is_refused_before_anything_else_is_asked() -> None:
    assert refusals(volume(modality="CT", shape=(1, 1, 1))) == {"modality": "the images are not MR"}


@pytest.mark.parametrize(
    "description",
    [
        "t1_mprage_tra_p2_iso", "MP-RAGE", "MPRAGE SAG", "Ax BRAVO", "SAG FSPGR 3D", "IR-FSPGR", "T1W_3D_TFE_SAG",
        "3D TFE", "T1 SPACE sag", "sT1W_3D_FFE", "T1-weighted 3D", "T1",
    ],
)  # fmt: skip
def test_the_makers_names_of_t1_sequences_are_known(description: str) -> None:
    assert mr_gates.weighting(named(description)) == "T1"
    assert refusals(named(description)) == {}


@pytest.mark.parametrize(
    ("description", "weighting"),
    [
        ("t2_tse_tra", "T2"), ("T2W_3D_VISTA", "T2"), ("t2_space_sag", "T2"), ("T2*_GRE", "T2*"), ("SWI_Images", "T2*"),
        ("FLAIR 3D", "FLAIR"), ("t2_space_dark-fluid_sag FLAIR", "FLAIR"), ("T1 FLAIR AX", "FLAIR"),
        ("ep2d_diff_3scan_trace ADC", "DWI"), ("DWI b-1000", "DWI"), ("TOF 3D multi-slab", "angiography"),
        ("PDW_TSE", "PD"), ("t2_tirm", ""), ("AAHead_Scout", "a localizer"), ("3-plane LOC", "a localizer"),
        ("t1_mp2rage_sag_INV2", ""), ("T1 and T2 map", ""), ("asl_3d perfusion", "perfusion"),
    ],
)  # fmt: skip
def test_other_weightings_are_refused_by_their_names(description: str, weighting: str) -> None:
    assert mr_gates.weighting(named(description)) == weighting
    assert "T1-weighted" in only(named(description), "weighting")


def test_the_stated_contrast_of_the_acquisition_counts_before_its_name() -> None:
    assert mr_gates.weighting(named("anatomy", acquisition_contrast="T1")) == "T1"
    assert mr_gates.weighting(named("t1_mprage", acquisition_contrast="T2")) == "T2"
    assert mr_gates.weighting(named("t1_mprage", acquisition_contrast="UNKNOWN")) == "T1"


def test_without_a_name_the_times_of_an_inversion_gradient_echo_tell_t1() -> None:
    assert mr_gates.weighting(named("Series 4")) == "T1"
    assert mr_gates.weighting(named("Series 4", inversion_time_ms="")) == ""
    assert mr_gates.weighting(named("Series 4", inversion_time_ms="2400")) == ""
    assert mr_gates.weighting(named("Series 4", echo_time_ms="25")) == ""
    assert mr_gates.weighting(named("Series 4", echo_time_ms="")) == ""


def test_without_a_name_a_short_spin_echo_is_t1_and_a_long_one_is_not() -> None:
    short = named("Series 4", scanning_sequence="SE", repetition_time_ms="500", echo_time_ms="10", inversion_time_ms="")
    assert mr_gates.weighting(short) == "T1"
    assert mr_gates.weighting(replace(short, attributes=short.attributes | {"echo_time_ms": "90"})) == ""
    assert mr_gates.weighting(replace(short, attributes=short.attributes | {"repetition_time_ms": "4000"})) == ""
    assert mr_gates.weighting(replace(short, attributes=short.attributes | {"scanning_sequence": "SE\\IR"})) == ""


def test_the_effective_echo_time_of_enhanced_images_is_read() -> None:
    enhanced = named("Series 4", echo_time_ms="", effective_echo_time_ms="3.1")
    assert mr_gates.weighting(enhanced) == "T1"


def test_images_called_t1_with_a_long_echo_are_refused() -> None:
    assert "echo time is 90 ms" in only(volume(echo_time_ms="90"), "weighting")


def test_a_weighting_that_nothing_tells_is_refused() -> None:
    reason = only(named("Series 4", scanning_sequence="", inversion_time_ms=""), "weighting")
    assert reason == "it is not clear that the images are T1-weighted"


def test_stated_contrast_medium_is_refused() -> None:
    assert only(volume(contrast="yes"), "contrast") == "contrast medium was given"


@pytest.mark.parametrize(
    "description",
    [
        "t1_mprage_sag +C", "T1 MPRAGE POST", "t1_mprage_KM", "3D BRAVO GAD", "T1 post Gd", "Sag BRAVO with contrast",
        "T1+C 3D", "t1ce mprage", "MPRAGE Gadovist", "T1 MPRAGE +GD",
    ],
)  # fmt: skip
def test_contrast_medium_in_the_words_is_refused_whatever_the_module_says(description: str) -> None:
    assert only(named(description, contrast="no"), "contrast") == "contrast medium was given"


@pytest.mark.parametrize("description", ["t1_mprage pre", "T1 MPRAGE without contrast", "T1 MPRAGE nativ"])
def test_words_that_deny_contrast_medium_do_not_refuse(description: str) -> None:
    assert refusals(named(description)) == {}


def test_contrast_that_differs_between_slices_is_refused() -> None:
    assert only(volume(contrast=""), "contrast") == "what is said of contrast medium differs between slices"


def test_few_slices_are_refused() -> None:
    assert set(refusals(volume(shape=(40, 256, 256)))) == {"slices", "coverage"}


@pytest.mark.parametrize("shape", [(120, 256, 256), (176, 120, 256), (176, 256, 120)])
def test_a_head_that_is_not_covered_in_one_direction_is_refused(shape: tuple[int, int, int]) -> None:
    assert "at least 130 mm are needed each way" in only(volume(shape=shape), "coverage")


def test_slices_far_apart_are_refused() -> None:
    given = volume(shape=(100, 256, 256), spacing=(2.0, 1.0, 1.0), slice_thickness_mm="")
    assert "2.00 mm apart" in only(given, "slice spacing")


def test_slices_as_far_apart_as_is_allowed_pass() -> None:
    given = volume(shape=(120, 256, 256), spacing=(1.5, 1.0, 1.0), slice_thickness_mm="1.5")
    assert refusals(given) == {}


def test_thick_slices_that_were_interpolated_are_refused() -> None:
    assert "3.00 mm thick" in only(volume(slice_thickness_mm="3"), "slice thickness")


def test_wide_pixels_are_refused() -> None:
    given = volume(shape=(176, 128, 128), spacing=(1.0, 2.0, 2.0))
    assert "2.00 mm wide" in only(given, "pixel spacing")


def test_a_model_that_takes_any_weighting_is_not_asked_for_one() -> None:
    assert MANIFEST.inputs.mr is not None
    any_weighting = replace(MANIFEST, inputs=replace(MANIFEST.inputs, mr=replace(MANIFEST.inputs.mr, weighting="any")))
    passed, refused = mr_gates.check(any_weighting, named("t2_tse"))
    assert (refused, dict(passed)["weighting"]) == ([], "T2")
