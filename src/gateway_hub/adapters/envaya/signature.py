"""The signature on every EnvayaSMS post, and the URLs it may have been made over.

The app signs the server URL exactly as a person typed it. Behind a proxy the URL the hub sees
differs in scheme, host or port, so several spellings are tried.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MAX_CANDIDATE_URLS = 32
"""Each candidate costs one SHA-1 over the whole form, so strangers must not choose how many."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_PORT = re.compile(r":[0-9]+\Z")
_ORIGIN = re.compile(r"[^/]*//[^/]*")
_MAX_HOST_LENGTH = 261  # a DNS name and its port


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """Where a request says it went: *path* as in the request line, *query* without its ``?``.

    *forwarded* is the scheme and host a trusted proxy names, None where no proxy is trusted.
    """

    scheme: str
    host: str
    path: str
    query: str = ""
    forwarded: tuple[str, str] | None = None

    @property
    def target(self) -> str:
        """Path and query, as they end a URL."""
        return f"{self.path}?{self.query}" if self.query else self.path


def compute_signature(url: str, fields: Iterable[tuple[str, str]], password: str) -> str:
    """Return the signature a phone puts on a post of *fields* to *url*.

    *url* is the server URL as typed into the app; *fields* are all decoded form fields, also
    unknown ones, but no files. Signed is the URL, ``,name=value`` of each by name, ``,password``.
    """
    return _sign(url, _signed_tail(fields, password))


def verify_signature(given: str, expected: Iterable[str]) -> bool:
    """Say whether *given*, any header value, is among *expected*; as slow for a no as for a yes."""
    # Bytes, since compare_digest raises on text beyond ASCII, which a header may hold.
    given_bytes = _encode(given)
    matches = [hmac.compare_digest(given_bytes, _encode(one)) for one in expected]
    return any(matches)


def find_matching_url(
    given: str, urls: Iterable[str], fields: Iterable[tuple[str, str]], password: str
) -> str | None:
    """Return the first of *urls* over which *given* is right.

    That it stops there tells nobody anything: which URL it is, is no secret.
    """
    tail = _signed_tail(fields, password)
    return next((url for url in urls if verify_signature(given, [_sign(url, tail)])), None)


def candidate_urls(
    server_url: str | None, public_urls: Sequence[str], request: SeenRequest
) -> tuple[str, ...]:
    """Return the distinct URLs a post of one device may be signed over, likeliest first.

    The device's *server_url* as typed, then the hub's *public_urls* (a base, with or without a
    prefix, or a full phone URL), then what the request says; each with and without a final slash.
    """
    return _bounded(_spelled(server_url, public_urls, request))


def general_urls(public_urls: Sequence[str], request: SeenRequest) -> tuple[str, ...]:
    """Return the candidates that hold for any device: fit to be told to an unproved one."""
    return candidate_urls(None, public_urls, request)


def _sign(url: str, tail: bytes) -> str:
    # SHA-1 is the protocol's choice; as the secret is a suffix, length extension does not apply.
    digest = hashlib.sha1(_encode(url), usedforsecurity=False)
    digest.update(tail)
    return base64.b64encode(digest.digest()).decode("ascii")


def _signed_tail(fields: Iterable[tuple[str, str]], password: str) -> bytes:
    ordered = sorted(fields, key=_java_order)
    parts = [f",{name}={value}" for name, value in ordered]
    return _encode("".join([*parts, ",", password]))


def _java_order(field: tuple[str, str]) -> bytes:
    """Sort key: UTF-16 code units, as Java compares names; equal names keep their order."""
    return field[0].encode("utf-16-be", "surrogatepass")


def _encode(text: str) -> bytes:
    # Java's UTF-8 encoder writes half a surrogate pair as "?", as "replace" does.
    return text.encode("utf-8", "replace")


def _bounded(urls: Iterable[str]) -> tuple[str, ...]:
    both = (spelling for url in urls for spelling in (url, _other_slash(url)))
    return tuple(dict.fromkeys(both))[:MAX_CANDIDATE_URLS]


def _spelled(
    server_url: str | None, public_urls: Sequence[str], request: SeenRequest
) -> Iterator[str]:
    if server_url:
        yield server_url
    for base in public_urls:
        yield from _public_spellings(base, request)
    yield from _seen_spellings(request)


def _public_spellings(base: str, request: SeenRequest) -> Iterator[str]:
    """A proxy may take off the prefix of *base* or pass it on; *base* may be a full phone URL."""
    base = base.rstrip("/")
    origin = _origin(base)
    prefix, path = base[len(origin) :], request.path.rstrip("/")
    if path and prefix.endswith(path):
        yield base + request.target[len(request.path) :]
    else:
        yield base + request.target
    yield origin + request.target


def _seen_spellings(request: SeenRequest) -> Iterator[str]:
    seen = [(request.scheme, request.host)]
    if request.forwarded is not None:
        seen.append(request.forwarded)
    places = [place for scheme, host in seen for place in _places(scheme, host)]
    # Some keyboards begin in capitals; the app stores and signs "HTTP://" as it was typed.
    for spell in (str.lower, str.upper):
        for scheme, host in places:
            yield f"{spell(scheme)}://{host}{request.target}"


def _places(scheme: str, host: str) -> Iterator[tuple[str, str]]:
    """Both schemes, since a proxy that ends TLS may not say so; the default port said or not."""
    if not 0 < len(host) <= _MAX_HOST_LENGTH:
        return
    schemes = ("https", "http") if scheme.lower() == "https" else ("http", "https")
    for one in schemes:
        port = f":{_DEFAULT_PORTS[one]}"
        yield one, host
        if host.endswith(port):
            yield one, host.removesuffix(port)
        elif _PORT.search(host) is None:
            yield one, host + port


def _origin(url: str) -> str:
    found = _ORIGIN.match(url)
    return found.group() if found else ""


def _other_slash(url: str) -> str:
    """Return *url* with a final slash on its path if it has none, without it if it has one."""
    end = min((i for i in (url.find("?"), url.find("#")) if i >= 0), default=len(url))
    path, rest = url[:end], url[end:]
    return (path[:-1] if path.endswith("/") else path + "/") + rest
