"""The backend service of ``gateway-hub demo``: it hears of SMS, checks who says so, and replies."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway_hub.domain.webhooks.signing import WebhookVerificationError, verify_webhook

_HOST = "127.0.0.1"
_MOST_BYTES = 1 << 20


@dataclass(slots=True)
class DemoReceiver:
    """A service at *url* that answers each SMS with *reply*, once it knows the *secret*."""

    url: str
    reply: str
    secret: str | None = None


@asynccontextmanager
async def receiving(reply: str, tell: Callable[[str], None]) -> AsyncIterator[DemoReceiver]:
    """Run a service around the block; what it hears of, it tells."""
    receiver = DemoReceiver("", reply)
    answering: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:  # the server runs this in one
            answering.add(task)
            task.add_done_callback(answering.discard)
        try:
            await _answer(receiver, reader, writer, tell)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, _HOST, 0)
    receiver.url = f"http://{_HOST}:{server.sockets[0].getsockname()[1]}/sms"
    try:
        yield receiver
    finally:
        server.close()
        for task in list(answering):
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


async def _answer(
    receiver: DemoReceiver,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    tell: Callable[[str], None],
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    length = int(headers["content-length"])
    body = await reader.readexactly(min(length, _MOST_BYTES))
    status, answer = _judge(receiver, headers, body, tell)
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(answer)}", "Connection: close"]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer)
    await writer.drain()


def _judge(
    receiver: DemoReceiver, headers: dict[str, str], body: bytes, tell: Callable[[str], None]
) -> tuple[str, bytes]:
    try:
        verify_webhook(headers, body, receiver.secret or "")
    except (WebhookVerificationError, ValueError) as error:
        tell(f"is sent something the hub did not sign: {error}")
        return "401 Unauthorized", b""
    event = json.loads(body)
    said = json.dumps(event["data"]["text"], ensure_ascii=False)
    tell(f"hears {event['type']} {said}, signed by the hub, and answers")
    answer = json.dumps({"reply": {"text": receiver.reply}}, ensure_ascii=False)
    tell(f"  200 {answer}")
    return "200 OK", answer.encode("utf-8")
