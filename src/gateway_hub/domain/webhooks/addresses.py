"""Which addresses a webhook may reach: those of the public internet, and what is allowed besides.

The list is our own. Python's ``is_global`` follows the version that runs, and 3.11 takes multicast,
NAT64, 6to4 and site-local addresses for public ones.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from gateway_hub.domain.networks import Network

Address = IPv4Address | IPv6Address

_THIS_HOST = "this host"
_PRIVATE = "private"
_DOCUMENTATION = "for documentation"
_MULTICAST = "multicast"
_RESERVED = "reserved"

# https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-special-registry
_REFUSED: dict[str, str] = {
    "0.0.0.0/8": _THIS_HOST,
    "10.0.0.0/8": _PRIVATE,
    "100.64.0.0/10": "shared by a provider's customers",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud's own service",  # Azure's, at a public address
    "169.254.0.0/16": "link-local",  # with the metadata service of most clouds
    "172.16.0.0/12": _PRIVATE,
    "192.0.0.0/24": _RESERVED,
    "192.0.2.0/24": _DOCUMENTATION,
    "192.31.196.0/24": _RESERVED,
    "192.52.193.0/24": _RESERVED,
    "192.88.99.0/24": "a 6to4 relay",
    "192.168.0.0/16": _PRIVATE,
    "192.175.48.0/24": _RESERVED,
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": _DOCUMENTATION,
    "203.0.113.0/24": _DOCUMENTATION,
    "224.0.0.0/4": _MULTICAST,
    "240.0.0.0/4": _RESERVED,
    "::/128": _THIS_HOST,
    "::1/128": "loopback",
    "::/96": "IPv4 within IPv6",
    "::ffff:0:0/96": "IPv4 within IPv6",
    "::ffff:0:0:0/96": "IPv4 within IPv6",
    "64:ff9b::/96": "IPv4 behind NAT64",
    "64:ff9b:1::/48": "IPv4 behind NAT64",
    "100::/64": "discarded",
    "100:0:0:1::/64": "discarded",
    "2001::/32": "Teredo",
    "2001:2::/48": "for benchmarks",
    "2001:10::/28": "ORCHID",
    "2001:20::/28": "ORCHID",
    "2001::/23": _RESERVED,
    "2001:db8::/32": _DOCUMENTATION,
    "2002::/16": "6to4",
    "2620:4f:8000::/48": _RESERVED,
    "3fff::/20": _DOCUMENTATION,
    "5f00::/16": "segment routing",
    "fc00::/7": _PRIVATE,
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": _MULTICAST,
}
_TABLE = [(ip_network(text), what) for text, what in _REFUSED.items()]
_GLOBAL_IPV6 = IPv6Network("2000::/3")  # all that was ever given out for public use


def find_refusal(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Return why a webhook may not go to *address*, in a word or two, or None if it may.

    *allowed* opens networks that are not public. An IPv4 address written as an IPv6 one is refused
    in any case: it would slip through an allowed IPv6 network.
    """
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    if not mapped and any(address in network for network in allowed):
        return None
    for network, what in _TABLE:
        if address in network:
            return what
    if isinstance(address, IPv6Address) and address not in _GLOBAL_IPV6:
        return _RESERVED
    return None
