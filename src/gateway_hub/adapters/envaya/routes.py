"""EnvayaSMS's single endpoint: signed form posts in, XML or JSON out by app version."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway_hub.adapters.envaya.forwarded import find_forwarded, is_trusted
from gateway_hub.adapters.envaya.render import Rendered, may_hold, render_answer, render_error
from gateway_hub.adapters.envaya.signature import (
    SeenRequest,
    candidate_urls,
    find_matching_url,
    general_urls,
)
from gateway_hub.adapters.envaya.translate import stored_part, translate_post
from gateway_hub.adapters.envaya.wire import (
    MAX_FIELDS,
    MAX_FILES,
    MAX_FORM_BYTES,
    MAX_LOG_BYTES,
    MAX_MULTIPART_BYTES,
    FilePart,
    WireError,
    WirePost,
    detect_version,
    find_field,
    parse_post,
    parse_urlencoded,
)
from gateway_hub.adapters.phone_requests import (
    BodyTooLargeError,
    find_header,
    media_type,
    phone_routes,
    read_body,
    read_stream,
)
from gateway_hub.domain.devices import Device
from gateway_hub.domain.errors import UnavailableError
from gateway_hub.domain.networks import Network
from gateway_hub.domain.phone_posts import PhoneAnswer, PhonePost, StoredPart
from gateway_hub.services.hub import Hub
from gateway_hub.services.phone_identity import SigningDevice

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 40.0
"""The app waits 60 s for an answer, and loses a status report for good at a refusal."""

_MOST_REMEMBERED = 100_000
_THREAD_FROM_CHARACTERS = 100_000
"""Signatures over more than this are computed beside the loop: a log may have megabytes."""


@dataclass(frozen=True, slots=True)
class EnvayaOptions:
    """What the operator set for this protocol; see the settings of the same names."""

    paths: Sequence[str] = ()
    public_urls: Sequence[str] = ()
    trusted_proxies: Sequence[Network] = ()
    long_poll_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Form:
    """A form as received: its fields in order, and its files by part name."""

    pairs: list[tuple[str, str]]
    files: list[UploadFile] = field(default_factory=list)
    file_parts: list[FilePart] = field(default_factory=list)


def create_envaya_routes(hub: Hub, options: EnvayaOptions) -> list[Route]:
    """Return the routes of the envaya protocol."""
    return phone_routes(
        "envaya",
        options.paths,
        EnvayaEndpoint(hub, options),
        _error(404, "There is nothing at this address.", None),
    )


class EnvayaEndpoint:
    """An ASGI application for one path. Success is exactly 200; errors show in the app's log."""

    def __init__(self, hub: Hub, options: EnvayaOptions) -> None:
        self._hub = hub
        self._options = options
        self._signed_over: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        version: int | None = None
        try:
            if request.method != "POST":
                return _error(405, "This address takes POST.", None, {"Allow": "POST"})
            form = await _read_form(request)
            version = detect_version(form.pairs)
            try:
                return await self._answer(request, form, version)
            finally:
                for file in form.files:
                    await file.close()
        except WireError as error:
            return _error(error.http_status, error.detail, version)
        except BodyTooLargeError:
            return _error(413, "The request is too large.", version)
        except UnavailableError as error:
            retry = {"Retry-After": str(error.retry_after_seconds)}
            return _error(503, error.detail, version, retry)
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("envaya_request_failed")
            return _error(500, "The hub failed; the phone will try again.", version)

    async def _answer(self, request: Request, form: _Form, version: int | None) -> Response:
        signature = _signature_of(request)
        device = await self._find_signer(request, form, signature)
        if device is None:
            urls = " ".join(general_urls(self._options.public_urls, self._seen_request(request)))
            return _error(
                403,
                "The signature is wrong: check phone number, password and server URL in the app. "
                f"It was computed for: {urls}",
                version,
            )
        wire = parse_post(form.pairs, form.file_parts)
        parts = await self._store_parts(wire, form)
        post = translate_post(
            wire,
            parts=parts,
            user_agent=find_header(request, b"user-agent"),
            signature=signature,
            device_id=device.id,
        )
        answer = await self._exchange(request, device, post, wire)
        if answer.repeated:
            await self._hub.attachments.discard(parts)
        return _success(render_answer(answer.offers, version, answer.cancels))

    async def _find_signer(self, request: Request, form: _Form, signature: str) -> Device | None:
        """Return the device whose password signed the form."""
        number = find_field(form.pairs, "phone_number") or ""
        project = request.path_params.get("project")
        identity = self._hub.identity
        known = await identity.find_signing_devices(number, project) if number else []
        device = await self._find_among(known, form, signature, request)
        if device is None and number and identity.may_be_outdated:
            known = await identity.find_signing_devices(number, project, fresh=True)
            device = await self._find_among(known, form, signature, request)
        return device

    async def _find_among(
        self, known: list[SigningDevice], form: _Form, signature: str, request: Request
    ) -> Device | None:
        """Return which of *known* signed the form; that there is none takes as long to say.

        First over the URL typed into each: two phones with one number and password are told
        apart by it, and mostly it, or the one a lone phone signed before, is right.
        """
        typed = [(item, self._likely_urls(item.device, alone=len(known) == 1)) for item in known]
        signer = await self._try(typed, form, signature)
        if signer is not None:
            return signer
        seen = self._seen_request(request)
        public_urls = self._options.public_urls
        if not known:
            urls = general_urls(public_urls, seen)
            await _find_url(signature, urls, form.pairs, secrets.token_hex(8))
            return None
        possible = [
            (item, candidate_urls(item.device.server_url, public_urls, seen)) for item in known
        ]
        return await self._try(possible, form, signature)

    async def _try(
        self,
        possible: Sequence[tuple[SigningDevice, Sequence[str]]],
        form: _Form,
        signature: str,
    ) -> Device | None:
        for item, urls in possible:
            for password in item.passwords:
                url = await _find_url(signature, urls, form.pairs, password)
                if url is not None:
                    self._remember_url(item.device, url)
                    return item.device
        return None

    def _likely_urls(self, device: Device, *, alone: bool) -> tuple[str, ...]:
        before = self._signed_over.get(device.id) if alone else None
        return tuple(url for url in (before, device.server_url) if url)

    def _remember_url(self, device: Device, url: str) -> None:
        if len(self._signed_over) >= _MOST_REMEMBERED:
            self._signed_over.clear()
        self._signed_over[device.id] = url

    def _seen_request(self, request: Request) -> SeenRequest:
        host = request.headers.get("host", "")
        scheme: str = request.scope["scheme"]
        peer = request.client.host if request.client else None
        trusted = is_trusted(peer, self._options.trusted_proxies)
        return SeenRequest(
            scheme=scheme,
            host=host,
            path=request.scope["raw_path"].decode("latin-1"),
            query=request.scope["query_string"].decode("latin-1"),
            forwarded=find_forwarded(request.headers, scheme, host) if trusted else None,
        )

    async def _store_parts(self, wire: WirePost, form: _Form) -> tuple[StoredPart, ...]:
        """Write the MMS parts, in the order the phone lists them, before anything names them."""
        by_name = {part.name: file for part, file in zip(form.file_parts, form.files, strict=True)}
        stored: list[StoredPart] = []
        for part in wire.mms_parts or ():
            blob = await self._hub.attachments.store(by_name[part.name].file)
            stored.append(
                stored_part(
                    part, size_bytes=blob.size_bytes, sha256=blob.sha256, storage_key=blob.key
                )
            )
        return tuple(stored)

    async def _exchange(
        self, request: Request, device: Device, post: PhonePost, wire: WirePost
    ) -> PhoneAnswer:
        phones = self._hub.phones
        answer = await phones.exchange(device, post, patience_seconds=_PATIENCE_SECONDS)
        seconds = self._options.long_poll_seconds
        if (
            answer.offers
            or answer.cancels
            or not answer.may_wait
            or seconds <= 0
            or not may_hold(wire.action, wire.version)
        ):
            return answer
        if not await self._wait_for_work(request, device, seconds):
            return answer
        return await phones.collect(device, post.request_key, patience_seconds=_PATIENCE_SECONDS)

    async def _wait_for_work(self, request: Request, device: Device, seconds: float) -> bool:
        """Hold the poll; say whether there is work now.

        A phone that hangs up meanwhile is given nothing: ClientDisconnect.
        """
        hung_up = asyncio.ensure_future(_until_disconnected(request))
        try:
            work = await self._hub.phones.wait_for_work(device, seconds=seconds, hung_up=hung_up)
            if hung_up.done():
                raise ClientDisconnect
            return work
        finally:
            hung_up.cancel()


