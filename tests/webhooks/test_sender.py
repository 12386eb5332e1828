"""Webhooks sent to real receivers, good and bad."""

import asyncio
import socket
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from gateway_hub import __version__
from gateway_hub.domain.webhooks.outcomes import EXCERPT_BYTES, AttemptResult, Fault, OutcomeKind
from gateway_hub.domain.webhooks.signing import verify_webhook
from gateway_hub.webhooks.answers import MOST_BODY_BYTES, IncomingAnswer
from gateway_hub.webhooks.guard import Guard
from gateway_hub.webhooks.sender import SendLimits, WebhookSender
from tests.conftest import FakeClock
from tests.webhooks.certificates import HOST, Authority
from tests.webhooks.conftest import IMPATIENT, SECRET, MakeSender
from tests.webhooks.receiver import (
    Behaviour,
    Receiver,
    answering,
    drip,
    hang,
    hang_up,
    ok,
    pour,
    receiving,
    status,
    then,
)

BODY = '{"type":"message.received","data":{"text":"Habari 😀"}}'.encode()
MIB = 1 << 20


async def send(sender: WebhookSender, url: str) -> AttemptResult:
    return await sender.send(url, "event-1", BODY, [SECRET])


async def send_to(sender: WebhookSender, behaviour: Behaviour) -> AttemptResult:
    async with receiving(behaviour) as receiver:
        return await send(sender, receiver.url())


@contextmanager
def memory_within(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


# What is sent


async def test_a_signed_event_arrives_as_it_is(sender: WebhookSender, clock: FakeClock) -> None:
    async with receiving(ok(b"thanks")) as receiver:
        result = await send(sender, receiver.url() + "?a=b")
    (received,) = receiver.requests
    assert received.line == "POST /hook?a=b HTTP/1.1"
    assert received.body == BODY
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"] == f"gateway-hub/{__version__}"
    assert received.headers["accept-encoding"] == "identity"
    assert received.headers["webhook-id"] == "event-1"
    verify_webhook(received.headers, received.body, SECRET, now=clock.now)
    assert (result.outcome.kind, result.outcome.status) == (OutcomeKind.DELIVERED, 200)
    assert result.answer is not None
    assert (result.answer.excerpt, result.answer.is_whole) == ("thanks", True)
    assert result.duration_ms >= 0


async def test_nothing_but_what_is_meant_is_sent(
    sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with receiving(ok(b"", "Set-Cookie: a=b; Path=/")) as receiver:
        await send(sender, receiver.url())
        await send(sender, receiver.url())
    assert receiver.connections == 1
    assert [sorted(request.headers) for request in receiver.requests] == [
        [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "webhook-id",
            "webhook-signature",
            "webhook-timestamp",
        ]
    ] * 2


async def test_what_cannot_be_signed_is_not_sent(sender: WebhookSender) -> None:
    async with receiving(ok()) as receiver:
        with pytest.raises(ValueError, match="secret"):
            await sender.send(receiver.url(), "event-1", BODY, [])
    assert receiver.connections == 0


async def test_tls_and_the_host_header_keep_the_name(
    sender: WebhookSender, authority: Authority
) -> None:
    context = authority.serve_as(HOST)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with receiving(ok(), tls=context) as receiver:
        result = await send(sender, receiver.url(HOST, "https"))
    assert result.outcome.is_delivered
    assert asked == [HOST]
    assert receiver.requests[0].headers["host"] == f"{HOST}:{receiver.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_has_a_certificate_too(
    sender: WebhookSender, authority: Authority, host: str
) -> None:
    async with receiving(ok(), tls=authority.serve_as(host), host=host) as receiver:
        shown = f"[{host}]" if ":" in host else host
        result = await send(sender, receiver.url(shown, "https"))
    assert result.outcome.is_delivered
    assert receiver.requests[0].headers["host"] == f"{shown}:{receiver.port}"


async def test_a_connection_that_the_other_side_closed_is_not_used_again(
    sender: WebhookSender,
) -> None:
    async with receiving(then(ok(b"bye", "Connection: close"), hang_up)) as receiver:
        for _ in range(3):
            assert (await send(sender, receiver.url())).outcome.is_delivered
    assert receiver.connections == 3


async def test_the_bound_of_an_answer_is_not_one_of_its_connection(sender: WebhookSender) -> None:
    async with receiving(ok(b"x" * 60_000)) as receiver:
        for _ in range(5):
            result = await send(sender, receiver.url())
            assert result.answer is not None
            assert result.answer.is_whole
    assert receiver.connections == 1


# What comes back


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (201, OutcomeKind.DELIVERED),
        (204, OutcomeKind.DELIVERED),
        (304, OutcomeKind.REFUSED),
        (400, OutcomeKind.REFUSED),
        (404, OutcomeKind.REFUSED),
        (410, OutcomeKind.GONE),
        (500, OutcomeKind.REFUSED),
        (502, OutcomeKind.THROTTLED),
        (503, OutcomeKind.THROTTLED),
        (504, OutcomeKind.THROTTLED),
    ],
)
async def test_a_status_is_an_outcome(sender: WebhookSender, code: int, kind: OutcomeKind) -> None:
    result = await send_to(sender, status(code))
    assert (result.outcome.kind, result.outcome.status) == (kind, code)


