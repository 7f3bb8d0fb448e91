"""The standing of accounts: violations, suspensions, and how much quota is left."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import events_pb2
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1 import policy_service_pb2 as pdp

from services.booking import deadlines, second_person, states
from services.booking.accounts import (
    HISTORY,
    AccountState,
    StaleError,
    advance,
    lock_account,
    read_accounts,
    store_events,
)
from services.booking.decisions import obligation, to_account
from services.booking.events import SYSTEM, account_event
from services.booking.models import SUSPENSION, VIOLATION
from services.booking.queries import (
    read_lifted,
    read_reservation,
    read_suspension,
    read_suspension_record,
    read_violation,
    read_violations,
)
from services.booking.scopes import Whose
from services.booking.transactions import Transactions
from services.platform.clock import SECOND, from_timestamp, to_timestamp
from services.platform.data import audit
from services.platform.ids import new_id
from services.platform.messaging.bus import Event
from services.platform.serving import errors
from services.platform.text.messages import message

ANSWERED = 2**60
"""Added to the time by which objections are listed, epoch ms: answered ones come after all open ones."""


def record_violation(
    connection: Connection, account: AccountState, record: pb.Reservation, decision: policy.Decision, due: int
) -> None:
    """Does what the decision obliges to: one violation, and the suspension that it may lead to."""
    if not obligation(decision, policy.Obligation.KIND_RECORD_VIOLATION):
        return
    violation = pb.Violation(
        violation_id=new_id("vio"),
        account_id=record.organizer.account_id,
        reservation_id=record.reservation_id,
        violation_time=to_timestamp(due),
        decision_id=decision.decision_id,
    )
    suspend = obligation(decision, policy.Obligation.KIND_SUSPEND)
    suspension = _to_suspension(violation, suspend) if suspend else None
    if suspension:
        violation.suspension_id = suspension.suspension_id
    _insert_violation(connection, violation)
    payload = events_pb2.AccountEvent(
        account=record.organizer, violation=violation, reservation=record, decision=decision, actor=SYSTEM
    )
    events = [account_event("violation_recorded", payload, account.event_seq + 1, due)]
    if suspension and suspend:
        _insert_suspension(connection, suspension, list(suspend.violation_ids))
        events.append(_suspended(record.organizer, suspension, decision, account.event_seq + 2, due))
    store_events(connection, record.organizer.account_id, account.event_seq, events)


def _to_suspension(violation: pb.Violation, suspend: policy.Obligation) -> pb.Suspension:
    start = from_timestamp(suspend.from_time)
    return pb.Suspension(
        suspension_id=new_id("sus"),
        account_id=violation.account_id,
        start_time=to_timestamp(start),
        end_time=to_timestamp(start + suspend.seconds * SECOND),
        decision_id=violation.decision_id,
    )


def _insert_violation(connection: Connection, violation: pb.Violation) -> None:
    row = {
        "violation_id": violation.violation_id,
        "account_id": violation.account_id,
        "reservation_id": violation.reservation_id,
        "violation_time": from_timestamp(violation.violation_time),
        "decision_id": violation.decision_id,
        "waived": False,
        "suspension_id": violation.suspension_id or None,
    }
    connection.execute(sa.insert(VIOLATION), [row])


def _insert_suspension(connection: Connection, suspension: pb.Suspension, used_up: list[str]) -> None:
    """With the violations that it uses up, and its own end as a deadline."""
    end = from_timestamp(suspension.end_time)
    row = {
        "suspension_id": suspension.suspension_id,
        "account_id": suspension.account_id,
        "start_time": from_timestamp(suspension.start_time),
        "end_time": end,
        "decision_id": suspension.decision_id,
    }
    connection.execute(sa.insert(SUSPENSION), [row])
    mine = VIOLATION.c.violation_id.in_(used_up)
    connection.execute(sa.update(VIOLATION).where(mine).values(suspension_id=suspension.suspension_id))
    deadlines.insert_suspension_end(connection, suspension)


def _suspended(
    organizer: pb.Organizer, suspension: pb.Suspension, decision: policy.Decision, seq: int, time: int
) -> Event:
    payload = events_pb2.AccountEvent(account=organizer, suspension=suspension, decision=decision, actor=SYSTEM)
    return account_event("suspended", payload, seq, time)


async def reinstate(transactions: Transactions, suspension_id: str, due: int) -> None:
    """A suspension has ended."""
    await transactions.commit(lambda connection: tell_end(connection, suspension_id, due))


def tell_end(connection: Connection, suspension_id: str, due: int) -> None:
    """Tells once that booking is open again. Whether it is follows from the suspension's own times, not from this."""
    if not deadlines.take(connection, states.SUSPENSION_END, suspension_id, due):
        return
    suspension = read_suspension_record(connection, suspension_id)
    account = lock_account(connection, suspension.account_id)
    event = _reinstated(account, suspension, SYSTEM, account.event_seq + 1, due)
    advance(connection, suspension.account_id, account.version)  # whoever counts the account's events must notice
    store_events(connection, suspension.account_id, account.event_seq, [event])


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waived violation and the suspension that was lifted with it. `changed`: it was not waived before."""

    violation: pb.Violation
    lifted: pb.Suspension | None
    changed: bool


async def waive(
    transactions: Transactions,
    violation_id: str,
    actor: str,
    note: str,
    whose: Whose,
    by: audit.Caller | None = None,
) -> api.WaiveViolationResponse:
    """Waiving again answers as it is. Raises errors.RpcError."""

    def work(connection: Connection) -> Waiver:
        c = VIOLATION.c
        violation = read_violation(connection, (c.violation_id == violation_id) & whose.covers(c.account_id))
        if violation is None:
            raise errors.not_found("violation", message("there is no such violation"))
        second_person.require(connection, violation.reservation_id, actor)
        return store_waiver(connection, violation, actor, note, transactions.clock.now())

    def describe(waiver: Waiver) -> audit.AuditEntry | None:
        detail = {"lifted": waiver.lifted.suspension_id if waiver.lifted else ""}
        act = ("violation", violation_id, waiver.violation.account_id, "waived", detail)
        return audit.AuditEntry(by, *act) if by and waiver.changed else None

    waiver = await transactions.commit(work, describe)
    return api.WaiveViolationResponse(violation=waiver.violation, lifted=waiver.lifted)


def store_waiver(connection: Connection, violation: pb.Violation, actor: str, note: str, now: int) -> Waiver:
    """Takes a violation back, on the record, and lifts the suspension that it led to, if that still runs.

    Other violations that the lifted suspension had used up count again. An open objection is upheld.
    """
    account = lock_account(connection, violation.account_id)
    waived = {"waived": True, "waived_by": actor, "waive_note": note, "waive_time": now}
    mine = VIOLATION.c.violation_id == violation.violation_id
    fresh = sa.update(VIOLATION).where(mine, ~VIOLATION.c.waived)
    if not connection.execute(fresh.values(waived)).rowcount:
        before = read_violation(connection, mine) or violation
        return Waiver(before, read_lifted(connection, violation.violation_id), changed=False)
    answer_objection(connection, violation.violation_id, "UPHELD", actor, note, now)
    changed = read_violation(connection, mine)
    if changed is None:
        raise StaleError
    lifted = _lift(connection, changed.suspension_id, now)
    payload = events_pb2.AccountEvent(
        account=account.profile,
        violation=changed,
        reservation=read_reservation(connection, changed.reservation_id),
        actor=actor,
    )
    events = [account_event("violation_waived", payload, account.event_seq + 1, now)]
    if lifted:
        connection.execute(sa.update(VIOLATION).where(mine).values(waive_lifted=True))
        events.append(_reinstated(account, lifted, actor, account.event_seq + 2, now))
    advance(connection, changed.account_id, account.version)
    store_events(connection, changed.account_id, account.event_seq, events)
    return Waiver(changed, lifted, changed=True)


def answer_objection(connection: Connection, violation_id: str, outcome: str, actor: str, note: str, now: int) -> None:
    """Changes nothing when there is no open objection."""
    c = VIOLATION.c
    values = {
        "objection_outcome": outcome,
        "objection_answered_by": actor,
        "objection_answer_note": note,
        "objection_answer_time": now,
        "objection_order": c.objection_time + ANSWERED,
    }
    mine = (c.violation_id == violation_id) & (c.objection_outcome == "OPEN")
    connection.execute(sa.update(VIOLATION).where(mine).values(values))


def _lift(connection: Connection, suspension_id: str, now: int) -> pb.Suspension | None:
    """Only what still runs can be lifted; its end then needs no telling any more."""
    c = SUSPENSION.c
    running = (c.suspension_id == suspension_id) & (c.end_time > now) & c.lift_time.is_(None)
    if not connection.execute(sa.update(SUSPENSION).where(running).values(lift_time=now)).rowcount:
        return None
    lifted = read_suspension_record(connection, suspension_id)
    deadlines.take(connection, states.SUSPENSION_END, suspension_id, from_timestamp(lifted.end_time))
    return lifted


def _reinstated(account: AccountState, suspension: pb.Suspension, actor: str, seq: int, time: int) -> Event:
    payload = events_pb2.AccountEvent(account=account.profile, suspension=suspension, actor=actor)
    return account_event("reinstated", payload, seq, time)


@dataclass(frozen=True, slots=True)
class StoredStanding:
    """What booking itself knows of an account's standing."""

    account: AccountState
    violations: list[pb.Violation]
    suspension: pb.Suspension | None


def read(connection: Connection, account_id: str, now: int) -> StoredStanding:
    return StoredStanding(
        read_accounts(connection, [account_id], now)[account_id],
        read_violations(connection, account_id, now - HISTORY),
        read_suspension(connection, account_id, now),
    )


def to_usage_request(record: StoredStanding, moment: int, now: int) -> pdp.UsageRequest:
    """About the day and the week of `moment`; both in epoch ms."""
    account = record.account
    profile = account.profile or pb.Organizer()
    return pdp.UsageRequest(
        now=to_timestamp(now),
        time=to_timestamp(moment),
        account=to_account(profile, account.roles, account.member),
        history=account.history,
    )


def to_standing(record: StoredStanding, usage: pdp.Usage) -> pb.Standing:
    profile = record.account.profile or pb.Organizer()
    return pb.Standing(
        account_id=profile.account_id,
        violations=record.violations,
        suspension=record.suspension,
        quotas=usage.quotas,
        closing=usage.closing if usage.HasField("closing") else None,
        closed_until=usage.closed_until if usage.HasField("closed_until") else None,
        policy_version=usage.policy_version,
        thresholds=usage.thresholds,
    )
