"""The command against real programs: answers, exit codes, mail."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from services.platform.local import DEVELOPMENT_ISSUER
from tests.patience import PATIENCE_SECONDS
from tests.system.stack import COMMAND, ENVIRONMENT, MONDAY, Person, Stack, wait_for, yunhui
from tests.system.test_locks import put_violation

pytestmark = pytest.mark.system


RULE_IDS = {"DAILY_QUOTA", "WEEKLY_QUOTA", "SMALL_MEETING", "LARGE_MEETING", "BOOKING_HORIZON", "BOOKING_CUTOFF"}
"""They name rules to people: docs/rules.md lists them."""
STATUS = "CONFIRMED|DENIED|REDIRECTED|CANCELLED|ALLOW|DENY|ESCALATE"
RAW_NAME = re.compile(rf"\b(?:[a-z]+(?:_[a-z]+)+|[A-Z]+(?:_[A-Z]+)+|{STATUS})\b", re.ASCII)


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An installation that looks no meetings up."""
    running = Stack(tmp_path_factory.mktemp("unwatched"))
    running.start("--clock", MONDAY, "--meetings", "off", "--portal", "off")
    yield running
    running.stop()


def test_a_reservation_is_confirmed_and_mailed_with_an_invitation(stack: Stack) -> None:
    """From the first question to the mail in the sink, without a hand in between."""
    booker = stack.login("booker", "happy")
    made = booker.reserve("2025-07-08 10:00")
    assert (made.code, made.answer["outcome"]) == (0, "OUTCOME_CONFIRMED")
    assert made.answer["reservation"]["startTime"] == "2025-07-08T02:00:00Z"
    letter = wait_for(lambda: letter_to(stack, "happy@example.org"))
    assert "invite.ics" in letter["attachments"]
    shown = stack.yunhui("mail", "show", str(letter["number"]), "--json")
    assert "组会" in shown.answer["text"]


def letter_to(stack: Stack, address: str) -> dict[str, Any] | None:
    letters = stack.yunhui("mail", "--json").answer["mails"]
    return next((letter for letter in letters if address in letter["to"]), None)


def test_a_refusal_names_its_rule_and_exits_with_3(stack: Stack) -> None:
    """What people see in their language is what the policy said."""
    booker = stack.login("booker", "refused")
    asked = ("--start", "2025-07-15 10:00", "--minutes", "60", "--people", "12")
    said = yunhui("check", *asked, "--lang", "zh-CN", "--state", str(stack.state), YUNHUI_TOKEN=booker.token)
    assert said.code == 3
    assert "未能预定" in said.out
    assert "BOOKING_HORIZON" in said.out


def test_a_small_meeting_is_redirected_with_3_and_a_large_one_waits_with_0(stack: Stack) -> None:
    """Redirected is no room; waiting for support is no failure."""
    booker = stack.login("booker", "sizes")
    assert booker.reserve("2025-07-08 10:00", minutes=30).code == 3
    large = booker.reserve("2025-07-08 10:00", people=120)
    assert (large.code, large.answer["outcome"]) == (0, "OUTCOME_PENDING_APPROVAL")


def test_a_check_stores_nothing(stack: Stack) -> None:
    """Asking is free."""
    booker = stack.login("booker", "curious")
    asked = ("--start", "2025-07-08 10:00", "--minutes", "60", "--people", "12")
    assert booker.yunhui("check", *asked).code == 0
    code = booker.meeting("2025-07-08 10:00")
    assert booker.yunhui("reserve", "--code", code, "--subject", "x", *asked, "--dry-run").code == 0
    assert booker.mine() == []


