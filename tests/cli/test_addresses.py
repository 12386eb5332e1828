import socket

import pytest

from gateway_hub.cli.addresses import listen, make_url
from gateway_hub.cli.failures import CommandError

URLS = [
    pytest.param("127.0.0.1", "http://127.0.0.1:80", id="loopback"),
    pytest.param("", "http://127.0.0.1:80", id="everywhere"),
    pytest.param("::", "http://[::1]:80", id="everywhere-ipv6"),
    pytest.param("fe80::1", "http://[fe80::1]:80", id="ipv6"),
    pytest.param("hub.example", "http://hub.example:80", id="name"),
]


@pytest.mark.parametrize(("host", "url"), URLS)
def test_the_url_is_one_that_this_machine_can_use(host: str, url: str) -> None:
    assert make_url(host, 80) == url


def test_port_0_takes_a_free_one() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError) as info:
            listen("127.0.0.1", port)
    assert info.value.message == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose another with --host and --port."
    )


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(CommandError, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        listen("192.0.2.1", 0)
