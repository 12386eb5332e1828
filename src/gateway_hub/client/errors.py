"""What the client raises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from gateway_hub.client.results import Message


class HubClientError(Exception):
    """Base of all that the client raises."""


@dataclass(frozen=True, slots=True)
class ProblemField:
    """One field that was refused; *pointer* is a JSON pointer into the body."""

    pointer: str
    code: str
    detail: str


class HubProblemError(HubClientError):
    """The hub refused the request (RFC 9457). *code* is stable; docs/errors.md lists them all.

    *retry_after_seconds*: the same request may succeed then; a day at the most.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        request_id: str | None = None,
        errors: tuple[ProblemField, ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        fields = "".join(f"; {item.pointer}: {item.detail}" for item in errors)
        super().__init__(f"{status} {code}: {detail}{fields} (request {request_id})")
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds

    @classmethod
    def from_json(cls, told: Mapping[str, Any], retry_after_seconds: float | None = None) -> Self:
        """Return what the hub tells as *told*."""
        return cls(
            status=int(told["status"]),
            code=str(told["code"]),
            detail=str(told.get("detail", "")),
            request_id=told.get("request_id"),
            errors=tuple(
                ProblemField(item["pointer"], item["code"], item["detail"])
                for item in told.get("errors") or ()
            ),
            retry_after_seconds=retry_after_seconds,
        )


class HubUnreachableError(HubClientError):
    """No answer came, however often it was tried: the request may or may not have been taken.

    Sent again with the same idempotency key it has its effect once.
    """


class NotAHubError(HubClientError):
    """What answered is not a hub: a proxy, most likely."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}, but not as a gateway-hub answers")
        self.status = status


class WaitTimeoutError(HubClientError):
    """A message did not come so far in time; *message* is how it was seen last."""

    def __init__(self, message: Message) -> None:
        super().__init__(f"message {message.id} is still {message.status}")
        self.message = message
