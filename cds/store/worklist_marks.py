"""What changed since the rows of the worklist were made, and which studies it may concern.

The database itself marks a change, by triggers, in the transaction of the change (see the migration that makes them):
no writer can forget it, and none waits for a row to be made anew. A mark is taken before what it is about is read, so
that what changes meanwhile is marked again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.store import patients
from cds.store.batch import portions
from cds.store.identity import members
from cds.store.tables import ModelOutcomeRow, OrderRow, StudyRow
from cds.store.worklist_tables import WorklistMarkRow, WorklistRow

#: Marks that are looked at for the newest things that they are about.
_LOOKED_AT = 400
#: Studies that are made anew in one look. Where thousands share a number that is none ("UNKNOWN"), the others follow.
_MOST = 100
#: So many are counted; more is told as so many.
_COUNTED = 1000


def mark(session: Session, study_uid: str) -> None:
    """The row of a study may not hold any more, for a reason that stands in none of the marked tables."""
    session.add(WorklistMarkRow(kind="study", about=study_uid))


def any_waits(session: Session) -> bool:
    """Whether any change waits."""
    return session.exec(select(WorklistMarkRow.id).limit(1)).first() is not None


def pending(session: Session) -> int:
    """How many changes wait, up to a thousand."""
    some = select(WorklistMarkRow.id).limit(_COUNTED).subquery()
    return session.exec(select(sa.func.count()).select_from(some)).one()


def take(session: Session, limit: int) -> list[str]:
    """Take the newest marks, of `limit` things at most; answers the studies that they may concern."""
    newest = select(WorklistMarkRow.kind, WorklistMarkRow.about).order_by(col(WorklistMarkRow.id).desc())
    found = dict.fromkeys((kind, about) for kind, about in session.exec(newest.limit(_LOOKED_AT)))
    taken = list(islice(found, limit))
    for kind, about in taken:
        session.connection().execute(
            sa.delete(WorklistMarkRow).where(col(WorklistMarkRow.kind) == kind, col(WorklistMarkRow.about) == about)
        )
    concerned = list(dict.fromkeys(uid for one in taken for uid in _studies(session, *one)))
    for some in portions(concerned[_MOST:]):
        _outdate(session, some)
    return concerned[:_MOST]


def outdated(session: Session, rules: str, limit: int) -> Sequence[str]:
    """Studies whose rows were made under other settings or an older release, those that wait for a reader first."""
    # Four ranges of an index: what is unequal would be looked for in every row.
    ranges = [
        select(WorklistRow.study_uid).where(col(WorklistRow.is_open).is_(is_open), other).limit(limit).subquery()
        for is_open in (True, False)
        for other in (col(WorklistRow.rules) < rules, col(WorklistRow.rules) > rules)
    ]
    asked = sa.union_all(*(sa.select(one.c.study_uid) for one in ranges)).limit(limit)
    return [uid for (uid,) in session.connection().execute(asked)]


def growing(session: Session) -> Sequence[str]:
    """Studies of which more images came than their rows were made of: while they come in, they leave no marks."""
    asked = (
        select(StudyRow.uid)
        .join(WorklistRow, col(WorklistRow.study_uid) == col(StudyRow.uid))
        .where(col(StudyRow.revision_open).is_(True), col(WorklistRow.instances) != col(StudyRow.instances))
    )
    return session.exec(asked).all()


def outdate_of_same_patient(session: Session, row: StudyRow) -> None:
    """The rows of others under the identifier of a new study do not hold: they are each other's priors."""
    if row.patient_value:
        _outdate(session, _named(row.patient_value, row.patient_assigner).where(col(StudyRow.uid) != row.uid))


def _studies(session: Session, kind: str, about: str) -> Collection[str]:
    if kind == "accession":
        return _with_accession(session, about)
    if kind == "order":
        return session.exec(select(StudyRow.uid).where(StudyRow.decided_order_id == about)).all()
    if kind == "patient":
        return with_patient(session, about)
    if kind == "model":
        return _of_model(session, about)
    return (about,)


def _with_accession(session: Session, number: str) -> Collection[str]:
    if not number:
        return ()
    ordered = select(OrderRow.id).where(OrderRow.accession_number == number)
    asked = select(StudyRow.uid).where(
        sa.or_(col(StudyRow.accession_number) == number, col(StudyRow.decided_order_id).in_(ordered))
    )
    return session.exec(asked).all()


def with_patient(session: Session, patient_id: str) -> list[str]:
    """Studies under any identifier of a patient or of those who are one with them, and those filed under them."""
    tree = members(session, patient_id)
    named = {(one.value, one.assigner) for one in patients.identifiers_of(session, tree)}
    found: dict[str, None] = {}
    for some in portions({value for value, _ in named}):
        asked = select(StudyRow.uid, StudyRow.patient_value, StudyRow.patient_assigner)
        rows = session.exec(asked.where(col(StudyRow.patient_value).in_(some)))
        found |= {uid: None for uid, value, assigner in rows if (value, assigner) in named}
    filed = session.exec(select(WorklistRow.study_uid).where(col(WorklistRow.patient_id).in_(tree)))
    return list(found | dict.fromkeys(filed))


def _of_model(session: Session, model: str) -> Collection[str]:
    """Rows with a model's answers do not hold from now on, see `outdated`: nobody waits until all are made anew."""
    _outdate(session, sa.select(col(ModelOutcomeRow.study_uid)).where(col(ModelOutcomeRow.model) == model))
    return ()


def _named(value: str, assigner: str) -> sa.Select[str]:
    return sa.select(col(StudyRow.uid)).where(
        col(StudyRow.patient_value) == value, col(StudyRow.patient_assigner) == assigner
    )


def _outdate(session: Session, uids: Collection[str] | sa.Select[str]) -> None:
    session.connection().execute(sa.update(WorklistRow).where(col(WorklistRow.study_uid).in_(uids)).values(rules=""))
