"""Acts in a running meeting against the stand-in: done once, on behalf of who may, and refused truly."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from services.meetings.people import Target
from services.meetings.provider import (
    AwayError,
    MisconfiguredError,
    NoSuchMeetingError,
    NoSuchPersonError,
    NotPermittedError,
    ProviderError,
    RateLimitedError,
    UnsupportedError,
    WrongStateError,
)
from services.meetings.steering import (
    Act,
    Admit,
    ChangeSettings,
    End,
    Invite,
    Mute,
    PutInWaitingRoom,
    Remove,
    Rename,
    SetCoHost,
    StopSharing,
    StopVideo,
    TurnAway,
)
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import CloudMeeting, CloudVisit, CloudWaiting
from services.standin.server import Standin
from tests.meetings.builders import HOUR, PATIENT, key, provider
from tests.meetings.tencent.steered import acts, target

NOW = int(time.time())
ROOMS = 20


@pytest.fixture
def tencent(patient: Tencent) -> Tencent:
    return patient


ONES: list[Callable[[Target], Act]] = [
    lambda one: Mute(one, muted=True),
    lambda one: SetCoHost(one, co_host=True),
    lambda one: Remove((one,), may_return=False),
    lambda one: PutInWaitingRoom((one,)),
    lambda one: Rename(one, "name"),
    StopVideo,
    StopSharing,
]
WAITING: list[Callable[[Target], Act]] = [lambda one: Admit((one,)), lambda one: TurnAway((one,), may_return=False)]


async def test_the_administrator_may_not_but_the_creator_may(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    """As is documented; where nobody knows who made it, only the administrator can be tried."""
    at = key(meeting.meeting_id)
    with pytest.raises(NotPermittedError):
        await tencent.do(at, ChangeSettings(locked=True), "")
    assert (acts(standin), meeting.settings) == ([("status", "admin", 1)], {})
    await tencent.do(at, ChangeSettings(locked=True), "li")
    assert (acts(standin)[1:], meeting.settings) == ([("status", "li", 1)], {"meeting_locked": True})


@pytest.mark.parametrize("code", [9042, 500014, 190004, 190001, 9101, 190442])
async def test_who_is_refused_is_followed_by_the_next(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, code: int
) -> None:
    """The creator by account, the creator by the id in this meeting, the administrator, each of them once."""
    looks = [""] if code == 190004 else []  # at who is inside: perhaps nobody is
    standin.faults.extend([f"error:{code}", *looks, "", f"error:{code}", *looks])
    with pytest.raises(ProviderError) as caught:
        await tencent.do(key(meeting.meeting_id), ChangeSettings(locked=True), "li")
    person_id = meeting.person_id("li")
    assert acts(standin) == [("status", "li", 1), ("status", person_id, 4), ("status", "admin", 1)]
    assert isinstance(caught.value, NotPermittedError)
    assert meeting.settings == {}


async def test_the_creator_is_taken_by_the_id_in_the_meeting_where_the_account_is_not(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit
) -> None:
    """As the vendor's library says of most verbs."""
    standin.rest.control.kinds = {"4"}
    await tencent.do(key(meeting.meeting_id), Mute(target(wang), muted=True), "li")
    assert not wang.microphone
    assert acts(standin) == [("mutes", "li", 1), ("mutes", meeting.person_id("li"), 4)]


