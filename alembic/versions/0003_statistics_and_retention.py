"""Numbers that are kept instead of counted, and what the removal of old messages needs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DIRECTIONS = "direction IN ('outbound', 'inbound')"
_STATUSES = (
    "status IN ('scheduled', 'queued', 'dispatched', 'accepted', 'pending', 'sent', 'delivered', "
    "'failed', 'uncertain', 'cancelled', 'expired', 'received')"
)

_COUNT_WAITING = """
    INSERT INTO queue_backlogs (project_id, queue, shard, messages)
    SELECT project_id, queue, 0, count(*) FROM messages
     WHERE status = 'queued' AND queue IS NOT NULL
     GROUP BY project_id, queue
"""
_COUNT_INBOUND = """
    INSERT INTO message_counts (project_id, hour, direction, status, shard, messages, segments)
    SELECT project_id, created_at / 3600000, 'inbound', 'received', 0, count(*),
           sum(coalesce(segments, 0))
      FROM messages WHERE direction = 'inbound'
     GROUP BY project_id, created_at / 3600000
"""
_COUNT_OUTBOUND = """
    INSERT INTO message_counts (project_id, hour, direction, status, shard, messages, segments)
    SELECT project_id, {hour}, 'outbound', entry.key, 0, count(*), sum(coalesce(segments, 0))
      FROM messages, {entries} AS entry
     WHERE direction = 'outbound'
     GROUP BY project_id, {hour}, entry.key
"""
_ENTRIES = {
    "sqlite": {
        "hour": "CAST(strftime('%s', entry.value) AS INTEGER) / 3600",
        "entries": "json_each(messages.reached)",
    },
    "postgresql": {
        "hour": "floor(extract(epoch FROM CAST(entry.value AS timestamptz)) / 3600)",
        "entries": "jsonb_each_text(messages.reached)",
    },
}


def upgrade() -> None:
    """Add the tables, count what there is, and drop two keys that would hinder removal.

    Each attempt that is removed would search all reports for its wire id; and a phone may repeat a
    message that was removed.
    """
    op.create_table(
        "marks",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
    )
    with op.batch_alter_table("reports") as reports:
        reports.drop_constraint(op.f("fk_reports_wire_id_attempts"), type_="foreignkey")
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_constraint(
            op.f("fk_attempts_inbound_message_id_messages"), type_="foreignkey"
        )
    op.create_index(op.f("ix_attachments_storage_key"), "attachments", ["storage_key"])
    op.create_table(
        "queue_backlogs",
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("queue", sa.String(length=150), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_queue_backlogs_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("project_id", "queue", "shard", name=op.f("pk_queue_backlogs")),
    )
    op.create_table(
        "message_counts",
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.CheckConstraint(_DIRECTIONS, name=op.f("ck_message_counts_direction")),
        sa.CheckConstraint(_STATUSES, name=op.f("ck_message_counts_status")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_message_counts_project_id_projects")
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "hour", "direction", "status", "shard", name=op.f("pk_message_counts")
        ),
    )
    op.create_index(
        "ix_message_counts_unfolded",
        "message_counts",
        ["hour"],
        sqlite_where=sa.text("shard <> 0"),
        postgresql_where=sa.text("shard <> 0"),
    )
    op.execute(_COUNT_WAITING)
    op.execute(_COUNT_INBOUND)
    op.execute(_COUNT_OUTBOUND.format(**_ENTRIES[op.get_bind().dialect.name]))


def downgrade() -> None:
    """Remove the tables and bring the keys back; what they forbid goes."""
    op.drop_index(op.f("ix_attachments_storage_key"), "attachments")
    op.execute(
        "UPDATE attempts SET inbound_message_id = NULL "
        "WHERE inbound_message_id NOT IN (SELECT id FROM messages)"
    )
    with op.batch_alter_table("attempts") as attempts:
        attempts.create_foreign_key(
            op.f("fk_attempts_inbound_message_id_messages"),
            "messages",
            ["inbound_message_id"],
            ["id"],
        )
    op.drop_table("message_counts")
    op.drop_table("queue_backlogs")
    with op.batch_alter_table("reports") as reports:
        reports.create_foreign_key(
            op.f("fk_reports_wire_id_attempts"), "attempts", ["wire_id"], ["wire_id"]
        )
    op.drop_table("marks")
