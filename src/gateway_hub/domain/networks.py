"""Networks of IP addresses, as operators write them."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return addresses and CIDR networks as networks.

    Raises ValueError for anything else, also for bits set beyond the prefix: ``10.0.0.1/8`` may be
    meant as one address or as sixteen million.
    """
    return tuple(ip_network(text) for text in texts)
