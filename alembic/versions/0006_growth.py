"""What keeps queries quick when there are ten million messages."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ENDED = sa.text("status IN ('failed', 'uncertain', 'cancelled', 'expired')")
# Each claim leaves a dead entry at the head of the queue's index, which every later claim walks
# over: by default they are removed only when a fifth of the table has changed.
TIDIED_OFTEN = "autovacuum_vacuum_scale_factor = 0.02, vacuum_index_cleanup = on"


def upgrade() -> None:
    """Add the index of unusual ends; let PostgreSQL tidy up sooner."""
    op.create_index(
        "ix_messages_ended",
        "messages",
        ["project_id", "status", "id"],
        sqlite_where=ENDED,
        postgresql_where=ENDED,
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("messages", "attempts"):
            op.execute(f"ALTER TABLE {table} SET ({TIDIED_OFTEN})")


def downgrade() -> None:
    """Take both away."""
    if op.get_bind().dialect.name == "postgresql":
        for table in ("messages", "attempts"):
            op.execute(
                f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor, vacuum_index_cleanup)"
            )
    op.drop_index("ix_messages_ended", table_name="messages")
