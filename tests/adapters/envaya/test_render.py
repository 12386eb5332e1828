"""What phones read, checked with readers that err as the apps' own do."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.adapters.envaya.render import (
    may_hold,
    render_answer,
    render_error,
    takes_work,
    uses_json,
)
from gateway_hub.domain.phone_posts import Offer
from gateway_hub.domain.text import find_unsendable

DECLARATION = b"<?xml version='1.0' encoding='UTF-8'?>"
ODD_TEXTS = [
    pytest.param("a & b <c> \"q\" 'x' &amp; end", id="markup"),
    pytest.param("</sms><sms to='+1900'>x", id="injection"),
    pytest.param("नमस्ते 😀 é \x7f\x85\u2028", id="beyond ASCII"),
    pytest.param("  l1\nl2\n\tl3  ", id="white space"),
    pytest.param("", id="empty"),
    pytest.param("]] > ]>]]", id="nearly the end of a section"),
]

sendable = st.text().filter(lambda text: not find_unsendable(text))
offer_lists = st.lists(
    st.builds(Offer, wire_id=sendable, to=sendable, text=sendable, priority=st.integers())
)


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def find_all(self, name: str) -> Iterator["Element"]:
        for child in self.children:
            if isinstance(child, Element):
                if child.name == name:
                    yield child
                yield from child.find_all(name)


class GingerbreadReader:
    """Builds the tree Android 2.3 does: each CDATA section and each reference is a text node."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.top = Element("", {})
        self._open = [self.top]
        self._new_node = True
        self._in_section = False
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartCdataSectionHandler = lambda: self._section(inside=True)
        self._parser.EndCdataSectionHandler = lambda: self._section(inside=False)
        self._parser.Parse(document, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)
        self._new_node = True

    def _end(self, _name: str) -> None:
        self._open.pop()
        self._new_node = True

    def _section(self, *, inside: bool) -> None:
        self._in_section = inside
        self._new_node = True

    def _text(self, data: str) -> None:
        at = self._parser.CurrentByteIndex
        is_reference = not self._in_section and self.document[at : at + 1] == b"&"
        children = self._open[-1].children
        last = children[-1] if children else None
        if self._new_node or is_reference or not isinstance(last, str):
            children.append(data)
        else:
            children[-1] = last + data
        self._new_node = is_reference


def read_as_app(document: bytes, version: int) -> list[Offer]:
    """Return what the app of *version* sends, by its own rules."""
    top = GingerbreadReader(document).top
    if version >= 18:
        first = next(top.find_all("messages"), Element("messages", {}))
        found = [cast_to_element(child) for child in first.children]
    else:
        found = list(top.find_all("Sms" if version == 1 else "sms"))
    return [read_sms(element, version) for element in found]


def cast_to_element(child: Element | str) -> Element:
    assert isinstance(child, Element), "ClassCastException: nothing is sent"
    return child


def read_sms(element: Element, version: int) -> Offer:
    nodes = [child if isinstance(child, str) else "null" for child in element.children]
    text = "".join(nodes[:1] if version < 9 else nodes)
    seen = element.attributes
    return Offer(seen["id"], seen["to"], text, int(seen["priority"]))


def offer(text: str) -> Offer:
    return Offer("0190a1b2-0000-7000-8000-000000000001", "+255700000001", text, 5)


def line_ends_as_xml(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    ("document", "version", "texts"),
    [
        pytest.param(b"a &amp; b", 9, ["a & b"], id="9 reads references"),
        pytest.param(b"a &amp; b", 6, ["a "], id="6 stops at a reference"),
        pytest.param(b"<![CDATA[a & b]]>", 6, ["a & b"], id="6 reads a section"),
        pytest.param(b"a<b>x</b>d", 30, ["anulld"], id="30 reads markup as null"),
    ],
)
def test_the_readers_err_as_the_apps_were_seen_to(
    document: bytes, version: int, texts: list[str]
) -> None:
    whole = b"<messages><sms id='m' to='1' priority='0'>%b</sms></messages>" % document

    assert [one.text for one in read_as_app(whole, version)] == texts


def test_the_readers_of_18_and_up_trip_over_white_space() -> None:
    with pytest.raises(AssertionError, match="ClassCastException"):
        read_as_app(b"<response><messages>\n</messages></response>", 18)


def test_an_xml_answer_is_one_compact_document() -> None:
    answer = render_answer([offer("a < b"), Offer('"2"', "+1&\n", "😀", -1)], 18)

    assert answer.content_type == "text/xml; charset=utf-8"
    assert answer.body.decode() == (
        "<?xml version='1.0' encoding='UTF-8'?><response><messages>"
        '<sms id="0190a1b2-0000-7000-8000-000000000001" to="+255700000001" priority="5">'
        "<![CDATA[a < b]]></sms>"
        '<sms id="&quot;2&quot;" to="+1&amp;&#10;" priority="-1"><![CDATA[😀]]></sms>'
        "</messages></response>"
    )


def test_a_json_answer_is_one_send_event() -> None:
    answer = render_answer([offer("a < b"), Offer("2", "+1", "😀", -1)], 28)

    assert answer.content_type == "application/json"
    assert json.loads(answer.body) == {
        "events": [
            {
                "event": "send",
                "messages": [
                    {
                        "id": "0190a1b2-0000-7000-8000-000000000001",
                        "to": "+255700000001",
                        "message": "a < b",
                        "priority": 5,
                    },
                    {"id": "2", "to": "+1", "message": "😀", "priority": -1},
                ],
            }
        ]
    }


