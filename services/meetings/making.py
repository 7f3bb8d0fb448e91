"""Meetings that are made here, each once: stored before the provider is asked, looked for when its answer is lost."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from yunhui.meetings.v1 import making_pb2 as pb

from services.meetings import gateway, making_requests, makings
from services.meetings.ledger_models import MakingRow
from services.meetings.makings import MakingRefusal, MakingState, MakingStep, Task
from services.meetings.plans import MeetingPlan
from services.meetings.provider import (
    AwayError,
    MadeMeeting,
    MeetingKey,
    MisconfiguredError,
    NoSuchMeetingError,
    NotAskedError,
    Provider,
    ProviderError,
    RateLimitedError,
    WrongStateError,
)
from services.meetings.providers import Providers
from services.meetings.rendering import key_of_making
from services.platform.clock import Clock
from services.platform.data.database import ConflictError, Database
from services.platform.messaging import outbox
from services.platform.serving import errors

log = logging.getLogger(__name__)

MAKE, FIND, MOVE, CALL_OFF = "make", "find_made", "reschedule", "call_off"
ANSWER_SECONDS = 20.0
"""Within so many every question is answered; what was begun goes on."""
SEARCH_SECONDS = 15.0
PAUSES = (0.05, 0.1, 0.2, *(0.5,) * 18)
"""Between looks at whether another one, who is at it, is done."""
STORE_PAUSES = (0.1, 0.5, 2.0)
UNMADE, WRONG_STATE = "UNMADE", WrongStateError.reason
REFUSALS = frozenset({"UNSUPPORTED", "NOT_PERMITTED", WRONG_STATE, "NO_SUCH_PERSON"})
"""Those of the contract, beside UNMADE and PROVIDER_REFUSED."""
NOTHING_DONE = (NotAskedError, RateLimitedError, MisconfiguredError)
NOT_MADE = MakingRefusal(ProviderError.reason, "it did not come about: the provider lists no such meeting")
GONE = MakingRefusal(WRONG_STATE, "there is no such meeting any more")
LOST = MakingRefusal("", "")
"""In place of a refusal: nobody knows what became of what was asked for."""
UNCERTAIN = pb.MakingResponse(outcome=pb.MAKING_OUTCOME_UNKNOWN)
THERE_IS_NONE = pb.MakingResponse(outcome=pb.MAKING_OUTCOME_DONE)

T = TypeVar("T")
Question = Callable[[Provider, MeetingKey], Coroutine[Any, Any, None]]


class NotStoredError(Exception):
    """What became of it is known, and cannot be stored."""


class Making:
    """Answers as the contract says (making.proto). Raises errors.RpcError when nothing was done."""

    def __init__(self, database: Database, clock: Clock, providers: Providers) -> None:
        self._database, self._clock, self._providers = database, clock, providers
        self._under_way: set[asyncio.Task[pb.MakingResponse]] = set()

    async def make(self, asked: pb.MakeMeetingRequest) -> pb.MakingResponse:
        making_id, creator = making_requests.making_id(asked.making_id), making_requests.creator(asked)
        plan = making_requests.plan(asked)
        return await self._answer(self._make(making_id, creator, plan))

    async def move(self, asked: pb.MoveMeetingRequest) -> pb.MakingResponse:
        making_id = making_requests.making_id(asked.making_id)
        start, end = making_requests.interval(asked.start_time, asked.end_time)
        return await self._answer(self._move(making_id, start, end))

    async def unmake(self, asked: pb.UnmakeMeetingRequest) -> pb.MakingResponse:
        return await self._answer(self._unmake(making_requests.making_id(asked.making_id)))

    async def close(self) -> None:
        """What was begun is finished."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _answer(self, work: Coroutine[Any, Any, pb.MakingResponse]) -> pb.MakingResponse:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(task)
        except (TimeoutError, NotStoredError):
            return UNCERTAIN

    async def _make(self, making_id: str, creator: str, plan: MeetingPlan) -> pb.MakingResponse:
        provider = self._providers.default
        now = self._clock.now()
        step = await self._begin(
            lambda connection: makings.begin_make(connection, making_id, creator, plan, provider.name, now)
        )
        if step.task is Task.SEARCH:
            row = await self._search(step.row)
            if row.state != MakingState.NEW or row.unwanted:
                return await self._told(row)
            return await self._make(making_id, creator, plan)  # nothing was done: it is to be done
        if step.task is Task.ASK:
            return await self._told(await self._ask(provider, step.row, creator, plan))
        return await self._told(step.row)

    async def _ask(self, provider: Provider, row: MakingRow, creator: str, plan: MeetingPlan) -> MakingRow:
        """Raises errors.RpcError when nothing was done."""
        making_id = row.making_id
        try:
            found = await counted(MAKE, provider.make(plan, creator, making_id))
        except NOTHING_DONE as error:
            log.warning("%s: no meeting is made: %s", making_id, error)
            await self._store(lambda connection: makings.nothing_done(connection, making_id))
            raise errors.unavailable("the meeting provider", error.retry_seconds) from error
        except AwayError as error:
            log.warning("%s: nobody knows whether a meeting was made: %s", making_id, error)
        except ProviderError as error:
            refusal = to_refusal(error)
            log.info("%s: no meeting is made: %s", making_id, refusal.reason)
            return await self._store(lambda connection: makings.refused(connection, making_id, refusal))
        except Exception:
            log.exception("%s: making a meeting failed", making_id)
        else:
            return await self._found(making_id, found)
        return await self._store(lambda connection: makings.let_go(connection, making_id))

    async def _found(self, making_id: str, found: MadeMeeting) -> MakingRow:
        now = self._clock.now()
        row = await self._store(lambda connection: makings.made(connection, making_id, found, now))
        log.info("%s: %s, %s/%s", making_id, row.state, row.provider, row.meeting_id)
        return row

    async def _search(self, row: MakingRow) -> MakingRow:
        """What became of a making whose answer was lost."""
        making_id, asked = row.making_id, outbox.real_time()
        try:
            listed = await self._listed(row)
        except NoSuchMeetingError:
            return await self._store(lambda connection: makings.nothing_done(connection, making_id))
        if listed is not None:
            found = await self._database.read(lambda connection: makings.could_be(connection, row, listed))
            if len(found) == 1:
                return await self._found(making_id, found[0])
            log.warning("%s: %d meetings may be it", making_id, len(found))
            if not found and asked > row.ask_time + makings.SETTLED_MS:
                return await self._store(lambda connection: makings.refused(connection, making_id, NOT_MADE))
        return await self._store(lambda connection: makings.let_go(connection, making_id))

    async def _listed(self, row: MakingRow) -> Sequence[MadeMeeting] | None:
        """What it may be; None when nobody can say. Raises NoSuchMeetingError when nothing was made."""
        plan = MeetingPlan(row.subject, row.start_time, row.end_time)
        provider = self._provider(row)
        if provider is None:
            return None
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                return await counted(FIND, provider.find_made(plan, row.creator, row.making_id))
        except NoSuchMeetingError:
            raise
        except (ProviderError, TimeoutError) as error:
            log.warning("%s: nobody knows yet whether it was made: %s", row.making_id, error)
        except Exception:
            log.exception("%s: looking for it failed", row.making_id)
        return None

    def _provider(self, row: MakingRow) -> Provider | None:
        """None when it is not in use at present."""
        try:
            return self._providers.of_meeting(key_of_making(row))
        except NoSuchMeetingError as error:
            log.warning("%s: nobody can be asked: %s", row.making_id, error)
            return None

    async def _unmake(self, making_id: str) -> pb.MakingResponse:
        now = self._clock.now()
        step = await self._begin(lambda connection: makings.begin_unmake(connection, making_id, now))
        if step.task is Task.SEARCH:
            row = await self._search(step.row)
            return UNCERTAIN if row.state == MakingState.ASKED else await self._unmake(making_id)
        if step.task is Task.CALL_OFF:
            return await self._call_off(step.row)
        return THERE_IS_NONE if step.task is Task.NOTHING else UNCERTAIN

    async def _call_off(self, row: MakingRow) -> pb.MakingResponse:
        making_id = row.making_id
        outcome = await self._attempt(
            CALL_OFF, row, lambda provider, key: provider.call_off(key, row.creator), when_gone=None
        )
        if outcome is None:
            now = self._clock.now()
            await self._store(lambda connection: makings.called_off(connection, making_id, now))
            return THERE_IS_NONE
        if outcome is LOST:
            await self._store(lambda connection: makings.let_go(connection, making_id))
            return UNCERTAIN
        await self._store(lambda connection: makings.kept(connection, making_id))
        return refused(outcome)

    async def _move(self, making_id: str, start: int, end: int) -> pb.MakingResponse:
        step = await self._begin(lambda connection: makings.begin_move(connection, making_id))
        row = step.row
        if step.task is not Task.MOVE:
            if step.task is Task.WAIT or (row.state == MakingState.ASKED and not row.unwanted):
                return UNCERTAIN
            return refused(MakingRefusal(UNMADE if row.unwanted else WRONG_STATE, ""))
        outcome = await self._attempt(
            MOVE, row, lambda provider, key: provider.reschedule(key, row.creator, start, end), when_gone=GONE
        )
        if outcome is None:
            now = self._clock.now()
            return await self._told(await self._store(lambda c: makings.moved(c, making_id, start, end, now)))
        await self._store(lambda connection: makings.let_go(connection, making_id))
        return UNCERTAIN if outcome is LOST else refused(outcome)

    async def _attempt(
        self, what: str, row: MakingRow, ask: Question, when_gone: MakingRefusal | None
    ) -> MakingRefusal | None:
        """None: it was done; LOST: nobody knows. Raises errors.RpcError when nothing was done."""
        provider = self._provider(row)
        if provider is None:
            return LOST
        try:
            await counted(what, ask(provider, key_of_making(row)))
        except NoSuchMeetingError as error:
            log.info("%s: %s", row.making_id, error)
            return when_gone
        except NOTHING_DONE as error:
            log.warning("%s: nothing is done: %s", row.making_id, error)
            await self._store(lambda connection: makings.let_go(connection, row.making_id))
            raise errors.unavailable("the meeting provider", error.retry_seconds) from error
        except AwayError as error:
            log.warning("%s: no answer: %s", row.making_id, error)
            return LOST
        except ProviderError as error:
            return to_refusal(error)
        except Exception:
            log.exception("%s: the provider could not be asked", row.making_id)
            return LOST
        return None

    async def _begin(self, begin: Callable[[Connection], MakingStep]) -> MakingStep:
        """Waits a while for whoever is at it. Raises errors.RpcError, ConflictError."""
        for pause in PAUSES:
            try:
                step = await self._database.write(begin)
                if step.task is not Task.WAIT:
                    return step
            except ConflictError:
                log.info("another replica has begun the same")
            await asyncio.sleep(pause)
        return await self._database.write(begin)

    async def _store(self, work: Callable[[Connection], MakingRow]) -> MakingRow:
        """Raises NotStoredError: then it is under way until whoever is at it counts as gone."""
        for pause in STORE_PAUSES:
            try:
                return await self._database.write(work)
            except (ConflictError, errors.RpcError) as error:
                log.warning("what became of a meeting cannot be stored: %s", type(error).__name__)
            await asyncio.sleep(pause)
        raise NotStoredError

    async def _told(self, row: MakingRow) -> pb.MakingResponse:
        """What became of it."""
        if row.unwanted or row.state == MakingState.NONE:
            return refused(MakingRefusal(UNMADE, ""))
        if row.state == MakingState.REFUSED:
            return refused(MakingRefusal(row.refusal, row.provider_message))
        if row.state != MakingState.MADE:
            return UNCERTAIN
        meeting = await self._database.read(lambda connection: makings.meeting(connection, row))
        return pb.MakingResponse(outcome=pb.MAKING_OUTCOME_DONE, meeting=meeting)


async def counted(what: str, question: Coroutine[Any, Any, T]) -> T:
    """Raises ProviderError."""
    try:
        answer = await question
    except NoSuchMeetingError:
        gateway.CALLS.count(what, "not_found")
        raise
    except AwayError:
        gateway.CALLS.count(what, "away")
        raise
    except ProviderError:
        gateway.CALLS.count(what, "refused")
        raise
    gateway.CALLS.count(what, "done")
    return answer


def to_refusal(error: ProviderError) -> MakingRefusal:
    return MakingRefusal(
        error.reason if error.reason in REFUSALS else ProviderError.reason, makings.shortened(str(error))
    )


def refused(refusal: MakingRefusal) -> pb.MakingResponse:
    return pb.MakingResponse(outcome=pb.MAKING_OUTCOME_REFUSED, refusal=refusal.reason, provider_message=refusal.words)
