"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(length=36)
MOMENT = sa.BigInteger()
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "projects",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("region", sa.String(length=2), nullable=True),
        sa.Column("if_uncertain", sa.String(length=8), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "if_uncertain IN ('wait', 'resend')", name=op.f("ck_projects_if_uncertain")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("key_hint", sa.String(length=16), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_api_keys_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(
        op.f("ix_api_keys_project_id_id"), "api_keys", ["project_id", "id"], unique=False
    )

    op.create_table(
        "devices",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("protocol", sa.String(length=16), nullable=False),
        sa.Column("username", sa.String(length=255), nullable=True),
        sa.Column("phone_number", sa.String(length=255), nullable=True),
        sa.Column("number_key", sa.String(length=255), nullable=True),
        sa.Column("server_url", sa.String(length=2048), nullable=True),
        sa.Column("region", sa.String(length=2), nullable=True),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("send_limit_segments", sa.Integer(), nullable=True),
        sa.Column("send_limit_seconds", sa.Integer(), nullable=True),
        sa.Column("recipients_per_month", sa.Integer(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.CheckConstraint("protocol IN ('medic', 'envaya')", name=op.f("ck_devices_protocol")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_devices_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
    )
    op.create_index(op.f("ix_devices_number_key"), "devices", ["number_key"], unique=False)
    op.create_index(op.f("ix_devices_project_id_id"), "devices", ["project_id", "id"], unique=False)
    op.create_index(op.f("ix_devices_username"), "devices", ["username"], unique=False)

    op.create_table(
        "device_credentials",
        sa.Column("id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "kind IN ('sha256', 'argon2', 'encrypted')", name=op.f("ck_device_credentials_kind")
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_device_credentials_device_id_devices")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_credentials")),
    )
    op.create_index(
        op.f("ix_device_credentials_device_id"), "device_credentials", ["device_id"], unique=False
    )

    op.create_table(
        "device_recipients",
        sa.Column("device_id", ID, nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("contact_key", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_device_recipients_device_id_devices")
        ),
        sa.PrimaryKeyConstraint(
            "device_id", "month", "contact_key", name=op.f("pk_device_recipients")
        ),
    )
    op.create_table(
        "device_states",
        sa.Column("device_id", ID, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=True),
        sa.Column("app_version", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("battery_percent", sa.Integer(), nullable=True),
        sa.Column("power", sa.String(length=16), nullable=True),
        sa.Column("network", sa.String(length=32), nullable=True),
        sa.Column("settings_version", sa.BigInteger(), nullable=True),
        sa.Column("send_limit_segments", sa.Integer(), nullable=True),
        sa.Column("clock_skew_ms", sa.BigInteger(), nullable=True),
        sa.Column("poll_gap_ms", sa.BigInteger(), nullable=True),
        sa.Column("takes_commands", sa.Boolean(), nullable=True),
        sa.Column("phone_clock_high_at", MOMENT, nullable=True),
        sa.Column("last_status", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_device_states_device_id_devices")
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_states")),
    )
    op.create_table(
        "device_usage",
        sa.Column("device_id", ID, nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_device_usage_device_id_devices")
        ),
        sa.PrimaryKeyConstraint("device_id", "minute", name=op.f("pk_device_usage")),
    )
    op.create_table(
        "inbound_receipts",
        sa.Column("device_id", ID, nullable=False),
        sa.Column("dedupe_key", sa.String(length=255), nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("content_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("last_repeat_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_inbound_receipts_device_id_devices")
        ),
        sa.PrimaryKeyConstraint("device_id", "dedupe_key", name=op.f("pk_inbound_receipts")),
    )
    op.create_index(
        op.f("ix_inbound_receipts_message_id"), "inbound_receipts", ["message_id"], unique=False
    )

    op.create_table(
        "messages",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("type", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_original", sa.LargeBinary(), nullable=True),
        sa.Column("from_number", sa.String(length=255), nullable=True),
        sa.Column("to_number", sa.String(length=255), nullable=True),
        sa.Column("from_e164", sa.String(length=20), nullable=True),
        sa.Column("to_e164", sa.String(length=20), nullable=True),
        sa.Column("contact_key", sa.String(length=255), nullable=False),
        sa.Column("encoding", sa.String(length=8), nullable=True),
        sa.Column("segments", sa.Integer(), nullable=True),
        sa.Column("route_device_id", ID, nullable=True),
        sa.Column("route_tag", sa.String(length=64), nullable=True),
        sa.Column("queue", sa.String(length=150), nullable=True),
        sa.Column("preferred_until", MOMENT, nullable=True),
        sa.Column("device_id", ID, nullable=True),
        sa.Column("device_protocol", sa.String(length=16), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("send_at", MOMENT, nullable=True),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("cancel_requested_at", MOMENT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("if_uncertain", sa.String(length=8), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.String(length=500), nullable=True),
        sa.Column("reached", JSON, nullable=False),
        sa.Column("sms_sent_at", MOMENT, nullable=True),
        sa.Column("sms_received_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "direction IN ('outbound', 'inbound')", name=op.f("ck_messages_direction")
        ),
        sa.CheckConstraint(
            "if_uncertain IN ('wait', 'resend')", name=op.f("ck_messages_if_uncertain")
        ),
        sa.CheckConstraint(
            "status IN ('scheduled', 'queued', 'dispatched', 'accepted', 'pending', 'sent', 'delivered', 'failed', 'uncertain', 'cancelled', 'expired', 'received')",
            name=op.f("ck_messages_status"),
        ),
        sa.CheckConstraint("type IN ('sms', 'mms', 'call', 'sent')", name=op.f("ck_messages_type")),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_messages_device_id_devices")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_messages_project_id_projects")
        ),
        sa.ForeignKeyConstraint(
            ["route_device_id"], ["devices.id"], name=op.f("fk_messages_route_device_id_devices")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.create_index(op.f("ix_messages_device_id_id"), "messages", ["device_id", "id"], unique=False)
    op.create_index(
        "ix_messages_due",
        "messages",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("status = 'scheduled'"),
        postgresql_where=sa.text("status = 'scheduled'"),
    )
    op.create_index(
        "ix_messages_expiring",
        "messages",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("status IN ('scheduled', 'queued') AND expires_at IS NOT NULL"),
        postgresql_where=sa.text("status IN ('scheduled', 'queued') AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_preferred",
        "messages",
        ["preferred_until"],
        unique=False,
        sqlite_where=sa.text("status = 'queued' AND preferred_until IS NOT NULL"),
        postgresql_where=sa.text("status = 'queued' AND preferred_until IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_messages_project_id_contact_key_id"),
        "messages",
        ["project_id", "contact_key", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_messages_project_id_id"), "messages", ["project_id", "id"], unique=False
    )
    op.create_index(
        "ix_messages_queue",
        "messages",
        ["queue", sa.text("priority DESC"), "id"],
        unique=False,
        sqlite_where=sa.text("status = 'queued'"),
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "ix_messages_reference",
        "messages",
        ["project_id", "reference", "id"],
        unique=False,
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    )

    op.create_table(
        "quarantine",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_quarantine_device_id_devices")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_quarantine_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("device_id", "digest", name=op.f("uq_quarantine_device_id_digest")),
    )
    op.create_index(
        op.f("ix_quarantine_device_id_id"), "quarantine", ["device_id", "id"], unique=False
    )

    op.create_table(
        "attachments",
        sa.Column("id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.String(length=255), nullable=False),
        sa.Column("content_id", sa.String(length=255), nullable=True),
        sa.Column("filename", sa.String(length=255), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("storage_key", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_attachments_message_id_messages")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
        sa.UniqueConstraint(
            "message_id", "position", name=op.f("uq_attachments_message_id_position")
        ),
    )
    op.create_table(
        "attempts",
        sa.Column("wire_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.Column("first_offered_at", MOMENT, nullable=False),
        sa.Column("last_offered_at", MOMENT, nullable=False),
        sa.Column("lease_until", MOMENT, nullable=False),
        sa.Column("last_sign_at", MOMENT, nullable=False),
        sa.Column("cancel_requested_at", MOMENT, nullable=True),
        sa.Column("soft_failures", sa.Integer(), nullable=False),
        sa.Column("last_failed_at", MOMENT, nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.String(length=500), nullable=True),
        sa.Column("request_key", sa.String(length=64), nullable=True),
        sa.Column("inbound_message_id", ID, nullable=True),
        sa.CheckConstraint(
            "status IN ('scheduled', 'queued', 'dispatched', 'accepted', 'pending', 'sent', 'delivered', 'failed', 'uncertain', 'cancelled', 'expired', 'received')",
            name=op.f("ck_attempts_status"),
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_attempts_device_id_devices")
        ),
        sa.ForeignKeyConstraint(
            ["inbound_message_id"],
            ["messages.id"],
            name=op.f("fk_attempts_inbound_message_id_messages"),
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_attempts_message_id_messages")
        ),
        sa.PrimaryKeyConstraint("wire_id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("message_id", "number", name=op.f("uq_attempts_message_id_number")),
    )
    op.create_index(
        "ix_attempts_cancel",
        "attempts",
        ["device_id", "cancel_requested_at"],
        unique=False,
        sqlite_where=sa.text("cancel_requested_at IS NOT NULL"),
        postgresql_where=sa.text("cancel_requested_at IS NOT NULL"),
    )
    op.create_index(
        "ix_attempts_inbound",
        "attempts",
        ["inbound_message_id"],
        unique=False,
        sqlite_where=sa.text("inbound_message_id IS NOT NULL"),
        postgresql_where=sa.text("inbound_message_id IS NOT NULL"),
    )
    op.create_index(
        "ix_attempts_lease",
        "attempts",
        ["device_id", "lease_until"],
        unique=False,
        sqlite_where=sa.text("status IN ('dispatched', 'uncertain')"),
        postgresql_where=sa.text("status IN ('dispatched', 'uncertain')"),
    )
    op.create_index(
        "ix_attempts_overdue",
        "attempts",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("status = 'dispatched'"),
        postgresql_where=sa.text("status = 'dispatched'"),
    )
    op.create_index(
        "ix_attempts_request",
        "attempts",
        ["device_id", "request_key"],
        unique=False,
        sqlite_where=sa.text("status IN ('dispatched', 'uncertain') AND request_key IS NOT NULL"),
        postgresql_where=sa.text(
            "status IN ('dispatched', 'uncertain') AND request_key IS NOT NULL"
        ),
    )
    op.create_index(
        "ix_attempts_working",
        "attempts",
        ["last_sign_at"],
        unique=False,
        sqlite_where=sa.text("status IN ('accepted', 'pending')"),
        postgresql_where=sa.text("status IN ('accepted', 'pending')"),
    )

    op.create_table(
        "reports",
        sa.Column("id", ID, nullable=False),
        sa.Column("wire_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("raw_status", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_reports_device_id_devices")
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_reports_message_id_messages")
        ),
        sa.ForeignKeyConstraint(
            ["wire_id"], ["attempts.wire_id"], name=op.f("fk_reports_wire_id_attempts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
    )
    op.create_index(op.f("ix_reports_message_id_id"), "reports", ["message_id", "id"], unique=False)


def downgrade() -> None:
    """Remove everything; the indexes go with their tables."""
    for table in (
        "device_recipients",
        "device_usage",
        "reports",
        "attempts",
        "attachments",
        "quarantine",
        "inbound_receipts",
        "messages",
        "device_states",
        "device_credentials",
        "devices",
        "api_keys",
        "projects",
    ):
        op.drop_table(table)
