"""New requests for rooms: concurrent ones are gathered, decided with one question and stored in one commit.

A request that comes alone is served at once. A batch holds at most one request an account, so what a decision rests on
cannot change inside it; what changes it from outside is noticed at the commit, and the request is decided again. One
batch is served at a time: the pool and the accounts stay in memory from one to the next, and each transaction brings
them up to date.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import alternatives, answers, meetings, requests, reservations
from services.booking.accounts import AccountState, KnownAccounts, tell_more
from services.booking.alternatives import RefusedRequest
from services.booking.decisions import More, PolicyAnswer, compose_question
from services.booking.events import to_outcome
from services.booking.meetings import Holder, OccurrenceKey, read_holders
from services.booking.pool import CurrentPool, Pool
from services.booking.requests import ReservationInput
from services.booking.reservations import DecidedRequest
from services.booking.transactions import ATTEMPTS, Transactions
from services.platform.clock import DAY, to_timestamp
from services.platform.data.database import ConflictError, Database
from services.platform.observing import metrics, traces
from services.platform.serving import errors
from services.platform.tasks import until_cancelled, wait_at_most
from services.platform.text.messages import message

log = logging.getLogger(__name__)

BATCH = 64
GATHER_SECONDS = 0.004
"""So long a batch may wait to become as large as the one before, if that was of more than one: those who were answered
just now ask again, and a batch costs nearly as much as it would with them."""
LOOK_AHEAD = 8 * DAY

DECISIONS = metrics.counter("yunhui_booking_decisions_total", "requests that were decided and stored", "effect")
BATCHES = metrics.histogram("yunhui_booking_batch_requests", "requests in one batch", buckets=metrics.SIZES)
WAITS = metrics.histogram("yunhui_booking_queue_seconds", "how long a request waited for its batch")

Reply = api.CreateReservationResponse | api.CheckReservationResponse


@dataclass(frozen=True, eq=False, slots=True)
class PendingRequest:
    """A request in the queue, and where its answer goes: of CreateReservation, or without `store` of a mere check."""

    wanted: ReservationInput
    store: bool
    attempts: int = 0
    reply: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    trace: str = field(default_factory=traces.current)
    arrival: float = field(default_factory=time.perf_counter)

    def resolve(self, result: Reply | Exception) -> None:
        if self.reply.done():  # the caller has gone
            return
        if isinstance(result, Exception):
            self.reply.set_exception(result)
        else:
            self.reply.set_result(result)


@dataclass(frozen=True, slots=True)
class BatchSnapshot:
    """Everything that a batch rests on, read at one moment."""

    accounts: dict[str, AccountState]
    pool: Pool
    answers: dict[answers.RequestKey, answers.Stored]
    holders: dict[OccurrenceKey, Holder]


class Admission:
    """Gathers, decides, stores."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._pool = CurrentPool()
        self._accounts = KnownAccounts()
        self._waiting: deque[PendingRequest] = deque()
        self._needed = 1
        """So many have to wait before anybody is told that they `arrived`."""
        self._arrived = asyncio.Event()

    async def create(self, wanted: ReservationInput) -> api.CreateReservationResponse:
        """Raises errors.RpcError; then nothing was stored. makings.UnmadeError: its meeting is being unmade."""
        created: api.CreateReservationResponse = await self._enqueue(PendingRequest(wanted, store=True))
        return created

    async def refuse(self, wanted: ReservationInput) -> api.CreateReservationResponse | api.CheckReservationResponse:
        """As `create` for what is refused, or was answered before; else as `check`: its meeting is yet to be made."""
        answer: api.CreateReservationResponse | api.CheckReservationResponse
        answer = await self._enqueue(PendingRequest(wanted, store=True))
        return answer

    async def check(self, wanted: ReservationInput) -> api.CheckReservationResponse:
        """What `create` would answer, and the errors that it would raise; `wanted` is without a request_id."""
        checked: api.CheckReservationResponse = await self._enqueue(PendingRequest(wanted, store=False))
        return checked

    def _enqueue(self, pending: PendingRequest) -> asyncio.Future[Any]:
        self._waiting.append(pending)
        if len(self._waiting) >= self._needed:
            self._arrived.set()
        return pending.reply

    async def run(self) -> None:
        last = 0
        for _ in until_cancelled():
            batch = await self._gather(last)
            last = len(batch)
            try:
                with traces.batch("admission batch", [pending.trace for pending in batch]):
                    await self._serve(batch)
            except Exception as error:
                # nobody may be left waiting, whatever happened
                for pending in batch:
                    pending.resolve(error)

    async def _gather(self, last: int) -> list[PendingRequest]:
        """The next batch; `last` is how many the one was of that has just been answered."""
        if last > 1 and self._wait_for(last):
            await wait_at_most(self._arrived, GATHER_SECONDS)
        if self._wait_for(1):
            await self._arrived.wait()
        return self._take()

    def _wait_for(self, number: int) -> bool:
        """Whether so many are yet to come; `arrived` says when they have."""
        self._needed = number
        self._arrived.clear()
        return len(self._waiting) < number

    def _take(self) -> list[PendingRequest]:
        """The longest waiting requests, one an account."""
        batch: dict[str, PendingRequest] = {}
        later: deque[PendingRequest] = deque()
        while self._waiting and len(batch) < BATCH:
            pending = self._waiting.popleft()
            if pending.wanted.account_id in batch:
                later.append(pending)
            else:
                batch[pending.wanted.account_id] = pending
        self._waiting.extendleft(reversed(later))
        observe_batch(batch.values())
        return list(batch.values())

    async def _serve(self, batch: list[PendingRequest]) -> None:
        now = self._transactions.clock.now()
        snapshot = await self._read_snapshot(batch, now)
        batch = [pending for pending in batch if not self._answer_early(pending, snapshot, now)]
        accounts = [snapshot.accounts[pending.wanted.account_id] for pending in batch]
        questions = [to_question(pending.wanted, snapshot, self._transactions.policy.window, now) for pending in batch]
        with traces.span("ask the policy", kind="client"):
            policy_answers = await self._ask(accounts, questions, now)
        rooms = [None if pending.store else first_free(pending.wanted, snapshot.pool) for pending in batch]
        others = await self._find_alternatives(batch, accounts, questions, policy_answers, now)
        decided: list[tuple[PendingRequest, DecidedRequest]] = []
        answered = zip(batch, questions, policy_answers, rooms, others, strict=True)
        for pending, question, answer, room, offered in answered:
            if isinstance(answer, errors.RpcError):
                pending.resolve(answer)
            elif pending.store and (is_refused(answer) or not pending.wanted.lacks_meeting):
                found = to_decided(pending.wanted, snapshot, question, answer, offered, pending.trace)
                decided.append((pending, found))
            else:
                pending.resolve(to_check(room, answer, offered))
        await self._store(decided, now)

    async def _ask(
        self, accounts: list[AccountState], questions: list[pdp.DecideRequest], now: int
    ) -> list[PolicyAnswer]:
        if not questions:
            return []
        more = wider(self._transactions.database, accounts, questions, now)
        return await self._transactions.policy.decide(questions, more)

    async def _find_alternatives(
        self,
        batch: list[PendingRequest],
        accounts: list[AccountState],
        questions: list[pdp.DecideRequest],
        policy_answers: list[PolicyAnswer],
        now: int,
    ) -> list[list[pb.Alternative]]:
        """For each request, in order; only a refusal has any."""
        denied = [is_denied(answer) for answer in policy_answers]
        if not any(denied):
            return [[] for _ in batch]
        refused = [
            RefusedRequest(pending.wanted, account, question)
            for pending, account, question, is_refused in zip(batch, accounts, questions, denied, strict=True)
            if is_refused
        ]
        found = iter(await alternatives.find(self._transactions, self._pool, refused, now))
        return [next(found) if is_refused else [] for is_refused in denied]

    async def _read_snapshot(self, batch: list[PendingRequest], now: int) -> BatchSnapshot:
        wanted, window = [pending.wanted for pending in batch], self._transactions.policy.window
        return await self._transactions.read_current(
            lambda connection: read_snapshot(connection, self._pool, self._accounts, wanted, window, now),
            lambda snapshot: any(snapshot.accounts[each.account_id].overdue for each in wanted),
        )

    def _answer_early(self, pending: PendingRequest, snapshot: BatchSnapshot, now: int) -> bool:
        """Answers what needs no decision: a repeated request, a time that has passed, an unknown room or account."""
        try:
            reply = early_reply(pending.wanted, snapshot, now)
        except errors.RpcError as error:
            pending.resolve(error)
            return True
        if reply:
            pending.resolve(reply)
        return reply is not None

    async def _store(self, decided: list[tuple[PendingRequest, DecidedRequest]], now: int) -> None:
        if not decided:
            return
        results = await self._commit([each for _, each in decided], now)
        for (pending, request), result in zip(decided, results, strict=True):
            if result is None:
                self._decide_again(pending)
            else:
                pending.resolve(result)
                if not isinstance(result, Exception):
                    self._remember(request, result)
                    DECISIONS.count(policy.Effect.Name(request.decision.effect).removeprefix("EFFECT_"))
        self._transactions.committed()

    def _remember(self, decided: DecidedRequest, reply: api.CreateReservationResponse) -> None:
        """What the commit has made of the account: its next request finds it in memory."""
        if reservations.advances(decided):
            accepted = reply.reservation if reply.HasField("reservation") else None
            decided.account.advanced(decided.profile, decided.roles, accepted)
        self._accounts.keep(decided.profile.account_id, decided.account)

    async def _commit(
        self, batch: list[DecidedRequest], now: int
    ) -> list[api.CreateReservationResponse | Exception | None]:
        """One transaction; if it fails, one each, so that only the guilty request suffers."""
        database = self._transactions.database
        try:
            with traces.span("commit"):
                return list(
                    await database.write(lambda connection: reservations.commit(connection, self._pool, batch, now))
                )
        except errors.RpcError:
            raise
        except Exception as error:
            if len(batch) == 1:
                return [None if isinstance(error, ConflictError) else error]
            log.warning("a batch of %d was not stored, each is tried alone: %s", len(batch), type(error).__name__)
            return [await self._commit_alone(each, now) for each in batch]

    async def _commit_alone(
        self, decided: DecidedRequest, now: int
    ) -> api.CreateReservationResponse | Exception | None:
        try:
            [result] = await self._commit([decided], now)
        except errors.RpcError as error:  # those before it are stored, and are told so
            return error
        return result

    def _decide_again(self, pending: PendingRequest) -> None:
        if pending.attempts + 1 < ATTEMPTS:
            self._enqueue(replace(pending, attempts=pending.attempts + 1))
        else:
            words = message("too many at once: please try again")
            pending.resolve(errors.failure(grpc.StatusCode.ABORTED, "CONTENTION", words))


