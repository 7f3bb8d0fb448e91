"""`yunhui quota`: what an account may still reserve, now and on each day that has reservations, and its violations."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import decision_pb2

from services.cli import moments
from services.cli.client import Booking, open_booking
from services.cli.rendering import localized
from services.cli.reservations import PAGE, every_page, own_account
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.text.messages import Text, message, pmessage
from services.platform.text.times import PLATFORM_ZONE, in_brackets

OBJECTIONS = {
    pb.OBJECTION_OUTCOME_OPEN: pmessage("objection", "open"),
    pb.OBJECTION_OUTCOME_UPHELD: message("upheld"),
    pb.OBJECTION_OUTCOME_DISMISSED: message("dismissed"),
}
HELD = (
    pb.RESERVATION_STATE_PENDING_APPROVAL,
    pb.RESERVATION_STATE_CONFIRMED,
    pb.RESERVATION_STATE_IN_USE,
    pb.RESERVATION_STATE_COMPLETED,
    pb.RESERVATION_STATE_NO_SHOW,
)


@dataclass(frozen=True, slots=True)
class Day:
    """One day, and what is used of each quota that reservations on it count for."""

    day: date
    quotas: list[decision_pb2.QuotaStanding]

    def to_json(self) -> dict[str, object]:
        return {"day": self.day.isoformat(), "quotas": [MessageToDict(row) for row in self.quotas]}


def quota(
    terminal: Terminal,
    account: Annotated[str, typer.Option(help=message("of this account (support, admin)"))] = "",
) -> None:
    today = development_clock.now(terminal.state).astimezone(PLATFORM_ZONE).date()
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.GetStanding, api.GetStandingRequest(account_id=account))
        days = list(reserved_days(booking, account or own_account(terminal), today))
    terminal.print_json(MessageToDict(answer) | {"days": [day.to_json() for day in days]})
    if not terminal.json:
        show_standing(terminal, answer.standing)
        show_days(terminal, days)
        show_violations(terminal, answer.standing)


def reserved_days(booking: Booking, account: str, today: date) -> Iterator[Day]:
    """From `today` on, in order; what was cancelled, declined or has expired makes none."""
    midnight = moments.to_timestamp(datetime.combine(today, time(), PLATFORM_ZONE))
    request = api.ListReservationsRequest(account_id=account, states=HELD, after=midnight, page_size=PAGE)
    starts = {moments.to_moment(each.start_time).date() for each in every_page(booking, request).reservations}
    for each in sorted(day for day in starts if day >= today):
        noon = moments.to_timestamp(datetime.combine(each, time(12), PLATFORM_ZONE))
        question = api.GetStandingRequest(account_id=account, time=noon)
        yield Day(each, list(booking.ask(booking.stub.GetStanding, question).standing.quotas))


def show_standing(terminal: Terminal, standing: pb.Standing) -> None:
    terminal.out.print(Styled(quota_line(terminal, standing), "bold"))
    for quota_standing in standing.quotas:
        if not quota_standing.remaining:
            fresh = moments.show(quota_standing.usage.period_end, terminal.language)
            terminal.say(message("A fresh period begins {time}."), time=fresh)
    if standing.HasField("closed_until"):
        terminal.say(
            message("Booking is closed until {time}."),
            time=moments.show(standing.closed_until, terminal.language),
        )
    else:
        terminal.say(message("Booking is open."))
    if standing.HasField("closing"):
        counted = message("violations that count: {count}/{limit}")
        terminal.say(counted, count=standing.closing.violations, limit=standing.closing.limit)


def show_days(terminal: Terminal, days: list[Day]) -> None:
    """Each with what is used and left of its day and of its week."""
    if not days:
        return
    terminal.say(message("Days with reservations:"))
    for day in days:
        figures = (quota_of_day(terminal, row) for row in day.quotas)
        when = moments.show_day(day.day, terminal.language)
        terminal.out.print("  " + "  ".join([when, *figures]), markup=False)


def quota_of_day(terminal: Terminal, row: decision_pb2.QuotaStanding) -> str:
    """当日 1/3（还可预定 2 次）"""
    used = f"{period(terminal, row.usage)} {row.usage.used}/{row.usage.limit}"
    return in_brackets(used, terminal.text(message("{count} left"), count=row.remaining), terminal.language)


def quota_line(terminal: Terminal, standing: pb.Standing) -> str:
    """今日 1/3 · 本周 4/10"""
    return " · ".join(f"{period(terminal, row.usage)} {row.usage.used}/{row.usage.limit}" for row in standing.quotas)


def period(terminal: Terminal, usage: decision_pb2.QuotaUsage) -> str:
    """What it is called; of decisions from before periods had names, the rule's id."""
    return localized(usage.name, terminal.language) or usage.rule_id


def show_violations(terminal: Terminal, standing: pb.Standing) -> None:
    if not standing.violations:
        terminal.say(message("No violations in the last 35 days."))
        return
    table = Table(padding=(0, 1))
    for text in (message("violation"), message("time"), message("reservation"), message("state")):
        table.add_column(terminal.text(text), overflow="fold")
    for violation in standing.violations:
        when = moments.show(violation.violation_time, terminal.language)
        condition = terminal.text(_condition(violation))
        if violation.HasField("objection"):
            state = terminal.text(OBJECTIONS[violation.objection.outcome])
            condition = " ".join([condition, "·", terminal.text(message("objection")), state])
        table.add_row(violation.violation_id, when, violation.reservation_id, condition)
    terminal.out.print(table)


def _condition(violation: pb.Violation) -> Text:
    if violation.waived:
        return message("waived")
    return message("led to a suspension") if violation.suspension_id else message("counts")
