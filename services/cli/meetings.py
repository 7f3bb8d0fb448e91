"""`yunhui query`: the meeting behind a number, step 1 of the tutorial; `yunhui simulate`: what happens in meetings."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.meetings.v1 import meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_service_pb2 as api
from yunhui.meetings.v1 import simulator_service_pb2 as simulator
from yunhui.meetings.v1.simulator_service_pb2_grpc import SimulatorServiceStub

from services.cli import client, moments
from services.cli.arguments import read_moment
from services.cli.client import Connection, open_meetings
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.rendering import MEETING_STATES
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.local import is_loopback_address
from services.platform.text.messages import Text, message
from services.platform.text.times import PLATFORM_ZONE

Code = Annotated[str, typer.Argument(metavar="CODE", help=message("the meeting's number, 9 or 10 digits"))]
One = Annotated[
    str,
    typer.Option(
        "--occurrence",
        metavar="NUMBER",
        help=message("which occurrence of a recurring meeting; the one under way or next by default"),
    ),
]
Who = Annotated[str, typer.Option("--account", help=message("who; whoever is signed in by default"))]


def query(
    terminal: Terminal,
    code: Code,
    account: Annotated[str, typer.Option(help=message("on behalf of this account (support, admin)"))] = "",
    anyone: Annotated[bool, typer.Option("--any", help=message("also meetings of others (support, admin)"))] = False,
) -> None:
    request = api.LookUpMeetingRequest(meeting_code=code, account_id=account, any_owner=anyone)
    with open_meetings(terminal) as meetings:
        answer = meetings.ask(meetings.stub.LookUpMeeting, request)
    check_found(answer, code)
    terminal.answer(answer, lambda to: show_meeting(to, answer.meeting))


def check_found(answer: api.LookUpMeetingResponse, code: str) -> None:
    """Raises CommandError: what nobody has, or another has, is one thing to every command."""
    if answer.outcome != api.LOOK_UP_OUTCOME_FOUND:
        raise CommandError(
            FailureReason.MEETING_OF_ANOTHER
            if answer.outcome == api.LOOK_UP_OUTCOME_ANOTHERS
            else FailureReason.MEETING_NOT_FOUND,
            ExitCode.NOT_FOUND,
            number=code,
            field="meeting_code",
        )


def show_meeting(terminal: Terminal, meeting: pb.Meeting) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for text, value in facts(terminal, meeting):
        table.add_row(terminal.text(text), Styled(value))
    terminal.out.print(table)


def facts(terminal: Terminal, meeting: pb.Meeting) -> Iterable[tuple[Text, str]]:
    yield message("meeting"), dashed(meeting.meeting_code)
    yield message("subject"), meeting.subject
    yield message("state"), terminal.text(MEETING_STATES[meeting.state])
    yield message("time"), "\n".join(times(terminal, meeting))
    if meeting.creator_account_id:
        yield message("made by"), meeting.creator_account_id
    if meeting.host_account_ids:
        yield message("hosts"), ", ".join(meeting.host_account_ids)
    yield message("meeting id"), f"{meeting.provider}/{meeting.meeting_id}"


def times(terminal: Terminal, meeting: pb.Meeting) -> Iterable[str]:
    for each in meeting.occurrences:
        number = f"{each.sub_meeting_id}: " if meeting.recurring else ""  # what --occurrence takes
        off = terminal.text(message("(called off)")) if each.cancelled else ""
        yield f"{number}{moments.show_interval(each.start_time, each.end_time, terminal.language)} {off}".rstrip()
    if meeting.more_occurrences:
        yield terminal.text(message("and more"))


def dashed(code: str) -> str:
    """123456789 as people read it: 123-456-789."""
    return "-".join(filter(None, [code[:3], code[3:6], code[6:]]))


def make(
    terminal: Terminal,
    start: Annotated[
        str, typer.Option(help=message("start (Beijing time), e.g. '2025-07-07 10:00' or 'tomorrow 10:00'"))
    ],
    minutes: Annotated[int, typer.Option(min=1, max=1440, help=message("how long the meeting is, in minutes"))],
    code: Annotated[str, typer.Argument(metavar="CODE", help=message("the meeting's number, 9 or 10 digits"))] = "",
    subject: Annotated[str, typer.Option(help=message("what the meeting is about"))] = "",
    account: Who = "",
    repeat: Annotated[
        str, typer.Option(metavar="RRULE", help=message("repeat by a rule of RFC 5545, e.g. 'FREQ=WEEKLY;COUNT=4'"))
    ] = "",
) -> None:
    first = read_moment(start, development_clock.now(terminal.state))
    request = simulator.CreateMeetingRequest(
        meeting_code=code,
        subject=subject or terminal.text(message("seminar")),
        start_time=moments.to_timestamp(first),
        end_time=moments.to_timestamp(first + timedelta(minutes=minutes)),
        account_id=account,
        recurrence_rule=repeat,
        time_zone=str(PLATFORM_ZONE) if repeat else "",
    )
    with open_simulator(terminal) as meetings:
        answer = meetings.ask(meetings.stub.CreateMeeting, request)
    terminal.answer(answer, lambda to: show_meeting(to, answer.meeting))


def end(terminal: Terminal, code: Code, occurrence: One = "") -> None:
    act(terminal, code, simulator.SIMULATED_ACT_END, occurrence)


def cancel(
    terminal: Terminal,
    code: Code,
    occurrence: Annotated[
        str, typer.Option(metavar="NUMBER", help=message("only this occurrence of a recurring meeting; all by default"))
    ] = "",
) -> None:
    act(terminal, code, simulator.SIMULATED_ACT_CANCEL, occurrence)


def move(
    terminal: Terminal,
    code: Code,
    start: Annotated[
        str, typer.Option(help=message("start (Beijing time), e.g. '2025-07-07 10:00' or 'tomorrow 10:00'"))
    ],
    minutes: Annotated[
        int | None, typer.Option(min=1, max=1440, help=message("how long the meeting is, in minutes"))
    ] = None,
    occurrence: One = "",
) -> None:
    first = read_moment(start, development_clock.now(terminal.state))
    request = simulator.ActInMeetingRequest(
        meeting_code=code,
        act=simulator.SIMULATED_ACT_MOVE,
        start_time=moments.to_timestamp(first),
        sub_meeting_id=occurrence,
    )
    if minutes:
        request.end_time.CopyFrom(moments.to_timestamp(first + timedelta(minutes=minutes)))
    ask(terminal, request)


def act(terminal: Terminal, code: str, what: simulator.SimulatedAct.ValueType, occurrence: str) -> None:
    ask(terminal, simulator.ActInMeetingRequest(meeting_code=code, act=what, sub_meeting_id=occurrence))


def ask(terminal: Terminal, request: simulator.ActInMeetingRequest) -> None:
    with open_simulator(terminal) as meetings:
        answer = meetings.ask(meetings.stub.ActInMeeting, request)
    terminal.answer(answer, lambda to: show_meeting(to, answer.meeting))


def open_simulator(terminal: Terminal) -> Connection[SimulatorServiceStub]:
    """As whoever is signed in. Raises CommandError."""
    address = client.address_of(terminal, "meetings")
    if not is_loopback_address(address):
        raise CommandError(FailureReason.ONLY_DEVELOPMENT, ExitCode.USAGE)
    return Connection(SimulatorServiceStub, address, client.token(terminal))
