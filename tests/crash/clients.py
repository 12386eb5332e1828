"""Backends and phones that keep going while the hub dies and comes back, and note what it told."""

import asyncio
import hashlib
import json
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway_hub.adapters.envaya.signature import compute_signature
from tests.crash.ledger import Ledger

PHONE_NUMBER = "+255710000001"
_PAUSE_SECONDS = 0.02
_LOST_ANSWERS = 0.1
"""The share of answers that never reach a phone: it then says all of it again."""


@dataclass
class Place:
    """Where the hub is, and who may still work."""

    base_url: str
    key: str
    ledger: Ledger
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, step: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
        """Repeat *step* until told to stop; a hub that is away is only waited for."""
        async with httpx.AsyncClient(base_url=self.base_url, timeout=20, trust_env=False) as http:
            while not self.stop.is_set():
                try:
                    await step(http)
                except httpx.TransportError:
                    self.ledger.unanswered += 1
                await asyncio.sleep(_PAUSE_SECONDS * random.random())


class Backend:
    """Submits messages; what it is told 201 for must be there for ever."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def step(self, http: httpx.AsyncClient) -> None:
        """Submit one message."""
        answer = await http.post(
            "/v1/messages",
            json={"to": "+255710009999", "text": f"out-{secrets.token_hex(8)}"},
            headers={"Authorization": f"Bearer {self._place.key}"},
        )
        if answer.status_code == httpx.codes.CREATED:
            self._place.ledger.submitted.add(answer.json()["id"])


class MedicPhone:
    """Forwards batches again and again until they are taken, as the app does; reports at once."""

    def __init__(self, place: Place, name: str, username: str, password: str) -> None:
        self._place = place
        self._name = name
        self._auth = httpx.BasicAuth(username, password)
        self._messages: list[dict[str, Any]] = []
        self._updates: list[dict[str, str]] = []

    async def step(self, http: httpx.AsyncClient) -> None:
        """Post what waits; on success forget it and take on what the answer brings."""
        while len(self._messages) < random.randrange(3):
            text = f"in-{secrets.token_hex(8)}"
            self._messages.append({"id": text, "from": "+255710000002", "content": text})
        body = {"messages": self._messages[:10], "updates": self._updates[:20]}
        answer = await http.post("/medic", json=body, auth=self._auth)
        if answer.status_code != httpx.codes.OK or random.random() < _LOST_ANSWERS:
            return
        self._place.ledger.forwarded |= {item["content"] for item in body["messages"]}
        self._messages, self._updates = self._messages[10:], self._updates[20:]
        for message in answer.json()["messages"]:
            _note_offer(self._place.ledger, self._name, message["content"])
            for status in ("UNSENT", "PENDING", "SENT", "DELIVERED"):
                self._updates.append({"id": message["id"], "status": status})


class EnvayaPhone:
    """Forwards SMS and MMS, polls and reports, each in a signed post of its own."""

    def __init__(self, place: Place, name: str, password: str) -> None:
        self._place = place
        self._name = name
        self._password = password
        self._waiting: dict[str, str] | None = None
        self._image = b""
        self._reports: list[str] = []

    async def step(self, http: httpx.AsyncClient) -> None:
        """Forward what waits, else poll; then report what was given."""
        if self._waiting is None and random.random() < 0.5:
            self._receive()
        if self._waiting is not None:
            await self._forward(http, self._waiting)
        else:
            await self._post(http, {"action": "outgoing"})
        if self._reports:
            report = {"action": "send_status", "id": self._reports[0], "status": "sent"}
            if await self._post(http, report):
                self._reports.pop(0)

    def _receive(self) -> None:
        text = f"in-{secrets.token_hex(8)}"
        self._image = secrets.token_bytes(random.randrange(1, 40_000))
        fields = {"action": "incoming", "from": "+255710000003", "message": text}
        fields |= {"timestamp": str(time.time_ns() // 1_000_000), "message_type": "sms"}
        if random.random() < 0.3:
            parts = [{"name": "part0", "cid": "<1>", "type": "image/jpeg", "filename": "a.jpg"}]
            fields |= {"message_type": "mms", "mms_parts": json.dumps(parts)}
        self._waiting = fields

    async def _forward(self, http: httpx.AsyncClient, fields: dict[str, str]) -> None:
        files = {"part0": ("a.jpg", self._image, "image/jpeg")}
        if await self._post(http, fields, files if "mms_parts" in fields else None):
            self._place.ledger.forwarded.add(fields["message"])
            if "mms_parts" in fields:
                digest = hashlib.sha256(self._image).hexdigest()
                self._place.ledger.parts[fields["message"]] = digest
            self._waiting = None

    async def _post(
        self,
        http: httpx.AsyncClient,
        fields: dict[str, str],
        files: dict[str, tuple[str, bytes, str]] | None = None,
    ) -> bool:
        told = fields | {
            "version": "30",
            "phone_number": PHONE_NUMBER,
            "now": str(time.time_ns() // 1_000_000),
            "log": secrets.token_hex(4),
        }
        url = f"{self._place.base_url}/envaya"
        signature = compute_signature(url, told.items(), self._password)
        answer = await http.post(
            "/envaya", data=told, files=files, headers={"X-Request-Signature": signature}
        )
        if answer.status_code != httpx.codes.OK or random.random() < _LOST_ANSWERS:
            return False
        for event in answer.json()["events"]:
            for message in event["messages"]:
                _note_offer(self._place.ledger, self._name, message["message"])
                self._reports.append(message["id"])
        return True


def _note_offer(ledger: Ledger, phone: str, text: str) -> None:
    ledger.holders[text].add(phone)
    ledger.handed_out[phone, text] += 1
