"""Whose a study is, by what its instances state: the first that states something counts, the others may not contradict.

What an instance does not state contradicts nothing. Instances of one study that name two patients or orders are held:
nobody's report until they agree, or a person decided (SAFETY section 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier, Sex
from cds.domain.imaging import InstanceHeader
from cds.store import holds, timeline
from cds.store.revisions import match_again
from cds.store.tables import InstanceRow, StudyRow
from cds.store.values import parse


@dataclass(frozen=True, slots=True)
class Site:
    """Who assigned the identifiers that name no authority, and where clocks without a zone stand (IANA name)."""

    authority: str
    issuer: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Stated:
    """What one instance states about whose it is: the fields of its header under the same names."""

    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_birth_date: date | None = None
    patient_sex: Sex = Sex.UNKNOWN
    accession_number: str = ""
    issuer_of_accession_number: str = ""
    study_date: date | None = None
    study_time: str = ""
    study_description: str = ""

    @classmethod
    def of(cls, header: InstanceHeader) -> Stated:
        """What a header states."""
        return cls(**{name: getattr(header, name) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Whose:
    """What a study knows of itself; `contradiction` is why its instances cannot all be right."""

    patient: Identifier | None = None
    accession: Identifier | None = None
    birth_date: date | None = None
    sex: Sex = Sex.UNKNOWN
    study_date: date | None = None
    started_at: datetime | None = None
    description: str = ""
    contradiction: str = ""

    @property
    def named(self) -> tuple[object, ...]:
        """What matching looks at."""
        return self.patient, self.accession, self.birth_date, self.sex, self.study_date


def gathered(known: Whose, stated: Iterable[Stated], site: Site) -> Whose:
    """What is known with what these instances state, in their order."""
    for said in stated:
        patient = identifier(said.patient_id, said.issuer_of_patient_id or site.authority)
        accession = identifier(said.accession_number, said.issuer_of_accession_number or site.issuer)
        says = Whose(patient, accession, said.patient_birth_date, said.patient_sex)
        dated = known if known.study_date else replace(known, study_date=said.study_date, started_at=_began(said, site))
        known = replace(
            dated,
            patient=known.patient or patient,
            accession=known.accession or accession,
            birth_date=known.birth_date or said.patient_birth_date,
            sex=said.patient_sex if known.sex is Sex.UNKNOWN else known.sex,
            description=known.description or said.study_description,
            contradiction=known.contradiction or contradiction(known, says),
        )
    return known


def contradiction(known: Whose, says: Whose) -> str:
    """Why an instance cannot belong to the patient and order of its study; empty where it can."""
    if known.patient and says.patient and known.patient != says.patient:
        return "instances of this study name different patients"
    if known.accession and says.accession and known.accession != says.accession:
        return "instances of this study carry different accession numbers"
    if known.birth_date and says.birth_date and known.birth_date != says.birth_date:
        return "instances of this study state different birth dates"
    if {known.sex, says.sex} == {Sex.FEMALE, Sex.MALE}:
        return "instances of this study state different sexes"
    return ""


def whose(row: StudyRow) -> Whose:
    """What a study's row says."""
    return Whose(
        patient=identifier(row.patient_value, row.patient_assigner),
        accession=identifier(row.accession_number, row.accession_issuer),
        birth_date=row.birth_date,
        sex=Sex(row.sex),
        study_date=row.study_date,
        started_at=row.started_at,
        description=row.description,
        contradiction=row.contradiction,
    )


def identifier(value: str, assigner: str) -> Identifier | None:
    """Both halves or nothing."""
    return Identifier(value, assigner) if value and assigner else None


def write(row: StudyRow, new: Whose) -> None:
    """Into the study's row."""
    row.patient_value, row.patient_assigner = _halves(new.patient)
    row.accession_number, row.accession_issuer = _halves(new.accession)
    row.birth_date, row.sex, row.study_date = new.birth_date, new.sex.value, new.study_date
    row.started_at, row.description, row.contradiction = new.started_at, new.description, new.contradiction


