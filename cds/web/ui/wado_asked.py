"""What a caller of DICOMweb asks: the values of addresses and queries, checked (PS3.18 sections 8.3 and 10.6.1.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime

from flask import request

from cds.errors import InvalidInput, NotFound
from cds.ui import qido
from cds.ui.dicomweb import Matching, Named, StudySearch
from cds.ui.pictures import Look
from cds.web.ui.images import window

ABOUT_SERIES = frozenset({"SeriesInstanceUID", "Modality", "SeriesNumber"})
ABOUT_INSTANCES = frozenset({"SOPInstanceUID", "SOPClassUID", "InstanceNumber"})
_ABOUT_STUDIES = frozenset({"StudyInstanceUID", "PatientID", "AccessionNumber", "StudyDate", "ModalitiesInStudy"})
#: Said of the answer, not of what is searched (PS3.18 section 8.3.4).
_PAGING = frozenset({"limit", "offset", "includefield", "fuzzymatching", "accept"})
_KEYWORDS = {tag: keyword for keyword, (tag, _) in qido.KEYS.items()}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_PATH = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,4}/[0-9A-Fa-f]{8}){0,8}")
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}")
_LONGEST_UID, _LONGEST_VALUE = 64, 64
_MOST, _MOST_FRAMES, _MOST_UIDS = 1000, 1000, 100
_DIGITS = 6
_LARGEST_SIDE, _LARGEST_QUALITY = 8192, 100


def search() -> StudySearch:
    """QIDO-RS for studies; raise InvalidInput for a key that nothing is searched by: it would find too much."""
    given = _given(_ABOUT_STUDIES)
    since, until = _days(given.get("StudyDate", ""))
    modality = given.get("ModalitiesInStudy", "")
    if modality and not _MODALITY.fullmatch(modality):
        raise InvalidInput("ModalitiesInStudy: want a modality, e.g. CT")
    uids = tuple(uid for uid in given.get("StudyInstanceUID", "").replace("\\", ",").split(",") if uid)
    if len(uids) > _MOST_UIDS:
        raise InvalidInput(f"StudyInstanceUID: want at most {_MOST_UIDS}")
    return StudySearch(
        uids=uids,
        patient_id=given.get("PatientID", ""),
        accession_number=given.get("AccessionNumber", ""),
        since=since,
        until=until,
        modality=modality,
        limit=_paging("limit", 100),
        offset=_paging("offset", 0),
    )


def matching(about: frozenset[str]) -> Matching:
    """QIDO-RS below a study."""
    return Matching(_given(about), _paging("limit", _MOST), _paging("offset", 0))


def named(study: str, series: str, instance: str) -> Named:
    """What an address names; raise NotFound for what cannot be a UID (PS3.5 section 9.1)."""
    for uid in filter(None, (study, series, instance)):
        if len(uid) > _LONGEST_UID or not _UID.fullmatch(uid):
            raise NotFound("want UIDs in the address: numbers with dots between them")
    return Named(study, series, instance)


def frames(told: str) -> list[int]:
    """Frame numbers from 1, with commas between them."""
    numbers = [int(one) if one.isdecimal() and len(one) <= _DIGITS else 0 for one in told.split(",")]
    if not all(numbers) or len(numbers) > _MOST_FRAMES:
        raise InvalidInput(f"want frame numbers from 1, with commas between them, at most {_MOST_FRAMES}")
    return numbers


def path(told: str) -> str:
    """A path of tags and item numbers, as metadata gives it."""
    if not _PATH.fullmatch(told):
        raise NotFound("The image has no such value.")
    return told.upper()


def look(form: str, longest: int) -> Look:
    """How a rendered picture is wanted (PS3.18 section 8.3.5.1)."""
    sides = list(_sides(request.args.get("viewport", "")))
    quality = request.args.get("quality", "90")
    if not (quality.isdecimal() and 1 <= int(quality[:_DIGITS]) <= _LARGEST_QUALITY):
        raise InvalidInput("quality: want 1 to 100")
    side = longest or min(sides, default=0)
    return Look(window(request.args.get("window", "")), form, side, int(quality))


def _sides(viewport: str) -> Iterator[int]:
    for side in filter(None, viewport.split(",")[:2]):
        if not side.isdecimal() or not 0 < int(side[:_DIGITS]) <= _LARGEST_SIDE:
            raise InvalidInput(f"viewport: want width,height in pixels, at most {_LARGEST_SIDE}")
        yield int(side)


def _given(about: frozenset[str]) -> dict[str, str]:
    """Keys by keyword, whether they were named so or by tag; empty values ask for nothing."""
    found: dict[str, str] = {}
    for name, value in request.args.items():
        keyword = _KEYWORDS.get(name.upper(), name)
        if name in _PAGING or not value:
            continue
        if keyword not in about:
            raise InvalidInput(f"want a search by {', '.join(sorted(about))}")
        if len(value) > _LONGEST_VALUE * _MOST_UIDS or (keyword != "StudyInstanceUID" and "*" in value):
            raise InvalidInput(f"{keyword}: want one whole value")
        found[keyword] = value
    return found


def _paging(name: str, default: int) -> int:
    told = request.args.get(name, "")
    if told and not (told.isdecimal() and len(told) <= _DIGITS):
        raise InvalidInput(f"{name}: want a whole number")
    number = int(told) if told else default
    return min(number, _MOST) if name == "limit" else number


def _days(told: str) -> tuple[date | None, date | None]:
    """A day, or a range of days (PS3.4 section C.2.2.2.5)."""
    first, dash, last = told.partition("-")
    since = _day(first)
    return since, (_day(last) if dash else since)


def _day(told: str) -> date | None:
    try:
        return datetime.strptime(told, "%Y%m%d").date() if told else None
    except ValueError:
        raise InvalidInput("StudyDate: want YYYYMMDD, or two with a hyphen between them") from None
