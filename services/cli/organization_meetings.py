"""`yunhui meetings`: all that the organization holds, or one's own of it: coming, running and ended."""

import contextlib
import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import grpc
import typer
from google.protobuf.json_format import MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text as Styled
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1 import meeting_service_pb2 as api
from yunhui.meetings.v1.control_service_pb2_grpc import ControlServiceStub
from yunhui.meetings.v1.meeting_service_pb2_grpc import MeetingServiceStub

from services.cli import client, moments, rendering
from services.cli.arguments import read_moment, read_named
from services.cli.client import Connection
from services.cli.failures import CommandError, ExitCode
from services.cli.meetings import dashed
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.cli.watch import say_waiting
from services.installation import development_clock
from services.platform.text.messages import Text, message, pmessage

PAGE = 500
PHASE, KIND = "MEETING_PHASE_", "MEETING_KIND_"
PHASES: Mapping[int, Text] = {
    pb.MEETING_PHASE_COMING: pmessage("meeting", "to come"),
    pb.MEETING_PHASE_RUNNING: pmessage("meeting", "running"),
    pb.MEETING_PHASE_ENDED: pmessage("meeting", "over"),
    pb.MEETING_PHASE_CANCELLED: pmessage("meeting", "called off"),
}
KINDS: Mapping[int, Text] = {
    pb.MEETING_KIND_UNSPECIFIED: message("unknown"),
    pb.MEETING_KIND_SINGLE: message("takes place once"),
    pb.MEETING_KIND_RECURRING: message("recurring"),
    pb.MEETING_KIND_INSTANT: message("begun without a plan"),
    pb.MEETING_KIND_PERSONAL_ROOM: message("personal room"),
    pb.MEETING_KIND_WEBINAR: message("webinar"),
}
ROLES: Mapping[int, Text] = {
    pb.MEETING_ROLE_UNSPECIFIED: message("unknown"),
    pb.MEETING_ROLE_MEMBER: pmessage("in a meeting", "member"),
    pb.MEETING_ROLE_HOST: pmessage("in a meeting", "host"),
    pb.MEETING_ROLE_CO_HOST: pmessage("in a meeting", "co-host"),
    pb.MEETING_ROLE_GUEST: pmessage("in a meeting", "guest"),
}
DEVICES: Mapping[int, Text] = {
    pb.DEVICE_UNSPECIFIED: message("unknown"),
    pb.DEVICE_PC: message("Windows computer"),
    pb.DEVICE_MAC: Text("Mac"),
    pb.DEVICE_LINUX: message("Linux computer"),
    pb.DEVICE_ANDROID: message("Android phone"),
    pb.DEVICE_IOS: Text("iPhone"),
    pb.DEVICE_TABLET: message("tablet"),
    pb.DEVICE_WEB: message("browser"),
    pb.DEVICE_MINI_PROGRAM: message("mini program"),
    pb.DEVICE_PHONE: message("telephone"),
    pb.DEVICE_CONNECTOR: message("H.323 or SIP terminal"),
    pb.DEVICE_ROOMS: message("meeting room"),
}
Which = Annotated[
    str,
    typer.Argument(
        metavar="MEETING",
        help=message("its number, or its id as the list shows it, e.g. 'simulated/12'"),
    ),
]