async def test_retry_after_comes_with_the_outcome(sender: WebhookSender, clock: FakeClock) -> None:
    seconds = await send_to(sender, status(429, "Retry-After: 3600"))
    assert seconds.outcome.kind is OutcomeKind.THROTTLED
    assert seconds.outcome.retry_after is not None
    assert seconds.outcome.retry_after.total_seconds() == 3600
    date = await send_to(sender, status(503, "Retry-After: Sun, 01 Mar 2026 12:10:00 GMT"))
    assert date.outcome.retry_after is not None
    assert date.outcome.retry_after.total_seconds() == 600
    nonsense = await send_to(sender, status(503, "Retry-After: soon"))
    assert nonsense.outcome.retry_after is None


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(sender: WebhookSender, code: int) -> None:
    async with receiving(ok()) as target:
        result = await send_to(sender, status(code, f"Location: {target.url()}"))
    assert target.connections == 0
    assert result.outcome.kind is OutcomeKind.REFUSED
    assert "redirects are not followed" in str(result.outcome)
    assert target.url() in str(result.outcome)


async def test_a_redirect_to_a_link_local_address_is_only_told(sender: WebhookSender) -> None:
    result = await send_to(sender, status(302, "Location: http://169.254.169.254/latest/"))
    assert (result.outcome.kind, result.outcome.status) == (OutcomeKind.REFUSED, 302)


async def test_a_wrong_location_is_no_error(sender: WebhookSender) -> None:
    result = await send_to(sender, status(302, "Location: http://[::1:\x80/"))
    assert result.outcome.status == 302


async def test_the_first_of_a_large_answer_is_kept_and_the_rest_never_read(
    sender: WebhookSender,
) -> None:
    endless = then(
        answering("HTTP/1.1 200 OK\nContent-Length: 209715200"), pour(b"x" * 65536, 3200)
    )
    with memory_within(4 * MIB):
        async with receiving(endless) as receiver:
            result = await send(sender, receiver.url())
            await receiver.closed.wait()
    assert result.outcome.is_delivered
    assert result.answer is not None
    assert (len(result.answer.body), result.answer.is_whole) == (EXCERPT_BYTES, False)
    assert len(result.answer.excerpt) == 1024


async def test_a_gzip_bomb_is_not_unpacked(sender: WebhookSender) -> None:
    bomb = _zip_zeros(200)
    with memory_within(4 * MIB):
        result = await send_to(sender, ok(bomb, "Content-Encoding: gzip"))
    assert result.outcome.is_delivered
    assert result.answer is not None
    assert result.answer.is_encoded
    assert result.answer.body == bomb[:EXCERPT_BYTES]
    assert result.answer.excerpt == ""


def _zip_zeros(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(mebibytes)) + packer.flush()


async def test_chunks_of_one_byte_are_bounded_by_what_they_cost(sender: WebhookSender) -> None:
    head = answering("HTTP/1.1 200 OK\nTransfer-Encoding: chunked")
    result = await send_to(sender, then(head, pour(b"1\r\nx\r\n" * 1000, 300)))
    assert result.outcome.is_delivered
    assert result.answer is not None
    assert not result.answer.is_whole
    assert len(result.answer.body) <= MOST_BODY_BYTES


async def test_an_answer_may_end_with_its_connection(sender: WebhookSender) -> None:
    result = await send_to(sender, then(answering("HTTP/1.0 200 OK", b"old but good"), hang_up))
    assert result.outcome.is_delivered
    assert result.answer is not None
    assert (result.answer.excerpt, result.answer.is_whole) == ("old but good", True)


def test_nothing_is_judged_before_anything_came(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="neither"):
        IncomingAnswer().judge(clock.now)
    assert IncomingAnswer().keep() is None


