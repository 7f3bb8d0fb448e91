"""Booking put together, without servers: by the program, by its tests and by the simulation alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.booking import attendance, endings, escalations, standing, states
from services.booking.admission import Admission
from services.booking.api import BookingService
from services.booking.attendance_checks import AttendanceChecks, MeetingEvents
from services.booking.deadlines import Deadlines, Handler
from services.booking.decisions import PolicyClient
from services.booking.meeting_moves import MeetingMoves
from services.booking.meetings_client import MeetingsClient
from services.booking.new_meetings import NewMeetings
from services.booking.settlement import MakingSettlement
from services.booking.transactions import Transactions
from services.booking.watchers import Watchers
from services.platform.clock import Clock, SystemClock
from services.platform.data.database import Database
from services.platform.serving.grants import Grants


@dataclass(frozen=True, slots=True)
class Assembly:
    """One replica. `admission.run()`, `deadlines.run()` and `settlement.run()` are to run beside the servers."""

    transactions: Transactions
    service: BookingService
    admission: Admission
    deadlines: Deadlines
    checks: AttendanceChecks | None
    meeting_events: MeetingEvents | None
    """What becomes of the events of meetings; None where numbers are not looked up."""
    settlement: MakingSettlement | None
    """Where numbers are not looked up, no meetings are made either."""


def build(
    database: Database,
    policy: PolicyClient,
    clock: Clock,
    gateway: MeetingsClient | None,
    watchers: Watchers,
    wake: Callable[[], None],
    grants: Grants,
    timer: Clock | None = None,
) -> Assembly:
    """`wake` tells the outbox that something was committed. Without a `gateway` numbers are not looked up.

    `timer`: real time, by which a program that died is followed; None: the machine's.
    """

    timer = timer or SystemClock()
    deadlines = Deadlines(database, clock)
    transactions = Transactions(database, policy, clock, deadlines.catch_up, (wake, deadlines.wake))
    checks = AttendanceChecks(transactions, gateway) if gateway else None
    deadlines.handlers.update(handlers(transactions, checks))
    admission = Admission(transactions)
    settlement, made, moves = None, None, None
    if gateway:
        settlement = MakingSettlement(database, gateway.makings, timer)
        made = NewMeetings(transactions, admission, gateway.makings, timer, settlement.wake)
        moves = MeetingMoves(transactions, gateway.makings, timer, settlement.wake)
    service = BookingService(transactions, admission, gateway, watchers, grants, made, moves)
    meeting_events = MeetingEvents(transactions, checks) if checks else None
    return Assembly(transactions, service, admission, deadlines, checks, meeting_events, settlement)


def handlers(transactions: Transactions, checks: AttendanceChecks | None) -> dict[str, Handler]:
    """What deals with each kind of deadline. Without `checks`, who came is what was reported."""

    def by(handler: Callable[[Transactions, str, int], Awaitable[Any]]) -> Handler:
        return partial(handler, transactions)

    return {
        states.ATTENDANCE: checks.judge_attendance if checks else by(attendance.judge),
        states.COMPLETION: by(endings.complete),
        states.ESCALATION: by(escalations.expire),
        states.SUSPENSION_END: by(standing.reinstate),
        states.RECONCILIATION: checks.reconcile if checks else ignore,
        states.ARRIVAL: checks.check_who_stayed if checks else ignore,
    }


async def ignore(_entity_id: str, _due: int) -> None:
    """Nothing to do; the deadline goes."""
