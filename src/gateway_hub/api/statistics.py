"""The route of a project's numbers."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway_hub.api.authentication import ProjectReader
from gateway_hub.api.context import HubDependency
from gateway_hub.api.fields import GivenFields
from gateway_hub.api.routes import ApiRoute
from gateway_hub.api.times import GivenMoment, Moment
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction
from gateway_hub.domain.statistics import Count, start_of_hour
from gateway_hub.services.insights import Grain, ProjectNumbers

router = APIRouter(prefix="/stats", tags=["Statistics"], route_class=ApiRoute)


class StatsQuery(GivenFields):
    """Which numbers to tell."""

    from_: GivenMoment | None = Field(
        None,
        alias="from",
        description="The first hour or day is the one this is in. A day before `to` by the hour, "
        "30 days by the day, if not given.",
    )
    to: GivenMoment | None = Field(
        None,
        description="The last hour or day ends with this, or this is in it; the present one if not "
        "given, or if this is later.",
    )
    by: Grain = Field(
        Grain.HOUR, description="`hour`, for 31 days at the most, or `day` in UTC, for 366."
    )


class CountResponse(BaseModel):
    """How many messages reached a status."""

    direction: Direction
    status: Status
    messages: int
    segments: int = Field(description="Radio SMS they are made of.")


class PeriodResponse(BaseModel):
    """An hour or a day in which messages reached a status; others are left out."""

    start: Moment
    counts: list[CountResponse]


class DeviceCountsResponse(BaseModel):
    """The devices as they are now."""

    online: int
    offline: int
    paused: int = Field(description="Of all devices, online or not.")


class StatsResponse(BaseModel):
    """The numbers of a project.

    A message counts once in each status: when it first reached it, whatever comes of it later, and
    also after it has been removed.
    """

    from_: Moment = Field(serialization_alias="from")
    to: Moment
    by: Grain
    totals: list[CountResponse]
    periods: list[PeriodResponse] = Field(description="Oldest first.")
    backlog: int = Field(description="Messages that are queued now.")
    devices: DeviceCountsResponse


@router.get("", summary="Get statistics", operation_id="stats_get")
async def get_stats(
    hub: HubDependency, caller: ProjectReader, query: Annotated[StatsQuery, Query()]
) -> StatsResponse:
    """Tell how many messages reached each status, by the hour or day, and how things stand now."""
    numbers = await hub.insights.read_numbers(caller.project_id, query.from_, query.to, query.by)
    return _to_response(numbers)


def _to_response(numbers: ProjectNumbers) -> StatsResponse:
    span, devices = numbers.span, numbers.devices
    return StatsResponse(
        from_=span.start,
        to=span.end,
        by=span.grain,
        totals=_sum_up(numbers.counts),
        periods=[
            PeriodResponse(start=start_of_hour(hour), counts=[_to_count(item) for item in counts])
            for hour, counts in groupby(numbers.counts, key=lambda item: item.hour)
        ],
        backlog=numbers.backlog,
        devices=DeviceCountsResponse(
            online=devices.online, offline=devices.offline, paused=devices.paused
        ),
    )


def _to_count(count: Count) -> CountResponse:
    return CountResponse(
        direction=count.direction,
        status=count.status,
        messages=count.messages,
        segments=count.segments,
    )


def _sum_up(counts: Iterable[Count]) -> list[CountResponse]:
    sums: defaultdict[tuple[Direction, Status], list[int]] = defaultdict(lambda: [0, 0])
    for count in counts:
        total = sums[count.direction, count.status]
        total[0] += count.messages
        total[1] += count.segments
    return [
        CountResponse(direction=direction, status=status, messages=messages, segments=segments)
        for (direction, status), (messages, segments) in sorted(sums.items())
    ]
