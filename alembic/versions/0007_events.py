"""The event log, callbacks of messages, and API keys that are limited to a tag."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the log, the inbox it is filled from on PostgreSQL, and two columns."""
    _create_log("events")
    op.create_index("ix_events_project_id_seq", "events", ["project_id", "seq"])
    op.create_index("ix_events_id", "events", ["id"], unique=True)
    _create_log("event_inbox")
    op.add_column("messages", sa.Column("status_callback", sa.String(length=2048), nullable=True))
    op.add_column("api_keys", sa.Column("tag", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("api_keys", "tag")
    op.drop_column("messages", "status_callback")
    op.drop_table("event_inbox")
    op.drop_table("events")


def _create_log(name: str) -> None:
    op.create_table(
        name,
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=True),
        sa.Column("device_id", sa.String(length=36), nullable=True),
        sa.Column("route_tag", sa.String(length=64), nullable=True),
        sa.Column("status_callback", sa.String(length=2048), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f(f"pk_{name}")),
        sqlite_autoincrement=True,
    )