async def test_without_an_id_in_the_meeting_the_administrator_is_next(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    standin.faults.extend(["error:9042", "error:9042"])
    standin.cloud.admin = "li"
    meeting.hosts = ["admin"]
    await tencent.do(key(meeting.meeting_id), ChangeSettings(locked=True), "li")
    assert acts(standin) == [("status", "li", 1), ("status", "admin", 1)]
    assert meeting.settings == {"meeting_locked": True}


async def test_one_who_is_both_is_asked_once(standin: Standin, tencent: Tencent) -> None:
    """By account; then by the id in the meeting."""
    made = standin.cloud.create("admin", NOW, NOW + HOUR)
    standin.cloud.enter(made, "admin")
    standin.faults.extend(["error:9042", "", "error:9042"])
    with pytest.raises(NotPermittedError):
        await tencent.do(key(made.meeting_id), ChangeSettings(locked=True), "admin")
    assert acts(standin) == [("status", "admin", 1), ("status", made.person_id("admin"), 4)]


async def test_names_are_changed_for_those_inside_alone(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit
) -> None:
    standin.cloud.leave(meeting, meeting.visits[0])
    with pytest.raises(NotPermittedError):
        await tencent.do(key(meeting.meeting_id), Rename(target(wang), "name"), "li")
    assert wang.name == "wang"


MISBEHAVIOUR = ["hang", "drip", "html", "html_as_success", "redirect", "cut_off", "close", "huge"]


@pytest.mark.parametrize("fault", MISBEHAVIOUR)
@pytest.mark.parametrize("act", [End(), ChangeSettings(locked=True), Invite(("wang",))])
async def test_what_may_have_been_done_is_not_done_again(
    standin: Standin, hasty: Tencent, meeting: CloudMeeting, act: Act, fault: str
) -> None:
    """Neither by the same nor on behalf of another: nobody knows what became of it."""
    standin.faults.extend([""] * isinstance(act, Invite) + [fault])
    with pytest.raises(AwayError):
        await hasty.do(key(meeting.meeting_id), act, "li")
    assert len(acts(standin)) == 1


@pytest.mark.parametrize("code", [960000, 13000, 41, 424242, 190301])
async def test_nor_is_what_broke_over_there(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, code: int
) -> None:
    """A number that does not say that nothing was done."""
    standin.faults.append(f"error:{code}")
    with pytest.raises(AwayError):
        await tencent.do(key(meeting.meeting_id), ChangeSettings(locked=True), "li")
    assert len(acts(standin)) == 1


@pytest.mark.parametrize("take", [lambda one: Remove((one,), may_return=True), lambda one: PutInWaitingRoom((one,))])
async def test_that_nobody_is_there_any_more_does_not_say_that_nothing_was_done(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit, take: Callable[[Target], Act]
) -> None:
    """It broke over there, and whoever was to go has gone: perhaps by this act."""
    standin.faults.append("error:960000")
    for visit in meeting.inside():
        standin.cloud.leave(meeting, visit)
    with pytest.raises(AwayError):
        await tencent.do(key(meeting.meeting_id), take(target(wang)), "li")
    assert len(standin.requests) == 1


@pytest.mark.parametrize(
    ("code", "error"), [(190310, RateLimitedError), (190313, RateLimitedError), (200003, MisconfiguredError)]
)
async def test_what_nobody_may_now_is_not_tried_on_behalf_of_others(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, code: int, error: type[ProviderError]
) -> None:
    standin.faults.append(f"error:{code}")
    with pytest.raises(error):
        await tencent.do(key(meeting.meeting_id), ChangeSettings(locked=True), "li")
    assert len(acts(standin)) == 1


async def test_of_what_waited_too_long_for_its_turn_nothing_was_sent(standin: Standin, meeting: CloudMeeting) -> None:
    """And it is told so: 60 acts at once, with room for 40 a minute."""
    provides, client = provider(standin.address, calls_a_minute=40)
    wanted = (provides.do(key(meeting.meeting_id), ChangeSettings(locked=True), "li") for _ in range(60))
    answers = await asyncio.gather(*wanted, return_exceptions=True)
    unsent = sum(isinstance(each, RateLimitedError) for each in answers)
    assert unsent >= 20
    assert len(acts(standin)) + unsent == 60
    await client.close()


async def test_of_many_acts_at_once_each_is_told_truly(standin: Standin, meeting: CloudMeeting) -> None:
    """One in five fails over there: what is told to be done was, what is not was not tried again."""
    people = [standin.cloud.enter(meeting, f"user-{each}") for each in range(100)]
    for person in people:
        person.microphone = True
    standin.faults.extend(["", "", "", "", "html"] * 20)
    provides, client = provider(standin.address, timing=PATIENT)
    wanted = (provides.do(key(meeting.meeting_id), Mute(target(each), muted=True), "li") for each in people)
    answers = await asyncio.gather(*wanted, return_exceptions=True)
    told = [(answer is None, not person.microphone) for answer, person in zip(answers, people, strict=True)]
    assert Counter(told) == {(True, True): 80, (False, False): 20}
    assert {type(each) for each in answers if each} == {AwayError}
    assert len(acts(standin)) == 100
    await client.close()


@pytest.mark.parametrize("act", [*ONES, *WAITING])
async def test_who_has_left_is_told_to_be_gone(
    standin: Standin,
    tencent: Tencent,
    meeting: CloudMeeting,
    wang: CloudVisit,
    zhao: CloudWaiting,
    act: Callable[[Target], Act],
) -> None:
    """Found out once it was refused: nothing was done, and it is not tried on behalf of others."""
    gone = target(zhao if act in WAITING else wang)
    standin.cloud.leave(meeting, wang)
    standin.cloud.turn_away(meeting, zhao)
    with pytest.raises(NoSuchPersonError):
        await tencent.do(key(meeting.meeting_id), act(gone), "li")
    assert len(acts(standin)) == 1


@pytest.mark.parametrize("act", [*ONES, *WAITING])
async def test_at_another_device_nothing_happens(
    tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit, zhao: CloudWaiting, act: Callable[[Target], Act]
) -> None:
    """And the other side says that it was done: acts are addressed to devices as they were listed."""
    who = zhao if act in WAITING else wang
    await tencent.do(key(meeting.meeting_id), act(Target(who.ms_open_id, "2")), "li")
    assert (wang.microphone, wang.camera, wang.sharing, wang.left, wang.name) == (True, True, True, 0, "wang")
    assert (meeting.cohosts, meeting.waiting, meeting.banned) == (set(), [zhao], set())


@pytest.mark.parametrize("act", [*ONES, *WAITING])
@pytest.mark.parametrize("nobody", [Target("", "1"), Target("m", ""), Target("m", "PC"), Target("m", "-1")])
async def test_who_is_not_said_is_not_asked_for(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, act: Callable[[Target], Act], nobody: Target
) -> None:
    with pytest.raises(NoSuchPersonError):
        await tencent.do(key(meeting.meeting_id), act(nobody), "li")
    assert standin.requests == []


@pytest.mark.parametrize("act", [ChangeSettings(locked=True), Mute(Target("m", "1"), muted=True)])
@pytest.mark.parametrize(
    ("start", "end"), [(NOW + HOUR, NOW + 2 * HOUR), (NOW - 2 * HOUR, NOW - HOUR)], ids=["to come", "over"]
)
async def test_what_does_not_run_cannot_be_steered(
    standin: Standin, tencent: Tencent, act: Act, start: int, end: int
) -> None:
    """Whether it comes or has ended."""
    made = standin.cloud.create("li", start, end)
    with pytest.raises(WrongStateError):
        await tencent.do(key(made.meeting_id), act, "li")
    assert len(acts(standin)) == 1


async def test_an_occurrence_that_does_not_run_neither(standin: Standin, tencent: Tencent) -> None:
    made = standin.cloud.create("li", NOW, NOW + HOUR, times=2)
    at = key(made.meeting_id, made.subs[0].sub_meeting_id)
    with pytest.raises(WrongStateError):
        await tencent.do(at, ChangeSettings(locked=True), "li")


@pytest.mark.parametrize("meeting_id", ["77", "../users"])
async def test_what_is_no_meeting_cannot_be_steered(standin: Standin, tencent: Tencent, meeting_id: str) -> None:
    standin.cloud.users.add("li")
    for act in (End(), ChangeSettings(locked=True), Invite(("wang",))):
        with pytest.raises(NoSuchMeetingError):
            await tencent.do(key(meeting_id), act, "li")


async def test_the_device_of_a_meeting_room_cannot_wait(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit
) -> None:
    """Nor does every device let its camera be turned off."""
    device = standin.cloud.enter(meeting, "", "401", instanceid=ROOMS)
    with pytest.raises(UnsupportedError):
        await tencent.do(key(meeting.meeting_id), PutInWaitingRoom((target(device),)), "li")
    standin.faults.append("error:9104")
    with pytest.raises(UnsupportedError):
        await tencent.do(key(meeting.meeting_id), StopVideo(target(wang)), "li")


async def test_why_it_was_refused_may_stay_unknown(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit
) -> None:
    """When who is inside cannot be read: then it is what the other side said."""
    standin.broken = "error:190004"
    with pytest.raises(ProviderError) as caught:
        await tencent.do(key(meeting.meeting_id), Mute(target(wang), muted=True), "li")
    assert type(caught.value) is ProviderError
