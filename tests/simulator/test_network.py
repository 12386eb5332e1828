"""Requests of phones on a real socket, and every way in which one can end."""

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway_hub.simulator.kinds import HttpHabits
from gateway_hub.simulator.network import BadUrlError, PhoneNetwork, make_tls, parse_url
from gateway_hub.simulator.phone import Headers, HttpAnswer, HttpRequest, NoAnswer

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GENEROUS_SECONDS = 60.0
TLS = make_tls()


APACHE = HttpHabits(keeps_url=True, takes_torn=True)
ASKING_FOR_GZIP = (("Accept-Encoding", "gzip"),)
TORN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"


def make_request(url: str, more: Headers = ()) -> HttpRequest:
    headers = (("User-Agent", "Dalvik"), ("X-Case", "Kept"), ("Content-Type", "text/plain"))
    return HttpRequest(1, "POST", url, headers + more, b"body")


async def exchange(
    url: str,
    seconds: float = GENEROUS_SECONDS,
    more: Headers = (),
    habits: HttpHabits | None = None,
) -> tuple[object, str | None]:
    async with PhoneNetwork(seconds, TLS, habits) as network:
        exchanged = await network.exchange(make_request(url, more))
        return exchanged.end, exchanged.detail


@asynccontextmanager
async def serving(handle: Serve) -> AsyncIterator[str]:
    """Yield the URL of a server that does *handle* with each connection, and then closes it."""

    async def close_after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handle(reader, writer)
        writer.close()

    server = await asyncio.start_server(close_after, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/medic"


@asynccontextmanager
async def answering(serve: Serve) -> AsyncIterator[str]:
    """Yield the URL of a server that does *serve* when it has heard a request."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nbody")
        await serve(reader, writer)

    async with serving(handle) as url:
        yield url


def saying(answer: bytes) -> Serve:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return serve


async def say_nothing_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer half, and then nothing until the phone is gone."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    await reader.read()


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection so that the other side is told of a reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("in_url", ["", "user:password@"])
async def test_a_request_goes_out_as_the_phone_made_it(in_url: str) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.readuntil(b"body"))
        await saying(http("200 OK", b""))(reader, writer)

    async with serving(handle) as url:
        await exchange(url.replace("://", f"://{in_url}") + "/a%20b?id=5&h=x")
    host = url.split("/")[2].encode()
    assert await heard == (
        b"POST /medic/a%20b?id=5&h=x HTTP/1.1\r\n"
        b"Host: " + host + b"\r\n"
        b"User-Agent: Dalvik\r\nX-Case: Kept\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )


# What a person typed, with P for the port, and the host and target of the recorded requests.
TYPED = [
    ("http://LocalHost:P/Envaya", b"LocalHost:P", b"/Envaya"),
    ("http://127.0.0.1:P/envaya#frag", b"127.0.0.1:P", b"/envaya#frag"),
    ("http://127.0.0.1:P/envaya?", b"127.0.0.1:P", b"/envaya?"),
    ("http://127.0.0.1:P?id=5", b"127.0.0.1:P", b"/?id=5"),
    ("http://127.0.0.1:P//a/../envaya", b"127.0.0.1:P", b"//a/../envaya"),
    ("http://user:p@127.0.0.1:P/envaya", b"127.0.0.1:P", b"/envaya"),
    # What no request can hold is written as others write it.
    ("http://127.0.0.1:P/\u00e9/../x y", b"127.0.0.1:P", b"/x%20y"),
]


@pytest.mark.parametrize(("typed", "host", "target"), TYPED)
async def test_a_library_that_keeps_urls_writes_them_as_typed(
    typed: str, host: bytes, target: bytes
) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.readuntil(b"body"))
        await saying(http("200 OK", b""))(reader, writer)

    async with serving(handle) as url:
        port = url.split(":")[2].partition("/")[0]
        end, _ = await exchange(typed.replace(":P", f":{port}"), habits=APACHE)
    assert end == HttpAnswer(200, None, b"")
    first, second, *_ = (await heard).split(b"\r\n")
    assert first == b"POST " + target + b" HTTP/1.1"
    assert second == b"Host: " + host.replace(b":P", f":{port}".encode())


def test_a_port_that_needs_no_telling_is_kept_too() -> None:
    network = PhoneNetwork(GENEROUS_SECONDS, TLS, APACHE)
    request = network.make_request(make_request("http://Hub.Example.TEST:80/envaya"))
    assert request.headers["Host"] == "Hub.Example.TEST:80"


@pytest.mark.parametrize(
    ("habits", "end"),
    [(APACHE, HttpAnswer(200, None, b"{")), (HttpHabits(), NoAnswer("refused"))],
)
async def test_a_torn_answer_is_whole_to_who_takes_it_so(
    habits: HttpHabits, end: HttpAnswer | NoAnswer
) -> None:
    async with answering(saying(TORN)) as url:
        assert (await exchange(url, habits=habits))[0] == end


async def test_torn_chunks_are_whole_to_nobody() -> None:
    torn = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{"
    async with answering(saying(torn)) as url:
        assert (await exchange(url, habits=APACHE))[0] == NoAnswer("refused")


async def test_compression_that_was_asked_for_is_undone() -> None:
    answer = http("200 OK", gzip.compress(b"{}"), "Content-Encoding: gzip")
    async with answering(saying(answer)) as url:
        assert await exchange(url, more=ASKING_FOR_GZIP) == (HttpAnswer(200, None, b"{}"), None)


async def test_compression_that_cannot_be_undone_is_no_answer() -> None:
    answer = http("200 OK", b"{}", "Content-Encoding: gzip")
    async with answering(saying(answer)) as url:
        end, detail = await exchange(url, more=ASKING_FOR_GZIP)
    assert end == NoAnswer("refused")
    assert "Error -3" in str(detail)


ANSWERS = [
    pytest.param(
        http("403 Forbidden", b"<x/>", "Content-Type: text/xml"),
        HttpAnswer(403, "text/xml", b"<x/>"),
        id="refusal",
    ),
    pytest.param(
        http("302 Found", b"", "Location: /elsewhere"),
        HttpAnswer(302, None, b"", "/elsewhere"),
        id="redirect-is-not-followed",
    ),
    pytest.param(
        http("200 OK", b"\x1f\x8b", "Content-Encoding: gzip"),
        HttpAnswer(200, None, b"\x1f\x8b"),
        id="compression-that-nobody-asked-for",
    ),
    pytest.param(http("204 No Content", b""), HttpAnswer(204, None, b""), id="no-body"),
]


@pytest.mark.parametrize(("answer", "end"), ANSWERS)
async def test_an_answer_is_brought_back(answer: bytes, end: HttpAnswer) -> None:
    async with answering(saying(answer)) as url:
        assert await exchange(url) == (end, None)


SILENCES = [
    pytest.param(saying(b""), NoAnswer("cut"), None, id="closed-before-the-first-byte"),
    pytest.param(reset, NoAnswer("refused"), None, id="reset"),
    pytest.param(
        saying(TORN),
        NoAnswer("refused"),
        "peer closed connection",
        id="closed-amid-the-answer",
    ),
    pytest.param(saying(b"SSH-2.0-x\r\n\r\n"), NoAnswer("refused"), "", id="no-http"),
    pytest.param(
        saying(http("200 OK", b"x" * (17 << 20))), NoAnswer("refused"), "larger", id="too-large"
    ),
]


@pytest.mark.parametrize(("serve", "end", "said"), SILENCES)
async def test_what_is_no_whole_answer_is_none(
    serve: Serve, end: NoAnswer, said: str | None
) -> None:
    async with answering(serve) as url:
        found, detail = await exchange(url)
    assert found == end
    assert (detail is None) if said is None else (said in (detail or "nothing"))


async def test_an_answer_that_does_not_end_in_time_is_none() -> None:
    async with answering(say_nothing_more) as url:
        assert await exchange(url, seconds=0.2) == (NoAnswer("timeout"), None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_server_that_does_not_listen_refuses(host: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://{host}:{unused.getsockname()[1]}/"
        assert await exchange(url) == (NoAnswer("refused"), None)


async def test_a_host_that_is_not_known_is_told_from_one_that_refuses() -> None:
    assert await exchange("http://a..b/medic") == (NoAnswer("unknown_host"), None)


async def test_a_server_without_tls_says_so() -> None:
    async with serving(saying(http("400 Bad Request", b""))) as url:
        end, detail = await exchange(url.replace("http", "https"))
    assert end == NoAnswer("refused")
    assert "SSL" in str(detail)


NO_URLS = [
    "",
    "nonsense",
    "ftp://host/",
    "http://",
    "http://h:99999/",
    "http://h/\ud800",
]


@pytest.mark.parametrize("url", NO_URLS)
async def test_what_is_no_url_of_a_web_server_is_never_answered(url: str) -> None:
    with pytest.raises(BadUrlError):
        parse_url(url)
    end, detail = await exchange(url)
    assert end == NoAnswer("refused")
    assert detail


async def test_a_connection_is_kept_for_the_next_request() -> None:
    ports = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.append(writer.get_extra_info("peername")[1])
        for _ in range(2):
            await reader.readuntil(b"body")
            writer.write(http("200 OK", b""))

    async with serving(handle) as url, PhoneNetwork(GENEROUS_SECONDS, TLS) as network:
        for _ in range(2):
            exchanged = await network.exchange(make_request(url))
            assert exchanged.end == HttpAnswer(200, None, b"")
    assert len(ports) == 1
