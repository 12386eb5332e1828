"""The examples that the API's description shows, one for each body."""

from typing import Any

_MESSAGE_ID = "019c1350-8a40-7c31-9a55-3f1c2b7d9e01"
_INBOUND_ID = "019c1351-10c8-7b02-8d4e-a7f0c9e1d223"
_DEVICE_ID = "019c134f-02b0-7d10-b6aa-51c0e8f7a442"
_ATTACHMENT_ID = "019c1351-10c9-7000-9c11-7e2f4a6b8d10"
_PROJECT_ID = "019c1340-5e20-7f6b-a3d2-0b9c8d7e6f51"
_KEY_ID = "019c1341-6f30-7a7c-84e3-1cad9e8f7a62"
_QUARANTINE_ID = "019c1352-2ae8-7d8e-95f4-2dbeaf908b73"
_EVENT_ID = "019c1351-10ca-7f11-8c3e-90d1e2f3a445"
_WEBHOOK_ENDPOINT_ID = "019c1342-7a41-7b8d-95f4-2dbeaf908b74"
_WEBHOOK_DELIVERY_ID = "019c1351-10d2-7a22-9d4f-a1e2f3b4c556"
_AT = "2026-01-31T09:30:00.000Z"
_LATER = "2026-01-31T09:30:07.250Z"

_PROBLEM: dict[str, Any] = {
    "type": "urn:gateway-hub:problem:invalid_input",
    "title": "Invalid input",
    "status": 422,
    "detail": "The request has fields that cannot be accepted.",
    "code": "invalid_input",
    "request_id": "019c1350-8a3f-7000-8000-000000000001",
    "errors": [{"pointer": "/to", "code": "required", "detail": "Field required"}],
}

_SEND_MESSAGE: dict[str, Any] = {
    "to": "+255712345678",
    "text": "Your appointment is on Monday at 10:00.",
    "route": {"tag": "clinic-a"},
    "priority": 5,
    "expires_at": "2026-02-01T09:30:00Z",
    "reference": "appointment-8817",
    "metadata": {"clinic": "a"},
}

_MESSAGE_START: dict[str, Any] = {
    "encoding": "gsm7",
    "segments": 1,
    "device_id": _DEVICE_ID,
    "error": None,
    "created_at": _AT,
    "updated_at": _LATER,
}

_OUTBOUND_MESSAGE: dict[str, Any] = {
    "id": _MESSAGE_ID,
    "direction": "outbound",
    "type": "sms",
    "status": "sent",
    "final": False,
    "from": None,
    "from_e164": None,
    "to": "+255712345678",
    "to_e164": "+255712345678",
    "text": "Your appointment is on Monday at 10:00.",
    **_MESSAGE_START,
    "route": {"device_id": None, "tag": "clinic-a"},
    "priority": 5,
    "send_at": None,
    "expires_at": "2026-02-01T09:30:00.000Z",
    "reference": "appointment-8817",
    "metadata": {"clinic": "a"},
    "attachments": [],
    "sms_sent_at": None,
    "sms_received_at": None,
    "max_attempts": 1,
    "if_uncertain": "wait",
    "attempts": [
        {
            "wire_id": _MESSAGE_ID,
            "number": 1,
            "device_id": _DEVICE_ID,
            "status": "sent",
            "offers": 1,
            "first_offered_at": "2026-01-31T09:30:02.100Z",
            "last_offered_at": "2026-01-31T09:30:02.100Z",
            "lease_until": "2026-01-31T09:35:02.100Z",
            "error": None,
        }
    ],
    "reached": {"queued": _AT, "dispatched": "2026-01-31T09:30:02.100Z", "sent": _LATER},
    "due_at": None,
    "cancel_requested_at": None,
}

_OUTBOUND_MESSAGE_DETAILS: dict[str, Any] = {
    **_OUTBOUND_MESSAGE,
    "reports": [
        {
            "wire_id": _MESSAGE_ID,
            "status": "SENT",
            "reason": None,
            "received_at": _LATER,
            "applied": True,
        }
    ],
    "waiting_for": {
        "reason": "delivery_report",
        "detail": "It reached the recipient's network; not every network tells whether it arrived.",
        "until": None,
    },
}

