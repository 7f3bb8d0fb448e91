"""The provider of a meeting refuses it, or says nothing: the page tells, and the form can be sent again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx2
import pytest

from services.installation import die_with_parent
from services.installation.ports import free_port
from tests.patience import PATIENCE_SECONDS
from tests.portal.pages.desk import Desk, faults, form_in
from tests.portal.pages.hall import addresses
from tests.portal.pages.serving import Portal
from tests.system.stack import COMMAND, ENVIRONMENT, MONDAY, Stack, wait_for

pytestmark = pytest.mark.system

NEW = "/book/new"
MEMBER = "of.enterprise"


def wanted(days: int = 1, **typed: str) -> dict[str, str]:
    """So many days from now, in Beijing: the stand-in has the time of the day."""
    day = (datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(days=days)).date().isoformat()
    return {"subject": "In trouble", "day": day, "start": "10:00", "end": "11:00", "people": "12", **typed}


def in_stand_in(stack: Stack, port: int) -> list[str]:
    own = ["standin", "--state", str(stack.state), "--port", str(port), "--webhooks", "", "--user", MEMBER]
    return [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *COMMAND, *own]


@pytest.fixture(scope="module")
def cloud_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, cloud_port: int) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("trouble"))
    running.start("--standin", f"http://127.0.0.1:{cloud_port}")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def cloud(stack: Stack, cloud_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The stand-in for Tencent's cloud."""
    running = subprocess.Popen(in_stand_in(stack, cloud_port), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    with httpx2.Client() as asking:
        wait_for(lambda: answers(asking, cloud_port))
    yield running
    running.terminate()
    running.wait()


def answers(asking: httpx2.Client, port: int) -> bool:
    try:
        return bool(asking.get(f"http://127.0.0.1:{port}/v1/meetings").status_code)
    except httpx2.TransportError:
        return False


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """It takes calls, and says nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


REFUSED = {"en": "Neither made nor reserved", "zh-CN": "会议没有建成，会议室也没有预定"}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_the_provider_refuses_is_told_with_its_reason(
    stack: Stack, cloud: object, portal: Portal, client: httpx2.Client, language: str
) -> None:
    """Whom it does not know it makes no meeting for. What was typed stays, and no room is held."""
    desk = Desk(portal, client, "unknown-there", "booker", language)
    page = httpx2.Response(200, text=desk.text(NEW))
    answer = desk.submit(page, **wanted(password="481526"))
    assert answer.status_code == 409
    assert REFUSED[language] in answer.text
    assert faults(answer)[""]
    assert nonce(answer) == nonce(page)
    assert 'value="481526"' in answer.text
    assert stack.login("booker", "unknown-there").mine() == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_provider_that_says_nothing_leaves_nothing_behind(
    stack: Stack, cloud: "subprocess.Popen[bytes]", portal: Portal, language: str
) -> None:
    """The same form is sent again, and makes one meeting and one reservation."""
    subject = f"Silence {language}"
    with httpx2.Client(base_url=portal.address, timeout=PATIENCE_SECONDS) as client:
        desk = Desk(portal, client, MEMBER, "booker", language)
        page = httpx2.Response(200, text=desk.text(NEW))
        with stopped(cloud.pid):
            answer = desk.submit(page, **wanted(subject=subject))
        assert answer.status_code == 503
        assert REFUSED[language] in answer.text
        assert nonce(answer) == nonce(page)
        assert f'value="{subject}"' in answer.text
        assert [each for each in stack.login("booker", MEMBER).mine() if each["subject"] == subject] == []
        done = wait_for(lambda: sent_again(desk, answer))
        assert "new=1" in done
        assert len([each for each in stack.login("booker", MEMBER).mine() if each["subject"] == subject]) == 1
        wait_for(lambda: [each for each in addresses(desk.text("/meetings?phase=coming")) if each == subject])


def sent_again(desk: Desk, page: httpx2.Response) -> str:
    """Where it leads once it is taken; "" before."""
    answer = desk.submit(page)
    assert answer.status_code in (303, 503), answer.text
    return str(answer.headers.get("location", ""))


def nonce(page: httpx2.Response) -> object:
    return form_in(page.text)[1]["nonce"]


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_while_booking_is_away_the_form_is_kept_and_sent_again(
    stack: Stack, cloud: object, portal: Portal, client: httpx2.Client, language: str
) -> None:
    desk = Desk(portal, client, MEMBER, "booker", language)
    page = desk.text(NEW)
    subject = f"Away {language}"
    os.kill(stack.pids["booking"], signal.SIGKILL)
    answer = desk.submit(httpx2.Response(200, text=page), **wanted(2, subject=subject))
    if answer.status_code == 503:
        assert "data-retry" in answer.text
        assert f'name="subject" value="{subject}"' in answer.text
        wait_for(lambda: sent_again(desk, answer))
    wait_for(lambda: [each for each in stack.login("booker", MEMBER).mine() if each["subject"] == subject])


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_where_no_meetings_are_looked_up_none_are_made(tmp_path: Path, language: str) -> None:
    """Booking says so before anything is sent, and when it is."""
    off = Stack(tmp_path / "off")
    off.start("--clock", MONDAY, "--meetings", "off")
    try:
        portal = Portal(off)
        with httpx2.Client(base_url=portal.address, timeout=PATIENCE_SECONDS) as client:
            desk = Desk(portal, client, "off", "booker", language)
            typed = wanted(day="2025-07-08")
            before = desk.text(f"{NEW}?day=2025-07-08&start=10:00&end=11:00&people=12")
            answer = desk.submit(httpx2.Response(200, text=before), **typed)
        words = "No meetings are made here" if language == "en" else "这里不能新建会议"
        assert words in before
        assert (answer.status_code, words in answer.text) == (409, True)
        assert off.login("booker", "off").mine() == []
    finally:
        off.stop()
