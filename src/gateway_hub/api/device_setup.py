"""What a person types into the app on the phone, and the same as a QR code."""

import asyncio

import segno
from pydantic import BaseModel, Field
from segno import DataOverflowError

from gateway_hub.api.device_models import DeviceResponse
from gateway_hub.domain.devices import Device, Protocol
from gateway_hub.services.devices import IssuedCredentials

_WEAK = (
    "The password is weak: whoever records one request of the phone can guess it. "
    "Take at least 12 characters, or let the hub make one."
)


class CredentialsResponse(BaseModel):
    """What proves the phone: shown this once."""

    username: str | None = Field(description="Null for envaya: the phone number names the phone.")
    password: str


class SetupFieldResponse(BaseModel):
    """One field of the app's settings."""

    field: str
    value: str


class SetupResponse(BaseModel):
    """What to type into the app."""

    app: str
    server_url: str
    fields: list[SetupFieldResponse]


class IssuedCredentialsResponse(BaseModel):
    """New credentials, and how to bring them to the phone."""

    credentials: CredentialsResponse
    warnings: list[str]
    setup: SetupResponse
    pairing_qr: str | None = Field(
        description="The server URL as an inline SVG; null if it is too long for a QR code."
    )


class CreatedDeviceResponse(IssuedCredentialsResponse, DeviceResponse):
    """A device just registered."""


async def to_issued_response(
    device: Device, issued: IssuedCredentials, base_url: str
) -> IssuedCredentialsResponse:
    """Return how to set up the phone of *device*, which reaches the hub under *base_url*."""
    setup = describe_setup(device, issued, base_url)
    return IssuedCredentialsResponse(
        credentials=CredentialsResponse(username=issued.username, password=issued.password),
        warnings=[_WEAK] if issued.weak else [],
        setup=setup,
        pairing_qr=await asyncio.to_thread(_draw_qr, setup.server_url),
    )


def describe_setup(device: Device, issued: IssuedCredentials, base_url: str) -> SetupResponse:
    """Return what to type into which field; a URL the device has of its own goes before ours."""
    url = device.server_url or f"{base_url}/{device.protocol}"
    if device.protocol is Protocol.MEDIC:
        url = _with_credentials(url, issued)
        return _setup("CHT Gateway", url, {"Webapp URL": url})
    number = device.phone_number or ""
    typed = {"Server URL": url, "Your phone number": number, "Password": issued.password}
    return _setup("EnvayaSMS", url, typed)


def _setup(app: str, server_url: str, typed: dict[str, str]) -> SetupResponse:
    fields = [SetupFieldResponse(field=field, value=value) for field, value in typed.items()]
    return SetupResponse(app=app, server_url=server_url, fields=fields)


def _with_credentials(url: str, issued: IssuedCredentials) -> str:
    """Return *url* with user name and password as the CHT app wants them typed: as they are.

    The app percent-encodes the password itself and decodes nothing: typed as ``p%40ss`` it would
    arrive as ``p%2540ss``.
    """
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{issued.username}:{issued.password}@{rest}"


def _draw_qr(text: str) -> str | None:
    try:
        drawing: str = segno.make_qr(text).svg_inline(scale=4)
    except DataOverflowError:
        return None
    return drawing
