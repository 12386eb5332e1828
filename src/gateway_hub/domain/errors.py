"""What can go wrong, as values with a stable ``code``; each edge renders them in its own form."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that was refused; *pointer* is a JSON pointer into the request body."""

    pointer: str
    code: str
    detail: str


class HubError(Exception):
    """Base of all errors a caller is told about. *detail* never repeats the caller's input.

    *retry_after_seconds*: the same request may succeed then.
    """

    code = "error"
    retry_after_seconds: int | None = None

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class InvalidInputError(HubError):
    """The request is well formed but asks for something that cannot be."""

    code = "invalid_input"

    def __init__(self, detail: str, *, fields: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(detail)
        self.fields = fields

    @classmethod
    def of_field(cls, pointer: str, code: str, detail: str) -> "InvalidInputError":
        """Return the error for one refused field."""
        return cls(detail, fields=(FieldProblem(pointer, code, detail),))


class UnauthenticatedError(HubError):
    """Nobody we know, or not proved."""

    code = "unauthenticated"


class PermissionDeniedError(HubError):
    """Known, but not allowed to do this."""

    code = "permission_denied"


class TagLimitedError(PermissionDeniedError):
    """The API key is limited to a tag, and this reaches beyond it."""

    code = "tag_limited"


class NotFoundError(HubError):
    """There is no such thing in the caller's project, whether or not another project has it."""

    code = "not_found"


class ConflictError(HubError):
    """The thing is in a state in which this cannot be done."""

    code = "conflict"


class PreconditionFailedError(HubError):
    """The thing is no longer as the caller saw it."""

    code = "precondition_failed"


class CursorExpiredError(HubError):
    """What came after the cursor is not all there any more."""

    code = "cursor_expired"


class UnavailableError(HubError):
    """Our side cannot serve the request now; the same request may succeed later."""

    code = "unavailable"

    def __init__(
        self, detail: str, *, retry_after_seconds: int = 5, code: str | None = None
    ) -> None:
        super().__init__(detail, code=code)
        self.retry_after_seconds = retry_after_seconds
