"""The priority of a study in a worklist that speaks UPS-RS (PS3.18 section 11; PS3.4 annex CC)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from adapters.dicom.dicom_json import Item, items, text, uid
from adapters.dicom.dicomweb import DICOM_JSON, Dicomweb, judge
from adapters.dicom.header import check_uid
from cds.errors import PeerRefused
from cds.imaging_peers import DicomwebServer

Priority = Literal["HIGH", "MEDIUM", "LOW"]

_WORKITEM, _STUDY, _ACCESSION = "00080018", "0020000D", "00080050"
_STATE, _PRIORITY = "00741000", "00741200"
#: Referenced Request Sequence and Input Information Sequence: where a workitem names its study.
_REQUEST, _INPUT = "0040A370", "00404021"
_SCHEDULED = "SCHEDULED"
_RANK = {"LOW": 0, "MEDIUM": 1, "HIGH": 2}
#: Another client claimed or ended it meanwhile (PS3.18 table 11.6.3-1).
_TOO_LATE = (404, 409, 410)
_MOST = 100
_BEFORE = "; before: "
_MARK_DIGITS = 12
_MARK = re.compile(r"([0-9a-f]{12}) ([A-Z]+)")


class UpsClient:
    """Changes workitems at one server, with one connection for each call; thread-safe."""

    def __init__(self, server: DicomwebServer, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s

    def raise_priority(self, priority: Priority, *, study_instance_uid: str = "", accession_number: str = "") -> str:
        """Give the scheduled workitems of a study this priority, and say what was done; none is lowered by it.

        Raise PeerRefused where the study has no scheduled workitem, or as `Dicomweb` does.
        """
        if not study_instance_uid and not accession_number:
            raise ValueError("want a Study Instance UID or an accession number")
        if study_instance_uid:
            check_uid(study_instance_uid)
        with Dicomweb(self._server, self._timeout_s) as web:
            found = _scheduled(web, study_instance_uid, accession_number)
            if not found:
                raise PeerRefused("no scheduled workitem")
            lower = [one for one in found if _RANK.get(text(one, _PRIORITY), -1) < _RANK[priority]]
            changed = [one for one in lower if _change(web, uid(one, _WORKITEM), priority)]
        if lower and not changed:
            raise PeerRefused("no scheduled workitem any more: begun or ended meanwhile")
        had = len(found) - len(lower)
        return f"{priority} set for {len(changed)} of {len(found)} scheduled workitems, {had} had it{_before(changed)}"

    def end_raise(
        self,
        priority: Priority,
        before: Mapping[str, Priority],
        *,
        study_instance_uid: str = "",
        accession_number: str = "",
    ) -> str:
        """Give what `raise_priority` raised to this priority back what it had, see `read_before`; say what was done.

        A workitem that was begun, or that has another priority by now, is left as it is.
        """
        with Dicomweb(self._server, self._timeout_s) as web:
            found = _scheduled(web, study_instance_uid, accession_number)
            raised = [one for one in found if _mark(one) in before and text(one, _PRIORITY) == priority]
            changed = [one for one in raised if _change(web, uid(one, _WORKITEM), before[_mark(one)])]
        return f"{len(changed)} of {len(before)} scheduled workitems have their own priority again"


def read_before(answer: str) -> dict[str, Priority]:
    """What workitems had before they were raised, from the answer of `raise_priority`, by a digest of their UIDs."""
    _, _, told = answer.partition(_BEFORE)
    return {mark: had for mark, had in _MARK.findall(told) if had in _RANK}


def _before(changed: Sequence[Item]) -> str:
    """Only what says its priority can be given it back; no UID in it, since people read the answer."""
    told = [f"{_mark(one)} {text(one, _PRIORITY)}" for one in changed if text(one, _PRIORITY) in _RANK]
    return f"{_BEFORE}{', '.join(told)}" if told else ""


def _mark(workitem: Item) -> str:
    return hashlib.sha256(uid(workitem, _WORKITEM).encode()).hexdigest()[:_MARK_DIGITS]


def _scheduled(web: Dicomweb, study: str, accession: str) -> list[Item]:
    """What the server finds is looked at again: one that ignores a key would find the work of all patients."""
    found: dict[str, Item] = {}
    for key in _keys(study, accession):
        fields = [("includefield", tag) for tag in (_STATE, _PRIORITY, _STUDY, _REQUEST, _INPUT)]
        page, _more = web.search("/workitems", [key, (_STATE, _SCHEDULED), *fields, ("limit", str(_MOST))])
        for one in page[:_MOST]:
            if text(one, _STATE) == _SCHEDULED and _is_of(one, study, accession):
                found[uid(one, _WORKITEM)] = one
        if found:
            break
    return list(found.values())


def _keys(study: str, accession: str) -> Iterator[tuple[str, str]]:
    if study:
        yield f"{_REQUEST}.{_STUDY}", study
        yield f"{_INPUT}.{_STUDY}", study
        yield _STUDY, study  # not in the standard, and yet the only key of some servers
    if accession:
        yield f"{_REQUEST}.{_ACCESSION}", accession


def _is_of(workitem: Item, study: str, accession: str) -> bool:
    """By its study where it names one: accession numbers are reused."""
    places = [workitem, *items(workitem, _REQUEST), *items(workitem, _INPUT)]
    studies = {text(place, _STUDY) for place in places} - {""}
    if study and studies:
        return study in studies
    return bool(accession) and accession in {text(place, _ACCESSION) for place in places}


def _change(web: Dicomweb, workitem: str, priority: Priority) -> bool:
    """Update Workitem; a scheduled one needs no Transaction UID (PS3.18 section 11.6). False where it came too late."""
    change = json.dumps([{_PRIORITY: {"vr": "CS", "Value": [priority]}}]).encode()
    headers = {"Content-Type": DICOM_JSON, "Accept": DICOM_JSON}
    with web.send("POST", f"/workitems/{workitem}", headers, change) as answer:
        if answer.status in _TOO_LATE:
            return False
        judge(answer)
        answer.body()
        return True
