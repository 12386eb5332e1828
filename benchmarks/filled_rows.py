"""Statements that make millions of rows out of nothing but their numbers, for both databases."""

from dataclasses import dataclass
from string import Template

DEVICES = 1000
GROUPS = 20
"""Device number k has the tag ``group-{k % 20}``; only the first ten groups have work waiting."""

_SPAN_MS = 365 * 86_400_000
_CONTACT_EVERY = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """How many messages there are to be, all of the year that ends at *ended_ms*."""

    rows: int
    ended_ms: int

    @property
    def began_ms(self) -> int:
        """When the first message was made."""
        return self.ended_ms - _SPAN_MS

    @property
    def project_id(self) -> str:
        """The id of the only project."""
        return first_id(self.began_ms - DEVICES - 1)

    def device_id(self, number: int) -> str:
        """Return the id of a device by its number."""
        return first_id(self.began_ms - DEVICES + number)


def first_id(ms: int) -> str:
    """Return the least id of a row made at *ms*."""
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7000-8000-000000000000"


def filling_statements(dialect: str, plan: Plan) -> dict[str, str]:
    """Return what fills the tables, in order, by the name of the table."""
    values = {
        "rows": plan.rows,
        "devices": DEVICES,
        "groups": GROUPS,
        "contacts": max(100, plan.rows // _CONTACT_EVERY),
        "began": plan.began_ms,
        "step": _SPAN_MS // plan.rows,
        "span": _SPAN_MS,
        "project": plan.project_id,
    }
    words = {name: Template(text).substitute(values) for name, text in _DIALECTS[dialect].items()}
    values |= words | {"numbered": Template(_NUMBERED).substitute(values)}
    return {
        name: Template(statement).substitute(values)
        for name, statement in {
            "messages": _MESSAGES,
            "attempts": _ATTEMPTS,
            "reports": _REPORTS,
            "inbound_receipts": _RECEIPTS,
            "message_counts": _COUNTS,
        }.items()
    }


# Of the outbound messages most are long over: sent (envaya) or delivered (medic), 3 % failed, 1 %
# uncertain. Of the newest one in a hundred, those of the first ten groups wait or are in the hands
# of a phone. Half of all are inbound.
_NUMBERED = """
SELECT n, n % 2 = 0 AS is_inbound, (n / 2 * 7919) % $devices AS device,
  (n / 2 * 31) % $contacts AS contact, $began + n * $step AS at,
  CASE
    WHEN n % 2 = 0 THEN 'received'
    WHEN n > $rows * 0.995 AND ((n / 2 * 7919) % $devices) % $groups < $groups / 2 THEN 'queued'
    WHEN n > $rows * 0.99 AND ((n / 2 * 7919) % $devices) % $groups < $groups / 2 THEN 'dispatched'
    WHEN n < $rows * 0.9 AND (n / 2 + n / 2000) % 200 IN (7, 58) THEN 'uncertain'
    WHEN (n / 2 + n / 2000) % 100 < 3 THEN 'failed'
    WHEN ((n / 2 * 7919) % $devices) % 2 = 0 THEN 'delivered'
    ELSE 'sent'
  END AS status
FROM numbers
"""

_MESSAGES = """
INSERT INTO messages (
  id, project_id, direction, type, status, text, from_number, to_number, from_e164, to_e164,
  contact_key, encoding, segments, route_tag, queue, device_id, device_protocol, priority,
  max_attempts, attempt_count, if_uncertain, metadata, reached, created_at, updated_at)
$numbers, rows AS ($numbered), named AS (
  SELECT rows.*, '+2557' || substr(CAST(100000000 + contact AS TEXT), 2) AS number,
    '+25570' || substr(CAST(10000000 + device AS TEXT), 2) AS own_number,
    $device_id AS phone FROM rows)
SELECT $id, '$project', CASE WHEN is_inbound THEN 'inbound' ELSE 'outbound' END, 'sms', status,
  'Message ' || CAST(n AS TEXT) || ': the clinic is open from eight to four; bring the card.',
  CASE WHEN is_inbound THEN number END, CASE WHEN is_inbound THEN own_number ELSE number END,
  CASE WHEN is_inbound THEN number END, CASE WHEN is_inbound THEN own_number ELSE number END,
  number, 'gsm7', 1,
  CASE WHEN NOT is_inbound THEN 'group-' || CAST(device % $groups AS TEXT) END,
  CASE WHEN NOT is_inbound THEN 'tag:$project:group-' || CAST(device % $groups AS TEXT) END,
  CASE WHEN status <> 'queued' THEN phone END,
  CASE WHEN status = 'queued' THEN NULL WHEN device % 2 = 0 THEN 'medic' ELSE 'envaya' END,
  0, 1, CASE WHEN is_inbound OR status = 'queued' THEN 0 ELSE 1 END, 'wait', $empty,
  CASE WHEN is_inbound THEN $empty ELSE $reached END, at, at
FROM named ORDER BY n
"""

_ATTEMPTS = """
INSERT INTO attempts (
  wire_id, message_id, device_id, number, status, offers, first_offered_at, last_offered_at,
  lease_until, last_sign_at, soft_failures)
SELECT id, id, device_id, 1, status, 1, created_at, created_at,
  CASE
    WHEN status = 'dispatched' THEN created_at + 10 * $span
    WHEN status = 'uncertain' AND device_protocol = 'envaya' THEN 253402214400000
    ELSE created_at + 300000
  END, created_at, 0
FROM messages WHERE attempt_count = 1 ORDER BY id
"""

_REPORTS = """
INSERT INTO reports (id, wire_id, message_id, device_id, raw_status, received_at, applied)
SELECT substr(wire_id, 1, 19) || told.part || substr(wire_id, 24), wire_id, message_id, device_id,
  told.word, first_offered_at + 60000, 1 = 1
FROM attempts CROSS JOIN (SELECT 'a001' AS part, 'PENDING' AS word UNION ALL SELECT 'a002', 'SENT')
  AS told
WHERE attempts.status IN ('sent', 'delivered', 'failed') ORDER BY wire_id
"""

_RECEIPTS = """
INSERT INTO inbound_receipts (
  device_id, dedupe_key, message_id, content_digest, first_seen_at, repeats)
SELECT device_id, $dedupe_key, id, $digest, created_at, 0
FROM messages WHERE direction = 'inbound' ORDER BY id
"""

_COUNTS = """
INSERT INTO message_counts (project_id, hour, direction, status, shard, messages, segments)
SELECT project_id, created_at / 3600000, direction, status, 0, count(*), sum(segments)
FROM messages GROUP BY project_id, created_at / 3600000, direction, status
"""

_REACHED = (
    '{"queued": "2025-11-30T08:15:30.123Z", "dispatched": "2025-11-30T08:15:42.456Z", '
    '"pending": "2025-11-30T08:15:50.789Z", "sent": "2025-11-30T08:15:55.012Z"}'
)

_DIALECTS = {
    "sqlite": {
        "numbers": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
        "WHERE n < $rows)",
        "id": "printf('%08x-%04x-7%03x-8%03x-%012x', at >> 16, at & 65535, n % 4096, "
        "(n * 31) % 4096, n)",
        "device_id": "printf('%08x-%04x-7000-8000-000000000000', ($began - $devices + device) "
        ">> 16, ($began - $devices + device) & 65535)",
        "empty": "'{}'",
        "reached": f"'{_REACHED}'",
        "dedupe_key": "lower(hex(randomblob(16)))",
        "digest": "randomblob(32)",
    },
    "postgresql": {
        "numbers": "WITH numbers(n) AS (SELECT generate_series(1::bigint, $rows::bigint))",
        "id": "lpad(to_hex(at >> 16), 8, '0') || '-' || lpad(to_hex(at & 65535), 4, '0') || '-7' "
        "|| lpad(to_hex(n % 4096), 3, '0') || '-8' || lpad(to_hex((n * 31) % 4096), 3, '0') || '-' "
        "|| lpad(to_hex(n), 12, '0')",
        "device_id": "lpad(to_hex(($began - $devices + device) >> 16), 8, '0') || '-' || "
        "lpad(to_hex(($began - $devices + device) & 65535), 4, '0') || '-7000-8000-000000000000'",
        "empty": "'{}'::jsonb",
        "reached": f"'{_REACHED}'::jsonb",
        "dedupe_key": "md5(id)",
        "digest": "decode(md5(id) || md5(id), 'hex')",
    },
}
