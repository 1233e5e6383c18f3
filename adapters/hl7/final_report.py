"""The radiologist's report as ORU^R01: what the RIS signed under an accession number (SAFETY section 3).

A laboratory's results are none, nor is what Sightline itself sends. Text and codes are taken as they are; whether they
agree with a finding is for `cds.agreement`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.hl7.coded import SYSTEMS, codings
from adapters.hl7.context import Context
from adapters.hl7.groups import Group, read_groups
from adapters.hl7.message import Message, Segment, Value
from adapters.hl7.order import read_accession, states_study
from adapters.hl7.own import is_own, is_own_result
from cds.domain.coding import Coding
from cds.domain.finding import Presence
from cds.domain.identity import Identifier
from cds.domain.message import RawMessage
from cds.domain.verification import FinalReport, Stated

#: HL7 table 0074, the sections that make images, and modalities that senders write there (PS3.3 C.7.3.1.1.1).
_IMAGING = frozenset(
    {"CT", "CUS", "NMR", "NMS", "OUS", "RAD", "RUS", "RX", "VUS", "XRC"}
    | {"CR", "DX", "MG", "MR", "NM", "PT", "RF", "US", "XA"}
)
#: LOINC codes of radiology reports and of their parts, as R4 examples, IHE IMR, IHE IDR and hl7-eu/imaging use them.
_REPORTS = frozenset(
    {"18748-4", "85430-7", "68604-8", "18726-0", "24627-2", "29252-4", "24725-4", "30799-1", "36643-5", "36554-4"}
    | {"30746-2", "24606-6", "59776-5", "19005-8"}
)
#: What an OBX is a section of: by LOINC code, or by the suffix of OBX-3.1 (HL7 v2.5.1 section 7.2.3).
_IMPRESSION = "IMPRESSION"
_SECTIONS = {
    "59776-5": "FINDINGS",
    "19005-8": _IMPRESSION,
    "18783-1": "RECOMMENDATION",
    "18834-2": "COMPARISON",
    "18785-6": "INDICATION",
    "73568-8": "COMMUNICATION",
    "IMP": _IMPRESSION,
    "GDT": "FINDINGS",
    "REC": "RECOMMENDATION",
    "ADT": "ADDENDUM",
}
#: OBR-25, HL7 table 0123; W and D are of table 0085. O, I and S announce a report, Y and Z answer queries.
_STATUS = {
    "F": "final",
    "C": "corrected",
    "X": "cancelled",
    **dict.fromkeys(("W", "D"), "entered-in-error"),
    **dict.fromkeys(("P", "R", "A", "M"), "preliminary"),
}
#: OBX-11, HL7 table 0085.
_SIGNED, _CORRECTED = frozenset({"F", "C", "U"}), "C"
_WRONG, _UNSIGNED = frozenset({"W", "D"}), frozenset({"P", "R", "S"})
#: SNOMED CT qualifiers and HL7 table 0078.
_PRESENCES = {
    "260373001": Presence.PRESENT,
    "52101004": Presence.PRESENT,
    "260415000": Presence.NOT_DETECTED,
    "2667000": Presence.NOT_DETECTED,
}
_INTERPRETATIONS = {"DET": Presence.PRESENT, "ND": Presence.NOT_DETECTED}
_CODED = ("CE", "CWE", "CNE", "CF")
#: What is a UID standing alone (PS3.5 section 9.1) and no measure or number of a line.
_UID = re.compile(r"[0-2](?:\.\d+){4,}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Part:
    """One OBR with its OBX: several of them may make up the report of one accession number."""

    accession: Identifier
    status: str
    issued: datetime | None
    identifier: str
    stated: tuple[Stated, ...]
    text: str


def read_final_reports(
    message: Message, patient: Identifier, context: Context, raw: RawMessage
) -> tuple[FinalReport, ...]:
    """One report for each accession number; what takes reports back stands first. () where there is none."""
    if message.first("MSH").text(9) != "ORU" or is_own(message):
        return ()
    parts = [part for group in read_groups(message) if (part := _part(group, context))]
    withdrawn = [[part] for part in parts if part.status in ("cancelled", "entered-in-error")]
    standing: dict[Identifier, list[_Part]] = {}
    for part in parts:
        if [part] not in withdrawn:
            standing.setdefault(part.accession, []).append(part)
    return tuple(_report(one, patient, raw) for one in (*withdrawn, *standing.values()))


def _report(parts: Sequence[_Part], patient: Identifier, raw: RawMessage) -> FinalReport:
    """The report is as far as its least signed part."""
    statuses = {part.status for part in parts}
    order = ("preliminary", "corrected", "final")
    return FinalReport(
        accession=parts[0].accession,
        patient=patient,
        status=next((status for status in order if status in statuses), parts[0].status),
        issued=max((part.issued for part in parts if part.issued), default=None),
        source=f"HL7 {raw.sender}",
        received_at=raw.received_at,
        stated=tuple(dict.fromkeys(stated for part in parts for stated in part.stated)),
        text="\n\n".join(part.text for part in parts if part.text),
        identifier=next((part.identifier for part in parts if part.identifier), ""),
    )


def _part(group: Group, context: Context) -> _Part | None:
    results = [segment for segment in group.all("OBX") if not states_study(segment)]
    if not group.obr.name or not _is_radiology(group.obr, results):
        return None
    if not results and group.all("OBX"):  # it announces images: nobody has reported on them
        return None
    status = _status(group.obr.text(25).upper(), [segment.text(11).upper() for segment in results])
    if status is None:
        return None
    accession = read_accession(group, Segment("", group.obr.syntax), context)
    if accession is None:
        context.note("a radiology report without an accession number was left out")
        return None
    number = group.number(3, context)
    signed = [segment for segment in results if segment.text(11).upper() in ("", *_SIGNED)]
    return _Part(
        accession,
        status,
        context.moment(group.obr, 22),
        f"{number.assigner}|{number.value}" if number else "",
        tuple(stated for segment in signed for stated in _stated(segment, context)),
        _text(signed, context),
    )


def _is_radiology(obr: Segment, results: Sequence[Segment]) -> bool:
    """By the diagnostic section, or by a code of radiology reports; never what we made ourselves."""
    if is_own_result(obr):
        return False
    section = obr.text(24).upper()
    values = [obr.value(4), *(segment.value(3) for segment in results)]
    return section in _IMAGING or (not section and any(_report_code(value) in _REPORTS for value in values))


def _report_code(value: Value) -> str:
    """The LOINC code of a value without its suffix; empty where it is none."""
    for code, system in ((1, 3), (4, 6)):
        if SYSTEMS.get(value.text(system).upper()) == SYSTEMS["LN"]:
            return value.text(code, 1)
    return ""


def _status(stated: str, results: Sequence[str]) -> str | None:
    """What OBR-25 says as far as OBX-11 bears it out; without OBR-25 what all of OBX-11 say. None for no report."""
    told = [result for result in results if result]
    status = _STATUS.get(stated)
    if status not in ("final", "corrected") and (stated or not told):
        return status
    if told and _WRONG.issuperset(told):
        return "entered-in-error"
    if told and (not _SIGNED & set(told) or (not stated and _UNSIGNED & set(told))):
        return "preliminary"
    return status or ("corrected" if _CORRECTED in told else "final")


def _stated(segment: Segment, context: Context) -> Iterator[Stated]:
    """A finding's code with whether it is there; or the code of an impression, which is there."""
    if segment.text(2).upper() not in _CODED:
        return
    values = segment.values(5)
    presence = _presence(segment, values, context)
    if presence is not None:
        yield from (Stated(code, presence) for code in codings(segment.value(3), context))
    elif _section(segment) == _IMPRESSION and len(values) == 1:
        yield from (Stated(code, Presence.PRESENT) for code in _findings(values[0], context))