async def _until_disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read_form(request: Request) -> _Form:
    kind = media_type(request)
    if kind == "application/x-www-form-urlencoded":
        return _Form(parse_urlencoded(await read_body(request, MAX_FORM_BYTES)))
    if kind == "multipart/form-data":
        return await _read_multipart(request)
    raise WireError("The Content-Type must be that of a form.", 415)


async def _read_multipart(request: Request) -> _Form:
    parser = MultiPartParser(
        request.headers,
        read_stream(request, MAX_MULTIPART_BYTES),
        max_files=MAX_FILES,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_LOG_BYTES,
    )
    try:
        data = await parser.parse()
    except MultiPartException:
        raise WireError("The multipart form cannot be read.") from None
    form = _Form([])
    for name, value in data.multi_items():
        if isinstance(value, UploadFile):
            form.files.append(value)
            form.file_parts.append(FilePart(name, value.filename, value.content_type))
        else:
            form.pairs.append((name, value))
    return form


async def _find_url(
    signature: str, urls: Sequence[str], pairs: list[tuple[str, str]], password: str
) -> str | None:
    if sum(len(value) for _, value in pairs) > _THREAD_FROM_CHARACTERS:
        return await asyncio.to_thread(find_matching_url, signature, urls, pairs, password)
    return find_matching_url(signature, urls, pairs, password)


def _signature_of(request: Request) -> str:
    """Return the signature header; the app was called KalSMS up to 2.0-beta."""
    given = find_header(request, b"x-request-signature")
    return given or find_header(request, b"x-kalsms-signature") or ""


def _success(rendered: Rendered) -> Response:
    return _response(200, rendered)


def _error(
    status: int, message: str, version: int | None, headers: dict[str, str] | None = None
) -> Response:
    return _response(status, render_error(message, version), headers)


def _response(status: int, rendered: Rendered, headers: dict[str, str] | None = None) -> Response:
    typed = {"Content-Type": rendered.content_type, **(headers or {})}
    return Response(rendered.body, status, typed)
