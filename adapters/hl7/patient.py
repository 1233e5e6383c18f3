"""PID to a Patient (v2-to-fhir PID[Patient])."""

from __future__ import annotations

import re
from collections.abc import Sequence

from adapters.hl7.context import Context
from adapters.hl7.message import Segment, Value
from cds import race
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.message import RecordValue
from cds.errors import InvalidMessage

#: HL7 table 0001.
_SEXES = {"F": Sex.FEMALE, "M": Sex.MALE, "O": Sex.OTHER, "U": Sex.UNKNOWN, "A": Sex.OTHER, "N": Sex.OTHER}
_DEMOGRAPHICS = {5: "name", 7: "birth_date", 8: "sex", 29: "deceased", 30: "deceased"}
#: HL7 table 0189.
_ETHNIC_GROUPS = {"H": race.HISPANIC.code, "N": race.NOT_HISPANIC.code}
#: HL7 table 0203: types that number a patient, so that the site's authority may be assumed for them.
_PATIENT_NUMBERS = frozenset({"", "MR", "PI", "PT"})
#: HL7 table 0203: types that number one person at their authority. Medical records and persons (temporary ones too), a
#: nation's or jurisdiction's numbers, and the insured person's own; U is "unspecified". All others number something
#: else, or several people: accounts, visits, subscribers of a family's policy, licences, documents, cards, employees.
_PERSON_NUMBERS = _PATIENT_NUMBERS | {"MRT", "PE", "PN", "PNT", "NI", "NH", "SS", "HC", "JHN", "MA", "MC", "U"}
#: NNxxx of table 0203: a nation's number of a person, xxx is the country (ISO 3166).
_NATIONAL = re.compile(r"NN[A-Z]{3}")
#: HL7 table 0200: unstated, legal, display.
_OWN_NAMES = ("", "L", "D")
#: What senders write instead of a code of the table.
_WORDS = {"MRN": "MR", "SSN": "SS"}


def read_patient(pid: Segment, context: Context) -> tuple[Patient, Identifier]:
    """The patient, and the identifier that orders are filed under: the first of type MR or PI, else the first.

    What is empty is unknown in the Patient, and so is what the sender deletes, see `read_deletes`. Only identifiers of
    a person count (table 0203): an account or visit number that is given out again would make two patients one.
    InvalidMessage where none of them has an authority.
    """
    found = typed_identifiers(pid, 3, context)
    patient = Patient(
        identifiers=tuple(dict.fromkeys(identifier for identifier, _ in found)),
        name=_name(pid),
        birth_date=context.day(pid, 7),
        sex=_sex(pid.text(8), context),
        deceased=_deceased(pid, context),
    )
    return patient, next((identifier for identifier, kind in found if kind in ("MR", "PI")), found[0][0])


def read_deletes(pid: Segment, context: Context) -> frozenset[str]:
    """What of the patient the sender wants deleted (`""`, HL7 v2.5.1 section 2.5.3): names as in MessageContent.

    That somebody died is deleted where neither PID-29 nor PID-30 says it or the contrary any more.
    """
    wanted = {name: number for number, name in _DEMOGRAPHICS.items() if _deleted(pid.values(number))}
    if _deceased(pid, context) is not None:
        wanted.pop("deceased", None)
    for name, number in wanted.items():
        context.note(f"PID-{number} deletes the {name.replace('_', ' ')}: it is unknown from now on")
    return frozenset(wanted)


def read_race(pid: Segment) -> list[RecordValue]:
    """Race (PID-10, table 0005) and ethnic group (PID-22, table 0189), each replaced and deleted by itself.

    Their codes are those of CDCREC in either triplet, whatever the sender calls the system; its own codes say nothing.
    """
    races, groups = pid.values(10), pid.values(22)
    known = [code for code in _race_codes(groups) if code in race.KNOWN]
    said = (
        race.statement("PID-10", _race_codes(races), taken_back=_deleted(races)),
        race.statement("PID-22", known, taken_back=_deleted(groups)),
    )
    return [value for value in said if value]


def typed_identifiers(segment: Segment, number: int, context: Context) -> list[tuple[Identifier, str]]:
    """The identifiers of a person in a field (PID-3, MRG-1), each with its type of table 0203.

    InvalidMessage, naming the field, where none of them has an authority.
    """
    where = f"{segment.name}-{number}"
    found = [
        (identifier, _type(value))
        for value in segment.values(number)
        if (identifier := _identifier(value, where, context))
    ]
    if not found:
        text = f"want an identifier of a person with an assigning authority in {where}.4, or a configured one"
        raise InvalidMessage(text, location=f"{segment.name}^1^{number}", condition="101", permanent=False)
    return found


def case_number(value: Value, context: Context) -> Identifier | None:
    """An account (PID-18, MRG-3) or visit (PV1-19, MRG-5) with its authority, else the site's; None where none is."""
    number = context.identifying(value)
    authority = _authority(value) or context.site.assigning_authority or context.sender
    return Identifier(number, authority or "unknown") if number else None


def _identifier(value: Value, where: str, context: Context) -> Identifier | None:
    number, kind = context.identifying(value), _type(value)
    if not number:
        return None
    if kind not in _PERSON_NUMBERS and not _NATIONAL.fullmatch(kind):
        context.note(f"an identifier of {where} whose type ({where}.5) is not a person's was left out")
        return None
    authority = _authority(value)
    if not authority and kind in _PATIENT_NUMBERS:
        authority = context.site.assigning_authority
    if not authority:
        context.note(f"an identifier of {where} without an assigning authority was dropped")
        return None
    return Identifier(number, authority)


def _authority(value: Value) -> str:
    return value.text(4, 1).strip() or value.text(4, 2).strip()


def _type(value: Value) -> str:
    kind = value.text(5).upper()
    return _WORDS.get(kind, kind)


def _race_codes(values: Sequence[Value]) -> list[str]:
    """Of each repetition the triplet that is known, else its first code."""
    coded = ([_ETHNIC_GROUPS.get(code, code) for code in (one.text(1), one.text(4))] for one in values)
    return [next((code for code in codes if code in race.KNOWN), codes[0]) for codes in coded]


def _deleted(values: Sequence[Value]) -> bool:
    return bool(values) and all(value.deleted for value in values)


def _name(pid: Segment) -> HumanName:
    """The legal name stands first (HL7 v2.5.1 section 3.4.2.5); an alias or a maiden name there is passed over."""
    names = [name for name in pid.values(5) if not name.deleted]
    own = next((name for name in names if name.text(7) in _OWN_NAMES), names[0] if names else None)
    return HumanName(own.text(1, 1), own.text(2)) if own else HumanName()


def _sex(code: str, context: Context) -> Sex:
    if code and code.upper() not in _SEXES:
        context.note("PID-8 is no code of table 0001: the sex is read as unknown")
    return _SEXES.get(code.upper(), Sex.UNKNOWN)


def _deceased(pid: Segment, context: Context) -> bool | None:
    stated = {"Y": True, "N": False}.get(pid.text(30).upper())
    if not pid.text(29):
        return stated
    if stated is False:
        context.note("PID-29 has a time of death, PID-30 says not deceased: read as deceased")
    return True
