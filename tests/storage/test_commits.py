"""Use cases that share a commit: what one of them suffers, and what the database does, harms no
other, and nobody is told of work that is not on disk."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, event, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway_hub.domain.access import Scope
from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.errors import (
    ConflictError,
    HubError,
    PreconditionFailedError,
    UnavailableError,
)
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, MessageDraft, MessageFilter, MessageType
from gateway_hub.domain.phone_posts import ForwardedMessage, PhonePost, PhoneReport
from gateway_hub.services.devices import DeviceDraft, IssuedCredentials, revision_of
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.idempotency import AnsweredBeforeError, Once
from gateway_hub.services.secrets import SecretBox
from gateway_hub.storage.commits import MAX_SHARED, CommitGroup
from gateway_hub.storage.engines import create_reader_engine, create_writer_engine, normalise_url
from gateway_hub.storage.tables import projects
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock

_ADD = text(
    "INSERT INTO projects (id, name, if_uncertain, created_at, updated_at) "
    "VALUES (:name, :name, 'wait', 0, 0)"
)
_PATIENCE = 5.0

UseCase = Callable[[Transaction], Awaitable[str]]


class Bench:
    """One group with one writer on a database, and a look at what is on disk."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.engine = create_writer_engine(url)
        self.group = CommitGroup(self.engine, writers=1)
        self.commits = 0
        self.runs: list[str] = []
        self._reader = create_reader_engine(url)
        event.listen(self.engine.sync_engine, "commit", self._count)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    async def close(self) -> None:
        await self.group.stop()
        await self._reader.dispose()
        await self.engine.dispose()

    async def names(self) -> set[str]:
        """Return the names that another connection sees."""
        async with self._reader.connect() as connection:
            return set(await connection.scalars(select(projects.c.name)))

    def adding(self, name: str, then: UseCase | None = None) -> UseCase:
        """Return a use case that stores *name*, does *then* and returns *name*."""

        async def use_case(tx: Transaction) -> str:
            self.runs.append(name)
            await tx.execute(_ADD, {"name": name})
            return name if then is None else await then(tx)

        return use_case

    async def run(self, use_case: UseCase, *, patience_seconds: float = _PATIENCE) -> str:
        return await self.group.run(use_case, patience_seconds=patience_seconds)

    async def run_together(self, *use_cases: UseCase) -> list[str | BaseException]:
        """Run *use_cases* in flight at one moment; return what each returned or raised."""
        tasks = [asyncio.create_task(self.run(item)) for item in use_cases]
        return await asyncio.gather(*tasks, return_exceptions=True)

    def _count(self, _connection: object) -> None:
        self.commits += 1


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    """A running group on each kind of database."""
    bench = Bench(normalise_url(database_url))
    bench.group.start()
    yield bench
    await bench.close()


async def _refuse(_tx: Transaction) -> str:
    raise ConflictError("not like this")


async def _break_a_key(tx: Transaction) -> str:
    await tx.execute(_ADD, {"name": "neighbour 0"})
    return "never"


async def _state_nonsense(tx: Transaction) -> str:
    await tx.execute(text("SELECT * FROM nowhere"))
    return "never"


async def test_use_cases_in_flight_share_one_commit(bench: Bench) -> None:
    names = [f"project {number}" for number in range(30)]
    assert await bench.run_together(*map(bench.adding, names)) == names
    assert bench.commits == 1
    assert await bench.names() == set(names)


async def test_no_more_than_the_most_allowed_share_one_commit(bench: Bench) -> None:
    names = [f"project {number}" for number in range(2 * MAX_SHARED + 1)]
    assert await bench.run_together(*map(bench.adding, names)) == names
    assert bench.commits == 3


