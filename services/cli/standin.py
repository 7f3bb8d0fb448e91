"""`yunhui standin`: a local stand-in for Tencent's cloud, as a program of its own, for `yunhui up --standin`."""

import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from services.cli.terminal import Terminal
from services.installation.programs import DEFAULT_PORTS, HOST, STANDIN_SETTINGS, base_environment
from services.installation.state import WEBHOOK_TOKEN
from services.platform.text.messages import message

PORT = 7109

ACTS = (
    "enter, leave, wait, admit, go-away, microphone, camera, sharing, cohost, quality, invite, settings, record, "
    "stop-recording, end, cancel, "
    "recycle, move"
)

Share = Annotated[float, typer.Option(min=0, max=1, help=message("share of the events that this befalls, 0 to 1"))]


def standin(
    terminal: Terminal,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            help=message(
                "port; 0 for any that is free. What people do is sent there as JSON, to /standin/meetings/NUMBER/ACT: "
                "they come and go, turn microphone and camera on, share, wait, and lose their connection"
            ),
        ),
    ] = PORT,
    webhooks: Annotated[
        str | None,
        typer.Option(
            help=message("where events are sent: to the {yunhui} up of this machine by default; empty for nowhere")
        ),
    ] = None,
    lost: Share = 0.0,
    doubled: Share = 0.0,
    late: Share = 0.0,
    swapped: Share = 0.0,
    forged: Share = 0.0,
    people: Annotated[
        int, typer.Option(min=0, max=100_000, help=message("how many invented people the enterprise has besides"))
    ] = 0,
    users: Annotated[
        list[str] | None, typer.Option("--user", help=message("somebody of the enterprise; repeatable"))
    ] = None,
) -> None:
    terminal.state.prepare()
    target = f"http://{HOST}:{DEFAULT_PORTS['webhooks']}/tencent" if webhooks is None else webhooks
    shares = {"lost": lost, "doubled": doubled, "late": late, "swapped": swapped, "forged": forged}
    options = [f"--{name}={share}" for name, share in shares.items()]
    known = [f"--user={name}" for name in [*(users or []), "booker", "support", "admin"]]
    terminal.say(
        message(
            "The stand-in is at {address} and sends events to {webhooks}. In another terminal: "
            "{yunhui:up --standin {address}} (Ctrl-C ends)"
        ),
        address=f"http://{HOST}:{port}",
        webhooks=target or "–",
    )
    terminal.say(
        message(
            "People come, speak, wait and so on by POST {address}/standin/meetings/NUMBER/ACT, where ACT is: {acts}"
        ),
        address=f"http://{HOST}:{port}",
        acts=ACTS,
    )
    sys.stdout.flush()
    command = [sys.executable, "-m", "services.standin", f"--port={port}", f"--webhooks={target}"]
    command += [f"--people={people}", *options, *known]
    os.execve(sys.executable, command, environment(terminal))  # noqa: S606 - our own program takes this one's place


def environment(terminal: Terminal) -> Mapping[str, str]:
    """The token of the development installation, so that its gateway believes what is sent."""
    token = {"YUNHUI_WEBHOOK_TOKEN": terminal.state.password(WEBHOOK_TOKEN)}
    return {**base_environment(), **STANDIN_SETTINGS, **token}
