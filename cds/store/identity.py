"""Who is who: merges and links as a forest over patients, whose roots own everything (SAFETY section 1).

Nothing is rewritten by a merge: rows stay filed under the patient whom their message named, and every question is asked
of the whole tree. The forest is what the merges and links that hold say, in their order: undoing one draws it again
without it, so that nobody stays one with somebody because of a merge that was wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from cds.domain.identity import IdentityEvent
from cds.store.batch import batch_of
from cds.store.safety_tables import IdentityChangeRow
from cds.store.tables import PatientRow

_UNITING = (IdentityEvent.MERGE.value, IdentityEvent.LINK.value)


@dataclass(frozen=True, slots=True)
class Union:
    """A merge or link that holds, by the patients whom it named: `prior_id` lives on as `survivor_id`."""

    prior_id: str
    survivor_id: str


def canonical(session: Session, patient_id: str) -> str:
    """The patient who owns what is filed under this one: the end of the chain of merges."""
    row = patient_row(session, patient_id)
    return _root(session, row).id if row else patient_id


def members(session: Session, patient_id: str) -> tuple[str, ...]:
    """All patients that are one with this one, the survivor first; the id itself where there is no such patient."""
    return tuple(row.id for row in tree(session, patient_id)) or (patient_id,)


def tree(session: Session, patient_id: str) -> list[PatientRow]:
    """The rows of all patients that are one with this one, the survivor first; one query for each generation."""
    row = patient_row(session, patient_id)
    root = _root(session, row) if row else None
    found = {root.id: root} if root else {}
    newest = list(found)
    while newest:
        generation = {row.id: row for row in _merged_into(session, newest) if row.id not in found}
        found |= generation
        newest = list(generation)
    return list(found.values())


def patient_row(session: Session, patient_id: str) -> PatientRow | None:
    """The row of a patient, merged or not; None where there is none."""
    return batch_of(session).patients.first(patient_id, lambda: session.get(PatientRow, patient_id))


def merged_away(session: Session, patients: Collection[str]) -> frozenset[str]:
    """Those of one tree whose identifiers a merge retired; a link retires none."""
    if len(patients) < 2:  # noqa: PLR2004 - nobody is merged with nobody
        return frozenset()
    retired = session.exec(
        select(IdentityChangeRow.prior_id).where(
            IdentityChangeRow.event == IdentityEvent.MERGE.value,
            col(IdentityChangeRow.prior_id).in_(patients),
            col(IdentityChangeRow.undone_at).is_(None),
        )
    )
    return frozenset(filter(None, retired))


def forest(unions: Collection[Union]) -> dict[str, str]:
    """Who is merged into whom: each union puts the root of its prior under the root of its survivor, if they differ."""
    parents: dict[str, str] = {}

    def root(patient_id: str) -> str:
        while patient_id in parents:
            patient_id = parents[patient_id]
        return patient_id

    for union in unions:
        prior, survivor = root(union.prior_id), root(union.survivor_id)
        if prior != survivor:
            parents[prior] = survivor
    return parents


def redraw(session: Session, patients: Collection[str]) -> None:
    """Draw the edges among these patients, who must be whole trees, from the merges and links that hold."""
    rows = session.exec(
        select(IdentityChangeRow)
        .where(
            col(IdentityChangeRow.event).in_(_UNITING),
            col(IdentityChangeRow.undone_at).is_(None),
            col(IdentityChangeRow.prior_id).in_(patients),
        )
        .order_by(col(IdentityChangeRow.id))
    ).all()
    parents = forest([Union(row.prior_id, row.survivor_id) for row in rows if row.prior_id])
    for patient_id in patients:
        patient = session.get_one(PatientRow, patient_id)
        patient.merged_into = parents.get(patient_id)
        session.add(patient)
    session.flush()


def _root(session: Session, row: PatientRow) -> PatientRow:
    """The end of the chain; a circle, which no change of identity makes, ends where it began."""
    seen = {row.id}
    while row.merged_into and row.merged_into not in seen:
        seen.add(row.merged_into)
        row = patient_row(session, row.merged_into) or session.get_one(PatientRow, row.merged_into)
    return row


def _merged_into(session: Session, patients: Sequence[str]) -> list[PatientRow]:
    """Who was merged into one of these, in the order of their ids."""
    rows = batch_of(session).merged_into.all_of(
        patients, lambda: session.exec(select(PatientRow).where(col(PatientRow.merged_into).in_(patients)))
    )
    return sorted(rows, key=lambda row: row.id)
