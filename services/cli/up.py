"""`yunhui up`: everything on this machine, from the first key to the first room, until Ctrl-C."""

import asyncio
import json
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import grpc
import typer
from rich.console import Console
from rich.table import Table

from services.cli import clock as clocks
from services.cli import moments, myself
from services.cli.arguments import read_choice, read_moment
from services.cli.failures import CallError, CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import development_clock, issuer, ports, sample_rooms
from services.installation.development_clock import BackwardsError
from services.installation.programs import Plan, Program
from services.installation.state import AlreadyRunningError, State
from services.installation.supervised_process import StartError
from services.installation.supervisor import Observer, Supervisor, TooManyDeathsError
from services.platform.text.messages import Text, message


def up(
    terminal: Terminal,
    with_ports: Annotated[
        str, typer.Option("--ports", metavar="fixed|auto", help=message("auto: use free ports"))
    ] = "fixed",
    clock: Annotated[str | None, typer.Option(help=message("let the clock start at this moment"))] = None,
    standin: Annotated[
        str, typer.Option(metavar="URL", help=message("use the stand-in there (see {yunhui} standin --help)"))
    ] = "",
    meetings: Annotated[
        str,
        typer.Option(metavar="required|off", help=message("off: meetings are not looked up, and any number will do")),
    ] = "required",
    portal: Annotated[str, typer.Option(metavar="on|off", help=message("off: without the pages"))] = "on",
    metrics: Annotated[
        bool, typer.Option("--metrics", help=message("serve a Prometheus page for each program, on this machine"))
    ] = False,
) -> None:
    read_choice(with_ports, ("fixed", "auto"))
    read_choice(meetings, ("required", "off"))
    read_choice(portal, ("on", "off"))
    wanted = read_moment(clock, datetime.now(UTC)) if clock else None
    terminal.state.prepare()
    try:
        with terminal.state.lock():
            chosen = choose_ports(auto=with_ports == "auto", metrics=metrics)
            run(terminal, wanted, chosen, standin=standin, meetings=meetings, portal=portal)
    except AlreadyRunningError as error:
        raise CommandError(FailureReason.ALREADY_RUNNING, state=terminal.state.root) from error


def choose_ports(*, auto: bool, metrics: bool) -> Mapping[str, int]:
    try:
        return ports.choose(auto=auto, metrics=metrics)
    except ports.PortTakenError as error:
        raise CommandError(FailureReason.PORT_TAKEN, port=error.port, program=error.program) from error


def run(
    terminal: Terminal,
    wanted: datetime | None,
    chosen: Mapping[str, int],
    *,
    standin: str,
    meetings: str,
    portal: str,
) -> None:
    """Holds the lock of the state directory while it runs."""
    issuer.prepare_keys(terminal.state)
    if wanted:
        set_clock(terminal.state, wanted, terminal.language)
    plan = Plan(terminal.state, chosen, standin=standin, meetings=meetings, portal=portal)
    asyncio.run(serve(terminal, Supervisor(plan, StartNarrator(terminal))))


def set_clock(state: State, wanted: datetime, language: str) -> None:
    try:
        development_clock.start_at(state, wanted)
    except BackwardsError as error:
        raise clocks.backwards(error, language) from error


async def serve(terminal: Terminal, supervisor: Supervisor) -> None:
    narrator, started = StartNarrator(terminal), asyncio.Event()
    work = asyncio.create_task(_start_and_watch(terminal, supervisor, started))
    _stop_on_signals(work, supervisor)
    try:
        await work
    except asyncio.CancelledError:
        narrator.say(message("stopping ... (Ctrl-C again ends at once)"))
    except StartError as error:
        raise _with_log(
            narrator,
            message("{program} did not start ({reason}). Its log ends with:"),
            error.program,
            error.reason,
            error.tail,
        ) from error
    except TooManyDeathsError as error:
        raise _with_log(
            narrator,
            message("{program} ends again and again; stopping all. Its log ends with:"),
            error.program,
            "",
            error.tail,
        ) from error
    finally:
        await supervisor.stop()
    narrator.say(message("All stopped. The data stays in {state}."), state=terminal.state.root)
    if not started.is_set():  # to be told to stop is the usual end of what runs, but what waits for the start must know
        raise typer.Exit(ExitCode.INTERRUPTED)


async def _start_and_watch(terminal: Terminal, supervisor: Supervisor, started: asyncio.Event) -> None:
    await supervisor.start()
    report = supervisor.report()
    await asyncio.to_thread(fill_pool, terminal.state, str(report["booking"]))
    started.set()
    if terminal.json:
        print(json.dumps(report, ensure_ascii=False), flush=True)
    else:
        show_welcome(terminal, report)
    await supervisor.watch()


def fill_pool(state: State, address: str) -> None:
    """Raises CallError."""
    try:
        sample_rooms.fill(state, address)
    except grpc.RpcError as error:
        raise CallError(error, address) from error


def _stop_on_signals(work: "asyncio.Task[None]", supervisor: Supervisor) -> None:
    """The first asks for an orderly end, the second ends everything at once."""

    def stop() -> None:
        if not work.cancelling():
            work.cancel()
        else:
            supervisor.kill()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _with_log(narrator: "StartNarrator", text: Text, program: str, reason: str, tail: str) -> CommandError:
    narrator.say(text, program=program, reason=reason)
    narrator.quote(tail)
    return CommandError(FailureReason.STOPPED_AFTER_FAULT, program=program)


class StartNarrator(Observer):
    """Tells people what happens to the programs; on stderr when stdout belongs to a program."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._console: Console = terminal.err if terminal.json else terminal.out

    def say(self, text: Text, style: str = "", **values: object) -> None:
        self._console.print(self._terminal.text(text, **values), markup=False, style=style)

    def quote(self, lines: str) -> None:
        self._console.print(lines, markup=False, style="dim", soft_wrap=True)

    def started(self, program: Program) -> None:
        word = self._terminal.text(message("started"))
        self._console.print(f"[green]✓[/] {program.name:<9}{program.address:<17}{word}")

    def died(self, program: Program, code: int | None, pause: float) -> None:
        self.say(
            message("{program} ended ({code}); starting it again in {pause} s"),
            "yellow",
            program=program.name,
            code=code,
            pause=f"{pause:g}",
        )

    def recovered(self, program: Program) -> None:
        self.say(message("{program} is back"), "green", program=program.name)


def show_welcome(terminal: Terminal, report: dict[str, object]) -> None:
    language = terminal.language
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_row(terminal.text(message("clock")), moments.show_moment(development_clock.now(terminal.state), language))
    facts.add_row(terminal.text(message("mail")), str(report["mail"]))
    facts.add_row(terminal.text(message("logs")), str(terminal.state.root / "logs"))
    if "portal" in report:
        facts.add_row(terminal.text(message("pages")), str(report["portal"]))
        facts.add_row("", terminal.text(message("sign in there as booker, booker-2, support or admin; no password")))
    for page in terminal.state.read_run().get("metrics", {}).values():
        facts.add_row(terminal.text(message("metrics")), page)
    terminal.out.print()
    terminal.out.print(facts)
    terminal.out.print()
    terminal.say(message("try next, in another terminal"))
    start = moments.example_start(development_clock.now(terminal.state))
    for command in (
        "login booker",
        "rooms",
        f"simulate meeting 123-456-789 --start '{start:%Y-%m-%d %H:%M}' --minutes 60",
        "query 123-456-789",
        "reserve --meeting 123-456-789 --people 12 --yes",
        "mine",
        "mail",
    ):
        terminal.out.print(f"  {myself.typed(command)}", markup=False, style="bold", soft_wrap=True)
