"""The organization's meetings from the stand-in's three lists: all of them, in our units, or an error."""

import asyncio
import time
from typing import Any

import pytest

from services.meetings.provider import (
    AwayError,
    IncompleteError,
    Kind,
    ListedMeeting,
    MeetingKey,
    NotPermittedError,
    Phase,
    RateLimitedError,
)
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import CloudMeeting
from services.standin.request_checks import RequestChecker
from services.standin.server import Standin
from services.standin.users import CloudUser
from tests.meetings.builders import HOUR, provider

NOW = int(time.time())
FAULTS = ["html", "html_as_success", "cut_off", "error:190310", "refusal_as_success", "empty", "close", "hang"]


async def listed(tencent: Tencent, phase: Phase, since: int | None = None, until: int | None = None) -> Any:
    """Every page of it."""
    found: list[ListedMeeting] = []
    page = 1
    while page:
        answer = await tencent.meetings(phase, since, until, page)
        found += answer.meetings
        page = answer.next_page
    return found


def running(standin: Standin, number: int = 1) -> list[CloudMeeting]:
    made = [standin.cloud.create("li", NOW - 60 + each, NOW + HOUR) for each in range(number)]
    for meeting in made:
        standin.cloud.enter(meeting, "li")
    return made


async def test_a_running_meeting_is_told_with_who_made_it_and_how_many_are_inside(
    standin: Standin, tencent: Tencent
) -> None:
    """Its times are planned, and come in seconds. Names are plain in this list."""
    standin.cloud.add_user(CloudUser("li", "李 Li"))
    [made] = running(standin)
    standin.cloud.enter(made, "", "guest")
    [found] = await listed(tencent, Phase.RUNNING)
    assert found == ListedMeeting(
        key=MeetingKey("tencent", made.meeting_id),
        phase=Phase.RUNNING,
        meeting_code=made.code,
        subject="组会",
        creator="li",
        creator_name="李 Li",
        kind=Kind.SINGLE,
        start_time=made.start * 1000,
        end_time=made.end * 1000,
        people=2,
    )


async def test_what_has_ended_is_listed_once_for_each_time_that_people_were_in(
    standin: Standin, tencent: Tencent
) -> None:
    """Its times are what was, and come in milliseconds. What runs again has ended before all the same."""
    made = standin.cloud.create("li", NOW - 4 * HOUR, NOW + HOUR)
    for start, end in [(NOW - 4 * HOUR, NOW - 3 * HOUR), (NOW - 2 * HOUR, NOW - HOUR)]:
        standin.cloud.leave(made, standin.cloud.enter(made, "wang", at=start), at=end)
    standin.cloud.enter(made, "li")
    found = await listed(tencent, Phase.ENDED)
    assert [(each.start_time, each.end_time, each.people) for each in found] == [
        ((NOW - 2 * HOUR) * 1000, (NOW - HOUR) * 1000, 1),
        ((NOW - 4 * HOUR) * 1000, (NOW - 3 * HOUR) * 1000, 1),
    ]
    assert len(await listed(tencent, Phase.RUNNING)) == 1


async def test_visits_that_overlap_are_one_time(standin: Standin, tencent: Tencent) -> None:
    made = standin.cloud.create("li", NOW - 4 * HOUR, NOW)
    for who, start, end in [("li", 400, 200), ("wang", 300, 100), ("li", 150, 50), ("zhao", 40, 10)]:
        standin.cloud.leave(made, standin.cloud.enter(made, who, at=NOW - start), at=NOW - end)
    found = await listed(tencent, Phase.ENDED)
    assert [(each.start_time, each.end_time, each.people) for each in found] == [
        ((NOW - 40) * 1000, (NOW - 10) * 1000, 1),
        ((NOW - 400) * 1000, (NOW - 50) * 1000, 2),
    ]


async def test_each_occurrence_is_a_row_of_its_own(standin: Standin, tencent: Tencent) -> None:
    made = standin.cloud.create("li", NOW - 60, NOW + HOUR, times=3)
    standin.cloud.enter(made, "li", sub=made.subs[0].sub_meeting_id)
    [now] = await listed(tencent, Phase.RUNNING)
    coming = await listed(tencent, Phase.COMING)
    assert (now.kind, now.key.sub_meeting_id) == (Kind.RECURRING, made.subs[0].sub_meeting_id)
    assert [each.key.sub_meeting_id for each in coming] == [each.sub_meeting_id for each in made.subs[1:]]
    assert [each.start_time for each in coming] == [each.start * 1000 for each in made.subs[1:]]
    assert {each.people for each in coming} == {None}


@pytest.mark.parametrize(
    ("told", "kind"), [(0, Kind.SINGLE), (6, Kind.WEBINAR), (5, Kind.PERSONAL_ROOM), (4, Kind.UNKNOWN)]
)
async def test_how_it_came_about(standin: Standin, tencent: Tencent, told: int, kind: Kind) -> None:
    running(standin)[0].kind = told
    assert [each.kind for each in await listed(tencent, Phase.RUNNING)] == [kind]


async def test_of_a_row_that_says_little_little_is_known(standin: Standin, tencent: Tencent) -> None:
    """Made by a meeting room's device, of a type that is not told, by somebody who is no account of ours."""
    row = {"meeting_id": "1", "userid": "room", "userid_type": 3, "start_time": None, "new_field": {}}
    standin.canned = {"total_count": 1, "total_page": 1, "meeting_info_list": [row]}
    [found] = await listed(tencent, Phase.RUNNING)
    assert (found.creator, found.kind, found.start_time, found.people) == ("", Kind.UNKNOWN, 0, None)