NOT_ANSWERS = [
    pytest.param(answering("SSH-2.0-OpenSSH_9.2"), id="another-protocol"),
    pytest.param(answering("HTTP/1.1 abc OK"), id="no-status"),
    pytest.param(answering("HTTP/1.1 200 OK\nContent-Length: -1"), id="negative-length"),
    pytest.param(answering("HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2"), id="lengths"),
    pytest.param(answering("HTTP/1.1 200 OK\nno colon"), id="bad-header"),
    pytest.param(answering("HTTP/1.1 101 x\nUpgrade: a\nConnection: upgrade"), id="a-switch"),
    pytest.param(
        answering("HTTP/1.1 200 OK\n" + "\n".join(f"a{n}: {'x' * 1000}" for n in range(40))),
        id="many-headers",
    ),
    pytest.param(answering("HTTP/1.1 200 OK\nlong: " + "x" * 300_000), id="endless-header"),
    pytest.param(pour(b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" * 100, 200), id="only-interim"),
]


@pytest.mark.parametrize("behaviour", NOT_ANSWERS)
async def test_what_is_no_answer_is_told_as_such(
    sender: WebhookSender, behaviour: Behaviour
) -> None:
    with memory_within(4 * MIB):
        result = await send_to(sender, behaviour)
    assert (result.outcome.kind, result.outcome.fault) == (
        OutcomeKind.UNREACHABLE,
        Fault.BAD_ANSWER,
    )
    assert result.answer is None


# What does not come back


CUT_SHORT = [
    pytest.param(hang_up, id="closes-at-once"),
    pytest.param(
        then(answering("HTTP/1.1 200 OK\nContent-Length: 100", b"x" * 5), hang_up), id="cut"
    ),
    pytest.param(
        then(answering("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"5\r\nhe"), hang_up),
        id="cut-within-a-chunk",
    ),
    pytest.param(then(pour(b"HTTP/1.1 20", 1), hang_up), id="cut-within-the-head"),
]


@pytest.mark.parametrize("behaviour", CUT_SHORT)
async def test_an_answer_that_is_cut_short_is_none(
    sender: WebhookSender, behaviour: Behaviour
) -> None:
    result = await send_to(sender, behaviour)
    assert result.outcome.kind is OutcomeKind.UNREACHABLE
    assert result.outcome.fault is Fault.CONNECTION_LOST


TOO_SLOW = [
    pytest.param(hang, id="hangs-before-headers"),
    pytest.param(
        then(answering("HTTP/1.1 200 OK\nContent-Length: 9", b"x"), hang), id="hangs-after-headers"
    ),
    pytest.param(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 9), id="drips-its-head"),
    pytest.param(
        then(answering("HTTP/1.1 200 OK\nContent-Length: 999"), drip(b"x" * 999)),
        id="drips-its-body",
    ),
    pytest.param(
        then(answering("HTTP/1.1 100 Continue"), hang), id="hangs-after-an-interim-answer"
    ),
]


@pytest.mark.parametrize("behaviour", TOO_SLOW)
async def test_an_answer_has_so_much_time_and_no_more(
    impatient: WebhookSender, behaviour: Behaviour
) -> None:
    async with receiving(behaviour) as receiver:
        result = await send(impatient, receiver.url())
        await receiver.closed.wait()
    assert result.outcome.kind is OutcomeKind.UNREACHABLE
    assert result.outcome.fault is Fault.TIMED_OUT
    assert result.duration_ms >= 250


async def test_a_success_whose_body_never_ends_says_so(impatient: WebhookSender) -> None:
    half = then(answering("HTTP/1.1 200 OK\nContent-Length: 9", b'{"re'), hang)
    result = await send_to(impatient, half)
    assert str(result.outcome) == "it took too long: the answer began with 200."
    assert result.answer is not None
    assert (result.answer.excerpt, result.answer.is_whole) == ('{"re', False)


@pytest.mark.parametrize("code", [410, 429, 500])
async def test_a_refusal_counts_although_its_body_never_ends(
    impatient: WebhookSender, code: int
) -> None:
    head = answering(f"HTTP/1.1 {code} x\nContent-Length: 9\nRetry-After: 60", b"x")
    result = await send_to(impatient, then(head, hang))
    assert result.outcome.status == code


async def test_an_endpoint_that_does_not_read_is_given_up(impatient: WebhookSender) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    with listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        result = await impatient.send(url, "event-1", b"x" * (32 * MIB), [SECRET])
    assert result.outcome.fault is Fault.TIMED_OUT


async def test_nobody_listening_is_told(sender: WebhookSender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = await send(sender, f"http://127.0.0.1:{port}/")
    assert result.outcome.fault is Fault.CONNECT_FAILED
    assert str(result.outcome) == "no connection could be made: Connection refused"


async def test_a_name_without_an_address_is_told(sender: WebhookSender) -> None:
    result = await send(sender, "https://nowhere.example/")
    assert result.outcome.fault is Fault.NAME_NOT_FOUND
    assert str(result.outcome) == "the host's name has no address: Name or service not known"


async def test_a_name_server_that_never_answers_has_the_time_of_a_connection(
    make_sender: MakeSender,
) -> None:
    async def silence(_host: str) -> tuple[()]:
        await asyncio.Event().wait()
        return ()

    limits = SendLimits(total_seconds=30, connect_seconds=0.05)
    result = await send(make_sender(Guard(resolve=silence), limits), "https://hooks.example/")
    assert result.outcome.fault is Fault.TIMED_OUT


async def test_a_forbidden_address_is_told(sender: WebhookSender) -> None:
    result = await send(sender, "http://169.254.169.254/latest/meta-data/")
    assert result.outcome.fault is Fault.FORBIDDEN_ADDRESS
    assert str(result.outcome) == "the host's address may not be reached: link-local"


async def test_a_url_that_cannot_be_used_is_told(sender: WebhookSender) -> None:
    result = await send(sender, "https://user:s3cret@hooks.example/")
    assert result.outcome.fault is Fault.BAD_URL
    assert "s3cret" not in str(result.outcome)


async def test_bad_tls_is_told(
    sender: WebhookSender, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    served = [
        (stranger.serve_as(HOST), "unable to get local issuer certificate"),
        (authority.serve_as(HOST, days_left=-1), "certificate has expired"),
        (authority.serve_as("other.example"), "hostname mismatch"),
    ]
    for context, words in served:
        async with receiving(ok(), tls=context) as receiver:
            result = await send(sender, receiver.url(HOST, "https"))
        assert result.outcome.fault is Fault.TLS_FAILED
        assert words in str(result.outcome)
        assert receiver.requests == []


async def test_plain_http_where_tls_was_meant_is_told(sender: WebhookSender) -> None:
    talking = await asyncio.start_server(_say_hello, "127.0.0.1", 0)
    async with talking:
        port = talking.sockets[0].getsockname()[1]
        result = await send(sender, f"https://127.0.0.1:{port}/")
    assert result.outcome.fault is Fault.TLS_FAILED


async def _say_hello(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


# Many at once


async def test_endpoints_that_hang_do_not_hold_up_one_that_works(make_sender: MakeSender) -> None:
    sender = make_sender(limits=SendLimits(total_seconds=60))
    async with AsyncExitStack() as stack:
        bad: list[Receiver] = [await stack.enter_async_context(receiving(hang)) for _ in range(12)]
        good = await stack.enter_async_context(receiving(ok()))
        hanging = [asyncio.create_task(send(sender, receiver.url())) for receiver in bad]
        await asyncio.gather(*(receiver.arrived.wait() for receiver in bad))
        for _ in range(20):
            assert (await send(sender, good.url())).outcome.is_delivered
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
    assert good.connections == 1


async def test_an_attempt_can_be_cancelled_and_leaves_nothing_open(sender: WebhookSender) -> None:
    async with receiving(hang) as receiver:
        task = asyncio.create_task(send(sender, receiver.url()))
        await receiver.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await receiver.closed.wait()


async def test_waiting_for_a_turn_is_not_counted_as_the_endpoints(make_sender: MakeSender) -> None:
    limits = SendLimits(IMPATIENT.total_seconds, IMPATIENT.connect_seconds, most_at_once=1)
    sender = make_sender(limits=limits)
    async with receiving(hang) as slow, receiving(ok()) as good:
        waiting = [asyncio.create_task(send(sender, slow.url())) for _ in range(3)]
        result = await asyncio.create_task(send(sender, good.url()))
        await asyncio.gather(*waiting)
    assert slow.connections == 3
    assert result.outcome.is_delivered


async def test_no_more_are_under_way_than_may_be(make_sender: MakeSender) -> None:
    sender, other = make_sender(limits=SendLimits(most_at_once=1)), make_sender()
    async with receiving(hang) as slow, receiving(ok()) as good:
        first = asyncio.create_task(send(sender, slow.url()))
        await slow.arrived.wait()
        second = asyncio.create_task(send(sender, good.url()))
        for _ in range(5):
            await send(other, good.url())
        assert good.connections == 1
        first.cancel()
        assert (await second).outcome.is_delivered
        assert good.connections == 2


async def test_idle_connections_are_bounded(make_sender: MakeSender) -> None:
    sender = make_sender(limits=SendLimits(most_idle_connections=2))
    async with AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(receiving(ok())) for _ in range(5)]
        for receiver in receivers:
            await send(sender, receiver.url())
        await asyncio.gather(*(receiver.closed.wait() for receiver in receivers[:3]))
        assert not any(receiver.closed.is_set() for receiver in receivers[3:])