def test_what_was_cancelled_gives_its_quota_back(stack: Stack) -> None:
    """Show, cancel, quota: the life of a reservation that was not needed."""
    booker = stack.login("booker", "canceller")
    reservation_id = booker.reserve("2025-07-08 14:00").answer["reservation"]["reservationId"]
    assert booker.yunhui("show", reservation_id).answer["reservation"]["state"] == "RESERVATION_STATE_CONFIRMED"
    assert booker.yunhui("cancel", reservation_id, "--note", "改期").answer["quotaReturned"] is True
    assert [row["usage"].get("used", "0") for row in booker.yunhui("quota").answer["standing"]["quotas"]] == ["0", "0"]


def test_a_request_sent_twice_gets_one_answer(stack: Stack) -> None:
    """The idempotency key reaches booking."""
    booker = stack.login("booker", "repeater")
    code = booker.meeting("2025-07-08 16:00")
    asked = ("reserve", "--code", code, "--subject", "x", "--start", "2025-07-08 16:00")
    more = ("--minutes", "60", "--people", "12", "--request-id", "twice")
    assert booker.yunhui(*asked, *more).answer == booker.yunhui(*asked, *more).answer
    assert len(booker.mine()) == 1


def test_errors_are_sentences_with_stable_exit_codes(stack: Stack) -> None:
    """2 for bad input with the field, 4 for not found, 1 without the role; never a traceback, never a token."""
    booker = stack.login("booker", "clumsy")
    code = booker.yunhui(
        *("reserve", "--code", "12", "--subject", "x", "--start", "2025-07-08 10:00"),
        *("--minutes", "60", "--people", "5"),
    )
    missing = booker.yunhui("show", "rsv_nope")
    forbidden = booker.yunhui("rooms", "add", "mine", "--capacity", "10")
    assert [said.code for said in (code, missing, forbidden)] == [2, 4, 1]
    details = json.loads(code.err)["error"]["details"]
    assert details[0]["fieldViolations"][0]["field"] == "meeting_code"
    assert not any("Traceback" in said.err or booker.token in said.err for said in (code, missing, forbidden))


def test_what_services_say_is_said_in_chinese(stack: Stack) -> None:
    """Bad fields, what is not there, what is not allowed, and what cannot be done now."""
    booker, admin = stack.login("booker", "reads"), stack.login("admin")
    reservation = booker.reserve("2025-07-12 10:00", people=30, room="room-30-a").answer["reservation"]["reservationId"]
    booker.yunhui("cancel", reservation)
    booker.reserve("2025-07-12 12:00", people=30, room="room-30-a")
    for person, arguments, sentence in (
        (
            booker,
            ("rooms", "add", "mine", "--capacity", "9"),
            "没有权限：这项操作需要权限 rooms.edit：",
        ),
        (admin, ("rooms", "add", "mine", "--capacity", "20000"), "容量：须在 1 到 10,000 之间，现为 20,000"),
        (admin, ("rooms", "add", "room-30-a", "--capacity", "9"), "已有会议室 room-30-a"),
        (
            admin,
            ("rooms", "set", "room-30-a", "--capacity", "9"),
            "个有效预约将容纳不下，其中最多的一个预计有 30 人",
        ),
        (booker, ("show", "rsv_nope"), "没有找到：没有这个预约。"),
        (booker, ("change", reservation, "--minutes", "90"), "预约已取消，不能更改"),
    ):
        said = yunhui(*arguments, "--lang", "zh-CN", "--state", str(stack.state), YUNHUI_TOKEN=person.token)
        assert said.code
        assert sentence in said.err


def test_an_invalid_token_is_told_to_sign_in(stack: Stack) -> None:
    """With the way out in the sentence."""
    said = yunhui("rooms", "--lang", "en", "--state", str(stack.state), YUNHUI_TOKEN="a.b.c")
    assert said.code == 1
    assert "Sign in again" in said.err