def test_the_first_version_is_answered_in_capitals() -> None:
    body = render_answer([offer("hi")], 1).body

    assert re.sub(rb" [a-z]+=\"[^\"]*\"", b"", body) == (
        DECLARATION + b"<Messages><Sms><![CDATA[hi]]></Sms></Messages>"
    )


@pytest.mark.parametrize("version", [None, 1, 2, 17, 18, 27])
def test_an_empty_xml_answer_has_both_its_tags(version: int | None) -> None:
    assert render_answer([], version).body == DECLARATION + b"<response></response>"


@pytest.mark.parametrize("version", [28, 30])
def test_an_empty_json_answer_has_no_events(version: int) -> None:
    assert render_answer([], version).body == b'{"events":[]}'


@pytest.mark.parametrize("version", [1, 2, 6, 9, 13, 17, 18, 27])
@pytest.mark.parametrize("text", ODD_TEXTS)
def test_every_app_reads_every_text_whole(text: str, version: int) -> None:
    given_out = [offer(text), offer("next")]

    assert read_as_app(render_answer(given_out, version).body, version) == given_out


@pytest.mark.parametrize(
    ("version", "read"),
    [
        pytest.param(18, "a]]>b ]]>]]> c", id="18 reads all sections"),
        pytest.param(9, "a]]>b ]]>]]> c", id="9 reads all sections"),
        pytest.param(8, "a]] >b ]] >]] > c", id="8 reads one section"),
        pytest.param(1, "a]] >b ]] >]] > c", id="1 reads one section"),
    ],
)
def test_the_end_mark_of_a_section_cuts_no_text(version: int, read: str) -> None:
    body = render_answer([offer("a]]>b ]]>]]> c")], version).body

    assert [one.text for one in read_as_app(body, version)] == [read]


@given(offer_lists, st.sampled_from([9, 17, 18, 27]))
def test_xml_holds_whatever_may_be_sent(given_out: list[Offer], version: int) -> None:
    expected = [
        Offer(one.wire_id, one.to, line_ends_as_xml(one.text), one.priority) for one in given_out
    ]

    assert read_as_app(render_answer(given_out, version).body, version) == expected


@given(
    st.lists(
        st.builds(
            Offer,
            wire_id=sendable,
            to=sendable,
            text=sendable,
            priority=st.integers(-(2**31), 2**31 - 1),
        )
    )
)
def test_json_holds_whatever_may_be_sent(given_out: Sequence[Offer]) -> None:
    events = json.loads(render_answer(given_out, 30).body)["events"]
    messages = [message for event in events for message in event["messages"]]

    assert given_out == [
        Offer(one["id"], one["to"], one["message"], one["priority"]) for one in messages
    ]


@pytest.mark.parametrize("version", [1, 2, 18, 30])
def test_what_xml_cannot_hold_poisons_no_answer(version: int) -> None:
    body = render_answer([Offer("\x00", "\x0b", "a\x1b\ufffe\ud83d b", 0)], version).body

    if uses_json(version):
        (message,) = json.loads(body)["events"][0]["messages"]
        assert message["message"] == "a\ufffd\ufffd\ufffd b"
    else:
        assert read_as_app(body, version) == [Offer("\ufffd", "\ufffd", "a\ufffd\ufffd\ufffd b", 0)]


@pytest.mark.parametrize("version", [None, 1, 17, 18, 27])
def test_an_error_is_told_to_old_apps_in_xml(version: int | None) -> None:
    error = render_error("bad & <thing>\x00", version)

    assert error.content_type == "text/xml; charset=utf-8"
    assert error.body.decode() == (
        "<?xml version='1.0' encoding='UTF-8'?>"
        "<response><error>bad &amp; &lt;thing&gt;\ufffd</error></response>"
    )


def test_an_error_is_told_to_new_apps_in_json() -> None:
    error = render_error('bad "thing"\ud800', 28)

    assert error.content_type == "application/json"
    assert json.loads(error.body) == {"error": {"message": 'bad "thing"\ufffd'}}


ACTIONS = [
    "test",
    "outgoing",
    "incoming",
    "forward_sent",
    "send_status",
    "device_status",
    "amqp_started",
]


@pytest.mark.parametrize(
    ("version", "actions"),
    [
        pytest.param(30, set(ACTIONS) - {"test"}, id="30"),
        pytest.param(28, set(ACTIONS) - {"test"}, id="28"),
        pytest.param(27, {"incoming", "outgoing"}, id="27"),
        pytest.param(2, {"incoming", "outgoing"}, id="2"),
        pytest.param(None, {"incoming", "outgoing"}, id="not told"),
        pytest.param(1, {"outgoing"}, id="1"),
        pytest.param(0, {"outgoing"}, id="0"),
    ],
)
def test_messages_go_only_into_answers_that_are_read(
    version: int | None, actions: set[str]
) -> None:
    assert {action for action in ACTIONS if takes_work(action, version)} == actions


@pytest.mark.parametrize(
    ("version", "actions"),
    [
        pytest.param(30, ["outgoing"], id="30"),
        pytest.param(17, ["outgoing"], id="17"),
        pytest.param(16, [], id="16"),
        pytest.param(None, [], id="not told"),
    ],
)
def test_only_a_patient_app_is_kept_waiting(version: int | None, actions: list[str]) -> None:
    assert [action for action in ACTIONS if may_hold(action, version)] == actions
