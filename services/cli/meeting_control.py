"""`yunhui meetings mute` and so on: a running meeting is steered, each act once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text as Styled
from ulid import ULID
from yunhui.meetings.v1 import control_service_pb2 as api
from yunhui.meetings.v1 import listed_meeting_pb2 as pb

from services.cli import moments
from services.cli.arguments import confirm, read_named
from services.cli.failures import CommandError, ExitCode
from services.cli.organization_meetings import Gateway, Which, ask_people, find, headed, name_of, open_gateway
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message, pmessage

VERBS: Mapping[int, Text] = {
    api.CONTROL_VERB_CHANGE_SETTINGS: pmessage("act", "settings changed"),
    api.CONTROL_VERB_MUTE: pmessage("act", "muted or unmuted"),
    api.CONTROL_VERB_REMOVE: pmessage("act", "removed"),
    api.CONTROL_VERB_SET_CO_HOST: pmessage("act", "co-host or no longer"),
    api.CONTROL_VERB_ADMIT: pmessage("act", "admitted"),
    api.CONTROL_VERB_PUT_IN_WAITING_ROOM: pmessage("act", "put in the waiting room"),
    api.CONTROL_VERB_TURN_AWAY: pmessage("act", "turned away"),
    api.CONTROL_VERB_RENAME: pmessage("act", "renamed"),
    api.CONTROL_VERB_STOP_VIDEO: pmessage("act", "camera off"),
    api.CONTROL_VERB_STOP_SHARING: pmessage("act", "sharing ended"),
    api.CONTROL_VERB_INVITE: pmessage("act", "invited"),
    api.CONTROL_VERB_END: pmessage("act", "ended for everybody"),
}
OUTCOMES: Mapping[int, tuple[Text, str]] = {
    api.CONTROL_OUTCOME_UNSPECIFIED: (message("under way"), "yellow"),
    api.CONTROL_OUTCOME_DONE: (pmessage("act", "done"), "bold green"),
    api.CONTROL_OUTCOME_REFUSED: (message("refused by the provider: nothing was done"), "bold red"),
    api.CONTROL_OUTCOME_UNKNOWN: (
        message("not known: it may have been done; look before you do it again"),
        "bold yellow",
    ),
}
REFUSALS: Mapping[str, Text] = {
    "NOT_PERMITTED": message("the provider does not permit it"),
    "WRONG_STATE": message("the meeting is not as it would have to be"),
    "NO_SUCH_PERSON": message("the person is no longer there"),
    "NO_SUCH_MEETING": message("the provider knows no such meeting"),
    "RATE_LIMITED": message("the provider allows no more calls for the moment"),
    "PROVIDER_AWAY": message("the provider is away"),
    "PROVIDER_REFUSED": message("the provider does not understand the question"),
}
Person = Annotated[
    str, typer.Argument(metavar="PERSON", help=message("account, name shown, or the provider's id of the person"))
]
People = Annotated[
    list[str], typer.Argument(metavar="PERSON", help=message("accounts, names shown, or the provider's ids"))
]
Reason = Annotated[str, typer.Option("--reason", help=message("why; it is kept with the act"))]
Request = Annotated[
    str, typer.Option("--request-id", help=message("to ask for the same act again, without doing it twice"))
]
Off = Annotated[bool, typer.Option("--off", help=message("take it back"))]
MayReturn = Annotated[bool, typer.Option("--may-return", help=message("they may come back"))]
Yes = Annotated[bool, typer.Option("--yes", help=message("do not ask"))]
Switch = bool | None
Somebody = pb.PersonInside | pb.PersonWaiting
NAMING: Sequence[Callable[[Somebody], str]] = (
    lambda each: each.target.person_id,
    lambda each: each.account_id,
    lambda each: each.display_name,
)


def mute(
    terminal: Terminal, meeting: Which, person: Person, off: Off = False, reason: Reason = "", request: Request = ""
) -> None:
    act(terminal, meeting, [person], api.MutePersonRequest(muted=not off), reason, request)


def co_host(
    terminal: Terminal, meeting: Which, person: Person, off: Off = False, reason: Reason = "", request: Request = ""
) -> None:
    act(terminal, meeting, [person], api.SetCoHostRequest(co_host=not off), reason, request)


def rename(
    terminal: Terminal,
    meeting: Which,
    person: Person,
    name: Annotated[str, typer.Argument(metavar="NAME", help=message("1 to 20 characters"))],
    reason: Reason = "",
    request: Request = "",
) -> None:
    act(terminal, meeting, [person], api.RenamePersonRequest(display_name=name), reason, request)


def stop_video(terminal: Terminal, meeting: Which, person: Person, reason: Reason = "", request: Request = "") -> None:
    act(terminal, meeting, [person], api.StopVideoRequest(), reason, request)


def stop_sharing(
    terminal: Terminal, meeting: Which, person: Person, reason: Reason = "", request: Request = ""
) -> None:
    act(terminal, meeting, [person], api.StopSharingRequest(), reason, request)


def remove(
    terminal: Terminal,
    meeting: Which,
    people: People,
    may_return: MayReturn = False,
    yes: Yes = False,
    reason: Reason = "",
    request: Request = "",
) -> None:
    confirm(terminal, message("Remove {people} from the meeting?"), yes=yes, people=", ".join(people))

    act(terminal, meeting, people, api.RemovePeopleRequest(may_return=may_return), reason, request)


def admit(terminal: Terminal, meeting: Which, people: People, reason: Reason = "", request: Request = "") -> None:
    act(terminal, meeting, people, api.AdmitPeopleRequest(), reason, request)


def put_in_waiting_room(
    terminal: Terminal, meeting: Which, people: People, reason: Reason = "", request: Request = ""
) -> None:
    act(terminal, meeting, people, api.PutInWaitingRoomRequest(), reason, request)


def turn_away(
    terminal: Terminal,
    meeting: Which,
    people: People,
    may_return: MayReturn = False,
    reason: Reason = "",
    request: Request = "",
) -> None:
    act(terminal, meeting, people, api.TurnPeopleAwayRequest(may_return=may_return), reason, request)


def invite(
    terminal: Terminal,
    meeting: Which,
    accounts: Annotated[list[str], typer.Argument(metavar="ACCOUNT")],
    reason: Reason = "",
    request: Request = "",
) -> None:
    act(terminal, meeting, [], api.InviteMembersRequest(account_ids=accounts), reason, request)


def end(terminal: Terminal, meeting: Which, yes: Yes = False, reason: Reason = "", request: Request = "") -> None:
    confirm(terminal, message("End the meeting for everybody?"), yes=yes)

    act(terminal, meeting, [], api.EndMeetingRequest(), reason, request)


def change(
    terminal: Terminal,
    meeting: Which,
    mute_all: Annotated[Switch, typer.Option(help=message("all are muted"))] = None,
    may_unmute: Annotated[Switch, typer.Option(help=message("people may unmute themselves"))] = None,
    mute_on_entry: Annotated[str, typer.Option(metavar="off|on|above-six", help=message("muted as they enter"))] = "",
    locked: Annotated[Switch, typer.Option(help=message("nobody else may enter"))] = None,
    waiting_room: Annotated[Switch, typer.Option(help=message("whoever enters waits first"))] = None,
    hide_number: Annotated[Switch, typer.Option(help=message("number and password are not shown inside"))] = None,
    organization_only: Annotated[
        Switch, typer.Option(help=message("only people of the organization may enter"))
    ] = None,
    may_share: Annotated[Switch, typer.Option(help=message("everybody may share a screen"))] = None,
    chat: Annotated[str, typer.Option(metavar="free|public|hosts", help=message("who may write in the chat"))] = "",
    red_envelopes: Annotated[Switch, typer.Option(help=message("red envelopes may be sent"))] = None,
    entry_sound: Annotated[Switch, typer.Option(help=message("a sound is heard when somebody enters"))] = None,
    reason: Reason = "",
    request: Request = "",
) -> None:
    settings = api.RunningSettings(
        mute_all=mute_all,
        may_unmute=may_unmute,
        mute_on_entry=api.MuteOnEntry.Value(choice(mute_on_entry, api.MuteOnEntry, "MUTE_ON_ENTRY_")),
        locked=locked,
        waiting_room=waiting_room,
        hide_number=hide_number,
        organization_only=organization_only,
        may_share=may_share,
        chat=api.Chat.Value(choice(chat, api.Chat, "CHAT_")),
        red_envelopes=red_envelopes,
        entry_sound=entry_sound,
    )
    if not settings.ListFields():
        raise CommandError(FailureReason.SAY_WHAT, ExitCode.USAGE)

    act(terminal, meeting, [], api.ChangeMeetingSettingsRequest(settings=settings), reason, request)


def choice(typed: str, names: Any, prefix: str) -> str:
    """Of an enum; the first of it when nothing is typed."""
    return read_named(typed, names.keys(), prefix) if typed else names.keys()[0]


def acts(terminal: Terminal, meeting: Which) -> None:
    with open_gateway(terminal) as gateway:
        request = api.ListControlActsRequest(meeting=find(gateway, meeting), page_size=100)
        answer = gateway.ask(gateway.stub.control.ListControlActs, request)
    terminal.answer(answer, lambda to: show_acts(to, answer))


def act(terminal: Terminal, meeting: str, people: Sequence[str], asked: Any, reason: str, request: str) -> None:
    """Once. `asked` says what, without the order and without whom. Raises CommandError; ends with REFUSED as it is."""
    with open_gateway(terminal) as gateway:
        key = find(gateway, meeting)
        asked.order.CopyFrom(api.ControlOrder(meeting=key, request_id=request or str(ULID()), reason=reason))
        targets = who(gateway, key, people) if people else []
        if "targets" in asked.DESCRIPTOR.fields_by_name:
            asked.targets.extend(targets)
        elif targets:
            asked.target.CopyFrom(targets[0])
        method = getattr(gateway.stub.control, type(asked).__name__.removesuffix("Request"))
        answer: Any = gateway.ask(method, asked)
    terminal.answer(answer, lambda to: show_act(to, answer.act))
    if answer.act.outcome != api.CONTROL_OUTCOME_DONE:
        raise typer.Exit(ExitCode.REFUSED if answer.act.outcome == api.CONTROL_OUTCOME_REFUSED else ExitCode.OTHER)


def who(gateway: Gateway, key: Any, typed: Iterable[str]) -> list[pb.Target]:
    """Those who are inside or wait. Raises CommandError."""
    answer = ask_people(gateway, key)
    there: list[Somebody] = [*answer.people, *answer.waiting]
    return [one(there, each).target for each in typed]


def one(there: Sequence[Somebody], typed: str) -> Somebody:
    """By what names them; who is there with two devices is named by the provider's id. Raises CommandError."""
    for naming in NAMING:
        found = [each for each in there if naming(each) == typed]
        if len(found) == 1:
            return found[0]
        if found:
            choices = ", ".join(f"{each.target.person_id} ({name_of(each)})" for each in found)
            raise CommandError(FailureReason.SEVERAL_PEOPLE, ExitCode.USAGE, typed=typed, choices=choices)
    raise CommandError(FailureReason.NOT_THERE, ExitCode.NOT_FOUND, typed=typed)


