"""Installations to be put under load: `yunhui up`, or two bookings on one database beside one bus and one policy."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import nats
import sqlalchemy as sa
from yunhui.booking.v1 import booking_service_pb2 as api

from services.cli.client import booking_at
from services.installation import development_clock, die_with_parent, health, issuer, ports, topology
from services.installation.issuer import SampleAccount
from services.installation.programs import Plan, Program
from services.installation.state import State
from services.installation.supervised_process import SupervisedProcess
from services.platform.clock import DevelopmentClock
from tests.faults import answers, checker
from tests.faults.answers import Answer
from tests.patience import PATIENCE_SECONDS
from tests.servers import until
from tests.system.stack import MONDAY, Stack

ROOMS = [10, 10, 30, 30, 30, 30, 30, 30, 30, 30, 60, 60, 60, 60, 99, 99, 99, 99, 300, 300]


@dataclass
class Installation:
    """What a load and the checker need to know; `bookings` only where the test may kill them."""

    state: State
    database_url: str
    addresses: list[str]
    bus: str
    bookings: list[SupervisedProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = checker.connect(self.database_url)

    def fill(self, capacities: list[int]) -> None:
        """Adds rooms."""
        with booking_at(self.addresses[0], issuer.mint(self.state, SampleAccount("admin", "admin"))) as booking:
            for number, capacity in enumerate(capacities):
                request = api.CreateRoomRequest(room_id=f"stress-{number:03}", capacity=capacity)
                booking.ask(booking.stub.CreateRoom, request)

    async def load(self, kind: str, size: int, name: str = "crowd") -> tuple[float, list[Answer]]:
        """Runs tests/faults/load.py; seconds and answers. Its progress goes to our stderr."""
        log = self.state.root / f"{kind}-{name}.jsonl"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())),
            *(sys.executable, "-m", "tests.faults.load", kind, "--state", str(self.state.root)),
            *("--log", str(log), "--size", str(size), "--name", name, *self.addresses),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        return float(said), answers.read(log)

    async def restart(self, number: int) -> None:
        """kill -9, and up again."""
        booking = self.bookings[number]
        booking.kill()
        await booking.wait()
        await booking.start()
        await booking.ready()

    def pass_time(self, milliseconds: int) -> None:
        """At once, for all programs."""
        DevelopmentClock(self.state.clock).shift(milliseconds)

    async def settle(self) -> None:
        """Waits until all events are published. Raises TimeoutError."""
        await self.until(lambda: not self.count("SELECT count(*) FROM outbox WHERE publish_time IS NULL"))

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Waits for a condition, looked at in a thread. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                if await asyncio.to_thread(condition):
                    return
                await asyncio.sleep(0.02)

    def count(self, query: str) -> int:
        return int(self.rows(query)[0][0])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]

    async def consumed(self, stream: str = "BOOKING", consumer: str = "notifier") -> None:
        """Until the consumer has nothing before it. Raises TimeoutError."""
        client = await nats.connect(self.bus, user="admin", password=self.state.password("admin"))

        async def nothing_left() -> bool:
            info = await client.jetstream().consumer_info(stream, consumer)
            return not info.num_pending and not info.num_ack_pending

        await until(nothing_left)
        await client.close()

    async def published(self) -> list[tuple[str, str]]:
        """(event id, entity) of all that is in the stream, in its order."""
        client = await nats.connect(self.bus, user="admin", password=self.state.password("admin"))
        stream = client.jetstream()
        left = (await stream.stream_info("BOOKING")).state.messages
        subscription = await stream.subscribe("yunhui.booking.>", ordered_consumer=True)
        found = [(await subscription.next_msg(PATIENCE_SECONDS)).headers or {} for _ in range(left)]
        await client.close()
        return [(headers["ce-id"], headers["ce-subject"]) for headers in found]


@asynccontextmanager
async def upped(root: Path) -> AsyncIterator[Installation]:
    """One `yunhui up`, on SQLite."""
    stack = Stack(root)
    await asyncio.to_thread(stack.start, "--clock", MONDAY, "--meetings", "off", "--portal", "off")
    try:
        state = State(root)
        url = f"sqlite:///{state.database('booking')}"
        installation = Installation(state, url, [stack.run["booking"]], stack.run["nats"])
        installation.fill(ROOMS[5:])  # five are there
        yield installation
    finally:
        await asyncio.to_thread(stack.stop)


@asynccontextmanager
async def replicated(
    root: Path, database_url: str = "", module: str = "services.booking", rooms: list[int] = ROOMS
) -> AsyncIterator[Installation]:
    """Two bookings, on one PostgreSQL or on one SQLite file; `module` is what is run as booking."""
    state = State(root)
    state.prepare()
    issuer.prepare_keys(state)
    development_clock.start_at(state, datetime.fromisoformat(MONDAY))
    plan = Plan(state, ports.choose(auto=True), meetings="off")
    programs = {program.name: program for program in plan.services()}
    policy, booking = programs["policy"], programs["booking"]
    url = database_url or f"sqlite:///{state.database('booking')}"
    started: list[SupervisedProcess] = []
    try:
        await start(plan.bus(), state, started)
        await declare_streams(plan)
        await start(policy, state, started)
        bookings = [await start(replica(booking, number, url, module), state, started) for number in range(2)]
        addresses = [each.program.address for each in bookings]
        installation = Installation(state, url, addresses, f"nats://{plan.address('nats')}", bookings)
        installation.fill(rooms)
        yield installation
    finally:
        for child in reversed(started):
            await child.stop()


def replica(program: Program, number: int, url: str = "", module: str = "") -> Program:
    """One more like `program`, at an address of its own; on another database, or run as another module."""
    listen = f"127.0.0.1:{ports.choose(auto=True)['booking']}"
    environment = {
        **program.environment,
        "YUNHUI_DATABASE_URL": url or program.environment["YUNHUI_DATABASE_URL"],
        "YUNHUI_LISTEN": listen,
    }
    command = [sys.executable, "-m", module] if module else program.command
    return Program(f"{program.name}-{number}", command, environment, listen, partial(health.serving, listen))


async def start(program: Program, state: State, started: list[SupervisedProcess]) -> SupervisedProcess:
    child = SupervisedProcess(program, state.log(program.name))
    started.append(child)
    await child.start()
    await child.ready()
    return child


async def declare_streams(plan: Plan) -> None:
    client = await nats.connect(f"nats://{plan.address('nats')}", user="admin", password=plan.state.password("admin"))
    await topology.apply(client)
    await client.close()
