"""Every act in a running meeting against the stand-in: what it does there, and which words it is told in."""

import time
from typing import Any

import pytest

from services.meetings.steering import (
    ACTS,
    Admit,
    ChangeSettings,
    Chat,
    End,
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
from services.meetings.tencent.tencent import Tencent
from services.standin.cloud import CloudMeeting, CloudVisit, CloudWaiting
from services.standin.server import Standin
from tests.meetings.builders import HOUR, key
from tests.meetings.tencent.steered import acts, target

NOW = int(time.time())
CONNECTOR = 9


@pytest.fixture
def tencent(patient: Tencent) -> Tencent:
    return patient


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