class MeetingStubs:
    """Both services of the gateway, at one address."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.meetings = MeetingServiceStub(channel)
        self.control = ControlServiceStub(channel)


Gateway = Connection[MeetingStubs]


def open_gateway(terminal: Terminal) -> Gateway:
    """As whoever is signed in. Raises CommandError."""
    return Connection(MeetingStubs, client.address_of(terminal, "meetings"), client.token(terminal))


def list_(
    terminal: Terminal,
    phase: Annotated[str, typer.Argument(metavar="coming|running|ended|cancelled")] = "running",
    code: Annotated[str, typer.Option(help=message("with this number"))] = "",
    text: Annotated[str, typer.Option(help=message("with these characters in the subject"))] = "",
    creator: Annotated[str, typer.Option(help=message("made by this account"))] = "",
    kind: Annotated[
        str, typer.Option(metavar="single|recurring|instant|personal-room|webinar", help=message("of this kind"))
    ] = "",
    after: Annotated[str, typer.Option(help=message("that end after this time"))] = "",
    before: Annotated[str, typer.Option(help=message("that start before this time"))] = "",
    limit: Annotated[int, typer.Option(min=1, help=message("list at most so many"))] = 50,
) -> None:
    now = development_clock.now(terminal.state)
    request = api.ListMeetingsRequest(
        phase=pb.MeetingPhase.Value(read_named(phase, pb.MeetingPhase.keys(), PHASE)),
        meeting_code=code,
        query=text,
        creator_account_id=creator,
        kind=pb.MeetingKind.Value(read_named(kind, pb.MeetingKind.keys(), KIND) if kind else f"{KIND}UNSPECIFIED"),
        start_time=moments.to_timestamp(read_moment(after, now)) if after else None,
        end_time=moments.to_timestamp(read_moment(before, now)) if before else None,
        page_size=min(limit, PAGE),
    )
    with open_gateway(terminal) as gateway:
        answer = first_pages(gateway, request, limit)
    terminal.answer(answer, lambda to: show_list(to, answer))


def first_pages(gateway: Gateway, request: api.ListMeetingsRequest, limit: int) -> api.ListMeetingsResponse:
    """As one, of at most so many; it tells of a next page if there are more."""
    whole = api.ListMeetingsResponse()
    while True:
        answer = gateway.ask(gateway.stub.meetings.ListMeetings, request)
        shown = [*whole.meetings, *answer.meetings]
        whole.CopyFrom(answer)
        del whole.meetings[:]
        whole.meetings.extend(shown)
        request.page_token = answer.next_page_token
        if not answer.next_page_token or len(shown) >= limit:
            return whole
        request.page_size = min(limit - len(shown), PAGE)


def show(terminal: Terminal, meeting: Which) -> None:
    with open_gateway(terminal) as gateway:
        answer = gateway.ask(gateway.stub.meetings.GetMeeting, api.GetMeetingRequest(meeting=find(gateway, meeting)))
    terminal.answer(answer, lambda to: rendering.show_facts(to, facts(to, answer.meeting)))


def people(terminal: Terminal, meeting: Which) -> None:
    with open_gateway(terminal) as gateway:
        answer = ask_people(gateway, find(gateway, meeting))
    terminal.answer(answer, lambda to: show_people(to, answer))


def visits(terminal: Terminal, meeting: Which) -> None:
    whole = api.ListVisitsResponse()
    with open_gateway(terminal) as gateway:
        request = api.ListVisitsRequest(meeting=find(gateway, meeting), page_size=PAGE)
        while True:
            answer = gateway.ask(gateway.stub.meetings.ListVisits, request)
            whole.visits.extend(answer.visits)
            whole.complete = answer.complete
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                break
    terminal.answer(whole, lambda to: show_visits(to, whole))


def quality(
    terminal: Terminal, meeting: Which, account: Annotated[str, typer.Option(help=message("only of this account"))] = ""
) -> None:
    with open_gateway(terminal) as gateway:
        request = api.GetQualityRequest(meeting=find(gateway, meeting), account_id=account)
        answer = gateway.ask(gateway.stub.meetings.GetQuality, request)
    terminal.answer(answer, lambda to: show_quality(to, answer))


def watch(
    terminal: Terminal,
    meeting: Annotated[str, typer.Argument(metavar="MEETING", help=message("only this one; all by default"))] = "",
) -> None:
    with open_gateway(terminal) as gateway, contextlib.suppress(KeyboardInterrupt):
        request = api.WatchMeetingsRequest(meetings=[find(gateway, meeting)] if meeting else [])
        for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with SIGINT ignored
            signal.signal(number, signal.default_int_handler)
        for change in gateway.follow(gateway.stub.meetings.WatchMeetings, request, lambda: say_waiting(terminal)):
            show_change(terminal, change)


def find(gateway: Gateway, typed: str) -> meeting_pb2.MeetingKey:
    """By its id; or by a number, the one that runs, or else the next that has it. Raises CommandError."""
    parts = typed.split("/")
    if len(parts) in (2, 3):
        return meeting_pb2.MeetingKey(provider=parts[0], meeting_id=parts[1], sub_meeting_id="".join(parts[2:]))
    for phase in (pb.MEETING_PHASE_RUNNING, pb.MEETING_PHASE_COMING, pb.MEETING_PHASE_ENDED):
        request = api.ListMeetingsRequest(phase=phase, meeting_code=typed, page_size=1)
        if found := gateway.ask(gateway.stub.meetings.ListMeetings, request).meetings:
            return found[0].meeting
    raise CommandError(FailureReason.NO_SUCH_MEETING, ExitCode.NOT_FOUND, typed=typed)


def ask_people(gateway: Gateway, key: meeting_pb2.MeetingKey) -> api.ListPeopleResponse:
    return gateway.ask(gateway.stub.meetings.ListPeople, api.ListPeopleRequest(meeting=key))


def id_of(key: meeting_pb2.MeetingKey) -> str:
    """As it is typed."""
    return "/".join(filter(None, (key.provider, key.meeting_id, key.sub_meeting_id)))


def show_list(terminal: Terminal, answer: api.ListMeetingsResponse) -> None:
    if not answer.meetings:
        terminal.say(message("No meetings."))
    else:
        headings = (message("number"), message("subject"), message("time"), message("made by"), message("people"))
        table = headed(terminal, (*headings, message("id")))
        for each in answer.meetings:
            shown = each.inside_count if each.phase == pb.MEETING_PHASE_RUNNING else each.came_count
            cells = (dashed(each.meeting_code), each.subject, when(terminal, each), maker(each), str(shown or ""))
            table.add_row(*map(Styled, (*cells, id_of(each.meeting))))
        terminal.out.print(table)
    if answer.next_page_token:
        terminal.say(message("There are more: say more, or list more with --limit."))
    if answer.HasField("as_of"):
        terminal.say(message("As the provider said at {time}."), time=moments.show(answer.as_of, terminal.language))
    else:
        terminal.say(message("The provider's list was never read to its end: some may be missing."))


def when(terminal: Terminal, each: pb.ListedMeeting) -> str:
    """As it was, as far as it was; else as it is planned."""
    started, ended = each.HasField("actual_start_time"), each.HasField("actual_end_time")
    start = each.actual_start_time if started else each.start_time
    if each.phase == pb.MEETING_PHASE_RUNNING or not (ended or each.HasField("end_time")):
        return terminal.text(message("since {time}"), time=moments.show(start, terminal.language))
    return moments.show_bare_interval(start, each.actual_end_time if ended else each.end_time, terminal.language)


def maker(each: pb.ListedMeeting) -> str:
    return each.creator_name or each.creator_account_id


def facts(terminal: Terminal, each: pb.ListedMeeting) -> Iterator[tuple[Text, str]]:
    yield message("meeting"), dashed(each.meeting_code)
    yield message("subject"), each.subject
    yield message("state"), terminal.text(PHASES[each.phase])
    yield message("kind"), terminal.text(KINDS[each.kind])
    if each.HasField("start_time") and each.HasField("end_time"):
        yield message("planned"), moments.show_interval(each.start_time, each.end_time, terminal.language)
    for text, moment, told in (
        (message("first entered"), each.actual_start_time, each.HasField("actual_start_time")),
        (message("last left"), each.actual_end_time, each.HasField("actual_end_time")),
    ):
        if told:
            yield text, moments.show(moment, terminal.language)
    yield message("made by"), " ".join(filter(None, (each.creator_name, each.creator_account_id)))
    yield message("inside now"), str(each.inside_count)
    yield message("came so far"), str(each.came_count)
    yield message("meeting id"), id_of(each.meeting)
    if each.HasField("as_of"):
        yield message("as of"), moments.show(each.as_of, terminal.language)


def show_people(terminal: Terminal, answer: api.ListPeopleResponse) -> None:
    if answer.knowledge != meeting_pb2.KNOWLEDGE_KNOWN:
        terminal.say(message("Who is inside is not known now: {reason}"), reason=answer.unknown_reason)
        return
    columns = (pmessage("person", "name"), message("account"), message("role"), message("with"))
    table = headed(terminal, (*columns, message("microphone"), message("camera"), message("shares"), message("since")))
    for each in answer.people:
        states = (
            state(terminal, known, on)
            for known, on in (
                (each.HasField("microphone"), each.microphone),
                (each.HasField("camera"), each.camera),
                (each.HasField("sharing"), each.sharing),
            )
        )
        cells = (
            each.display_name,
            each.account_id,
            terminal.text(ROLES[each.role]),
            terminal.text(DEVICES[each.device]),
        )
        table.add_row(*map(Styled, (*cells, *states, moments.show(each.enter_time, terminal.language))))
    terminal.out.print(table)
    if answer.waiting:
        terminal.say(
            message("In the waiting room: {people}"), people=", ".join(name_of(each) for each in answer.waiting)
        )
    elif not answer.waiting_known:
        terminal.say(message("The provider does not say who waits."))


def state(terminal: Terminal, known: bool, on: bool) -> str:
    return terminal.text(pmessage("switch", "on") if on else pmessage("switch", "off")) if known else "–"


def name_of(person: pb.PersonInside | pb.PersonWaiting) -> str:
    return f"{person.display_name} ({person.account_id})" if person.account_id else person.display_name


def show_visits(terminal: Terminal, answer: api.ListVisitsResponse) -> None:
    table = headed(
        terminal,
        (pmessage("person", "name"), message("account"), message("with"), message("entered"), message("left")),
    )
    for each in answer.visits:
        left = (
            show_moment(terminal, each.leave_time) if each.HasField("leave_time") else terminal.text(message("inside"))
        )
        cells = (each.display_name, each.account_id, terminal.text(DEVICES[each.device]))
        table.add_row(*map(Styled, (*cells, show_moment(terminal, each.enter_time), left)))
    terminal.out.print(table)
    if not answer.complete:
        terminal.say(message("The provider was not asked for all of them yet: some may be missing."))


def show_quality(terminal: Terminal, answer: api.GetQualityResponse) -> None:
    if not answer.samples:
        terminal.say(message("No samples: quality is asked for while a meeting runs."))
        return
    columns = (message("time"), pmessage("person", "name"), message("delay, ms"))
    table = headed(terminal, (*columns, message("lost from, %"), message("lost to, %"), message("disturbed")))
    for each in answer.samples:
        figures = [
            f"{getattr(each, name):.1f}" if each.HasField(name) else "–"
            for name in ("delay_ms", "upstream_loss", "downstream_loss")
        ]
        bad = terminal.text(message("yes")) if each.bad else ""
        table.add_row(*map(Styled, (show_moment(terminal, each.sample_time), each.display_name, *figures, bad)))
    terminal.out.print(table)


def show_moment(terminal: Terminal, moment: Timestamp) -> str:
    return moments.show(moment, terminal.language)


def show_change(terminal: Terminal, change: api.WatchMeetingsResponse) -> None:
    if terminal.json:
        # flushed: a reader at the other end of a pipe waits for this line, and may wait long for the next
        print(MessageToJson(change, indent=None, ensure_ascii=False), flush=True)
        return
    each = change.meeting
    cells = (
        show_moment(terminal, each.as_of),
        terminal.text(PHASES[each.phase]),
        dashed(each.meeting_code),
        terminal.text(message("{number} inside"), number=each.inside_count),
        each.subject,
        id_of(each.meeting),
    )
    terminal.out.print("  ".join(cells), markup=False, soft_wrap=True)


def headed(terminal: Terminal, headings: Iterable[Text]) -> Table:
    table = Table(padding=(0, 1))
    for text in headings:
        table.add_column(terminal.text(text), overflow="fold")
    return table
