"""`yunhui recordings`: what was recorded of meetings is found, played, shared and deleted."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.text import Text as Styled
from ulid import ULID
from yunhui.meetings.v1 import control_service_pb2 as control
from yunhui.meetings.v1 import meeting_pb2
from yunhui.meetings.v1 import recording_pb2 as pb
from yunhui.meetings.v1 import recording_service_pb2 as api
from yunhui.meetings.v1.recording_service_pb2_grpc import RecordingServiceStub

from services.cli import client, moments, rendering
from services.cli.arguments import confirm, read_moment, read_named
from services.cli.client import Connection
from services.cli.failures import ExitCode
from services.cli.meeting_control import OUTCOMES, REFUSALS, Reason, Request, Yes
from services.cli.meetings import dashed
from services.cli.organization_meetings import headed, id_of
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.text.messages import Text, message, pmessage

AUDIENCE = "RECORDING_AUDIENCE_"
STATES: Mapping[int, Text] = {
    pb.RECORDING_STATE_UNSPECIFIED: message("unknown"),
    pb.RECORDING_STATE_RECORDING: pmessage("recording", "being recorded"),
    pb.RECORDING_STATE_TRANSCODING: pmessage("recording", "being made ready"),
    pb.RECORDING_STATE_READY: pmessage("recording", "ready"),
    pb.RECORDING_STATE_DELETED: pmessage("recording", "deleted"),
}
AUDIENCES: Mapping[int, Text] = {
    pb.RECORDING_AUDIENCE_UNSPECIFIED: message("unknown"),
    pb.RECORDING_AUDIENCE_NOBODY: message("nobody"),
    pb.RECORDING_AUDIENCE_PARTICIPANTS: message("those who were in the meeting"),
    pb.RECORDING_AUDIENCE_ORGANIZATION: message("everybody of the organization"),
    pb.RECORDING_AUDIENCE_ANYBODY: message("whoever has the link"),
}
VERBS: Mapping[int, Text] = {
    pb.RECORDING_VERB_DELETE: pmessage("recording", "deleted"),
    pb.RECORDING_VERB_SHARE: pmessage("recording", "said who may see it"),
}
WHY: Mapping[str, Text] = {**REFUSALS, "NO_SUCH_RECORDING": message("the provider knows no such recording")}
Recordings = Connection[RecordingServiceStub]
Which = Annotated[str, typer.Argument(metavar="RECORDING", help=message("its id, as the list shows it"))]


def open_recordings(terminal: Terminal) -> Recordings:
    """As whoever is signed in. Raises CommandError."""
    return Connection(RecordingServiceStub, client.address_of(terminal, "meetings"), client.token(terminal))


def list_(
    terminal: Terminal,
    meeting: Annotated[str, typer.Option(help=message("of this meeting: its number, or its id"))] = "",
    creator: Annotated[str, typer.Option(help=message("made by this account"))] = "",
    after: Annotated[str, typer.Option(help=message("of meetings that began after it; 31 days by default"))] = "",
    before: Annotated[str, typer.Option(help=message("of meetings that began before it"))] = "",
    limit: Annotated[int, typer.Option(min=1, help=message("list at most so many"))] = 50,
) -> None:
    now = development_clock.now(terminal.state)
    key = key_of(meeting)
    request = api.ListRecordingsRequest(
        meeting=key,
        meeting_code="" if key else meeting,
        creator_account_id=creator,
        start_time=moments.to_timestamp(read_moment(after, now)) if after else None,
        end_time=moments.to_timestamp(read_moment(before, now)) if before else None,
    )
    whole = api.ListRecordingsResponse()
    with open_recordings(terminal) as recordings:
        while True:
            answer = recordings.ask(recordings.stub.ListRecordings, request)
            whole.recordings.extend(answer.recordings)
            whole.next_page_token = request.page_token = answer.next_page_token
            whole.as_of.CopyFrom(answer.as_of)
            if not answer.next_page_token or len(whole.recordings) >= limit:
                break
    del whole.recordings[limit:]
    terminal.answer(whole, lambda to: show_list(to, whole))


def key_of(typed: str) -> meeting_pb2.MeetingKey | None:
    """None for what is a number, or nothing."""
    parts = typed.split("/")
    if len(parts) < 2:
        return None
    return meeting_pb2.MeetingKey(provider=parts[0], meeting_id=parts[1], sub_meeting_id="/".join(parts[2:]))


def show(terminal: Terminal, recording: Which) -> None:
    with open_recordings(terminal) as recordings:
        answer = recordings.ask(recordings.stub.GetRecording, api.GetRecordingRequest(recording_id=recording))
    terminal.answer(answer, lambda to: show_one(to, answer))


def links(terminal: Terminal, recording: Which) -> None:
    request = api.GetRecordingLinksRequest(recording_id=recording)
    with open_recordings(terminal) as recordings:
        answer = recordings.ask(recordings.stub.GetRecordingLinks, request)
    terminal.answer(answer, lambda to: show_links(to, answer))


def share(
    terminal: Terminal,
    recording: Which,
    audience: Annotated[str, typer.Argument(metavar="nobody|participants|organization|anybody")],
    password: Annotated[str, typer.Option(help=message("of the link: 4 to 8 letters and digits"))] = "",
    until: Annotated[str, typer.Option(help=message("until when the link can be opened; without end by default"))] = "",
    download: Annotated[bool, typer.Option("--download", help=message("it may be downloaded"))] = False,
    reason: Reason = "",
    request: Request = "",
) -> None:
    now = development_clock.now(terminal.state)
    sharing = pb.RecordingSharing(
        audience=pb.RecordingAudience.Value(read_named(audience, pb.RecordingAudience.keys(), AUDIENCE)),
        expire_time=moments.to_timestamp(read_moment(until, now)) if until else None,
        may_download=download,
    )
    asked = api.SetRecordingSharingRequest(recording_id=recording, sharing=sharing, password=password)
    act(terminal, "SetRecordingSharing", asked, reason, request)


def delete(
    terminal: Terminal,
    recording: Which,
    file: Annotated[str, typer.Option(help=message("only this file; all of it by default"))] = "",
    yes: Yes = False,
    reason: Reason = "",
    request: Request = "",
) -> None:
    confirm(terminal, message("Delete the recording for good?"), yes=yes)

    act(terminal, "DeleteRecording", api.DeleteRecordingRequest(recording_id=recording, file_id=file), reason, request)


def act(terminal: Terminal, method: str, asked: Any, reason: str, request: str) -> None:
    """Once. Raises CommandError; ends with REFUSED as it is."""
    asked.request_id, asked.reason = request or str(ULID()), reason
    with open_recordings(terminal) as recordings:
        answer: Any = recordings.ask(getattr(recordings.stub, method), asked)
    terminal.answer(answer, lambda to: show_act(to, answer.act))
    if answer.act.outcome != control.CONTROL_OUTCOME_DONE:
        refused = answer.act.outcome == control.CONTROL_OUTCOME_REFUSED
        raise typer.Exit(ExitCode.REFUSED if refused else ExitCode.OTHER)


def show_act(terminal: Terminal, done: pb.RecordingAct) -> None:
    text, style = OUTCOMES[done.outcome]
    terminal.out.print(Styled(terminal.text(text), style))
    if done.refusal:
        terminal.out.print(Styled(why(terminal, done)))


def why(terminal: Terminal, done: pb.RecordingAct) -> str:
    """In the reader's language, and then in the provider's words."""
    said = terminal.text(WHY[done.refusal]) if done.refusal in WHY else done.refusal
    return f"{said}: {done.provider_message}" if done.provider_message else said


def show_list(terminal: Terminal, answer: api.ListRecordingsResponse) -> None:
    if not answer.recordings:
        terminal.say(message("No recordings."))
    else:
        headings = (
            message("number"),
            message("subject"),
            message("meeting began"),
            message("made by"),
            message("state"),
        )
        table = headed(terminal, (*headings, message("size"), message("id")))
        for each in answer.recordings:
            began = moments.show(each.start_time, terminal.language)
            cells = (dashed(each.meeting_code), each.subject, began, each.creator_account_id)
            table.add_row(*map(Styled, (*cells, terminal.text(STATES[each.state]), size(each), each.recording_id)))
        terminal.out.print(table)
    if answer.next_page_token:
        terminal.say(message("There are more: say more, or list more with --limit."))


def size(each: pb.Recording) -> str:
    """In megabytes; "" as long as that is not known."""
    octets = sum(file.size_bytes for file in each.files)
    return f"{octets / 1_000_000:.1f} MB" if octets else ""


def show_one(terminal: Terminal, answer: api.GetRecordingResponse) -> None:
    rendering.show_facts(terminal, facts(terminal, answer.recording))
    for each in answer.acts:
        text, style = OUTCOMES[each.outcome]
        line = (moments.show(each.create_time, terminal.language), terminal.text(VERBS[each.verb]), each.file_id)
        words = (terminal.text(text), why(terminal, each) if each.refusal else "", each.actor_account_id, each.reason)
        terminal.out.print(Styled("  ".join(filter(None, (*line, *words))), style))


def facts(terminal: Terminal, each: pb.Recording) -> Iterator[tuple[Text, str]]:
    language = terminal.language
    yield message("meeting"), dashed(each.meeting_code)
    yield message("subject"), each.subject
    yield message("meeting began"), moments.show(each.start_time, language)
    yield message("state"), terminal.text(STATES[each.state])
    yield message("made by"), each.creator_account_id
    yield message("meeting id"), id_of(each.meeting)
    for file in each.files:
        end = file.end_time if file.HasField("end_time") else file.start_time
        when = moments.show_bare_interval(file.start_time, end, language)
        yield message("file"), f"{file.file_id}  {when}  {file.size_bytes / 1_000_000:.1f} MB"
    if each.HasField("sharing"):
        yield message("who may see it"), "  ".join(sharing(terminal, each.sharing))
    if each.HasField("delete_time"):
        yield pmessage("recording", "deleted"), moments.show(each.delete_time, language)


def sharing(terminal: Terminal, each: pb.RecordingSharing) -> Iterator[str]:
    yield terminal.text(AUDIENCES[each.audience])
    if each.has_password:
        yield terminal.text(message("with a password"))
    if each.HasField("expire_time"):
        yield terminal.text(message("until {time}"), time=moments.show(each.expire_time, terminal.language))
    if each.may_download:
        yield terminal.text(message("may be downloaded"))


def show_links(terminal: Terminal, answer: api.GetRecordingLinksResponse) -> None:
    """As they are, for whoever copies them."""
    for each in answer.files:
        kinds = (
            (message("play"), each.play_address),
            (message("download"), each.download_address),
            (message("download the sound"), each.audio_address),
        )
        for text, address in kinds:
            if address:
                terminal.out.print(
                    f"{each.file_id}  {terminal.text(text)}  {shown(address)}", markup=False, soft_wrap=True
                )
        if each.HasField("expire_time"):
            time = moments.show(each.expire_time, terminal.language)
            terminal.say(message("The links for downloading can be used until {time}."), time=time)
    if answer.share_address:
        words = filter(None, (terminal.text(message("shared")), shown(answer.share_address), answer.share_password))
        terminal.out.print("  ".join(words), markup=False, soft_wrap=True)


def shown(address: str) -> str:
    """Without what a terminal would take for a command."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "", address)
