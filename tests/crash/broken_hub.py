"""The hub with a fault planted, to show that the run which looks for such faults can find them."""

import asyncio
import os
from typing import Any

from gateway_hub.cli import main
from gateway_hub.storage import commits, inbound
from gateway_hub.storage.inbound import Receipt
from gateway_hub.storage.transactions import Transaction


def answer_before_commit() -> None:
    """Tell callers of success first and commit a little later."""
    module: Any = commits
    run = module._run

    async def run_and_tell(unit: list[Any], connection: Any) -> Transaction:
        transaction: Transaction = await run(unit, connection)
        for job in unit:
            job.settle()
        await asyncio.sleep(0.3)
        return transaction

    module._run = run_and_tell


def forget_receipts() -> None:
    """Take every inbound message for a new one."""
    rows: Any = inbound

    async def claim_receipts(_tx: Any, claims: Any, _now: Any) -> dict[str, Receipt]:
        return {claim.message_id: claim for claim in claims}

    rows.claim_receipts = claim_receipts


PLANTED = {"answer-before-commit": answer_before_commit, "forget-receipts": forget_receipts}

if __name__ == "__main__":
    PLANTED[os.environ["HUB_PLANTED_BUG"]]()
    main()
