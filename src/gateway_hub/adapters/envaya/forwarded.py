"""What a trusted proxy says of the address the phone used. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping

from gateway_hub.domain.networks import Network


def is_trusted(address: str | None, networks: Iterable[Network]) -> bool:
    """Say whether a peer at *address* is a proxy whose headers are believed."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def find_forwarded(headers: Mapping[str, str], scheme: str, host: str) -> tuple[str, str] | None:
    """Return scheme and host of the original request, as far as the headers tell, else None.

    ``Forwarded`` (RFC 7239) wins over ``X-Forwarded-Proto``, ``-Host`` and ``-Port``; of several
    hops the first, which met the phone, counts.
    """
    told = _read_forwarded(headers.get("forwarded", "")) or {
        "proto": _first(headers.get("x-forwarded-proto", "")),
        "host": _first(headers.get("x-forwarded-host", "")),
        "port": _first(headers.get("x-forwarded-port", "")),
    }
    if not any(told.values()):
        return None
    original = told.get("host") or host
    port = told.get("port", "")
    if port and ":" not in original.rpartition("]")[2]:
        original = f"{original}:{port}"
    return (told.get("proto") or scheme).lower(), original


def _read_forwarded(header: str) -> dict[str, str]:
    pairs = (item.strip().partition("=") for item in _first(header).split(";"))
    return {name.lower(): value.strip('"') for name, _, value in pairs if name}


def _first(header: str) -> str:
    return header.partition(",")[0].strip()
