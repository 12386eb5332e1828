"""What an app may have forgotten: told that again, it would send it again."""

from gateway_hub.domain.budget import minute_of
from gateway_hub.domain.devices import LEASE_POLICIES, Device
from gateway_hub.domain.messages import Attempt
from gateway_hub.storage import usage as usage_rows
from gateway_hub.storage.transactions import Transaction

# EnvayaSMS knows the last hundred ids it has sent, until it is started anew (``Outbox.java``).
_SURELY_REMEMBERED = 80


async def may_have_forgotten(tx: Transaction, device: Device, attempt: Attempt) -> bool:
    """Say whether the app of *device*, whose state is the newest, may not know *attempt* any more.

    It may have sent it: after a start, or after as many others, it would not remember that.
    """
    if LEASE_POLICIES[device.protocol].repeats_are_harmless:
        return False
    started_at = device.state.app_started_at
    if started_at is not None and started_at > attempt.first_offered_at:
        return True
    since = minute_of(attempt.first_offered_at)
    handed_over = await usage_rows.sum_segments(tx, device.id, from_minute=since)
    return handed_over > _SURELY_REMEMBERED
