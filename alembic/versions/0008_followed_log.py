"""Places in the event log, and what was last told of each device."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Rows of the inbox live for milliseconds: dead ones are walked over by all who read its head.
TIDIED_OFTEN = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000"


def upgrade() -> None:
    """Add the places, and two columns of device states."""
    op.create_table(
        "log_places",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_log_places")),
    )
    op.add_column("device_states", sa.Column("told_online", sa.Boolean(), nullable=True))
    op.add_column("device_states", sa.Column("told_status", sa.String(length=200), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE event_inbox SET ({TIDIED_OFTEN})")


def downgrade() -> None:
    """Remove them."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE event_inbox RESET "
            "(autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)"
        )
    op.drop_column("device_states", "told_status")
    op.drop_column("device_states", "told_online")
    op.drop_table("log_places")
