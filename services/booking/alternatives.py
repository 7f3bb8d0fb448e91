"""Other times for a refused request: near, with a room free, and each proved by asking the policy."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking.accounts import AccountState, tell_more
from services.booking.pool import CurrentPool, Pool
from services.booking.requests import ReservationInput
from services.booking.transactions import Transactions
from services.platform.clock import DAY, MINUTE, to_timestamp
from services.platform.serving import errors

log = logging.getLogger(__name__)

OFFERED = 3
STEP = 30 * MINUTE
STEPS = 6
DAYS = 7


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """With the question that was answered with no, and the account whose history it tells."""

    wanted: ReservationInput
    account: AccountState
    question: pdp.DecideRequest


@dataclass(frozen=True, slots=True)
class Candidate:
    alternative: pb.Alternative
    subject: pdp.Subject


async def find(
    transactions: Transactions,
    pool: CurrentPool,
    refused: list[RefusedRequest],
    now: int,
) -> list[list[pb.Alternative]]:
    """Up to three for each refused request, nearest first. None at all when the policy cannot be asked just now."""
    near = [
        (start, start + each.wanted.end_time - each.wanted.start_time)
        for each in refused
        for start in near_starts(each.wanted, now)
    ]
    await transactions.database.read(lambda c: pool.read(c, near))
    offered = [list(candidates(each.wanted, each.question, pool, now)) for each in refused]

    async def more(index: int, window: pdp.HistoryWindow) -> pdp.History:
        each, subjects = refused[index], [one.subject for one in offered[index]]
        return await tell_more(transactions.database, each.account, each.question, subjects, window, now)

    asked = [
        pdp.AllowedSubjectsRequest(question=each.question, candidates=[one.subject for one in group], most=OFFERED)
        for each, group in zip(refused, offered, strict=True)
    ]
    for each, one in zip(asked, refused, strict=True):
        if each.candidates and each.question.history.HasField("from_time"):  # of the time that was asked for
            each.question.history.CopyFrom(one.account.told(transactions.policy.window, each.candidates, now))
    try:
        proved = await transactions.policy.allowed(asked, more)
    except errors.RpcError:
        log.warning("the policy is away: a refusal goes out without alternatives")
        return [[] for _ in refused]
    return [[group[index].alternative for index in indices] for group, indices in zip(offered, proved, strict=True)]


def near_starts(wanted: ReservationInput, now: int) -> list[int]:
    """Epoch ms, nearest first, later before earlier: the same time, half hours around it, the same on other days."""
    shifts = [0, *(step * STEP for step in range(1, STEPS + 1)), *(days * DAY for days in range(1, DAYS + 1))]
    starts = {wanted.start_time + sign * shift for shift in shifts for sign in (1, -1)}
    return sorted(
        (start for start in starts if start > now or start == wanted.start_time),
        key=lambda start: (abs(start - wanted.start_time), -start),
    )


def candidates(wanted: ReservationInput, question: pdp.DecideRequest, pool: Pool, now: int) -> Iterator[Candidate]:
    """Those with a room free: the one asked for, else the smallest that fits."""
    length = wanted.end_time - wanted.start_time
    for start in near_starts(wanted, now):
        times = (start, start + length, wanted.participant_count)
        room = (wanted.room_id and pool.first_free(*times, wanted.room_id)) or pool.first_free(*times)
        if room:
            yield to_candidate(question, start, start + length, room)


def to_candidate(question: pdp.DecideRequest, start: int, end: int, room: pb.Room) -> Candidate:
    since, until = to_timestamp(start), to_timestamp(end)
    moved = pdp.Subject(
        start_time=since,
        end_time=until,
        participant_count=question.subject.participant_count,
        free_room_count=1,
    )
    return Candidate(pb.Alternative(room=room, start_time=since, end_time=until), moved)
