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
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1.meeting_service_pb2 import ListParticipantsResponse

from services.booking import attendance, deadlines, endings, makings, meetings, states
from services.booking.attendance import is_early
from services.booking.decisions import attendance_start
from services.booking.meetings import OccurrenceKey, SeenOccurrence
from services.booking.meetings_client import GATEWAY_AWAY, MeetingsClient
from services.booking.models import RESERVATION
from services.booking.queries import read_reservation, read_reservations_of
from services.booking.transactions import Transactions
from services.booking.transitions import show_meeting
from services.platform.clock import DAY, MINUTE, from_timestamp
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
class ClaimedDeadline:
    """A deadline that is being dealt with here: `due` before, and until when nobody else takes it. Epoch ms."""

    kind: str
    record: pb.Reservation
    due: int
    leased: int

    @property
    def end(self) -> int:
        return from_timestamp(self.record.end_time)


class AttendanceChecks:
    """Asks, and does what the answers come to."""

    def __init__(self, transactions: Transactions, client: MeetingsClient) -> None:
        self._transactions = transactions
        self._client = client
        self._allowed = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    async def judge_attendance(self, reservation_id: str, due: int) -> bool:
        """Start plus grace has passed, or it is time to ask again: judged when it is known who came; else False."""
        if await self._asks(states.ATTENDANCE, reservation_id, due, is_open, self._ask_who_came):
            return False
        await attendance.judge(self._transactions, reservation_id, due)
        return True

    async def reconcile(self, reservation_id: str, due: int) -> bool:
        """The start is near: makes up for events about the meeting that were lost. False: that is under way."""
        return not await self._asks(states.RECONCILIATION, reservation_id, due, has_meeting, self._reconcile)

    async def check_who_stayed(self, reservation_id: str, due: int) -> bool:
        """The start of what somebody looked into before it: whoever is still there has come. False: under way."""
        return not await self._asks(states.ARRIVAL, reservation_id, due, is_open, self._ask_who_stayed)

    async def find_proof(self, record: pb.Reservation) -> None:
        """Somebody had entered before the start of what became a no-show: were they still there when it began?

        Raises errors.unavailable while nobody can say.
        """
        answer = await self._participants(record)
        if answer.HasField("first_enter_time"):
            await self._enter(record, from_timestamp(answer.first_enter_time))
        elif answer.unknown_reason in AWAY:
            raise errors.unavailable("the meeting provider")

    async def refresh_meeting(self, record: pb.Reservation, *, cancelled: bool = False) -> SeenOccurrence | None:
        """Shows on the reservation what became of its meeting. Raises errors.RpcError when nobody can say.

        `cancelled`: the provider has said so; then it may no longer show the meeting at all.
        """
        before = meetings.from_proto(record.meeting)
        found = await self._client.get(before.key)
        if found is None and not cancelled:
            return None
        seen = meetings.see_again(found, before) if found else meetings.cancelled(before)
        if meetings.is_news(before, seen):
            if record.meeting.made_here:
                await self._require_still(record)
            await show_meeting(self._transactions, record.reservation_id, seen, ACTOR)
        return seen

    async def _require_still(self, record: pb.Reservation) -> None:
        """Raises errors.unavailable while we move its meeting ourselves: what is seen then may not stay."""
        if await self._transactions.database.read(lambda c: makings.is_moving(c, record.reservation_id)):
            raise errors.unavailable(meetings.GATEWAY)

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
        ask: Callable[[ClaimedDeadline], Awaitable[None]],
    ) -> bool:
        """Whether there is something to ask; then it is asked, here or by whoever was faster."""
        leased = self._transactions.clock.now() + LEASE

        def claim(connection: Connection) -> tuple[pb.Reservation | None, bool]:
            # looked at in the transaction that claims: who was faster may have been answered, and put `due` back
            record = read_reservation(connection, reservation_id)
            if record is None or not waits(record):
                return None, False
            return record, deadlines.move(connection, kind, reservation_id, due, leased)

        record, mine = await self._transactions.database.write(claim)
        if record and mine:
            task = asyncio.create_task(self._attempt(ClaimedDeadline(kind, record, due, leased), ask))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return record is not None

    async def _attempt(self, claim: ClaimedDeadline, ask: Callable[[ClaimedDeadline], Awaitable[None]]) -> None:
        try:
            async with self._allowed:
                if renewed := await self._renew(claim):
                    await ask(renewed)
        except Exception as error:
            # the deadline comes again when its lease is over
            log.warning("%s of %s: %s", claim.kind, claim.record.reservation_id, error)

    async def _renew(self, claim: ClaimedDeadline) -> ClaimedDeadline | None:
        """None when it has waited so long for its turn that it was claimed again, here or by another replica."""
        leased = self._transactions.clock.now() + LEASE
        key = (claim.kind, claim.record.reservation_id, claim.leased)
        mine = await self._transactions.database.write(lambda c: deadlines.move(c, *key, leased))
        return replace(claim, leased=leased) if mine else None

    async def _ask_who_came(self, claim: ClaimedDeadline) -> None:
        record = claim.record
        answer = await self._participants(record)
        known = answer.knowledge == meeting_pb2.KNOWLEDGE_KNOWN
        if known and answer.HasField("first_enter_time"):
            await self._enter(record, from_timestamp(answer.first_enter_time))
        elif answer.unknown_reason != GATEWAY_AWAY and await self._is_cancelled(record):
            await endings.lapse(self._transactions, record.reservation_id, LAPSED)
        else:
            await self._keep(claim, answer, known=known)

    async def _ask_who_stayed(self, claim: ClaimedDeadline) -> None:
        """Nobody: the deadline after the start judges. Unknown: asked again until then."""
        answer = await self._participants(claim.record)
        if answer.HasField("first_enter_time"):
            await self._enter(claim.record, from_timestamp(answer.first_enter_time))
            return
        later = self._transactions.clock.now() + MINUTE
        again = answer.knowledge != meeting_pb2.KNOWLEDGE_KNOWN and later < window(claim.record)[1]
        await self._move(claim, later if again else None)

    async def _participants(self, record: pb.Reservation) -> ListParticipantsResponse:
        return await self._client.participants(meetings.from_key(record.meeting.key), *window(record))

    async def _enter(self, record: pb.Reservation, first: int) -> None:
        """An older gateway says when whoever stayed had entered, which may be before that counts."""
        entered = max(first, window(record)[0])
        evidence = to_evidence(record, self._transactions.clock.now(), ListParticipantsResponse(), known=True)
        await attendance.report(self._transactions, record.reservation_id, entered, ACTOR, evidence)

    async def _is_cancelled(self, record: pb.Reservation) -> bool:
        try:
            seen = await self.refresh_meeting(record)
        except errors.RpcError:
            return False
        return seen is not None and seen.state == meetings.CANCELLED

    async def _keep(self, claim: ClaimedDeadline, answer: ListParticipantsResponse, *, known: bool) -> None:
        """Nobody: judged at once, as of when it was due. Unknown: asked again, and given up after the end."""
        now = self._transactions.clock.now()
        evidence = to_evidence(claim.record, now, answer, known=known)
        later = claim.due if known else next_time(claim, now)
        await self._transactions.commit(lambda c: keep_evidence(c, claim, evidence, later))

    async def _reconcile(self, claim: ClaimedDeadline) -> None:
        record, now = claim.record, self._transactions.clock.now()
        try:
            seen = await self.refresh_meeting(record)
        except errors.RpcError:
            later = now + MINUTE
            if later < from_timestamp(record.start_time):  # the deadline after the start looks again
                await self._move(claim, later)
                return
            seen = None
        if seen and seen.state == meetings.CANCELLED:
            await endings.lapse(self._transactions, record.reservation_id, LAPSED)
        await self._move(claim, None)

    async def _move(self, claim: ClaimedDeadline, later: int | None) -> None:
        key = (claim.kind, claim.record.reservation_id, claim.leased)
        await self._transactions.commit(lambda c: deadlines.settle(c, *key, later))