def test_attendance_reported_by_the_service_keeps_the_room(unwatched: Stack) -> None:
    """The service role reports; bookers may not. Before the start it is noted only, and the answer says so.

    What is in use can be given back early, by whoever booked it; before that it is cancelled instead.
    """
    booker, service = unwatched.login("booker", "attender"), unwatched.login("service")
    asked = (
        "--code",
        "123456789",
        "--subject",
        "x",
        "--start",
        "2025-07-07 09:00",
        "--minutes",
        "60",
        "--people",
        "12",
    )
    reservation_id = booker.yunhui("reserve", *asked).answer["reservation"]["reservationId"]
    assert booker.yunhui("entered", reservation_id).code == 1
    known = ("--lang", "en", "--state", str(unwatched.state))
    noted = yunhui("entered", reservation_id, *known, YUNHUI_TOKEN=service.token)
    assert "noted only" in noted.out
    shown = booker.yunhui("show", reservation_id).answer["reservation"]
    assert (shown["state"], "earlyEnterTime" in shown) == ("RESERVATION_STATE_CONFIRMED", True)
    assert booker.yunhui("end", reservation_id).code == 1
    unwatched.yunhui("clock", "set", "2025-07-07 09:00")
    said = service.yunhui("entered", reservation_id)
    assert (said.code, said.answer["reservation"]["state"]) == (0, "RESERVATION_STATE_IN_USE")
    assert booker.yunhui("end", reservation_id).answer["reservation"]["state"] == "RESERVATION_STATE_COMPLETED"


def test_the_pool_can_grow(stack: Stack) -> None:
    """An admin adds a room; everybody sees it."""
    stack.login("admin").yunhui("rooms", "add", "room-40", "--capacity", "40")
    rooms = stack.login("booker").yunhui("rooms").answer["rooms"]
    assert "room-40" in [room["roomId"] for room in rooms]


def test_a_reservation_can_be_moved_and_shortened(stack: Stack) -> None:
    """What is not said stays: the length with a new start, the start with a new length."""
    booker = stack.login("booker", "mover")
    made = booker.reserve("2025-07-10 10:00", minutes=90).answer["reservation"]
    reservation_id = made["reservationId"]
    booker.yunhui("simulate", "move", made["meetingCode"], "--start", "2025-07-10 12:00")
    moved = booker.yunhui("change", reservation_id, "--start", "2025-07-10 12:00").answer["reservation"]
    assert (moved["startTime"], moved["endTime"]) == ("2025-07-10T04:00:00Z", "2025-07-10T05:30:00Z")
    shorter = booker.yunhui("change", reservation_id, "--minutes", "41", "--people", "20").answer["reservation"]
    assert (shorter["endTime"], shorter["participantCount"]) == ("2025-07-10T04:41:00Z", 20)
    refused = booker.yunhui("change", reservation_id, "--minutes", "40")
    assert (refused.code, refused.answer["outcome"]) == (3, "OUTCOME_REDIRECTED")
    assert refused.answer["reservation"] == shorter
    assert booker.yunhui("change", reservation_id).code == 2


def test_a_series_is_answered_one_by_one(unwatched: Stack) -> None:
    """Those beyond the horizon are refused; all-or-none then makes nothing."""
    booker = unwatched.login("booker", "weekly")
    asked = ("reserve", "--code", "123456789", "--subject", "x", "--start", "2025-07-13 10:00")
    more = ("--minutes", "60", "--people", "12", "--repeat", "FREQ=DAILY;COUNT=3")
    none = booker.yunhui(*asked, *more, "--all-or-none")
    assert none.code == 3
    assert not any("reservation" in each for each in none.answer["occurrences"])
    some = booker.yunhui(*asked, *more)
    outcomes = [each["outcome"] for each in some.answer["occurrences"]]
    assert outcomes == ["OUTCOME_CONFIRMED", "OUTCOME_CONFIRMED", "OUTCOME_DENIED"]
    assert len(booker.mine()) == 2
    assert booker.yunhui(*asked, *more, "--dry-run").code == 2


