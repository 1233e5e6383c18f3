"""Transfer syntaxes (PS3.5 annex A): which ones are taken."""

from __future__ import annotations

from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import ALL_TRANSFER_SYNTAXES

from adapters.dicom.encodings import UNCOMPRESSED

__all__ = ["ACCEPTED_SYNTAXES", "UNCOMPRESSED"]

#: Deflate of a data set (1.2.1.99) or of frames (1.2.8.1) grows a thousandfold before anybody can look at it; JPIP
#: (1.2.4.94, .95, .204, .205) holds a URL instead of pixels; SMPTE streams (1.2.7) hold none.
_REFUSED = ("1.2.1.99", "1.2.8.1", "1.2.4.94", "1.2.4.95", "1.2.4.204", "1.2.4.205", "1.2.7.1", "1.2.7.2", "1.2.7.3")
_ROOT = "1.2.840.10008."

#: Best first, because the acceptor's order decides where one context offers several: what needs no decoder and keeps
#: its VRs, then without VRs, then the compressed ones, and the retired big endian last.
ACCEPTED_SYNTAXES: tuple[str, ...] = tuple(
    sorted(
        (str(syntax) for syntax in ALL_TRANSFER_SYNTAXES if str(syntax).removeprefix(_ROOT) not in _REFUSED),
        key=lambda syntax: {ExplicitVRLittleEndian: 0, ImplicitVRLittleEndian: 1, ExplicitVRBigEndian: 3}.get(
            UID(syntax), 2
        ),
    )
)
