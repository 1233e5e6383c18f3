"""What vendors say in elements of their own (PS3.5 section 7.8), read only under the creator that defines them."""

from __future__ import annotations

import math
import struct
from typing import Any

from pydicom.dataset import Dataset

from adapters.dicom.header import UNREADABLE
from adapters.dicom.values import one

_SIEMENS, _SIEMENS_MR, _SIEMENS_B_VALUE = 0x00190010, "SIEMENS MR HEADER", 0x0019100C
_GE, _GE_PARAMETERS, _GE_B_VALUE, _GE_COMPONENT = 0x00430010, "GEMS_PARM_01", 0x00431039, 0x0043102F
_PHILIPS, _PHILIPS_DD, _PHILIPS_B_VALUE = 0x20010010, "Philips Imaging DD 001", 0x20011003

#: Creators and elements that this module reads; a scan that wants them has to find both.
PRIVATE_TAGS = frozenset(
    {_SIEMENS, _SIEMENS_B_VALUE, _GE, _GE_B_VALUE, _GE_COMPONENT, _PHILIPS, _PHILIPS_B_VALUE}
)  # fmt: skip

#: GE counts 10⁹ on top of a b-value where several directions are in the series.
_GE_OFFSET = 10**9
_HIGHEST_B = 100_000
_BINARY = {2: "<h", 4: "<f", 8: "<d"}
#: GE (0043,102F): magnitude, phase, real, imaginary; the words are those of (0008,9208).
_COMPONENTS = ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")


def b_value(dataset: Dataset) -> float | None:
    """Diffusion b-value in s/mm²: (0018,9087), else what Siemens, GE or Philips writes; None where nobody does."""
    found = one(dataset, "DiffusionBValue")
    if found is None:
        found = _number(dataset, _SIEMENS, _SIEMENS_MR, _SIEMENS_B_VALUE)
    if found is None:
        found = _number(dataset, _PHILIPS, _PHILIPS_DD, _PHILIPS_B_VALUE)
    if found is None:
        found = _number(dataset, _GE, _GE_PARAMETERS, _GE_B_VALUE)
        found = None if found is None else math.fmod(found, _GE_OFFSET)
    return found if found is not None and 0 <= found <= _HIGHEST_B else None


def image_component(dataset: Dataset) -> str:
    """GE's word for magnitude, phase, real or imaginary, "" where it says none."""
    found = _number(dataset, _GE, _GE_PARAMETERS, _GE_COMPONENT)
    return _COMPONENTS[int(found)] if found is not None and 0 <= found < len(_COMPONENTS) else ""


def _number(dataset: Dataset, creator_tag: int, creator: str, tag: int) -> float | None:
    """The first of the element's numbers, also where implicit VR or UN left it as bytes."""
    try:
        if tag not in dataset or str(dataset[creator_tag].value).strip() != creator:
            return None
        number = float(_first(dataset[tag].value))
    except (*UNREADABLE, struct.error):
        return None
    return number if math.isfinite(number) else None


def _first(value: Any) -> Any:
    if isinstance(value, bytes):
        return _unpacked(value)
    return value[0] if not isinstance(value, str) and hasattr(value, "__getitem__") else value


def _unpacked(value: bytes) -> float | str:
    """VR FD has eight bytes, FL four and SS two; IS and DS are text in ASCII."""
    told = value.split(b"\\")[0].strip(b" \0")
    if told and all(byte in b"+-.0123456789eE" for byte in told):
        return told.decode("ascii")
    return float(struct.unpack(_BINARY.get(len(value), "<d"), value)[0])
