"""Who is inside, who waits, and how well they are connected: all of them, as the stand-in has them, or an error."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from services.meetings.people import Device, MeetingRole, PersonWaiting, Presence, Quality, Target
from services.meetings.provider import (
    AwayError,
    IncompleteError,
    NoSuchMeetingError,
    NotPermittedError,
    ProviderError,
    RateLimitedError,
    WrongStateError,
)
from services.meetings.tencent.limits import PerOne
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import CloudMeeting
from services.standin.request_checks import Request
from services.standin.server import Standin
from tests.meetings.builders import HOUR, PATIENT, HandClock, key, provider

NOW = int(time.time())
FAULTS = ["html", "html_as_success", "cut_off", "error:190310", "refusal_as_success", "empty", "close"]


@pytest.fixture
def tencent(patient: Tencent) -> Tencent:
    return patient


@pytest.fixture
def meeting(standin: Standin) -> CloudMeeting:
    standin.cloud.users |= {"li", "wang", "zhao"}
    return standin.cloud.create("li", NOW - 60, NOW + HOUR)


def crowd(standin: Standin, meeting: CloudMeeting, number: int) -> None:
    for each in range(number):
        standin.cloud.enter(meeting, f"user-{each}", at=NOW - 4000 + each)


async def test_who_is_inside_with_their_devices_and_states(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    host = standin.cloud.enter(meeting, "li", "李", at=NOW - 50)
    visit = standin.cloud.enter(meeting, "wang", "王", at=NOW - 40, instanceid=3)
    visit.microphone = visit.sharing = True
    guest = standin.cloud.enter(meeting, "", "客", at=NOW - 30, instanceid=8)
    meeting.cohosts.add(visit.ms_open_id)
    switched = {"microphone": False, "camera": False, "sharing": False}
    assert await tencent.inside(key(meeting.meeting_id)) == [
        Presence(Target(host.ms_open_id, "1"), "li", "李", Device.PC, MeetingRole.HOST, (NOW - 50) * 1000, **switched),
        Presence(
            Target(visit.ms_open_id, "3"),
            "wang",
            "王",
            Device.ANDROID,
            MeetingRole.CO_HOST,
            (NOW - 40) * 1000,
            True,
            False,
            True,
        ),
        Presence(
            Target(guest.ms_open_id, "8"),
            "",
            "客",
            Device.MINI_PROGRAM,
            MeetingRole.GUEST,
            (NOW - 30) * 1000,
            **switched,
        ),
    ]


async def test_somebody_is_there_once_for_each_device(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    for device in (1, 4):
        standin.cloud.enter(meeting, "wang", instanceid=device)
    first, second = await tencent.inside(key(meeting.meeting_id))
    assert first.target.person_id == second.target.person_id
    assert (first.target.terminal, second.target.terminal) == ("1", "4")


DEVICES = {0: Device.PHONE, 2: Device.MAC, 5: Device.WEB, 6: Device.TABLET, 7: Device.TABLET, 9: Device.CONNECTOR}
DEVICES |= {10: Device.LINUX, 20: Device.ROOMS, 33: Device.ROOMS, 99: Device.UNKNOWN}


@pytest.mark.parametrize("told", DEVICES)
async def test_what_somebody_takes_part_with(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, told: int
) -> None:
    standin.cloud.enter(meeting, "wang", instanceid=told)
    [found] = await tencent.inside(key(meeting.meeting_id))
    assert (found.device, found.target.terminal) == (DEVICES[told], str(told))


@pytest.mark.parametrize(
    ("told", "role"),
    list(enumerate(["MEMBER", "MEMBER", "HOST", "HOST", "GUEST", "HOST", "CO_HOST", "CO_HOST", "MEMBER"])),
)
async def test_what_somebody_is_there(standin: Standin, tencent: Tencent, told: int, role: str) -> None:
    """A creator who is not host is a member; of states that are not told nothing is known."""
    person = {"ms_open_id": "m", "join_time": "1", "user_role": told, "audio_state": None}
    standin.canned = {"meeting_id": "1", "total_count": 1, "total_page": 1, "participants": [person]}
    [found] = await tencent.inside(key("1"))
    assert (found.role, found.microphone, found.camera, found.sharing) == (MeetingRole(role), None, None, None)
    assert (found.device, found.target) == (Device.UNKNOWN, Target("m", ""))


async def test_a_name_that_is_no_utf8_costs_no_answer(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    """It is shown as it came."""
    standin.cloud.enter(meeting, "li")
    odd = standin.cloud.enter(meeting, "wang")
    odd.raw_name = "王".encode("gb18030")
    standin.cloud.wait(meeting, "zhao").raw_name = b"\xff\xfe"
    assert [each.display_name for each in await tencent.inside(key(meeting.meeting_id))] == ["li", "zfU="]
    assert [each.display_name for each in await tencent.waiting(key(meeting.meeting_id), "li")] == ["//4="]


async def test_an_occurrence_has_its_own_people(standin: Standin, tencent: Tencent) -> None:
    made = standin.cloud.create("li", NOW, NOW + HOUR, times=2)
    one, other = (each.sub_meeting_id for each in made.subs)
    standin.cloud.enter(made, "li", sub=one)
    assert len(await tencent.inside(key(made.meeting_id, one))) == 1
    assert await tencent.inside(key(made.meeting_id, other)) == []
    with pytest.raises(ProviderError):
        await tencent.inside(key(made.meeting_id))


async def test_nobody_is_inside_what_does_not_run(tencent: Tencent, meeting: CloudMeeting) -> None:
    """Nor waits; but of the quality there is no answer."""
    assert await tencent.inside(key(meeting.meeting_id)) == []
    assert await tencent.waiting(key(meeting.meeting_id), "li") == []
    with pytest.raises(WrongStateError):
        await tencent.quality(key(meeting.meeting_id))


async def test_what_is_no_meeting_has_nobody(standin: Standin, tencent: Tencent) -> None:
    standin.cloud.users.add("li")
    for wrong in ("77", "../users"):
        for ask in asks(tencent, wrong):
            with pytest.raises(NoSuchMeetingError):
                await ask()


def asks(tencent: Tencent, meeting_id: str) -> list[Callable[[], Any]]:
    at = key(meeting_id)
    return [lambda: tencent.inside(at), lambda: tencent.waiting(at, "li"), lambda: tencent.quality(at)]


async def test_who_waits_is_told_to_the_creator_alone(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    """Since when is not told."""
    standin.cloud.enter(meeting, "li")
    waiting = standin.cloud.wait(meeting, "wang", name="王", instanceid=4)
    at = key(meeting.meeting_id)
    assert await tencent.waiting(at, "li") == [PersonWaiting(Target(waiting.ms_open_id, "4"), "wang", "王", 0)]
    for other in ("", "zhao", "who-left-the-organization"):
        with pytest.raises(NotPermittedError):
            await tencent.waiting(at, other)


async def test_how_well_everybody_is_connected(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    """Figures come as text; whose they are is found out by who is inside."""
    visit = standin.cloud.enter(meeting, "wang", "王", instanceid=2)
    visit.network |= {"network_delay": "210", "upstream_packet_loss": "3.5", "downstream_packet_loss": ""}
    at, target = key(meeting.meeting_id), Target(visit.ms_open_id, "2")
    assert await tencent.quality(at) == [Quality(target, "wang", "王", 210.0, 3.5, None)]
    asked = len(standin.requests)
    await tencent.quality(at)
    assert len(standin.requests) == asked + 1


@pytest.mark.parametrize("figure", ["", "-", "-1", "nan", "inf", "fast"])
async def test_what_is_no_figure_is_not_told(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, figure: str
) -> None:
    standin.cloud.enter(meeting, "wang").network["network_delay"] = figure
    [found] = await tencent.quality(key(meeting.meeting_id))
    assert (found.delay, found.upstream_loss) == (None, 0.0)


async def test_whose_quality_it_is_may_not_be_known(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    """That costs no answer."""
    standin.cloud.enter(meeting, "wang", "王")
    answer = standin.rest.answer

    def away(request: Request) -> dict[str, Any]:
        if "real-time" in request.target:
            raise ValueError("away")
        return answer(request)

    standin.rest.answer = away  # type: ignore[method-assign]
    [found] = await tencent.quality(key(meeting.meeting_id))
    assert (found.account, found.display_name) == ("", "王")


async def test_quality_is_asked_for_at_most_thirty_times_a_minute(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    """About one meeting; about another it goes on. The other side is never asked too often."""
    another = standin.cloud.create("li", NOW, NOW + HOUR)
    for each in (meeting, another):
        standin.cloud.enter(each, "li")
    for _ in range(30):
        await tencent.quality(key(meeting.meeting_id))
    with pytest.raises(RateLimitedError):
        await tencent.quality(key(meeting.meeting_id))
    assert len(await tencent.quality(key(another.meeting_id))) == 1
    assert standin.refusals == []


async def test_a_replica_takes_its_share_of_that(standin: Standin, meeting: CloudMeeting) -> None:
    standin.cloud.enter(meeting, "li")
    provides, client = provider(standin.address, calls_a_minute=30)
    for _ in range(3):
        await provides.quality(key(meeting.meeting_id))
    with pytest.raises(RateLimitedError):
        await provides.quality(key(meeting.meeting_id))
    await client.close()


async def test_the_stand_in_has_that_limit_too(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    standin.cloud.enter(meeting, "li")
    standin.checker.of_quality_a_minute = 1
    await tencent.quality(key(meeting.meeting_id))
    with pytest.raises(RateLimitedError):
        await tencent.quality(key(meeting.meeting_id))
    assert standin.refusals == [500046]


def test_no_minute_holds_more_calls_about_a_meeting_than_its_limit() -> None:
    """Whenever it begins; the thirty-first is told when to come again."""
    clock = HandClock()
    calls = PerOne(30, clock.seconds())
    for _ in range(30):
        clock.time += 1000
        calls.take("1")
    clock.time += 30_999
    with pytest.raises(RateLimitedError) as caught:
        calls.take("1")
    assert caught.value.retry_seconds == 1
    calls.take("2")
    clock.time += 1
    calls.take("1")
    with pytest.raises(RateLimitedError):
        calls.take("1")


async def test_of_a_meeting_of_three_thousand_everybody_is_known(standin: Standin, meeting: CloudMeeting) -> None:
    """Sixty pages of who is inside, thirty of the quality: as many calls as a minute has."""
    crowd(standin, meeting, 3000)
    provides, client = provider(standin.address, timing=PATIENT)
    standin.checker.a_minute = 300
    found = await provides.inside(key(meeting.meeting_id))
    assert [each.account for each in found] == [f"user-{each}" for each in range(3000)]
    assert len(standin.requests) == 60
    assert {each.account for each in await provides.quality(key(meeting.meeting_id))} == {
        f"user-{each}" for each in range(3000)
    }
    assert len(standin.requests) == 90
    await client.close()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("what", ["inside", "waiting", "quality"])
async def test_a_fault_in_any_page_is_never_a_shorter_list(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, what: str, page: int, fault: str
) -> None:
    """As often as it is asked again."""
    crowd(standin, meeting, 240)
    for each in range(120):
        standin.cloud.wait(meeting, f"waiting-{each}")
    standin.faults.extend([""] * (page - 1) + [fault] * 3)
    ask = dict(zip(("inside", "waiting", "quality"), asks(tencent, meeting.meeting_id), strict=True))
    with pytest.raises(AwayError):
        await ask[what]()


@pytest.mark.parametrize("fault", ["html", "close", "refusal_as_success"])
async def test_a_page_that_comes_the_second_time_is_read(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, fault: str
) -> None:
    crowd(standin, meeting, 120)
    standin.faults.extend(["", fault, "", fault, fault])
    assert len(await tencent.inside(key(meeting.meeting_id))) == 120


def changing(standin: Standin, changes: list[Callable[[], Any]]) -> None:
    """Before each page but the first one of them happens, as long as there are any."""
    answer = standin.rest.answer
    asked = iter([None, *changes])

    def change(request: Request) -> dict[str, Any]:
        now = next(asked, None)
        if now:
            now()
        return answer(request)

    standin.rest.answer = change  # type: ignore[method-assign]


async def test_a_list_that_changes_between_its_pages_loses_nobody(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    """Somebody of the first page leaves: whoever was the first of the second page is on the first one now."""
    crowd(standin, meeting, 120)
    changing(standin, [lambda: standin.cloud.leave(meeting, meeting.visits[0])])
    found = {each.account for each in await tencent.inside(key(meeting.meeting_id))}
    assert found == {f"user-{each}" for each in range(1, 120)}


async def test_who_comes_meanwhile_is_there_too(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    crowd(standin, meeting, 120)
    changing(standin, [lambda: standin.cloud.enter(meeting, "late")])
    assert len(await tencent.inside(key(meeting.meeting_id))) == 121


async def test_one_who_moves_to_another_page_is_not_there_twice(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    """One of the first page leaves and comes back as the last: as many as before, but not the same on each page."""
    crowd(standin, meeting, 120)
    changing(standin, [lambda: meeting.visits.append(meeting.visits.pop(0))])
    found = [each.account for each in await tencent.inside(key(meeting.meeting_id))]
    assert sorted(found) == sorted(f"user-{each}" for each in range(120))


async def test_a_list_that_never_stands_still_is_no_list(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    crowd(standin, meeting, 120)
    leavers: list[Callable[[], Any]] = [partial(standin.cloud.leave, meeting, visit) for visit in meeting.visits[:20]]
    changing(standin, leavers)
    with pytest.raises(IncompleteError):
        await tencent.inside(key(meeting.meeting_id))


PERSON = {"ms_open_id": "m", "join_time": "1"}
CONTRADICTIONS: list[dict[str, Any]] = [
    {"meeting_id": "2", "total_count": 1, "total_page": 1, "participants": [PERSON]},
    {"total_count": 3, "total_page": 1, "participants": []},
    {"total_count": 3, "total_page": 1, "participants": [PERSON]},
    {"total_count": 1, "total_page": 1, "participants": [PERSON, {**PERSON, "ms_open_id": "n"}]},
    {"total_count": 2, "total_page": 1, "participants": [PERSON, PERSON]},
    {"total_count": 1, "total_page": 2, "participants": [PERSON]},
    {"total_count": 1, "total_page": 1, "current_page": 7, "participants": [PERSON]},
    {"total_count": 1, "total_page": 1, "participants": [{"ms_open_id": "m"}]},
    {"total_count": 1, "total_page": 1000, "participants": [PERSON]},
    {"participants": []},
]


@pytest.mark.parametrize("content", CONTRADICTIONS)
async def test_an_answer_that_contradicts_itself_is_not_nobody(
    standin: Standin, tencent: Tencent, content: dict[str, Any]
) -> None:
    standin.canned = {"meeting_id": "1", **content}
    with pytest.raises((IncompleteError, AwayError)):
        await tencent.inside(key("1"))


async def test_of_who_came_as_many_as_are_counted(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    """Where nothing is left out by time."""
    standin.canned = {"meeting_id": meeting.meeting_id, "total_count": 2, "participants": [PERSON]}
    with pytest.raises(IncompleteError):
        await tencent.participants(key(meeting.meeting_id), None)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("page", [1, 2, 3])
async def test_nor_are_those_who_came_ever_fewer(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, page: int, fault: str
) -> None:
    crowd(standin, meeting, 240)
    standin.faults.extend([""] * (page - 1) + [fault] * 3)
    with pytest.raises(AwayError):
        await tencent.participants(key(meeting.meeting_id), None)
