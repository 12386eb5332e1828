"""What the errors of an exchange mean: each a fault with a few words, never a traceback."""

import os
import ssl
from collections.abc import Iterator

import httpcore2

from gateway_hub.domain.webhooks.outcomes import Fault
from gateway_hub.webhooks.guard import ForbiddenAddressError
from gateway_hub.webhooks.names import NameNotFoundError
from gateway_hub.webhooks.streams import AnswerTooLargeError

# How httpcore2 and h11 say that the other side has hung up.
_HUNG_UP = ("Server disconnected without sending a response", "peer closed connection")

_FAULTS: tuple[tuple[type[Exception], Fault], ...] = (
    (ForbiddenAddressError, Fault.FORBIDDEN_ADDRESS),
    (NameNotFoundError, Fault.NAME_NOT_FOUND),
    (AnswerTooLargeError, Fault.BAD_ANSWER),
    (httpcore2.RemoteProtocolError, Fault.BAD_ANSWER),
    (httpcore2.TimeoutException, Fault.TIMED_OUT),
    (TimeoutError, Fault.TIMED_OUT),
    (httpcore2.ConnectError, Fault.CONNECT_FAILED),
    (httpcore2.NetworkError, Fault.CONNECTION_LOST),
    (OSError, Fault.CONNECTION_LOST),
)

ENDPOINT_ERRORS = tuple(kind for kind, _ in _FAULTS)
"""All that an exchange raises through no fault of ours."""


def find_fault(error: Exception) -> tuple[Fault, str]:
    """Return what *error*, one of ENDPOINT_ERRORS, was, and what it says beyond that."""
    fault = next(fault for kind, fault in _FAULTS if isinstance(error, kind))
    if isinstance(error, httpcore2.RemoteProtocolError) and str(error).startswith(_HUNG_UP):
        return Fault.CONNECTION_LOST, ""
    if isinstance(error, httpcore2.NetworkError | OSError):
        return _look_beneath(fault, error)
    return fault, str(error)


def _look_beneath(fault: Fault, error: Exception) -> tuple[Fault, str]:
    """Tell TLS from the rest, and say what the system said: the outer errors have no words."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            said = getattr(cause, "verify_message", None) or cause.reason or "the handshake failed"
            return Fault.TLS_FAILED, str(said).lower().replace("_", " ")
    numbers = (cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno)
    return fault, next((os.strerror(number) for number in numbers), "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