class MeetingEvents:
    """What the gateway reports about meetings: late, twice, in any order, or not at all."""

    def __init__(self, transactions: Transactions, checks: AttendanceChecks) -> None:
        self._transactions = transactions
        self._checks = checks

    async def entered(self, key: OccurrenceKey, enter_time: int) -> None:
        """A proof for every reservation that it can belong to, no-shows too."""
        near = (enter_time - DAY, enter_time + DAY)
        for record in await self._transactions.database.read(lambda c: read_reservations_of(c, key, near)):
            try:
                if record.state == pb.RESERVATION_STATE_NO_SHOW and is_early(record, enter_time):
                    await self._checks.find_proof(record)
                else:
                    await attendance.report(self._transactions, record.reservation_id, enter_time, ACTOR)
            except errors.RpcError as error:
                if error.code not in REFUSED:
                    raise
                log.info("no entry into %s: %s", record.reservation_id, error)

    async def changed(self, key: OccurrenceKey, *, cancelled: bool) -> None:
        """Raises errors.RpcError while nobody can say what it is like now: to be told again."""
        for record in await self._transactions.database.read(lambda c: read_reservations_of(c, key)):
            await self._checks.refresh_meeting(record, cancelled=cancelled)


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


def next_time(claim: ClaimedDeadline, now: int) -> int | None:
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


def keep_evidence(connection: Connection, claim: ClaimedDeadline, evidence: dict[str, Any], later: int | None) -> None:
    """What was said about who came, unless another was faster. `later` None: it is not asked again before the end."""
    reservation_id = claim.record.reservation_id
    if not deadlines.settle(connection, claim.kind, reservation_id, claim.leased, later):
        return
    mine = RESERVATION.c.reservation_id == reservation_id
    connection.execute(sa.update(RESERVATION).where(mine).values(evidence))
    if later is None:
        deadlines.set_due(connection, states.COMPLETION, reservation_id, claim.end)
