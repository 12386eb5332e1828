"""The numbers that are kept of messages: told, folded together, and counted anew by hand."""

from datetime import timedelta

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.messages import Message
from gateway_hub.domain.statistics import hour_of
from gateway_hub.storage import marks
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import statistics as statistics_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.tallies import Counts, Tally
from gateway_hub.storage.transactions import Transaction

_FOLDED_AT_ONCE = 200
_MOST_FOLDS = 500
_READ_AT_ONCE = 1000
_COMMITTED_WITHIN = timedelta(minutes=10)


class Statistics:
    """What is kept of messages in numbers."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def fold(self) -> None:
        """Add up what writers have kept apart, so that there is less to read.

        Several processes may do it; one at a time has something to do.
        """

        async def fold_backlogs(tx: Transaction) -> int:
            return await statistics_rows.fold_backlogs(tx, limit=_FOLDED_AT_ONCE)

        async def fold_counts(tx: Transaction) -> int:
            return await statistics_rows.fold_counts(
                tx, before_hour=self._first_open_hour(), limit=_FOLDED_AT_ONCE
            )

        for step in (fold_backlogs, fold_counts):
            for _ in range(_MOST_FOLDS):  # others may be adding as fast as this takes away
                if await self._database.write(step, alone=True) < _FOLDED_AT_ONCE:
                    break

    async def recount(self) -> int:
        """Count the messages there are, and put right what is kept; return how many they are.

        The hours that are over, from the first of which nothing has been removed; a hub may go on
        working meanwhile.
        """
        await self._database.write(statistics_rows.recount_backlogs, alone=True)
        before_hour = self._first_open_hour()
        counts: Counts = {}
        after, counted = "", 0
        while True:
            tally = Tally()
            page = await self._read_from(after)
            if not page:
                break
            tally.note_added(page)
            tally.add_counts_to(counts)
            after, counted = page[-1].id, counted + len(page)

        async def use_case(tx: Transaction) -> None:
            removed_until = await marks.find_mark(tx, marks.REMOVED_UNTIL)
            from_hour = 0 if removed_until is None else hour_of(removed_until) + 1
            await statistics_rows.replace_counts(
                tx, counts, from_hour=from_hour, before_hour=before_hour
            )

        await self._database.write(use_case, alone=True)
        return counted

    async def _read_from(self, after: str) -> list[Message]:
        async def query(tx: Transaction) -> list[Message]:
            return await message_rows.list_from(tx, after=after, limit=_READ_AT_ONCE)

        return await self._database.read(query)

    def _first_open_hour(self) -> int:
        """Return the first hour that something may still be added to: commits come a bit late."""
        return hour_of(self._clock() - _COMMITTED_WITHIN)
