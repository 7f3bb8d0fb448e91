"""What becomes of what an account has reserved and has not begun: all of it is cancelled, or handed over to another.

Each reservation is a transaction of its own: what was done stays done, and asking again goes on with what is left.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import deadlines, endings, second_person, states
from services.booking.accounts import AccountState, StaleError, advance, lock_accounts, read_accounts, read_versions
from services.booking.decisions import compose_question, decision_row
from services.booking.models import DECISION
from services.booking.pool import read_pool
from services.booking.queries import read_coming
from services.booking.scopes import Whose
from services.booking.transactions import Transactions, until_fresh
from services.booking.transitions import (
    Snapshot,
    change,
    describe,
    failed_precondition,
    read_current,
    read_snapshot,
    require,
)
from services.platform.clock import from_timestamp
from services.platform.data import audit
from services.platform.serving import errors, pages
from services.platform.text.messages import message

USUAL, MOST = 20, 50
"""At a time: each is a question to the policy and a commit."""
HAND_OVER = "HAND_OVER"
"""What the decision is kept as: it is no request for a room, and a simulation is not to take it for one."""

_OVER = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
_TAKEN = (policy.EFFECT_ALLOW, policy.EFFECT_ESCALATE)
Act = Callable[[pb.Reservation], Awaitable[api.ComingReservation]]


@dataclass(frozen=True, slots=True)
class ComingPage:
    """Which of an account's coming reservations: `size` at most, after the one with that key."""

    account_id: str
    after: tuple[int, str] | None
    size: int
    dry_run: bool
    whose: Whose
    """Nobody else's are acted on, nor handed over to."""


@dataclass(frozen=True, slots=True)
class Handover:
    """From whom to whom, both among `whose`, and who says so. With `dry_run` nothing is stored."""

    account_id: str
    new_account_id: str
    actor: str
    whose: Whose
    dry_run: bool = False
    by: audit.Caller | None = None


@dataclass(frozen=True, slots=True)
class HandoverSnapshot:
    """What a hand-over rests on, read at one moment."""

    current: Snapshot
    new_account: AccountState
    free_rooms: int

    @property
    def overdue(self) -> bool:
        return self.current.account.overdue or self.new_account.overdue


@dataclass(frozen=True, slots=True)
class DecidedHandover:
    wanted: Handover
    found: HandoverSnapshot
    question: pdp.DecideRequest
    decision: policy.Decision

    @property
    def taken(self) -> bool:
        return self.decision.effect in _TAKEN

    @property
    def approves(self) -> bool:
        """Whether it stands in for support's approval, which it has had for the former account."""
        held = self.found.current.state == states.CONFIRMED
        return held and self.decision.effect == policy.EFFECT_ESCALATE


async def cancel_all(
    transactions: Transactions, page: ComingPage, actor: str, note: str, by: audit.Caller | None = None
) -> tuple[list[api.ComingReservation], str]:
    """What became of each, and the token to go on with. Raises errors.RpcError; then nothing was done."""

    async def act(record: pb.Reservation) -> api.ComingReservation:
        answer = await _cancel(transactions, record.reservation_id, page, actor, note, by)
        return api.ComingReservation(
            reservation=answer.reservation,
            outcome=api.COMING_OUTCOME_CANCELLED,
            decision=answer.decision,
            quota_returned=answer.quota_returned,
        )

    return await _for_each(transactions, page, act)


async def _cancel(
    transactions: Transactions, reservation_id: str, page: ComingPage, actor: str, note: str, by: audit.Caller | None
) -> api.CancelReservationResponse:
    """One of them: what another has cancelled meanwhile is refused, for it is not done here."""

    async def attempt() -> api.CancelReservationResponse:
        now = transactions.clock.now()
        snapshot = await read_current(transactions, reservation_id, page.whose, now)
        if snapshot.record.organizer.account_id != page.account_id:  # handed over meanwhile
            raise not_there()
        require(snapshot, "cancel")
        require_coming(snapshot.record, now)
        if page.dry_run:
            return await endings.foresee(transactions, snapshot, now, by)
        return await endings.cancel_now(transactions, snapshot, "cancel", actor, note, now, by)

    return await until_fresh(attempt)


