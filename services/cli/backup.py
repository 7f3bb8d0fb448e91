"""`yunhui backup` and `yunhui restore`: the data of an embedded installation, as snapshot.py copies it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import snapshot
from services.installation.snapshot import Manifest, SnapshotError
from services.installation.state import State
from services.platform.text.messages import Text, message

REFUSALS = {
    snapshot.NO_INSTALLATION: (FailureReason.NOTHING_TO_BACK_UP, ExitCode.NOT_FOUND),
    snapshot.EXISTS: (FailureReason.BACKUP_EXISTS, ExitCode.USAGE),
    snapshot.NOT_EMPTY: (FailureReason.STATE_NOT_EMPTY, ExitCode.USAGE),
    snapshot.NO_BACKUP: (FailureReason.NO_BACKUP, ExitCode.USAGE),
    snapshot.NEWER: (FailureReason.BACKUP_NEWER, ExitCode.OTHER),
    snapshot.DAMAGED: (FailureReason.BACKUP_DAMAGED, ExitCode.OTHER),
    snapshot.DISK: (FailureReason.BACKUP_DISK, ExitCode.OTHER),
}


def backup(
    terminal: Terminal,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help=message("directory of the backup"))],
) -> None:
    with refusals(), progress(terminal, message("copying {name}")) as told:
        manifest = snapshot.take(terminal.state, directory.absolute(), told)
    answer(terminal, manifest, directory)
    terminal.say(message("backed up to {directory} ({size})."), directory=directory, size=megabytes(manifest))
    say_heads(terminal, manifest)
    terminal.say(
        message("it holds keys and personal data: keep it as you would a password, and note the audit heads elsewhere.")
    )


def restore(
    terminal: Terminal,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help=message("directory of the backup"))],
) -> None:
    state = State(terminal.state.root.absolute())
    with refusals(), progress(terminal, message("copying {name}")) as told:
        manifest = snapshot.restore(directory.absolute(), state, told)
    answer(terminal, manifest, directory)
    terminal.say(
        message(
            "restored to {state}: the backup of {time}, version {version}. `{yunhui:up}` publishes "
            "all events again; no notice that the backup knows as sent is sent again."
        ),
        state=state.root,
        time=manifest.begin_time,
        version=manifest.version,
    )
    say_heads(terminal, manifest)


@contextmanager
def refusals() -> Iterator[None]:
    """Turns a refusal into a sentence."""
    try:
        yield
    except SnapshotError as error:
        why, code = REFUSALS[error.reason]
        raise CommandError(why, code, what=error.what) from error


@contextmanager
def progress(terminal: Terminal, text: Text) -> Iterator[Callable[[str], None]]:
    """Says which file is being copied."""
    if terminal.json:
        yield lambda _: None
        return
    with terminal.err.status(terminal.text(text, name="")) as status:
        yield lambda name: status.update(terminal.text(text, name=name))


def answer(terminal: Terminal, manifest: Manifest, directory: Path) -> None:
    terminal.print_json({"directory": str(directory), **asdict(manifest)})


def say_heads(terminal: Terminal, manifest: Manifest) -> None:
    """Noted elsewhere, they prove later that the audit log up to here was not changed."""
    for program, head in manifest.audit_heads.items():
        terminal.say(message("  audit head {head}"), head=f"{program}:{head}")


def megabytes(manifest: Manifest) -> str:
    return f"{sum(size for size, _ in manifest.files.values()) / 1e6:.1f} MB"