_INBOUND_MESSAGE: dict[str, Any] = {
    "id": _INBOUND_ID,
    "direction": "inbound",
    "type": "mms",
    "status": "received",
    "final": True,
    "from": "+255712345678",
    "from_e164": "+255712345678",
    "to": "+255700000001",
    "to_e164": "+255700000001",
    "text": "Here is the form",
    **_MESSAGE_START,
    "route": None,
    "priority": 0,
    "send_at": None,
    "expires_at": None,
    "reference": None,
    "metadata": {},
    "attachments": [
        {
            "id": _ATTACHMENT_ID,
            "content_type": "image/jpeg",
            "content_id": "<image1>",
            "filename": "form.jpg",
            "size_bytes": 48211,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "url": f"/v1/attachments/{_ATTACHMENT_ID}",
        }
    ],
    "sms_sent_at": "2026-01-31T09:29:55.000Z",
    "sms_received_at": None,
    "repeats": 0,
}

_SEND_BATCH: dict[str, Any] = {
    "messages": [_SEND_MESSAGE, {"to": "not a number", "text": "This one is refused."}]
}

_REFUSED = {
    **_PROBLEM,
    "detail": "The recipient must be a phone number or a short code.",
    "errors": [
        {
            "pointer": "/to",
            "code": "not_a_number",
            "detail": "The recipient must be a phone number or a short code.",
        }
    ],
}

_BATCH: dict[str, Any] = {
    "data": [
        {"status": 201, "message": _OUTBOUND_MESSAGE},
        {"status": 422, "problem": _REFUSED},
    ]
}

_CREATE_DEVICE: dict[str, Any] = {
    "name": "Clinic A",
    "protocol": "medic",
    "phone_number": "+255700000001",
    "tags": ["clinic-a"],
    "send_limit": {"segments": 30, "seconds": 1800},
    "region": "TZ",
}

_UPDATE_DEVICE: dict[str, Any] = {"paused": True, "tags": ["clinic-a", "spare"]}

_DEVICE: dict[str, Any] = {
    "id": _DEVICE_ID,
    "name": "Clinic A",
    "protocol": "medic",
    "username": "phone-e8f7a442",
    "phone_number": "+255700000001",
    "tags": ["clinic-a"],
    "send_limit": {"segments": 30, "seconds": 1800, "recipients_per_month": None},
    "server_url": None,
    "region": "TZ",
    "paused": False,
    "online": True,
    "last_seen_at": _LATER,
    "app_version": "v1.8.1",
    "model": "SM-A105F",
    "battery_percent": 87,
    "power": None,
    "network": None,
    "settings_version": None,
    "clock_skew_ms": None,
    "last_status": None,
    "backlog": 3,
    "budget_left": 27,
    "created_at": _AT,
    "updated_at": _AT,
}

_RENEW_CREDENTIALS: dict[str, Any] = {"grace_seconds": 86400}

_TYPED_URL = "https://phone-e8f7a442:mzxw6ytboi4dqobrgi2tknjvgy@sms.example.org/medic"

_ISSUED_CREDENTIALS: dict[str, Any] = {
    "credentials": {"username": "phone-e8f7a442", "password": "mzxw6ytboi4dqobrgi2tknjvgy"},
    "warnings": [],
    "setup": {
        "app": "CHT Gateway",
        "server_url": _TYPED_URL,
        "fields": [{"field": "Webapp URL", "value": _TYPED_URL}],
    },
    "pairing_qr": '<svg width="196" height="196">…</svg>',
}

_CREATED_DEVICE: dict[str, Any] = {**_DEVICE, **_ISSUED_CREDENTIALS}

_QUARANTINED: dict[str, Any] = {
    "id": _QUARANTINE_ID,
    "kind": "unknown_status",
    "detail": "The phone reported a status that is not known.",
    "raw": "id=019c1350-8a40-7c31-9a55-3f1c2b7d9e01 status=LOST reason=",
    "seen": 2,
    "first_seen_at": _AT,
    "last_seen_at": _LATER,
}