def test_a_series_holds_the_occurrences_of_a_recurring_meeting(stack: Stack) -> None:
    """From the meeting client to the reservations and back: each has its own, and one that is called off is one."""
    booker = stack.login("booker", "series")
    rule, first = "FREQ=DAILY;COUNT=3", "2025-07-11 19:00"
    made = booker.yunhui("simulate", "meeting", "--start", first, "--minutes", "60", "--repeat", rule).answer["meeting"]
    assert (made["recurring"], len(made["occurrences"])) == (True, 3)
    said = booker.yunhui("reserve", "--meeting", made["meetingCode"], "--people", "12", "--yes", "--repeat", rule)
    assert said.code == 0
    held = [each["reservation"] for each in said.answer["occurrences"]]
    assert [each["meeting"]["key"]["subMeetingId"] for each in held] == ["1", "2", "3"]
    query = yunhui(
        "query", made["meetingCode"], "--lang", "zh-CN", "--state", str(stack.state), YUNHUI_TOKEN=booker.token
    )
    assert "2: 2025-07-12 周六 19:00–20:00" in query.out
    booker.yunhui("simulate", "cancel", made["meetingCode"], "--occurrence", "2")

    def called_off() -> list[bool]:
        found = {each["reservationId"]: each["meeting"]["state"] for each in booker.mine()}
        return [found[each["reservationId"]] == "MEETING_STATE_CANCELLED" for each in held]

    wait_for(lambda: called_off() == [False, True, False])
    assert booker.yunhui("simulate", "enter", made["meetingCode"], "--occurrence", "4").code == 4
    odd = booker.yunhui("simulate", "meeting", "--start", first, "--minutes", "60", "--repeat", "FREQ=HOURLY;COUNT=2")
    assert (odd.code, json.loads(odd.err)["error"]["field"]) == (2, "recurrence_rule")


def test_an_unknown_meeting_is_one_thing_to_every_command(stack: Stack) -> None:
    """Exit code 4 and one reason, for people and programs; a number that is none is bad input."""
    booker, code = stack.login("booker", "seeker"), "987-654-321"
    asked = ("--start", "2025-07-10 08:00", "--minutes", "60", "--people", "12")
    for arguments in (
        ("query", code),
        ("check", "--code", code, *asked),
        ("reserve", "--code", code, "--subject", "x", *asked),
        ("reserve", "--meeting", code, "--people", "12", "--yes"),
        ("reserve", "--code", code, "--subject", "x", *asked, "--dry-run"),
        ("simulate", "enter", code),
        ("simulate", "cancel", code),
    ):
        said = booker.yunhui(*arguments)
        error = json.loads(said.err)["error"]
        assert (said.code, said.out, error["reason"], error["exitCode"]) == (4, "", "MEETING_NOT_FOUND", 4), arguments
    for arguments in (
        ("query", "12"),
        ("reserve", "--code", "12", "--subject", "x", *asked),
        ("simulate", "end", "12"),
    ):
        assert booker.yunhui(*arguments).code == 2, arguments


def test_the_quota_is_told_for_each_day_with_reservations(stack: Stack) -> None:
    """With what is left; a day whose reservation was cancelled in time is none."""
    booker = stack.login("booker", "planner")
    for start in ("2025-07-09 10:00", "2025-07-09 12:00", "2025-07-14 09:00"):
        booker.reserve(start)
    gone = booker.reserve("2025-07-10 10:00").answer["reservation"]["reservationId"]
    booker.yunhui("cancel", gone)
    days = booker.yunhui("quota").answer["days"]
    assert [(day["day"], [row["usage"]["used"] for row in day["quotas"]]) for day in days] == [
        ("2025-07-09", ["2", "2"]),
        ("2025-07-14", ["1", "1"]),
    ]
    shown = yunhui("quota", "--lang", "zh-CN", "--state", str(stack.state), YUNHUI_TOKEN=booker.token).out
    assert "2025-07-09 周三  当日 2/3（还可预定 1 次）  本周 2/10（还可预定 8 次）" in shown
    assert "2025-07-14 周一  当日 1/3" in shown
    assert "当周 1/10" in shown


