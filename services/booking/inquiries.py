"""What booking asks the meetings gateway by itself: who came, and whether the meeting is still what it was.

Asked in the background, so that no deadline waits for a provider. Whoever asks has moved the deadline on before:
another replica leaves it alone, and a program that dies while it waits is followed by one that asks again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import grpc
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1.meeting_service_pb2 import ListParticipantsResponse

from services.booking import life, meetings, store
from services.booking.lifecycle import Lifecycle, is_early
from services.booking.meetings import Key, Seen
from services.booking.meetings_client import GATEWAY_AWAY, MeetingsClient
from services.booking.reservations import attendance_start
from services.platform.clock import DAY, MINUTE, Clock, from_timestamp
from services.platform.data.database import Database
from services.platform.serving import errors

log = logging.getLogger(__name__)

LEASE = MINUTE
AT_ONCE = 8
"""Providers allow few calls a minute: whoever waits for a room must not stand behind a crowd of ours."""
LONGEST_PAUSE = 15 * MINUTE
ACTOR = "meetings"
AWAY = (GATEWAY_AWAY, "PROVIDER_AWAY", "RATE_LIMITED")
REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
LAPSED = "会议已在会议软件中取消。 The meeting was cancelled in the meeting client."


@dataclass(frozen=True, slots=True)
class Claim:
    """A deadline that is being dealt with here: `due` before, and until when nobody else takes it. Epoch ms."""

    kind: str
    record: pb.Reservation
    due: int
    leased: int

    @property
    def end(self) -> int:
        return from_timestamp(self.record.end_time)


class Inquiries:
    """`committed` is told of every commit."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        client: MeetingsClient,
        lifecycle: Lifecycle,
        committed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._client = client
        self._lifecycle = lifecycle
        self._committed = committed
        self._allowed = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    async def judge_attendance(self, reservation_id: str, due: int) -> bool:
        """Start plus grace has passed, or it is time to ask again: judged when it is known who came; else False."""
        if await self._asks(life.ATTENDANCE, reservation_id, due, is_open, self._ask_who_came):
            return False
        await self._lifecycle.judge_attendance(reservation_id, due)
        return True

    async def reconcile(self, reservation_id: str, due: int) -> bool:
        """The start is near: makes up for events about the meeting that were lost. False: that is under way."""
        return not await self._asks(life.RECONCILIATION, reservation_id, due, has_meeting, self._reconcile)

    async def look_who_stayed(self, reservation_id: str, due: int) -> bool:
        """The start of what somebody looked into before it: whoever is still there has come. False: under way."""
        return not await self._asks(life.ARRIVAL, reservation_id, due, is_open, self._ask_who_stayed)

    async def look_for_proof(self, record: pb.Reservation) -> None:
        """Somebody had entered before the start of what became a no-show: were they still there when it began?

        Raises errors.unavailable while nobody can say.
        """
        answer = await self._participants(record)
        if answer.HasField("first_enter_time"):
            await self._enter(record, from_timestamp(answer.first_enter_time))
        elif answer.unknown_reason in AWAY:
            raise errors.unavailable("the meeting provider")

    async def look_again(self, record: pb.Reservation, *, cancelled: bool = False) -> Seen | None:
        """Shows on the reservation what became of its meeting. Raises errors.RpcError when nobody can say.

        `cancelled`: the provider has said so; then it may no longer show the meeting at all.
        """
        before = meetings.from_proto(record.meeting)
        found = await self._client.get(before.key)
        if found is None and not cancelled:
            return None
        seen = meetings.see_again(found, before) if found else meetings.cancelled(before)
        if meetings.is_news(before, seen):
            await self._lifecycle.notice(record.reservation_id, seen, ACTOR)
        return seen

    async def settle(self) -> None:
        """Waits until everything that is being asked has been answered."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def _asks(
        self,
        kind: str,
        reservation_id: str,
        due: int,
        waits: Callable[[pb.Reservation], bool],
        ask: Callable[[Claim], Awaitable[None]],
    ) -> bool:
        """Whether there is something to ask; then it is asked, here or by whoever was faster."""
        leased = self._clock.now() + LEASE

        def claim(connection: Connection) -> tuple[pb.Reservation | None, bool]:
            # looked at in the transaction that claims: who was faster may have been answered, and put `due` back
            record = store.read_reservation(connection, reservation_id)
            if record is None or not waits(record):
                return None, False
            return record, store.move_deadline(connection, kind, reservation_id, due, leased)

        record, mine = await self._database.write(claim)
        if record and mine:
            task = asyncio.create_task(self._attempt(Claim(kind, record, due, leased), ask))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return record is not None

    async def _attempt(self, claim: Claim, ask: Callable[[Claim], Awaitable[None]]) -> None:
        try:
            async with self._allowed:
                if renewed := await self._renew(claim):
                    await ask(renewed)
        except Exception as error:
            # the deadline comes again when its lease is over
            log.warning("%s of %s: %s", claim.kind, claim.record.reservation_id, error)

    async def _renew(self, claim: Claim) -> Claim | None:
        """None when it has waited so long for its turn that it was claimed again, here or by another replica."""
        leased = self._clock.now() + LEASE
        key = (claim.kind, claim.record.reservation_id, claim.leased)
        mine = await self._database.write(lambda c: store.move_deadline(c, *key, leased))
        return replace(claim, leased=leased) if mine else None

    async def _ask_who_came(self, claim: Claim) -> None:
        record = claim.record
        answer = await self._participants(record)
        known = answer.knowledge == meeting_pb2.KNOWLEDGE_KNOWN
        if known and answer.HasField("first_enter_time"):
            await self._enter(record, from_timestamp(answer.first_enter_time))
        elif answer.unknown_reason != GATEWAY_AWAY and await self._is_cancelled(record):
            await self._lifecycle.lapse(record.reservation_id, LAPSED)
        else:
            await self._keep(claim, answer, known=known)

    async def _ask_who_stayed(self, claim: Claim) -> None:
        """Nobody: the deadline after the start judges. Unknown: asked again until then."""
        answer = await self._participants(claim.record)
        if answer.HasField("first_enter_time"):
            await self._enter(claim.record, from_timestamp(answer.first_enter_time))
            return
        later = self._clock.now() + MINUTE
        again = answer.knowledge != meeting_pb2.KNOWLEDGE_KNOWN and later < window(claim.record)[1]
        await self._move(claim, later if again else None)

    async def _participants(self, record: pb.Reservation) -> ListParticipantsResponse:
        return await self._client.participants(meetings.from_key(record.meeting.key), *window(record))

    async def _enter(self, record: pb.Reservation, first: int) -> None:
        """An older gateway says when whoever stayed had entered, which may be before that counts."""
        entered = max(first, window(record)[0])
        evidence = to_evidence(record, self._clock.now(), ListParticipantsResponse(), known=True)
        await self._lifecycle.report_attendance(record.reservation_id, entered, ACTOR, evidence)

    async def _is_cancelled(self, record: pb.Reservation) -> bool:
        try:
            seen = await self.look_again(record)
        except errors.RpcError:
            return False
        return seen is not None and seen.state == meetings.CANCELLED

    async def _keep(self, claim: Claim, answer: ListParticipantsResponse, *, known: bool) -> None:
        """Nobody: judged at once, as of when it was due. Unknown: asked again, and given up after the end."""
        now = self._clock.now()
        evidence = to_evidence(claim.record, now, answer, known=known)
        later = claim.due if known else next_time(claim, now)
        await self._database.write(
            lambda c: store.keep_evidence(c, claim.record.reservation_id, evidence, claim.leased, later, claim.end)
        )
        self._committed()

    async def _reconcile(self, claim: Claim) -> None:
        record, now = claim.record, self._clock.now()
        try:
            seen = await self.look_again(record)
        except errors.RpcError:
            later = now + MINUTE
            if later < from_timestamp(record.start_time):  # the deadline after the start looks again
                await self._move(claim, later)
                return
            seen = None
        if seen and seen.state == meetings.CANCELLED:
            await self._lifecycle.lapse(record.reservation_id, LAPSED)
        await self._move(claim, None)

    async def _move(self, claim: Claim, later: int | None) -> None:
        key = (claim.kind, claim.record.reservation_id, claim.leased)
        await self._database.write(lambda c: store.settle_deadline(c, *key, later))
        self._committed()


class Reports:
    """What the gateway reports about meetings: late, twice, in any order, or not at all."""

    def __init__(self, database: Database, lifecycle: Lifecycle, inquiries: Inquiries) -> None:
        self._database = database
        self._lifecycle = lifecycle
        self._inquiries = inquiries

    async def entered(self, key: Key, enter_time: int) -> None:
        """A proof for every reservation that it can belong to, no-shows too."""
        near = (enter_time - DAY, enter_time + DAY)
        for record in await self._database.read(lambda c: store.read_reservations_of(c, key, near)):
            try:
                if record.state == pb.RESERVATION_STATE_NO_SHOW and is_early(record, enter_time):
                    await self._inquiries.look_for_proof(record)
                else:
                    await self._lifecycle.report_attendance(record.reservation_id, enter_time, ACTOR)
            except errors.RpcError as error:
                if error.code not in REFUSED:
                    raise
                log.info("no entry into %s: %s", record.reservation_id, error)

    async def changed(self, key: Key, *, cancelled: bool) -> None:
        """Raises errors.RpcError while nobody can say what it is like now: to be told again."""
        for record in await self._database.read(lambda c: store.read_reservations_of(c, key)):
            await self._inquiries.look_again(record, cancelled=cancelled)


def has_meeting(record: pb.Reservation) -> bool:
    return record.HasField("meeting")


def is_open(record: pb.Reservation) -> bool:
    """It must still be asked who came; evidence of an earlier ask counts only if it was a definite one."""
    waits = record.state == pb.RESERVATION_STATE_CONFIRMED and record.HasField("meeting")
    return waits and record.attendance.knowledge != meeting_pb2.KNOWLEDGE_KNOWN


def window(record: pb.Reservation) -> tuple[int, int]:
    """[since, until), epoch ms: from when being inside counts until the release, that moment included, or the end."""
    until = from_timestamp(record.end_time)
    if record.HasField("release_time"):
        until = min(until, from_timestamp(record.release_time) + 1)
    return attendance_start(record), until


def next_time(claim: Claim, now: int) -> int | None:
    """Growing pauses, and once more at the end; None when it was asked at or after the end and is still unknown."""
    if claim.due >= claim.end:
        return None
    pause: int = min(MINUTE * 2**claim.record.attendance.ask_count, LONGEST_PAUSE)
    return min(now + pause, max(claim.end, now + MINUTE))


def to_evidence(record: pb.Reservation, now: int, answer: ListParticipantsResponse, *, known: bool) -> dict[str, Any]:
    """The columns of a reservation that keep what the gateway said."""
    return {
        "attendance": "KNOWN" if known else "UNKNOWN",
        "ask_time": now,
        "ask_count": record.attendance.ask_count + 1,
        "unknown_reason": answer.unknown_reason,
    }