async def hand_over_all(
    transactions: Transactions, page: ComingPage, wanted: Handover
) -> tuple[list[api.ComingReservation], str]:
    """As `cancel_all`."""
    await transactions.database.read(lambda c: require_known(c, wanted.new_account_id, wanted.whose))
    counted: list[pdp.PastReservation] | None = [] if page.dry_run else None

    async def act(record: pb.Reservation) -> api.ComingReservation:
        return await hand_over(transactions, record.reservation_id, wanted, counted)

    if page.dry_run and page.after:  # nothing was stored of the pages before
        await _for_each(transactions, page, act, until=page.after)
    return await _for_each(transactions, page, act)


def is_known(connection: Connection, account_id: str, whose: Whose) -> bool:
    """Whether it is one of those accounts, and has signed in once."""
    return whose.includes(connection, [account_id]) and bool(read_versions(connection, [account_id]))


def require_known(connection: Connection, account_id: str, whose: Whose) -> None:
    """Raises errors.RpcError for who can take over nothing."""
    if not is_known(connection, account_id, whose):
        words = message("there is no such new account: whoever takes over must have signed in once")
        raise errors.not_found("account", words)


async def _for_each(
    transactions: Transactions, page: ComingPage, act: Act, until: tuple[int, str] | None = None
) -> tuple[list[api.ComingReservation], str]:
    """`until`: all up to the one with that key, in place of the page."""
    now, size = transactions.clock.now(), page.size
    after, most = (None, None) if until else (page.after, size + 1)
    found = await transactions.database.read(
        lambda c: read_coming(c, page.account_id, page.whose, now, after, until, most)
    )
    done: list[api.ComingReservation] = []
    for index, record in enumerate(found if until else found[:size]):
        try:
            done.append(await act(record))
        except errors.RpcError as error:
            if error.code in _OVER:  # somebody was faster
                continue
            if not done:
                raise
            return done, _token(found[index - 1])
    return done, _token(found[size - 1]) if len(found) > size else ""


def _token(record: pb.Reservation) -> str:
    return pages.to_token(from_timestamp(record.start_time), record.reservation_id)


async def hand_over(
    transactions: Transactions, reservation_id: str, wanted: Handover, counted: list[pdp.PastReservation] | None = None
) -> api.ComingReservation:
    """One of them. Raises errors.RpcError; then nothing was changed.

    `counted`: what a dry run would have handed over before this one.
    """

    async def attempt() -> api.ComingReservation:
        now = transactions.clock.now()
        found = await _read_current(transactions, reservation_id, wanted, now)
        question = to_question(found, counted or (), now)
        decided = DecidedHandover(wanted, found, question, await transactions.policy.decide_one(question))
        result = await _carry_out(transactions, decided, now)
        if counted is not None and result.outcome == api.COMING_OUTCOME_HANDED_OVER:
            counted.append(to_counted(found.current))
        return result

    return await until_fresh(attempt)


def to_counted(current: Snapshot) -> pdp.PastReservation:
    """As it will count for the new account."""
    past = pdp.PastReservation()
    mine = current.record.reservation_id
    past.CopyFrom(next(each for each in current.account.history.reservations if each.reservation_id == mine))
    past.ClearField("former_starts")
    return past


async def _read_current(
    transactions: Transactions, reservation_id: str, wanted: Handover, now: int
) -> HandoverSnapshot:
    found = await transactions.read_current(
        lambda c: read_handover(c, reservation_id, wanted, now), lambda each: each is not None and each.overdue
    )
    if found is None:
        raise not_there()
    if found.overdue:
        raise errors.unavailable("policy")
    require(found.current, "hand_over")
    require_coming(found.current.record, now)
    return found


