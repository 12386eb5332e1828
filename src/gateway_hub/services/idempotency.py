"""Doing once what a caller asks for several times: the key is kept in the effect's transaction."""

import hashlib
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.errors import ConflictError, InvalidInputError
from gateway_hub.domain.ids import new_id
from gateway_hub.services.secrets import SecretBox, SecretUnreadableError
from gateway_hub.storage import idempotency as key_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.idempotency import StoredKey
from gateway_hub.storage.transactions import Transaction, UseCase

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

KEPT_FOR = timedelta(hours=24)

_AT_ONCE = 500
_SEALED = b"s"
_PLAIN = b"z"
_FASTEST = 1


class AnsweredBeforeError(Exception):
    """What is asked for is done already. *answer* is what was told of it.

    *repeated*: it was told to an earlier request; else this very one did it, and only the answer
    of the database was lost.
    """

    def __init__(self, answer: str, *, repeated: bool) -> None:
        super().__init__("this was done before")
        self.answer = answer
        self.repeated = repeated


class KeyReusedError(InvalidInputError):
    """The key came before, with another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("The Idempotency-Key was used before, with another request.")


class KeyInUseError(ConflictError):
    """The first request with the key has not been answered yet."""

    code = "idempotency_in_progress"
    retry_after_seconds = 1

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being worked on.")


class AnswerLostError(ConflictError):
    """The first answer held a secret, and the key that it was sealed with is gone."""

    code = "answer_unreadable"

    def __init__(self) -> None:
        super().__init__(
            "This was done before. Its answer held a secret and can no longer be read: "
            "the hub's secret keys were changed."
        )


@dataclass(slots=True, eq=False)
class Claim:
    """A request that is to have its effect once; *answer* is what is told of it, once it is."""

    id: str
    key_digest: bytes
    request_digest: bytes
    answer: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Once(Generic[T_contra]):
    """A claim, and how the result of its effect is told; None: of this result nothing is kept.

    *secret*: the answer is kept sealed.
    """

    claim: Claim
    tell: Callable[[T_contra], Awaitable[str | None]]
    keys: "IdempotencyKeys"
    secret: bool = False


class IdempotencyKeys:
    """The keys of all callers."""

    def __init__(self, database: Database, secret_box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._secret_box = secret_box
        self._clock = clock
        self._in_flight: set[bytes] = set()

    @contextmanager
    def hold(self, caller: str, route: str, key: str, request_digest: bytes) -> Iterator[Claim]:
        """Yield the claim of a request of *caller* to *route*.

        Raises KeyInUseError while this process works on the same. A request in another process is
        waited for, by the database.
        """
        digest = hashlib.sha256("\0".join((caller, route, key)).encode("utf-8")).digest()
        if digest in self._in_flight:
            raise KeyInUseError
        self._in_flight.add(digest)
        try:
            yield Claim(new_id(), digest, request_digest)
        finally:
            self._in_flight.discard(digest)

    async def check(self, claim: Claim) -> None:
        """Raise AnsweredBeforeError, or why not, if the key of *claim* is taken by now."""

        async def query(tx: Transaction) -> StoredKey | None:
            return (await key_rows.find_keys(tx, [claim.key_digest])).get(claim.key_digest)

        taken = await self._database.read(query)
        error = self.judge(claim, taken) if taken else None
        if error is not None:
            raise error

    async def forget_old(self) -> None:
        """Remove the keys that were kept long enough, a few at a time."""

        async def use_case(tx: Transaction) -> int:
            before = self._clock() - KEPT_FOR
            return await key_rows.forget_keys(tx, before=before, limit=_AT_ONCE)

        while await self._database.write(use_case) == _AT_ONCE:
            pass

    def judge(self, claim: Claim, taken: StoredKey | None) -> Exception | None:
        """Return why what is claimed is not to be done, given who has its key by now."""
        if taken is None:
            return KeyInUseError()  # forgotten between two statements: the next try takes it
        if taken.request_digest != claim.request_digest:
            return KeyReusedError()
        own = taken.claim_id == claim.id
        if taken.answer is None:
            return None if own else KeyInUseError()
        try:
            answer = self._unpack(taken)
        except AnswerLostError as error:
            return error
        return AnsweredBeforeError(answer, repeated=not own)

    def take(self, claim: Claim) -> StoredKey:
        """Return the row that takes the key of *claim*."""
        return StoredKey(claim.key_digest, claim.id, claim.request_digest, self._clock())

    def pack(self, claim: Claim, answer: str, *, secret: bool) -> bytes:
        """Return *answer* as it is stored."""
        if secret:
            return _SEALED + self._secret_box.encrypt(claim.id, answer)
        return _PLAIN + zlib.compress(answer.encode("utf-8"), _FASTEST)

    def _unpack(self, taken: StoredKey) -> str:
        stored = taken.answer or b""
        if stored[:1] == _PLAIN:
            return zlib.decompress(stored[1:]).decode("utf-8")
        try:
            return self._secret_box.decrypt(taken.claim_id, stored[1:])
        except SecretUnreadableError as error:
            raise AnswerLostError from error


def only_once(use_case: UseCase[T], once: Once[T] | None) -> UseCase[T]:
    """Return *use_case*, or one that does the same once and raises AnsweredBeforeError then on."""
    if once is None:
        return use_case

    async def guarded(tx: Transaction) -> T:
        refused = await begin(tx, [once])
        if once in refused:
            raise refused[once]
        result = await use_case(tx)
        await end(tx, [(once, result)])
        return result

    return guarded


async def begin(tx: Transaction, asked: Iterable[Once[Any] | None]) -> dict[Once[Any], Exception]:
    """Take the keys of those that have one; return why each is not to be done, where it is not."""
    keyed = [once for once in asked if once is not None]
    if not keyed:
        return {}
    await key_rows.add_keys(tx, [once.keys.take(once.claim) for once in keyed])
    taken = await key_rows.find_keys(tx, [once.claim.key_digest for once in keyed])
    judged = (
        (once, once.keys.judge(once.claim, taken.get(once.claim.key_digest))) for once in keyed
    )
    return {once: error for once, error in judged if error is not None}


async def end(tx: Transaction, done: Iterable[tuple[Once[T] | None, T]]) -> None:
    """Keep what is told of each result, in the transaction that had the effect."""
    answers: dict[bytes, bytes] = {}
    unkept: list[bytes] = []
    for once, result in done:
        if once is None:
            continue
        claim = once.claim
        claim.answer = await once.tell(result)
        if claim.answer is None:
            unkept.append(claim.key_digest)
        else:
            packed = once.keys.pack(claim, claim.answer, secret=once.secret)
            answers[claim.key_digest] = packed
    await key_rows.save_answers(tx, answers)
    await key_rows.remove_keys(tx, unkept)