@pytest.mark.parametrize("role", ["booker", "admin"])
def test_a_noun_alone_shows_what_there_is(stack: Stack, role: str) -> None:
    """As its `show` or `list` would."""
    person = stack.login(role, f"noun-{role}")
    nouns = {"preferences": "show"}
    if role == "admin":
        nouns |= {"deliveries": "list", "audit": "list", "outbox": "status", "events dead": "list", "webhooks": "list"}
    for noun, verb in nouns.items():
        alone = person.yunhui(*noun.split())
        assert alone.code == 0, alone.err
        assert alone.answer.keys() == person.yunhui(*noun.split(), verb).answer.keys()
    said = yunhui("preferences", "--lang", "zh-CN", "--state", str(stack.state), YUNHUI_TOKEN=person.token).out
    assert "会议即将开始" in said


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_no_raw_name_reaches_a_person(stack: Stack, language: str) -> None:
    """Neither of a field, nor of a state, an outcome, a fact or a status."""
    booker = stack.login("booker", f"reader-{language.lower()}")
    start = "2025-07-09 15:00"
    code = booker.meeting(start)
    asked = ("--subject", "x", "--start", start, "--minutes", "60", "--people", "12")
    made = booker.yunhui("reserve", "--code", code, *asked).answer["reservation"]["reservationId"]
    gone = booker.reserve("2025-07-09 17:00").answer["reservation"]["reservationId"]
    booker.yunhui("cancel", gone)
    for arguments in (
        ("mine",),
        ("quota",),
        ("show", made),
        ("query", code),
        ("check", "--start", "2025-07-20 10:00", "--minutes", "30", "--people", "120"),
        ("reserve", "--code", code, *asked),
        ("reserve", "--code", "12", *asked),
        ("change", gone, "--people", "9"),
        ("change", made, "--people", "9", "--start", "2025-07-20 15:00"),
        ("free", "--start", start, "--end", start),
        ("reserve", "--code", code, *asked, "--repeat", "FREQ=HOURLY"),
        ("rooms", "add", "mine", "--capacity", "9"),
        ("end", made),
        ("cancel", made),
    ):
        said = yunhui(*arguments, "--lang", language, "--state", str(stack.state), YUNHUI_TOKEN=booker.token)
        named = {name for name in RAW_NAME.findall(said.out + said.err) if not name.startswith(("rsv_", "dec_"))}
        assert named <= RULE_IDS, (arguments, said)


def test_only_support_waives(stack: Stack) -> None:
    """The rest of a violation's life is in tests/booking: here time would have to pass."""
    assert stack.login("booker", "sinner").yunhui("waive", "vio_x", "--note", "sorry").code == 1
    assert stack.login("support").yunhui("waive", "vio_x", "--note", "sorry").code == 4


def test_an_objection_is_made_listed_and_dismissed(stack: Stack) -> None:
    """Once; support reads it as it was written, square brackets too."""
    booker, support = stack.login("booker", "objector"), stack.login("support")
    made = booker.reserve("2025-07-12 10:00").answer
    violation = put_violation(stack, "objector", made["reservation"]["reservationId"], made["decision"]["decisionId"])
    assert booker.yunhui("object", violation, "--because", " ").code == 2
    assert support.yunhui("object", violation, "--because", "mine").code == 4
    said = booker.yunhui("object", violation, "--because", "[red]I was there").answer
    assert said["violation"]["objection"]["outcome"] == "OBJECTION_OUTCOME_OPEN"
    assert booker.yunhui("object", violation, "--because", "and she").code == 1
    assert violation in objected(support)
    for language, state in (("en", "open"), ("zh-CN", "待答复")):
        read = yunhui("objections", "--lang", language, "--state", str(stack.state), YUNHUI_TOKEN=support.token)
        assert all(word in read.out for word in ("[red]I", "objector", state)), read.out
    assert booker.yunhui("objections").code == 1
    assert support.yunhui("dismiss", violation, "--note", "").code == 2
    dismissed = support.yunhui("dismiss", violation, "--note", "no").answer["violation"]["objection"]
    assert (dismissed["outcome"], dismissed["answerNote"]) == ("OBJECTION_OUTCOME_DISMISSED", "no")
    assert violation not in objected(support)
    assert violation in objected(support, "--answered")
    shown = yunhui("quota", "--lang", "en", "--state", str(stack.state), YUNHUI_TOKEN=booker.token)
    assert "dismissed" in shown.out


