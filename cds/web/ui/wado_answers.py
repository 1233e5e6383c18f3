"""Answers of WADO-RS: whole instances and frames, uncompressed or as they are stored (PS3.18 sections 8.7 and 10.4)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from flask import Response, request

from cds.ui import qido
from cds.ui.dicomweb import EXPLICIT_LITTLE_ENDIAN, DicomwebServices, Kept
from cds.web.ui.media import ANY_SYNTAX, MULTIPART, Wanted, parts, wanted

DICOM, OCTETS = "application/dicom", "application/octet-stream"
_CHUNK = 1024 * 1024


def accepted() -> list[Wanted]:
    """What the caller takes, by the query parameter `accept` (PS3.18 section 8.3.3.1) or the header."""
    return wanted(request.args.get("accept") or request.headers.get("Accept", ""))


def instances(services: DicomwebServices, kept: Sequence[Kept], one: Wanted) -> Response | None:
    """Instances as one range wants them; None where that cannot be."""
    if not one.takes(DICOM) or (not one.is_multipart and len(kept) > 1):
        return None
    if one.transfer_syntax in ("", EXPLICIT_LITTLE_ENDIAN):
        told = ((f"{DICOM}; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}", _plain(services, each)) for each in kept)
    elif all(one.transfer_syntax in (ANY_SYNTAX, each.transfer_syntax) for each in kept):
        told = ((f"{DICOM}; transfer-syntax={each.transfer_syntax}", _file(each)) for each in kept)
    else:
        return None
    first = next(told)  # what cannot be decoded is told before an answer begins
    return _several(DICOM, chain((first,), told)) if one.is_multipart else _alone(*first)


def frames(services: DicomwebServices, kept: Kept, numbers: Sequence[int], one: Wanted) -> Response | None:
    """Frames as one range wants them; None where that cannot be."""
    form = _form(kept, one)
    if not form or (not one.is_multipart and len(numbers) > 1):
        return None
    found = services.frames(kept, numbers, one.transfer_syntax == ANY_SYNTAX or _is_stored(kept, one))
    told = ((f"{form}; transfer-syntax={each.transfer_syntax}", each.body) for each in found)
    first = next(told)
    return _several(form, chain((first,), told)) if one.is_multipart else _alone(*first)


def alone_or_not(form: str, body: bytes, one: Wanted) -> Response:
    """A value by itself, or as the one part of several."""
    return _several(form, [(form, body)]) if one.is_multipart else _alone(form, body)


def _form(kept: Kept, one: Wanted) -> str:
    """The media type of frames that a range is answered with; "" where it cannot be."""
    stored = qido.MEDIA.get(kept.transfer_syntax, "")
    if one.takes(OCTETS):
        plain = one.transfer_syntax in ("", ANY_SYNTAX, EXPLICIT_LITTLE_ENDIAN)
        return OCTETS if plain or _is_stored(kept, one) else ""
    fits = one.transfer_syntax in ("", ANY_SYNTAX, kept.transfer_syntax)
    return stored if stored and one.takes(stored) and fits else ""


def _is_stored(kept: Kept, one: Wanted) -> bool:
    """Whether a range asks for what the file has."""
    if one.transfer_syntax:
        return one.transfer_syntax == kept.transfer_syntax
    return not one.takes(OCTETS)


def _plain(services: DicomwebServices, kept: Kept) -> bytes | Iterable[bytes]:
    return _file(kept) if kept.transfer_syntax == EXPLICIT_LITTLE_ENDIAN else services.plain(kept)


def _file(kept: Kept) -> Iterator[bytes]:
    with kept.file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            yield chunk


def _alone(content_type: str, body: bytes | Iterable[bytes]) -> Response:
    return Response(body, content_type=content_type)


def _several(form: str, told: Iterable[tuple[str, bytes | Iterable[bytes]]]) -> Response:
    boundary = secrets.token_hex(16)
    content_type = f'{MULTIPART}; type="{form}"; boundary={boundary}'
    return Response(parts(boundary, told), content_type=content_type)
