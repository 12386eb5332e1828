"""The hub with a fault planted, to show that the run which looks for such faults can find them."""

import asyncio
import os
from typing import Any

from gateway_hub.cli import main
from gateway_hub.storage import inbound, transactions
from gateway_hub.storage.inbound import Receipt


def answer_before_commit() -> None:
    """Tell callers of success first and commit a little later."""
    commit_group: Any = transactions.CommitGroup
    run_each = commit_group._run_each

    async def run_and_tell(self: Any, connection: Any, jobs: list[Any]) -> None:
        await run_each(self, connection, jobs)
        for job in jobs:
            job.settle()
        await asyncio.sleep(0.3)

    async def commit_together(self: Any, jobs: list[Any]) -> None:
        async with self._engine.begin() as connection:
            await self._run_each(connection, jobs)

    commit_group._run_each = run_and_tell
    commit_group._commit_together = commit_together


def forget_receipts() -> None:
    """Take every inbound message for a new one."""
    rows: Any = inbound

    async def record_receipt(_tx: Any, **values: Any) -> Receipt:
        return Receipt(values["message_id"], values["content_digest"], 0)

    rows.record_receipt = record_receipt


PLANTED = {"answer-before-commit": answer_before_commit, "forget-receipts": forget_receipts}

if __name__ == "__main__":
    PLANTED[os.environ["HUB_PLANTED_BUG"]]()
    main()
