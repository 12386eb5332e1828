"""What live phones told, and how to wait for it."""

import asyncio

from gateway_hub.simulator.steps import Step, StepName

PATIENCE_SECONDS = 60.0


class Told:
    """Keeps the steps of a phone in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._more = asyncio.Event()

    def __call__(self, step: Step) -> None:
        self.steps.append(step)
        self._more.set()

    async def until(self, name: StepName, *, times: int = 1, **facts: object) -> Step:
        """Return such a step, the first or a later one, waiting for it if need be."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = [step for step in self.named(name) if _has(step, facts)]
                if len(found) >= times:
                    return found[times - 1]
                self._more.clear()
                await self._more.wait()

    def named(self, *names: StepName) -> list[Step]:
        """Return the steps of these names."""
        return [step for step in self.steps if step.name in names]


def _has(step: Step, facts: dict[str, object]) -> bool:
    return all(getattr(step, name) == value for name, value in facts.items())