def read_handover(connection: Connection, reservation_id: str, wanted: Handover, now: int) -> HandoverSnapshot | None:
    current = read_snapshot(connection, reservation_id, wanted.whose, now)
    if current is None or not is_known(connection, wanted.new_account_id, wanted.whose):
        return None
    record = current.record
    if record.organizer.account_id != wanted.account_id:  # handed over meanwhile
        return None
    interval = from_timestamp(record.start_time), from_timestamp(record.end_time)
    held = record.HasField("room")
    free = 1 if held else read_pool(connection, [interval]).count_free(*interval, record.participant_count)
    new_account = read_accounts(connection, [wanted.new_account_id], now)[wanted.new_account_id]
    return HandoverSnapshot(current, new_account, free)


def not_there() -> errors.RpcError:
    return errors.not_found("reservation", message("there is no such reservation"))


def require_coming(record: pb.Reservation, now: int) -> None:
    """Raises errors.RpcError when its start has come."""
    if from_timestamp(record.start_time) <= now:
        raise failed_precondition("BEGUN", message("the reservation has begun"))


def to_question(found: HandoverSnapshot, counted: Iterable[pdp.PastReservation], now: int) -> pdp.DecideRequest:
    """As if the new account asked for it. About what waits for support, they are not asked anew."""
    record = found.current.record
    subject = pdp.Subject(
        start_time=record.start_time,
        end_time=record.end_time,
        participant_count=record.participant_count,
        free_room_count=found.free_rooms,
        waits_for_support=found.current.state == states.PENDING_APPROVAL,
    )
    profile, roles = found.new_account.charged(None, "")
    history = found.new_account.history
    history.reservations.extend(counted)
    return compose_question(pdp.ACTION_CREATE, profile, roles.split(), subject, history, found.new_account.member, now)


async def _carry_out(transactions: Transactions, decided: DecidedHandover, now: int) -> api.ComingReservation:
    wanted, found = decided.wanted, decided.found
    detail = {"from": wanted.account_id, "to": wanted.new_account_id, "decision": decided.decision.decision_id}
    told = describe(wanted.by, own=True, **detail, event="hand_over" if decided.taken else None)
    result = api.ComingReservation(
        reservation=found.current.record, outcome=api.COMING_OUTCOME_REFUSED, decision=decided.decision
    )
    try:
        if wanted.dry_run:
            await transactions.database.read(lambda c: require_second_person(c, decided))
        else:
            record = await transactions.commit(lambda c: store_handover(c, decided, now), told)
            result.reservation.CopyFrom(record)
    except errors.RpcError as error:
        if error.code is not grpc.StatusCode.PERMISSION_DENIED:
            raise
        return result
    if decided.taken:
        result.outcome = api.COMING_OUTCOME_HANDED_OVER
    return result


def require_second_person(connection: Connection, decided: DecidedHandover) -> None:
    """Raises errors.RpcError where the hand-over is an approval and the actor has a part in what is approved."""
    if decided.approves:
        second_person.require(connection, decided.found.current.record.reservation_id, decided.wanted.actor)


def store_handover(connection: Connection, decided: DecidedHandover, now: int) -> pb.Reservation:
    """One transaction: at no moment is the room anybody else's. Raises StaleError when what the decision rests on has
    changed since, or errors.RpcError when somebody else must decide.

    The starts that were given up before are the former account's: the new one has given up none.
    """
    wanted, current, decision = decided.wanted, decided.found.current, decided.decision
    known = {wanted.account_id: current.account.version, wanted.new_account_id: decided.found.new_account.version}
    lock_accounts(connection, known)
    if read_versions(connection, known) != known:
        raise StaleError
    require_second_person(connection, decided)
    row: dict[str, Any] = decision_row(decision, decided.question, wanted.actor, current.record)
    connection.execute(sa.insert(DECISION), [row | {"action": HAND_OVER}])
    if not decided.taken:
        return current.record
    payload = events_pb2.ReservationEvent(
        decision=decision, actor=wanted.actor, former_organizer=current.record.organizer
    )
    advance(connection, wanted.new_account_id, known[wanted.new_account_id])
    theirs = {"account_id": wanted.new_account_id, "decision_id": decision.decision_id, "former_starts": None}
    record = change(connection, current, "hand_over", payload, now, **theirs)
    deadlines.reassign(connection, record.reservation_id, wanted.new_account_id)
    return record
