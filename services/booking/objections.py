"""Objections: what an account says against a violation of its own, and support's answer."""

from dataclasses import dataclass

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb

from services.booking import second_person, standing
from services.booking.accounts import HISTORY, AccountState, StaleError, advance, lock_account, store_events
from services.booking.events import account_event
from services.booking.listings import ObjectionFilter, list_objections
from services.booking.models import RESERVATION, VIOLATION
from services.booking.queries import read_decision, read_records, read_reservation, read_violation
from services.booking.scopes import Whose, of_account
from services.booking.transactions import Transactions
from services.platform.clock import from_timestamp
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.text.messages import Text, message


@dataclass(frozen=True, slots=True)
class Dismissal:
    """A violation whose objection is dismissed. `changed`: it was not before."""

    violation: pb.Violation
    changed: bool


async def object_to(transactions: Transactions, violation_id: str, account_id: str, text: str) -> pb.Violation:
    """The account's own violation. The same objection again answers as it is. Raises errors.RpcError."""
    now = transactions.clock.now()
    return await transactions.commit(lambda c: store_objection(c, violation_id, account_id, text, now))


async def dismiss(
    transactions: Transactions,
    violation_id: str,
    actor: str,
    note: str,
    whose: Whose,
    by: audit.Caller | None = None,
) -> pb.Violation:
    """The same dismissal again answers as it is. Raises errors.RpcError."""
    now = transactions.clock.now()

    def describe(dismissal: Dismissal) -> audit.AuditEntry | None:
        act = ("violation", violation_id, dismissal.violation.account_id, "objection dismissed")
        return audit.AuditEntry(by, *act) if by and dismissal.changed else None

    stored = await transactions.commit(lambda c: store_dismissal(c, violation_id, actor, note, now, whose), describe)
    return stored.violation


def store_objection(connection: Connection, violation_id: str, owner: str, text: str, now: int) -> pb.Violation:
    """The violation with the objection. Raises errors.RpcError, also when the violation is not the owner's."""
    account, violation = _lock(connection, violation_id, of_account(owner))
    if violation.HasField("objection") and violation.objection.text == text:
        return violation
    _require_objectionable(violation, now)
    mine = VIOLATION.c.violation_id == violation_id
    raised = {"objection_text": text, "objection_time": now, "objection_outcome": "OPEN", "objection_order": now}
    connection.execute(sa.update(VIOLATION).where(mine).values(raised))
    return _append_event("violation_objected", connection, account, violation_id, owner, now)


def store_dismissal(
    connection: Connection, violation_id: str, actor: str, note: str, now: int, whose: Whose
) -> Dismissal:
    """Raises errors.RpcError when there is nothing to dismiss, or it was answered otherwise."""
    account, violation = _lock(connection, violation_id, whose)
    second_person.require(connection, violation.reservation_id, actor)
    if not violation.HasField("objection"):
        words = message("nobody objected to this violation: there is nothing to dismiss")
        raise _refused("OBJECTION_MISSING", words)
    answer = violation.objection
    if answer.outcome != pb.OBJECTION_OUTCOME_OPEN:
        if (answer.outcome, answer.answered_by, answer.answer_note) != (pb.OBJECTION_OUTCOME_DISMISSED, actor, note):
            words = message("the objection has been answered already: nothing was changed")
            raise _refused("OBJECTION_ANSWERED", words)
        return Dismissal(violation, changed=False)
    standing.answer_objection(connection, violation_id, "DISMISSED", actor, note, now)
    return Dismissal(_append_event("objection_dismissed", connection, account, violation_id, actor, now), changed=True)


def page(connection: Connection, wanted: ObjectionFilter) -> tuple[list[api.ObjectedViolation], tuple[int, str] | None]:
    """At most `limit` - 1 of them with their reservations, and the key of the last one when there are more."""
    found = list_objections(connection, wanted)
    shown, more = found[: wanted.limit - 1], len(found) == wanted.limit
    theirs = RESERVATION.c.reservation_id.in_([violation.reservation_id for _, violation in shown])
    about = {each.reservation_id: each for each in read_records(connection, theirs, len(shown))}
    listed = [api.ObjectedViolation(violation=each, reservation=about[each.reservation_id]) for _, each in shown]
    return listed, (shown[-1][0], shown[-1][1].violation_id) if more else None


def _lock(connection: Connection, violation_id: str, whose: Whose) -> tuple[AccountState, pb.Violation]:
    """Read again once its account is locked: another may have been faster."""
    c = VIOLATION.c
    which = (c.violation_id == violation_id) & whose.covers(c.account_id)
    violation = read_violation(connection, which)
    if violation is None:
        raise errors.not_found("violation", message("there is no such violation"))
    account = lock_account(connection, violation.account_id)
    return account, read_violation(connection, which) or violation


def _require_objectionable(violation: pb.Violation, now: int) -> None:
    if violation.waived:
        words = message("the violation is waived and does not count: there is nothing to object to")
        raise _refused("VIOLATION_WAIVED", words)
    if violation.objection.outcome == pb.OBJECTION_OUTCOME_OPEN:
        words = message("there is an objection already, with another text: please wait for the answer")
        raise _refused("OBJECTION_OPEN", words)
    if violation.HasField("objection"):
        words = message("support has answered an objection already: write to support if need be")
        raise _refused("OBJECTION_ANSWERED", words)
    if from_timestamp(violation.violation_time) < now - HISTORY:
        words = message("the violation is more than 35 days old and has no effect any more")
        raise _refused("VIOLATION_TOO_OLD", words)


def _append_event(
    name: str, connection: Connection, account: AccountState, violation_id: str, actor: str, now: int
) -> pb.Violation:
    violation = read_violation(connection, VIOLATION.c.violation_id == violation_id)
    if violation is None:
        raise StaleError
    payload = events_pb2.AccountEvent(
        account=account.profile,
        violation=violation,
        reservation=read_reservation(connection, violation.reservation_id),
        decision=read_decision(connection, violation.decision_id),
        actor=actor,
    )
    advance(connection, violation.account_id, account.version)
    event = account_event(name, payload, account.event_seq + 1, now)
    store_events(connection, violation.account_id, account.event_seq, [event])
    return violation


def _refused(reason: str, words: Text) -> errors.RpcError:
    return errors.failure(grpc.StatusCode.FAILED_PRECONDITION, reason, words)
