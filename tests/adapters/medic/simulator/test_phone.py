"""When the simulated CHT app polls, as seen on the real one; and it against the hub's adapter."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway_hub.adapters.medic.simulator import MedicOptions
from gateway_hub.adapters.medic.translate import parse_user_agent, translate_post
from gateway_hub.adapters.medic.wire import parse_post, render_answer, render_probe
from gateway_hub.domain.devices import PhoneFacts
from gateway_hub.domain.phone_posts import Offer
from gateway_hub.simulator.phone import (
    HttpAnswer,
    HttpRequest,
    MmsAttachment,
    NoAnswer,
    SimulatedPhone,
)
from gateway_hub.simulator.radio import FLAKY, RadioOptions
from tests.adapters.medic.simulator.simulating import (
    EMPTY,
    ERROR,
    Script,
    body_of,
    drive,
    make_messages,
    make_phone,
    offer,
    receive_offline,
    sizes_of,
    statuses_in,
)
from tests.simulator.driving import START, Driver, Serve, json_answer


def test_a_phone_is_driven_by_what_all_phones_have() -> None:
    phone: SimulatedPhone = make_phone()
    assert phone.next_wakeup() == START


@pytest.mark.parametrize("seconds", [30, 60])
def test_polls_come_at_once_and_at_each_interval(seconds: int) -> None:
    driver = drive(make_phone(options=MedicOptions(poll_seconds=seconds)))
    requests = driver.advance(minutes=3)
    assert driver.seconds_of(requests) == list(range(0, 181, seconds))


def test_a_phone_that_slept_polls_once() -> None:
    phone = make_phone()
    assert len(phone.run(START + timedelta(hours=5))) == 1


def test_25_messages_and_45_updates_take_three_posts() -> None:
    phone = make_phone(radio=RadioOptions(delivered=0))
    driver = drive(phone, offer(*make_messages(15)), ERROR)
    driver.advance(seconds=90)  # two wakes: all are sent, three updates each, none told
    receive_offline(driver, 25)
    assert sizes_of(driver.advance(seconds=59)) == [(10, 20), (10, 20), (5, 5)]


def test_a_batch_of_exactly_ten_is_followed_by_one_more_poll() -> None:
    driver = drive(make_phone())
    driver.advance(seconds=0)
    receive_offline(driver, 10)
    assert sizes_of(driver.advance(minutes=1)) == [(10, 0), (0, 0)]


def test_an_error_ends_the_loop_and_the_rest_stays() -> None:
    driver = drive(make_phone(), EMPTY)
    driver.advance(seconds=0)
    receive_offline(driver, 25)
    driver.serve = Script(EMPTY, ERROR)
    assert sizes_of(driver.advance(minutes=1)) == [(10, 0), (10, 0)]
    assert sizes_of(driver.advance(minutes=1)) == [(10, 0), (5, 0)]


def test_an_sms_is_polled_for_at_once_while_the_timed_poll_is_out_with_it() -> None:
    phone = make_phone(options=MedicOptions(poll_seconds=60))
    phone.receive_sms("+1", "first", START)
    driver = Driver(phone, lambda _: None)
    at_sms, timed = driver.advance(seconds=0)
    assert body_of(at_sms)["messages"] == body_of(timed)["messages"] != []
    phone.receive_sms("+1", "second", START)
    (another,) = driver.advance(seconds=0)
    assert len(body_of(another)["messages"]) == 2
    for request in (at_sms, timed, another):
        driver.answer_now(request, EMPTY)
    driver.serve = Script()
    assert sizes_of(driver.advance(minutes=1)) == [(0, 0)]


def test_the_poll_at_an_sms_is_not_repeated_when_it_was_full() -> None:
    driver = drive(make_phone(options=MedicOptions(poll_seconds=None)))
    receive_offline(driver, 14)
    driver.phone.receive_sms("+1", "one more", driver.now)
    assert sizes_of(driver.advance(minutes=5)) == [(10, 0)]


def test_after_a_poll_at_an_sms_messages_are_sent_only_if_it_was_answered() -> None:
    driver = drive(make_phone(options=MedicOptions(poll_seconds=None)), offer(*make_messages(12)))
    driver.phone.receive_sms("+1", "first", driver.now)
    driver.advance(minutes=1)
    receive_offline(driver, 1)
    driver.advance(minutes=1)
    assert len(driver.phone.air) == 10
    driver.phone.receive_sms("+1", "last", driver.now)
    driver.advance(minutes=1)
    assert len(driver.phone.air) == 12


def test_wakes_that_came_during_a_slow_answer_are_made_up_for() -> None:
    phone = make_phone()
    driver = Driver(phone, lambda _: None)
    (slow,) = driver.advance(seconds=0)
    assert driver.advance(seconds=150) == []  # no time limit of its own
    driver.serve = Script()
    driver.answer_now(slow, EMPTY)
    made_up = driver.advance(seconds=0)
    assert len(made_up) == 2
    assert driver.seconds_of(driver.advance(seconds=60)) == [180]


def test_in_airplane_mode_nothing_is_polled_and_sending_fails_softly() -> None:
    phone = make_phone()
    driver = drive(phone, offer(*make_messages(12)))
    driver.advance(seconds=30)
    phone.airplane = True
    assert driver.advance(minutes=5) == []
    assert phone.messages["m11"].soft_failures > 0
    phone.airplane = False
    driver.advance(minutes=30)
    assert len(phone.air) == 12


def test_a_restart_keeps_the_database_and_loses_reports_of_the_radio() -> None:
    phone = make_phone()
    driver = drive(phone, offer(*make_messages(1)))
    driver.advance(seconds=0)  # with the radio, not yet out
    phone.receive_sms("+1", "hello", driver.now)
    phone.restart(driver.now)
    told = driver.advance(minutes=10)
    assert statuses_in(told) == ["UNSENT", "PENDING"]
    assert sum(len(body_of(post)["messages"]) for post in told) == 1
    assert phone.air == []


def test_an_answer_to_a_request_from_before_a_restart_is_ignored() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "hello", START)
    driver = Driver(phone, lambda _: None)
    request, _ = driver.advance(seconds=0)
    phone.restart(START)
    driver.answer_now(request, EMPTY)
    assert not phone.idle


def test_what_the_app_ignores_changes_nothing() -> None:
    phone = make_phone(options=MedicOptions(poll_seconds=None))
    phone.receive_mms("+1", [MmsAttachment("text/plain", b"hi")], START)
    phone.receive_call("+1", START)
    phone.type_sms("+1", "hi", START)
    assert phone.idle
    assert phone.next_wakeup() is None


class _TinyHub:
    """A server made of the adapter's pure functions; keeps offering until told of an id."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.untold = dict(texts)
        self.received: dict[str, str] = {}
        self.reports: dict[str, list[str]] = {wire_id: [] for wire_id in texts}

    def __call__(self, request: HttpRequest) -> HttpAnswer:
        if request.method == "GET":
            return json_answer(render_probe())
        agent = dict(request.headers)["User-Agent"]
        facts = PhoneFacts(app_version=parse_user_agent(agent)[0])
        post = translate_post(parse_post(request.body), facts=facts)
        assert post.quarantined == ()
        assert post.facts.app_version == "1.8.1"
        for message in post.messages:
            self.received.setdefault(message.dedupe_key, message.text)
        for report in post.reports:
            assert report.status is not None
            self.untold.pop(report.wire_id, None)
            self.reports[report.wire_id].append(report.status)
        offers = [Offer(i, "+255700000001", text, 0) for i, text in self.untold.items()]
        return json_answer(render_answer(offers[:10]))


