"""Where requests for rooms come in: concurrent ones are gathered, decided with one question and stored in one commit.

A lone request never waits. A batch holds at most one request an account, so what a decision rests on cannot change
inside it; what changes it from outside is noticed at the commit, and the request is decided again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

import grpc
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import alternatives, answers, meetings, requests, reservations, store
from services.booking.events import new_id, to_outcome
from services.booking.meetings import Key
from services.booking.policy_client import PolicyClient, Verdict
from services.booking.pool import Pool
from services.booking.questions import compose_question
from services.booking.requests import Wish
from services.booking.reservations import Decided
from services.booking.store import AccountState, Holder, Profile
from services.platform.clock import DAY, Clock, to_timestamp
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database
from services.platform.observing import metrics, traces
from services.platform.serving import errors
from services.platform.tasks import until_cancelled

log = logging.getLogger(__name__)

BATCH = 64
LANES = 2
"""While one batch is committed, the next is read and decided."""
ATTEMPTS = 8
LOOK_AHEAD = 8 * DAY

DECISIONS = metrics.counter("yunhui_booking_decisions_total", "requests that were decided and stored", "effect")
BATCHES = metrics.histogram("yunhui_booking_batch_requests", "requests in one batch", buckets=metrics.SIZES)
WAITS = metrics.histogram("yunhui_booking_queue_seconds", "how long a request waited for its batch")

Reply = api.CreateReservationResponse | api.CheckReservationResponse


@dataclass(eq=False, slots=True)
class Ask:
    """One request under way. `profile` None: of an account that must be known already.

    `obstacle`: why the meeting could not be looked up; told unless the request is a repeated one. `by`: who asks for
    another, which is noted.
    """

    wish: Wish
    actor: str
    account_id: str
    profile: Profile | None
    roles: str
    store: bool
    reply: asyncio.Future[Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    attempts: int = 0
    obstacle: errors.RpcError | None = None
    by: audit.Caller | None = None
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
class Situation:
    """Everything that a batch rests on, read at one moment."""

    accounts: dict[str, AccountState]
    pool: Pool
    answers: dict[answers.Key, answers.Stored]
    holders: dict[Key, Holder]


class Intake:
    """Gathers, decides, stores. `catch_up` deals with deadlines that are due; `committed` is told of every commit."""

    def __init__(
        self,
        database: Database,
        policy_client: PolicyClient,
        clock: Clock,
        catch_up: Callable[[], Awaitable[None]],
        committed: Callable[[], None],
    ) -> None:
        self._database = database
        self._policy = policy_client
        self._clock = clock
        self._catch_up = catch_up
        self._committed = committed
        self._waiting: deque[Ask] = deque()
        self._under_way: set[str] = set()
        self._arrived = asyncio.Event()

    async def submit(self, ask: Ask) -> Reply:
        """Raises errors.RpcError; then nothing was stored."""
        self._enqueue(ask)
        return await ask.reply

    def _enqueue(self, ask: Ask) -> None:
        self._waiting.append(ask)
        self._arrived.set()

    async def run(self) -> None:
        await asyncio.gather(*(self._serve_batches() for _ in range(LANES)))

    async def _serve_batches(self) -> None:
        for _ in until_cancelled():
            await self._arrived.wait()
            batch = self._take()
            if not batch:  # all that wait, wait for what is under way
                continue
            try:
                with traces.batch("intake batch", [ask.trace for ask in batch.values()]):
                    await self._serve(list(batch.values()))
            except Exception as error:
                # nobody may be left waiting, whatever happened
                for ask in batch.values():
                    ask.resolve(error)
            self._under_way -= batch.keys()
            if self._waiting:
                self._arrived.set()

    def _take(self) -> dict[str, Ask]:
        """The longest waiting requests by account, of accounts that have none under way."""
        batch: dict[str, Ask] = {}
        later: deque[Ask] = deque()
        while self._waiting and len(batch) < BATCH:
            ask = self._waiting.popleft()
            if ask.account_id in batch or ask.account_id in self._under_way:
                later.append(ask)
            else:
                batch[ask.account_id] = ask
        if not self._waiting:
            self._arrived.clear()
        self._waiting.extendleft(reversed(later))
        self._under_way |= batch.keys()
        note_batch(batch.values())
        return batch

    async def _serve(self, asks: list[Ask]) -> None:
        now = self._clock.now()
        situation = await self._survey(asks, now)
        asks = [ask for ask in asks if not self._settle_early(ask, situation, now)]
        questions = [to_question(ask, situation, now) for ask in asks]
        with traces.span("ask the policy", kind="client"):
            verdicts = await self._policy.decide(questions) if questions else []
        others = await self._alternatives(asks, questions, verdicts, now)
        decided: list[tuple[Ask, Decided]] = []
        for ask, question, verdict, offered in zip(asks, questions, verdicts, others, strict=True):
            if isinstance(verdict, errors.RpcError):
                ask.resolve(verdict)
            elif ask.store:
                decided.append((ask, to_decided(ask, situation, question, verdict, offered)))
            else:
                ask.resolve(to_check(ask, situation, verdict, offered))
        await self._store(decided, now)

    async def _alternatives(
        self, asks: list[Ask], questions: list[pdp.DecideRequest], verdicts: list[Verdict], now: int
    ) -> list[list[pb.Alternative]]:
        """For each ask, in order; only a refusal has any."""
        refused = [
            is_refused and (ask.wish, question)
            for ask, question, is_refused in zip(asks, questions, map(is_denied, verdicts), strict=True)
        ]
        found = iter(await alternatives.find(self._database, self._policy, [each for each in refused if each], now))
        return [next(found) if each else [] for each in refused]

    async def _survey(self, asks: list[Ask], now: int) -> Situation:
        situation = await self._database.read(lambda connection: survey(connection, asks, now))
        if any(situation.accounts[ask.account_id].overdue for ask in asks):
            try:
                await self._catch_up()  # a suspension may hang on it
            except Exception as error:
                # whose deadlines are still due is told so below; the others do not depend on them
                log.warning("deadlines could not be dealt with: %s", error)
            situation = await self._database.read(lambda connection: survey(connection, asks, now))
        return situation

    def _settle_early(self, ask: Ask, situation: Situation, now: int) -> bool:
        """Answers what needs no decision: a repeated request, a time that has passed, an unknown room or account."""
        try:
            reply = early_reply(ask, situation, now)
        except errors.RpcError as error:
            ask.resolve(error)
            return True
        if reply:
            ask.resolve(reply)
        return reply is not None

    async def _store(self, decided: list[tuple[Ask, Decided]], now: int) -> None:
        if not decided:
            return
        results = await self._commit([each for _, each in decided], now)
        for (ask, decision), result in zip(decided, results, strict=True):
            if result is None:
                self._decide_again(ask)
            else:
                ask.resolve(result)
                if not isinstance(result, Exception):
                    DECISIONS.count(policy.Effect.Name(decision.decision.effect).removeprefix("EFFECT_"))
        self._committed()

    async def _commit(self, batch: list[Decided], now: int) -> list[Reply | Exception | None]:
        """One transaction; if it fails, one each, so that only the guilty request suffers."""
        try:
            with traces.span("commit"):
                return list(await self._database.write(lambda connection: reservations.commit(connection, batch, now)))
        except errors.RpcError:
            raise
        except Exception as error:
            if len(batch) == 1:
                return [None if isinstance(error, ConflictError) else error]
            log.warning("a batch of %d was not stored, each is tried alone: %s", len(batch), type(error).__name__)
            return [result for each in batch for result in await self._commit([each], now)]

    def _decide_again(self, ask: Ask) -> None:
        ask.attempts += 1
        if ask.attempts < ATTEMPTS:
            self._enqueue(ask)
        else:
            words = "too many at once: please try again", "同时请求的人太多：请重试"
            ask.resolve(errors.failure(grpc.StatusCode.ABORTED, "CONTENTION", *words))


def note_batch(asks: Collection[Ask]) -> None:
    if metrics.on() and asks:
        now = time.perf_counter()
        BATCHES.observe(value=len(asks))
        for ask in asks:
            WAITS.observe(value=now - ask.arrival)


def survey(connection: Connection, asks: list[Ask], now: int) -> Situation:
    wanted = {ask: (ask.wish.start_time, ask.wish.end_time) for ask in asks}
    pool = store.read_pool(connection, wanted.values())
    later = {ask: (start, end + LOOK_AHEAD) for ask, (start, end) in wanted.items() if not free_rooms(ask, pool)}
    if later:  # then it matters when one becomes free
        pool = store.read_pool(connection, (wanted | later).values())
    keys = [(ask.actor, ask.wish.request_id) for ask in asks if ask.store and ask.wish.request_id]
    return Situation(
        store.read_accounts(connection, [ask.account_id for ask in asks], now),
        pool,
        answers.read(connection, keys),
        store.read_holders(connection, [ask.wish.meeting.key for ask in asks if ask.wish.meeting]),
    )


def early_reply(ask: Ask, situation: Situation, now: int) -> Reply | None:
    """The stored answer of a repeated request; None when it must be decided. Raises errors.RpcError."""
    wish = ask.wish
    if earlier := situation.answers.get((ask.actor, wish.request_id)):
        return answers.replay(earlier, wish.body_hash, api.CreateReservationResponse)
    requests.check_ahead(wish.start_time, now)
    if situation.accounts[ask.account_id].overdue:  # its standing is not known: no answer rather than a wrong one
        raise errors.unavailable("policy")
    if ask.profile is None and situation.accounts[ask.account_id].profile is None:
        raise errors.not_found("account", "没有这个账号")
    check_meeting(ask, situation)
    if wish.room_id and wish.room_id not in situation.pool.rooms:
        raise errors.not_found("room", "没有这间会议室")
    if wish.room_id and (seats := situation.pool.rooms[wish.room_id].capacity) < wish.participant_count:
        raise errors.invalid(
            "room_id",
            f"seats {seats}, but {wish.participant_count} are expected: choose another room",
            f"最多容纳 {seats} 人，而预计有 {wish.participant_count} 人：请另选会议室",
        )
    return None


def check_meeting(ask: Ask, situation: Situation) -> None:
    """Raises errors.RpcError when its meeting cannot be reserved."""
    if ask.obstacle:
        raise ask.obstacle
    holder = situation.holders.get(ask.wish.meeting.key) if ask.wish.meeting else None
    if holder:
        raise meetings.already_reserved(holder.name_to(ask.actor))


def to_question(ask: Ask, situation: Situation, now: int) -> pdp.DecideRequest:
    wish, account = ask.wish, situation.accounts[ask.account_id]
    profile, roles = charged(ask, account)
    free = free_rooms(ask, situation.pool)
    subject = pdp.Subject(
        start_time=to_timestamp(wish.start_time),
        end_time=to_timestamp(wish.end_time),
        participant_count=wish.participant_count,
        free_room_count=len(free),
    )
    question = compose_question(pdp.ACTION_CREATE, profile, roles.split(), subject, account.history, now, new_id("dec"))
    length = wish.end_time - wish.start_time
    if not free and (
        start := situation.pool.next_free(
            wish.start_time, length, wish.participant_count, wish.room_id, wish.start_time + LOOK_AHEAD
        )
    ):
        question.subject.next_free_time.CopyFrom(to_timestamp(start))
    return question


def charged(ask: Ask, account: AccountState) -> tuple[Profile, str]:
    """Whose account is charged and its roles, as told by the token, else as stored."""
    if ask.profile:
        return ask.profile, ask.roles
    assert account.profile is not None  # noqa: S101 - early_reply has refused unknown accounts
    return account.profile, " ".join(account.roles)


def free_rooms(ask: Ask, pool: Pool) -> list[pb.Room]:
    wish = ask.wish
    return pool.free(wish.start_time, wish.end_time, wish.participant_count, wish.room_id)


def is_denied(verdict: Verdict) -> bool:
    return isinstance(verdict, policy.Decision) and verdict.effect == policy.EFFECT_DENY


def to_decided(
    ask: Ask,
    situation: Situation,
    question: pdp.DecideRequest,
    decision: policy.Decision,
    alternatives: list[pb.Alternative],
) -> Decided:
    account = situation.accounts[ask.account_id]
    profile, roles = charged(ask, account)
    return Decided(ask.wish, ask.actor, profile, roles, account, question, decision, alternatives, ask.by, ask.trace)


def to_check(
    ask: Ask, situation: Situation, decision: policy.Decision, alternatives: list[pb.Alternative]
) -> api.CheckReservationResponse:
    outcome = to_outcome(policy.Effect.Name(decision.effect))
    reply = api.CheckReservationResponse(outcome=outcome, decision=decision, alternatives=alternatives)
    if decision.effect == policy.EFFECT_ALLOW:
        for room in free_rooms(ask, situation.pool)[:1]:
            reply.room.CopyFrom(room)
    return reply
