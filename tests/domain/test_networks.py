import pytest

from gateway_hub.domain.networks import parse_networks


def test_addresses_and_networks_are_read() -> None:
    networks = parse_networks(["10.1.0.0/16", "192.0.2.7", "FD00::/8"])
    assert [str(network) for network in networks] == ["10.1.0.0/16", "192.0.2.7/32", "fd00::/8"]


@pytest.mark.parametrize("text", ["", "lan", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "*"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_networks([text])
