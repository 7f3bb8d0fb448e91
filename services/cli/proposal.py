"""`yunhui reserve --meeting`: the meeting is looked up, its own time is proposed, and one says yes or changes it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.meetings.v1 import meeting_pb2 as meetings_pb
from yunhui.meetings.v1 import meeting_service_pb2 as lookups

from services.cli import meetings, moments
from services.cli.arguments import read_moment
from services.cli.client import open_meetings
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.text.messages import message


@dataclass(frozen=True, slots=True)
class ReservationDraft:
    """What was said with options; None or "" is proposed."""

    subject: str
    start: str
    minutes: int | None
    people: int | None
    account: str | None


def propose(terminal: Terminal, code: str, wanted: ReservationDraft) -> api.CreateReservationRequest:
    """A request with the meeting's own time and subject where nothing else was said. Raises CommandError."""
    meeting = look_up(terminal, code, wanted.account)
    now = development_clock.now(terminal.state)
    said = read_moment(wanted.start, now) if wanted.start else None
    planned = occurrence(meeting, said or now)
    if planned is None and not (said and wanted.minutes):
        raise CommandError(FailureReason.MEETING_TELLS_NO_TIME, ExitCode.USAGE)
    start, end = interval(planned, said, wanted.minutes)
    return api.CreateReservationRequest(
        meeting_code=meeting.meeting_code,
        subject=wanted.subject or meeting.subject,
        start_time=moments.to_timestamp(start),
        end_time=moments.to_timestamp(end),
        participant_count=wanted.people or ask_people(terminal),
        account_id=wanted.account,
    )


def look_up(terminal: Terminal, code: str, account: str | None) -> meetings_pb.Meeting:
    request = lookups.LookUpMeetingRequest(meeting_code=code, any_owner=bool(account))
    with open_meetings(terminal) as gateway:
        answer = gateway.ask(gateway.stub.LookUpMeeting, request)
    meetings.check_found(answer, code)
    return answer.meeting


def occurrence(meeting: meetings_pb.Meeting, moment: datetime) -> meetings_pb.Occurrence | None:
    """The one under way at that moment, or the next after it; the last one when all are over."""
    takes_place = [each for each in meeting.occurrences if not each.cancelled]
    later = [each for each in takes_place if moments.to_moment(each.end_time) > moment]
    return next(iter(later or takes_place[-1:]), None)


def interval(
    planned: meetings_pb.Occurrence | None, said: datetime | None, minutes: int | None
) -> tuple[datetime, datetime]:
    """As planned, as far as nothing else was said; another start keeps the length."""
    first = moments.to_moment(planned.start_time) if planned else None
    last = moments.to_moment(planned.end_time) if planned else None
    start = said or first
    assert start  # noqa: S101 - said, or planned
    if minutes:
        return start, start + timedelta(minutes=minutes)
    assert first  # noqa: S101 - planned, since no length was said
    assert last  # noqa: S101 - planned
    return start, start + (last - first)


def ask_people(terminal: Terminal) -> int:
    """No provider says how many are expected. Raises CommandError where nobody can be asked."""
    if terminal.json or not terminal.out.is_terminal:
        raise CommandError(FailureReason.SAY_PEOPLE, ExitCode.USAGE)
    return int(typer.prompt(terminal.text(message("people")), type=int))


def confirm(terminal: Terminal, request: api.CreateReservationRequest) -> None:
    """Shows what will be asked. Raises typer.Exit when that is not wanted, CommandError where nobody can be asked."""
    if terminal.json:
        raise CommandError(FailureReason.SAY_YES, ExitCode.USAGE)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    when = moments.show_interval(request.start_time, request.end_time, terminal.language)
    rows = [
        (message("meeting"), meetings.dashed(request.meeting_code)),
        (message("subject"), request.subject),
        (message("time"), when),
        (message("people"), str(request.participant_count)),
    ]
    for text, value in rows:
        table.add_row(terminal.text(text), Styled(value))
    terminal.out.print(table)
    if not terminal.out.is_terminal:
        raise CommandError(FailureReason.SAY_YES, ExitCode.USAGE)
    if not typer.confirm(terminal.text(message("Reserve this?")), default=True):
        terminal.say(message("Nothing was reserved."))
        raise typer.Exit(ExitCode.OK)
