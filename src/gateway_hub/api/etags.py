"""`ETag` and `If-Match` (RFC 9110): a change that is made only if nobody else made one first."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')

IF_MATCH: dict[str, Any] = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "description": "The `ETag` of a GET: if it is another by now, nothing is changed.",
            "schema": {"type": "string"},
        }
    ]
}


def set_etag(response: Response, revision: str) -> None:
    """Let *response* name the revision that it tells of."""
    response.headers["ETag"] = f'"{revision}"'


def find_expected(request: Request) -> set[str] | None:
    """Return the revisions that *request* may change; None: any.

    A weak tag is none of ours, and what is no tag at all matches nothing.
    """
    given = request.headers.getlist("if-match")
    if not given or "*" in given:
        return None
    tags = _TAG.findall(", ".join(given))
    return {revision for weak, revision in tags if not weak}
