"""Estimates as the API tells of them."""

from pydantic import BaseModel, Field

from gateway_hub.api.times import Moment
from gateway_hub.domain.segments import Encoding
from gateway_hub.services.estimates import Estimate


class EstimateDeviceResponse(BaseModel):
    """A device that could send the message."""

    device_id: str
    name: str
    online: bool
    earliest_at: Moment = Field(description="When its budget allows it.")


class EstimateResponse(BaseModel):
    """What a message would cost, and who could send it when."""

    encoding: Encoding
    segments: int
    forcing_characters: list[str] = Field(
        description="The characters for which it takes UCS-2, with its shorter segments."
    )
    transliterated_text: str | None = Field(
        description="The text as `transliterate` would send it, if that makes it GSM-7."
    )
    devices: list[EstimateDeviceResponse]
    earliest_at: Moment | None = Field(
        description="When the first of the devices that are there could; null if none is."
    )


def to_estimate_response(estimate: Estimate) -> EstimateResponse:
    """Return an estimate as the API tells of it."""
    return EstimateResponse(
        encoding=estimate.size.encoding,
        segments=estimate.size.segments,
        forcing_characters=list(estimate.size.forcing),
        transliterated_text=estimate.transliterated,
        devices=[
            EstimateDeviceResponse(
                device_id=item.device.id,
                name=item.device.name,
                online=item.online,
                earliest_at=item.earliest_at,
            )
            for item in estimate.candidates
        ],
        earliest_at=estimate.earliest_at,
    )