_CREATE_PROJECT: dict[str, Any] = {"name": "ministry-of-health", "region": "TZ"}

_UPDATE_PROJECT: dict[str, Any] = {"region": "KE"}

_PROJECT: dict[str, Any] = {
    "id": _PROJECT_ID,
    "name": "ministry-of-health",
    "region": "TZ",
    "if_uncertain": "wait",
    "created_at": _AT,
    "updated_at": _AT,
}

_CREATE_API_KEY: dict[str, Any] = {
    "name": "appointment reminders",
    "scopes": ["messages:write", "messages:read"],
    "tag": "clinics",
    "expires_at": "2027-01-31T00:00:00Z",
}

_API_KEY: dict[str, Any] = {
    "id": _KEY_ID,
    "project_id": _PROJECT_ID,
    "name": "appointment reminders",
    "hint": "ghk_Jb3x",
    "scopes": ["messages:read", "messages:write"],
    "tag": "clinics",
    "created_at": _AT,
    "expires_at": "2027-01-31T00:00:00.000Z",
    "revoked_at": None,
}

_CREATED_API_KEY: dict[str, Any] = {
    **_API_KEY,
    "key": "ghk_Jb3xEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMP",
}


def _page_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"data": [item], "next_cursor": None}


_EVENT: dict[str, Any] = {
    "id": "019c1350-a5b2-7e44-9d1b-6f20c3a4b5d6",
    "type": "message.sent",
    "timestamp": _LATER,
    "project_id": _PROJECT_ID,
    "data": {name: item for name, item in _OUTBOUND_MESSAGE.items() if name != "attempts"},
}

_EVENT_PAGE: dict[str, Any] = {
    "data": [_EVENT],
    "next_cursor": "q1zqb5nJ4fZ0mXv2cT8HdA",
    "has_more": False,
}

_ESTIMATE_REQUEST: dict[str, Any] = {
    "to": "+255712345678",
    "text": "Your appointment is on Monday \u2013 at 10:00.",
}

_ESTIMATE: dict[str, Any] = {
    "encoding": "ucs2",
    "segments": 1,
    "forcing_characters": ["\u2013"],
    "transliterated_text": "Your appointment is on Monday - at 10:00.",
    "devices": [{"device_id": _DEVICE_ID, "name": "Clinic A", "online": True, "earliest_at": _AT}],
    "earliest_at": _AT,
}

_COUNTS: list[dict[str, Any]] = [
    {"direction": "inbound", "status": "received", "messages": 3, "segments": 4},
    {"direction": "outbound", "status": "delivered", "messages": 11, "segments": 18},
]

_STATS: dict[str, Any] = {
    "from": "2026-01-30T10:00:00.000Z",
    "to": "2026-01-31T10:00:00.000Z",
    "by": "hour",
    "totals": _COUNTS,
    "periods": [{"start": "2026-01-31T09:00:00.000Z", "counts": _COUNTS}],
    "backlog": 2,
    "devices": {"online": 4, "offline": 1, "paused": 0},
}

_CREATE_WEBHOOK_ENDPOINT: dict[str, Any] = {
    "url": "https://backend.example.org/sms",
    "events": ["message.received", "message.delivered", "message.failed"],
    "tags": ["clinics"],
    "description": "appointments",
}

_UPDATE_WEBHOOK_ENDPOINT: dict[str, Any] = {"events": ["*"], "state": "paused"}

_WEBHOOK_ENDPOINT: dict[str, Any] = {
    "id": _WEBHOOK_ENDPOINT_ID,
    "kind": "endpoint",
    **_CREATE_WEBHOOK_ENDPOINT,
    "state": "enabled",
    "disabled_reason": None,
    "circuit": {"state": "closed", "failures": 0, "failing_since": None, "until": None},
    "previous_secret_until": None,
    "created_at": _AT,
    "updated_at": _AT,
}

