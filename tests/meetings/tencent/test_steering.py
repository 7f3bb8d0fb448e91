"""Acts in a running meeting against the stand-in: done once, on behalf of who may, and refused truly."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from services.meetings.people import Target
from services.meetings.provider import (
    AwayError,
    IncompleteError,
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
    ACTS,
    Act,
    Admit,
    ChangeSettings,
    Chat,
    End,
    Invite,
    Mute,
    MuteOnEntry,
    PutInWaitingRoom,
    Remove,
    Rename,
    SetCoHost,
    StopSharing,
    StopVideo,
    TurnAway,
)
from services.meetings.tencent.client import Timing
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import CloudMeeting, CloudVisit, CloudWaiting
from services.standin.server import Standin
from tests.meetings.builders import HOUR, PATIENT, key, provider

NOW = int(time.time())
ANDROID, CONNECTOR, ROOMS = 3, 9, 20
HASTY = Timing(connect=5, read=1, whole=3, all_pages=5, pauses=(0.01, 0.02))


@pytest.fixture
async def tencent(standin: Standin) -> AsyncIterator[Tencent]:
    made, client = provider(standin.address, timing=PATIENT)
    yield made
    await client.close()


@pytest.fixture
async def hasty(standin: Standin) -> AsyncIterator[Tencent]:
    """Waits for no answer as long as the other side is made to keep it back."""
    made, client = provider(standin.address, timing=HASTY)
    yield made
    await client.close()


@pytest.fixture
def meeting(standin: Standin) -> CloudMeeting:
    """li's, who is inside, and so is wang; zhao waits."""
    standin.cloud.users |= {"li", "wang", "zhao"}
    made = standin.cloud.create("li", NOW - 60, NOW + HOUR)
    standin.cloud.enter(made, "li")
    wang = standin.cloud.enter(made, "wang", instanceid=ANDROID)
    wang.microphone = wang.camera = wang.sharing = True
    standin.cloud.wait(made, "zhao")
    return made


@pytest.fixture
def wang(meeting: CloudMeeting) -> CloudVisit:
    return meeting.visits[1]


@pytest.fixture
def zhao(meeting: CloudMeeting) -> CloudWaiting:
    return meeting.waiting[0]


def target(person: CloudVisit | CloudWaiting) -> Target:
    return Target(person.ms_open_id, str(person.instanceid))


def acts(standin: Standin) -> list[tuple[str, str, int]]:
    """What was sent that changes something: which verb, on whose behalf."""
    sent = [(each, json.loads(each.body)) for each in standin.requests if each.method != "GET"]
    return [
        (each.target.rpartition("/")[2], body.get("operator_id", body.get("userid")), body.get("operator_id_type", 1))
        for each, body in sent
    ]


def test_every_act_can_be_done(tencent: Tencent) -> None:
    assert tencent.acts == ACTS


async def test_people_are_muted_shown_and_heard_no_longer(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit
) -> None:
    at = key(meeting.meeting_id)
    await tencent.do(at, Mute(target(wang), muted=True), "li")
    await tencent.do(at, StopVideo(target(wang)), "li")
    await tencent.do(at, StopSharing(target(wang)), "li")
    assert (wang.microphone, wang.camera, wang.sharing) == (False, False, False)
    await tencent.do(at, Mute(target(wang), muted=False), "li")
    assert wang.microphone
    await tencent.do(at, Rename(target(wang), "王老师"), "li")
    assert wang.name == "王老师"
    assert acts(standin) == [(verb, "li", 1) for verb in ("mutes", "video", "screen-shared", "mutes", "names")]


async def test_somebody_is_co_host_and_no_longer(tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit) -> None:
    at = key(meeting.meeting_id)
    for wanted in (True, False):
        await tencent.do(at, SetCoHost(target(wang), wanted), "li")
        assert (wang.ms_open_id in meeting.cohosts) is wanted


@pytest.mark.parametrize("may_return", [True, False])
async def test_people_are_removed(tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit, may_return: bool) -> None:
    await tencent.do(key(meeting.meeting_id), Remove((target(wang),), may_return), "li")
    assert [visit.userid for visit in meeting.inside()] == ["li"]
    assert meeting.banned == (set() if may_return else {wang.ms_open_id})


