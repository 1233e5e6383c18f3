"""Patients and their identifiers, read and written inside the transaction of whoever asks."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlmodel import Session, select

from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.store import timeline
from cds.store.batch import batch_of, rows_with, update
from cds.store.identity import canonical, merged_away, patient_row, tree
from cds.store.tables import PatientIdentifierRow, PatientRow

#: What a demographic is once it was deleted, by the names of `MessageContent.deletes`.
_BLANK: dict[str, dict[str, str | None]] = {
    "name": {"family": "", "given": ""},
    "birth_date": {"birth_date": None},
    "sex": {"sex": Sex.UNKNOWN.value},
    "deceased": {"deceased": None},
}


def load(session: Session, patient_id: str) -> Patient:
    """The patient who owns what is filed under an id, with what is known of the whole tree; raise KeyError.

    Of name, birth date and sex the newest statement counts; one statement of death is enough.
    """
    rows = tree(session, patient_id)
    if not rows:
        raise KeyError("patient")
    identifiers = sorted(identifiers_of(session, [row.id for row in rows]), key=lambda one: (one.assigner, one.value))
    newest = sorted(rows, key=lambda row: row.updated_at, reverse=True)  # stable: the survivor first among equals
    named = next((row for row in newest if row.family or row.given), newest[0])
    stated_sex = (row.sex for row in newest if row.sex != Sex.UNKNOWN.value)
    retired = merged_away(session, [row.id for row in rows])
    return Patient(
        identifiers=tuple(Identifier(i.value, i.assigner) for i in identifiers if i.patient_id not in retired),
        former=tuple(Identifier(i.value, i.assigner) for i in identifiers if i.patient_id in retired),
        name=HumanName(named.family, named.given),
        birth_date=next((row.birth_date for row in newest if row.birth_date), None),
        sex=Sex(next(stated_sex, Sex.UNKNOWN.value)),
        deceased=_deceased(rows),
        id=rows[0].id,
        deleted=rows[0].deleted,
    )


def leaf(session: Session, identifier: Identifier) -> str | None:
    """The patient under whom an identifier is filed, merged or not."""
    key = (identifier.value, identifier.assigner)
    row = batch_of(session).identifiers.first(identifier, lambda: session.get(PatientIdentifierRow, key))
    return row.patient_id if row else None


def identifiers_of(session: Session, patients: Sequence[str]) -> list[PatientIdentifierRow]:
    """The identifiers that are filed under these patients."""
    return batch_of(session).identifiers_of.all_of(
        patients, lambda: rows_with(session, PatientIdentifierRow, PatientIdentifierRow.patient_id, patients)
    )


def known(session: Session, identifiers: Iterable[Identifier]) -> str | None:
    """The patient under whom the first known of these identifiers is filed; None where nobody has any."""
    return next((one for identifier in identifiers if (one := leaf(session, identifier)) is not None), None)


def with_number(session: Session, value: str) -> list[str]:
    """The patients under whom an identifier of this value is filed, whatever its authority."""
    rows = select(PatientIdentifierRow.patient_id).where(PatientIdentifierRow.value == value)
    return sorted(set(session.exec(rows)))


def owners(session: Session, identifiers: Iterable[Identifier]) -> set[str]:
    """Who owns any of these identifiers; more than one is a doubt, two of one tree are one."""
    return {canonical(session, one) for identifier in identifiers if (one := leaf(session, identifier)) is not None}


def contradicted(known: Patient, said: Patient) -> str:
    """What a statement contradicts of whom it names: "birth date", "sex", both; empty where nothing."""
    differs = ["birth date"] if said.birth_date and known.birth_date and said.birth_date != known.birth_date else []
    return " and ".join([*differs, *(["sex"] if {said.sex, known.sex} == {Sex.FEMALE, Sex.MALE} else [])])


def upsert(session: Session, patient: Patient, now: datetime) -> tuple[str, bool]:
    """File what a message says of a patient, under the one who owns her first known identifier.

    Answers the patient's id, and whether something that matching looks at has changed.
    """
    patient_id, added = named(session, patient.identifiers, now)
    row = patient_row(session, patient_id) or session.get_one(PatientRow, patient_id)
    changed = update(
        row,
        birth_date=patient.birth_date or row.birth_date,
        sex=row.sex if patient.sex is Sex.UNKNOWN else patient.sex.value,
        deceased=row.deceased if patient.deceased is None else patient.deceased,
    )
    update(row, family=patient.name.family or row.family, given=patient.name.given or row.given)
    if patient.name != HumanName() or patient.birth_date or patient.sex is not Sex.UNKNOWN:
        update(row, updated_at=now)
    return row.id, added or changed


def forget(session: Session, patient_id: str, deletes: frozenset[str]) -> bool:
    """Clear what a registration deletes (`""`) in every record that is this patient's; True where matching looks at it.

    In every one, because what is empty in the survivor is else taken from those merged with her.
    """
    blank = {column: value for name in deletes for column, value in _BLANK[name].items()}
    if not blank:
        return False
    changed = [update(row, **blank) for row in tree(session, patient_id)]
    return any(changed) and deletes != {"name"}


def named(session: Session, identifiers: Sequence[Identifier], now: datetime) -> tuple[str, bool]:
    """The patient whom identifiers name, made if nobody knows her; True where one of them is new."""
    batch, filed = batch_of(session), {identifier: leaf(session, identifier) for identifier in identifiers}
    patient_id = next(filter(None, filed.values()), None)
    if patient_id is None:
        patient_id = str(uuid.uuid4())
        patient = PatientRow(id=patient_id, updated_at=now)
        session.add(patient)
        batch.born(patient)
        timeline.write(session, now, "patient", "first named", patient_id=patient_id)
    new = [identifier for identifier, owner in filed.items() if owner is None]
    for identifier in new:
        row = PatientIdentifierRow(value=identifier.value, assigner=identifier.assigner, patient_id=patient_id)
        session.add(row)
        batch.named(identifier, row)
    return patient_id, bool(new)


def _deceased(rows: Sequence[PatientRow]) -> bool | None:
    stated = {row.deceased for row in rows} - {None}
    return any(stated) if stated else None
