"""The schema, as SQLAlchemy tables. Alembic migrations make it; a test holds the two together."""

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    text,
)

from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction, IfUncertain, MessageType
from gateway_hub.domain.webhooks.deliveries import DeliveryStatus
from gateway_hub.domain.webhooks.endpoints import EndpointKind, EndpointState
from gateway_hub.storage.column_types import UtcMoment, id_type, json_column_type

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _partial_index(
    name: str, *columns: str | TextClause, where: str, unique: bool = False
) -> Index:
    """Return an index over the rows that meet a condition, in the words of both databases."""
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """Return a check that *column* holds one of the enum's words.

    A check, not a native enum: asyncpg looks enum types up on every new connection.
    """
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({words})", name=column)


projects = Table(
    "projects",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("region", String(2)),
    Column("if_uncertain", String(8), nullable=False),
    Column("created_at", UtcMoment(), nullable=False),
    Column("updated_at", UtcMoment(), nullable=False),
    _one_of("if_uncertain", IfUncertain),
    UniqueConstraint("name"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("project_id", id_type(), ForeignKey("projects.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False),
    Column("key_hint", String(16), nullable=False),
    Column("scopes", json_column_type(), nullable=False),
    Column("created_at", UtcMoment(), nullable=False),
    Column("expires_at", UtcMoment()),
    Column("revoked_at", UtcMoment()),
    Column("tag", String(64)),
    UniqueConstraint("key_hash"),
    Index(None, "project_id", "id"),
)

devices = Table(
    "devices",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("project_id", id_type(), ForeignKey("projects.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("protocol", String(16), nullable=False),
    Column("username", String(255)),
    Column("phone_number", String(255)),
    Column("number_key", String(255)),
    Column("server_url", String(2048)),
    Column("region", String(2)),
    Column("tags", json_column_type(), nullable=False),
    Column("send_limit_segments", Integer),
    Column("send_limit_seconds", Integer),
    Column("recipients_per_month", Integer),
    Column("paused", Boolean, nullable=False),
    Column("created_at", UtcMoment(), nullable=False),
    Column("updated_at", UtcMoment(), nullable=False),
    Column("deleted_at", UtcMoment()),
    _one_of("protocol", Protocol),
    Index(None, "project_id", "id"),
    Index(None, "username"),
    Index(None, "number_key"),
)

device_credentials = Table(
    "device_credentials",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("device_id", id_type(), ForeignKey("devices.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", UtcMoment(), nullable=False),
    Column("expires_at", UtcMoment()),
    CheckConstraint("kind IN ('sha256', 'argon2', 'encrypted')", name="kind"),
    Index(None, "device_id"),
)

device_states = Table(
    "device_states",
    metadata,
    Column("device_id", id_type(), ForeignKey("devices.id"), primary_key=True),
    Column("last_seen_at", UtcMoment()),
    Column("app_version", String(64)),
    Column("model", String(128)),
    Column("battery_percent", Integer),
    Column("power", String(16)),
    Column("network", String(32)),
    Column("settings_version", BigInteger),
    Column("send_limit_segments", Integer),
    Column("clock_skew_ms", BigInteger),
    Column("poll_gap_ms", BigInteger),
    Column("takes_commands", Boolean),
    Column("phone_clock_high_at", UtcMoment()),
    Column("app_started_at", UtcMoment()),
    Column("last_status", String(64)),
    # What the last events told, so that several processes tell a change once.
    Column("told_online", Boolean),
    Column("told_status", String(200)),
)

messages = Table(
    "messages",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("project_id", id_type(), ForeignKey("projects.id"), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("type", String(8), nullable=False),
    Column("status", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("text_original", LargeBinary),
    Column("from_number", String(255)),
    Column("to_number", String(255)),
    Column("from_e164", String(20)),
    Column("to_e164", String(20)),
    Column("contact_key", String(255), nullable=False),
    Column("encoding", String(8)),
    Column("segments", Integer),
    Column("route_device_id", id_type(), ForeignKey("devices.id")),
    Column("route_tag", String(64)),
    # The queue it stands in: its route's, or for a while that of the device it should go through.
    Column("queue", String(150)),
    Column("preferred_until", UtcMoment()),
    Column("device_id", id_type(), ForeignKey("devices.id")),
    Column("device_protocol", String(16)),
    Column("priority", Integer, nullable=False),
    Column("send_at", UtcMoment()),
    Column("due_at", UtcMoment()),
    Column("cancel_requested_at", UtcMoment()),
    Column("expires_at", UtcMoment()),
    Column("max_attempts", Integer, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("if_uncertain", String(8), nullable=False),
    Column("reference", String(255)),
    Column("metadata", json_column_type(), nullable=False),
    Column("error_code", String(64)),
    Column("error_message", String(500)),
    Column("reached", json_column_type(), nullable=False),
    Column("sms_sent_at", UtcMoment()),
    Column("sms_received_at", UtcMoment()),
    Column("created_at", UtcMoment(), nullable=False),
    Column("updated_at", UtcMoment(), nullable=False),
    Column("status_callback", String(2048)),
    _one_of("direction", Direction),
    _one_of("type", MessageType),
    _one_of("status", Status),
    _one_of("if_uncertain", IfUncertain),
    Index(None, "project_id", "id"),
    Index(None, "project_id", "contact_key", "id"),
    Index(None, "device_id", "id"),
    _partial_index(
        "ix_messages_queue",
        "queue",
        text("priority DESC"),
        "id",
        where="status = 'queued'",
    ),
    _partial_index("ix_messages_due", "due_at", where="status = 'scheduled'"),
    _partial_index(
        "ix_messages_expiring",
        "expires_at",
        where="status IN ('scheduled', 'queued') AND expires_at IS NOT NULL",
    ),
    _partial_index(
        "ix_messages_preferred",
        "preferred_until",
        where="status = 'queued' AND preferred_until IS NOT NULL",
    ),
    _partial_index(
        "ix_messages_ended",
        "project_id",
        "status",
        "id",
        where="status IN ('failed', 'uncertain', 'cancelled', 'expired')",
    ),
    _partial_index(
        "ix_messages_reference",
        "project_id",
        "reference",
        "id",
        where="reference IS NOT NULL",
    ),
)

inbound_receipts = Table(
    "inbound_receipts",
    metadata,
    Column("device_id", id_type(), ForeignKey("devices.id"), primary_key=True),
    Column("dedupe_key", String(255), primary_key=True),
    # No foreign key: the receipt is claimed before the message is stored, and outlives it.
    Column("message_id", id_type(), nullable=False),
    Column("content_digest", LargeBinary(32), nullable=False),
    Column("first_seen_at", UtcMoment(), nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("last_repeat_at", UtcMoment()),
    Index(None, "message_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("wire_id", id_type(), primary_key=True),
    Column("message_id", id_type(), ForeignKey("messages.id"), nullable=False),
    Column("device_id", id_type(), ForeignKey("devices.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("offers", Integer, nullable=False),
    Column("first_offered_at", UtcMoment(), nullable=False),
    Column("last_offered_at", UtcMoment(), nullable=False),
    Column("lease_until", UtcMoment(), nullable=False),
    Column("last_sign_at", UtcMoment(), nullable=False),
    Column("cancel_requested_at", UtcMoment()),
    Column("soft_failures", Integer, nullable=False),
    Column("last_failed_at", UtcMoment()),
    Column("error_code", String(64)),
    Column("error_message", String(500)),
    Column("request_key", String(64)),
    # No foreign key: a phone may repeat a message that has been removed, and is known all the same.
    Column("inbound_message_id", id_type()),
    _one_of("status", Status),
    UniqueConstraint("message_id", "number"),
    _partial_index(
        "ix_attempts_lease",
        "device_id",
        "lease_until",
        where="status IN ('dispatched', 'uncertain')",
    ),
    _partial_index("ix_attempts_overdue", "lease_until", where="status = 'dispatched'"),
    _partial_index(
        "ix_attempts_working",
        "last_sign_at",
        where="status IN ('accepted', 'pending')",
    ),
    _partial_index(
        "ix_attempts_cancel",
        "device_id",
        "cancel_requested_at",
        where="cancel_requested_at IS NOT NULL",
    ),
    _partial_index(
        "ix_attempts_request",
        "device_id",
        "request_key",
        where="status IN ('dispatched', 'uncertain') AND request_key IS NOT NULL",
    ),
    _partial_index(
        "ix_attempts_inbound",
        "inbound_message_id",
        where="inbound_message_id IS NOT NULL",
    ),
)

reports = Table(
    "reports",
    metadata,
    Column("id", id_type(), primary_key=True),
    # No foreign key: whenever an attempt is removed it would need an index to be checked by.
    Column("wire_id", id_type(), nullable=False),
    Column("message_id", id_type(), ForeignKey("messages.id"), nullable=False),
    Column("device_id", id_type(), ForeignKey("devices.id"), nullable=False),
    Column("raw_status", String(64), nullable=False),
    Column("reason", String(500)),
    Column("received_at", UtcMoment(), nullable=False),
    Column("applied", Boolean, nullable=False),
    Index(None, "message_id", "id"),
)

attachments = Table(
    "attachments",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("message_id", id_type(), ForeignKey("messages.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("content_id", String(255)),
    Column("filename", String(255)),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("storage_key", String(255), nullable=False),
    UniqueConstraint("message_id", "position"),
    Index(None, "storage_key"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("project_id", id_type(), ForeignKey("projects.id"), nullable=False),
    Column("device_id", id_type(), ForeignKey("devices.id"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", String(500), nullable=False),
    Column("raw", Text, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("first_seen_at", UtcMoment(), nullable=False),
    Column("last_seen_at", UtcMoment(), nullable=False),
    UniqueConstraint("device_id", "digest"),
    Index(None, "device_id", "id"),
)

device_usage = Table(
    "device_usage",
    metadata,
    Column("device_id", id_type(), ForeignKey("devices.id"), primary_key=True),
    Column("minute", Integer, primary_key=True),
    Column("segments", Integer, nullable=False),
)

device_recipients = Table(
    "device_recipients",
    metadata,
    Column("device_id", id_type(), ForeignKey("devices.id"), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("contact_key", String(255), primary_key=True),
)

versions = Table(
    "versions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("version", BigInteger, nullable=False),
)

marks = Table(
    "marks",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("moment", UtcMoment(), nullable=False),
)

queue_backlogs = Table(
    "queue_backlogs",
    metadata,
    Column("project_id", id_type(), ForeignKey("projects.id"), primary_key=True),
    Column("queue", String(150), primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("messages", Integer, nullable=False),
)

message_counts = Table(
    "message_counts",
    metadata,
    Column("project_id", id_type(), ForeignKey("projects.id"), primary_key=True),
    Column("hour", Integer, primary_key=True),
    Column("direction", String(8), primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("segments", Integer, nullable=False),
    _one_of("direction", Direction),
    _one_of("status", Status),
    _partial_index("ix_message_counts_unfolded", "hour", where="shard <> 0"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    # Of caller, route and key: what callers put into their keys is not ours to keep.
    Column("key_digest", LargeBinary(32), primary_key=True),
    Column("claim_id", id_type(), nullable=False),
    Column("request_digest", LargeBinary(32), nullable=False),
    Column("answer", LargeBinary),
    Column("created_at", UtcMoment(), nullable=False),
    Index(None, "created_at"),
)


def _log_columns() -> list[Column[Any]]:
    return [
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("id", id_type(), nullable=False),
        # No foreign keys: what an event is about may be removed before it.
        Column("project_id", id_type(), nullable=False),
        Column("type", String(32), nullable=False),
        Column("timestamp", UtcMoment(), nullable=False),
        Column("message_id", id_type()),
        Column("device_id", id_type()),
        Column("route_tag", String(64)),
        Column("status_callback", String(2048)),
        Column("data", Text, nullable=False),
    ]


events = Table(
    "events",
    metadata,
    *_log_columns(),
    Index(None, "project_id", "seq"),
    Index(None, "id", unique=True),
    sqlite_autoincrement=True,
)

# Where PostgreSQL's writers put events, until one of them moves what is committed into the log.
event_inbox = Table("event_inbox", metadata, *_log_columns(), sqlite_autoincrement=True)

# How far each of those who go through the log has come.
log_places = Table(
    "log_places",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("project_id", id_type(), ForeignKey("projects.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("url", String(2048), nullable=False),
    Column("events", json_column_type(), nullable=False),
    Column("tags", json_column_type(), nullable=False),
    Column("description", String(500)),
    Column("state", String(16), nullable=False),
    Column("disabled_reason", String(16)),
    Column("secret", LargeBinary, nullable=False),
    Column("previous_secret", LargeBinary),
    Column("previous_secret_until", UtcMoment()),
    Column("after_seq", BigInteger, nullable=False),
    Column("circuit_state", String(16), nullable=False),
    Column("circuit_failures", Integer, nullable=False),
    Column("circuit_failing_since", UtcMoment()),
    Column("circuit_until", UtcMoment()),
    Column("created_at", UtcMoment(), nullable=False),
    Column("updated_at", UtcMoment(), nullable=False),
    Column("deleted_at", UtcMoment()),
    _one_of("kind", EndpointKind),
    _one_of("state", EndpointState),
    Index(None, "project_id", "id"),
    _partial_index(
        "ix_webhook_endpoints_callback",
        "project_id",
        "url",
        unique=True,
        where="kind = 'callback' AND deleted_at IS NULL",
    ),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", id_type(), primary_key=True),
    Column("endpoint_id", id_type(), ForeignKey("webhook_endpoints.id"), nullable=False),
    # No foreign keys: a test is of no event in the log, and a message may be removed before.
    Column("event_id", id_type(), nullable=False),
    Column("event_seq", BigInteger, nullable=False),
    Column("event_type", String(32), nullable=False),
    Column("message_id", id_type()),
    Column("url", String(2048)),
    Column("content", Text),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcMoment()),
    Column("claim_id", id_type()),
    Column("reply_id", id_type()),
    Column("created_at", UtcMoment(), nullable=False),
    Column("updated_at", UtcMoment(), nullable=False),
    _one_of("status", DeliveryStatus),
    Index("ix_webhook_deliveries_event", "event_id", "endpoint_id", unique=True),
    Index(None, "endpoint_id", "id"),
    _partial_index(
        "ix_webhook_deliveries_due",
        "endpoint_id",
        "next_attempt_at",
        where="status = 'pending'",
    ),
    _partial_index(
        "ix_webhook_deliveries_order",
        "endpoint_id",
        "message_id",
        "event_seq",
        where="status = 'pending'",
    ),
    _partial_index("ix_webhook_deliveries_dead", "endpoint_id", "id", where="status = 'dead'"),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", id_type(), ForeignKey("webhook_deliveries.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_at", UtcMoment(), nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("http_status", Integer),
    Column("fault", String(32)),
    Column("detail", String(500), nullable=False),
    Column("excerpt", Text),
    Column("reply_problem", String(500)),
)