def observe_batch(batch: Collection[PendingRequest]) -> None:
    if metrics.on() and batch:
        now = time.perf_counter()
        BATCHES.observe(value=len(batch))
        for pending in batch:
            WAITS.observe(value=now - pending.arrival)


def read_snapshot(
    connection: Connection,
    pool: CurrentPool,
    accounts: KnownAccounts,
    batch: Sequence[ReservationInput],
    window: pdp.HistoryWindow | None,
    now: int,
) -> BatchSnapshot:
    """`window`: how far the policy looks; without it whole histories are read."""
    if accounts.connection is not connection:
        # a database that was lost may have lost what was seen of it: a standby took over, a backup was restored
        accounts.forget()
        pool.forget()
        accounts.connection = connection
    timely = [wanted for wanted in batch if now <= wanted.start_time <= now + requests.MAX_AHEAD]  # the others get none
    intervals = [wanted.interval for wanted in timely]
    pool.read(connection, intervals)
    if without := {wanted.interval for wanted in timely if not first_free(wanted, pool)}:
        # then it matters when one becomes free
        pool.read(connection, [*intervals, *((start, end + LOOK_AHEAD) for start, end in without)])
    latest = {wanted.account_id: now for wanted in batch} | {wanted.account_id: wanted.start_time for wanted in timely}
    keys = [(wanted.actor, wanted.request_id) for wanted in batch if wanted.request_id]
    return BatchSnapshot(
        accounts.read(connection, latest, window, now),
        pool,
        answers.read(connection, keys),
        read_holders(connection, [wanted.meeting.key for wanted in batch if wanted.meeting]),
    )


