"""When each phone's app began anew, and forgot what it keeps in memory only."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column of device states."""
    op.add_column("device_states", sa.Column("app_started_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("device_states", "app_started_at")