async def test_a_connector_is_removed_with_a_reason(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    """It must be given for those, and would be shown to others."""
    device = standin.cloud.enter(meeting, "", "H.323", instanceid=CONNECTOR)
    await tencent.do(key(meeting.meeting_id), Remove((target(device),), may_return=True), "li")
    assert device.left


async def test_people_are_admitted_put_back_and_turned_away(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, zhao: CloudWaiting
) -> None:
    at = key(meeting.meeting_id)
    await tencent.do(at, Admit((target(zhao),)), "li")
    inside = meeting.inside()[-1]
    assert (inside.userid, meeting.waiting) == ("zhao", [])
    await tencent.do(at, PutInWaitingRoom((target(inside),)), "li")
    assert ([each.userid for each in meeting.waiting], bool(inside.left)) == (["zhao"], True)
    await tencent.do(at, TurnAway((target(inside),), may_return=False), "li")
    assert (meeting.waiting, meeting.banned) == ([], {inside.ms_open_id})


SETTINGS: list[tuple[ChangeSettings, dict[str, Any]]] = [
    (ChangeSettings(mute_all=True), {"mute_all": True}),
    (ChangeSettings(may_unmute=False), {"allow_unmute_by_self": False}),
    (ChangeSettings(mute_on_entry=MuteOnEntry.OFF), {"participant_join_mute": 0}),
    (ChangeSettings(mute_on_entry=MuteOnEntry.ON), {"participant_join_mute": 1}),
    (ChangeSettings(mute_on_entry=MuteOnEntry.ABOVE_SIX), {"participant_join_mute": 2}),
    (ChangeSettings(locked=True), {"meeting_locked": True}),
    (ChangeSettings(waiting_room=False), {"auto_waiting_room": False}),
    (ChangeSettings(hide_number=True), {"hide_meeting_code_password": True}),
    (ChangeSettings(organization_only=True), {"only_enterprise_user_allowed": True}),
    (ChangeSettings(may_share=False), {"share_screen": False}),
    (ChangeSettings(chat=Chat.FREE), {"allow_chat": 0}),
    (ChangeSettings(chat=Chat.PUBLIC), {"allow_chat": 1}),
    (ChangeSettings(chat=Chat.HOSTS), {"allow_chat": 2}),
    (ChangeSettings(red_envelopes=False), {"enable_red_envelope": False}),
    (ChangeSettings(entry_sound=True), {"play_ivr_on_join": True}),
    (ChangeSettings(mute_all=False, locked=False), {"mute_all": False, "meeting_locked": False}),
]


@pytest.mark.parametrize(("wanted", "told"), SETTINGS)
async def test_only_what_shall_change_is_told(
    tencent: Tencent, meeting: CloudMeeting, wanted: ChangeSettings, told: dict[str, Any]
) -> None:
    await tencent.do(key(meeting.meeting_id), wanted, "li")
    assert meeting.settings == told


async def test_where_nothing_shall_change_nothing_is_asked_for(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    await tencent.do(key(meeting.meeting_id), ChangeSettings(), "li")
    assert standin.requests == []


async def test_all_are_muted_but_hosts(tencent: Tencent, meeting: CloudMeeting, wang: CloudVisit) -> None:
    meeting.visits[0].microphone = True
    await tencent.do(key(meeting.meeting_id), ChangeSettings(mute_all=True), "li")
    assert (meeting.visits[0].microphone, wang.microphone) == (True, False)


async def test_a_meeting_is_ended_and_ending_it_again_changes_nothing(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting
) -> None:
    """Whether its planned end is past, or it could be entered again; and its number is not given back."""
    for start, end in [(NOW - 2 * HOUR, NOW - HOUR), (NOW - HOUR, NOW + HOUR)]:
        made = standin.cloud.create("li", start, end)
        standin.cloud.enter(made, "li")
        for _ in range(2):
            await tencent.do(key(made.meeting_id), End(), "li")
            assert (made.inside(), made.recycled) == ([], False)
    assert meeting.inside()


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


# who acts


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


# done once


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


# refused truly


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
@pytest.mark.parametrize(("start", "end"), [(NOW + HOUR, NOW + 2 * HOUR), (NOW - 2 * HOUR, NOW - HOUR)])
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


# invitations


async def test_who_is_invited_stays_invited(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    """The list is replaced over there. Who is in it already is not in it twice."""
    meeting.invitees = ["zhao"]
    await tencent.do(key(meeting.meeting_id), Invite(("wang", "zhao", "wang")), "li")
    assert meeting.invitees == ["zhao", "wang"]
    sent = len(acts(standin))
    await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert (meeting.invitees, len(acts(standin))) == (["zhao", "wang"], sent)


@pytest.mark.parametrize("number", [199, 200, 201, 1999])
async def test_all_pages_of_them_are_read_before(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, number: int
) -> None:
    invited = [f"user-{each}" for each in range(number)]
    standin.cloud.users |= set(invited)
    meeting.invitees = list(invited)
    await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert meeting.invitees == [*invited, "wang"]


async def test_more_than_can_be_invited_are_not(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    meeting.invitees = [f"user-{each}" for each in range(2000)]
    with pytest.raises(ProviderError):
        await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert (len(meeting.invitees), acts(standin)) == (2000, [])


@pytest.mark.parametrize("fault", ["html", "html_as_success", "cut_off", "refusal_as_success", "empty", "error:190310"])
@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_fault_in_any_page_costs_nobody_their_invitation(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, page: int, fault: str
) -> None:
    meeting.invitees = [f"user-{each}" for each in range(500)]
    standin.faults.extend([""] * (page - 1) + [fault] * 3)
    with pytest.raises(AwayError):
        await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert (len(meeting.invitees), acts(standin)) == (500, [])


ODD_PAGES: list[dict[str, Any]] = [
    {"invitees": [{"userid": "zhao"}], "has_remaining": True, "next_pos": 0},
    {"invitees": [], "has_remaining": True, "next_pos": 200},
    {"invitees": [{"userid": ""}], "has_remaining": False},
    {"invitees": [{"nick_name": "of another enterprise"}], "has_remaining": False},
]


@pytest.mark.parametrize("page", ODD_PAGES)
async def test_a_list_that_cannot_be_read_to_its_end_is_not_replaced(
    standin: Standin, tencent: Tencent, meeting: CloudMeeting, page: dict[str, Any]
) -> None:
    """Nor one with somebody in it who could not be named again."""
    standin.canned = page
    with pytest.raises(IncompleteError):
        await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    assert acts(standin) == []


async def test_nobody_is_invited_anew_from_nobody(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    """A null is no list, but says that there are no more."""
    standin.canned = {"invitees": None, "has_remaining": False}
    await tencent.do(key(meeting.meeting_id), Invite(("wang",)), "li")
    [sent] = [json.loads(each.body) for each in standin.requests if each.method == "PUT"]
    assert sent["invitees"] == [{"userid": "wang"}]


async def test_who_is_unknown_over_there_is_told(tencent: Tencent, meeting: CloudMeeting) -> None:
    """The others are invited then."""
    with pytest.raises(NoSuchPersonError):
        await tencent.do(key(meeting.meeting_id), Invite(("wang", "nobody")), "li")
    assert meeting.invitees == ["wang"]


async def test_of_two_invitations_at_once_both_count(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    names = [f"user-{each}" for each in range(10)]
    standin.cloud.users |= set(names)
    await asyncio.gather(*(tencent.do(key(meeting.meeting_id), Invite((name,)), "li") for name in names))
    assert sorted(meeting.invitees) == names


async def test_invitations_are_the_creators(standin: Standin, tencent: Tencent, meeting: CloudMeeting) -> None:
    meeting.invitees = ["zhao"]
    for other in ("", "wang", "who-left-the-organization"):
        with pytest.raises(NotPermittedError):
            await tencent.do(key(meeting.meeting_id), Invite(("wang",)), other)
    assert (meeting.invitees, acts(standin)) == (["zhao"], [])
