"""The route of attachments: their bytes as a download, never as a page."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from gateway_hub.api.authentication import MessagesReader
from gateway_hub.api.context import HubDependency
from gateway_hub.api.fields import PathId
from gateway_hub.api.openapi import BYTES
from gateway_hub.api.routes import ApiRoute
from gateway_hub.domain.messages import Attachment

router = APIRouter(prefix="/attachments", tags=["Messages"], route_class=ApiRoute)

_CHUNK_BYTES = 256 * 1024
# Separators, quotes, control characters, and marks that turn the reading direction around.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\"'*/:;<>?\\\\|%\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NOT_ASCII = re.compile("[^\x20-\x7e]")
# The sender chose type, name and bytes: a browser must neither guess nor show nor run them.
_INERT = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@router.get(
    "/{attachment_id}",
    summary="Download an attachment",
    operation_id="attachment_download",
    response_class=StreamingResponse,
    responses=BYTES,
)
async def download_attachment(
    hub: HubDependency, caller: MessagesReader, attachment_id: PathId
) -> StreamingResponse:
    """Return the bytes of an MMS part. Its content type is told by its message, not here."""
    attachment = await hub.outbox.get_attachment(caller.project_id, attachment_id, tag=caller.tag)
    path = await hub.attachments.get_path(attachment)
    return StreamingResponse(
        _read(path),
        media_type="application/octet-stream",
        headers={
            **_INERT,
            "Content-Length": str(attachment.size_bytes),
            "Content-Disposition": render_disposition(name_download(attachment)),
        },
    )


def name_download(attachment: Attachment) -> str:
    """Return a file name made from the sender's label that is safe on any system."""
    label = _UNSAFE.sub("_", attachment.filename or "").strip(" .")
    return label or f"attachment-{attachment.id}"


def render_disposition(filename: str) -> str:
    """Return the ``Content-Disposition`` of a download (RFC 6266), for old clients in ASCII too."""
    plain = _NOT_ASCII.sub("_", filename)
    disposition = f'attachment; filename="{plain}"'
    if plain == filename:
        return disposition
    return f"{disposition}; filename*=UTF-8''{quote(filename, safe='')}"


async def _read(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
