"""How patient the hub is with a phone, and how much it lets one send."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway_hub.domain.devices import (
    DEFAULT_SEND_LIMITS,
    ENVAYA_MAX_TRIES,
    LEASE_POLICIES,
    MAX_OFFERS_PER_ANSWER,
    Device,
    DeviceState,
    Protocol,
    SendLimit,
)

MADE_AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def make_device(
    protocol: Protocol, *, send_limit: SendLimit | None = None, told: int | None = None
) -> Device:
    """Return a device with the limit its operator set and the one its phone told."""
    return Device(
        id="01976d2a-0000-7000-8000-000000000001",
        project_id="01976d2a-0000-7000-8000-000000000002",
        name="Clinic phone",
        protocol=protocol,
        created_at=MADE_AT,
        updated_at=MADE_AT,
        send_limit=send_limit,
        state=DeviceState(send_limit_segments=told),
    )


@pytest.mark.parametrize(
    ("offers", "minutes"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (10_000, 60)]
)
def test_a_medic_lease_doubles_up_to_an_hour(offers: int, minutes: int) -> None:
    lease = LEASE_POLICIES[Protocol.MEDIC].lease_after(offers)
    assert lease == timedelta(minutes=minutes)


@pytest.mark.parametrize("offers", [1, 2])
def test_an_envaya_lease_is_always_ten_minutes(offers: int) -> None:
    assert LEASE_POLICIES[Protocol.ENVAYA].lease_after(offers) == timedelta(minutes=10)


def test_a_message_is_offered_again_for_ever_to_medic_and_once_to_envaya() -> None:
    assert LEASE_POLICIES[Protocol.MEDIC].max_offers is None
    assert LEASE_POLICIES[Protocol.ENVAYA].max_offers == 2


def test_the_apps_own_numbers_are_known() -> None:
    assert MAX_OFFERS_PER_ANSWER == 10
    assert ENVAYA_MAX_TRIES == 5


def test_every_protocol_has_a_lease_and_a_limit() -> None:
    assert set(LEASE_POLICIES) == set(DEFAULT_SEND_LIMITS) == set(Protocol)


@pytest.mark.parametrize(
    ("protocol", "operators", "told", "effective"),
    [
        pytest.param(Protocol.MEDIC, None, None, SendLimit(30, 1800), id="stock Android"),
        pytest.param(Protocol.ENVAYA, None, None, SendLimit(100, 3600), id="one EnvayaSMS package"),
        pytest.param(Protocol.ENVAYA, None, 500, SendLimit(500, 3600), id="told by the phone"),
        pytest.param(Protocol.ENVAYA, None, 0, SendLimit(0, 3600), id="the phone says none"),
        pytest.param(
            Protocol.ENVAYA, SendLimit(7, 60), 500, SendLimit(7, 60), id="set by the operator"
        ),
        pytest.param(
            Protocol.MEDIC, SendLimit(900, 900), None, SendLimit(900, 900), id="above the default"
        ),
    ],
)
def test_the_operator_sets_the_limit_or_else_the_phone_or_else_the_app(
    protocol: Protocol, operators: SendLimit | None, told: int | None, effective: SendLimit
) -> None:
    assert make_device(protocol, send_limit=operators, told=told).effective_send_limit == effective