def early_reply(wanted: ReservationInput, snapshot: BatchSnapshot, now: int) -> api.CreateReservationResponse | None:
    """The stored answer of a repeated request; None when it must be decided. Raises errors.RpcError."""
    if earlier := snapshot.answers.get((wanted.actor, wanted.request_id)):
        return answers.replay(earlier, wanted.body_hash, api.CreateReservationResponse)
    requests.check_ahead(wanted.start_time, now)
    account = snapshot.accounts[wanted.account_id]
    if account.overdue:  # its standing is not known: no answer rather than a wrong one
        raise errors.unavailable("policy")
    account.charged(wanted.profile, wanted.roles)  # whoever it is, is known
    check_meeting(wanted, snapshot)
    if wanted.room_id and wanted.room_id not in snapshot.pool.rooms:
        raise errors.not_found("room", message("there is no such room"))
    if wanted.room_id and (seats := snapshot.pool.rooms[wanted.room_id].capacity) < wanted.participant_count:
        raise errors.invalid(
            "room_id",
            message(
                "seats {seats}, but {participant_count} are expected: choose another room",
                seats=seats,
                participant_count=wanted.participant_count,
            ),
        )
    return None


def check_meeting(wanted: ReservationInput, snapshot: BatchSnapshot) -> None:
    """Raises errors.RpcError when its meeting cannot be reserved."""
    if wanted.obstacle:
        raise wanted.obstacle
    holder = snapshot.holders.get(wanted.meeting.key) if wanted.meeting else None
    if holder:
        raise meetings.already_reserved(holder.name_to(wanted.actor))


