"""What happens when programs die or are away: nothing that was answered is lost, nothing undecided is accepted."""

import os
import signal

import pytest

from tests.system.stack import Person, Stack, alive, wait_for

pytestmark = pytest.mark.system

PROGRAMS = ("policy", "booking", "notifier", "mail", "nats")


@pytest.mark.parametrize("program", PROGRAMS)
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
    """The id of a reservation; None while a program is away, which must show as exit code 5."""
    said = booker.reserve(f"2025-07-10 {10 + 2 * hour}:00")
    assert said.code in (0, 5), said.err
    return str(said.answer["reservation"]["reservationId"]) if said.code == 0 else None


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
