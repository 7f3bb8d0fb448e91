"""The life of `yunhui up`: one at a time, the same data again, nothing left behind."""

import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.installation import ports
from services.installation.ports import free_port
from services.installation.programs import DEFAULT_PORTS
from services.installation.registry import BUS_USERS
from tests.patience import PATIENCE_SECONDS
from tests.system.stack import ENVIRONMENT, MONDAY, Stack, alive, process, wait_for, yunhui

pytestmark = pytest.mark.system


def test_stop_resume_and_sudden_death(tmp_path: Path) -> None:
    """Ctrl-C leaves no process; the next start has the data; neither does kill -9 leave one, nor stand in the way."""
    stack = Stack(tmp_path / "state", bare=True)
    stack.start("--clock", MONDAY)
    booker = stack.login("booker")
    made = booker.reserve("2025-07-08 10:00").answer["reservation"]["reservationId"]
    first = stack.pids
    assert stack.signal(signal.SIGINT) == 0
    assert not any(alive(pid) for pid in first.values())
    assert booker.yunhui("mine").code == 5

    back = process("up", "--state", str(stack.state), "--clock", "2025-07-01 08:00", "--ports", "auto", "--lang", "en")
    assert (back.code, "Time cannot go back" in back.err) == (2, True)
    stack.start()
    assert [record["reservationId"] for record in booker.mine()] == [made]
    assert process("up", "--state", str(stack.state), "--ports", "auto").code == 1
    second = stack.pids
    stack.signal(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in second.values()))

    stack.start()
    assert [record["reservationId"] for record in booker.mine()] == [made]
    stack.stop()


@pytest.mark.long
@pytest.mark.parametrize("moment", ["services.cli.languages", "nats", "policy"])
def test_ctrl_c_during_the_start_is_quiet_and_leaves_nothing(tmp_path: Path, moment: str) -> None:
    """While it is loaded, with the bus up, with services on their way: 130, no traceback, no process."""
    loading = moment.startswith("services.")
    python = [sys.executable, *(["-X", "importtime"] if loading else [])]
    options = ("--state", str(tmp_path / "state"), "--ports", "auto", "--lang", "en")
    with interruptible([*python, "-m", "services.cli", "up", *options]) as starting:
        assert starting.stdout
        assert starting.stderr
        lines = starting.stderr if loading else starting.stdout
        assert any(moment in line for line in lines)
        starting.send_signal(signal.SIGINT)
        out, err = starting.communicate(timeout=PATIENCE_SECONDS)
    said = [line for line in (out + err).splitlines() if not line.startswith("import time:")]
    assert starting.returncode == 130
    assert not [line for line in said if re.search("Traceback|Error|KeyboardInterrupt|exception", line)]
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in read(path)]


@contextmanager
def interruptible(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Heeds SIGINT even where the tests run in the background of a shell, which has it ignored; killed at the end."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with running:
        try:
            yield running
        finally:
            running.kill()


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended
        return ""


def test_secrets_are_for_their_owner_only(stack: Stack) -> None:
    """0700 and 0600 from the first byte on."""
    assert mode(stack.state) == 0o700
    for name in ("secrets.json", "issuer.json", "run.json"):
        assert mode(stack.state / name) == 0o600


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_in_no_log(stack: Stack) -> None:
    """Neither passwords nor tokens."""
    token = stack.login("booker", "logged").token
    secrets = [
        token,
        *(stack.password(user) for user in BUS_USERS),
    ]
    logs = [log.read_text() for log in (stack.state / "logs").iterdir()]
    assert not [secret for secret in secrets for log in logs if secret in log]


@pytest.mark.long
def test_a_program_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    """And everything that had started is stopped again."""
    (tmp_path / "booking.db").mkdir()
    said = process("up", "--state", str(tmp_path), "--ports", "auto", "--lang", "en")
    assert said.code == 1
    assert "booking did not start" in said.out
    assert "unable to open database file" in said.out
    assert not (tmp_path / "run.json").exists()


def test_a_taken_port_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out. The usual ports stay free for whoever runs `make up` beside the tests."""
    usual = {program: free_port() for program in DEFAULT_PORTS}
    monkeypatch.setattr(ports, "DEFAULT_PORTS", usual)
    with socket.create_server(("127.0.0.1", usual["booking"])):
        said = yunhui("up", "--state", str(tmp_path), "--lang", "en")
    assert said.code == 1
    assert str(usual["booking"]) in said.err
    assert "--ports auto" in said.err
