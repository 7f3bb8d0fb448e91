"""The seed's dice: when programs die, and what the network does to them. All that can go wrong goes through here."""

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from services.platform.clock import MINUTE
from tests.simulation.loop import VirtualLoop

STEPS_A_KILL = 150
RESTART_SECONDS = 2.0
SLOW, SLOW_SECONDS = 0.2, 0.3
LOST = 0.02
START = 1_751_846_400_000  # 2025-07-07 08:00 in Shanghai, a Monday

RUNNING: contextvars.ContextVar["Program | None"] = contextvars.ContextVar("RUNNING", default=None)


class DeadError(Exception):
    """The program was killed: nothing that it still does reaches anybody."""


@dataclass(eq=False)
class Program:
    """A program that can be killed between any two things that it does. `begin` makes its parts and its loops."""

    name: str
    chaos: "Chaos"
    begin: Callable[["Program"], list[Coroutine[Any, Any, Any]]]
    alive: bool = False
    life: int = 0
    deaths: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def start(self) -> None:
        self.alive = True
        self.life += 1
        RUNNING.set(self)
        for loop in self.begin(self):
            asyncio.get_running_loop().create_task(loop)
        RUNNING.set(None)

    def forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and not isinstance(task.exception(), DeadError | None):
            self.failures.append(repr(task.exception()))

    def kill(self) -> None:
        """As kill -9 does. What waits in it is taken away; cleaning up reaches nobody."""
        self.alive = False
        self.deaths.append(asyncio.get_running_loop().time())
        for task in self.tasks:
            task.cancel()
        asyncio.get_running_loop().call_later(RESTART_SECONDS * self.chaos.dice.random(), self.start)


class Port:
    """What one life of a program reaches the world by; a later life has ports of its own."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._life = program.life

    async def step(self) -> None:
        """Between two things: time passes, or the program dies. Raises DeadError."""
        self.check()
        chaos = self._program.chaos
        if chaos.happens(1 / STEPS_A_KILL):
            self._program.kill()
        elif chaos.happens(SLOW):
            await asyncio.sleep(chaos.dice.random() * SLOW_SECONDS)
        self.check()

    def check(self) -> None:
        if not self._program.alive or self._program.life != self._life:
            raise DeadError

    @property
    def chaos(self) -> "Chaos":
        return self._program.chaos


class Chaos:
    """Dice, clock, and whether anything goes wrong at all for the moment."""

    patience = 1.0

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.dice = random.Random(seed)
        self.calm = False
        self._loop = loop
        self._ahead = 0
        loop.set_task_factory(_to_its_program)

    def happens(self, chance: float) -> bool:
        return not self.calm and self.dice.random() < chance

    def now(self) -> int:
        """Epoch ms, for every program. Whoever sleeps looks again every `patience` seconds."""
        return START + self._ahead + int(self._loop.now * 1000)

    def jump(self, minutes: int) -> None:
        self._ahead += minutes * MINUTE


def _to_its_program(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(coro, loop=loop, **options)
    if program := RUNNING.get():
        program.tasks.add(task)
        task.add_done_callback(program.forget)
    return task


Handler = Callable[[bytes], Awaitable[bytes]]