@pytest.mark.parametrize(
    ("failing", "raised"),
    [
        pytest.param(_refuse, ConflictError, id="its own refusal"),
        pytest.param(_break_a_key, IntegrityError, id="a key taken by a neighbour"),
        pytest.param(_state_nonsense, DBAPIError, id="a statement that aborts the transaction"),
    ],
)
async def test_a_use_case_that_fails_takes_back_its_own_work_only(
    bench: Bench, failing: UseCase, raised: type[Exception]
) -> None:
    started = time.monotonic()
    first, failed, last = await bench.run_together(
        bench.adding("neighbour 0"), bench.adding("failing", failing), bench.adding("neighbour 1")
    )
    assert (first, last) == ("neighbour 0", "neighbour 1")
    assert isinstance(failed, raised)
    assert await bench.names() == {"neighbour 0", "neighbour 1"}
    assert bench.runs.count("failing") == 1
    assert time.monotonic() - started < _PATIENCE / 2


async def test_a_use_case_alone_in_its_commit_takes_back_its_work_when_it_fails(
    bench: Bench,
) -> None:
    with pytest.raises(ConflictError):
        await bench.run(bench.adding("failing", _refuse))
    assert await bench.names() == set()
    assert await bench.run(bench.adding("next")) == "next"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk_costs_only_the_use_case_that_found_no_room(bench: Bench) -> None:
    """SQLite then ends the whole transaction by itself: the neighbours have to run again."""

    async def grow(tx: Transaction) -> str:
        await tx.execute(_ADD, {"name": "x" * 1_000_000})
        return "never"

    async with bench.engine.begin() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count={pages + 20}"))
    tasks = [
        asyncio.create_task(bench.run(bench.adding("before"))),
        asyncio.create_task(bench.run(bench.adding("grown", grow), patience_seconds=0.1)),
        asyncio.create_task(bench.run(bench.adding("after"))),
    ]
    before, grown, after = await asyncio.gather(*tasks, return_exceptions=True)
    assert (before, after) == ("before", "after")
    assert isinstance(grown, UnavailableError)
    assert await bench.names() == {"before", "after"}


