"""Series: a room again and again, each occurrence decided by itself with those before it counted, stored together."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import answers, intake, meetings, reservations, store
from services.booking.events import to_outcome
from services.booking.intake import Ask, Situation
from services.booking.lifecycle import until_fresh
from services.booking.policy_client import PolicyClient
from services.booking.reservations import Decided
from services.booking.standing import StaleError
from services.platform.clock import Clock, to_timestamp
from services.platform.data.database import Database

_COUNTED = {
    policy.EFFECT_ALLOW: pdp.RESERVATION_STATUS_CONFIRMED,
    policy.EFFECT_ESCALATE: pdp.RESERVATION_STATUS_PENDING_APPROVAL,
}


@dataclass(frozen=True, slots=True)
class SeriesAsk:
    """`occurrences` are in the order of time and of one account."""

    request_id: str
    body_hash: bytes
    occurrences: list[Ask]
    all_or_none: bool

    @property
    def actor(self) -> str:
        return self.occurrences[0].actor

    @property
    def account_id(self) -> str:
        return self.occurrences[0].account_id


class Series:
    """Decides and stores series. `catch_up` deals with deadlines that are due; `committed` is told of every commit."""

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

    async def create(self, ask: SeriesAsk) -> api.CreateReservationSeriesResponse:
        """Raises errors.RpcError; then nothing was stored."""

        async def attempt() -> api.CreateReservationSeriesResponse:
            now = self._clock.now()
            situation, earlier = await self._survey(ask, now)
            if earlier:
                return answers.replay(earlier, ask.body_hash, api.CreateReservationSeriesResponse)
            for each in ask.occurrences:
                intake.early_reply(each, situation, now)
            check_meetings(ask)
            decided = [await self._decide(each, situation, now) for each in ask.occurrences]
            reply = await self._database.write(lambda connection: store_series(connection, ask, decided, now))
            self._committed()
            return reply

        return await until_fresh(attempt)

    async def _survey(self, ask: SeriesAsk, now: int) -> tuple[Situation, answers.Stored | None]:
        found = await self._database.read(lambda connection: survey(connection, ask, now))
        if found[0].accounts[ask.account_id].overdue:
            await self._catch_up()
            found = await self._database.read(lambda connection: survey(connection, ask, now))
        return found

    async def _decide(self, ask: Ask, situation: Situation, now: int) -> Decided:
        """And lets it count for the occurrences that follow."""
        account = situation.accounts[ask.account_id]
        question = intake.to_question(ask, situation, now)
        decision = await self._policy.decide_one(question)
        if decision.effect in _COUNTED:
            account.history.reservations.add(
                reservation_id=decision.decision_id,
                status=_COUNTED[decision.effect],
                start_time=to_timestamp(ask.wish.start_time),
                end_time=to_timestamp(ask.wish.end_time),
                escalate_time=to_timestamp(now) if decision.effect == policy.EFFECT_ESCALATE else None,
            )
        if decision.effect == policy.EFFECT_ALLOW:
            for room in intake.free_rooms(ask, situation.pool)[:1]:
                situation.pool.hold(room.room_id, ask.wish.start_time, ask.wish.end_time)
        return intake.to_decided(ask, situation, question, decision, [])


def check_meetings(ask: SeriesAsk) -> None:
    """Raises errors.RpcError when one occurrence of the meeting would be reserved twice."""
    keys = [each.wish.meeting.key for each in ask.occurrences if each.wish.meeting]
    if len(set(keys)) < len(keys):
        raise meetings.twice()


def survey(connection: Connection, ask: SeriesAsk, now: int) -> tuple[Situation, answers.Stored | None]:
    key = (ask.actor, ask.request_id)
    earlier = answers.read(connection, [key] if ask.request_id else [])
    return intake.survey(connection, ask.occurrences, now), earlier.get(key)


def store_series(
    connection: Connection, ask: SeriesAsk, decided: list[Decided], now: int
) -> api.CreateReservationSeriesResponse:
    """One transaction. Raises StaleError when what the decisions rest on has changed since."""
    refused = [each for each in decided if each.decision.effect not in _COUNTED]
    made = refused if ask.all_or_none and refused else decided
    stored = reservations.commit(connection, made, now)
    if None in stored:
        raise StaleError
    replies = dict(zip((each.decision.decision_id for each in made), stored, strict=True))
    reply = api.CreateReservationSeriesResponse()
    for each in decided:
        occurrence = reply.occurrences.add(
            start_time=to_timestamp(each.wish.start_time),
            end_time=to_timestamp(each.wish.end_time),
            outcome=to_outcome(policy.Effect.Name(each.decision.effect)),
            decision=each.decision,
        )
        answer = replies.get(each.decision.decision_id)
        if answer and answer.HasField("reservation"):
            occurrence.reservation.CopyFrom(answer.reservation)
    if ask.request_id:
        row = answers.row((ask.actor, ask.request_id), ask.body_hash, reply)
        connection.execute(sa.insert(store.ANSWER), [row])
    return reply
