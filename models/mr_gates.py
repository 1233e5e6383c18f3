"""The gates that a quantitative MR model asks before it looks at a voxel: is this the right kind of acquisition?"""

from __future__ import annotations

import re

from cds.domain.imaging import VolumeRef
from models import grid_gates
from models.conform import extent_mm
from models.contrast_words import contrast_told
from models.ct_gates import Verdicts, number
from models.inputs import MrAcquisition
from models.manifest import Manifest

#: Acquisition Contrast (0008,9209), PS3.3 C.8.13.3.1.1, where it names one of the weightings that are told apart here.
_STATED = {
    "T1": "T1", "T2": "T2", "T2_STAR": "T2*", "FLUID_ATTENUATED": "FLAIR", "DIFFUSION": "DWI",
    "PROTON_DENSITY": "PD", "PERFUSION": "perfusion", "TOF": "angiography", "FLOW_ENCODED": "angiography",
    "TAGGING": "another", "TEMPERATURE": "another", "STIR": "STIR",
}  # fmt: skip
_BEFORE, _AFTER = r"(?<![a-z0-9])", r"(?![a-z0-9*])"
#: What people call their sequences; several in one name contradict each other. The first two name the T1 sequences of
#: the makers: MPRAGE (Siemens), BRAVO and FSPGR (GE), TFE (Philips), all 3-D gradient echoes with T1 weighting.
_NAMES = {
    "T1": r"t1w?|t1-?(?:weighted|tfe|ffe|space|cube|vista|mpr)|mp-?rage|bravo|(?:ir-?)?f?spgr|3d-?(?:tfe|ffe)",
    "MP2RAGE": r"mp2rage",
    "T2": r"t2w?|t2-?(?:weighted|tse|fse|space|cube)",
    "T2*": r"t2\*|t2-?star|swi|swan|venobold|gre-?hemo",
    "FLAIR": r"flair|t2-?flair|t1-?flair|dark-?fluid",
    "DWI": r"dwi|dti|adc|diffusion|trace\w*|b-?1000|resolve",
    "PD": r"pdw?|proton-?density",
    "STIR": r"stir|tirm",
    "angiography": r"tof|mra|angio\w*|pc-?mra|cow",
    "perfusion": r"perf\w*|dsc|dce|asl|pwi|bold|fmri",
    "a localizer": r"loc|localizer|localiser|scout|survey|aahead\w*|3-?plane",
}
_ENHANCED = re.compile(
    rf"{_BEFORE}(?:post|gd|gad\w*|km|ce|mdc|contrast|kontrast\w*|dotarem|gadovist)(?![a-z0-9])|\+\s*(?:c|k|gd|km)(?![a-z0-9])"
    rf"|{_BEFORE}t1\+|t1-?(?:ce|gd|km|c)(?![a-z0-9])",
    re.IGNORECASE,
)
#: Times (ms) that make an image T1-weighted or not, the textbook's: they decide where no name does, and contradict one.
_LONG_ECHO = 30.0
_SHORT_ECHO = 10.0
_SPIN_ECHO_REPETITION = 800.0
_INVERSIONS = (300.0, 1500.0)


def check(manifest: Manifest, volume: VolumeRef) -> tuple[Verdicts, Verdicts]:
    """What passed and what was refused, as `ct_gates.check`; raise nothing. Lengths in mm."""
    if volume.modality not in manifest.inputs.all_modalities:
        return [], [("modality", f"the images are not {manifest.inputs.modality}")]
    passed: Verdicts = [("modality", volume.modality), ("orientation", volume.orientation or "unknown")]
    refused: Verdicts = []
    wanted = manifest.inputs.mr
    for gate, value, reason in [] if wanted is None else _acquisition(wanted, volume):
        if reason:
            refused.append((gate, reason))
        else:
            passed.append((gate, value))
    return passed, refused


def weighting(volume: VolumeRef) -> str:
    """What the images show: "T1", "T2", "FLAIR", "DWI" ...; "" where it is not known or several are named.

    By Acquisition Contrast (0008,9209), else by the words of series and protocol, else by the times of the sequence.
    """
    said = volume.attributes.get("acquisition_contrast", "").strip().upper()
    if said in _STATED:
        return _STATED[said]
    named = _named(_words(volume))
    if named:
        return named[0] if len(named) == 1 else ""
    return "T1" if _times_say_t1(volume) else ""


def contrast(volume: VolumeRef) -> str:
    """ "yes", "no" or "unknown": by the contrast module, else by the words of series and protocol."""
    stated = volume.attributes.get("contrast", "unknown")
    if stated == "yes":
        return stated
    words = _words(volume)
    told = contrast_told(words)
    if told == "unknown" and _ENHANCED.search(words):
        told = "yes"
    return told if told == "yes" else stated


