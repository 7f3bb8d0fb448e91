"""How far one lone request for a room walks until it is answered: who reads along opens so many files."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yunhui.booking.v1 import booking_service_pb2 as api

import services
from services.platform.clock import MINUTE, to_timestamp
from services.platform.serving import rpc
from tests.simulation.chaos import Chaos
from tests.simulation.history import booker, prepare
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import World

SERVICES = Path(services.__path__[0])
MOST_OF_BOOKING = 18


def test_a_lone_request_walks_through_few_files_of_booking() -> None:
    walked = walk()
    of_booking = sorted(name for name in walked if name.startswith("booking/"))
    assert len(of_booking) <= MOST_OF_BOOKING, of_booking


def walk() -> Counter[str]:
    """How often functions of each file were called."""
    disks, policy = prepare()
    loop = VirtualLoop()
    chaos = Chaos(0, loop)
    chaos.calm = True
    try:
        return loop.run_until_complete(_walk(World(chaos, disks, policy)))
    finally:
        loop.close()


async def _walk(world: World) -> Counter[str]:
    world.start()
    try:
        await create(world, 1)  # what is remembered from now on
        await asyncio.sleep(1)
        with calls() as walked:
            await create(world, 2)
        return walked
    finally:
        world.end()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)


async def create(world: World, number: int) -> None:
    start = world.chaos.now() // MINUTE * MINUTE + number * 120 * MINUTE
    times = start, start + 60 * MINUTE
    meeting = await world.provider.create("", "group", "ann", *times)
    request = api.CreateReservationRequest(
        request_id=f"request-{number}",
        subject="group",
        meeting_code=meeting.meeting_code,
        start_time=to_timestamp(times[0]),
        end_time=to_timestamp(times[1]),
        participant_count=12,
    )
    rpc._principal.set(booker("ann"))
    answer = await world.services["booking-0"].CreateReservation(request, None)  # type: ignore[arg-type] # not looked at
    assert answer.HasField("reservation")


@contextmanager
def calls() -> Iterator[Counter[str]]:
    counted = Counter[str]()

    def note(frame: Any, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(SERVICES):
            counted[str(path.relative_to(SERVICES))] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield counted
    finally:
        sys.setprofile(before)