def test_what_a_leaver_has_coming_is_handed_over_or_cancelled(stack: Stack) -> None:
    leaver, heir, support = (stack.login(*who) for who in (("booker", "leaver"), ("booker", "heir"), ("support",)))
    assert leaver.yunhui("hand-over", "heir", "--to", "leaver").code == 1
    for arguments in ((), ("--to", "heir", "--cancel")):
        assert support.yunhui("hand-over", "leaver", *arguments).code == 2
    assert support.yunhui("hand-over", "leaver", "--to", "heir").code == 4  # nobody knows them yet
    for hour in (10, 12):
        heir.reserve(f"2025-07-11 {hour}:00")
        leaver.reserve(f"2025-07-11 {hour + 4}:00")
    for options in (("--to", "heir", "--dry-run"), ("--to", "heir")):
        said = support.yunhui("hand-over", "leaver", *options)
        outcomes = [each["outcome"] for each in said.answer["reservations"]]
        assert (said.code, outcomes) == (3, ["COMING_OUTCOME_HANDED_OVER", "COMING_OUTCOME_REFUSED"])
    assert (len(heir.mine()), len(leaver.mine())) == (3, 1)
    for language, words in (("en", ("would become", "the quota comes back")), ("zh-CN", ("预期结果", "次数退回"))):
        asked = ("hand-over", "leaver", "--cancel", "--dry-run", "--lang", language, "--state", str(stack.state))
        read = " ".join(yunhui(*asked, YUNHUI_TOKEN=support.token).out.split())
        assert all(word in read for word in words), read
    cancelled = support.yunhui("hand-over", "leaver", "--cancel", "--note", "has left")
    assert (cancelled.code, len(cancelled.answer["reservations"])) == (0, 1)
    assert support.yunhui("hand-over", "leaver", "--cancel").answer == {}


def objected(support: Person, *options: str) -> list[str]:
    listed = support.yunhui("objections", *options).answer.get("objections", [])
    return [each["violation"]["violationId"] for each in listed]


def test_a_room_can_be_changed(stack: Stack) -> None:
    """As far as it is given; by an admin, and not below what it is reserved for."""
    admin, booker = stack.login("admin"), stack.login("booker", "changer")
    admin.yunhui("rooms", "add", "room-50", "--capacity", "50")
    made = booker.reserve("2025-07-13 10:00", people=12, room="room-50").answer["reservation"]
    assert made["room"]["roomId"] == "room-50"
    assert admin.yunhui("rooms", "set", "room-50", "--capacity", "11").code == 1
    changed = admin.yunhui("rooms", "set", "room-50", "--name", "Fifty", "--disabled").answer["room"]
    assert changed == {"roomId": "room-50", "displayName": "Fifty", "capacity": 50}
    assert admin.yunhui("rooms", "set", "room-50").code == 2
    assert admin.yunhui("rooms", "set", "nowhere", "--enabled").code == 4
    assert booker.yunhui("rooms", "set", "room-50", "--enabled").code == 1


