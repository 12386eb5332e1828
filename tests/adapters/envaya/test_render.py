"""What phones read, checked with readers that err as the apps' own do."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.adapters.envaya.render import (
    Rendered,
    may_hold,
    render_answer,
    render_error,
    takes_work,
    uses_json,
)
from gateway_hub.domain.phone_posts import Offer
from gateway_hub.domain.text import find_unsendable

XML_VERSIONS = [None, 2, 6, 9, 13, 17, 18, 27]
DECLARATION = "<?xml version='1.0' encoding='UTF-8'?>"

sendable = st.text().filter(lambda text: not find_unsendable(text))
offers = st.lists(st.builds(Offer, wire_id=sendable, to=sendable, text=sendable, priority=...))


@dataclass
class Element:
    """An element as Android 2.3's parser builds it: each run and CDATA section is a text node."""

    name: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def find_all(self, name: str) -> Iterator["Element"]:
        for child in self.children:
            if isinstance(child, Element):
                if child.name == name:
                    yield child
                yield from child.find_all(name)


def parse_dom(document: bytes) -> Element:
    """Parse with expat; raises ExpatError for what no parser reads."""
    top = Element("", {})
    stack = [top]
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_name: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        children = stack[-1].children
        if children and isinstance(children[-1], str) and children[-1] is not fresh[0]:
            children[-1] += data
        else:
            children.append(data)

    fresh = [""]
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.Parse(document, True)
    return top


