"""Which phones a command runs: what is told on the command line, before anything is sent."""

from typing import Any

import pytest

from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.cli.fleet import Wanted, name_registered, setup_of, setups_as_given
from gateway_hub.domain.devices import Protocol

MEDIC, ENVAYA = Protocol.MEDIC, Protocol.ENVAYA
URL = "http://127.0.0.1:8080/medic"


def names_of(**wanted: Any) -> list[str]:
    return [setup.name for setup in setups_as_given(Wanted(**wanted))]


def test_a_phone_is_called_by_what_names_it_to_its_server() -> None:
    envaya = {"protocol": ENVAYA, "password": "p", "server": URL}
    assert names_of(protocol=MEDIC, server=URL) == ["medic"]
    assert names_of(protocol=MEDIC, server=URL, username="u", password="p") == ["u"]
    assert names_of(**envaya, phone_number="+255710000001") == ["+255710000001"]


def test_several_phones_are_numbered() -> None:
    setups = setups_as_given(
        Wanted(
            protocol=MEDIC, count=2, server=f"{URL}?id={{n}}", username="u{n}", password="p{n}{n}"
        )
    )
    assert [(item.server_url, item.username, item.password) for item in setups] == [
        (f"{URL}?id=1", "u1", "p11"),
        (f"{URL}?id=2", "u2", "p22"),
    ]


def test_registered_phones_have_their_number_in_their_names() -> None:
    several = Wanted(protocol=MEDIC, create="Load", count=2)
    assert [name_registered(several, number) for number in (1, 2)] == ["Load 1", "Load 2"]
    placed = Wanted(protocol=MEDIC, create="{n}. load", count=2)
    assert [name_registered(placed, number) for number in (1, 2)] == ["1. load", "2. load"]
    single = Wanted(protocol=MEDIC, create="Load {n}")
    assert name_registered(single, 1) == "Load {n}"


def test_braces_of_a_single_phone_are_its_own() -> None:
    (setup,) = setups_as_given(
        Wanted(protocol=MEDIC, server=URL, username="u{n}", password="{n}{0}")
    )
    assert (setup.username, setup.password) == ("u{n}", "{n}{0}")


WRONG = [
    pytest.param({}, "--create NAME", id="nothing-given"),
    pytest.param({"server": "ftp://x/"}, "server URL", id="no-web-server"),
    pytest.param({"server": "127.0.0.1:8080"}, "server URL", id="without-scheme"),
    pytest.param({"server": "http://h:99999/"}, "no port 99999", id="no-port"),
    pytest.param({"server": "http://[/"}, "server URL", id="malformed"),
    pytest.param({"server": "http://a:b@h/", "username": "u"}, "already", id="two-user-names"),
    pytest.param({"server": URL, "app_version": "new"}, "1.8.1", id="unknown-version"),
    pytest.param({"server": URL, "count": 2}, "{n}", id="phones-that-are-one"),
    pytest.param({"server": URL, "protocol": ENVAYA}, "needs a phone number", id="nameless"),
    pytest.param({"server": URL, "phone_number": "+255"}, "--create only", id="medic-number"),
    pytest.param(
        {"server": "ftp://x/", "protocol": ENVAYA, "phone_number": "+255", "password": "p"},
        "http://127.0.0.1:8080/envaya:",
        id="no-web-server-of-envaya",
    ),
    pytest.param(
        {
            "server": URL,
            "protocol": ENVAYA,
            "phone_number": "+255",
            "password": "p",
            "app_version": "99",
        },
        "17, 18 or 28 to 30",
        id="unknown-version-of-envaya",
    ),
]


@pytest.mark.parametrize(("wanted", "said"), WRONG)
def test_what_no_app_could_be_set_up_with_is_wrong_usage(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError) as info:
        setups_as_given(Wanted(**{"protocol": MEDIC} | wanted))
    assert info.value.exit_code is ExitCode.USAGE
    assert said in info.value.message
    assert len(info.value.message.splitlines()) == 1


def test_a_password_may_hold_anything() -> None:
    (setup,) = setups_as_given(Wanted(protocol=MEDIC, server="http://u:p@:[/x@127.0.0.1:1/medic"))
    assert setup.server_url == "http://u:p@:[/x@127.0.0.1:1/medic"


def test_a_registered_phone_is_set_up_with_what_is_typed_into_its_app() -> None:
    device = {
        "name": "Office",
        "protocol": "envaya",
        "phone_number": "+255710000001",
        "credentials": {"username": None, "password": "p"},
        "setup": {"server_url": "http://127.0.0.1:8080/envaya"},
    }
    setup = setup_of(device, app_version="18", poll_seconds=5)
    assert (setup.name, setup.phone_number, setup.password) == ("Office", "+255710000001", "p")
    assert (setup.username, setup.app_version, setup.poll_seconds) == (None, "18", 5)
    in_url = {"setup": {"server_url": "http://u:p@127.0.0.1:8080/medic"}}
    medic = setup_of(device | in_url | {"protocol": "medic", "phone_number": None})
    assert (medic.server_url, medic.password) == ("http://u:p@127.0.0.1:8080/medic", None)
