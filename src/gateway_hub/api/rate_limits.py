"""How often a caller may ask: in memory, for each process by itself.

The headers are those of draft-ietf-httpapi-ratelimit-headers-11; the sum behind them is GCRA, a
token bucket that needs one number for each caller.
"""

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Scope

from gateway_hub.api.problems import EXTRA_HEADERS, ProblemError
from gateway_hub.services.access import OPERATOR

_MOST_CALLERS = 10_000
_MINUTE = 60.0
_IPV6_SITE = 64
_ROUNDING_SECONDS = 1e-9  # what sums of fractions are off by


@dataclass(frozen=True, slots=True)
class Level:
    """What is left to a caller; *wait_seconds* is 0 if they may go on now."""

    left: int
    full_seconds: float
    wait_seconds: float


class Buckets:
    """A bucket of *quota* tokens for each caller, that fills up again in *window_seconds*."""

    def __init__(
        self,
        quota: int,
        *,
        window_seconds: float = _MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quota = quota
        self.window_seconds = window_seconds
        self._clock = clock
        self._full_at: dict[str, float] = {}

    def take(self, caller: str) -> Level:
        """Take a token of *caller*, if there is one."""
        now = self._clock()
        seconds_each = self.window_seconds / self.quota
        missing_seconds = max(0.0, self._full_at.get(caller, 0.0) - now) + seconds_each
        wait = missing_seconds - self.window_seconds
        if wait > _ROUNDING_SECONDS:
            return Level(0, missing_seconds - seconds_each, wait)
        if caller not in self._full_at and len(self._full_at) >= _MOST_CALLERS:
            self._make_room(now)
        self._full_at[caller] = now + missing_seconds
        left = int((self.window_seconds - missing_seconds) / seconds_each + 1e-6)
        return Level(left, missing_seconds, 0.0)

    def _make_room(self, now: float) -> None:
        """Forget those whose buckets are full; if that are none, everybody."""
        self._full_at = {caller: at for caller, at in self._full_at.items() if at > now}
        if len(self._full_at) >= _MOST_CALLERS:
            self._full_at.clear()


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits of one process; None: there is none.

    *refusals* are of requests without a valid key, by where they come from. A valid one always
    gets through: several callers may share an address, and a proxy makes it one for all.
    """

    requests: Buckets | None = None
    refusals: Buckets | None = field(default=None)

    def count_request(self, scope: Scope, key_id: str) -> None:
        """Count a request with that API key. Raises ProblemError (429) for one too many.

        Commands on the hub's own machine are not counted.
        """
        if self.requests is None or key_id == OPERATOR:
            return
        level = self.requests.take(key_id)
        scope[EXTRA_HEADERS] = {
            "RateLimit-Policy": f'"key";q={self.requests.quota};w={self.requests.window_seconds:g}',
            "RateLimit": f'"key";r={level.left};t={math.ceil(level.full_seconds)}',
        }
        if level.wait_seconds:
            raise _too_many("The API key has used up its requests for now.", level)

    def count_refusal(self, scope: Scope) -> None:
        """Count a request that proved nobody. Raises ProblemError (429) for one too many."""
        if self.refusals is None:
            return
        level = self.refusals.take(_find_site(scope))
        if level.wait_seconds:
            raise _too_many("Too many requests without a valid API key came from there.", level)


def make_limits(requests_per_minute: int, refusals_per_minute: int) -> RateLimits:
    """Return the limits; 0: none."""
    return RateLimits(
        Buckets(requests_per_minute) if requests_per_minute else None,
        Buckets(refusals_per_minute) if refusals_per_minute else None,
    )


def _too_many(detail: str, level: Level) -> ProblemError:
    seconds = max(1, math.ceil(level.wait_seconds))
    return ProblemError(429, "too_many_requests", detail, {"Retry-After": str(seconds)})


def _find_site(scope: Scope) -> str:
    """Return where a request comes from: of IPv6 the network, for a host has all its addresses."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if isinstance(address, ipaddress.IPv4Address) or address.ipv4_mapped:
        return str(getattr(address, "ipv4_mapped", None) or address)
    return str(ipaddress.ip_network((address, _IPV6_SITE), strict=False))