def _presence(segment: Segment, values: Sequence[Value], context: Context) -> Presence | None:
    """OBX-5 by SNOMED CT, OBX-8 by table 0078; None where neither says so, or both differ."""
    stated = [code for value in values for code in codings(value, context) if code.system == SYSTEMS["SCT"]]
    said = {_PRESENCES[code.code] for code in stated if code.code in _PRESENCES}
    said |= {_INTERPRETATIONS[flag.text(1)] for flag in segment.values(8) if flag.text(1) in _INTERPRETATIONS}
    return said.pop() if len(said) == 1 else None


def _findings(value: Value, context: Context) -> list[Coding]:
    return [code for code in codings(value, context) if not code.system.startswith("urn:hl7v2:")]


def _section(segment: Segment) -> str:
    """The heading under which the text of an OBX stands; empty where it is the report as a whole."""
    code = segment.value(3)
    return _SECTIONS.get(code.text(1, 2)) or _SECTIONS.get(_report_code(code), "")


def _text(results: Sequence[Segment], context: Context) -> str:
    """The text of all OBX, with a heading wherever OBX-3 says that another section begins."""
    lines: list[str] = []
    current = ""
    for segment in results:
        text = _words(segment, context)
        if not text:
            continue
        section = _section(segment)
        if section != current:
            lines.append(f"{section or 'FINDINGS'}:")
            current = section
        lines.append(text)
    return "\n".join(lines)


def _words(segment: Segment, context: Context) -> str:
    kind = segment.text(2).upper()
    values = [value for value in segment.values(5) if not value.deleted]
    if kind in ("TX", "FT", "ST"):
        text = "\n".join(value.whole() for value in values)
        return "" if _UID.fullmatch(text) else text
    if kind in _CODED:
        return "\n".join(value.text(2) for value in values if not value.text(1))
    return "\n".join(_embedded(value, context) for value in values) if kind == "ED" else ""


def _embedded(value: Value, context: Context) -> str:
    """ED: source, type, subtype, encoding, data. Plain text alone is read; a PDF or CDA stays where it is."""
    if value.text(2).upper() != "TEXT" or value.text(3).upper() not in ("", "PLAIN"):
        return ""
    if value.text(4).upper() != "BASE64":
        return value.text(5)
    try:
        return base64.b64decode(value.text(5), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        context.note("an embedded text of a radiology report cannot be decoded: it was left out")
        return ""
