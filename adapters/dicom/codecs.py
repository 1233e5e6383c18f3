"""One compressed frame to one array: which codec decodes which transfer syntax (PS3.5 annex A.4), and nothing else.

Native code that reads hostile bytes: it belongs into `adapters.dicom.pool`, never into a process that must not die.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
import openjpeg.utils
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian

from adapters.dicom.codestream import declared_size, is_whole
from adapters.dicom.encodings import UNCOMPRESSED, name_of
from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import Instance
from adapters.dicom.scan import PIXEL_DATA
from cds.errors import NotEvaluable

Pixels = npt.NDArray[Any]

#: What pydicom, its plug-ins and gdcm raise for broken pixel data.
BROKEN = (*UNREADABLE, RuntimeError, OSError, struct.error)

_ROOT = "1.2.840.10008.1.2."
_GDCM, _OPENJPEG, _CHARLS, _RLE = ("gdcm",), ("pylibjpeg", "gdcm"), ("pyjpegls", "gdcm"), ("pylibjpeg", "pydicom")
#: Plug-ins of pydicom, that with the least processor time first (512 x 512 of 16 bit: JPEG 2000 by pylibjpeg 24 ms, by
#: gdcm 27 ms on all cores at once, which those of a pool do not have; JPEG-LS by pyjpegls 4 ms, by gdcm 7 ms; RLE by
#: pylibjpeg 0.5 ms, by pydicom 3 ms). The next is asked where one refuses. Around the codec of JPEG 2000 they add
#: 1.5 ms, so that plain slices of it go there without them.
_PLUGINS: Mapping[str, tuple[str, ...]] = {
    f"{_ROOT}{number}": plugins
    for plugins, numbers in {
        _GDCM: ("4.50", "4.51", "4.57", "4.70"),
        _CHARLS: ("4.80", "4.81"),
        _OPENJPEG: ("4.90", "4.91"),
        ("pylibjpeg",): ("4.201", "4.202", "4.203"),
        _RLE: ("5",),
    }.items()
    for number in numbers
}
#: Extended, and the retired spectral selection and full progression. Of 12 bits pydicom has them decoded by nobody,
#: gdcm decodes them as it does within SimpleITK.
_TWELVE_BIT = frozenset({f"{_ROOT}4.51", f"{_ROOT}4.53", f"{_ROOT}4.55"})
_JPEG_2000 = frozenset({f"{_ROOT}4.90", f"{_ROOT}4.91"})
_BYTE = 8
#: ISO/IEC 15444-1 A.5.1: Csiz, Ssiz, XRsiz, YRsiz of the SIZ segment of a codestream, counted from SOC.
_J2K_START, _J2K_COMPONENTS = b"\xff\x4f\xff\x51", struct.Struct(">HBBB")
_J2K_COMPONENTS_AT = 40
_NUMBER_OF_FRAMES = 0x00280008


def decoded_frame(instance: Instance, index: int) -> tuple[Pixels, Mapping[str, Any]]:
    """Frame `index` (from 0) as its codec or encoding gives it, and what pydicom says of it then.

    (rows, columns) or, of several samples, (rows, columns, samples); `photometric_interpretation` in the second value
    is what the samples are after the codec. Raise NotEvaluable (gate "decode") where it is cut off, broken, of another
    size than its header says or in a syntax that nothing here decodes.
    """
    try:
        compressed = instance.syntax not in UNCOMPRESSED
        frame = encapsulated_frame(instance, index) if compressed else _native_frame(instance, index)
        if not compressed:
            return _by_pydicom(instance, frame, "")
        if instance.syntax in _TWELVE_BIT and int(instance.dataset.BitsStored) != _BYTE:
            return _by_gdcm(instance, frame)
        if _is_plain_j2k(instance, frame):
            return _by_openjpeg(instance, frame)
        return _by_plugins(instance, frame)
    except MemoryError:
        raise undecodable("it wants more memory than one image may have") from None
    except BROKEN as error:
        raise undecodable("it is cut off or broken") from error


def encapsulated_frame(instance: Instance, index: int) -> bytes:
    """The codestream of a frame, checked to be whole and of the size that the header says."""
    header = instance.dataset
    if instance.syntax not in _PLUGINS and instance.syntax not in _TWELVE_BIT:
        raise undecodable(f"there is no decoder for {name_of(instance.syntax)}")
    offsets = (
        (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths) if "ExtendedOffsetTable" in header else None
    )
    frames = int(header.get("NumberOfFrames") or 1)
    frame = get_frame(_View(instance.pixels), index, number_of_frames=frames, extended_offsets=offsets)
    if not is_whole(frame):
        raise undecodable("it is cut off or broken")
    if declared_size(frame) not in (None, (int(header.Rows), int(header.Columns))):
        raise undecodable("it has another size than its header says")
    return frame


def undecodable(why: str) -> NotEvaluable:
    """The error of an image whose pixels cannot be had."""
    return NotEvaluable(f"an image of the series cannot be decoded: {why}", gate="decode")


class _View(io.RawIOBase):
    """A mapped value as the file that pydicom wants to read fragments from; only what it reads is copied."""

    def __init__(self, data: memoryview | None) -> None:
        super().__init__()
        self._data = memoryview(b"") if data is None else data
        self._at = 0

    def readable(self) -> bool:
        """True: see io.IOBase."""
        return True

    def seekable(self) -> bool:
        """True: see io.IOBase."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """See io.RawIOBase; never less than is there."""
        end = len(self._data) if size is None or size < 0 else min(self._at + size, len(self._data))
        value = bytes(self._data[self._at : end])
        self._at = max(self._at, end)
        return value

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io.IOBase."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """See io.IOBase."""
        return self._at


def _native_frame(instance: Instance, index: int) -> bytes:
    """The bytes of one uncompressed frame; YBR_FULL_422 has two samples of colour for every four pixels."""
    header = instance.dataset
    samples = int(header.get("SamplesPerPixel", 1))
    size = int(header.Rows) * int(header.Columns) * samples * (int(header.BitsAllocated) // _BYTE)
    if samples > 1 and header.get("PhotometricInterpretation") == "YBR_FULL_422":
        size = size // 3 * 2
    frame = native_bytes(instance, index * size, (index + 1) * size)
    return frame + bytes(size % 2)


def native_bytes(instance: Instance, first: int, last: int) -> bytes:
    """Bytes of uncompressed pixel data in their order, also where OW in big endian has them swapped in pairs.

    For at most 8 bits allocated; larger numbers are as the transfer syntax has them.
    """
    pixels = instance.pixels
    if pixels is None or not 0 <= first < last <= len(pixels):
        raise undecodable("it is cut off or broken")
    if (
        instance.syntax != ExplicitVRBigEndian
        or instance.pixel_vr != "OW"
        or int(instance.dataset.BitsAllocated) > _BYTE
    ):
        return bytes(pixels[first:last])
    start = first - first % 2
    words = np.frombuffer(pixels[start : last + last % 2], dtype="<u2").byteswap().tobytes()
    return words[first - start : last - start]


def _by_plugins(instance: Instance, frame: bytes) -> tuple[Pixels, Mapping[str, Any]]:
    plugins = _PLUGINS[instance.syntax]
    for plugin in plugins[:-1]:
        try:
            return _by_pydicom(instance, frame, plugin)
        except RuntimeError:  # what pydicom makes of everything that a plug-in raises
            continue
    return _by_pydicom(instance, frame, plugins[-1])


def _is_plain_j2k(instance: Instance, frame: bytes) -> bool:
    """A JPEG 2000 codestream of one component of 9 to 16 bits for every pixel, signed as its header says."""
    header = instance.dataset
    shape = int(header.get("SamplesPerPixel", 1)), int(header.BitsAllocated)
    if instance.syntax not in _JPEG_2000 or shape != (1, 2 * _BYTE) or not frame.startswith(_J2K_START):
        return False
    count, precision, across, down = _J2K_COMPONENTS.unpack_from(frame, _J2K_COMPONENTS_AT)
    signed, less_one = precision >> 7, precision & 0x7F
    return (count, across, down, signed) == (1, 1, 1, int(header.PixelRepresentation)) and _BYTE <= less_one < 2 * _BYTE


def _by_openjpeg(instance: Instance, frame: bytes) -> tuple[Pixels, Mapping[str, Any]]:
    """The bits are what pydicom's plug-in gives; gdcm is asked, as there, where the codec refuses."""
    try:
        values = openjpeg.utils.decode(frame, 0, reshape=False)
    except RuntimeError:
        return _by_pydicom(instance, frame, "gdcm")
    header = instance.dataset
    array = values.view("<i2" if int(header.PixelRepresentation) == 1 else "<u2")
    shape = int(header.Rows), int(header.Columns)
    return array.reshape(shape), {"photometric_interpretation": header.get("PhotometricInterpretation", "")}


