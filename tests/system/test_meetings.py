"""Step 1 of the tutorial on real programs: with the simulated provider, and with the stand-in for Tencent's cloud."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from services.installation import die_with_parent
from services.installation.ports import free_port
from tests.patience import PATIENCE_SECONDS
from tests.system.stack import COMMAND, ENVIRONMENT, Stack, wait_for, yunhui

pytestmark = [pytest.mark.system, pytest.mark.long]


def test_a_meeting_is_queried_by_its_number(stack: Stack) -> None:
    """Its creator sees it, in either language; for another it is as if there were none."""
    booker, other = stack.login("booker", "maker"), stack.login("booker", "other")
    when = ("--start", "2025-07-08 10:00", "--minutes", "60")
    assert booker.yunhui("simulate", "meeting", "111-222-333", *when, "--subject", "组会").code == 0
    assert booker.yunhui("simulate", "meeting", "111-222-333", *when).code == 1
    found = booker.yunhui("query", "#腾讯会议：111-222-333")
    meeting = found.answer["meeting"]
    assert (found.code, meeting["subject"], meeting["creatorAccountId"]) == (0, "组会", "maker")
    assert meeting["occurrences"] == [{"startTime": "2025-07-08T02:00:00Z", "endTime": "2025-07-08T03:00:00Z"}]
    shown = as_seen("zh-CN", stack, booker.token, "111222333")
    assert all(
        word in shown.out for word in ("111-222-333", "组会", "未开始", "2025-07-08 周二 10:00–11:00（北京时间）")
    )
    unseen = other.yunhui("query", "111-222-333")
    assert (unseen.code, json.loads(unseen.err)["error"]["reason"]) == (4, "MEETING_OF_ANOTHER")
    kindly = as_seen("en", stack, other.token, "111-222-333")
    assert kindly.code == 4
    assert "made with another account" in kindly.err
    nowhere = as_seen("en", stack, other.token, "999-888-777")
    assert (nowhere.code, "personal free account" in nowhere.err) == (4, True)
    assert other.yunhui("query", "11-22").code == 2


def as_seen(language: str, stack: Stack, token: str, code: str) -> Any:
    return yunhui("query", code, "--lang", language, "--state", str(stack.state), YUNHUI_TOKEN=token)


def happened(stack: Stack, code: str) -> list[str]:
    return [subject.rpartition(".")[2] for subject, _ in published(stack, code)]


def test_support_sees_it_and_who_is_inside_shows(stack: Stack) -> None:
    booker, support = stack.login("booker", "host"), stack.login("support", "helper")
    booker.yunhui("simulate", "meeting", "444-555-666", "--start", "2025-07-08 10:00", "--minutes", "60")
    for act, state in [("wait", "SCHEDULED"), ("enter", "RUNNING"), ("leave", "SCHEDULED"), ("end", "ENDED")]:
        assert booker.yunhui("simulate", act, "444-555-666").code == 0
        seen = support.yunhui("query", "444-555-666", "--any").answer["meeting"]
        assert seen["state"] == f"MEETING_STATE_{state}"
    wait_for(lambda: happened(stack, "444555666") == ["entered", "left", "ended"])


def published(stack: Stack, code: str) -> list[tuple[str, dict[str, Any]]]:
    """What went out about the meeting with this number."""
    with sqlite3.connect(f"file:{stack.state}/meetings.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT subject, payload FROM outbox WHERE publish_time IS NOT NULL ORDER BY seq")
        told = [(subject, json.loads(payload)) for subject, payload in rows]
    return [each for each in told if each[1].get("meetingCode") == code]


def test_the_stand_in_plays_the_cloud(tmp_path: Path) -> None:
    """The gateway asks it and believes its webhooks; a forgery is refused; when it is away, that is said."""
    port, stack = free_port(), Stack(tmp_path / "state")
    stack.start("--standin", f"http://127.0.0.1:{port}", "--portal", "off")
    target = f"http://{stack.run['webhooks']}/tencent"
    own = ["standin", "--state", str(stack.state), "--port", str(port), "--webhooks", target, "--forged", "1"]
    dying_with_us = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
    cloud = subprocess.Popen([*dying_with_us, *COMMAND, *own], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:
        booker = stack.login("booker")
        now = int(time.time())
        made = wait_for(lambda: act(port, "meetings", creator="booker", start=now, end=now + 3600))
        code = made["meeting_code"]
        assert booker.yunhui("query", code).answer["meeting"]["meetingId"] == made["meeting_id"]
        act(port, f"meetings/{code}/enter", userid="booker")
        [entry, *_] = wait_for(lambda: published(stack, code))
        assert (entry[0], entry[1]["meeting"]["provider"]) == ("yunhui.meetings.meeting.entered", "tencent")
        assert "signature is not ours" in (stack.state / "logs" / "meetings.log").read_text()
        assert booker.yunhui("simulate", "enter", code).code != 0
    finally:
        cloud.terminate()
        cloud.wait()
    assert booker.yunhui("query", code).code == 5
    stack.stop()


def act(port: int, what: str, **body: Any) -> dict[str, Any] | None:
    """None while it is not up."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/standin/{what}", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - http, see above
            content: dict[str, Any] = json.load(answer)
            return content
    except urllib.error.URLError:
        return None