async def test_a_caller_who_leaves_before_the_turn_leaves_nothing_behind(bench: Bench) -> None:
    leaving = asyncio.create_task(bench.run(bench.adding("left")))
    staying = asyncio.create_task(bench.run(bench.adding("stayed")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "stayed"
    assert leaving.cancelled()
    assert await bench.names() >= {"stayed"}
    await _check_nothing_is_open(bench)


async def test_a_caller_who_leaves_in_the_middle_leaves_the_neighbours_alone(bench: Bench) -> None:
    reached, let_go = asyncio.Event(), asyncio.Event()

    async def wait(_tx: Transaction) -> str:
        reached.set()
        await let_go.wait()
        return "nobody listens"

    leaving = asyncio.create_task(bench.run(bench.adding("left", wait)))
    staying = asyncio.create_task(bench.run(bench.adding("stayed")))
    await reached.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    let_go.set()
    assert await staying == "stayed"
    assert await bench.run(bench.adding("next")) == "next"
    assert await bench.names() >= {"stayed", "next"}
    await _check_nothing_is_open(bench)


async def _check_nothing_is_open(bench: Bench) -> None:
    """Fail if a transaction of the group is still open."""
    if bench.is_sqlite:
        with closing(sqlite3.connect(str(bench.url.database), timeout=0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
        return
    async with bench.engine.connect() as connection:
        states = await connection.scalars(
            text(
                "SELECT state FROM pg_stat_activity WHERE pid != pg_backend_pid()"
                " AND datname = current_database()"
            )
        )
        assert not [state for state in states if state and "transaction" in state]


async def test_nobody_is_answered_or_called_before_the_commit(bench: Bench) -> None:
    """A commit that fails at first is tried again; until it is done nobody has heard a word."""
    heard: list[str] = []
    tries = 0

    def fail_twice(_connection: object) -> None:
        nonlocal tries
        tries += 1
        assert heard == []
        if tries < 3:
            raise ConnectionResetError("the server went away")

    def listen(name: str) -> UseCase:
        async def use_case(tx: Transaction) -> str:
            await tx.execute(_ADD, {"name": name})
            tx.after_commit(lambda: heard.append(f"called of {name}"))
            return name

        return use_case

    async def caller(name: str) -> None:
        heard.append(f"answered {await bench.run(listen(name))}")
        assert name in await bench.names()

    event.listen(bench.engine.sync_engine, "commit", fail_twice)
    await asyncio.gather(caller("one"), caller("two"))
    assert tries == 3
    assert sorted(heard) == ["answered one", "answered two", "called of one", "called of two"]
    assert heard.index("called of one") < heard.index("answered one")


async def test_nothing_is_called_for_a_use_case_that_failed(bench: Bench) -> None:
    called: list[str] = []

    async def call_then_refuse(tx: Transaction) -> str:
        tx.after_commit(lambda: called.append("failed"))
        raise ConflictError("not like this")

    async def call(tx: Transaction) -> str:
        tx.after_commit(lambda: called.append("done"))
        return "done"

    await bench.run_together(call_then_refuse, call)
    with pytest.raises(ConflictError):
        await bench.run(call_then_refuse)
    assert called == ["done"]


async def test_a_call_after_the_commit_that_fails_harms_nobody(bench: Bench) -> None:
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))

    def fail() -> None:
        raise LookupError("nobody is there")

    async def call_nonsense(tx: Transaction) -> str:
        tx.after_commit(fail)
        return "done"

    try:
        answers = await bench.run_together(call_nonsense, bench.adding("neighbour"))
        assert answers == ["done", "neighbour"]
        assert await bench.run(bench.adding("next")) == "next"
    finally:
        loop.set_exception_handler(None)
    assert [type(item["exception"]) for item in complaints] == [LookupError]


@pytest.mark.parametrize("killer", [0, 1, 2, None], ids=["first", "middle", "last", "alone"])
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.postgres
async def test_a_connection_cut_in_the_middle_costs_and_doubles_nothing(
    bench: Bench, killer: int | None
) -> None:
    names = ["one", "two", "three"] if killer is not None else ["one"]
    cut_off: list[int] = []

    async def cut(tx: Transaction) -> str:
        if not cut_off:
            cut_off.append((await tx.execute(text("SELECT pg_backend_pid()"))).scalar_one())
            await _terminate(bench.url, cut_off[0])
        return "cut"

    use_cases = [
        bench.adding(name, cut if number == (killer or 0) else None)
        for number, name in enumerate(names)
    ]
    expected = ["cut" if number == (killer or 0) else name for number, name in enumerate(names)]
    assert await bench.run_together(*use_cases) == expected
    assert await bench.names() == set(names)
    assert bench.runs.count(names[killer or 0]) == 2


async def _terminate(url: URL, pid: int) -> None:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        await connection.execute(f"SELECT pg_terminate_backend({pid:d})")
    finally:
        await connection.close()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.postgres
async def test_of_two_groups_that_block_one_another_both_get_done(bench: Bench) -> None:
    other = CommitGroup(bench.engine, writers=1)
    other.start()
    both_hold_one = asyncio.Barrier(2)
    runs: list[str] = []

    def touching(first: str, second: str) -> UseCase:
        async def use_case(tx: Transaction) -> str:
            lock = text("SELECT id FROM projects WHERE id = :id FOR UPDATE")
            await tx.execute(lock, {"id": first})
            if first not in runs:
                runs.append(first)
                await both_hold_one.wait()
            await tx.execute(lock, {"id": second})
            return first

        return use_case

    try:
        await bench.run_together(bench.adding("a"), bench.adding("b"))
        answers = await asyncio.gather(
            bench.run(touching("a", "b")),
            bench.run(bench.adding("neighbour of a")),
            other.run(touching("b", "a"), patience_seconds=_PATIENCE),
            other.run(bench.adding("neighbour of b"), patience_seconds=_PATIENCE),
        )
    finally:
        await other.stop()
    assert list(answers) == ["a", "neighbour of a", "b", "neighbour of b"]
    assert await bench.names() == {"a", "b", "neighbour of a", "neighbour of b"}


def _fail_to_connect(bench: Bench, times: float) -> None:
    """Let the next *times* connections be refused; there must be none yet."""
    left = times

    def refuse(*_arguments: object) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise ConnectionRefusedError("nobody listens")

    event.listen(bench.engine.sync_engine, "do_connect", refuse)


async def test_a_database_that_comes_back_in_time_is_waited_for(bench: Bench) -> None:
    _fail_to_connect(bench, times=2)
    assert await bench.run_together(bench.adding("one"), bench.adding("two")) == ["one", "two"]
    assert await bench.names() == {"one", "two"}


async def test_a_database_away_for_longer_than_the_callers_patience_is_told(bench: Bench) -> None:
    _fail_to_connect(bench, times=float("inf"))
    with pytest.raises(UnavailableError):
        await bench.run(bench.adding("one"), patience_seconds=0.1)
    assert bench.runs == []


async def test_a_patient_caller_is_served_after_an_impatient_one_has_gone(bench: Bench) -> None:
    _fail_to_connect(bench, times=3)
    patient = asyncio.create_task(bench.run(bench.adding("patient")))
    with pytest.raises(UnavailableError):
        await bench.run(bench.adding("impatient"), patience_seconds=0)
    assert await patient == "patient"
    assert await bench.names() == {"patient"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_lock_held_by_another_program_is_waited_for(bench: Bench) -> None:
    event.listen(
        bench.engine.sync_engine,
        "connect",
        lambda connection, _record: connection.cursor().execute("PRAGMA busy_timeout=10"),
    )
    with closing(sqlite3.connect(str(bench.url.database))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError):
            await bench.run(bench.adding("impatient"), patience_seconds=0)
        waiting = asyncio.create_task(bench.run(bench.adding("patient")))
        with pytest.raises(UnavailableError):
            await bench.run(bench.adding("impatient"), patience_seconds=0)
        other.rollback()
        assert await waiting == "patient"
    assert await bench.names() == {"patient"}


async def test_stopping_finishes_what_waits_and_takes_no_more(bench: Bench) -> None:
    names = [f"project {number}" for number in range(MAX_SHARED + 10)]
    tasks = [asyncio.create_task(bench.run(bench.adding(name))) for name in names]
    await asyncio.sleep(0)
    await bench.group.stop()
    assert [task.result() for task in tasks] == names
    with pytest.raises(UnavailableError):
        await bench.run(bench.adding("late"))
    assert await bench.names() == set(names)


async def test_stopping_does_not_wait_for_a_database_that_is_away(bench: Bench) -> None:
    _fail_to_connect(bench, times=float("inf"))
    started = time.monotonic()
    task = asyncio.create_task(bench.run(bench.adding("one"), patience_seconds=60))
    await asyncio.sleep(0)
    await bench.group.stop()
    with pytest.raises(UnavailableError):
        await task
    assert time.monotonic() - started < 5


@pytest.fixture
async def quiet_hub(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Hub]:
    """A hub that does nothing by itself."""
    options = HubOptions(database_url, tmp_path, [SecretBox.generate_key()], migrate=False)
    hub = Hub(options, clock)
    await hub.database.start(migrate=False)
    yield hub
    await hub.database.stop()


@contextmanager
def _losing_an_answer(hub: Hub, *, after: int = 0) -> Iterator[None]:
    """Let the next commit, or one *after* some others, be done and the connection then be lost
    before anyone is told. What the hub knows of open work is read anew before it is tried again."""
    engine = hub.database._writer.sync_engine
    commits: list[bool] = []
    tasks: list[asyncio.Task[object]] = []

    def lose(connection: Connection) -> None:
        commits.append(True)
        if len(commits) == after + 1:
            connection.exec_driver_sql("COMMIT")
            tasks.append(asyncio.get_running_loop().create_task(hub.hints.refresh()))
            raise ConnectionResetError("the server went away")

    event.listen(engine, "commit", lose)
    yield
    event.remove(engine, "commit", lose)
    assert [task.done() for task in tasks] == [True]


async def test_a_commit_whose_answer_is_lost_shows_the_first_key_all_the_same(
    quiet_hub: Hub,
) -> None:
    """It is shown this once: a hub that kept it for itself would have no key that anyone knows."""
    with _losing_an_answer(quiet_hub, after=1):  # the first makes sure of the project
        made = await quiet_hub.access.ensure_first_key()
    assert made is not None
    admin = await quiet_hub.access.authenticate(made.secret)
    assert admin.key_id == made.key.id
    keys = await quiet_hub.access.list_keys(admin, before="~", limit=10)
    assert [key.id for key in keys] == [made.key.id]
    assert await quiet_hub.access.ensure_first_key() is None


async def test_a_commit_whose_answer_is_lost_makes_one_key_and_one_project(quiet_hub: Hub) -> None:
    project = await quiet_hub.access.ensure_default_project()
    with _losing_an_answer(quiet_hub):
        made = await quiet_hub.access.create_key(
            name="key", scopes=frozenset({Scope.ADMIN}), project=project.id
        )
    with _losing_an_answer(quiet_hub):
        other = await quiet_hub.access.create_project("other", None)
    admin = await quiet_hub.access.authenticate(made.secret)
    keys = await quiet_hub.access.list_keys(admin, before="~", limit=10)
    projects_now = await quiet_hub.access.list_projects(before="~", limit=10)
    assert [key.id for key in keys] == [made.key.id]
    assert {item.id for item in projects_now} == {project.id, other.id}
    with pytest.raises(ConflictError):
        await quiet_hub.access.create_project("other", None)


async def test_a_commit_whose_answer_is_lost_makes_one_device_with_working_credentials(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    project = await quiet_hub.access.ensure_default_project()
    with _losing_an_answer(quiet_hub):
        view, first = await quiet_hub.devices.create(
            project.id, DeviceDraft("phone", Protocol.MEDIC)
        )
    with _losing_an_answer(quiet_hub):
        second = await quiet_hub.devices.renew_credentials(
            project.id, view.device.id, password=None, grace_seconds=60
        )
    assert await _opens(quiet_hub, first) == [view.device.id]
    assert await _opens(quiet_hub, second) == [view.device.id]
    clock.advance(seconds=61)
    assert await _opens(quiet_hub, first) == []
    assert await _opens(quiet_hub, second) == [view.device.id]


async def _opens(hub: Hub, issued: IssuedCredentials) -> list[str]:
    names, passwords = (issued.username or "",), (issued.password.encode(),)
    found = await hub.identity.find_by_password(names, passwords, None)
    return [found.id] if found else []


async def test_a_commit_whose_answer_is_lost_has_each_effect_of_an_exchange_once(
    quiet_hub: Hub,
) -> None:
    project = await quiet_hub.access.ensure_default_project()
    draft = DeviceDraft("phone", Protocol.ENVAYA, phone_number="+255710000001")
    view, _ = await quiet_hub.devices.create(project.id, draft)
    with _losing_an_answer(quiet_hub):
        message = await quiet_hub.outbox.submit(project.id, MessageDraft("+255710000002", "hi"))
    forwarded = ForwardedMessage(MessageType.SMS, "+255710000003", "hello", "key")
    report = PhoneReport(message.id, Status.FAILED, "failed", "no service", gives_up=False)
    with _losing_an_answer(quiet_hub):
        answer = await quiet_hub.phones.exchange(
            view.device, PhonePost(messages=(forwarded,), request_key="a"), patience_seconds=5
        )
    with _losing_an_answer(quiet_hub):
        await quiet_hub.phones.exchange(
            view.device, PhonePost(reports=(report,), request_key="b"), patience_seconds=5
        )
    assert [offer.wire_id for offer in answer.offers] == [message.id]
    assert not answer.repeated
    stored = await quiet_hub.outbox.list_messages(project.id, MessageFilter(), before="~", limit=10)
    assert len(stored) == 2
    details = await quiet_hub.outbox.get(project.id, message.id)
    assert details.message.status is Status.ACCEPTED
    assert [(item.offers, item.soft_failures) for item in details.attempts] == [(1, 1)]
    assert [item.applied for item in details.reports] == [True]


@pytest.mark.parametrize(
    "post",
    [
        pytest.param(PhonePost(), id="poll"),
        pytest.param(PhonePost(request_key="a"), id="signed poll"),
        pytest.param(
            PhonePost(messages=(ForwardedMessage(MessageType.SMS, "+255710000003", "hi", "key"),)),
            id="forwarded message",
        ),
    ],
)
async def test_a_commit_whose_answer_is_lost_leaves_nothing_out_of_the_answer(
    quiet_hub: Hub, clock: FakeClock, post: PhonePost
) -> None:
    """Else a phone would hear of what is in its hands when the lease ends, and not before."""
    project = await quiet_hub.access.ensure_default_project()
    view, _ = await quiet_hub.devices.create(project.id, DeviceDraft("phone", Protocol.MEDIC))
    fresh, held = [
        await quiet_hub.outbox.submit(project.id, MessageDraft("+255710000002", text))
        for text in ("fresh", "held")
    ]
    with _losing_an_answer(quiet_hub):
        answer = await quiet_hub.phones.exchange(view.device, post, patience_seconds=5)
    assert [offer.wire_id for offer in answer.offers] == [fresh.id, held.id]
    clock.advance(minutes=5)
    key = post.request_key and "b"
    with _losing_an_answer(quiet_hub):
        answer = await quiet_hub.phones.collect(view.device, key, patience_seconds=5)
    assert [offer.wire_id for offer in answer.offers] == [fresh.id, held.id]
    for message in (fresh, held):
        (attempt,) = (await quiet_hub.outbox.get(project.id, message.id)).attempts
        assert attempt.offers == 2


async def test_a_commit_whose_answer_is_lost_sends_again_once(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    project = await quiet_hub.access.ensure_default_project()
    message = await quiet_hub.outbox.submit(project.id, MessageDraft("+255710000002", "hi"))
    await quiet_hub.outbox.cancel(project.id, message.id)
    clock.advance(seconds=1)
    with _losing_an_answer(quiet_hub):
        resent = await quiet_hub.outbox.resend(project.id, message.id)
    assert resent.message.status is Status.QUEUED
    with pytest.raises(ConflictError):
        await quiet_hub.outbox.resend(project.id, message.id)


async def test_a_commit_whose_answer_is_lost_cancels_once(quiet_hub: Hub) -> None:
    project = await quiet_hub.access.ensure_default_project()
    message = await quiet_hub.outbox.submit(project.id, MessageDraft("+255710000002", "hi"))
    with _losing_an_answer(quiet_hub):
        cancelled = await quiet_hub.outbox.cancel(project.id, message.id)
    assert cancelled.message.status is Status.CANCELLED


async def test_a_commit_whose_answer_is_lost_keeps_the_answer_to_a_key(quiet_hub: Hub) -> None:
    project = await quiet_hub.access.ensure_default_project()
    told: list[str] = []

    async def tell(results: list[Message | HubError]) -> str:
        told.append(repr(results))
        return told[-1]

    keys, draft = quiet_hub.idempotency, MessageDraft("+255710000002", "hi")
    with keys.hold("caller", "route", "key", b"digest") as claim:
        once = Once(claim, tell, keys)
        with _losing_an_answer(quiet_hub), pytest.raises(AnsweredBeforeError) as raised:
            await quiet_hub.outbox.submit(project.id, draft, once)
    assert (raised.value.answer, raised.value.repeated) == (told[0], False)
    stored = await quiet_hub.outbox.list_messages(project.id, MessageFilter(), before="~", limit=10)
    assert [item.message.id in told[0] for item in stored] == [True]


async def test_a_commit_whose_answer_is_lost_was_no_change_by_somebody_else(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    project = await quiet_hub.access.ensure_default_project()
    view, _ = await quiet_hub.devices.create(project.id, DeviceDraft("phone", Protocol.MEDIC))
    expected = {revision_of(view.device)}
    clock.advance(seconds=1)
    ids = (project.id, view.device.id)
    with _losing_an_answer(quiet_hub):
        changed = await quiet_hub.devices.change(*ids, {"name": "new"}, expected)
    assert changed.device.name == "new"
    with pytest.raises(PreconditionFailedError):
        await quiet_hub.devices.change(*ids, {"name": "newer"}, expected)
    with _losing_an_answer(quiet_hub):
        await quiet_hub.devices.delete(*ids, {revision_of(changed.device)})