def _acquisition(wanted: MrAcquisition, volume: VolumeRef) -> list[tuple[str, str, str]]:
    """(gate, value, reason) of each; reason is "" where the gate is passed."""
    return [
        _weighting(wanted, volume),
        _contrast(wanted, volume),
        grid_gates.slices(volume, wanted.min_slices),
        _coverage(wanted, volume),
        grid_gates.slice_spacing(volume, wanted.max_slice_spacing_mm),
        _thickness(wanted, volume),
        grid_gates.pixel_spacing(volume, wanted.max_pixel_spacing_mm),
        ("dimension", volume.attributes.get("acquisition_dimension", "") or "unknown", ""),
        ("field strength", _field(volume), ""),
    ]


def _weighting(wanted: MrAcquisition, volume: VolumeRef) -> tuple[str, str, str]:
    found = weighting(volume)
    if wanted.weighting == "any":
        return "weighting", found or "unknown", ""
    if not found:
        return "weighting", "", f"it is not clear that the images are {wanted.weighting}-weighted"
    if found != wanted.weighting:
        return "weighting", "", f"the images are {found}, not {wanted.weighting}-weighted"
    echo = _echo(volume)
    if wanted.weighting == "T1" and echo is not None and echo > _LONG_ECHO:
        return "weighting", "", f"the images are called T1-weighted, but their echo time is {echo:.0f} ms"
    return "weighting", found, ""


def _contrast(wanted: MrAcquisition, volume: VolumeRef) -> tuple[str, str, str]:
    found = contrast(volume)
    if found in wanted.contrast:
        return "contrast", found, ""
    words = {"yes": "contrast medium was given", "unknown": "it is not known whether contrast medium was given"}
    return "contrast", "", words.get(found, "what is said of contrast medium differs between slices")


def _coverage(wanted: MrAcquisition, volume: VolumeRef) -> tuple[str, str, str]:
    across, down, deep = extent_mm(volume)
    least = min(across, down, deep)
    value = f"{across:.0f} mm side to side, {down:.0f} mm head to feet, {deep:.0f} mm front to back"
    reason = f"the images cover {value}; at least {wanted.min_coverage_mm:.0f} mm are needed each way"
    return "coverage", value, reason if least < wanted.min_coverage_mm else ""


def _thickness(wanted: MrAcquisition, volume: VolumeRef) -> tuple[str, str, str]:
    """Interpolated slices lie closer than they are thick: both count. Unstated is taken as the spacing."""
    thickness = number(volume, "slice_thickness_mm")
    if thickness is None:
        return "slice thickness", "unknown", ""
    reason = f"slices are {thickness:.2f} mm thick, at most {wanted.max_slice_spacing_mm:g} mm are accepted"
    return "slice thickness", f"{thickness:.2f} mm", reason if thickness > wanted.max_slice_spacing_mm + 0.01 else ""


def _field(volume: VolumeRef) -> str:
    tesla = number(volume, "magnetic_field_t")
    return "unknown" if tesla is None else f"{tesla:.1f} T"


def _words(volume: VolumeRef) -> str:
    return " ".join(volume.attributes.get(name, "") for name in ("description", "protocol"))


def _named(words: str) -> list[str]:
    """The weightings that the words name; FLAIR is one whatever T it says beside it, and T1 sequences are not T2*."""
    plain = re.sub(r"[_ ]+", " ", words)
    found = [
        name for name, pattern in _NAMES.items() if re.search(f"{_BEFORE}(?:{pattern}){_AFTER}", plain, re.IGNORECASE)
    ]
    return [name for name in found if name not in {"T1", "T2"}] if "FLAIR" in found else found


def _echo(volume: VolumeRef) -> float | None:
    return number(volume, "effective_echo_time_ms") or number(volume, "echo_time_ms")


def _times_say_t1(volume: VolumeRef) -> bool:
    """Only the two kinds that nothing else looks like: a gradient echo after an inversion, and a short spin echo."""
    sequence = set(volume.attributes.get("scanning_sequence", "").upper().split("\\"))
    echo, repetition = _echo(volume), number(volume, "repetition_time_ms")
    inversion = number(volume, "inversion_time_ms")
    if echo is None or repetition is None:
        return False
    if "GR" in sequence:
        return inversion is not None and _INVERSIONS[0] <= inversion <= _INVERSIONS[1] and echo <= _SHORT_ECHO
    spin_echo = "SE" in sequence and not sequence & {"IR", "EP"}
    return spin_echo and repetition <= _SPIN_ECHO_REPETITION and echo <= _LONG_ECHO
