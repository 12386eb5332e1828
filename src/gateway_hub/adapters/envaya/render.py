"""Everything an EnvayaSMS phone reads: outbound messages and errors, as XML or JSON by app version.

The shapes are those that the apps, old and new, were seen to read; most other valid documents make
one of them drop an answer, or cut a text, without a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from lxml import etree

from gateway_hub.adapters.envaya.wire import Action
from gateway_hub.domain.phone_posts import CancelCommand, Offer
from gateway_hub.domain.text import replace_non_xml

# The app compares the beginning of the content type, and minds the case.
JSON_TYPE = "application/json"
XML_TYPE = "text/xml; charset=utf-8"

_FIRST_JSON_VERSION = 28
_FIRST_LONG_POLL_VERSION = 17  # earlier ones hang up after 8 to 10 seconds
_FIRST_WHOLE_TEXT_VERSION = 9
_FIRST_LOWER_CASE_VERSION = 2

_DECLARATION = b"<?xml version='1.0' encoding='UTF-8'?>"


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer's body and its content type."""

    body: bytes
    content_type: str


def uses_json(version: int | None) -> bool:
    """Say whether the app reads JSON; one that does not say its version is taken for an old one."""
    return version is not None and version >= _FIRST_JSON_VERSION


def takes_work(action: str, version: int | None) -> bool:
    """Say whether the app looks for outbound messages in the answer to *action*."""
    if uses_json(version):
        return action != Action.TEST
    if _is_first_version(version):
        return action == Action.OUTGOING
    return action in (Action.INCOMING, Action.OUTGOING)


def may_hold(action: str, version: int | None) -> bool:
    """Say whether the answer may be kept back until there is work: a long poll."""
    patient = version is not None and version >= _FIRST_LONG_POLL_VERSION
    return patient and action == Action.OUTGOING


def render_answer(
    offers: Sequence[Offer], version: int | None, cancels: Sequence[CancelCommand] = ()
) -> Rendered:
    """Return the answer that hands *offers* to the phone, in their order, and takes others back.

    XML has no word for taking a message back; only apps that read JSON are asked to.
    """
    if uses_json(version):
        messages = [_send_event(offers)] if offers else []
        commands = [{"event": "cancel", "id": cancel.wire_id} for cancel in cancels]
        return _render_json({"events": [*messages, *commands]})
    return _render_xml(_response(offers, version))


def render_error(message: str, version: int | None) -> Rendered:
    """Return the body of a 4xx answer; the app shows *message* in its log."""
    if uses_json(version):
        return _render_json({"error": {"message": replace_non_xml(message)}})
    response = etree.Element("response")
    etree.SubElement(response, "error").text = replace_non_xml(message)
    return _render_xml(response)


def _send_event(offers: Sequence[Offer]) -> dict[str, object]:
    return {"event": "send", "messages": [_json_message(offer) for offer in offers]}


def _json_message(offer: Offer) -> dict[str, object]:
    return {
        "id": replace_non_xml(offer.wire_id),
        "to": replace_non_xml(offer.to),
        "message": replace_non_xml(offer.text),
        "priority": offer.priority,
    }


def _response(offers: Sequence[Offer], version: int | None) -> etree._Element:
    """Return the root: one list of messages in it, and in that nothing but messages.

    The app casts every child of the list to an element, and reads the first list only.
    """
    root = etree.Element("response")
    if not offers:
        root.text = ""  # two tags rather than a closed one
        return root
    if _is_first_version(version):
        root = messages = etree.Element("Messages")
        name = "Sms"
    else:
        messages = etree.SubElement(root, "messages")
        name = "sms"
    for offer in offers:
        _add_message(messages, name, offer, version)
    return root


def _add_message(messages: etree._Element, name: str, offer: Offer, version: int | None) -> None:
    element = etree.SubElement(messages, name)
    element.set("id", replace_non_xml(offer.wire_id))
    element.set("to", replace_non_xml(offer.to))
    element.set("priority", str(offer.priority))
    element.text = etree.CDATA(_cdata_text(offer.text, version))


def _cdata_text(text: str, version: int | None) -> str:
    """Return *text* as its CDATA section holds it; lxml splits one at ``]]>``.

    Apps before version 9 read the first text node only: a reference or a second section would cut
    the SMS there, so for them ``]]>`` is written with a space.
    """
    held = replace_non_xml(text)
    if version is not None and version < _FIRST_WHOLE_TEXT_VERSION:
        return held.replace("]]>", "]] >")
    return held


def _is_first_version(version: int | None) -> bool:
    return version is not None and version < _FIRST_LOWER_CASE_VERSION


def _render_json(value: dict[str, object]) -> Rendered:
    return Rendered(orjson.dumps(value), JSON_TYPE)


def _render_xml(root: etree._Element) -> Rendered:
    # No byte before the declaration, no line end after it, and raw UTF-8: Android 2.3 reads a
    # reference beyond U+FFFF as the word "null".
    body: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=False)
    return Rendered(_DECLARATION + body, XML_TYPE)
