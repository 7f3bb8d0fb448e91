"""What happens when programs die or are away: nothing that was answered is lost, nothing undecided is accepted."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE
from typing import IO

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.system.stack import COMMAND, ENVIRONMENT, Person, Stack, alive, wait_for

pytestmark = pytest.mark.system

PROGRAMS = ("policy", "booking", "notifier", "mail", "nats")


@pytest.mark.parametrize(
    "program",
    ["policy", "nats", *(pytest.param(each, marks=pytest.mark.long) for each in ("booking", "notifier", "mail"))],
)
def test_a_killed_program_comes_back(stack: Stack, program: str) -> None:
    """kill -9, then a reservation and its mail, as if nothing had been."""
    booker = stack.login("booker", f"after-{program}")
    old = stack.pids[program]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: stack.pids[program] != old)
    made = wait_for(lambda: confirmed(booker, PROGRAMS.index(program)))
    assert made in [record["reservationId"] for record in booker.mine()]
    address = f"after-{program}@example.org"
    wait_for(lambda: [mail for mail in stack.yunhui("mail", "--json").answer["mails"] if address in mail["to"]])


def confirmed(booker: Person, hour: int) -> str | None:
    """The id of a reservation; None while a program is away, which must show as exit code 5, or we ask too often."""
    said = booker.reserve(f"2025-07-10 {10 + 2 * hour}:00")
    if said.code == 0:
        return str(said.answer["reservation"]["reservationId"])
    assert said.code == 5 or "TOO_MANY_LOOK_UPS" in said.err, said.err
    time.sleep(1)
    return None


def test_a_watch_ends_when_the_bus_was_away(stack: Stack) -> None:
    """Watchers may have been missed: exit code 5, and a new watch sees what comes next."""
    booker = stack.login("booker", "interrupted")
    with watch(stack, booker) as (watching, complaints):
        old = stack.pids["nats"]
        os.kill(old, signal.SIGKILL)
        assert watching.wait(timeout=PATIENCE_SECONDS) == 5
        assert json.loads(complaints.read())["error"]["code"] == "UNAVAILABLE"
    wait_for(lambda: stack.pids["nats"] != old)
    made = wait_for(lambda: confirmed(booker, 5))
    with watch(stack, booker) as (watching, _):
        booker.yunhui("cancel", made)
        assert watching.stdout
        assert json.loads(watching.stdout.readline())["reservation"]["reservationId"] == made
        watching.terminate()
        assert watching.wait(timeout=PATIENCE_SECONDS) == 0


@contextmanager
def watch(stack: Stack, person: Person) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """From the moment the command says that it waits, and what it says later on stderr."""
    command = [*COMMAND, "watch", "--json", "--lang", "en", "--state", str(stack.state)]
    environment = {**ENVIRONMENT, "YUNHUI_TOKEN": person.token}

    def begin() -> subprocess.Popen[str] | None:
        begun = subprocess.Popen(command, env=environment, stdout=PIPE, stderr=PIPE, text=True)
        assert begun.stderr
        if "waiting" in begun.stderr.readline():
            return begun
        begun.communicate()
        return None

    with wait_for(begin) as watching:
        assert watching.stderr
        try:
            yield watching, watching.stderr
        finally:
            watching.kill()


def test_without_the_policy_nothing_is_accepted(stack: Stack) -> None:
    """No answer is no permission: exit code 5, and nothing stored, also not once the policy answers late."""
    booker = stack.login("booker", "undecided")
    policy = stack.pids["policy"]
    os.kill(policy, signal.SIGSTOP)
    try:
        assert booker.reserve("2025-07-11 10:00").code == 5
    finally:
        os.kill(policy, signal.SIGCONT)
    assert wait_for(lambda: booker.yunhui("quota")).code in (0, 5)
    assert booker.mine() == []


def test_a_program_that_is_killed_leaves_the_others_running(stack: Stack) -> None:
    """The supervisor restarts the one that died and no other."""
    before = stack.pids
    os.kill(before["mail"], signal.SIGKILL)
    wait_for(lambda: stack.pids["mail"] != before["mail"])
    others = set(before) - {"mail"}
    assert {name: stack.pids[name] for name in others} == {name: before[name] for name in others}
    assert all(alive(before[name]) for name in others)