def _by_pydicom(instance: Instance, frame: bytes, plugin: str) -> tuple[Pixels, Mapping[str, Any]]:
    whole = Dataset()
    whole.update(instance.dataset)
    whole.file_meta = instance.dataset.file_meta
    whole.set_original_encoding(*instance.dataset.original_encoding)
    whole.add_new(_NUMBER_OF_FRAMES, "IS", 1)  # a new element: the old one is the instance's too
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in whole:
            del whole[keyword]
    vr = "OB" if plugin or whole.BitsAllocated <= _BYTE else "OW"
    whole.add_new(PIXEL_DATA, vr, encapsulate([frame], has_bot=False) if plugin else frame)
    whole[PIXEL_DATA].is_undefined_length = bool(plugin)
    with _no_panic():
        array, described = get_decoder(UID(instance.syntax)).as_array(whole, index=0, raw=True, decoding_plugin=plugin)
    return array, dict(described)


@contextmanager
def _no_panic() -> Iterator[None]:
    """A codec in Rust (RLE) that trips raises no Exception, of a class that cannot be imported."""
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise RuntimeError("the codec panicked") from None


def _by_gdcm(instance: Instance, frame: bytes) -> tuple[Pixels, Mapping[str, Any]]:
    """Monochrome JPEG of more than 8 bits."""
    header = instance.dataset
    rows, columns, allocated = int(header.Rows), int(header.Columns), int(header.BitsAllocated)
    stored, signed = int(header.BitsStored), int(header.PixelRepresentation) == 1
    if int(header.get("SamplesPerPixel", 1)) != 1 or allocated != 2 * _BYTE:
        raise undecodable("JPEG of 12 bits in colour is not read")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str.__str__(instance.syntax))))
    image.SetPixelFormat(gdcm.PixelFormat(1, allocated, stored, stored - 1, int(signed)))
    # gdcm hands a buffer over as text
    values = image.GetBuffer().encode("utf-8", "surrogateescape")
    array = np.frombuffer(values, dtype="<i2" if signed else "<u2")
    return array.reshape(rows, columns), {"photometric_interpretation": header.get("PhotometricInterpretation", "")}
