"""Devices as callers give them and as the API tells of them."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from gateway_hub.api.fields import LEFT_OUT, WHOLE, GivenFields, Name, Region, Tag
from gateway_hub.api.pages import PageResponse
from gateway_hub.api.times import Moment
from gateway_hub.domain.devices import Protocol, SendLimit
from gateway_hub.domain.phone_posts import QuarantineRecord
from gateway_hub.services.devices import DeviceDraft, DeviceView

_MOST_SECONDS = 31 * 24 * 3600


def _without_repeats(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


Tags = Annotated[list[Tag], Field(max_length=20), AfterValidator(_without_repeats)]
_UpToAMillion = Annotated[int, Field(strict=True, ge=1, le=1_000_000), WHOLE]
PhoneNumber = Annotated[str, StringConstraints(min_length=1, max_length=64)]
ServerUrl = Annotated[str, StringConstraints(pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s]{1,2000}$")]
# What the CHT app cannot hold in the user name of its URL.
Username = Annotated[str, StringConstraints(pattern=r"^[^\s:@/?#\x00-\x1f\x7f-\x9f]{1,100}$")]
Password = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]


class SendLimitFields(GivenFields):
    """The most a device may send: segments in any so many seconds."""

    segments: _UpToAMillion
    seconds: Annotated[int, Field(strict=True, ge=1, le=_MOST_SECONDS), WHOLE]
    recipients_per_month: _UpToAMillion | None = Field(
        None, description="How many distinct numbers the carrier lets it send to; null: any."
    )

    def to_limit(self) -> SendLimit:
        """Return the limit."""
        return SendLimit(self.segments, self.seconds, self.recipients_per_month)


class CredentialsRequest(GivenFields):
    """Those of a phone that is set up already; the hub takes them over."""

    username: Username | None = Field(None, description="Medic only; made by the hub if not given.")
    password: Password


class CreateDeviceRequest(GivenFields):
    """A phone to be registered."""

    name: Name
    protocol: Protocol
    phone_number: PhoneNumber | None = Field(
        None, description="Envaya: as typed into the app, it names the phone. Medic: optional."
    )
    tags: Tags = Field(default_factory=list)
    send_limit: SendLimitFields | None = Field(
        None, description="If not given: what the phone tells, or what its app is allowed to send."
    )
    server_url: ServerUrl | None = Field(
        None, description="The URL typed into the app, if it is not the hub's usual one."
    )
    region: Region | None = None
    credentials: CredentialsRequest | None = None

    def to_draft(self) -> DeviceDraft:
        """Return what is asked for, in the services' words."""
        return DeviceDraft(
            name=self.name,
            protocol=self.protocol,
            phone_number=self.phone_number,
            tags=tuple(self.tags),
            send_limit=self.send_limit.to_limit() if self.send_limit else None,
            server_url=self.server_url,
            region=self.region,
            username=self.credentials.username if self.credentials else None,
            password=self.credentials.password if self.credentials else None,
        )


class UpdateDeviceRequest(GivenFields):
    """What to change; a field left out stays, null takes its value away."""

    name: Name = LEFT_OUT
    phone_number: PhoneNumber | None = None
    tags: Tags = LEFT_OUT
    send_limit: SendLimitFields | None = None
    server_url: ServerUrl | None = None
    region: Region | None = None
    paused: Annotated[bool, Field(strict=True)] = LEFT_OUT

    def to_changes(self) -> dict[str, object]:
        """Return the fields that were given, in the services' words."""
        changes: dict[str, object] = {name: getattr(self, name) for name in self.model_fields_set}
        if self.send_limit is not None:
            changes["send_limit"] = self.send_limit.to_limit()
        if "tags" in changes:
            changes["tags"] = tuple(self.tags)
        return changes


class RenewCredentialsRequest(GivenFields):
    """How to replace the credentials."""

    grace_seconds: Annotated[int, Field(strict=True, ge=0, le=604_800), WHOLE] = Field(
        0, description="How long the old ones work beside the new."
    )
    password: Password | None = Field(None, description="Made by the hub if not given.")


class SendLimitResponse(BaseModel):
    """The limit in force."""

    segments: int
    seconds: int
    recipients_per_month: int | None


class DeviceResponse(BaseModel):
    """A phone, and what is known of it now; null: never told."""

    id: str
    name: str
    protocol: Protocol
    username: str | None
    phone_number: str | None
    tags: list[str]
    send_limit: SendLimitResponse
    server_url: str | None
    region: str | None
    paused: bool = Field(description="Whether it is given nothing new to send.")
    online: bool
    last_seen_at: Moment | None
    app_version: str | None
    model: str | None
    battery_percent: int | None
    power: str | None
    network: str | None
    settings_version: int | None
    clock_skew_ms: int | None = Field(description="The phone's clock minus ours.")
    last_status: str | None
    backlog: int = Field(description="Queued messages it could be given.")
    budget_left: int = Field(description="Segments it may be given now.")
    created_at: Moment
    updated_at: Moment


class DevicePageResponse(PageResponse[DeviceResponse]):
    """One page of devices."""


class QuarantinedItemResponse(BaseModel):
    """A bad item of the phone's posts, kept as it came."""

    id: str
    kind: str
    detail: str
    raw: str
    seen: int = Field(description="How often it came.")
    first_seen_at: Moment
    last_seen_at: Moment


class QuarantinePageResponse(PageResponse[QuarantinedItemResponse]):
    """One page of bad items."""


def to_device_response(view: DeviceView) -> DeviceResponse:
    """Return a device as the API tells of it."""
    device, state = view.device, view.state
    limit = device.effective_send_limit
    return DeviceResponse(
        id=device.id,
        name=device.name,
        protocol=device.protocol,
        username=device.username,
        phone_number=device.phone_number,
        tags=list(device.tags),
        send_limit=SendLimitResponse(
            segments=limit.segments,
            seconds=limit.seconds,
            recipients_per_month=limit.recipients_per_month,
        ),
        server_url=device.server_url,
        region=device.region,
        paused=device.paused,
        online=view.online,
        last_seen_at=state.last_seen_at,
        app_version=state.app_version,
        model=state.model,
        battery_percent=state.battery_percent,
        power=state.power,
        network=state.network,
        settings_version=state.settings_version,
        clock_skew_ms=state.clock_skew_ms,
        last_status=state.last_status,
        backlog=view.backlog,
        budget_left=view.budget_left,
        created_at=device.created_at,
        updated_at=device.updated_at,
    )


def to_quarantine_response(record: QuarantineRecord) -> QuarantinedItemResponse:
    """Return a bad item as the API tells of it."""
    return QuarantinedItemResponse(
        id=record.id,
        kind=record.kind,
        detail=record.detail,
        raw=record.raw,
        seen=record.seen,
        first_seen_at=record.first_seen_at,
        last_seen_at=record.last_seen_at,
    )