async def test_those_that_touch_the_window_are_there(standin: Standin, tencent: Tencent) -> None:
    """The list goes by the beginning: one that began before and lasts is there, one that begins after is not."""
    for start, end in [(NOW - 2 * HOUR, NOW + HOUR), (NOW, NOW + HOUR), (NOW + 2 * HOUR, NOW + 3 * HOUR)]:
        standin.cloud.enter(standin.cloud.create("li", start, end), "li")
    found = await listed(tencent, Phase.RUNNING, NOW * 1000, (NOW + HOUR) * 1000)
    assert [each.start_time for each in found] == [(NOW - 2 * HOUR) * 1000, NOW * 1000]


@pytest.mark.parametrize("number", [0, 1, 49, 50, 51, 100, 101])
async def test_all_pages_are_read(standin: Standin, tencent: Tencent, number: int) -> None:
    made = running(standin, number)
    found = await listed(tencent, Phase.RUNNING)
    assert [each.key.meeting_id for each in found] == [each.meeting_id for each in made]
    assert (await tencent.meetings(Phase.RUNNING, None, None, 1)).total == number


async def test_a_page_after_the_last_is_empty(standin: Standin, tencent: Tencent) -> None:
    """The list may have become shorter: its total tells."""
    running(standin, 3)
    after = await tencent.meetings(Phase.RUNNING, None, None, 2)
    assert (after.meetings, after.next_page, after.total) == ((), 0, 3)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_fault_in_any_page_is_never_a_shorter_list(
    standin: Standin, tencent: Tencent, page: int, fault: str
) -> None:
    """As often as it is asked again."""
    running(standin, 120)
    for each in range(1, page):
        await tencent.meetings(Phase.RUNNING, None, None, each)
    standin.faults.extend([fault] * 3)
    with pytest.raises(AwayError):
        await tencent.meetings(Phase.RUNNING, None, None, page)


CONTRADICTIONS: list[dict[str, Any]] = [
    {"total_count": 3, "total_page": 1, "meeting_info_list": []},
    {"total_count": 3, "total_page": 1, "meeting_info_list": [{"meeting_id": "1"}]},
    {"total_count": 0, "total_page": 0, "meeting_info_list": [{"meeting_id": "1"}]},
    {"total_count": 99, "total_page": 2, "meeting_info_list": [{"meeting_id": str(each)} for each in range(1, 50)]},
    {"total_count": 1, "total_page": 1, "current_page": 2, "meeting_info_list": [{"meeting_id": "1"}]},
    {"total_count": 1, "meeting_info_list": []},
    {"meeting_info_list": []},
    {"total_count": -1},
    {"total_count": 1, "total_page": 1, "meeting_info_list": [{"subject": "?"}]},
]


@pytest.mark.parametrize("content", CONTRADICTIONS)
async def test_an_answer_that_contradicts_itself_is_no_list(
    standin: Standin, tencent: Tencent, content: dict[str, Any]
) -> None:
    standin.canned = content
    with pytest.raises((IncompleteError, AwayError)):
        await tencent.meetings(Phase.RUNNING, None, None, 1)


async def test_pages_may_come_smaller_than_they_were_asked_for(standin: Standin, tencent: Tencent) -> None:
    """Nothing says how many rows the other side allows: what counts is what it says of the whole."""
    rows = [{"meeting_id": str(each)} for each in range(1, 21)]
    standin.canned = {"total_count": 45, "total_page": 3, "current_page": 1, "meeting_info_list": rows}
    page = await tencent.meetings(Phase.RUNNING, None, None, 1)
    assert (len(page.meetings), page.next_page, page.total) == (20, 2, 45)


async def test_the_lists_are_for_the_administrator(standin: Standin, tencent: Tencent) -> None:
    running(standin)
    standin.cloud.admin = "another"
    with pytest.raises(NotPermittedError):
        await tencent.meetings(Phase.RUNNING, None, None, 1)


async def test_the_lists_have_a_limit_of_their_own(standin: Standin, tencent: Tencent) -> None:
    """Once it is reached none of this kind is asked for a minute; other calls go on."""
    [made] = running(standin)
    standin.checker = RequestChecker(of_account_a_minute=1)
    await tencent.meetings(Phase.RUNNING, None, None, 1)
    for _ in range(2):
        with pytest.raises(RateLimitedError):
            await tencent.meetings(Phase.RUNNING, None, None, 1)
    assert standin.refusals == [190313]
    assert (await tencent.users("")).users
    assert (await tencent.get(made.meeting_id, None)).meeting_id == made.meeting_id


async def test_our_own_restraint_keeps_the_lists_below_their_limit(standin: Standin) -> None:
    """A third of all calls a minute, for each kind: the sixth at once waits longer than a call may take."""
    running(standin)
    provides, client = provider(standin.address, calls_a_minute=30)
    asked = (provides.meetings(Phase.RUNNING, None, None, 1) for _ in range(11))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert any(isinstance(each, RateLimitedError) for each in answers)
    assert 5 <= len(standin.requests) <= 10
    assert standin.refusals == []
    await client.close()
