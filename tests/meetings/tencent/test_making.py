"""Meetings that are made at Tencent, against the stand-in: as whoever's they are, never twice, and refused truly."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.meetings.plans import MeetingOptions, MeetingPlan
from services.meetings.provider import (
    AwayError,
    CancelledError,
    IncompleteError,
    MeetingKey,
    MisconfiguredError,
    NoSuchMeetingError,
    NoSuchPersonError,
    NotAskedError,
    NotPermittedError,
    ProviderError,
    RateLimitedError,
    WrongStateError,
)
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import CloudMeeting
from services.standin.server import Standin
from tests.meetings.builders import HOUR, PATIENT, key, provider

NOW = int(time.time())
PLAN = MeetingPlan("组会 a+b/c", (NOW + HOUR) * 1000, (NOW + 2 * HOUR) * 1000)
ALL = MeetingOptions(
    time_zone="Europe/Berlin",
    invitees=("zhao", "nobody"),
    hosts=("wang", "li"),
    password="907531",
    waiting_room=True,
    enter_before_host=True,
    organization_only=True,
    watermark=True,
    mute_on_entry=True,
)


@pytest.fixture
async def tencent(standin: Standin) -> AsyncIterator[Tencent]:
    """Its userids are not our accounts."""
    standin.cloud.users |= {f"{each}@a" for each in ("li", "wang", "zhao")}
    made, client = provider(standin.address, timing=PATIENT, pattern="{account}@a")
    yield made
    await client.close()


def sent(standin: Standin, method: str = "POST") -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in standin.requests if each.method == method]


def only(standin: Standin) -> CloudMeeting:
    [meeting] = standin.cloud.meetings.values()
    return meeting


async def test_all_that_is_wanted_is_asked_for(tencent: Tencent, standin: Standin) -> None:
    made = await tencent.make(MeetingPlan(PLAN.subject, PLAN.start_time, PLAN.end_time, ALL), "li", "m-1")
    [body] = sent(standin)
    assert body == {
        "userid": "li@a",
        "instanceid": 1,
        "subject": PLAN.subject,
        "type": 0,
        "meeting_type": 0,
        "start_time": str(NOW + HOUR),
        "end_time": str(NOW + 2 * HOUR),
        "time_zone": "Europe/Berlin",
        "hosts": [{"userid": "li@a"}, {"userid": "wang@a"}],
        "invitees": [{"userid": "zhao@a"}, {"userid": "nobody@a"}],
        "password": "907531",
        "settings": {
            "mute_enable_type_join": 1,
            "allow_in_before_host": True,
            "auto_in_waiting_room": True,
            "allow_screen_shared_watermark": True,
            "only_user_join_type": 3,
        },
    }
    meeting, there = made.meeting, only(standin)
    assert (meeting.meeting_id, meeting.meeting_code) == (there.meeting_id, there.code)
    assert (meeting.creator, meeting.hosts) == ("li", ("li", "wang"))
    assert made.join_url == f"https://meeting.tencent.com/dm/{there.meeting_id}"


async def test_nothing_is_left_to_what_is_usual_there(tencent: Tencent, standin: Standin) -> None:
    """There, people are muted when they are more than six, and enter before the host."""
    await tencent.make(PLAN, "li", "m-1")
    [body] = sent(standin)
    assert not {"hosts", "invitees", "password"} & body.keys()
    assert body["time_zone"] == "Asia/Shanghai"
    assert body["settings"] == {
        "mute_enable_type_join": 0,
        "allow_in_before_host": False,
        "auto_in_waiting_room": False,
        "allow_screen_shared_watermark": False,
        "only_user_join_type": 1,
    }


async def test_its_password_is_in_no_words(tencent: Tencent, caplog: pytest.LogCaptureFixture) -> None:
    plan = MeetingPlan(PLAN.subject, PLAN.start_time, PLAN.end_time, ALL)
    made = await tencent.make(plan, "li", "m-1")
    assert "907531" not in f"{plan!r} {made!r} {caplog.text}"


CODES: list[tuple[int, type[ProviderError]]] = [
    (9042, NotPermittedError),
    (500014, NotPermittedError),
    (190001, NoSuchPersonError),
    (190004, ProviderError),
    (9093, ProviderError),
    (9098, ProviderError),
    (500168, ProviderError),
    (500029, RateLimitedError),
    (9008, RateLimitedError),
    (190310, RateLimitedError),
    (190311, RateLimitedError),
    (190303, MisconfiguredError),
    (200003, MisconfiguredError),
    (960000, AwayError),
    (12345, AwayError),
]


@pytest.mark.parametrize(("code", "kind"), CODES)
async def test_each_refusal_is_what_it_is(
    tencent: Tencent, standin: Standin, code: int, kind: type[ProviderError]
) -> None:
    """And it is asked once."""
    standin.faults.append(f"error:{code}")
    with pytest.raises(ProviderError) as caught:
        await tencent.make(PLAN, "li", "m-1")
    assert type(caught.value) is kind
    assert len(standin.requests) == 1


MISBEHAVIOUR = ["lost", "hang", "drip", "html", "html_as_success", "empty", "redirect", "cut_off", "close", "huge"]


@pytest.mark.parametrize("fault", MISBEHAVIOUR)
async def test_what_has_no_answer_is_not_asked_again(standin: Standin, fault: str) -> None:
    """Nobody knows whether it was done."""
    standin.cloud.users.add("li")
    made, client = provider(standin.address)
    standin.broken = fault
    with pytest.raises(AwayError) as caught:
        await made.make(PLAN, "li", "m-1")
    assert type(caught.value) is AwayError
    assert len(standin.requests) == 1
    asks = [made.reschedule(key("1"), "li", PLAN.start_time, PLAN.end_time), made.call_off(key("1"), "li")]
    for ask in asks:
        standin.requests.clear()
        if fault == "empty":
            await ask  # that is what it answers when it was done
            continue
        with pytest.raises(AwayError) as caught:
            await ask
        assert type(caught.value) is AwayError
        assert len(standin.requests) == 1
    await client.close()


async def test_what_never_got_there_was_not_done(standin: Standin) -> None:
    standin.stop()
    made, client = provider(standin.address)
    with pytest.raises(NotAskedError):
        await made.make(PLAN, "li", "m-1")
    await client.close()


async def test_one_person_makes_so_many_a_minute(standin: Standin) -> None:
    """Others may go on; nothing is sent of what is too much."""
    standin.cloud.users |= {"li", "wang"}
    made, client = provider(standin.address, timing=PATIENT)
    for _ in range(30):
        await made.make(PLAN, "li", "m")
    with pytest.raises(RateLimitedError):
        await made.make(PLAN, "li", "m")
    await made.make(PLAN, "wang", "m")
    assert len(standin.requests) == 31
    await client.close()


async def test_what_may_have_been_made_is_found_among_all(tencent: Tencent, standin: Standin) -> None:
    """Of several pages, at the same time; only what is theirs and the same in all."""
    cloud, start, end = standin.cloud, NOW + HOUR, NOW + 2 * HOUR
    same = [cloud.create("li@a", start, end, subject=PLAN.subject) for _ in range(2)]
    for number in range(50):
        cloud.create("li@a", start, end, subject=f"another {number}")
    cloud.create("li@a", start, end, subject=f"{PLAN.subject} ")
    cloud.create("li@a", start + 1, end, subject=PLAN.subject)
    cloud.create("li@a", start, end + 1, subject=PLAN.subject)
    cloud.create("li@a", start, end, subject=PLAN.subject, times=2).kind = 1
    hosted = cloud.create("wang@a", start, end, subject=PLAN.subject)
    hosted.hosts = ["li@a"]
    cloud.cancel(cloud.create("li@a", start, end, subject=PLAN.subject))
    found = await tencent.find_made(PLAN, "li", "m-1")
    assert sorted(each.meeting.meeting_id for each in found) == sorted(each.meeting_id for each in same)
    assert {each.meeting.creator for each in found} == {"li"}
    assert found[0].join_url.startswith("https://meeting.tencent.com/")
    assert len(standin.requests) == 3


async def test_who_is_unknown_has_made_none(tencent: Tencent) -> None:
    with pytest.raises(NoSuchMeetingError):
        await tencent.find_made(PLAN, "nobody", "m-1")


@pytest.mark.parametrize("page", [0, 1, 2])
@pytest.mark.parametrize("fault", ["html_as_success", "empty", "cut_off", "error:190310"])
async def test_a_shortened_list_is_never_taken_for_all(
    tencent: Tencent, standin: Standin, page: int, fault: str
) -> None:
    """Each page in turn. What is only read is asked again, but for what is said to be too much."""
    for _ in range(45):
        standin.cloud.create("li@a", NOW + HOUR, NOW + 2 * HOUR, subject=PLAN.subject)
    standin.faults.extend(["", "", ""][:page] + [fault] * 3)
    with pytest.raises(AwayError):
        await tencent.find_made(PLAN, "li", "m-1")


async def test_a_list_that_leads_nowhere_is_incomplete(tencent: Tencent, standin: Standin) -> None:
    one = {"meeting_id": "1", "subject": "x"}
    standin.canned = {"meeting_number": 1, "remaining": 1, "meeting_info_list": [one], "next_pos": 7, "next_cursory": 7}
    with pytest.raises(IncompleteError):
        await tencent.find_made(PLAN, "li", "m-1")
    assert len(standin.requests) == 2
    standin.canned = {"meeting_number": 0, "remaining": 1, "meeting_info_list": []}
    with pytest.raises(IncompleteError):
        await tencent.find_made(PLAN, "li", "m-1")


async def test_it_is_moved_and_called_off_as_its_creator(tencent: Tencent, standin: Standin) -> None:
    made = await tencent.make(PLAN, "li", "m-1")
    there = MeetingKey("tencent", made.meeting.meeting_id)
    for _ in range(2):  # both may be asked again
        await tencent.reschedule(there, "li", PLAN.start_time + 1000, PLAN.end_time + 2000)
    assert (only(standin).start, only(standin).end) == (NOW + HOUR + 1, NOW + 2 * HOUR + 2)
    await tencent.call_off(there, "li")
    assert only(standin).cancelled
    with pytest.raises(CancelledError):
        await tencent.call_off(there, "li")
    assert {each["userid"] for each in [*sent(standin), *sent(standin, "PUT")]} == {"li@a"}


async def test_neither_is_done_in_the_wrong_state(tencent: Tencent, standin: Standin) -> None:
    """What is over takes place no more."""
    await tencent.make(PLAN, "li", "m-1")
    there = only(standin)
    visit = standin.cloud.enter(there, "li@a")
    one = key(there.meeting_id)
    for ask in (tencent.reschedule(one, "li", PLAN.start_time, PLAN.end_time), tencent.call_off(one, "li")):
        with pytest.raises(WrongStateError):
            await ask
    standin.cloud.leave(there, visit)
    there.start, there.end = NOW - 2 * HOUR, NOW - HOUR
    with pytest.raises(WrongStateError):
        await tencent.reschedule(one, "li", PLAN.start_time, PLAN.end_time)
    await tencent.call_off(one, "li")
    assert not there.cancelled


async def test_only_whose_it_is_may(tencent: Tencent, standin: Standin) -> None:
    await tencent.make(PLAN, "li", "m-1")
    one = key(only(standin).meeting_id)
    for who in ("wang", "nobody"):
        for ask in (tencent.reschedule(one, who, PLAN.start_time, PLAN.end_time), tencent.call_off(one, who)):
            with pytest.raises(NotPermittedError):
                await ask
    for absent in ("123", "../1"):
        with pytest.raises(NoSuchMeetingError):
            await tencent.call_off(key(absent), "li")
