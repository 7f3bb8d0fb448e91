"""The one way in which a reservation changes: from state to state as the table in states.py says, published with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import deadlines, makings, meetings, states
from services.booking.accounts import AccountState, StaleError, advance, read_accounts
from services.booking.decisions import compose_question
from services.booking.events import SYSTEM, reservation_event
from services.booking.meetings import SeenOccurrence
from services.booking.models import RESERVATION
from services.booking.queries import read_reservation
from services.booking.scopes import EVERYBODY, Whose
from services.booking.transactions import Transactions, until_fresh
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.serving import errors
from services.platform.text.messages import Text, message


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A reservation and its account, as read at one moment."""

    record: pb.Reservation
    account: AccountState

    @property
    def state(self) -> str:
        return states.from_proto(self.record.state)


async def read_current(transactions: Transactions, reservation_id: str, whose: Whose, now: int) -> Snapshot:
    """With everything done that was due: nobody acts on a reservation that has ended, and only nobody noticed.

    Raises errors.RpcError, also when there is no such reservation among theirs.
    """
    found = await transactions.read_current(
        lambda connection: read_snapshot(connection, reservation_id, whose, now),
        lambda snapshot: snapshot is not None and snapshot.account.overdue,
    )
    if existing(found).account.overdue:
        raise errors.unavailable("policy")
    return existing(found)


async def read(transactions: Transactions, reservation_id: str, now: int) -> Snapshot:
    """As it is, whatever is due. Raises errors.RpcError."""
    return existing(await transactions.database.read(lambda c: read_snapshot(c, reservation_id, EVERYBODY, now)))


async def read_due(transactions: Transactions, reservation_id: str, kind: str, due: int) -> Snapshot | None:
    """None when the deadline is not there any more: the reservation was moved, or somebody else was faster."""

    def work(connection: Connection) -> Snapshot | None:
        waits = deadlines.has(connection, kind, reservation_id, due)
        return read_snapshot(connection, reservation_id, EVERYBODY, due) if waits else None

    return await transactions.database.read(work)


def read_snapshot(connection: Connection, reservation_id: str, whose: Whose, now: int) -> Snapshot | None:
    record = read_reservation(connection, reservation_id, whose)
    if record is None:
        return None
    account_id = record.organizer.account_id
    return Snapshot(record, read_accounts(connection, [account_id], now)[account_id])


def existing(found: Snapshot | None) -> Snapshot:
    """Raises errors.RpcError when there is none."""
    if found is None:
        raise errors.not_found("reservation", message("there is no such reservation"))
    return found


async def apply(
    transactions: Transactions,
    snapshot: Snapshot,
    event: str,
    actor: str,
    at: int | None = None,
    by: audit.Caller | None = None,
    **fields: Any,
) -> pb.Reservation:
    """An event with nothing else to it. `by`: the caller, noted when the reservation is another's; None: the system."""
    now = transactions.clock.now() if at is None else at
    payload = events_pb2.ReservationEvent(actor=actor)
    return await transactions.commit(lambda c: change(c, snapshot, event, payload, now, **fields), describe(by))


async def advance_due(transactions: Transactions, reservation_id: str, kind: str, event: str, due: int) -> None:
    """What a deadline brings by itself, as of when it was due."""
    snapshot = await read_due(transactions, reservation_id, kind, due)
    if snapshot and states.next_state(snapshot.state, event):
        await apply(transactions, snapshot, event, actor=SYSTEM, at=due)


async def show_meeting(transactions: Transactions, reservation_id: str, seen: SeenOccurrence, actor: str) -> None:
    """Shows what became of the meeting."""

    async def attempt() -> None:
        snapshot = await read(transactions, reservation_id, transactions.clock.now())
        if states.next_state(snapshot.state, "notice") and meetings.is_news(
            meetings.from_proto(snapshot.record.meeting), seen
        ):
            await apply(transactions, snapshot, "notice", actor, **meetings.to_row(seen))

    await until_fresh(attempt)


def change(
    connection: Connection,
    snapshot: Snapshot,
    event: str,
    payload: events_pb2.ReservationEvent,
    now: int,
    **fields: Any,
) -> pb.Reservation:
    """Moves a reservation on as the table in states.py says, and publishes it; deadlines of the old state are dropped.

    The meeting that was made with it is to go when it will not take place; after `lapse` it has gone already.
    Raises StaleError when it, or its account, has changed since.
    """
    transition = states.TRANSITIONS[snapshot.state, event]
    record, c = snapshot.record, RESERVATION.c
    advance(connection, record.organizer.account_id, snapshot.account.version)
    values = {"state": transition.next_state, "version": record.version + 1, "update_time": now, **fields}
    unchanged = (c.reservation_id == record.reservation_id) & (c.version == record.version)
    if not connection.execute(sa.update(RESERVATION).where(unchanged).values(values)).rowcount:
        raise StaleError
    deadlines.drop_obsolete(connection, record.reservation_id, transition.next_state)
    if record.meeting.made_here and transition.next_state in states.CALLED_OFF and event != "lapse":
        makings.unmake_of(connection, record.reservation_id)
    changed = read_reservation(connection, record.reservation_id)
    if changed is None:
        raise StaleError
    payload.reservation.CopyFrom(changed)
    outbox.append(connection, [reservation_event(transition.publishes, payload, now)])
    return payload.reservation


def require(snapshot: Snapshot, event: str) -> None:
    if not states.next_state(snapshot.state, event):
        state, act = states.STATE_WORDS[snapshot.state], states.EVENT_WORDS[event]
        words = message("a reservation that {state} cannot be {act}", state=state, act=act)
        raise failed_precondition("STATE", words)


def check_version(record: pb.Reservation, version: int) -> None:
    if version not in (0, record.version):
        words = message(
            "the reservation is at version {version} now, not {asked}: look at it again",
            version=record.version,
            asked=version,
        )
        raise errors.failure(grpc.StatusCode.ABORTED, "VERSION", words)


def failed_precondition(reason: str, words: Text) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, reason, words)


def describe(
    by: audit.Caller | None, *, own: bool = False, **detail: Any
) -> Callable[[pb.Reservation], audit.AuditEntry | None]:
    """What the audit log is told of a change: nothing when it is the caller's own, unless `own` is asked for."""

    def of_change(record: pb.Reservation) -> audit.AuditEntry | None:
        account_id = record.organizer.account_id
        if by is None or (account_id == by.account_id and not own):
            return None
        return audit.AuditEntry(
            by, "reservation", record.reservation_id, account_id, states.from_proto(record.state), detail
        )

    return of_change


def to_question(
    action: pdp.Action.ValueType, snapshot: Snapshot, now: int, by: audit.Caller | None = None
) -> pdp.DecideRequest:
    """`by`: who asks. Of the account itself the token says today's roles, and what is stored may be older."""
    record, organizer = snapshot.record, snapshot.record.organizer
    roles = by.roles if by and by.account_id == organizer.account_id else snapshot.account.roles
    subject = pdp.Subject(
        start_time=record.start_time,
        end_time=record.end_time,
        participant_count=record.participant_count,
        free_room_count=1 if record.HasField("room") else 0,
        former_starts=record.former_starts,
    )
    if record.HasField("enter_time"):
        subject.enter_time.CopyFrom(record.enter_time)
    elif record.HasField("early_enter_time"):
        subject.enter_time.CopyFrom(record.early_enter_time)
    account = snapshot.account
    return compose_question(action, organizer, roles, subject, account.history, account.member, now)
