"""How EnvayaSMS reads XML, which differs by version and by the parser of the phone.

After ``XmlUtils.java`` of 3.0.1 and ``HttpTask.java`` of 2.0.4 and 2.0.5.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from gateway_hub.adapters.envaya.simulator.commands import AnswerError, Command, CommandSend

_FIRST_CASTING_VERSION = 18
_FIRST_STRICT_VERSION = 28  # taken to run on Android 7, earlier ones on 2.3

_JUNK_AFTER_ROOT = 9  # expat's number for it
# Android 2.3's parser makes the word "null" of a reference beyond U+FFFF.
_REFERENCE = re.compile(rb"&#(x[0-9A-Fa-f]+|[0-9]+);")
_LAST_REFERABLE = 0xFFFF
_PRIORITY = re.compile(r"-?[0-9]{1,9}")


@dataclass(slots=True)
class _Element:
    name: str
    attributes: dict[str, str]
    children: list["_Element | str"] = field(default_factory=list)


def read_xml(body: bytes, version: int, default_to: str) -> list[Command]:
    """Return the commands of an XML answer; raises AnswerError, and then there are none."""
    root = _parse_xml(body, version)
    if version < _FIRST_CASTING_VERSION:
        return [_read_sms(element, default_to) for element in _walk(root) if element.name == "sms"]
    messages = next((e for e in _walk(root) if e.name == "messages"), None)
    commands: list[Command] = []
    for child in messages.children if messages else ():
        if not isinstance(child, _Element):
            raise AnswerError("java.lang.ClassCastException: a text node cannot be cast to Element")
        commands.append(_read_sms(child, default_to))
    return commands


def read_xml_error(body: bytes, version: int) -> str | None:
    """Return the text of an error answer; raises AnswerError if it is no XML."""
    error = next((e for e in _walk(_parse_xml(body, version)) if e.name == "error"), None)
    return _text_of(error) if error else None


def _read_sms(element: _Element, default_to: str) -> Command:
    attributes = element.attributes
    to = attributes.get("to") or default_to
    priority = attributes.get("priority", "")
    number = int(priority) if _PRIORITY.fullmatch(priority) else 0
    return CommandSend(attributes.get("id") or None, to, _text_of(element), number)


def _text_of(element: _Element) -> str:
    """Return the node values of *element*'s children; that of an element is the word "null"."""
    return "".join(child if isinstance(child, str) else "null" for child in element.children)


def _walk(element: _Element) -> Iterator[_Element]:
    yield element
    for child in element.children:
        if isinstance(child, _Element):
            yield from _walk(child)


def _parse_xml(body: bytes, version: int) -> _Element:
    """Return a document as its root in a nameless element; comments are children like text.

    The parser of old phones takes what follows the root, and a text that holds no XML at all.
    """
    is_old = version < _FIRST_STRICT_VERSION
    document = _Element("", {})
    if is_old and body.strip() and b"<" not in body:
        return document
    if is_old:
        body = _REFERENCE.sub(_spoil_reference, body)
    try:
        _make_parser(document).Parse(body, True)
    except expat.ExpatError as error:
        if not (is_old and error.code == _JUNK_AFTER_ROOT):
            raise AnswerError(f"org.xml.sax.SAXParseException: {error}") from None
    except RecursionError:
        raise AnswerError("java.lang.StackOverflowError") from None
    return document


def _spoil_reference(found: re.Match[bytes]) -> bytes:
    number = found[1]
    code = int(number[1:], 16) if number.startswith(b"x") else int(number)
    return found[0] if code <= _LAST_REFERABLE else b"null"


def _make_parser(document: _Element) -> expat.XMLParserType:
    path = [document]

    def start(name: str, attributes: dict[str, str]) -> None:
        element = _Element(name, attributes)
        path[-1].children.append(element)
        path.append(element)

    def end(_: str) -> None:
        path.pop()

    def add(text: str) -> None:
        path[-1].children.append(text)

    def refuse_entity(*_: object) -> None:
        raise AnswerError("org.xml.sax.SAXParseException: an entity is declared")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add
    parser.CommentHandler = add
    parser.EntityDeclHandler = refuse_entity
    return parser
