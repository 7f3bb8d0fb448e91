"""How this command is typed here, so that every hint can be copied: its name or path, and the state directory."""

import os
import shlex
import shutil
import string
import sys
from pathlib import Path

from services.platform.text.messages import Text

NAME = "yunhui"
MODULE = "services.cli"
_place: list[str] = []


def remember_state(directory: str | None) -> None:
    """What --state said, for the commands that are hinted at; one that the environment names need not be typed."""
    _place[:] = ["--state", directory] if directory else []


def name() -> str:
    """`yunhui` where the shell finds this very program by that; else the path, or the module, as it was started."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(_nearer(sys.executable))} -m {MODULE}"
    if started.name != NAME or _is_found(started):
        return NAME
    return shlex.quote(_nearer(sys.argv[0]))


def typed(words: str) -> str:
    """A whole command: `login booker` as `.venv/bin/yunhui login booker --state /tmp/x`."""
    return " ".join([name(), words, *map(shlex.quote, _place)])


def said(text: Text, language: str, /, **values: object) -> str:
    """A sentence of the command, in which `{yunhui:login booker}` is how that is typed here."""
    given = {name: said(value, language) if isinstance(value, Text) else value for name, value in values.items()}
    return text.to(language, yunhui=TypedCommand(), **given)


def hint(text: Text, /, **values: object) -> str:
    """The first command that the sentence names, to be typed as it stands; "" when it names none."""
    for _, name, words, _ in string.Formatter().parse(text):
        if name == "yunhui" and words:
            return typed(words.format(**values))
    return ""


class TypedCommand:
    """For templates: `{yunhui}` is the name, `{yunhui:login booker}` the whole command."""

    def __format__(self, words: str) -> str:
        return typed(words) if words else name()


def _is_found(started: Path) -> bool:
    found = shutil.which(NAME)
    return bool(found) and started.is_file() and os.path.samefile(str(found), started)


def _nearer(path: str) -> str:
    """Below the working directory the short form; a bare word would be looked for on the PATH."""
    try:
        below = str(Path(path).absolute().relative_to(Path.cwd()))
    except ValueError:
        return path
    return below if os.sep in below else os.path.join(os.curdir, below)