def to_question(
    wanted: ReservationInput, snapshot: BatchSnapshot, window: pdp.HistoryWindow | None, now: int
) -> pdp.DecideRequest:
    account = snapshot.accounts[wanted.account_id]
    profile, roles = account.charged(wanted.profile, wanted.roles)
    free = snapshot.pool.count_free(*wanted.interval, wanted.participant_count, wanted.room_id)
    subject = pdp.Subject(
        start_time=to_timestamp(wanted.start_time),
        end_time=to_timestamp(wanted.end_time),
        participant_count=wanted.participant_count,
        free_room_count=free,
    )
    if not free and (start := next_free(wanted, snapshot.pool)):
        subject.next_free_time.CopyFrom(to_timestamp(start))
    history = account.told(window, [subject], now)
    return compose_question(pdp.ACTION_CREATE, profile, roles.split(), subject, history, account.member, now)


def wider(
    database: Database, accounts: Sequence[AccountState], questions: Sequence[pdp.DecideRequest], now: int
) -> More:
    """More of the history of each account for its question, for a policy that looks further than it said before."""

    async def more(index: int, window: pdp.HistoryWindow) -> pdp.History:
        question = questions[index]
        return await tell_more(database, accounts[index], question, [question.subject], window, now)

    return more


def next_free(wanted: ReservationInput, pool: Pool) -> int | None:
    start, end = wanted.interval
    return pool.next_free(start, end - start, wanted.participant_count, wanted.room_id, start + LOOK_AHEAD)


def first_free(wanted: ReservationInput, pool: Pool) -> pb.Room | None:
    return pool.first_free(*wanted.interval, wanted.participant_count, wanted.room_id)


def is_refused(decision: policy.Decision) -> bool:
    return decision.effect not in reservations.ACCEPTED


def is_denied(answer: PolicyAnswer) -> bool:
    return isinstance(answer, policy.Decision) and answer.effect == policy.EFFECT_DENY


def to_decided(
    wanted: ReservationInput,
    snapshot: BatchSnapshot,
    question: pdp.DecideRequest,
    decision: policy.Decision,
    offered: list[pb.Alternative],
    trace: str,
) -> DecidedRequest:
    account = snapshot.accounts[wanted.account_id]
    profile, roles = account.charged(wanted.profile, wanted.roles)
    return DecidedRequest(wanted, profile, roles, account, question, decision, offered, trace)


def to_check(
    room: pb.Room | None, decision: policy.Decision, offered: list[pb.Alternative]
) -> api.CheckReservationResponse:
    outcome = to_outcome(policy.Effect.Name(decision.effect))
    reply = api.CheckReservationResponse(outcome=outcome, decision=decision, alternatives=offered)
    if decision.effect == policy.EFFECT_ALLOW and room:
        reply.room.CopyFrom(room)
    return reply
