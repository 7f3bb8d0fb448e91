"""A whole installation as a person would start it, and the command as a person would type it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from typer import testing

from services.cli.commands import app
from services.installation import die_with_parent
from tests import templates
from tests.patience import PATIENCE_SECONDS

# all commands are put together once in a process: to do it for each takes ten times as long as the command
typers: Any = testing
typers._get_command = cache(typers._get_command)

T = TypeVar("T")

MIGRATED = ("policy", "meetings", "notifier", "directory")
"""What starts on a copy of a migrated database. Not booking: by its data `up` tells whether the clock may go back."""

MONDAY = "2025-07-07T08:00+08:00"
COMMAND = [sys.executable, "-m", "services.cli"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("YUNHUI_")}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.out)
        return content


class Stack:
    """One `yunhui up` and its state directory; `start` again after `stop` goes on with the same data.

    A `bare` one migrates each of its databases at the first start; others are given most of them as copies.
    `environment`: what `up` is told by it.
    """

    def __init__(self, state: Path, *, bare: bool = False, **environment: str) -> None:
        self.state = state
        self._environment = ENVIRONMENT | environment
        self._bare = bare
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Raises AssertionError with what `up` said when it does not come up."""
        if not self._bare and not any(self.state.glob("*.db")):
            self.state.mkdir(mode=0o700, exist_ok=True)
            for program in MIGRATED:
                templates.on_sqlite(self.state / f"{program}.db", f"services.{program}")
        # killed tests leave nothing running
        command = [
            sys.executable,
            "-I",
            "-S",
            die_with_parent.__file__,
            str(os.getpid()),
        ]
        self._process = subprocess.Popen(
            [*command, *COMMAND, "up", "--json", "--state", str(self.state), "--ports", "auto", *options],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(self._process.communicate()[1])
        assert json.loads(line) == self.run

    @property
    def run(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.state / "run.json").read_text())
        return content

    @property
    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = self.run["pids"]
        return pids

    def signal(self, number: signal.Signals) -> int:
        """Sends a signal to `up` itself and waits for its end; returns its exit code."""
        assert self._process
        self._process.send_signal(number)
        self._process.communicate(timeout=PATIENCE_SECONDS)
        return self._process.returncode

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self.signal(signal.SIGTERM)

    def password(self, user: str) -> str:
        passwords: dict[str, str] = json.loads((self.state / "secrets.json").read_text())
        return passwords[user]

    def yunhui(self, *arguments: str) -> Said:
        return yunhui(*arguments, "--state", str(self.state))

    def login(self, role: str, account: str = "") -> "Person":
        """A token of one's own: sessions of other tests stay untouched."""
        self.yunhui("login", role, "--account", account or role)
        token = json.loads((self.state / "session.json").read_text())["token"]
        return Person(self, str(token))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in."""

    stack: Stack
    token: str

    def yunhui(self, *arguments: str) -> Said:
        return yunhui(*arguments, "--json", "--state", str(self.stack.state), YUNHUI_TOKEN=self.token)

    def meeting(self, start: str, minutes: int = 60) -> str:
        """The number of a meeting that was made in the meeting client; "" when that did not work."""
        said = self.yunhui("simulate", "meeting", "--start", start, "--minutes", str(minutes), "--subject", "组会")
        return "" if said.code else str(said.answer["meeting"]["meetingCode"])

    def reserve(self, start: str, minutes: int = 60, people: int = 12, room: str = "") -> Said:
        """For a meeting that was made for it."""
        code = self.meeting(start, minutes) or "123-456-789"
        figures = ("--start", start, "--minutes", str(minutes), "--people", str(people))
        place = ("--room", room) if room else ()
        return self.yunhui("reserve", "--code", code, "--subject", "组会", *figures, *place)

    def mine(self) -> list[dict[str, Any]]:
        reservations: list[dict[str, Any]] = self.yunhui("mine").answer.get("reservations", [])
        return reservations


def yunhui(*arguments: str, **environment: str) -> Said:
    """The command within this process: a second less than a process of its own."""
    cleared = {name: None for name in os.environ if name.startswith("YUNHUI_")}
    done = testing.CliRunner().invoke(app, arguments, env={**cleared, **environment})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Said(done.exit_code, done.stdout, done.stderr)


def process(*arguments: str) -> Said:
    """The command as a process of its own."""
    assert arguments[0] != "up" or "auto" in arguments, "the usual ports belong to whoever runs `make up` meanwhile"
    done = subprocess.run(
        [*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    return Said(done.returncode, done.stdout, done.stderr)


def wait_for(look: Callable[[], T | None]) -> T:
    """What `look` finds; fails when it finds nothing before the deadline."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def alive(pid: int) -> bool:
    """A zombie is dead: where nobody collects orphans it stays in the table."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