def joined(session: Session, row: StudyRow, header: InstanceHeader, site: Site, at: datetime) -> None:
    """One more instance: compared with what the study knows, and taken where that knows nothing.

    A person's decision about instances that contradict each other does not cover one that names a third.
    """
    known, said = whose(row), Stated.of(header)
    new = gathered(known, (said,), site)
    third = contradiction(known, gathered(Whose(), (said,), site))
    if third and known.contradiction and row.decided and said not in _stated(session, row, but=header.sop_instance_uid):
        _doubt(session, row, third, at)
        return
    _settle(session, row, new, at)


def gathered_again(session: Session, row: StudyRow, site: Site, at: datetime) -> None:
    """All instances that are left, from the start: one of them states something else now, or left."""
    stated = _stated(session, row)
    if not stated:
        return
    new = gathered(Whose(), stated, site)
    if row.decided and row.contradiction and new.contradiction:
        write(row, new)
        _doubt(session, row, new.contradiction, at)
        return
    _settle(session, row, new, at)


def _settle(session: Session, row: StudyRow, new: Whose, at: datetime) -> None:
    """The row takes it. What was reported of another patient, or may be, is taken back without waiting for images."""
    before = whose(row)
    write(row, new)
    session.add(row)
    if new.contradiction and not before.contradiction:
        _doubt(session, row, new.contradiction, at)
    elif before.contradiction and not new.contradiction:
        _undecide(row)
        holds.end(session, HoldKind.STUDY_IDENTITY, row.uid, at, "all its instances agree")
        match_again(session, row, "all its instances agree on whose they are", at)
    elif not new.contradiction and before.named != new.named:
        replaced = bool(contradiction(before, new))
        if replaced:
            _undecide(row)
        match_again(session, row, "its instances say something else about whose they are", at, urgent=replaced)


def _doubt(session: Session, row: StudyRow, reason: str, at: datetime) -> None:
    """Held, and what was reported is withheld; a decision about what was known before does not count any more."""
    _undecide(row)
    key = f"study-identity:{row.uid}:{row.match_revision}"
    holds.put(session, key, HoldKind.STUDY_IDENTITY, reason, at, study_uid=row.uid)
    timeline.write(session, at, "receive", "contradiction", study_uid=row.uid, detail=(reason,))
    match_again(session, row, reason, at, urgent=True)


def _undecide(row: StudyRow) -> None:
    row.decided, row.decided_order_id, row.decided_by = "", None, ""


def _stated(session: Session, row: StudyRow, *, but: str = "") -> list[Stated]:
    """What the instances that count state, `but` one, each statement once, in the order of their arrival."""
    headers = session.exec(
        select(InstanceRow.header)
        .where(
            InstanceRow.study_uid == row.uid,
            InstanceRow.sop_instance_uid != but,
            InstanceRow.rejected == "",
        )
        .order_by(col(InstanceRow.received_at), col(InstanceRow.sop_instance_uid))
    ).all()
    return list(dict.fromkeys(parse(Stated, header) for header in headers))


def _halves(one: Identifier | None) -> tuple[str, str]:
    return (one.value, one.assigner) if one else ("", "")


def _began(said: Stated, site: Site) -> datetime | None:
    """Study Date and Study Time in the site's zone (PS3.5 section 6.2, VR TM: at least HH); None where one lacks."""
    digits = said.study_time.split(".")[0].replace(":", "")
    if said.study_date is None or len(digits) not in (2, 4, 6):
        return None
    try:
        at = datetime.strptime(digits, "%H%M%S"[: len(digits)])
    except ValueError:
        return None
    return _in_utc(datetime.combine(said.study_date, at.time(), ZoneInfo(site.time_zone)))


def _in_utc(at: datetime) -> datetime | None:
    """The same instant; None at the edges of the calendar (00010101, which some devices write for "none")."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return None
