"""Starts the programs in order, restarts the ones that die, and stops them all in the opposite order."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any

import nats

from services.installation import topology
from services.installation.programs import Plan, Program
from services.installation.registry import SERVICE_NAMES
from services.installation.state import write_private
from services.installation.supervised_process import SupervisedProcess
from services.platform.local import DEVELOPMENT_ISSUER

PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0)
MOST_DEATHS = 5
WINDOW_SECONDS = 60.0


class TooManyDeathsError(Exception):
    """A program dies again and again; the tail of its log says why."""

    def __init__(self, program: str, tail: str) -> None:
        super().__init__(program)
        self.program = program
        self.tail = tail


class Observer:
    """What the supervisor tells: does nothing here."""

    def started(self, program: Program) -> None: ...

    def died(self, program: Program, code: int | None, pause: float) -> None: ...

    def recovered(self, program: Program) -> None: ...


class Supervisor:
    """The processes of one run. `stop` is safe at any moment, also in the middle of `start`."""

    def __init__(self, plan: Plan, observer: Observer) -> None:
        self._plan = plan
        self._observer = observer
        self._groups: list[list[SupervisedProcess]] = []

    async def start(self) -> None:
        """Bus first, for the rest needs it. Raises StartError."""
        await self._start_group([self._plan.bus()])
        await self._declare_streams()
        await self._start_group([self._plan.mail_sink()])
        await self._start_group(self._plan.services())
        await self._start_group(self._plan.pages())
        self.write_run()

    async def watch(self) -> None:
        """Restarts what dies. Ends only with TooManyDeathsError or by being cancelled."""
        keepers = [asyncio.create_task(self._keep(child)) for child in self._children()]
        try:
            await asyncio.gather(*keepers)
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def stop(self) -> None:
        for group in reversed(self._groups):
            await asyncio.gather(*(child.stop() for child in group))
        self._plan.state.run.unlink(missing_ok=True)

    def kill(self) -> None:
        for child in self._children():
            child.kill()

    def report(self) -> dict[str, Any]:
        """What other programs want to know about this run."""
        plan = self._plan
        webhooks = ("webhooks",) if plan.standin else ()  # nobody calls where meetings are simulated
        addresses = {name: plan.address(name) for name in (*SERVICE_NAMES, *webhooks, "monitor")}
        return {
            **addresses,
            **self._pages(),
            "nats": f"nats://{plan.address('nats')}",
            "smtp": plan.address("mail"),
            "mail": str(plan.state.mail),
            "state": str(plan.state.root),
            "issuer": DEVELOPMENT_ISSUER,
            "metrics": plan.metrics(),
            "pids": {child.program.name: child.pid for child in self._children()},
        }

    def _pages(self) -> dict[str, Any]:
        names = [program.name for program in self._plan.pages()]
        addresses = {"issuer": "issuer_address"}  # `issuer` itself is what tokens carry
        return {addresses.get(name, name): self._plan.web(name) for name in names}

    def write_run(self) -> None:
        write_private(self._plan.state.run, self.report())

    def _children(self) -> list[SupervisedProcess]:
        return [child for group in self._groups for child in group]

    async def _start_group(self, programs: list[Program]) -> None:
        group = [SupervisedProcess(program, self._plan.state.log(program.name)) for program in programs]
        self._groups.append(group)
        await asyncio.gather(*(child.start() for child in group))
        await self._all_ready(group)

    async def _all_ready(self, group: list[SupervisedProcess]) -> None:
        async def ready(child: SupervisedProcess) -> None:
            await child.ready()
            self._observer.started(child.program)

        try:
            async with asyncio.TaskGroup() as tasks:
                for child in group:
                    tasks.create_task(ready(child))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _declare_streams(self) -> None:
        client = await nats.connect(
            f"nats://{self._plan.address('nats')}",
            user="admin",
            password=self._plan.state.password("admin"),
        )
        try:
            await topology.apply(client)
        finally:
            await client.close()

    async def _keep(self, child: SupervisedProcess) -> None:
        deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        while True:
            await child.wait()
            deaths.append(time.monotonic())
            if too_often(deaths):
                raise TooManyDeathsError(child.program.name, child.tail())
            pause = PAUSES[min(recent(deaths) - 1, len(PAUSES) - 1)]
            self._observer.died(child.program, child.code, pause)
            await asyncio.sleep(pause)
            await child.start()
            self.write_run()
            await self._announce_recovery(child)

    async def _announce_recovery(self, child: SupervisedProcess) -> None:
        with suppress(Exception):  # not ready: then it has died, which the loop sees, or is seen by `doctor`
            await child.ready()
            self._observer.recovered(child.program)


def too_often(deaths: deque[float]) -> bool:
    return len(deaths) == MOST_DEATHS and deaths[-1] - deaths[0] <= WINDOW_SECONDS


def recent(deaths: deque[float]) -> int:
    """How many of the deaths lie within the window that ends with the last one."""
    return sum(deaths[-1] - death <= WINDOW_SECONDS for death in deaths)