def _lossy(serve: Serve, rng: random.Random) -> Serve:
    """Lose requests and answers on the way."""

    def lose(request: HttpRequest) -> HttpAnswer | NoAnswer | None:
        if rng.random() < 0.2:
            return NoAnswer("refused")
        end = serve(request)
        return NoAnswer("cut") if rng.random() < 0.2 else end

    return lose


@pytest.mark.parametrize("seed", range(5))
def test_phone_and_adapter_understand_each_other_over_a_bad_network(seed: int) -> None:
    rng = random.Random(seed)
    texts = {f"id-{n}": f'नमस्ते \\/ "{n}" 😀\n' * (n % 5 + 1) for n in range(30)}
    hub = _TinyHub(texts)
    phone = make_phone(seed=seed)
    driver = Driver(phone, _lossy(hub, rng))
    phone.verify_server(START)
    for number in range(30):
        driver.advance(seconds=rng.random() * 20)
        phone.receive_sms(f"+25570000{number:04}", f"in {number}\u0001</script>", driver.now)
    driver.advance(hours=2)
    assert phone.idle
    assert {sent.wire_id: sent.text for sent in phone.air} == texts
    assert len(phone.air) == 30
    assert list(hub.received.values()) == [f"in {n}\u0001</script>" for n in range(30)]
    assert all(reports[-1] == "delivered" for reports in hub.reports.values())


def test_one_seed_is_one_life() -> None:
    def live(seed: int) -> tuple[list[bytes], list[object]]:
        phone = make_phone(radio=FLAKY, seed=seed)
        driver = Driver(phone, Script(offer(*make_messages(20))))
        phone.receive_sms("+1", "hello", START)
        driver.advance(hours=1)
        return [request.body for _, request in driver.seen], list(phone.air)

    assert live(5) == live(5)
    assert live(5) != live(6)


def test_the_clock_of_the_phone_may_be_wrong() -> None:
    options = replace(MedicOptions(), clock_ahead=timedelta(days=365))
    phone = make_phone(options=options)
    phone.receive_sms("+1", "hello", START)
    (message,) = body_of(drive(phone).advance(seconds=0)[0])["messages"]
    assert message["sms_received"] - message["sms_sent"] == 365 * 24 * 3_600_000
