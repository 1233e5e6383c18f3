"""The nested table of the settings about images on the pages."""

from __future__ import annotations

import string
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cds.destinations import HttpUrl, Table

#: What an address of the site's own viewer may name. Never a patient: addresses are logged.
_NAMES = frozenset({"study_uid", "accession"})


def _names_a_study(address: str) -> str:
    named = {name for _, name, _, _ in string.Formatter().parse(address) if name is not None}
    if not named or named - _NAMES:
        raise ValueError("want an address with {study_uid} or {accession} in it, and nothing else in braces")
    if not address.startswith(("http://", "https://")):
        raise ValueError("want an address that begins with http:// or https://")
    return address


class Viewing(Table):
    """The image viewer of the pages, and DICOMweb beside it."""

    #: The site's own viewer: an address with {study_uid} or {accession} in it.
    url: Annotated[str, AfterValidator(_names_a_study)] | Literal[""] = ""
    #: Origins whose pages may read DICOMweb from a browser, e.g. https://ohif.example.
    origins: tuple[HttpUrl, ...] = ()
    #: Decoded and packed images that one process keeps in memory, bytes.
    cache_bytes: Annotated[int, Field(ge=16 * 1024 * 1024)] = 256 * 1024 * 1024
    #: Processes that decode for the pages, beside those of `dicom_limits`.
    decode_processes: Annotated[int, Field(ge=1, le=16)] = 1
