"""`yunhui reserve` and `yunhui check`: the same question, with and without effect."""

from datetime import timedelta
from typing import Annotated

import typer
from yunhui.booking.v1 import booking_service_pb2 as api

from services.cli import moments, new_meetings, proposal, rendering
from services.cli.arguments import read_moment
from services.cli.client import open_booking
from services.cli.failures import CommandError, ExitCode
from services.cli.new_meetings import MakeOptions
from services.cli.proposal import ReservationDraft
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.ids import new_id
from services.platform.text.messages import message
from services.platform.text.times import PLATFORM_ZONE

Start = Annotated[str, typer.Option(help=message("start (Beijing time), e.g. '2025-07-07 10:00' or 'tomorrow 10:00'"))]
Minutes = Annotated[int, typer.Option(min=1, max=1440, help=message("reserved duration in minutes"))]
People = Annotated[int, typer.Option(min=1, help=message("people expected"))]
Code = Annotated[str, typer.Option(help=message("the meeting's number, 9 or 10 digits"))]
Subject = Annotated[str, typer.Option(help=message("what the meeting is about"))]
Room = Annotated[str | None, typer.Option(help=message("this room and no other"))]
For = Annotated[str | None, typer.Option("--account", help=message("reserve for this account (support, admin)"))]


def reserve(
    terminal: Terminal,
    meeting: Annotated[
        str,
        typer.Option(
            metavar="CODE",
            help=message(
                "the meeting's number: it is looked up, and its time and subject are proposed; other "
                "options adjust them"
            ),
        ),
    ] = "",
    code: Code = "",
    subject: Subject = "",
    start: Start = "",
    minutes: Annotated[int | None, typer.Option(min=1, max=1440, help=message("reserved duration in minutes"))] = None,
    people: Annotated[int | None, typer.Option(min=1, help=message("people expected"))] = None,
    room: Room = None,
    account: For = None,
    request_id: Annotated[str, typer.Option(help=message("idempotency key: sent again, it gets the same answer"))] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help=message("only ask; nothing is stored"))] = False,
    repeat: Annotated[
        str, typer.Option(metavar="RRULE", help=message("repeat by a rule of RFC 5545, e.g. 'FREQ=WEEKLY;COUNT=4'"))
    ] = "",
    all_or_none: Annotated[
        bool, typer.Option("--all-or-none", help=message("with --repeat: all of them or none"))
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help=message("do not ask again"))] = False,
    make: new_meetings.Make = False,
    zone: new_meetings.Zone = "",
    invite: new_meetings.Invite = None,
    host: new_meetings.Host = None,
    password: new_meetings.Password = "",
    waiting_room: new_meetings.WaitingRoom = False,
    before_host: new_meetings.BeforeHost = False,
    organization_only: new_meetings.OrganizationOnly = False,
    watermark: new_meetings.Watermark = False,
    mute: new_meetings.Mute = False,
) -> None:
    options = MakeOptions(
        *(zone, invite, host, password, waiting_room, before_host, organization_only, watermark, mute)
    )
    if dry_run and repeat:
        raise CommandError(FailureReason.NO_DRY_SERIES, ExitCode.USAGE)
    if make and (meeting or code):
        raise CommandError(FailureReason.MAKE_OR_NUMBER, ExitCode.USAGE)
    if not make:
        options.unused()
    if meeting:
        request = proposal.propose(terminal, meeting, ReservationDraft(subject, start, minutes, people, account))
        request.room_id = room or ""
        if not (yes or dry_run):
            proposal.confirm(terminal, request)
    else:
        request = spelled_out(terminal, ReservationDraft(subject, start, minutes, people, account), room)
        request.MergeFrom(api.CreateReservationRequest(meeting_code=code, subject=subject))
    if make:
        request.new_meeting.CopyFrom(options.to_proto())
        request_id = request_id or new_id("cli")  # nothing is made twice
    send(terminal, request, request_id=request_id, dry_run=dry_run, repeat=repeat, all_or_none=all_or_none)


def spelled_out(terminal: Terminal, wanted: ReservationDraft, room: str | None) -> api.CreateReservationRequest:
    """Without a look-up everything must be said; a number or subject that is missing, booking names itself."""
    if not (wanted.start and wanted.minutes and wanted.people):
        raise CommandError(FailureReason.SAY_EVERYTHING, ExitCode.USAGE)
    return to_request(terminal, wanted.start, wanted.minutes, wanted.people, room, wanted.account)


def send(
    terminal: Terminal,
    request: api.CreateReservationRequest,
    *,
    request_id: str,
    dry_run: bool,
    repeat: str,
    all_or_none: bool,
) -> None:
    if dry_run:
        ask_only(terminal, request)
    elif repeat:
        zone = str(PLATFORM_ZONE)
        ask_series(
            terminal,
            api.CreateReservationSeriesRequest(
                request_id=request_id, first=request, recurrence_rule=repeat, time_zone=zone, all_or_none=all_or_none
            ),
        )
    else:
        request.request_id = request_id
        ask(terminal, request)


def check(
    terminal: Terminal,
    start: Start,
    minutes: Minutes,
    people: People,
    code: Code = "",
    subject: Subject = "",
    room: Room = None,
    account: For = None,
) -> None:
    request = to_request(terminal, start, minutes, people, room, account)
    request.MergeFrom(api.CreateReservationRequest(meeting_code=code, subject=subject))
    ask_only(terminal, request)


def ask(terminal: Terminal, request: api.CreateReservationRequest) -> None:
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.CreateReservation, request)
    terminal.answer(answer, lambda to: rendering.show_create(to, answer))
    raise typer.Exit(exit_code(answer.outcome))


def ask_series(terminal: Terminal, request: api.CreateReservationSeriesRequest) -> None:
    """Exits with 0 only when every occurrence was made."""
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.CreateReservationSeries, request)
    terminal.answer(answer, lambda to: rendering.show_series(to, answer))
    whole = all(each.HasField("reservation") for each in answer.occurrences)
    raise typer.Exit(ExitCode.OK if whole else ExitCode.REFUSED)


def ask_only(terminal: Terminal, request: api.CreateReservationRequest) -> None:
    with open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.CheckReservation, api.CheckReservationRequest(request=request))
    terminal.answer(answer, lambda to: rendering.show_check(to, answer))
    raise typer.Exit(exit_code(answer.outcome))


def exit_code(outcome: int) -> ExitCode:
    return ExitCode.REFUSED if rendering.is_refused(outcome) else ExitCode.OK


def to_request(
    terminal: Terminal, start: str, minutes: int, people: int, room: str | None, account: str | None
) -> api.CreateReservationRequest:
    first = read_moment(start, development_clock.now(terminal.state))
    return api.CreateReservationRequest(
        start_time=moments.to_timestamp(first),
        end_time=moments.to_timestamp(first + timedelta(minutes=minutes)),
        participant_count=people,
        room_id=room,
        account_id=account,
    )
