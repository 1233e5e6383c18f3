"""What other parsers read of a message, in the terms of `cds hl7 inspect`: python-hl7 and hl7kit.

Which field means what is said again here; how a message is cut into fields is theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hl7
import hl7kit

from tests.contract.hl7_corpus import Sample

#: Letters and words of a priority, and sections that are no modality by their own name (HL7 tables 0485, 0074).
_PRIORITIES = {"STAT": "S", "ASAP": "A", "ROUTINE": "R", **{letter: letter for letter in "SARUTPC"}}
_MODALITIES = {"CT": "CT", "MR": "MR", "US": "US", "CR": "CR", "MG": "MG", "NM": "NM", "NMR": "MR", "CUS": "US"}
_ORDERS = ("ORM", "OMG", "OMI")


def by_python_hl7(sample: Sample, charset: str) -> list[dict[str, str]]:
    """One entry for each OBR with the ORC before it, for an ORC alone, or for the message."""
    text = re.sub(r"[\r\n]+", "\r", sample.block.decode(charset))
    read = _PythonHl7(hl7.parse(text))
    common = read.common()
    return [common | read.group(group) for group in read.groups()] or [common]


def by_hl7kit(sample: Sample) -> dict[str, str] | None:
    """The entry of the first order of a message; None where it cannot be parsed."""
    try:
        message = hl7kit.parse(sample.block)
    except hl7kit.ParseError:
        return None
    paths = {
        "control_id": "MSH-10", "version": "MSH-12.1", "family": "PID-5.1.1", "given": "PID-5.2",
        "order_control": "ORC-1", "order_status": "ORC-5", "procedure": "OBR-4.1", "procedure_text": "OBR-4.2",
    }  # fmt: skip
    found = {name: _plain(message.get(path)) for name, path in paths.items()}
    if len(sample.fields("PID", 5)) != 1 or "~" in sample.fields("PID", 5)[0]:
        del found["family"], found["given"]  # it knows the first name alone
    order = message.order()
    if order is not None:
        uid = order.study_uid.value if order.study_uid else ""
        found |= {"accession": _plain(order.accession_number), "study_uid": uid, "patient_id": _plain(order.patient_id)}
    return found


def _plain(text: str | None) -> str:
    stripped = (text or "").strip(" ")
    return "" if stripped == '""' else stripped


@dataclass(frozen=True)
class _PythonHl7:
    message: Any

    def common(self) -> dict[str, str]:
        """What does not depend on an order."""
        header, pid = self._first("MSH"), self._first("PID")
        kind = [self._leaf(header, 9), self._leaf(header, 9, 2) or self._leaf(self._first("EVN"), 1)]
        return {
            "msg_type": "_".join(filter(None, kind)),
            "version": self._leaf(header, 12),
            "control_id": self._leaf(header, 10),
            "patient_id": self._leaf(pid, 3),
            "assigner": self._leaf(pid, 3, 4, 1),
            "family": self._leaf(pid, 5, 1, 1, repetition=self._name(pid)),
            "given": self._leaf(pid, 5, 2, repetition=self._name(pid)),
        }

    def _name(self, pid: Any) -> int:
        """Which name is shown: the first that is no alias or former name, else the first."""
        names = range(1, len(pid[5]) + 1 if pid is not None and len(pid) > 5 else 1)
        return next((name for name in names if self._leaf(pid, 5, 7, repetition=name) in ("", "L", "D")), 1)

    def groups(self) -> list[list[Any]]:
        """[ORC, OBR, and what follows]; either may be None."""
        found: list[list[Any]] = []
        for segment in self.message:
            name = str(segment[0])
            if name == "ORC":
                found.append([segment, None])
            elif name == "OBR" and found and found[-1][1] is None:
                found[-1][1] = segment
            elif name == "OBR":
                found.append([found[-1][0] if found else None, segment])
            elif found:
                found[-1].append(segment)
        return found

    def group(self, group: list[Any]) -> dict[str, str]:
        """What an order says."""
        orc, obr, rest = group[0], group[1], group[2:]
        shared = sum(1 for other in self.groups() if other[0] is orc) > 1
        numbers = (obr, orc) if shared and orc is not None and self.groups()[0][1] is not obr else (orc, obr)
        ipc = next((segment for segment in rest if str(segment[0]) == "IPC"), None)
        zds = next((segment for segment in rest if str(segment[0]) == "ZDS"), None)
        timing = [self._leaf(segment, 9) for segment in rest if str(segment[0]) == "TQ1"]
        stated = [*timing, self._leaf(orc, 7, 6), self._leaf(obr, 27, 6), self._leaf(obr, 5)]
        letters = (_PRIORITIES[code.upper()] for code in stated if code.upper() in _PRIORITIES)
        return {
            "order_control": self._leaf(orc, 1),
            "order_status": self._leaf(orc, 5),
            "placer": next(filter(None, (self._leaf(segment, 2) for segment in numbers)), ""),
            "filler": next(filter(None, (self._leaf(segment, 3) for segment in numbers)), ""),
            "accession": self._leaf(ipc, 1) or self._leaf(obr, 18),
            "study_uid": self._leaf(ipc, 3) or self._leaf(zds, 1),
            "procedure": self._leaf(obr, 4),
            "procedure_text": self._leaf(obr, 4, 2) or self._leaf(obr, 4, 5),
            "alt_code": self._leaf(obr, 4, 4) or self._leaf(obr, 44),
            "modality": _MODALITIES.get((self._leaf(ipc, 5) or self._leaf(obr, 24)).upper(), ""),
            "priority": next(letters, ""),
            "reason": "; ".join(self._reasons(obr)),
            "clinical_info": self._whole(obr, 13),
        }

    def _reasons(self, obr: Any) -> Iterator[str]:
        for repetition in range(1, len(obr[31]) + 1 if obr is not None and len(obr) > 31 else 1):
            text = self._leaf(obr, 31, 2, repetition=repetition) or self._leaf(obr, 31, 1, repetition=repetition)
            if text:
                yield text

    def _first(self, name: str) -> Any:
        return next((segment for segment in self.message if str(segment[0]) == name), None)

    def _leaf(self, segment: Any, number: int, component: int = 1, sub: int = 0, *, repetition: int = 1) -> str:
        """One leaf, unescaped; a component with stray subcomponents as it is written, unless one is asked for."""
        found = _at(_at(_at(segment, number), repetition - 1), component - 1)
        if sub:
            found = _at(found, sub - 1)
        return _plain(self.message.unescape(str(found)))

    def _whole(self, segment: Any, number: int) -> str:
        return _plain(self.message.unescape(str(_at(segment, number))).replace("\r", "\n"))


def _at(container: Any, index: int) -> Any:
    """A part of what python-hl7 cut; what it did not cut has one part."""
    if container is None:
        return ""
    if isinstance(container, str):
        return container if index == 0 else ""
    return container[index] if index < len(container) else ""
