"""First sign-in with the real programs: a stranger waits at every one of them, and is let in without a restart."""

import os
import re
import signal
import time
from collections.abc import Iterator

import grpc
import httpx2
import pytest

from tests.patience import PATIENCE_SECONDS
from tests.system.doors import NO_MESSAGE, House, opened
from tests.system.stack import Person, Stack, wait_for

pytestmark = pytest.mark.system


@pytest.fixture
def house(stack: Stack) -> Iterator[House]:
    with opened(stack) as found:
        yield found


@pytest.fixture
def admin(stack: Stack) -> Iterator[Person]:
    person = stack.login("admin")
    yield person
    assert person.yunhui("organization", "joining", "set", "off").code == 0


def codes(house: House, account: str) -> set[grpc.StatusCode]:
    """What every method that members may call answers, at every program; the message is never one."""
    return {house.send_as(door, NO_MESSAGE, "booker", account).code() for door in house.doors if "booker" in door.roles}


def reasons(stack: Stack, account: str) -> str:
    said = stack.login("booker", account).yunhui("rooms")
    return said.err if said.code else ""


REFUSED, ADMITTED = {grpc.StatusCode.PERMISSION_DENIED}, {grpc.StatusCode.INVALID_ARGUMENT}


def test_a_stranger_waits_everywhere_until_an_administrator_lets_them_in(
    stack: Stack, house: House, admin: Person
) -> None:
    """Whichever program they come to first; members of before, and those whom tokens make more, go on."""
    assert admin.yunhui("members", "add", "old-hand", "--name", "Old", "--enabled").code == 0
    assert codes(house, "newcomer") == ADMITTED
    assert admin.yunhui("organization", "joining", "set", "approval").code == 0
    wait_for(lambda: "MEMBERSHIP_WAITING" in reasons(stack, "newcomer"))
    wait_for(lambda: codes(house, "newcomer") == REFUSED)
    assert codes(house, "old-hand") == ADMITTED
    assert "管理员" in stack.login("booker", "newcomer").yunhui("rooms", "--lang", "zh-CN").err
    [waiting] = admin.yunhui("members", "list", "--status", "waiting").answer["members"]
    assert (waiting["accountId"], waiting["email"]) == ("newcomer", "newcomer@example.org")
    let_in_at = time.monotonic()
    assert admin.yunhui("members", "enable", "newcomer").code == 0
    wait_for(lambda: codes(house, "newcomer") == ADMITTED)
    print(f"admitted at every program {time.monotonic() - let_in_at:.2f} s after")  # noqa: T201 - for -s
    entries = admin.yunhui("audit", "list", "--program", "directory", "--target", "member/newcomer").answer["entries"]
    assert {each["actor"] for each in entries} == {"newcomer", "admin"}
    assert admin.yunhui("members", "disable", "newcomer").code == 0
    wait_for(lambda: "ACCOUNT_DISABLED" in reasons(stack, "newcomer"))


def test_a_verified_address_joins_its_department_at_once(stack: Stack, admin: Person) -> None:
    """The development issuer has verified NAME@example.org of everybody."""
    assert admin.yunhui("departments", "add", "Example").code == 0
    assert admin.yunhui("organization", "joining", "add", "example.org", "Example").code == 0
    assert admin.yunhui("organization", "joining", "set", "mail-domain").code == 0
    wait_for(lambda: admin.yunhui("organization", "joining").answer["mode"] == "JOINING_MODE_MAIL_DOMAIN")

    def joined() -> bool:
        assert not reasons(stack, "by-mail")
        return admin.yunhui("members", "show", "by-mail").code == 0

    wait_for(joined)
    member = admin.yunhui("members", "show", "by-mail").answer["member"]
    assert member["status"] == "MEMBER_STATUS_ENABLED"
    assert [each["path"] for each in member["memberships"]] == ["Example"]


def test_a_stranger_who_signs_in_at_the_portal_waits_there(stack: Stack, admin: Person) -> None:
    """From the sign-in on, with the name that the issuer says."""
    assert admin.yunhui("organization", "joining", "set", "approval").code == 0
    wait_for(lambda: "MEMBERSHIP_WAITING" in reasons(stack, "somebody-else"))
    run = stack.run
    with httpx2.Client(follow_redirects=True, timeout=PATIENCE_SECONDS) as browser:
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', browser.get(run["portal"]).text))
        person = {"account": "at-the-portal", "role": "booker", "name": "林 Stranger"}
        browser.post(f"{run['issuer_address']}/authorize", data=fields | person)
        wait_for(lambda: browser.get(run["portal"]).status_code == 403)  # the directory may be busy at first
        assert "等待管理员批准" in browser.get(run["portal"]).text
        assert admin.yunhui("members", "show", "at-the-portal").answer["member"]["displayName"] == "林 Stranger"
        assert admin.yunhui("members", "enable", "at-the-portal").code == 0
        wait_for(lambda: browser.get(run["portal"]).status_code == 200)


def test_without_the_directory_strangers_are_refused_and_members_go_on(
    stack: Stack, house: House, admin: Person
) -> None:
    assert admin.yunhui("members", "add", "known", "--name", "Known", "--enabled").code == 0
    assert admin.yunhui("organization", "joining", "set", "approval").code == 0
    wait_for(lambda: "MEMBERSHIP_WAITING" in reasons(stack, "waits-already"))
    assert not reasons(stack, "known")
    [door] = [each for each in house.doors if each.path.endswith("BookingService/ListRooms")]
    expected = {
        "known": grpc.StatusCode.INVALID_ARGUMENT,
        "waits-already": grpc.StatusCode.PERMISSION_DENIED,
        "never-seen": grpc.StatusCode.UNAVAILABLE,
    }
    os.kill(stack.pids["directory"], signal.SIGSTOP)
    try:
        found = {each: house.send_as(door, NO_MESSAGE, "booker", each).code() for each in expected}
    finally:
        os.kill(stack.pids["directory"], signal.SIGCONT)
    assert found == expected
    wait_for(lambda: "MEMBERSHIP_WAITING" in reasons(stack, "never-seen"))
