"""Which resources may be seen now: not what rests on something switched off, nor what holds of a study in doubt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from sqlmodel import Session

from cds.store.fhir_tables import ResourceRow
from cds.store.tables import StudyRow

#: What belongs to no patient, and may come along with anybody's.
SHARED = "Device"
_STUDY = cast("sa.Table", sa.inspect(StudyRow).local_table).c


@dataclass(frozen=True, slots=True)
class Sight:
    """What is switched off ("model:x", "pathway:y"), the studies in doubt, and whose resources alone are asked for."""

    hidden: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()
    patient_id: str | None = None

    @property
    def clear(self) -> bool:
        """True where everything current may be seen."""
        return not self.hidden and not self.doubted and self.patient_id is None

    def visible(self, resource: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """Of current resources: nothing is hidden and nothing in doubt, whosever it is."""
        r = resource.c
        where = [~r.made_by.contains(f" {name} ", autoescape=True) for name in self.hidden]
        if self.doubted:
            where.append(sa.or_(r.made_by == "", r.study_uid.is_(None), r.study_uid.not_in(self.doubted)))
        return where

    def own(self, resource: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """`visible`, and the patient's where one is named."""
        r = resource.c
        return [*self.visible(resource), *([] if self.patient_id is None else [r.patient_id == self.patient_id])]

    def linked(self, resource: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """What may come along, or be looked at by a chain: `own`, and what is nobody's."""
        r = resource.c
        if self.patient_id is None:
            return self.visible(resource)
        return [*self.visible(resource), sa.or_(r.patient_id == self.patient_id, r.type == SHARED)]

    def sees(self, row: sa.Row[tuple[object, ...]] | ResourceRow) -> bool:
        """Of a version that was read; a former one is in no doubt."""
        if not set(self.hidden).isdisjoint(str(row.made_by).split()):
            return False
        if self.patient_id not in (None, row.patient_id) and row.type != SHARED:
            return False
        return not (row.made_by and row.is_current and row.study_uid in self.doubted)


def sight(session: Session, hidden: Collection[str], patient_id: str | None = None) -> Sight:
    """As it is now. The studies in doubt are few, and found by index."""
    stopped = sa.select(_STUDY.uid).where(_STUDY.stopped > "")
    contradicting = sa.select(_STUDY.uid).where(_STUDY.contradiction > "", _STUDY.decided == "")
    doubted = set(session.execute(stopped.union_all(contradicting)).scalars())
    return Sight(tuple(sorted(hidden)), tuple(sorted(doubted)), patient_id)
