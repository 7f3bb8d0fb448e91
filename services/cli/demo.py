"""`yunhui demo`: plays the story on real processes in a directory of its own, and says whether every step held."""

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Styled

from services.cli import story
from services.cli.failures import CommandError, ExitCode
from services.cli.mail import Mail
from services.cli.reasons import FailureReason
from services.cli.stage import Stage, raised
from services.cli.story import Scene
from services.cli.terminal import Terminal
from services.cli.words import in_words
from services.installation.state import State
from services.platform.text.messages import Text, message

Play = Callable[[Stage], Scene]


def demo(
    terminal: Terminal,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help=message("keep the state in this directory"))] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help=message("go on running after the story, to be looked at in a browser"))
    ] = False,
) -> None:
    with place(terminal, keep) as root:
        terminal.say(message("starting ..."))
        with raised(State(root), story.CLOCK, terminal.language) as stage:
            scenes = perform(terminal, stage)
            if stay:
                invite(terminal, stage)
    conclude(terminal, scenes)


def invite(terminal: Terminal, stage: Stage) -> None:
    """What the story left behind can be looked at until Ctrl-C or SIGTERM."""
    address = stage.state.read_run()["portal"]
    terminal.say(
        message(
            "What the story left behind is to be seen at {address}:\n  sign in as booker for a "
            "reservation, under “Somebody else” as booker-4 for one that waits for support\n  and as "
            "booker-5 for two no-shows and closed booking, and as support to decide what waits.\n  "
            "Mails: {yunhui} mail --state {state}. Ctrl-C ends it."
        ),
        address=address,
        state=stage.state.root,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


@contextmanager
def place(terminal: Terminal, keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="yunhui-demo-") as folder:
            yield Path(folder)
        return
    if keep.exists() and any(keep.iterdir()):
        raise CommandError(FailureReason.NOT_EMPTY, ExitCode.USAGE, folder=keep)
    yield keep.absolute()
    terminal.say(message("The state stays in {folder}; go on with {yunhui} up --state {folder}."), folder=keep)


def perform(terminal: Terminal, stage: Stage) -> list[Scene]:
    table = empty_table(terminal)
    scenes: list[Scene] = []
    # a growing table for people; on a pipe it comes at the end, in one piece
    with Live(table, console=terminal.err if terminal.json else terminal.out, transient=terminal.json):
        for number, (title, play) in enumerate(story.STEPS, 1):
            scene = attempt(terminal, stage, play)
            scenes.append(scene)
            add_row(terminal, table, number, title, scene)
    if not (terminal.out.is_terminal or terminal.json):
        terminal.out.print()  # Live leaves a pipe in the middle of a line
    return scenes


def attempt(terminal: Terminal, stage: Stage, play: Play) -> Scene:
    """A step that cannot even be asked has failed; the story goes on."""
    try:
        return play(stage)
    except CommandError as error:
        return Scene("", error.sentence(terminal.language), expected="")
    except AssertionError as error:
        return Scene("", str(error), expected="CONFIRMED")


def conclude(terminal: Terminal, scenes: list[Scene]) -> None:
    passed = sum(scene.passed for scene in scenes)
    failed = len(scenes) - passed
    terminal.print_json({"passed": passed, "failed": failed, "steps": [to_dict(scene) for scene in scenes]})
    if not terminal.json:
        for scene in scenes:
            if scene.letter:
                terminal.out.print(letter_panel(terminal, scene.letter))
        terminal.out.print(f"demo: {passed} passed, {failed} failed")
    raise typer.Exit(ExitCode.OTHER if failed else ExitCode.OK)


def to_dict(scene: Scene) -> dict[str, object]:
    return {"asked": scene.asked, "answer": scene.answer, "expected": scene.expected, "ok": scene.passed}


def empty_table(terminal: Terminal) -> Table:
    table = Table(title=terminal.text(message("the tutorial as a story")), show_lines=True, expand=True)
    table.add_column("#", justify="right", no_wrap=True)
    heading = " / ".join(terminal.text(each) for each in (message("step"), message("asked")))
    table.add_column(heading, ratio=2, overflow="fold")
    table.add_column(terminal.text(message("answer")), ratio=3, overflow="fold")
    table.add_column("", no_wrap=True, min_width=6)
    return table


def add_row(terminal: Terminal, table: Table, number: int, title: Text, scene: Scene) -> None:
    answer = Styled(in_words(scene.answer, terminal.language), "bold")
    for reason in scene.reasons:
        answer.append(f"\n{reason}", "not bold")
    if not scene.passed:
        expected = in_words(scene.expected, terminal.language) or "–"
        answer.append("\n" + terminal.text(message("expected: {expected}"), expected=expected), "red")
    word = terminal.text(message("passed") if scene.passed else message("FAILED"))
    mark = Styled(word, "green" if scene.passed else "bold red")
    step = Styled(terminal.text(title), "bold").append(f"\n{scene.asked}", "not bold")
    table.add_row(str(number), step, answer, mark)


def letter_panel(terminal: Terminal, letter: Mail) -> Panel:
    title = terminal.text(message("to")) + f": {letter.header('to')}"
    return Panel(
        Styled(f"{letter.header('subject')}\n\n{letter.text.strip()}"), title=Styled(title), title_align="left"
    )
