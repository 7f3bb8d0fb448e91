"""`yunhui meetings`: what the organization holds is seen, and what runs is steered, on the real programs."""

import json
import time
from typing import Any

import pytest

from services.cli.failures import ExitCode
from tests.patience import PATIENCE_SECONDS
from tests.system.stack import Person, Stack, wait_for

pytestmark = pytest.mark.system

CODE = "912345678"


@pytest.fixture
def admin(stack: Stack) -> Person:
    return stack.login("admin", "root")


def told(person: Person, *words: str) -> Any:
    said = person.yunhui(*words, "--json")
    assert said.code == ExitCode.OK, said.err
    return json.loads(said.out)


def until_running(admin: Person) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for each in told(admin, "meetings", "list", "running").get("meetings", []):
            if each["meetingCode"] == CODE:
                return dict(each)
        time.sleep(0.2)
    raise AssertionError("the meeting never ran")


def test_a_meeting_is_found_steered_and_looked_back_at(stack: Stack, admin: Person) -> None:
    """One story, as the commands are used one after the other."""
    li = stack.login("booker", "li")
    start = told(li, "simulate", "meeting", CODE, "--start", "today 12:00", "--minutes", "60", "--subject", "组会")
    assert start["meeting"]["subject"] == "组会"
    for account in ("li", "wang"):
        told(admin, "simulate", "enter", CODE, "--account", account)
    found = until_running(admin)
    assert found["subject"] == "组会"
    people = told(admin, "meetings", "people", CODE)["people"]
    assert sorted(each["accountId"] for each in people) == ["li", "wang"]

    done = told(admin, "meetings", "mute", CODE, "wang", "--reason", "noise", "--request-id", "mute-wang-1")
    assert (done["act"]["outcome"], done["act"]["verb"]) == ("CONTROL_OUTCOME_DONE", "CONTROL_VERB_MUTE")
    again = told(admin, "meetings", "mute", CODE, "wang", "--reason", "noise", "--request-id", "mute-wang-1")
    assert again == done
    muted = {each["accountId"]: each["microphone"] for each in told(admin, "meetings", "people", CODE)["people"]}
    assert muted == {"li": True, "wang": False}
    told(admin, "meetings", "set", CODE, "--locked", "--chat", "hosts")
    told(admin, "meetings", "remove", CODE, "wang", "--yes")
    assert admin.yunhui("meetings", "mute", CODE, "wang").code == ExitCode.NOT_FOUND
    told(admin, "meetings", "end", CODE, "--yes")
    acts = told(admin, "meetings", "acts", f"simulated/{found['meeting']['meetingId']}")["acts"]
    assert [each["verb"].removeprefix("CONTROL_VERB_") for each in acts] == ["END", "REMOVE", "CHANGE_SETTINGS", "MUTE"]
    visits = told(admin, "meetings", "visits", f"simulated/{found['meeting']['meetingId']}")["visits"]
    assert sorted(each["accountId"] for each in visits) == ["li", "wang"]
    assert all("leaveTime" in each for each in visits)


def test_people_see_their_own_and_steer_none(stack: Stack, admin: Person) -> None:
    other = stack.login("booker", "zhao")
    assert told(other, "meetings", "list", "ended").get("meetings", []) == []
    refused = other.yunhui("meetings", "end", "simulated/1", "--yes")
    assert refused.code == ExitCode.OTHER
    assert "meetings.control" in refused.out + refused.err
    assert other.yunhui("meetings", "show", "simulated/1").code == ExitCode.NOT_FOUND


def test_tables_are_for_people(stack: Stack, admin: Person) -> None:
    """Each command prints something in both languages, and no traceback."""
    ended = told(admin, "meetings", "list", "ended")["meetings"][0]["meeting"]
    key = f"simulated/{ended['meetingId']}"
    for language in ("zh-CN", "en"):
        for words in (
            ("list", "ended"),
            ("list", "coming"),
            ("show", key),
            ("visits", key),
            ("quality", key),
            ("acts", key),
        ):
            said = admin.yunhui("meetings", *words, "--lang", language)
            assert (said.code, said.err) == (ExitCode.OK, "")
            assert said.out.strip()


def test_a_meeting_is_made_with_its_reservation(stack: Stack) -> None:
    """Its number is told, and whoever made it finds it; it goes with the reservation."""
    li = stack.login("booker", "li-makes")
    when = ("--start", "2025-07-11 20:00", "--minutes", "60", "--people", "5", "--subject", "周会")
    options = ("--zone", "Asia/Tokyo", "--invite", "wang", "--invite", "zhao", "--host", "wang", "--password", "1234")
    assert told(li, "reserve", "--make", *when, "--dry-run")["outcome"] == "OUTCOME_CONFIRMED"
    made = told(li, "reserve", "--make", *when, *options, "--waiting-room", "--request-id", "once")["reservation"]
    assert made["meeting"]["madeHere"]
    again = told(li, "reserve", "--make", *when, *options, "--waiting-room", "--request-id", "once")["reservation"]
    assert again == made
    found = told(li, "query", made["meetingCode"])["meeting"]
    assert (found["subject"], found["hostAccountIds"]) == ("周会", ["li-makes", "wang"])
    told(li, "cancel", made["reservationId"])
    wait_for(lambda: told(li, "query", made["meetingCode"])["meeting"]["state"] == "MEETING_STATE_CANCELLED")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--make", "--code", "123456789"), "MAKE_OR_NUMBER"),
        (("--make", "--meeting", "123456789"), "MAKE_OR_NUMBER"),
        (("--code", "123456789", "--mute"), "ONLY_WITH_MAKE"),
        (("--code", "123456789", "--invite", "wang"), "ONLY_WITH_MAKE"),
    ],
)
def test_a_number_or_a_new_meeting(stack: Stack, words: tuple[str, ...], reason: str) -> None:
    when = ("--start", "2025-07-11 20:00", "--minutes", "60", "--people", "5", "--subject", "周会")
    said = stack.login("booker", "li-makes").yunhui("reserve", *words, *when)
    assert (said.code, json.loads(said.err)["error"]["reason"]) == (ExitCode.USAGE, reason)
