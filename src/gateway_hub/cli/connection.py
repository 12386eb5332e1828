"""The REST API as commands use it: over HTTP, or straight into a hub in this process."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from gateway_hub.cli.addresses import make_url
from gateway_hub.cli.failures import CommandError, DatabaseBusyError, ExitCode
from gateway_hub.ops.escaping import escape_controls
from gateway_hub.ops.logging import configure_logging
from gateway_hub.settings import Settings

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_PAGE = 200
_RACES_LOST = 5
_SERVER_ERRORS_FROM = 500


class Api:
    """One hub's REST API; whatever it refuses is raised as CommandError."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def get(self, *path: str, **params: object) -> Any:
        """Return what is there; *params* that are None are left out."""
        return self._request("GET", path, params=_given(params))

    def post(
        self, *path: str, body: Mapping[str, object], headers: dict[str, str] | None = None
    ) -> Any:
        """Send *body*, without the fields that are None, and return the answer."""
        return self._request("POST", path, json=_given(body), headers=headers)

    def delete(self, *path: str) -> None:
        """Remove what is there."""
        self._request("DELETE", path)

    def list_all(self, *path: str, limit: int, **filters: object) -> dict[str, Any]:
        """Return up to *limit* things as one page, however many the hub makes of it."""
        data: list[Any] = []
        cursor: str | None = None
        while len(data) < limit:
            size = min(_PAGE, limit - len(data))
            page = self.get(*path, limit=size, cursor=cursor, **filters)
            data += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return {"data": data, "next_cursor": cursor}

    def _request(self, method: str, path: tuple[str, ...], **parts: Any) -> Any:
        address = "/v1/" + "/".join(quote(part, safe="") for part in path)
        try:
            response = self._runner.run(self._client.request(method, address, **parts))
        except httpx.RequestError as error:
            raise _unreachable(self._client.base_url, error) from error
        return _read(response)


@contextmanager
def open_api(settings: Settings, project: str | None) -> Iterator[Api]:
    """Yield the API of the hub *settings* name, acting in *project* if one is given.

    That is the hub at ``GATEWAY_HUB_URL``; else the one that runs on the same data folder; else one
    in this process, for the length of the block.
    """
    configure_logging("WARNING", settings.log_format)
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        client = runner.run(_enter(stack, settings))
        if project is not None:
            client.headers["Gateway-Hub-Project"] = project
        try:
            yield Api(runner, client)
        finally:
            runner.run(stack.aclose())


async def _enter(stack: AsyncExitStack, settings: Settings) -> httpx.AsyncClient:
    """Open the client; when another command was quicker to take the file, wait for it again."""
    for _ in range(_RACES_LOST - 1):
        try:
            return await stack.enter_async_context(_open_client(settings))
        except DatabaseBusyError:
            continue
    return await stack.enter_async_context(_open_client(settings))


@asynccontextmanager
async def _open_client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    if settings.url is not None:
        async with _client(settings.url, _given_key(settings), trust_env=True) as client:
            yield client
        return
    from gateway_hub.cli import local_hub

    running = await local_hub.find_running_hub(settings)
    if running is not None:
        async with _client(running.url, running.operator_token) as client:
            yield client
        return
    async with local_hub.own_transport(settings) as (transport, token):
        # What this hub tells of its own address is then where `serve` would listen.
        url = make_url(settings.host, settings.port)
        async with _client(url, token, transport=transport) as client:
            yield client


def _given_key(settings: Settings) -> str:
    if settings.api_key is None:
        raise CommandError(
            "GATEWAY_HUB_URL is set, so GATEWAY_HUB_API_KEY is needed too.", ExitCode.USAGE
        )
    return settings.api_key.get_secret_value()


def _client(
    url: str,
    key: str,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    trust_env: bool = False,
) -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT,
            trust_env=trust_env,
            transport=transport,
        )
    except (httpx.InvalidURL, ValueError) as error:
        raise CommandError(
            "GATEWAY_HUB_URL or GATEWAY_HUB_API_KEY is malformed.", ExitCode.USAGE
        ) from error


def _given(fields: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _unreachable(url: httpx.URL, error: Exception) -> CommandError:
    where = f"{url.scheme}://{url.host}" + (f":{url.port}" if url.port else "")
    reason = escape_controls(str(error)) or type(error).__name__
    return CommandError(f"the hub at {where} cannot be reached: {reason}", ExitCode.UNREACHABLE)


def _read(response: httpx.Response) -> Any:
    try:
        content = response.json() if response.content else None
    except ValueError:
        content = None
    if response.is_success and (
        content is not None or response.status_code == httpx.codes.NO_CONTENT
    ):
        return content
    if isinstance(content, dict) and "code" in content:
        raise _refused(response.status_code, content)
    raise CommandError(
        f"{response.url.host} answers HTTP {response.status_code}, but not as a gateway-hub does.",
        ExitCode.UNREACHABLE,
    )


def _refused(status: int, problem: dict[str, Any]) -> CommandError:
    """Return what RFC 9457's *problem* says, as one line."""
    detail = str(problem.get("detail") or problem.get("title"))
    fields = [
        str(item.get("pointer"))
        + (f": {item.get('detail')}" if item.get("detail") != detail else "")
        for item in problem.get("errors") or ()
    ]
    line = "; ".join([f"{detail} ({problem['code']}, HTTP {status})", *fields])
    ours = status >= _SERVER_ERRORS_FROM
    return CommandError(escape_controls(line), ExitCode.UNREACHABLE if ours else ExitCode.REFUSED)