_SECRET_WEBHOOK_ENDPOINT: dict[str, Any] = {
    **_WEBHOOK_ENDPOINT,
    "secret": "whsec_RVhBTVBMRUVYQU1QTEVFWEFNUExFRVhBTVBMRUVYQU0=",
}

_WEBHOOK_DELIVERY: dict[str, Any] = {
    "id": _WEBHOOK_DELIVERY_ID,
    "event_id": _EVENT_ID,
    "event_type": "message.received",
    "message_id": _MESSAGE_ID,
    "url": None,
    "status": "delivered",
    "attempt_count": 1,
    "next_attempt_at": None,
    "reply_id": None,
    "created_at": _AT,
    "updated_at": _AT,
}

_WEBHOOK_DELIVERY_DETAILS: dict[str, Any] = {
    **_WEBHOOK_DELIVERY,
    "attempts": [
        {
            "number": 1,
            "started_at": _AT,
            "duration_ms": 87,
            "outcome": "delivered",
            "http_status": 200,
            "fault": None,
            "detail": "answered 200",
            "excerpt": "ok",
            "reply_problem": None,
        }
    ],
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "ApiKeyPageResponse": _page_of(_API_KEY),
    "ApiKeyResponse": _API_KEY,
    "CreateApiKeyRequest": _CREATE_API_KEY,
    "CreateDeviceRequest": _CREATE_DEVICE,
    "CreateProjectRequest": _CREATE_PROJECT,
    "CreatedApiKeyResponse": _CREATED_API_KEY,
    "CreatedDeviceResponse": _CREATED_DEVICE,
    "DevicePageResponse": _page_of(_DEVICE),
    "DeviceResponse": _DEVICE,
    "CreateWebhookEndpointRequest": _CREATE_WEBHOOK_ENDPOINT,
    "EstimateRequest": _ESTIMATE_REQUEST,
    "EstimateResponse": _ESTIMATE,
    "EventPageResponse": _EVENT_PAGE,
    "EventResponse": _EVENT,
    "InboundMessageResponse": _INBOUND_MESSAGE,
    "IssuedCredentialsResponse": _ISSUED_CREDENTIALS,
    "MessagePageResponse": _page_of(_OUTBOUND_MESSAGE),
    "OutboundMessageDetailsResponse": _OUTBOUND_MESSAGE_DETAILS,
    "OutboundMessageResponse": _OUTBOUND_MESSAGE,
    "Problem": _PROBLEM,
    "ProjectPageResponse": _page_of(_PROJECT),
    "ProjectResponse": _PROJECT,
    "QuarantinePageResponse": _page_of(_QUARANTINED),
    "QuarantinedItemResponse": _QUARANTINED,
    "RenewCredentialsRequest": _RENEW_CREDENTIALS,
    "ReplayRequest": {"event_ids": [_EVENT_ID]},
    "ReplayResponse": {"replayed": 1},
    "RotateSecretRequest": {"overlap_seconds": 3600},
    "SecretWebhookEndpointResponse": _SECRET_WEBHOOK_ENDPOINT,
    "SendBatchRequest": _SEND_BATCH,
    "SendBatchResponse": _BATCH,
    "SendMessageRequest": _SEND_MESSAGE,
    "StatsResponse": _STATS,
    "UpdateDeviceRequest": _UPDATE_DEVICE,
    "UpdateProjectRequest": _UPDATE_PROJECT,
    "UpdateWebhookEndpointRequest": _UPDATE_WEBHOOK_ENDPOINT,
    "WebhookDeliveryDetailsResponse": _WEBHOOK_DELIVERY_DETAILS,
    "WebhookDeliveryPageResponse": _page_of(_WEBHOOK_DELIVERY),
    "WebhookDeliveryResponse": _WEBHOOK_DELIVERY,
    "WebhookEndpointPageResponse": _page_of(_WEBHOOK_ENDPOINT),
    "WebhookEndpointResponse": _WEBHOOK_ENDPOINT,
}
"""The example of each model, by the model's name."""
