"""Frames in colour as RGB, whatever they were coded in (PS3.3 C.7.6.3.1.2): YBR of all kinds, palettes, planes."""

from __future__ import annotations

import numpy as np
from pydicom.pixels.processing import convert_color_space

from adapters.dicom.codecs import BROKEN, Pixels, decoded_frame, undecodable
from adapters.dicom.decode import stored_values
from adapters.dicom.instance import Instance
from adapters.dicom.lut import is_palette, palette_rgb
from adapters.dicom.values import integer

_SAMPLES = 3
_YBR = frozenset({"YBR_FULL", "YBR_FULL_422"})
#: After its inverse transform JPEG 2000 hands out RGB (PS3.5 section 8.2.4).
_RGB = frozenset({"RGB", "YBR_RCT", "YBR_ICT"})
_BYTE = 8


def rgb_values(instance: Instance, index: int) -> Pixels:
    """Frame `index` (from 0) as RGB (rows, columns, 3), of as many bits as are allocated; of a palette uint8.

    Raise NotEvaluable (gate "decode") where it cannot be decoded or is in a colour space that nothing here knows.
    """
    header = instance.dataset
    if is_palette(header):
        return palette_rgb(stored_values(instance, index), header)
    if integer(header, "SamplesPerPixel", 1) != _SAMPLES:
        raise undecodable("it has neither one nor three samples per pixel")
    array, described = decoded_frame(instance, index)
    if array.shape != (integer(header, "Rows", 0), integer(header, "Columns", 0), _SAMPLES):
        raise undecodable("it has another size than its header says")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    space = str(described.get("photometric_interpretation", "")).upper()
    if space in _RGB:
        return array
    if space not in _YBR or array.dtype.itemsize * _BYTE != _BYTE:
        raise undecodable("it is in a colour space that is not read")
    try:
        return np.asarray(convert_color_space(array, space, "RGB"))
    except BROKEN as error:
        raise undecodable("its colours cannot be converted") from error
