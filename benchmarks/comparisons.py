"""Simpler programs to measure the hub beside: ``python -m benchmarks.comparisons NAME``.

Each is served as the hub is, and takes the same requests.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import typer
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.plain_way import PlainExchange, Sessions, open_sessions, store_message
from gateway_hub.adapters.envaya.render import render_answer as render_envaya
from gateway_hub.adapters.envaya.routes import (
    EnvayaEndpoint,
    EnvayaOptions,
    _Form,
    _signature_of,
    _success,
)
from gateway_hub.adapters.medic.routes import MedicEndpoint, _json
from gateway_hub.adapters.medic.wire import render_answer as render_medic
from gateway_hub.adapters.phone_requests import phone_routes
from gateway_hub.cli.addresses import listen, make_url
from gateway_hub.cli.server import (
    HubServer,
    configure,
    make_config,
    new_runner,
    ready_text,
    settle_garbage_collector,
)
from gateway_hub.cli.startup import OwnHub, make_hub, started
from gateway_hub.domain.clock import system_clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.errors import NotFoundError
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.messages import Message, MessageDraft
from gateway_hub.ops.requests import RequestContext
from gateway_hub.services.drafts import compose
from gateway_hub.services.hub import Hub
from gateway_hub.services.outbox import Outbox
from gateway_hub.settings import Settings, load_settings
from gateway_hub.storage.messages import NewMessage


def constant(_own: OwnHub) -> ASGIApp:
    """FastAPI that answers a constant, whatever it is sent."""
    app = FastAPI(openapi_url=None)

    async def answer() -> dict[str, list[str]]:
        return {"messages": []}

    for path in ("/medic", "/envaya", "/v1/messages"):
        app.post(path)(answer)
    return app


def no_storage(own: OwnHub) -> ASGIApp:
    """The hub, but a message submitted is checked, made and answered, and not stored."""
    own.hub.outbox = _OutboxAside(own.hub, sessions=None)
    return own.app


def plain(own: OwnHub) -> ASGIApp:
    """The hub, but everything taken in is stored the plain way."""
    hub, sessions = own.hub, open_sessions(own.hub.database)
    hub.outbox = _OutboxAside(hub, sessions)
    hub.phones = PlainExchange(
        hub.database,
        hub.states,
        hub.directory,
        hints=hub.hints,
        wakeups=hub.wakeups,
        clock=system_clock,
    )
    hub.phones.sessions, hub.phones.directory = sessions, hub.directory
    return own.app


def authenticate_only(own: OwnHub) -> ASGIApp:
    """The phones' side of the hub, which has nothing for a phone as soon as it knows the phone."""
    refuse = Response(status_code=404)
    phones = RequestContext(
        Router(
            [
                *phone_routes("medic", (), _MedicDoor(own.hub), refuse),
                *phone_routes("envaya", (), _EnvayaDoor(own.hub, EnvayaOptions()), refuse),
            ]
        )
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (own.app if scope["type"] == "lifespan" else phones)(scope, receive, send)

    return app


class _OutboxAside(Outbox):
    """Checks and makes messages as the hub does; stores them the plain way, or not at all."""

    def __init__(self, hub: Hub, sessions: Sessions | None) -> None:
        super().__init__(
            hub.database, hub.directory, hub.states, wakeups=hub.wakeups, clock=system_clock
        )
        self._hub = hub
        self._sessions = sessions

    async def submit(
        self,
        project_id: str,
        draft: MessageDraft,
        once: object = None,  # noqa: ARG002
        *,
        tag: str | None = None,  # noqa: ARG002
    ) -> Message:
        """Return *draft* as a message."""
        project = await self._hub.directory.find_project(project_id)
        if project is None:
            raise NotFoundError("There is no such project.")
        message = compose(new_id(), draft, project, {}, now=system_clock())
        if self._sessions is not None:
            await store_message(self._sessions, NewMessage(message))
        return message


class _MedicDoor(MedicEndpoint):
    __module__ = MedicEndpoint.__module__  # by which a phone's routine is not logged

    async def _exchange(self, request: Request, device: Device) -> Response:  # noqa: ARG002
        return _json(200, render_medic(()))


class _EnvayaDoor(EnvayaEndpoint):
    __module__ = EnvayaEndpoint.__module__

    async def _answer(self, request: Request, form: _Form, version: int | None) -> Response:
        signer = await self._find_signer(request, form, _signature_of(request))
        if signer is None:
            return Response(status_code=403)
        return _success(render_envaya((), version))


PROGRAMS: dict[str, Callable[[OwnHub], ASGIApp]] = {
    "constant": constant,
    "no_storage": no_storage,
    "plain": plain,
    "authenticate_only": authenticate_only,
}


async def _serve(settings: Settings, change: Callable[[OwnHub], ASGIApp]) -> None:
    own = await make_hub(settings)
    own = replace(own, app=change(own))
    with closing(listen(settings.host, settings.port)) as listener:

        async def announce() -> None:
            typer.echo(ready_text(settings, make_url(settings.host, listener.getsockname()[1])))
            settle_garbage_collector()

        server = HubServer(make_config(own), own.hub, announce)
        with server.capture_signals():
            async with started(own):
                await server.serve(sockets=[listener])


def main() -> None:
    """Serve the program that is named."""
    settings = load_settings()
    configure(settings)
    with new_runner() as runner:
        runner.run(_serve(settings, PROGRAMS[sys.argv[1]]))


if __name__ == "__main__":
    main()
