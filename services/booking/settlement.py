"""What is owed about meetings that are made here is asked of the provider until it is done.

Whoever asks holds the row until its lease is over: a program that dies while it asks is followed by another.
"""

import asyncio
import logging
import time

from sqlalchemy.engine import Connection
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import makings, states
from services.booking.making_client import MakingClient, is_done, is_refused
from services.booking.makings import Claim
from services.booking.queries import read_reservation
from services.platform.clock import MINUTE, SECOND, Clock
from services.platform.data.database import Database
from services.platform.ids import new_id
from services.platform.observing import metrics
from services.platform.tasks import run_forever, wait_at_most

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Providers allow few calls a minute."""
LOOK_SECONDS = 1.0
"""So often it is looked whether something is due: nobody tells of it who commits."""
RETRY_SECONDS = 1.0
LONGEST_PAUSE = 5 * MINUTE

UNSETTLED = metrics.gauge(
    "yunhui_booking_makings_unsettled", "meetings that were tried to be unmade or moved back, and are still to be"
)


class MakingSettlement:
    """`run` it beside the servers. `timer` tells real time."""

    def __init__(self, database: Database, client: MakingClient, timer: Clock) -> None:
        self._database = database
        self._client = client
        self._timer = timer
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """The rows stay, so nothing is lost by trying again."""
        await run_forever(self._take_turn, "makings", RETRY_SECONDS)

    async def _take_turn(self) -> None:
        self._woken.clear()
        await self.catch_up()
        await wait_at_most(self._woken, LOOK_SECONDS)

    async def catch_up(self) -> None:
        """Sees once to everything that is due."""
        noted = time.monotonic()
        while claims := await self._claim():
            await asyncio.gather(*(self._see_to(each, noted) for each in claims))
            noted = time.monotonic()

    async def figures(self) -> None:
        """Sets the gauge from what is stored."""
        UNSETTLED.set(to=await self._database.read(makings.count_unsettled))

    async def _claim(self) -> list[Claim]:
        now = self._timer.now()
        due = await self._database.read(makings.read_next)
        if due is None or due > now:
            return []
        return await self._database.write(lambda c: makings.claim(c, new_id("set"), now, AT_ONCE))

    async def _see_to(self, claimed: Claim, noted: float) -> None:
        try:
            settled = await self._ask(claimed, noted)
        except Exception as error:
            # whatever happened is tried again
            log.warning("making %s, %s: %s", claimed.making_id, claimed.state, error)
            settled = False
        if settled:
            await self._database.write(lambda c: makings.settle(c, claimed))
        else:
            later = self._timer.now() + pause(claimed)
            await self._database.write(lambda c: makings.postpone(c, claimed, later))

    async def _ask(self, claimed: Claim, noted: float) -> bool:
        """Whether nothing is owed any more. Raises errors.RpcError when there is no answer."""
        if claimed.state == makings.UNMAKE:
            return is_done(await self._client.unmake(claimed.making_id))
        record = await self._database.read(lambda c: read_live(c, claimed.reservation_id))
        if record is None:
            return True
        if time.monotonic() - noted > makings.TRUSTED_SECONDS:  # another may be at it by now
            return False
        response = await self._client.move(claimed.making_id, record)
        if is_refused(response):
            # asked again it would be answered the same: where the meeting is now stands with the reservation
            log.warning("the meeting of %s is not moved back: %s", claimed.reservation_id, response.refusal)
        return is_done(response) or is_refused(response)


def read_live(connection: Connection, reservation_id: str) -> pb.Reservation | None:
    """None when its meeting may be wherever it is."""
    record = read_reservation(connection, reservation_id)
    return record if record and states.from_proto(record.state) in states.DEADLINES else None


def pause(claimed: Claim) -> int:
    """Doubled with each try, ms; not so short that a move which got no answer could still be on its way."""
    shortest = SECOND if claimed.state == makings.UNMAKE else makings.LEASE
    return int(min(shortest * 2 ** min(claimed.attempts, 16), LONGEST_PAUSE))
