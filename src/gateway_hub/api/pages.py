"""Lists in pages, newest first: an opaque cursor names the last item seen and the filters."""

import hashlib
import json
import uuid
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, Field

from gateway_hub.api.fields import GivenFields
from gateway_hub.domain.errors import FieldProblem, InvalidInputError
from gateway_hub.domain.ids import AFTER_ALL_IDS

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

_DIGEST_BYTES = 8
_ID_BYTES = 16


class PageQuery(GivenFields):
    """Which page of a list; a list with filters adds them."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="The most items to return.")] = (
        DEFAULT_LIMIT
    )
    cursor: Annotated[
        str | None,
        Field(description="`next_cursor` of the page before, asked for with the same filters."),
    ] = None


class PageResponse(BaseModel, Generic[T]):
    """One page of a list, newest first."""

    data: list[T]
    next_cursor: str | None = Field(description="What gets the next page; null on the last one.")


class InvalidCursorError(InvalidInputError):
    """A cursor that no page of this list gave out."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        detail = "The cursor is not one of this list with these filters."
        super().__init__(detail, fields=(FieldProblem("/cursor", self.code, detail),))


class Pager:
    """Cuts one page out of a list. *names* tell lists apart: what is listed, and of whom."""

    def __init__(self, query: PageQuery, *names: str) -> None:
        """Take what was asked for. Raises InvalidCursorError."""
        filters = query.model_dump(mode="json", exclude={"limit", "cursor"})
        described = json.dumps([names, filters], sort_keys=True).encode("utf-8")
        self._digest = hashlib.sha256(described).digest()[:_DIGEST_BYTES]
        self._limit = query.limit
        self.before = AFTER_ALL_IDS if query.cursor is None else self._parse(query.cursor)
        self.fetch_limit = query.limit + 1

    def cut(self, found: Sequence[T], id_of: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
        """Return of the *found* (`fetch_limit` at most) those of this page, and the next cursor."""
        page = found[: self._limit]
        more = len(found) > self._limit
        return page, self._render(id_of(page[-1])) if more else None

    def _render(self, last_id: str) -> str:
        return urlsafe_b64encode(self._digest + uuid.UUID(last_id).bytes).decode("ascii")

    def _parse(self, cursor: str) -> str:
        try:
            decoded = b64decode(cursor, altchars=b"-_", validate=True)
        except ValueError as error:
            raise InvalidCursorError from error
        if len(decoded) != _DIGEST_BYTES + _ID_BYTES:
            raise InvalidCursorError
        last_id = str(uuid.UUID(bytes=decoded[_DIGEST_BYTES:]))
        if cursor != self._render(last_id):
            raise InvalidCursorError
        return last_id
