"""Keep the worklist, and mark what its rows rest on whenever that changes: by triggers, which no writer forgets."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_FILTERED = ("status", "site", "modalities", "findings")
#: Of a study everything but what counts its images: while they come in, nobody is slowed down by marks.
_STUDY = (
    "patient_value, patient_assigner, accession_number, accession_issuer, birth_date, sex, study_date, started_at,"
    " description, image_revision, match_revision, analysis_run, contradiction, decided, decided_order_id, stopped,"
    " revision_open, incomplete, purpose"
)
_PATIENT = ("family", "given", "birth_date", "sex", "deceased", "merged_into", "deleted")
_OF_WORK = "(SELECT study_uid FROM work WHERE id = NEW.work_id)"
#: Table, event, what is marked as (kind, about), and when; {differs} compares values of which one may be null.
_TRIGGERS: tuple[tuple[str, str, tuple[tuple[str, str], ...], str], ...] = (
    ("study", "INSERT", (("study", "NEW.uid"),), ""),
    ("study", f"UPDATE OF {_STUDY}", (("study", "NEW.uid"),), ""),
    ("study", "UPDATE OF instances", (("study", "NEW.uid"),), "NOT NEW.revision_open"),
    ("study", "DELETE", (("study", "OLD.uid"),), ""),
    ("work", "INSERT", (("study", "NEW.study_uid"),), ""),
    ("work", "UPDATE OF state", (("study", "NEW.study_uid"),), ""),
    ("work_step", "INSERT", (("study", _OF_WORK),), "NEW.step = 'match'"),
    ("work_step", "UPDATE OF body", (("study", _OF_WORK),), "NEW.step = 'match'"),
    ("model_outcome", "INSERT", (("study", "NEW.study_uid"),), ""),
    ("model_outcome", "UPDATE OF body", (("study", "NEW.study_uid"),), ""),
    ("model_outcome", "DELETE", (("study", "OLD.study_uid"),), ""),
    ("hold", "INSERT", (("study", "NEW.study_uid"),), "NEW.study_uid IS NOT NULL"),
    ("hold", "UPDATE OF reason, resolved_at", (("study", "NEW.study_uid"),), "NEW.study_uid IS NOT NULL"),
    ("hold", "DELETE", (("study", "OLD.study_uid"),), "OLD.study_uid IS NOT NULL"),
    ("verification", "INSERT", (("study", "NEW.study_uid"),), ""),
    ("second_reading", "INSERT", (("study", "NEW.study_uid"),), ""),
    ("critical_result", "INSERT", (("study", "NEW.study_uid"),), ""),
    ("critical_result", "UPDATE OF state", (("study", "NEW.study_uid"),), ""),
    ("final_report", "INSERT", (("accession", "NEW.accession_number"),), ""),
    ("service_request", "INSERT", (("accession", "NEW.accession_number"),), "NEW.accession_number IS NOT NULL"),
    ("service_request", "UPDATE OF status, body", (("order", "NEW.id"),), ""),
    (
        "service_request",
        "UPDATE OF status, body, accession_number",
        (("accession", "NEW.accession_number"),),
        "NEW.accession_number IS NOT NULL",
    ),
    (
        "service_request",
        "UPDATE OF accession_number",
        (("accession", "OLD.accession_number"),),
        "OLD.accession_number IS NOT NULL AND OLD.accession_number {differs} NEW.accession_number",
    ),
    (
        "patient",
        f"UPDATE OF {', '.join(_PATIENT)}",
        (("patient", "NEW.id"),),
        " OR ".join(f"OLD.{name} {{differs}} NEW.{name}" for name in _PATIENT),
    ),
    ("patient_identifier", "INSERT", (("patient", "NEW.patient_id"),), ""),
    ("patient_identifier", "UPDATE", (("patient", "NEW.patient_id"), ("patient", "OLD.patient_id")), ""),
    ("patient_identifier", "DELETE", (("patient", "OLD.patient_id"),), ""),
    ("identity_change", "INSERT", (("patient", "NEW.survivor_id"),), ""),
    ("identity_change", "UPDATE OF undone_at", (("patient", "NEW.survivor_id"),), ""),
    ("switch", "INSERT", (("model", "NEW.name"),), "NEW.kind = 'model'"),
    ("switch", "DELETE", (("model", "OLD.name"),), "OLD.kind = 'model'"),
)


def upgrade() -> None:
    op.create_table(
        "worklist",
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in _FILTERED),
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("rules", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid"),
    )
    op.create_index("ix_worklist_open", "worklist", ["is_open", "urgency", "since", "study_uid", *_FILTERED])
    op.create_index("ix_worklist_finished", "worklist", ["is_open", "since", "study_uid", *_FILTERED])
    op.create_index("ix_worklist_rules", "worklist", ["is_open", "rules"])
    op.create_index("ix_worklist_patient_id", "worklist", ["patient_id"])
    op.create_table(
        "worklist_mark",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_worklist_mark", "worklist_mark", ["kind", "about"])
    op.create_table(
        "worklist_choice",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("filter", "name", "title")),
        sa.PrimaryKeyConstraint("filter", "name"),
    )
    for statement in _statements(op.get_bind().dialect.name):
        op.get_bind().exec_driver_sql(statement)
    # The newest are marked last: they are made first.
    op.execute(
        "INSERT INTO worklist_mark (kind, about)"
        " SELECT 'study', uid FROM study WHERE purpose = '' ORDER BY last_instance_at"
    )


def downgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for number, (table, *_) in enumerate(_TRIGGERS):
        op.execute(f"DROP TRIGGER worklist_{number}" + (f" ON {table}" if is_postgresql else ""))
        if is_postgresql:
            op.execute(f"DROP FUNCTION worklist_{number}()")
    for table in ("worklist_choice", "worklist_mark", "worklist"):
        op.drop_table(table)


def _statements(dialect: str) -> Iterator[str]:
    for number, (table, event, marks, condition) in enumerate(_TRIGGERS):
        values = (f"('{kind}', {about})" for kind, about in marks)
        write = " ".join(("INSERT INTO worklist_mark (kind, about) VALUES", ", ".join(values), ";"))
        if dialect == "postgresql":
            when = f" WHEN ({condition.format(differs='IS DISTINCT FROM')})" if condition else ""
            body = f"$$ BEGIN {write} RETURN NULL; END $$"
            yield f"CREATE FUNCTION worklist_{number}() RETURNS trigger LANGUAGE plpgsql AS {body}"
            called = f"FOR EACH ROW{when} EXECUTE FUNCTION worklist_{number}()"
            yield f"CREATE TRIGGER worklist_{number} AFTER {event} ON {table} {called}"
        else:
            when = f" WHEN {condition.format(differs='IS NOT')}" if condition else ""
            yield f"CREATE TRIGGER worklist_{number} AFTER {event} ON {table}{when} BEGIN {write} END"