def test_free_times_stop_where_a_reservation_begins(stack: Stack) -> None:
    """And go on where it ends; as a table for people."""
    booker = stack.login("booker", "searcher")
    booker.reserve("2025-07-13 14:00", people=100)  # waits for support: holds nothing
    room = booker.reserve("2025-07-13 14:00", people=99).answer["reservation"]["room"]["roomId"]
    asked = ("free", "--start", "2025-07-13 13:00", "--end", "2025-07-13 16:00", "--people", "99")
    intervals = booker.yunhui(*asked).answer["intervals"]
    assert [(each["startTime"], each["endTime"]) for each in intervals if each["room"]["roomId"] == room] == [
        ("2025-07-13T05:00:00Z", "2025-07-13T06:00:00Z"),
        ("2025-07-13T07:00:00Z", "2025-07-13T08:00:00Z"),
    ]
    said = yunhui(*asked, "--lang", "zh-CN", "--state", str(stack.state), YUNHUI_TOKEN=booker.token)
    assert "北京时间" in said.out
    assert "13:00–14:00" in said.out
    backwards = ("free", "--start", "2025-07-13 13:00", "--end", "2025-07-13 13:00")
    assert booker.yunhui(*backwards).code == 2
    for language, sentence in (
        ("en", "end: must be later than start"),
        ("zh-CN", "结束时间：须晚于开始时间"),
    ):
        assert (
            sentence
            in yunhui(*backwards, "--lang", language, "--state", str(stack.state), YUNHUI_TOKEN=booker.token).err
        )
    assert booker.yunhui("free").answer["intervals"]


