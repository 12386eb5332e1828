"""How commands take the answers of a hub elsewhere, or of something that is none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.cli.conftest import Run


@contextmanager
def answering(status: int, content_type: str, body: bytes) -> Iterator[str]:
    """Yield the URL of a server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


PROBLEM = b'{"code": "x", "detail": "No \\u001b[0m.", "errors": [{"pointer": "/a", "detail": "b"}]}'
ANSWERS = [
    pytest.param(403, PROBLEM, 1, "No \\x1b[0m. (x, HTTP 403); /a: b", id="refused"),
    pytest.param(503, PROBLEM, 3, "No \\x1b[0m. (x, HTTP 503); /a: b", id="unavailable"),
    pytest.param(
        502,
        b"<html>",
        3,
        "127.0.0.1 answers HTTP 502, but not as a gateway-hub does.",
        id="proxy-without-hub",
    ),
    pytest.param(
        200,
        b"<html>",
        3,
        "127.0.0.1 answers HTTP 200, but not as a gateway-hub does.",
        id="some-other-site",
    ),
    pytest.param(
        301, b"", 3, "127.0.0.1 answers HTTP 301, but not as a gateway-hub does.", id="redirect"
    ),
]


@pytest.mark.parametrize(("status", "body", "exit_code", "message"), ANSWERS)
def test_an_answer_that_is_no_success_is_one_line(
    run: Run, status: int, body: bytes, exit_code: int, message: str
) -> None:
    with answering(status, "application/problem+json", body) as url:
        ran = run("key", "list", url=url, api_key="ghk_x")
    assert (ran.exit_code, ran.out, ran.err) == (exit_code, "", f"gateway-hub: {message}\n")


def test_a_hub_out_of_reach_exits_with_3(run: Run) -> None:
    ran = run("key", "list", url="http://127.0.0.1:1", api_key="ghk_x")
    assert ran.exit_code == 3
    assert ran.err.startswith("gateway-hub: the hub at http://127.0.0.1:1 cannot be reached: ")
    assert len(ran.err.splitlines()) == 1


def test_a_hub_elsewhere_needs_a_key(run: Run) -> None:
    ran = run("key", "list", url="http://127.0.0.1:1")
    assert ran.exit_code == 2
    assert "GATEWAY_HUB_API_KEY" in ran.err


@pytest.mark.parametrize("url", ["http://[", "ftp://x", "nonsense", "http://x:port"])
def test_a_url_that_is_none_is_one_line(run: Run, url: str) -> None:
    ran = run("key", "list", url=url, api_key="ghk_x")
    assert ran.exit_code in {2, 3}
    assert len(ran.err.splitlines()) == 1
