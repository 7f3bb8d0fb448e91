"""`yunhui simulate`: what the people of a simulated meeting do, and how one is filled with many."""

from typing import Annotated

import typer
from yunhui.meetings.v1 import listed_meeting_pb2 as listed
from yunhui.meetings.v1 import simulator_service_pb2 as simulator

from services.cli.arguments import read_choice, read_named
from services.cli.meetings import Code, One, Who, ask, open_simulator, show_meeting
from services.cli.terminal import Terminal
from services.platform.text.messages import message

DEVICE, ACT = "DEVICE_", "SIMULATED_ACT_"
SWITCH = ("on", "off")
CONNECTIONS = ("bad", "good", "usual")
STEP = 500
"""Who fills a meeting in one call waits for long."""

Guest = Annotated[
    str, typer.Option("--guest", metavar="NAME", help=message("a guest of this name, who has no account"))
]
Device = Annotated[
    str,
    typer.Option("--device", metavar="DEVICE", help=message("at which device, e.g. 'mac' or 'web'; 'pc' by default")),
]
OwnDevice = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help=message("at which device; all of theirs by default"))
]
Name = Annotated[str, typer.Option("--name", help=message("the name that is shown; the account by default"))]
Switch = Annotated[str, typer.Argument(metavar="|".join(SWITCH), help=message("whether it is from now on"))]


def enter(
    terminal: Terminal,
    code: Code,
    account: Who = "",
    guest: Guest = "",
    name: Name = "",
    device: Device = "",
    occurrence: One = "",
) -> None:
    play(terminal, code, "ENTER", account, guest, device, occurrence, name)


def leave(
    terminal: Terminal, code: Code, account: Who = "", guest: Guest = "", device: OwnDevice = "", occurrence: One = ""
) -> None:
    play(terminal, code, "LEAVE", account, guest, device, occurrence)


def wait(
    terminal: Terminal,
    code: Code,
    account: Who = "",
    guest: Guest = "",
    name: Name = "",
    device: Device = "",
    occurrence: One = "",
) -> None:
    play(terminal, code, "WAIT", account, guest, device, occurrence, name)


def stop_waiting(
    terminal: Terminal, code: Code, account: Who = "", guest: Guest = "", device: OwnDevice = "", occurrence: One = ""
) -> None:
    play(terminal, code, "STOP_WAITING", account, guest, device, occurrence)


def microphone(
    terminal: Terminal,
    code: Code,
    switch: Switch,
    account: Who = "",
    guest: Guest = "",
    device: OwnDevice = "",
    occurrence: One = "",
) -> None:
    turn(terminal, code, "MICROPHONE", switch, account, guest, device, occurrence)


def camera(
    terminal: Terminal,
    code: Code,
    switch: Switch,
    account: Who = "",
    guest: Guest = "",
    device: OwnDevice = "",
    occurrence: One = "",
) -> None:
    turn(terminal, code, "CAMERA", switch, account, guest, device, occurrence)


def share(
    terminal: Terminal,
    code: Code,
    switch: Switch,
    account: Who = "",
    guest: Guest = "",
    device: OwnDevice = "",
    occurrence: One = "",
) -> None:
    turn(terminal, code, "SHARING", switch, account, guest, device, occurrence)


def connection(
    terminal: Terminal,
    code: Code,
    quality: Annotated[
        str,
        typer.Argument(
            metavar="|".join(CONNECTIONS),
            help=message("from now on; 'usual' is bad for three minutes of each hour"),
        ),
    ],
    account: Who = "",
    guest: Guest = "",
    device: OwnDevice = "",
    occurrence: One = "",
) -> None:
    deed = f"CONNECTION_{read_choice(quality.lower(), CONNECTIONS).upper()}"
    play(terminal, code, deed, account, guest, device, occurrence)


def record(terminal: Terminal, code: Code, account: Who = "", occurrence: One = "") -> None:
    play(terminal, code, "RECORD", account, "", "", occurrence)


def stop_recording(terminal: Terminal, code: Code, account: Who = "", occurrence: One = "") -> None:
    play(terminal, code, "STOP_RECORDING", account, "", "", occurrence)


def populate(
    terminal: Terminal,
    code: Code,
    people: Annotated[int, typer.Option(min=1, max=3000, help=message("how many people"))],
    waiting: Annotated[int, typer.Option(min=0, max=3000, help=message("how many of them wait"))] = 0,
    seed: Annotated[
        int, typer.Option(min=0, max=999_999, help=message("which people: the same number invents the same ones"))
    ] = 0,
    occurrence: One = "",
) -> None:
    steps = range(STEP, people - waiting, STEP)  # who enters comes first, and who is there is not there twice
    requests = [
        simulator.PopulateMeetingRequest(
            meeting_code=code, people_count=number, waiting_count=held, seed=seed, sub_meeting_id=occurrence
        )
        for number, held in [*((step, 0) for step in steps), (people, waiting)]
    ]
    with open_simulator(terminal) as meetings:
        for request in requests:
            answer = meetings.ask(meetings.stub.PopulateMeeting, request)

    def show(to: Terminal) -> None:
        show_meeting(to, answer.meeting)
        to.say(
            message("Inside: {inside}, waiting: {waiting}."), inside=answer.inside_count, waiting=answer.waiting_count
        )

    terminal.answer(answer, show)


def turn(
    terminal: Terminal, code: str, what: str, switch: str, account: str, guest: str, device: str, occurrence: str
) -> None:
    deed = f"{what}_{read_choice(switch.lower(), SWITCH).upper()}"
    play(terminal, code, deed, account, guest, device, occurrence)


def play(
    terminal: Terminal,
    code: str,
    deed: str,
    account: str,
    guest: str,
    device: str,
    occurrence: str,
    name: str = "",
) -> None:
    request = simulator.ActInMeetingRequest(
        meeting_code=code,
        act=simulator.SimulatedAct.Value(f"{ACT}{deed}"),
        account_id=account,
        sub_meeting_id=occurrence,
        display_name=guest or name,
        guest=bool(guest),
    )
    if device:
        request.device = listed.Device.Value(read_named(device, listed.Device.keys(), DEVICE))
    ask(terminal, request)
