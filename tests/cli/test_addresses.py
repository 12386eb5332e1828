import socket

import pytest

from gateway_hub.cli.addresses import is_loopback, listen, make_url
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


LED_TO = [
    pytest.param("http://127.0.0.1:8080/medic", True, id="loopback"),
    pytest.param("http://[::1]:8080/envaya", True, id="loopback-ipv6"),
    pytest.param("https://localhost/envaya", True, id="localhost"),
    pytest.param("http://phone-1:pass@127.9.9.9:8080/medic", True, id="with-credentials"),
    pytest.param("http://phone-1:p/a@ss@127.0.0.1/medic", True, id="with-an-odd-password"),
    pytest.param("http://192.168.1.20:8080/medic", False, id="the-network"),
    pytest.param("http://127.0.0.1:x@192.168.1.20/medic", False, id="a-user-like-an-address"),
    pytest.param("https://sms.example.org/medic", False, id="a-name"),
]


@pytest.mark.parametrize(("url", "loopback"), LED_TO)
def test_a_url_that_leads_nowhere_else_is_known(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


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
