"""The subscribers in examples/ as their READMEs start them, on a real bus under the real permissions."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests import nodejs
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, password, until
from tools.asyncapi import read_examples
from tools.contracts import ROOT

EXAMPLES = ROOT / "examples"
RESERVATIONS = [example for subject, example in read_examples().items() if ".reservation." in subject]


@pytest.fixture(params=["python", "nodejs"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> "Program":
    folder = tmp_path / "program"
    shutil.copytree(EXAMPLES / request.param, folder)
    if request.param == "nodejs":
        nodejs.install(EXAMPLES / "nodejs", folder)
    return Program(folder)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    server = Bus(tmp_path / "nats")
    await server.start()
    await server.set_up()
    yield server
    await server.stop()


class Program:
    """A copy of an example, with what it needs beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        readme = (folder / "README.md").read_text(encoding="utf-8")
        self._command = readme.split("```")[1].splitlines()[-1]

    def noted(self) -> int:
        """How many events it has written down as seen: killed before that, it would do the last one again."""
        if (text := self._folder / "seen.txt").exists():
            return len(text.read_text().splitlines())
        with closing(sqlite3.connect(self._folder / "seen.db")) as database:
            return int(database.execute("SELECT count(*) FROM seen").fetchone()[0])

    @asynccontextmanager
    async def running(self, bus: Bus) -> AsyncIterator[asyncio.StreamReader]:
        """What it prints; it is killed at the end."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        login = {"YUNHUI_NATS_URL": bus.url, "YUNHUI_NATS_PASSWORD": password("subscriber"), "PATH": path}
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", f"exec {self._command}"),
            cwd=self._folder,
            env=os.environ | login,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        try:
            yield process.stdout
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()


async def publish(bus: Bus, examples: list[dict[str, Any]]) -> None:
    for example in examples:
        await bus.publish(example["headers"], json.dumps(example["payload"]).encode())


async def lines(output: asyncio.StreamReader, count: int) -> list[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [(await output.readline()).decode().rstrip("\n") for _ in range(count)]


def expected(examples: list[dict[str, Any]]) -> list[str]:
    return [" ".join(_about(example)) for example in examples]


def _about(example: dict[str, Any]) -> tuple[str, str, str]:
    payload = example["payload"]
    record = payload.get("reservation") or payload["request"]
    return example["headers"]["ce-type"], record.get("reservationId", "-"), record["organizer"]["accountId"]


def news(example: dict[str, Any]) -> dict[str, Any]:
    """An event of another reservation, under another id."""
    record = example["payload"]["reservation"] | {"reservationId": "rsv_new"}
    headers = example["headers"] | {"ce-id": "evt_new", "Nats-Msg-Id": "evt_new"}
    return {"headers": headers, "payload": {"reservation": record}}


async def test_each_event_is_handled_once(program: Program, bus: Bus) -> None:
    """The past first; killed and started again it goes on; a stream built again from nothing repeats nothing."""
    past, later = RESERVATIONS[:7], RESERVATIONS[7:]
    await bus.publish({}, b"no event", "yunhui.booking.reservation.confirmed")
    await publish(bus, past)
    async with program.running(bus) as output:
        assert await lines(output, len(past)) == expected(past)
        await until(lambda: program.noted() == len(past))
    await publish(bus, later[:2])
    async with program.running(bus) as output:
        assert await lines(output, 2) == expected(later[:2])
        await publish(bus, later[2:])
        assert await lines(output, len(later) - 2) == expected(later[2:])

        admin = await bus.connect()
        await admin.jetstream().delete_stream("BOOKING")
        await admin.close()
        await bus.set_up()
        await publish(bus, [*RESERVATIONS, news(past[0])])
        assert await lines(output, 1) == expected([news(past[0])])


async def test_a_bus_that_is_restarted_is_found_again(program: Program, bus: Bus) -> None:
    """What was published meanwhile is handled."""
    async with program.running(bus) as output:
        await publish(bus, RESERVATIONS[:1])
        assert await lines(output, 1) == expected(RESERVATIONS[:1])
        await bus.stop()
        await bus.start()
        await publish(bus, RESERVATIONS[1:3])
        assert await lines(output, 2) == expected(RESERVATIONS[1:3])


def test_the_examples_are_short() -> None:
    """They are there to be copied."""
    for path in (EXAMPLES / "python" / "subscriber.py", EXAMPLES / "nodejs" / "subscriber.js"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 65
