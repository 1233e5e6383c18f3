"""What was understood of DICOM files as text and JSON, for `cds dicom inspect`. It shows what the files say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from cds.domain.instance_inspection import InspectedInstance, InspectedStack


def as_json(files: Sequence[InspectedInstance]) -> str:
    """One array: an object for each file, its keys the names of InspectedInstance."""
    return json.dumps([asdict(file) for file in files], indent=2)


def as_text(files: Sequence[InspectedInstance]) -> str:
    """A paragraph for each file."""
    return "\n\n".join("\n".join(_file(file)) for file in files)


def _file(file: InspectedInstance) -> Iterator[str]:
    yield _line(f"{file.file}: {file.verdict.value}" + (f", {file.reason}" if file.reason else ""))
    what = [file.modality, file.sop_class or file.sop_class_uid, "made by Sightline" if file.own else ""]
    yield from _labelled("is", [_list(what)])
    yield from _labelled("coded", [_list([file.transfer_syntax or file.transfer_syntax_uid, file.character_set])])
    yield from _labelled("patient", [file.patient_id])
    for label, uid in (("study", file.study_instance_uid), ("series", file.series_instance_uid),
                       ("instance", file.sop_instance_uid)):  # fmt: skip
        yield from _labelled(label, [uid])
    if file.rows is not None:
        yield from _labelled("pixels", [_shape(file), _values(file)])
        yield from _labelled("size", [_size(file)])
        yield from _labelled("view", [_list([file.view, file.laterality and f"laterality {file.laterality}"])])
    yield from _labelled("stack", [_stack(stack) for stack in (file.geometry.stacks if file.geometry else ())])
    yield from _labelled("doubts", file.problems)


def _shape(file: InspectedInstance) -> str:
    size = f"{file.rows} x {file.columns}"
    frames = f"{file.frames} frames" if file.frames not in (None, 1) else ""
    bits = f"{file.bits_stored} of {file.bits_allocated} bits" if file.bits_allocated else ""
    sign = {True: "signed", False: "unsigned", None: ""}[file.signed]
    return _list([size, frames, file.photometric, bits, sign])


def _values(file: InspectedInstance) -> str:
    if not file.decoded:
        return ""
    rescale = f"rescale {_digits(file.slope)} / {_digits(file.intercept)}" if file.slope is not None else ""
    ends = f"{file.dtype} from {_digits(file.minimum)} to {_digits(file.maximum)}, mean {_digits(file.mean)}"
    return _list([ends, rescale])


def _size(file: InspectedInstance) -> str:
    spacing = f"{_times(file.pixel_spacing)} mm ({file.spacing_source})" if file.pixel_spacing else ""
    thickness = f"thickness {_digits(file.slice_thickness)} mm" if file.slice_thickness is not None else ""
    place = f"at {', '.join(_digits(x) for x in file.position)} mm" if file.position else ""
    return _list([spacing, thickness, place])


def _stack(stack: InspectedStack) -> str:
    slices = f"{stack.slices} slice{'' if stack.slices == 1 else 's'}"
    spacing = f"{_times(stack.spacing_mm)} mm" if stack.spacing_mm else ""
    return _list([stack.label, slices, _times(stack.shape), spacing, stack.orientation, stack.refusal])


def _times(numbers: Iterable[float]) -> str:
    return " x ".join(_digits(number) for number in numbers)


def _digits(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def _list(parts: Iterable[str]) -> str:
    return ", ".join(filter(None, parts))


def _labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    for text in filter(None, texts):
        yield f"  {label:<10}{_line(text)}"
        label = ""


def _line(text: str) -> str:
    """A terminal obeys control characters: none of a file reaches it."""
    return "".join(character if character.isprintable() else " " for character in text)
