"""Identity, lifecycle, release: merges, verification, critical results, switches, audit."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

from cds.store.tables import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("raised_at", UtcDateTime(), nullable=False),
        sa.Column("cleared_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=True),
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "conflicting_instance",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "critical_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("critical_id", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("critical_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_critical_event_critical_id"), ["critical_id"], unique=False)

    op.create_table(
        "critical_result",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("finding", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("images_at", UtcDateTime(), nullable=True),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("acknowledged_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("study_uid", "finding", "episode", name="uq_critical_finding"),
        sa.UniqueConstraint("token"),
    )
    with op.batch_alter_table("critical_result", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_critical_result_state"), ["state"], unique=False)

    op.create_table(
        "final_report",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("accession_number", sa.String(), nullable=False),
        sa.Column("accession_issuer", sa.String(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("final_report", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_final_report_accession_number"), ["accession_number"], unique=False)
        batch_op.create_index(batch_op.f("ix_final_report_patient_id"), ["patient_id"], unique=False)

    op.create_table(
        "follow_up",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("pathway", sa.String(), nullable=False),
        sa.Column("recommendation", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("follow_up", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_follow_up_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_follow_up_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "identity_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("survivor_id", sa.String(), nullable=False),
        sa.Column("prior_id", sa.String(), nullable=True),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("moved", sa.String(), nullable=False),
        sa.Column("undone_at", UtcDateTime(), nullable=True),
        sa.Column("undone_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("identity_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identity_change_prior_id"), ["prior_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_identity_change_survivor_id"), ["survivor_id"], unique=False)

    op.create_table(
        "own_instance",
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("series_uid", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid"),
    )
    with op.batch_alter_table("own_instance", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_own_instance_series_uid"), ["series_uid"], unique=False)
        batch_op.create_index(batch_op.f("ix_own_instance_study_uid"), ["study_uid"], unique=False)

    op.create_table(
        "rejected_instance",
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", "study_uid"),
    )
    op.create_table(
        "switch",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name"),
    )
    op.create_table(
        "verification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(), nullable=False),
        sa.Column("image_revision", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("finding_key", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("corrected", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("verification", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_verification_study_uid"), ["study_uid"], unique=False)

    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(), nullable=False, server_default="report"))
        batch_op.add_column(sa.Column("study_uid", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("patient_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("subject", sa.String(), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_delivery_patient_id"), ["patient_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_study_uid"), ["study_uid"], unique=False)
        batch_op.create_index(batch_op.f("ix_delivery_subject"), ["subject"], unique=False)

    with op.batch_alter_table("feed", schema=None) as batch_op:
        batch_op.add_column(sa.Column("messages", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("typical_s", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("longest_s", sa.Float(), nullable=True))

    with op.batch_alter_table("hold", schema=None) as batch_op:
        batch_op.add_column(sa.Column("id", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("owner", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("delivery_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("resolution", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("resolved_by", sa.String(), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_hold_id"), ["id"], unique=False)
        batch_op.create_index(batch_op.f("ix_hold_study_uid"), ["study_uid"], unique=False)

    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.add_column(sa.Column("pixels_sha256", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("left_revision", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("rejected", sa.String(), nullable=False, server_default=""))

    with op.batch_alter_table("patient", schema=None) as batch_op:
        batch_op.add_column(sa.Column("merged_into", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("deleted", sa.String(), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_patient_merged_into"), ["merged_into"], unique=False)

    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.add_column(sa.Column("episode", sa.Integer(), nullable=False, server_default="1"))

    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.add_column(sa.Column("made_by", sa.String(), nullable=False, server_default=""))

    with op.batch_alter_table("service_request", schema=None) as batch_op:
        batch_op.add_column(sa.Column("account", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("visit", sa.String(), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_service_request_account"), ["account"], unique=False)
        batch_op.create_index(batch_op.f("ix_service_request_visit"), ["visit"], unique=False)

    with op.batch_alter_table("statement", schema=None) as batch_op:
        batch_op.add_column(sa.Column("account", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("visit", sa.String(), nullable=False, server_default=""))

    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.add_column(sa.Column("decided", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("decided_order_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("decided_by", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("stopped", sa.String(), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_study_stopped"), ["stopped"], unique=False)
        batch_op.create_index(batch_op.f("ix_study_patient_value"), ["patient_value"], unique=False)
        batch_op.create_index(batch_op.f("ix_study_contradiction"), ["contradiction"], unique=False)

    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.add_column(sa.Column("patient_id", sa.String(), nullable=True))
        batch_op.create_index(batch_op.f("ix_timeline_patient_id"), ["patient_id"], unique=False)

    _fill()


def downgrade() -> None:
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_timeline_patient_id"))
        batch_op.drop_column("patient_id")

    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_study_contradiction"))
        batch_op.drop_index(batch_op.f("ix_study_patient_value"))
        batch_op.drop_index(batch_op.f("ix_study_stopped"))
        batch_op.drop_column("stopped")
        batch_op.drop_column("decided_by")
        batch_op.drop_column("decided_order_id")
        batch_op.drop_column("decided")

    with op.batch_alter_table("statement", schema=None) as batch_op:
        batch_op.drop_column("visit")
        batch_op.drop_column("account")

    with op.batch_alter_table("service_request", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_service_request_visit"))
        batch_op.drop_index(batch_op.f("ix_service_request_account"))
        batch_op.drop_column("visit")
        batch_op.drop_column("account")

    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.drop_column("made_by")

    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.drop_column("episode")

    with op.batch_alter_table("patient", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_patient_merged_into"))
        batch_op.drop_column("deleted")
        batch_op.drop_column("merged_into")

    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.drop_column("rejected")
        batch_op.drop_column("left_revision")
        batch_op.drop_column("pixels_sha256")

    with op.batch_alter_table("hold", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_hold_study_uid"))
        batch_op.drop_index(batch_op.f("ix_hold_id"))
        batch_op.drop_column("resolved_by")
        batch_op.drop_column("resolution")
        batch_op.drop_column("delivery_id")
        batch_op.drop_column("owner")
        batch_op.drop_column("id")

    with op.batch_alter_table("feed", schema=None) as batch_op:
        batch_op.drop_column("longest_s")
        batch_op.drop_column("typical_s")
        batch_op.drop_column("messages")

    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_delivery_subject"))
        batch_op.drop_index(batch_op.f("ix_delivery_study_uid"))
        batch_op.drop_index(batch_op.f("ix_delivery_patient_id"))
        batch_op.drop_column("subject")
        batch_op.drop_column("patient_id")
        batch_op.drop_column("study_uid")
        batch_op.drop_column("kind")

    with op.batch_alter_table("verification", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_verification_study_uid"))

    op.drop_table("verification")
    op.drop_table("switch")
    op.drop_table("rejected_instance")
    with op.batch_alter_table("own_instance", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_own_instance_study_uid"))
        batch_op.drop_index(batch_op.f("ix_own_instance_series_uid"))

    op.drop_table("own_instance")
    with op.batch_alter_table("identity_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_identity_change_survivor_id"))
        batch_op.drop_index(batch_op.f("ix_identity_change_prior_id"))

    op.drop_table("identity_change")
    with op.batch_alter_table("follow_up", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_follow_up_study_uid"))
        batch_op.drop_index(batch_op.f("ix_follow_up_patient_id"))

    op.drop_table("follow_up")
    with op.batch_alter_table("final_report", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_final_report_patient_id"))
        batch_op.drop_index(batch_op.f("ix_final_report_accession_number"))

    op.drop_table("final_report")
    with op.batch_alter_table("critical_result", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_critical_result_state"))

    op.drop_table("critical_result")
    with op.batch_alter_table("critical_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_critical_event_critical_id"))

    op.drop_table("critical_event")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_study_uid"))
        batch_op.drop_index(batch_op.f("ix_audit_patient_id"))

    op.drop_table("conflicting_instance")
    op.drop_table("audit")
    op.drop_table("alarm")


def _fill() -> None:
    """What rows of before lack: the short ids of holds, and the study of a delivery."""
    connection = op.get_bind()
    for (key,) in connection.execute(sa.text("SELECT key FROM hold")).all():
        short = hashlib.sha256(key.encode()).hexdigest()[:8]
        connection.execute(sa.text("UPDATE hold SET id = :id WHERE key = :key"), {"id": short, "key": key})
    connection.execute(
        sa.text("UPDATE delivery SET study_uid = (SELECT study_uid FROM work WHERE work.id = delivery.work_id)")
    )
