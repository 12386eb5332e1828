"""The signed forms of a simulated EnvayaSMS app, with the fields of its version.

After ``BaseHttpTask.java`` and ``HttpTask.java`` of 2.0.4, 2.0.5 and 3.0.1, and the HTTP libraries
under them.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway_hub.adapters.envaya.signature import compute_signature
from gateway_hub.adapters.envaya.simulator.log import LogText
from gateway_hub.adapters.envaya.simulator.quoting import quote_as_java
from gateway_hub.simulator.phone import Headers, MmsAttachment

_ORIGIN = re.compile(r"[^:/?#]+://[^/?#]*")
_VERSION_NAMES = {17: "2.0.4", 18: "2.0.5"}
_NEWEST_VERSION_NAME = "3.0.1"
_FIRST_WITH_MODEL = 18

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Form:
    """A request: its *fields* except the log, which comes last, and what it is signed with."""

    server_url: str
    password: str
    version: int
    model: str
    fields: Fields
    log: LogText
    attachments: Sequence[MmsAttachment] = ()
    boundary: str = ""

    @property
    def signed_fields(self) -> Fields:
        """All fields but the files."""
        return (*self.fields, ("log", self.log.plain))


def request_url(server_url: str) -> str:
    """Return where the app sends its posts: what a person typed is signed, but has a path here."""
    found = _ORIGIN.match(server_url)
    origin = found.group() if found else ""
    rest = server_url[len(origin) :]
    return server_url if rest.startswith("/") else f"{origin}/{rest}"


def render_headers(form: Form) -> Headers:
    """Return the headers of the post of *form*, its signature among them."""
    signature = compute_signature(form.server_url, form.signed_fields, form.password)
    return (
        ("User-Agent", _user_agent(form.version, form.model)),
        ("X-Request-Signature", signature),
        ("Content-Type", _content_type(form)),
    )


def render_body(form: Form) -> bytes:
    """Return the body of the post of *form*."""
    if form.attachments:
        return _render_multipart(form)
    pairs = [f"{name}={quote_as_java(value)}" for name, value in form.fields]
    return "&".join([*pairs, f"log={form.log.quoted}"]).encode()


def describe_parts(attachments: Sequence[MmsAttachment]) -> str:
    """Return the value of ``mms_parts``, as ``org.json`` writes it."""
    listed = [_describe(number, part) for number, part in enumerate(attachments)]
    text = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
    return text.replace("/", "\\/")


def _describe(number: int, part: MmsAttachment) -> dict[str, str]:
    described = {"name": f"part{number}"}
    if part.content_id is not None:
        described["cid"] = part.content_id
    described["type"] = part.content_type
    if part.filename is not None:
        described["filename"] = part.filename
    return described


def _user_agent(version: int, model: str) -> str:
    agent = f"EnvayaSMS/{_VERSION_NAMES.get(version, _NEWEST_VERSION_NAME)}"
    return f"{agent} (Android; SDK 10; {model})" if version >= _FIRST_WITH_MODEL else agent


def _content_type(form: Form) -> str:
    if form.attachments:
        return f"multipart/form-data; boundary={form.boundary}"
    return "application/x-www-form-urlencoded"


def _render_multipart(form: Form) -> bytes:
    mark = f"--{form.boundary}\r\n".encode()
    texts = [_render_text_part(name, value) for name, value in form.signed_fields]
    files = [_render_file(number, part) for number, part in enumerate(form.attachments)]
    closing = f"--{form.boundary}--\r\n".encode()
    return b"".join(mark + part + b"\r\n" for part in texts + files) + closing


def _render_text_part(name: str, value: str) -> bytes:
    head = (
        f'Content-Disposition: form-data; name="{name}"\r\n'
        "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    return (head + value).encode("utf-8", "replace")


def _render_file(number: int, part: MmsAttachment) -> bytes:
    kind = part.content_type
    if kind.startswith("text/") or kind == "application/smil":
        kind += "; charset=UTF-8"
    head = (
        f'Content-Disposition: form-data; name="part{number}"; filename="{part.filename}"\r\n'
        f"Content-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    )
    return head.encode("ascii", "replace") + part.data
