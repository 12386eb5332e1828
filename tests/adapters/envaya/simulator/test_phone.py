"""Polls and restarts of the simulated EnvayaSMS; and it against the hub's adapter."""

import hashlib
import json
import random

import pytest

from gateway_hub.adapters.envaya.render import render_answer, render_error, uses_json
from gateway_hub.adapters.envaya.signature import compute_signature
from gateway_hub.adapters.envaya.translate import translate_post
from gateway_hub.adapters.envaya.wire import FilePart, parse_post, parse_urlencoded
from gateway_hub.domain.phone_posts import Offer
from gateway_hub.simulator.phone import (
    HttpAnswer,
    HttpRequest,
    MmsAttachment,
    NoAnswer,
    SimulatedPhone,
)
from gateway_hub.simulator.radio import FLAKY, RadioOptions
from tests.adapters.envaya.simulator.simulating import (
    NOTHING,
    PASSWORD,
    URL,
    Script,
    actions_of,
    fields_of,
    make_message,
    make_phone,
    offer,
    offering,
    poll_once,
    read_multipart,
    send_event,
    statuses_in,
)
from tests.simulator.driving import START, Driver, Serve, json_answer


def test_a_phone_is_driven_by_what_all_phones_have() -> None:
    phone: SimulatedPhone = make_phone(poll_seconds=60)
    assert phone.next_wakeup() == START


def test_polls_come_at_once_and_at_each_interval() -> None:
    driver = Driver(make_phone(poll_seconds=60), Script())
    assert driver.seconds_of(driver.advance(minutes=3)) == [0, 60, 120, 180]


def test_polls_that_come_due_during_one_are_one_poll_after_it() -> None:
    driver = Driver(make_phone(poll_seconds=5), lambda _: None)
    (held,) = driver.advance(seconds=25)
    driver.serve = Script()
    driver.answer_now(held, NOTHING)
    assert driver.seconds_of(driver.advance(seconds=4)) == [25]


def test_a_restart_of_version_3_keeps_what_was_not_told_or_tried_and_forgets_the_rest() -> None:
    radio = RadioOptions(report_seconds=(1, 1))
    phone = make_phone(radio=radio)
    driver = offer(phone, offering(make_message(0)))
    driver.serve = Script(rest=json_answer(b"{}", 500))
    phone.receive_sms("+1", "hello", driver.now)
    phone.take_amqp_command(
        json.dumps(send_event(make_message(1), make_message(2), make_message(3))).encode(),
        driver.now,
    )
    driver.advance(seconds=0)
    phone.restart(driver.now)
    driver.serve = Script(offering(make_message(0)))
    again = driver.advance(seconds=10)
    assert actions_of(again).count("incoming") == 1
    assert sorted(statuses_in(again)) == ["m1:sent", "m2:sent", "m3:sent"]
    poll_once(driver)
    # The memory of sent ids is gone: m0 goes out a second time.
    assert [sent.wire_id for sent in phone.air].count("m0") == 2


def test_a_message_that_failed_once_does_not_survive_a_restart() -> None:
    phone = make_phone(radio=RadioOptions(no_service=1))
    driver = offer(phone, offering(make_message(0)))
    phone.restart(driver.now)
    assert statuses_in(driver.advance(days=2)) == []


def test_a_restart_of_an_older_version_forgets_everything() -> None:
    phone = make_phone(18)
    driver = Driver(phone, Script(rest=NoAnswer("refused")))
    phone.receive_sms("+1", "hello", driver.now)
    driver.advance(seconds=10)
    phone.restart(driver.now)
    assert driver.advance(days=2) == []


def test_a_restart_shows_in_the_log() -> None:
    phone = make_phone(poll_seconds=60)
    driver = Driver(phone, Script())
    first = driver.advance(seconds=90)
    phone.restart(driver.now)
    (after, *_) = driver.advance(seconds=0)
    line = "Checking for outgoing messages every 60 sec"
    assert [line in fields_of(r)["log"] for r in (*first, after)] == [True, False, True]


def test_in_airplane_mode_nothing_is_told_and_nothing_sent() -> None:
    phone = make_phone(poll_seconds=60)
    driver = offer(phone, NOTHING)
    phone.airplane = True
    phone.take_amqp_command(json.dumps(send_event(make_message(0))).encode(), driver.now)
    phone.receive_sms("+1", "hello", driver.now)
    assert driver.advance(minutes=3) == []
    assert phone.air == []
    phone.airplane = False
    driver.advance(hours=2)
    assert phone.inbound == []
    assert "m0:failed(radio off)" in statuses_in([request for _, request in driver.seen])
    assert [sent.wire_id for sent in phone.air] == ["m0"]


