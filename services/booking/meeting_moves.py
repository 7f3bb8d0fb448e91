"""A meeting that was made with its reservation is moved with it: first noted, then moved, then the reservation.

Whatever becomes of the change, the meeting is brought where its reservation is (settlement.py). One change at a time
moves a meeting: the provider could be told of two in another order than booking.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import making_pb2 as making

from services.booking import makings, meetings
from services.booking.making_client import MakingClient, is_done, is_refused
from services.booking.meetings import SeenOccurrence
from services.booking.new_meetings import in_doubt, refused
from services.booking.transactions import Transactions, until_fresh
from services.platform.clock import Clock, from_timestamp
from services.platform.ids import new_id
from services.platform.serving import errors
from services.platform.text.messages import message


@dataclass(frozen=True, slots=True)
class MeetingMoves:
    """What moving needs. `timer` tells real time; `wake` is told when something is to be put right."""

    transactions: Transactions
    client: MakingClient
    timer: Clock
    wake: Callable[[], None]


class Move:
    """One change, however often it is tried."""

    def __init__(self, moves: MeetingMoves | None) -> None:
        self._moves = moves
        self.held_by = new_id("mov")
        self._moved: tuple[str, str] | None = None
        """Making and reservation of the meeting that may be elsewhere now."""
        self._doubtful = False

    async def to(self, after: pb.Reservation) -> SeenOccurrence:
        """The meeting at the times of `after`. Raises errors.RpcError."""
        moves = self._moves
        if moves is None:
            raise not_movable()
        noted = time.monotonic()
        making_id = await moves.transactions.database.write(
            lambda c: makings.hold(c, after.reservation_id, self.held_by, moves.timer.now())
        )
        if making_id is None:
            raise being_moved()
        self._moved, self._doubtful = (making_id, after.reservation_id), False
        if time.monotonic() - noted > makings.TRUSTED_SECONDS:
            raise in_doubt()
        response = await self._ask(moves, making_id, after)
        if is_refused(response):
            raise refused(response, "MEETING_NOT_MOVED")
        if not is_done(response):
            raise in_doubt()
        start, end = from_timestamp(after.start_time), from_timestamp(after.end_time)
        return meetings.choose(response.meeting, start, end)

    async def _ask(self, moves: MeetingMoves, making_id: str, after: pb.Reservation) -> making.MakingResponse:
        self._doubtful = True  # it may still be on its way
        response = await moves.client.move(making_id, after)
        self._doubtful = False
        return response

    def done(self) -> None:
        """The reservation is there, too."""
        self._moved = None

    async def put_right(self) -> None:
        """What was moved is brought back, unless it is where it belongs. Nothing when nothing was moved."""
        if not self._moves or not self._moved:
            return
        due = self._moves.timer.now() + makings.LEASE if self._doubtful else makings.AT_ONCE
        making_id, reservation_id = self._moved
        database = self._moves.transactions.database
        await until_fresh(lambda: database.write(lambda c: makings.align(c, making_id, reservation_id, due)))
        self._moves.wake()


def being_moved() -> errors.RpcError:
    words = message("its meeting is being moved just now: please try again in a moment")
    return errors.failure(grpc.StatusCode.ABORTED, "MEETING_BEING_MOVED", words, retry_seconds=5)


def not_movable() -> errors.RpcError:
    words = message("its meeting was made with it, and no meetings are moved here: cancel it, and reserve anew")
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "MEETING_NOT_MOVED", words)