def test_changes_can_be_watched(stack: Stack) -> None:
    """One's own and nobody else's, as JSON lines; Ctrl-C is no failure."""
    booker, other = stack.login("booker", "watched"), stack.login("booker", "unwatched")
    command = [*COMMAND, "watch", "--json", "--lang", "en", "--state", str(stack.state)]
    environment = {**ENVIRONMENT, "YUNHUI_TOKEN": booker.token}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout
        assert watching.stderr
        assert "waiting" in watching.stderr.readline()
        other.reserve("2025-07-13 18:00")
        made = booker.reserve("2025-07-13 18:00").answer["reservation"]
        booker.yunhui("cancel", made["reservationId"])
        seen = [json.loads(watching.stdout.readline())["reservation"] for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        rest = watching.communicate(timeout=PATIENCE_SECONDS)
    assert seen[0] == made
    assert (seen[1]["reservationId"], seen[1]["state"]) == (made["reservationId"], "RESERVATION_STATE_CANCELLED")
    assert (watching.returncode, rest) == (0, ("", ""))


def test_support_sees_all_accounts(stack: Stack) -> None:
    """A booker sees only what is theirs, with or without asking."""
    stack.login("booker", "seen").reserve("2025-07-09 18:00")
    everything = stack.login("support").yunhui("mine", "--all-accounts").answer["reservations"]
    assert "seen" in {record["organizer"]["accountId"] for record in everything}
    other = stack.login("booker", "unseeing").yunhui("mine", "--all-accounts")
    assert other.answer.get("reservations", []) == []


def test_the_doctor_finds_nothing_wrong(stack: Stack) -> None:
    """Every check holds on a fresh installation."""
    said = stack.yunhui("doctor", "--json")
    assert said.code == 0, said.out
    rows = {each["check"]: each["detail"] for each in said.answer["checks"]}
    assert rows["portal"] == stack.run["portal"]
    assert rows["sign-in"].endswith(DEVELOPMENT_ISSUER)
    assert "KV_portal_sessions" in rows


def test_the_doctor_sees_pages_that_do_not_answer(stack: Stack) -> None:
    """Stopped, not ended: `up` would start it again."""
    for program, check in (("portal", "portal"), ("issuer", "sign-in")):
        os.kill(stack.pids[program], signal.SIGSTOP)
        try:
            said = stack.yunhui("doctor", "--json", "--lang", "en")
        finally:
            os.kill(stack.pids[program], signal.SIGCONT)
        wrong = {each["check"]: each["wayOut"] for each in said.answer["checks"] if not each["ok"]}
        assert set(wrong) == {check}
        assert f"{program}.log" in wrong[check]


def test_bus_setup_can_be_repeated(stack: Stack) -> None:
    """`up` has done it already: the admin step changes nothing where nothing differs, and says so."""
    done = stack.yunhui("bus", "setup", "--json").answer["streams_and_consumers"]
    assert {(each["name"], each["did"]) for each in done} >= {
        ("BOOKING", "unchanged"),
        ("BOOKING/notifier", "unchanged"),
    }
    assert {each["did"] for each in done} == {"unchanged"}
    assert "BOOKING：无需更改" in stack.yunhui("bus", "setup", "--lang", "zh-CN").out


def test_bus_setup_is_for_the_administrator(stack: Stack) -> None:
    """Anybody else is told who may; nothing hangs."""
    login = {"YUNHUI_NATS_USER": "booking", "YUNHUI_NATS_PASSWORD": stack.password("booking")}
    said = yunhui("bus", "setup", "--lang", "en", YUNHUI_NATS_URL=stack.run["nats"], **login)
    assert said.code == 5
    assert "the administrator (admin)" in said.err


def test_events_can_be_followed(stack: Stack) -> None:
    """As JSON lines, from the moment the command says that it waits."""
    command = [*COMMAND, "events", "tail", "--json", "--lang", "en", "--state", str(stack.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        assert tail.stdout
        assert tail.stderr
        assert "waiting" in tail.stderr.readline()
        stack.login("booker", "followed").reserve("2025-07-09 20:00")
        event = json.loads(tail.stdout.readline())
        tail.send_signal(signal.SIGINT)
    assert event["subject"] == "yunhui.booking.reservation.confirmed"
    assert event["data"]["reservation"]["organizer"]["accountId"] == "followed"
    assert tail.returncode == 0


def test_time_moves_forward_only(stack: Stack) -> None:
    """A minute does no harm to the other tests."""
    before = stack.yunhui("clock", "--json").answer["time"]
    after = stack.yunhui("clock", "advance", "1m", "--json").answer["time"]
    assert before < after
    assert stack.yunhui("clock", "set", "2025-07-01 08:00").code == 2


def test_support_answers_an_escalation_and_the_booker_is_told(stack: Stack) -> None:
    """Approving holds a room and mails an invitation; declining says why; a booker may do neither."""
    booker, support = stack.login("booker", "large"), stack.login("support")
    ids = [
        booker.reserve(start, people=120).answer["reservation"]["reservationId"]
        for start in ("2025-07-12 10:00", "2025-07-12 14:00")
    ]
    assert booker.yunhui("approve", ids[0]).code == 1
    approved = support.yunhui("approve", ids[0], "--note", "see you").answer["reservation"]
    assert (approved["state"], approved["room"]["roomId"]) == ("RESERVATION_STATE_CONFIRMED", "room-300")
    declined = support.yunhui("decline", ids[1], "--note", "not today").answer["reservation"]
    assert declined["state"] == "RESERVATION_STATE_DECLINED"
    assert support.yunhui("approve", ids[1]).code == 1

    def told() -> list[str]:
        mails = stack.yunhui("mail", "--json").answer["mails"]
        return [mail["subject"] for mail in mails if "large@example.org" in mail["to"]]

    wait_for(lambda: len(told()) >= 4)
    assert any("已预定" in subject or "reserved" in subject for subject in told())
    assert any("未获批准" in subject or "Not approved" in subject for subject in told())


def test_support_is_told_that_somebody_else_answers_a_request_of_their_own(stack: Stack) -> None:
    """In either language, and as data."""
    support = stack.login("support", "own-case")
    case = support.reserve("2025-07-12 16:00", people=120).answer["reservation"]["reservationId"]
    refused = support.yunhui("approve", case)
    assert refused.code == 1
    assert "SECOND_PERSON_NEEDED" in refused.out + refused.err
    for language, words in (("zh-CN", "须由另一位技术支持人员处理"), ("en", "somebody else of support has to decide")):
        said = yunhui("approve", case, "--lang", language, "--state", str(stack.state), YUNHUI_TOKEN=support.token)
        assert (said.code, words in said.err) == (1, True)
    assert support.yunhui("cancel", case).code == 0
