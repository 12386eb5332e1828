"""Projects and keys: who a caller is, and what they may not do."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway_hub.domain.access import Principal, Project, Scope
from gateway_hub.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from gateway_hub.domain.messages import IfUncertain
from gateway_hub.services.access import OPERATOR, NewApiKey
from gateway_hub.services.hub import Hub
from tests.conftest import FakeClock, MakeHub

READ, WRITE, KEYS, ADMIN = (
    Scope.MESSAGES_READ,
    Scope.MESSAGES_WRITE,
    Scope.KEYS_WRITE,
    Scope.ADMIN,
)


async def _key(hub: Hub, project: Project, *scopes: Scope) -> NewApiKey:
    return await hub.access.create_key(name="key", scopes=frozenset(scopes), project=project.id)


async def _principal(hub: Hub, project: Project, *scopes: Scope) -> Principal:
    return await hub.access.authenticate((await _key(hub, project, *scopes)).secret)


async def _refused(attempt: Awaitable[object], error: type[Exception]) -> None:
    with pytest.raises(error):
        await attempt


async def test_a_key_opens_its_project_with_its_scopes(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    made = await _key(hub, project, READ, WRITE)
    assert made.secret.startswith("ghk_")
    assert made.key.hint == made.secret[:8]
    principal = await hub.access.authenticate(made.secret)
    assert principal == Principal(made.key.id, project.id, frozenset({READ, WRITE}))
    assert principal.may(READ)
    assert not principal.may(KEYS)
    assert (await _principal(hub, project, ADMIN)).may(KEYS)
    assert not (await _principal(hub, project)).may(READ)


async def test_a_key_that_is_not_exactly_right_opens_nothing(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    secret = (await _key(hub, project, ADMIN)).secret
    answers = set()
    for wrong in ("", "ghk_", secret[:-1], secret + "x", secret.upper(), f" {secret}", "é\0\xff"):
        with pytest.raises(UnauthenticatedError) as raised:
            await hub.access.authenticate(wrong)
        answers.add((raised.value.code, raised.value.detail))
    assert len(answers) == 1


async def test_an_expired_or_revoked_key_opens_nothing(hub: Hub, clock: FakeClock) -> None:
    project = await hub.access.ensure_default_project()
    admin = await _principal(hub, project, ADMIN)
    expiring = await hub.access.create_key(
        name="key",
        scopes=frozenset({READ}),
        project="default",
        expires_at=clock.now + timedelta(hours=1),
    )
    lasting = await _key(hub, project, READ)
    clock.advance(hours=1, milliseconds=-1)
    assert (await hub.access.authenticate(expiring.secret)).key_id == expiring.key.id
    clock.advance(milliseconds=1)
    await _refused(hub.access.authenticate(expiring.secret), UnauthenticatedError)
    await hub.access.revoke_key(admin, lasting.key.id)
    await _refused(hub.access.authenticate(lasting.secret), UnauthenticatedError)
    revoked_at = (await hub.access.get_key(admin, lasting.key.id)).revoked_at
    clock.advance(hours=1)
    await hub.access.revoke_key(admin, lasting.key.id)
    assert (await hub.access.get_key(admin, lasting.key.id)).revoked_at == revoked_at


async def test_a_key_cannot_be_made_expired(hub: Hub, clock: FakeClock) -> None:
    with pytest.raises(InvalidInputError) as raised:
        await hub.access.create_key(
            name="key", scopes=frozenset(), project="default", expires_at=clock.now
        )
    assert raised.value.fields[0].pointer == "/expires_at"


async def test_the_operators_token_is_an_admin_key_of_the_default_project(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    operator = await hub.access.authenticate("operator-token-of-the-tests")
    assert operator == Principal(OPERATOR, project.id, frozenset({ADMIN}))
    for wrong in ("operator-token-of-the-test", "operator-token-of-the-tests ", "\xff" * 27):
        await _refused(hub.access.authenticate(wrong), UnauthenticatedError)


async def test_nobody_gives_away_more_than_they_have(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    other = await hub.access.create_project("other", None)
    by = await _principal(hub, project, KEYS, READ)
    made = await hub.access.create_key(
        name="less", scopes=frozenset({READ}), project=project.id, by=by
    )
    assert (await hub.access.authenticate(made.secret)).project_id == project.id
    for scopes in ({WRITE}, {ADMIN}, {READ, WRITE}, set(Scope)):
        attempt = hub.access.create_key(
            name="more", scopes=frozenset(scopes), project=project.id, by=by
        )
        await _refused(attempt, PermissionDeniedError)
    for elsewhere in (other.id, "other", "nowhere"):
        attempt = hub.access.create_key(
            name="elsewhere", scopes=frozenset({READ}), project=elsewhere, by=by
        )
        await _refused(attempt, NotFoundError)
    admin = await _principal(hub, project, ADMIN)
    made = await hub.access.create_key(
        name="any", scopes=frozenset(Scope), project="other", by=admin
    )
    assert made.key.project_id == other.id


async def test_only_an_admin_reaches_another_project(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    other = await hub.access.create_project("other", None)
    everything_else = await _principal(hub, project, *(set(Scope) - {ADMIN}))
    assert await hub.access.act_in(everything_else, "default") == everything_else
    for name in ("other", other.id, "nowhere"):
        await _refused(hub.access.act_in(everything_else, name), NotFoundError)
    admin = await _principal(hub, project, ADMIN)
    assert await hub.access.act_in(admin, "other") == replace(admin, project_id=other.id)
    await _refused(hub.access.act_in(admin, "nowhere"), NotFoundError)


async def test_keys_of_another_project_are_not_there(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    other = await hub.access.create_project("other", None)
    foreign = await _key(hub, other, READ)
    by = await _principal(hub, project, KEYS)
    await _refused(hub.access.get_key(by, foreign.key.id), NotFoundError)
    await _refused(hub.access.revoke_key(by, foreign.key.id), NotFoundError)
    assert (await hub.access.authenticate(foreign.secret)).project_id == other.id
    own = await hub.access.list_keys(by, before="~", limit=10)
    assert [key.id for key in own] == [by.key_id]
    admin = await _principal(hub, project, ADMIN)
    listed = await hub.access.list_keys(admin, before="~", limit=10)
    assert [key.id for key in listed] == [admin.key_id, by.key_id, foreign.key.id]
    assert await hub.access.get_key(admin, foreign.key.id) == foreign.key
    page = await hub.access.list_keys(admin, before=admin.key_id, limit=1)
    assert [key.id for key in page] == [by.key_id]


async def test_a_project_has_a_name_of_its_own(hub: Hub, clock: FakeClock) -> None:
    default = await hub.access.ensure_default_project()
    assert await hub.access.ensure_default_project() == default
    made = await hub.access.create_project("clinic", "TZ")
    assert await hub.access.get_project("clinic") == made
    assert await hub.access.get_project(made.id) == made
    for name in ("clinic", "default"):
        with pytest.raises(ConflictError) as raised:
            await hub.access.create_project(name, None)
        assert raised.value.code == "name_taken"
    await _refused(hub.access.get_project("nowhere"), NotFoundError)
    clock.advance(minutes=1)
    changed = await hub.access.change_project("clinic", {"region": "KE"})
    assert changed == replace(made, region="KE", updated_at=clock.now)
    assert await hub.access.get_project("clinic") == changed
    assert await hub.access.list_projects(before="~", limit=10) == [changed, default]
    assert await hub.access.list_projects(before=made.id, limit=10) == [default]


async def test_of_projects_with_one_name_made_at_once_one_is_made(hub: Hub) -> None:
    attempts = [hub.access.create_project("clinic", None) for _ in range(8)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(item).__name__ for item in results) == [*["ConflictError"] * 7, "Project"]


@pytest.mark.parametrize("region", ["", "tz", "XX", "TZA", "\0"])
async def test_a_region_is_a_country(hub: Hub, region: str) -> None:
    await _refused(hub.access.create_project("clinic", region), InvalidInputError)
    await _refused(hub.access.change_project("default", {"region": region}), InvalidInputError)


async def test_the_first_key_is_made_once(hub: Hub) -> None:
    made = await hub.access.ensure_first_key()
    assert made is not None
    assert (await hub.access.authenticate(made.secret)).may(ADMIN)
    assert await hub.access.ensure_first_key() is None
    admin = await hub.access.authenticate(made.secret)
    await hub.access.revoke_key(admin, made.key.id)
    assert await hub.access.ensure_first_key() is None


async def test_two_who_change_one_project_keep_what_the_other_changed(
    make_hub: MakeHub, database_url: str
) -> None:
    hub = await make_hub()
    other = hub if hub.database.is_sqlite else await make_hub(url=database_url)
    project = await hub.access.ensure_default_project()
    await other.access.get_project(project.id)
    await hub.access.change_project(project.id, {"region": "TZ"})
    changed = await other.access.change_project(project.id, {"if_uncertain": IfUncertain.RESEND})
    assert (changed.region, changed.if_uncertain) == ("TZ", IfUncertain.RESEND)
