"""Addresses: where to listen, and the URL under which this machine reaches what listens there."""

import ipaddress
import os
import socket
from urllib.parse import urlsplit

from gateway_hub.cli.failures import CommandError

_BACKLOG = 2048
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - told, not bound


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there. Raises CommandError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=host == "::"
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise CommandError(
            f"cannot listen on {host}:{port}: {reason}. Choose another with --host and --port."
        ) from error


def make_url(host: str, port: int | str) -> str:
    """Return the URL under which this machine reaches a server that listens on *host*."""
    host = _WILDCARDS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(url: str) -> bool:
    """Say whether whoever follows *url* comes to their own machine.

    What stands before the last ``@`` may be a password with anything in it.
    """
    host = urlsplit("//" + url.partition("://")[2].rpartition("@")[2]).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
