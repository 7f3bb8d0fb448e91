"""Reservations after they are made: to show, change, cancel, end, approve, decline; who entered, what is waived."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.cli import moments, rendering
from services.cli.arguments import read_moment, read_state
from services.cli.client import Booking, claims, open_booking, token
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.text.messages import message

PAGE = 100

ToBooker = Annotated[str, typer.Option("--note", help=message("what the booker is told"))]


def show(terminal: Terminal, reservation_id: str) -> None:
    with open_booking(terminal) as booking:
        request = api.GetReservationRequest(reservation_id=reservation_id)
        answer = booking.ask(booking.stub.GetReservation, request)
    terminal.answer(answer, lambda to: rendering.show_reservation(to, answer.reservation))


def change(
    terminal: Terminal,
    reservation_id: str,
    start: Annotated[str | None, typer.Option(help=message("the new start; as long as before"))] = None,
    minutes: Annotated[int | None, typer.Option(min=1, max=1440, help=message("the new duration in minutes"))] = None,
    people: Annotated[int | None, typer.Option(min=1, help=message("the new number of people"))] = None,
    request_id: Annotated[str, typer.Option(help=message("idempotency key: sent again, it gets the same answer"))] = "",
) -> None:
    if start is None and minutes is None and people is None:
        raise CommandError(FailureReason.NOTHING_TO_CHANGE, ExitCode.USAGE)
    first = read_moment(start, development_clock.now(terminal.state)) if start else None
    request = api.UpdateReservationRequest(
        request_id=request_id, reservation_id=reservation_id, participant_count=people
    )
    with open_booking(terminal) as booking:
        if first or minutes:
            wanted = api.GetReservationRequest(reservation_id=reservation_id)
            add_interval(request, booking.ask(booking.stub.GetReservation, wanted).reservation, first, minutes)
        answer = booking.ask(booking.stub.UpdateReservation, request)
    terminal.answer(answer, lambda to: rendering.show_update(to, answer))
    raise typer.Exit(ExitCode.REFUSED if rendering.is_refused(answer.outcome) else ExitCode.OK)


def add_interval(
    request: api.UpdateReservationRequest, record: pb.Reservation, first: datetime | None, minutes: int | None
) -> None:
    """What is not said stays as it is in the record. Both ends are sent, so that a repeated request is the same."""
    length = record.end_time.ToDatetime() - record.start_time.ToDatetime()
    start = first or moments.to_moment(record.start_time)
    request.start_time.CopyFrom(moments.to_timestamp(start))
    request.end_time.CopyFrom(moments.to_timestamp(start + (timedelta(minutes=minutes) if minutes else length)))


def end(terminal: Terminal, reservation_id: str) -> None:
    with open_booking(terminal) as booking:
        request = api.EndReservationRequest(reservation_id=reservation_id)
        answer = booking.ask(booking.stub.EndReservation, request)
    terminal.answer(
        answer,
        lambda to: to.say(
            message("{id} has ended; the rest of the time is given back."), id=answer.reservation.reservation_id
        ),
    )


def waive(
    terminal: Terminal,
    violation_id: str,
    note: Annotated[str, typer.Option(help=message("what the booker is told"))],
) -> None:
    with open_booking(terminal) as booking:
        request = api.WaiveViolationRequest(violation_id=violation_id, note=note)
        answer = booking.ask(booking.stub.WaiveViolation, request)
    terminal.answer(answer, lambda to: show_waived(to, answer))


def show_waived(terminal: Terminal, answer: api.WaiveViolationResponse) -> None:
    terminal.say(message("Violation {id} is waived."), id=answer.violation.violation_id)
    if answer.HasField("lifted"):
        terminal.say(message("The suspension that it led to is lifted: booking is open."))


def cancel(
    terminal: Terminal,
    reservation_id: str,
    note: Annotated[str, typer.Option(help=message("why"))] = "",
) -> None:
    with open_booking(terminal) as booking:
        request = api.CancelReservationRequest(reservation_id=reservation_id, note=note)
        answer = booking.ask(booking.stub.CancelReservation, request)
    terminal.answer(answer, lambda to: show_cancelled(to, answer))


def show_cancelled(terminal: Terminal, answer: api.CancelReservationResponse) -> None:
    text = (
        message("{id} is cancelled; the quota came back.")
        if answer.quota_returned
        else message("{id} is cancelled; the quota does not come back.")
    )
    terminal.say(text, id=answer.reservation.reservation_id)
    rendering.show_rules(terminal, answer.decision)


def mine(
    terminal: Terminal,
    all_accounts: Annotated[
        bool, typer.Option("--all-accounts", help=message("all accounts (support, admin)"))
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="STATE", help=message("only in this state; repeatable"))
    ] = None,
) -> None:
    states = [read_state(typed) for typed in only or ()]
    with open_booking(terminal) as booking:
        account = "" if all_accounts else own_account(terminal)
        answer = every_page(booking, api.ListReservationsRequest(account_id=account, states=states, page_size=PAGE))
    terminal.answer(answer, lambda to: show_mine(to, answer, with_account=all_accounts))


def own_account(terminal: Terminal) -> str:
    """Support and admin would see everybody's: their own are asked for by name."""
    return str(claims(token(terminal)).get("sub", ""))


