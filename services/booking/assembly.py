"""Booking put together, without servers: by the program, by its tests and by the simulation alike."""

from collections.abc import Callable
from dataclasses import dataclass

from services.booking.api import BookingService
from services.booking.deadlines import Deadlines
from services.booking.inquiries import Inquiries, Reports
from services.booking.intake import Intake
from services.booking.lifecycle import Lifecycle
from services.booking.lookups import Lookups
from services.booking.meetings_client import MeetingsClient
from services.booking.policy_client import PolicyClient
from services.booking.series import Series
from services.booking.updates import Updates
from services.booking.watchers import Watchers
from services.platform.clock import Clock
from services.platform.data.database import Database


@dataclass(frozen=True, slots=True)
class Assembly:
    """One replica. `intake.run()` and `deadlines.run()` are to run beside the servers."""

    service: BookingService
    intake: Intake
    lifecycle: Lifecycle
    updates: Updates
    series: Series
    deadlines: Deadlines
    inquiries: Inquiries | None
    reports: Reports | None
    """What becomes of the events of meetings; None where numbers are not looked up."""


def build(
    database: Database,
    policy: PolicyClient,
    clock: Clock,
    gateway: MeetingsClient | None,
    watchers: Watchers,
    wake: Callable[[], None],
) -> Assembly:
    """`wake` tells the outbox that something was committed. Without a `gateway` numbers are not looked up."""

    def committed() -> None:
        wake()
        deadlines.wake()

    lifecycle = Lifecycle(database, policy, clock, lambda: deadlines.catch_up(), committed)
    inquiries = Inquiries(database, clock, gateway, lifecycle, committed) if gateway else None
    lookups = Lookups(gateway)
    deadlines = Deadlines(database, clock, lifecycle, inquiries)
    intake = Intake(database, policy, clock, deadlines.catch_up, committed)
    updates = Updates(database, policy, clock, deadlines.catch_up, committed, lookups)
    series = Series(database, policy, clock, deadlines.catch_up, committed)
    service = BookingService(database, policy, clock, intake, lifecycle, updates, series, watchers, lookups)
    reports = Reports(database, lifecycle, inquiries) if inquiries else None
    return Assembly(service, intake, lifecycle, updates, series, deadlines, inquiries, reports)
