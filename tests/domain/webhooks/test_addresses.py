"""Addresses a webhook may and may not reach."""

from ipaddress import ip_address

import pytest

from gateway_hub.domain.networks import parse_networks
from gateway_hub.domain.webhooks.addresses import find_refusal

# Every block of IANA's two special-purpose registries, by its first or last address or one within,
# and the cases that Svix and the standard library's documentation name.
REFUSED = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "0.255.255.255",
    "10.0.0.0",
    "10.254.0.0",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.0",
    "169.254.45.1",
    "169.254.169.254",
    "172.16.0.0",
    "172.16.10.65",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.0.255",
    "192.0.2.255",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.10.65",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.65",
    "203.0.113.6",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.0",
    "250.10.20.30",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "0:0:0:ffff::1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::1",
    "100:0:0:1::1",
    "200::1",
    "400::1",
    "1fff:ffff::1",
    "2001::1",
    "2001:0:a9fe:a9fe::1",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::1",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::1",
    "5f00::1",
    "8000::1",
    "e000::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::1",
    "fe80::1%1",
    "fe80::1%lo",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::1",
    "feff:ffff::1",
    "ff02::1",
    "ff0e::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]

# Neighbours of the blocks above, and well-known public servers.
REACHABLE = [
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2620:4f:8001::1",
    "2a00:1450:4001:829::200e",
    "3ffe:ffff::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused_with_a_word(address: str) -> None:
    assert find_refusal(ip_address(address))


@pytest.mark.parametrize("address", REACHABLE)
def test_what_is_public_is_reached(address: str) -> None:
    assert find_refusal(ip_address(address)) is None


ALLOWED = parse_networks(["10.1.0.0/16", "127.0.0.1", "fd00:1::/32", "64:ff9b::/96"])


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "fd00:1::5", "64:ff9b::8.8.8.8"])
def test_an_allowed_network_is_reached(address: str) -> None:
    assert find_refusal(ip_address(address), ALLOWED) is None


@pytest.mark.parametrize("address", ["10.2.0.1", "127.0.0.2", "fd00:2::5", "::ffff:10.1.2.3"])
def test_what_lies_beside_an_allowed_network_is_refused(address: str) -> None:
    assert find_refusal(ip_address(address), ALLOWED)


def test_all_of_ipv6_allowed_does_not_let_ipv4_through() -> None:
    assert find_refusal(ip_address("::ffff:127.0.0.1"), parse_networks(["::/0"]))
    assert find_refusal(ip_address("127.0.0.1"), parse_networks(["::/0"]))