def every_page(booking: Booking, request: api.ListReservationsRequest) -> api.ListReservationsResponse:
    answer = booking.ask(booking.stub.ListReservations, request)
    whole = api.ListReservationsResponse(reservations=answer.reservations)
    while answer.next_page_token:
        request.page_token = answer.next_page_token
        answer = booking.ask(booking.stub.ListReservations, request)
        whole.reservations.extend(answer.reservations)
    return whole


def show_mine(terminal: Terminal, answer: api.ListReservationsResponse, *, with_account: bool) -> None:
    if answer.reservations:
        rendering.show_reservations(terminal, answer.reservations, with_account=with_account)
    else:
        terminal.say(message("No reservations."))


def approve(
    terminal: Terminal,
    reservation_id: str,
    note: ToBooker = "",
    room: Annotated[str | None, typer.Option(help=message("this room and no other"))] = None,
) -> None:
    record = resolve(terminal, reservation_id, approve=True, note=note, room_id=room)
    terminal.say(message("{id} is approved, room {room}."), id=record.reservation_id, room=record.room.room_id)


def decline(terminal: Terminal, reservation_id: str, note: ToBooker = "") -> None:
    record = resolve(terminal, reservation_id, approve=False, note=note)
    terminal.say(message("{id} is declined."), id=record.reservation_id)


def resolve(terminal: Terminal, reservation_id: str, **answer: Any) -> pb.Reservation:
    request = api.ResolveEscalationRequest(reservation_id=reservation_id, **answer)
    with open_booking(terminal) as booking:
        resolved = booking.ask(booking.stub.ResolveEscalation, request)
    terminal.answer(resolved, lambda _: None)
    return resolved.reservation


def entered(
    terminal: Terminal,
    reservation_id: str,
    at: Annotated[str | None, typer.Option(help=message("when; now by default"))] = None,
) -> None:
    now = development_clock.now(terminal.state)
    moment = read_moment(at, now) if at else now
    with open_booking(terminal) as booking:
        request = api.ReportAttendanceRequest(
            reservation_id=reservation_id, enter_time=moments.to_timestamp(moment.replace(microsecond=0))
        )
        answer = booking.ask(booking.stub.ReportAttendance, request)
    said = (
        message("entry recorded: {id}")
        if answer.reservation.HasField("enter_time")
        else message(
            "noted only, for it is before the start, and {id} can still be cancelled or changed: "
            "report again who is inside at the start."
        )
    )
    terminal.answer(answer, lambda to: to.say(said, id=answer.reservation.reservation_id))