def test_versions_before_2_0_4_are_not_simulated() -> None:
    with pytest.raises(ValueError, match=r"2\.0\.4"):
        make_phone(13)


class _TinyHub:
    """A server made of the adapter's pure functions; offers once, and again what is not told."""

    def __init__(self, version: int, texts: dict[str, str]) -> None:
        self.version = version
        self.untold = dict(texts)
        self.received: dict[str, str] = {}
        self.parts: list[bytes] = []

    def __call__(self, request: HttpRequest) -> HttpAnswer:
        pairs, files = self._read(request)
        signature = dict(request.headers)["X-Request-Signature"]
        if compute_signature(URL, pairs, PASSWORD) != signature:
            rendered = render_error("The signature is wrong.", self.version)
            return HttpAnswer(403, rendered.content_type, rendered.body)
        listed = [FilePart(name, filename, kind) for name, filename, kind, _ in files]
        wire = parse_post(pairs, listed)
        agent = dict(request.headers)["User-Agent"]
        post = translate_post(
            wire, parts=(), user_agent=agent, signature=signature, device_id="device"
        )
        assert post.quarantined == ()
        for message in post.messages:
            self.received.setdefault(message.dedupe_key, message.text)
            self.parts += [data for *_, data in files]
        for report in post.reports:
            assert report.status is not None
            self.untold.pop(report.wire_id, None)
        offers = [Offer(i, "+255700000001", text, 0) for i, text in self.untold.items()]
        rendered = render_answer(offers[:10] if post.takes_work else (), self.version)
        return HttpAnswer(200, rendered.content_type, rendered.body)

    def _read(
        self, request: HttpRequest
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str, str, bytes]]]:
        if dict(request.headers)["Content-Type"].startswith("multipart/"):
            return read_multipart(request)
        return parse_urlencoded(request.body), []


def _lossy(serve: Serve, rng: random.Random) -> Serve:
    """Lose requests, and answers after the server acted on them."""

    def lose(request: HttpRequest) -> HttpAnswer | NoAnswer | None:
        if rng.random() < 0.15:
            return NoAnswer(rng.choice(["refused", "unknown_host", "cut"]))
        end = serve(request)
        return NoAnswer("cut") if rng.random() < 0.15 else end

    return lose


@pytest.mark.parametrize("version", [17, 18, 28, 30])
@pytest.mark.parametrize("seed", range(3))
def test_phone_and_adapter_understand_each_other_over_a_bad_network(
    version: int, seed: int
) -> None:
    rng = random.Random(seed)
    texts = {f"id-{n}": f'<a> & ]]> नमस्ते "{n}" 😀\n' * (n % 5 + 1) for n in range(20)}
    hub = _TinyHub(version, texts)
    phone = make_phone(version, seed=seed, poll_seconds=600)
    driver = Driver(phone, _lossy(hub, rng))
    for number in range(20):
        driver.advance(seconds=rng.random() * 20)
        phone.receive_sms(f"+25570000{number:04}", f"in {number} =&,%</b>", driver.now)
    picture = bytes(range(256)) * 4
    phone.receive_mms("a@b.example", [MmsAttachment("image/png", picture, "p.png")], driver.now)
    driver.advance(days=3)
    assert phone.idle
    assert sorted((sent.wire_id or "", sent.text) for sent in phone.air) == sorted(texts.items())
    assert sorted(hub.received.values()) == sorted(["", *[f"in {n} =&,%</b>" for n in range(20)]])
    assert {hashlib.sha256(part).hexdigest() for part in hub.parts} == {
        hashlib.sha256(picture).hexdigest()
    }
    assert uses_json(version) is (version >= 28)


def test_one_seed_is_one_life() -> None:
    def live(seed: int) -> tuple[list[bytes], list[object]]:
        phone = make_phone(radio=FLAKY, seed=seed, poll_seconds=60)
        driver = Driver(phone, Script(offering(*[make_message(n) for n in range(20)])))
        phone.receive_mms("+1", [MmsAttachment("text/plain", b"hi")], START)
        driver.advance(hours=1)
        return [request.body for _, request in driver.seen], list(phone.air)

    assert live(5) == live(5)
    assert live(5) != live(6)
