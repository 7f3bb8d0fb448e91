"""Series: a room again and again, each occurrence decided by itself with those before it counted, stored together."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import admission, answers, meetings, models, reservations
from services.booking.accounts import KnownAccounts, StaleError
from services.booking.admission import BatchSnapshot
from services.booking.events import to_outcome
from services.booking.pool import CurrentPool
from services.booking.requests import ReservationInput
from services.booking.reservations import DecidedRequest
from services.booking.transactions import Transactions, until_fresh
from services.platform.clock import to_timestamp
from services.platform.observing import traces

_COUNTED = {
    policy.EFFECT_ALLOW: pdp.RESERVATION_STATUS_CONFIRMED,
    policy.EFFECT_ESCALATE: pdp.RESERVATION_STATUS_PENDING_APPROVAL,
}


@dataclass(frozen=True, slots=True)
class SeriesInput:
    """`occurrences` are in the order of time and of one account."""

    request_id: str
    body_hash: bytes
    occurrences: Sequence[ReservationInput]
    all_or_none: bool

    @property
    def actor(self) -> str:
        return self.occurrences[0].actor

    @property
    def account_id(self) -> str:
        return self.occurrences[0].account_id


@dataclass(frozen=True, slots=True)
class SeriesSnapshot:
    """What a series rests on, read at one moment; its history and its pool grow with every occurrence decided."""

    batch: BatchSnapshot
    answer: answers.Stored | None


async def create(transactions: Transactions, wanted: SeriesInput) -> api.CreateReservationSeriesResponse:
    """Raises errors.RpcError; then nothing was stored."""

    async def attempt() -> api.CreateReservationSeriesResponse:
        now = transactions.clock.now()
        snapshot = await transactions.read_current(
            lambda connection: read_snapshot(connection, wanted, now),
            lambda found: found.batch.accounts[wanted.account_id].overdue,
        )
        if snapshot.answer:
            return answers.replay(snapshot.answer, wanted.body_hash, api.CreateReservationSeriesResponse)
        for each in wanted.occurrences:
            admission.early_reply(each, snapshot.batch, now)
        check_meetings(wanted)
        decided = [await _decide(transactions, each, snapshot.batch, now) for each in wanted.occurrences]
        return await transactions.commit(lambda connection: store_series(connection, wanted, decided, now))

    return await until_fresh(attempt)


async def _decide(
    transactions: Transactions, wanted: ReservationInput, snapshot: BatchSnapshot, now: int
) -> DecidedRequest:
    """And lets it count for the occurrences that follow."""
    account = snapshot.accounts[wanted.account_id]
    question = admission.to_question(wanted, snapshot, transactions.policy.window, now)
    more = admission.wider(transactions.database, [account], [question], now)
    decision = await transactions.policy.decide_one(question, more)
    if decision.effect in _COUNTED:
        counted = pdp.PastReservation(
            reservation_id=decision.decision_id,
            status=_COUNTED[decision.effect],
            start_time=to_timestamp(wanted.start_time),
            end_time=to_timestamp(wanted.end_time),
            escalate_time=to_timestamp(now) if decision.effect == policy.EFFECT_ESCALATE else None,
        )
        account.count(counted)
    if decision.effect == policy.EFFECT_ALLOW and (room := admission.first_free(wanted, snapshot.pool)):
        snapshot.pool.hold(room.room_id, *wanted.interval)
    return admission.to_decided(wanted, snapshot, question, decision, [], traces.current())


def check_meetings(wanted: SeriesInput) -> None:
    """Raises errors.RpcError when one occurrence of the meeting would be reserved twice."""
    keys = [each.meeting.key for each in wanted.occurrences if each.meeting]
    if len(set(keys)) < len(keys):
        raise meetings.twice()


def read_snapshot(connection: Connection, wanted: SeriesInput, now: int) -> SeriesSnapshot:
    key = (wanted.actor, wanted.request_id)
    earlier = answers.read(connection, [key] if wanted.request_id else [])
    # with the whole history, in which each occurrence counts for those that follow: nothing is read again between them
    batch = admission.read_snapshot(connection, CurrentPool(), KnownAccounts(), wanted.occurrences, None, now)
    return SeriesSnapshot(batch, earlier.get(key))


def store_series(
    connection: Connection, wanted: SeriesInput, decided: list[DecidedRequest], now: int
) -> api.CreateReservationSeriesResponse:
    """One transaction. Raises StaleError when what the decisions rest on has changed since."""
    refused = [each for each in decided if each.decision.effect not in _COUNTED]
    made = refused if wanted.all_or_none and refused else decided
    stored = reservations.commit(connection, CurrentPool(), made, now)
    if None in stored:
        raise StaleError
    replies = dict(zip((each.decision.decision_id for each in made), stored, strict=True))
    reply = api.CreateReservationSeriesResponse()
    for each in decided:
        occurrence = reply.occurrences.add(
            start_time=to_timestamp(each.wanted.start_time),
            end_time=to_timestamp(each.wanted.end_time),
            outcome=to_outcome(policy.Effect.Name(each.decision.effect)),
            decision=each.decision,
        )
        answer = replies.get(each.decision.decision_id)
        if answer and answer.HasField("reservation"):
            occurrence.reservation.CopyFrom(answer.reservation)
    if wanted.request_id:
        row = answers.row((wanted.actor, wanted.request_id), wanted.body_hash, reply)
        connection.execute(sa.insert(models.ANSWER), [row])
    return reply
