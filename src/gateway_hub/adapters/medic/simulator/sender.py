"""The sending half of a simulated CHT gateway app: what it gives to the radio, and what it hears.

After ``SmsSender.java``, ``IntentProcessor.java`` and ``DeliveryReportHandler.java`` of
medic/cht-gateway at a122e03.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from gateway_hub.adapters.medic.simulator.outbox import OutboundSms, Outbox
from gateway_hub.domain.segments import segment
from gateway_hub.simulator.phone import Agenda, SentSms
from gateway_hub.simulator.radio import (
    DELIVERED,
    PartOutcome,
    Radio,
    SendResult,
    find_departure,
)

# android.telephony.PhoneNumberUtils.isGlobalPhoneNumber
_GLOBAL_NUMBER = re.compile(r"\+?[0-9.-]+")

_SOFT_FAILURES = {
    SendResult.NO_SERVICE: "no-service",
    SendResult.NULL_PDU: "null-pdu",
    SendResult.RADIO_OFF: "radio-off",
}
_RESULT_LIMIT_EXCEEDED = 5  # of android.telephony.SmsManager; the app does not know it

_CDMA_UNITS_LATIN_1 = 140
_CDMA_UNITS = 70
_CDMA_MARK = 4  # "n/N "
_BEYOND_LATIN_1 = "\u0100"


class Sender:
    """Sends what is unsent, and writes into the outbox what the radio reports."""

    def __init__(
        self,
        outbox: Outbox,
        radio: Radio,
        agenda: Agenda,
        *,
        cdma: bool,
        every_part_reports: bool,
    ) -> None:
        self.air: list[SentSms] = []
        self._outbox = outbox
        self._radio = radio
        self._agenda = agenda
        self._cdma = cdma
        self._every_part_reports = every_part_reports

    def send_unsent(self, now: datetime, *, airplane: bool) -> None:
        """Give the radio what may be sent in one wake."""
        for sms in self._outbox.take_unsent(now):
            self._outbox.mark_pending(sms, now)
            if _GLOBAL_NUMBER.fullmatch(sms.to):
                self._give_to_radio(sms, now, airplane=airplane)
            else:
                self._outbox.fail(sms, "destination.invalid", now)

    def _give_to_radio(self, sms: OutboundSms, now: datetime, *, airplane: bool) -> None:
        pieces = divide_for_cdma(sms.content) if self._cdma else [sms.content]
        parts = len(pieces) if self._cdma else segment(sms.content).segments
        outcomes = self._radio.send(parts, now, airplane=airplane)
        departure = find_departure(outcomes)
        if departure is not None:
            at, left = departure
            sent = SentSms(sms.id, sms.to, "".join(pieces), left, at)
            self._agenda.add(at, lambda _: self.air.append(sent))
        self._await_reports(sms.id, outcomes)

    def _await_reports(self, sms_id: str, outcomes: Sequence[PartOutcome]) -> None:
        limit = None if self._every_part_reports else 1
        reports = [(o.reported_at, o) for o in outcomes if o.reported_at is not None]
        for at, outcome in sorted(reports, key=lambda report: report[0])[:limit]:
            self._agenda.add(at, partial(self._hear_of_sending, sms_id, outcome))
        reports = [(o.delivery_reported_at, o) for o in outcomes if o.delivery_reported_at]
        for at, outcome in sorted(reports, key=lambda report: report[0])[:limit]:
            self._agenda.add(at, partial(self._hear_of_delivery, sms_id, outcome))

    def _hear_of_sending(self, sms_id: str, outcome: PartOutcome, now: datetime) -> None:
        sms = self._outbox.messages.get(sms_id)
        if sms is None:
            return
        if outcome.result is SendResult.OK:
            self._outbox.mark_sent(sms, now)
        elif outcome.result in _SOFT_FAILURES:
            self._outbox.fail_softly(sms, _SOFT_FAILURES[outcome.result], now)
        else:
            self._outbox.fail(sms, _failure_reason(outcome), now)

    def _hear_of_delivery(self, sms_id: str, outcome: PartOutcome, now: datetime) -> None:
        sms = self._outbox.messages.get(sms_id)
        if sms is None:
            return
        if outcome.delivery_status == DELIVERED:
            self._outbox.mark_delivered(sms, now)
        else:
            self._outbox.fail(sms, "Delivery failed: SM Validity Period Expired", now)


def divide_for_cdma(content: str) -> list[str]:
    """Return the SMS that the app's CDMA mode makes of *content*: a last piece not full is cut."""
    units = content.encode("utf-16-be", "surrogatepass")
    length = len(units) // 2
    limit = _CDMA_UNITS_LATIN_1 if max(content, default="") < _BEYOND_LATIN_1 else _CDMA_UNITS
    if length <= limit:
        return [content]
    limit -= _CDMA_MARK
    count = length // limit
    for digits in (10, 100):
        if count >= digits:
            limit -= 1
            count = length // limit
    cut = [units[2 * i * limit : 2 * (i + 1) * limit] for i in range(count)]
    texts = [piece.decode("utf-16-be", "surrogatepass") for piece in cut]
    return [f"{number}/{count} {text}" for number, text in enumerate(texts, start=1)]


def _failure_reason(outcome: PartOutcome) -> str:
    if outcome.result is SendResult.LIMIT_EXCEEDED:
        return f"unknown; resultCode={_RESULT_LIMIT_EXCEEDED}"
    if outcome.error_code is None:
        return "generic; no errorCode supplied"
    return f"generic; errorCode={outcome.error_code}"
