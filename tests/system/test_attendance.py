"""The tutorial from step 1 to the truth about who entered, on real programs."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.stack import MONDAY, Person, Stack, wait_for, yunhui

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One whose clock may be moved: each test has a day of its own, and accounts."""
    running = Stack(tmp_path_factory.mktemp("attendance"))
    running.start("--clock", MONDAY, "--portal", "off")
    yield running
    running.stop()


def record(person: Person, reservation_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = person.yunhui("show", reservation_id).answer["reservation"]
    return shown


def reaches(person: Person, reservation_id: str, state: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        shown = record(person, reservation_id)
        return shown if shown["state"] == f"RESERVATION_STATE_{state}" else None

    return wait_for(look)


def test_the_meetings_own_time_is_proposed(stack: Stack) -> None:
    """As far as options say nothing else; programs say --yes."""
    booker = stack.login("booker", "proposer")
    code = booker.meeting("2025-07-09 10:00", 90)
    asked = ("reserve", "--meeting", code)
    assert booker.yunhui(*asked, "--people", "12").code == 2
    assert booker.yunhui(*asked, "--yes").code == 2
    assert booker.yunhui("reserve", "--code", code, "--subject", "x").code == 2
    trial = booker.yunhui(*asked, "--people", "12", "--start", "2025-07-09 10:30", "--dry-run")
    assert (trial.code, trial.answer["outcome"]) == (0, "OUTCOME_CONFIRMED")
    made = booker.yunhui(*asked, "--people", "12", "--yes")
    reservation = made.answer["reservation"]
    assert (made.code, reservation["subject"], reservation["meetingCode"]) == (0, "组会", code)
    assert (reservation["startTime"], reservation["endTime"]) == ("2025-07-09T02:00:00Z", "2025-07-09T03:30:00Z")
    assert reservation["meeting"]["key"]["provider"] == "simulated"


@pytest.mark.parametrize(("language", "words"), [("en", "reserved already"), ("zh-CN", "已经预定")])
def test_refusals_are_said_in_the_readers_language(stack: Stack, language: str, words: str) -> None:
    booker = stack.login("booker", f"twice-{language}")
    code = booker.meeting("2025-07-09 14:00")
    known = ("--lang", language, "--state", str(stack.state))

    def reserve(number: str, start: str) -> Any:
        asked = ("--start", start, "--minutes", "60", "--people", "12", "--subject", "x")
        return yunhui("reserve", "--code", number, *asked, *known, YUNHUI_TOKEN=booker.token)

    assert reserve(code, "2025-07-09 14:00").code == 0
    again, elsewhere = reserve(code, "2025-07-09 14:00"), reserve(code, "2025-07-10 14:00")
    absent = reserve("100000007", "2025-07-09 14:00")
    assert (again.code, elsewhere.code, absent.code) == (1, 2, 4)
    assert words in again.err
    assert "rsv_" in again.err
    assert "2025-07-09" in elsewhere.err
    assert ("personal free" if language == "en" else "个人免费版") in absent.err


@pytest.mark.parametrize(("language", "words"), [("en", "two of these fall on one occurrence"), ("zh-CN", "其中两次")])
def test_a_series_within_one_occurrence_is_told_so(stack: Stack, language: str, words: str) -> None:
    """And not that somebody else has reserved it."""
    booker = stack.login("booker", f"within-{language}")
    code = booker.meeting("2025-07-15 10:00", minutes=24 * 60)
    asked = ("--code", code, "--subject", "x", "--start", "2025-07-15 09:30", "--minutes", "60", "--people", "12")
    series = ("--repeat", "FREQ=DAILY;COUNT=2", "--lang", language, "--state", str(stack.state))
    said = yunhui("reserve", *asked, *series, YUNHUI_TOKEN=booker.token)
    assert said.code == 2
    assert words in said.err


def test_who_enters_keeps_the_room_and_who_does_not_loses_it(own: Stack) -> None:
    booker, other = own.login("booker", "comes"), own.login("booker", "misses")
    came, missed = booker.reserve("2025-07-07 09:00"), other.reserve("2025-07-07 09:00")
    ids = [said.answer["reservation"]["reservationId"] for said in (came, missed)]
    codes = [said.answer["reservation"]["meetingCode"] for said in (came, missed)]
    own.yunhui("clock", "set", "2025-07-07 09:00")
    assert booker.yunhui("simulate", "enter", codes[0]).code == 0
    assert other.yunhui("simulate", "wait", codes[1]).code == 0
    reaches(booker, ids[0], "IN_USE")
    own.yunhui("clock", "set", "2025-07-07 09:30")
    gone = reaches(other, ids[1], "NO_SHOW")
    assert gone["attendance"]["knowledge"] == "KNOWLEDGE_KNOWN"
    assert record(booker, ids[0])["state"] == "RESERVATION_STATE_IN_USE"
    shown = yunhui("show", ids[1], "--lang", "zh-CN", "--state", str(own.state), YUNHUI_TOKEN=other.token)
    assert "无人进入" in shown.out


def test_who_looks_in_early_takes_nothing_and_who_stays_has_come(own: Stack) -> None:
    """A stranger an hour before: the owner cancels as before. Who is early and stays is there when it begins."""
    booker, other, stranger = (own.login("booker", name) for name in ("cancels", "stays", "stranger"))
    looked_into, kept = booker.reserve("2025-07-08 09:30"), other.reserve("2025-07-08 09:30")
    ids = [said.answer["reservation"]["reservationId"] for said in (looked_into, kept)]
    codes = [said.answer["reservation"]["meetingCode"] for said in (looked_into, kept)]
    own.yunhui("clock", "set", "2025-07-08 08:31")
    for code in codes:
        assert stranger.yunhui("simulate", "enter", code).code == 0
    assert stranger.yunhui("simulate", "leave", codes[0]).code == 0
    wait_for(lambda: "earlyEnterTime" in record(booker, ids[0]) and "earlyEnterTime" in record(other, ids[1]))
    assert record(booker, ids[0])["state"] == record(other, ids[1])["state"] == "RESERVATION_STATE_CONFIRMED"
    cancelled = booker.yunhui("cancel", ids[0])
    assert (cancelled.code, cancelled.answer["quotaReturned"]) == (0, True)
    own.yunhui("clock", "set", "2025-07-08 09:30")
    assert reaches(other, ids[1], "IN_USE")["enterTime"] == "2025-07-08T01:30:00Z"


def test_a_gateway_that_is_dead_over_the_deadline_harms_nobody(own: Stack) -> None:
    """Killed, and back later: who came is judged rightly then."""
    booker, other = own.login("booker", "came"), own.login("booker", "missed")
    came, missed = booker.reserve("2025-07-09 09:00", 120), other.reserve("2025-07-09 09:00", 120)
    ids = [said.answer["reservation"]["reservationId"] for said in (came, missed)]
    own.yunhui("clock", "set", "2025-07-09 09:10")
    assert booker.yunhui("simulate", "enter", came.answer["reservation"]["meetingCode"]).code == 0
    killed = own.pids["meetings"]
    os.kill(killed, signal.SIGKILL)
    own.yunhui("clock", "set", "2025-07-09 09:31")
    unknown = wait_for(lambda: record(other, ids[1]).get("attendance"))
    assert (unknown["knowledge"], unknown["unknownReason"]) == ("KNOWLEDGE_UNKNOWN", "GATEWAY_AWAY")
    assert record(other, ids[1])["state"] == "RESERVATION_STATE_CONFIRMED"
    wait_for(lambda: own.pids["meetings"] != killed)
    wait_for(
        lambda: other.yunhui("simulate", "enter", missed.answer["reservation"]["meetingCode"]).code == 0
    )  # too late
    own.yunhui("clock", "set", "2025-07-09 10:10")
    reaches(booker, ids[0], "IN_USE")
    reaches(other, ids[1], "NO_SHOW")
