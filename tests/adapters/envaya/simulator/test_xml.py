"""How the simulated EnvayaSMS reads XML, against the matrix recorded from the real one."""

import pytest

from tests.adapters.envaya.simulator.simulating import (
    CANONICAL,
    NOTHING_XML,
    Script,
    actions_of,
    fields_of,
    make_phone,
)
from tests.simulator.driving import START, Driver, xml_answer


def test_a_pretty_printed_answer_hands_over_nothing_and_brings_the_sms_again() -> None:
    pretty = xml_answer(
        '<response><messages>\n<sms id="m" to="+1">hi</sms>\n</messages></response>'
    )
    phone = make_phone(18)
    phone.receive_sms("+1", "hello", START)
    driver = Driver(phone, Script(rest=pretty))
    assert actions_of(driver.advance(seconds=25)) == ["incoming", "incoming"]
    assert phone.air == []


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        pytest.param(CANONICAL.format("hi there"), {17: "hi there"}, id="canonical"),
        pytest.param(
            '<messages><sms id="m1" to="+1">hi</sms></messages>', {17: "hi"}, id="messages-as-root"
        ),
        pytest.param(
            '<response><messages>\n<sms id="m1" to="+1">hi</sms></messages></response>',
            {17: "hi", 18: None, 30: None},
            id="white-space-in-messages",
        ),
        pytest.param(
            '<response><messages><!--c--><sms id="m1" to="+1">hi</sms></messages></response>',
            {17: "hi", 18: None, 30: None},
            id="comment-in-messages",
        ),
        pytest.param(
            '<response>\n <messages><sms id="m1" to="+1">hi</sms></messages>\n</response>',
            {17: "hi"},
            id="white-space-outside",
        ),
        pytest.param(
            CANONICAL.format("a &amp; b &lt;c&gt; &quot;q&quot;"),
            {17: 'a & b <c> "q"'},
            id="entities",
        ),
        pytest.param(CANONICAL.format("it&#39;s"), {17: "it's"}, id="reference"),
        pytest.param(
            CANONICAL.format("smile &#128512; end"),
            {17: "smile null end", 18: "smile null end", 30: "smile 😀 end"},
            id="reference-beyond-the-bmp",
        ),
        pytest.param(
            CANONICAL.format("<![CDATA[a & b <c>]]> end"), {17: "a & b <c> end"}, id="cdata"
        ),
        pytest.param(CANONICAL.format("नमस्ते 😀 é"), {17: "नमस्ते 😀 é"}, id="utf-8"),
        pytest.param(CANONICAL.format("  padded  "), {17: "  padded  "}, id="outer-spaces"),
        pytest.param(CANONICAL.format("a<b>c</b>d"), {17: "anulld"}, id="markup-in-text"),
        pytest.param(
            '<response><messages><sms id="m1" to="+1">one</sms></messages>'
            '<messages><sms id="m2" to="+1">two</sms></messages></response>',
            {17: "one|two", 18: "one", 30: "one"},
            id="two-messages-elements",
        ),
        pytest.param(
            '<response><messages><foo to="+1">x</foo><sms to="+1">hi</sms></messages></response>',
            {17: "hi", 18: "x|hi", 30: "x|hi"},
            id="unknown-child",
        ),
        pytest.param("\n" + CANONICAL.format("hi"), {17: None}, id="line-end-before-declaration"),
        pytest.param("\ufeff" + CANONICAL.format("hi"), {17: "hi"}, id="byte-order-mark"),
        pytest.param(
            CANONICAL.format("hi") + "garbage", {17: "hi", 18: "hi", 30: None}, id="garbage-after"
        ),
        pytest.param(
            CANONICAL.replace("<response>", "<!DOCTYPE response><response>").format("hi"),
            {17: "hi"},
            id="doctype",
        ),
        pytest.param("<Messages><Sms to='+1'>hi</Sms></Messages>", {17: ""}, id="first-version"),
        pytest.param("<response/>", {17: ""}, id="self-closing"),
        pytest.param("<response><messages/></response>", {17: ""}, id="empty-messages"),
        pytest.param("<response><error>no</error></response>", {17: ""}, id="error-in-200"),
    ],
)
@pytest.mark.parametrize("version", [17, 18, 30])
def test_xml_is_read_as_the_recorded_matrix_says(
    document: str, texts: dict[int, str | None], version: int
) -> None:
    """*texts* are those sent, by the first version they hold for; None if the answer is lost."""
    expected = texts[max(known for known in texts if known <= version)]
    phone = make_phone(version, poll_seconds=3600)
    driver = Driver(phone, Script(xml_answer(document), rest=NOTHING_XML))
    driver.advance(seconds=10)
    assert "|".join(sent.text for sent in phone.air) == (expected or "")
    phone.test_connection(driver.now)
    (test,) = driver.advance(seconds=1)
    assert ("Error in server response" in fields_of(test)["log"]) is (expected is None)


def test_an_answer_with_entities_of_its_own_is_not_read() -> None:
    bomb = xml_answer('<!DOCTYPE r [<!ENTITY a "aaaa">]><r><messages>&a;</messages></r>')
    phone = make_phone(30, poll_seconds=3600)
    Driver(phone, Script(bomb)).advance(seconds=10)
    assert phone.air == []