def show_act(terminal: Terminal, done: api.ControlAct) -> None:
    text, style = OUTCOMES[done.outcome]
    terminal.out.print(Styled(terminal.text(text), style))
    if done.refusal:
        terminal.out.print(Styled(why(terminal, done)))


def why(terminal: Terminal, done: api.ControlAct) -> str:
    """In the reader's language, and then in the provider's words."""
    said = terminal.text(REFUSALS[done.refusal]) if done.refusal in REFUSALS else done.refusal
    return f"{said}: {done.provider_message}" if done.provider_message else said


def show_acts(terminal: Terminal, answer: api.ListControlActsResponse) -> None:
    if not answer.acts:
        terminal.say(message("Nothing was done to this meeting."))
        return
    headings = (message("time"), message("act"), message("outcome"), message("by"), message("to"), message("why"))
    table = headed(terminal, headings)
    for each in answer.acts:
        text, style = OUTCOMES[each.outcome]
        outcome = Styled(terminal.text(text) + (f"\n{why(terminal, each)}" if each.refusal else ""), style)
        cells = (moments.show(each.create_time, terminal.language), terminal.text(VERBS[each.verb]))
        rest = (each.actor_account_id, ", ".join(each.people), each.reason)
        table.add_row(*map(Styled, cells), outcome, *map(Styled, rest))
    terminal.out.print(table)
    if answer.next_page_token:
        terminal.say(message("There are more, older ones."))
