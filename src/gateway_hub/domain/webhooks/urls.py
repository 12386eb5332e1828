"""The URL of a webhook endpoint: one strict grammar, so that no two programs read it differently.

What its host's name stands for is not judged here but at each attempt.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NoReturn
from urllib.parse import quote

import idna

from gateway_hub.domain.errors import InvalidInputError
from gateway_hub.domain.networks import Network
from gateway_hub.domain.webhooks.addresses import Address, find_refusal

LONGEST_URL = 2_048
_LONGEST_HOST = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Below 1024 live mail, remote shells and file shares, which nobody serves a webhook on.
_FIRST_FREE_PORT = 1_024
_LAST_PORT = 65_535

# The generic form of RFC 3986, appendix B, for the two schemes there are.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff\ud800-\udfff]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_KEPT_AS_THEY_ARE = "/%:@!$&'()*+,;=?-._~"


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL that was taken apart: *host* is ASCII, lower case and without brackets or final dot."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port; what a ``Host`` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The URL, spelled in the one way it is kept."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def address(self) -> Address | None:
        """The address the host says by itself, without being looked up."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return IPv4Address("127.0.0.1")
        if ":" in self.host:
            return IPv6Address(self.host)
        return IPv4Address(self.host) if _NUMBER.fullmatch(_last_label(self.host)) else None


def parse_webhook_url(text: str) -> WebhookUrl:
    """Return *text* taken apart. Raises InvalidInputError, which says what is wrong with it."""
    if len(text) > LONGEST_URL:
        _refuse("url_too_long", f"The URL is longer than {LONGEST_URL} characters.")
    if _UNSAFE.search(text):
        _refuse("url_invalid", "The URL holds a space, a backslash or a control character.")
    if "#" in text:
        _refuse("url_fragment", "The URL has a fragment (#…), which no server ever sees.")
    parts = _URL.fullmatch(text)
    if parts is None:
        _refuse("url_invalid", "The URL does not begin with http:// or https://.")
    scheme = parts["scheme"].lower()
    host, port = _split_authority(parts["authority"], _DEFAULT_PORTS[scheme])
    query = "" if parts["query"] is None else f"?{parts['query']}"
    return WebhookUrl(scheme, host, port, quote((parts["path"] or "/") + query, _KEPT_AS_THEY_ARE))


def check_webhook_url(text: str, allowed: Sequence[Network] = ()) -> WebhookUrl:
    """Return *text* taken apart, as far as it can be judged without looking a name up.

    Raises InvalidInputError, also for an address outside the public internet and *allowed*.
    """
    url = parse_webhook_url(text)
    refusal = find_refusal(url.address, allowed) if url.address is not None else None
    if refusal is not None:
        _refuse("url_not_public", f"The URL leads to an address that is not public ({refusal}).")
    return url


def _split_authority(authority: str, default_port: int) -> tuple[str, int]:
    if "@" in authority:
        _refuse("url_credentials", "The URL holds a user name or password.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        _refuse("url_invalid", "Host and port of the URL cannot be read.")
    port = int(parts["port"] or default_port)
    usual = port in _DEFAULT_PORTS.values() or _FIRST_FREE_PORT <= port <= _LAST_PORT
    if not usual:
        _refuse("url_port", "The port is neither 80, 443 nor one from 1024 to 65535.")
    return _read_host(parts["host"]), port


def _read_host(host: str) -> str:
    if host.startswith("["):
        return _read_ipv6(host[1:-1])
    host = _to_ascii(host).lower().removesuffix(".")
    if len(host) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, host.split("."))):
        _refuse("url_host", "The host is not a name a server can have.")
    if _NUMBER.fullmatch(_last_label(host)):
        return _read_ipv4(host)
    return host


def _to_ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        _refuse("url_host", "The host is not a name a server can have.")


def _read_ipv4(host: str) -> str:
    """Return *host* if it is four decimal numbers.

    Whatever else ends in a number (``127.1``, ``0x7f.1``, ``017700000001``) is an address to some
    programs and a name to others.
    """
    try:
        return str(IPv4Address(host))
    except AddressValueError:
        _refuse("url_host", "The host is a number, but no address of four decimal numbers.")


def _read_ipv6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        _refuse("url_host", "The host in brackets is no IPv6 address.")
    if address.scope_id is not None:
        _refuse("url_host", "The address names a network interface of this machine (%…).")
    return str(address)


def _last_label(host: str) -> str:
    return host.rpartition(".")[2]


def _refuse(code: str, detail: str) -> NoReturn:
    raise InvalidInputError.of_field("/url", code, detail)
