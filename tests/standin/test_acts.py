"""What people do in the stand-in's meetings, as the command line plays it: over HTTP, and seen through its API."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from services.cli import standin as command
from services.standin.acts import Acts
from services.standin.cloud import CloudMeeting
from services.standin.sender import WebhookSender
from services.standin.server import Standin

NOW = int(time.time())
HOUR = 3600


class Noted(WebhookSender):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def send(self, event: dict[str, Any]) -> None:
        self.sent.append(event["event"].removeprefix("meeting."))


@pytest.fixture
def sender() -> Noted:
    return Noted()


@pytest.fixture
def standin(sender: Noted) -> Iterator[Standin]:
    made = Standin(sender=sender)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def meeting(standin: Standin) -> CloudMeeting:
    return standin.cloud.create("li", NOW - 60, NOW + HOUR)


def play(standin: Standin, meeting: CloudMeeting, act: str, **body: Any) -> int:
    url = f"{standin.address}/standin/meetings/{meeting.code}/{act}"
    return httpx2.post(url, json=body, trust_env=False).status_code


def test_switches_go_on_and_off(standin: Standin, meeting: CloudMeeting) -> None:
    """On is what is meant when nothing is said."""
    play(standin, meeting, "enter", userid="li", instanceid=2, microphone=True)
    [visit] = meeting.visits
    assert (visit.instanceid, visit.microphone, visit.camera, visit.sharing) == (2, True, False, False)
    for what in ("camera", "sharing"):
        assert play(standin, meeting, what, userid="li") == 200
    play(standin, meeting, "microphone", userid="li", on=False)
    assert (visit.microphone, visit.camera, visit.sharing) == (False, True, True)


def test_guests_are_told_apart_by_their_names(standin: Standin, meeting: CloudMeeting) -> None:
    for name in ("one", "two"):
        play(standin, meeting, "enter", name=name)
    play(standin, meeting, "camera", name="two")
    assert [visit.camera for visit in meeting.visits] == [False, True]
    play(standin, meeting, "leave", name="one")
    assert [visit.name for visit in meeting.inside()] == ["two"]


def test_the_connection_gets_worse(standin: Standin, meeting: CloudMeeting) -> None:
    play(standin, meeting, "enter", userid="li")
    play(standin, meeting, "quality", userid="li", network_delay=450, upstream_packet_loss=12.5)
    network = meeting.visits[0].network
    assert (network["network_delay"], network["upstream_packet_loss"]) == ("450", "12.5")
    assert network["downstream_packet_loss"] == "0"


def test_people_wait_are_admitted_and_go_away(standin: Standin, sender: Noted, meeting: CloudMeeting) -> None:
    """The waiting room is not the meeting: its events are others."""
    play(standin, meeting, "enter", userid="li")
    for name in ("wang", "zhao"):
        play(standin, meeting, "wait", userid=name)
    play(standin, meeting, "admit", userid="wang")
    play(standin, meeting, "go-away", userid="zhao")
    assert ([visit.userid for visit in meeting.inside()], meeting.waiting) == (["li", "wang"], [])
    assert sender.sent == [
        "created",
        "participant-status-update",
        "started",
        "participant-joined",
        "participant-joined-waiting-room",
        "participant-joined-waiting-room",
        "participant-joined",
        "participant-left-waiting-room",
    ]


def test_people_enter_as_the_meeting_lets_them_in(standin: Standin, meeting: CloudMeeting) -> None:
    """Into the waiting room, not at all when it is locked or they are banned; its host always."""
    play(standin, meeting, "settings", auto_waiting_room=True)
    for name in ("li", "wang"):
        play(standin, meeting, "enter", userid=name)
    assert ([each.userid for each in meeting.inside()], [each.userid for each in meeting.waiting]) == (["li"], ["wang"])
    play(standin, meeting, "settings", auto_waiting_room=False, only_enterprise_user_allowed=True)
    assert play(standin, meeting, "enter", name="guest") == 403
    play(standin, meeting, "settings", meeting_locked=True)
    assert play(standin, meeting, "enter", userid="zhao") == 403
    assert play(standin, meeting, "enter", userid="li") == 200
    play(standin, meeting, "settings", meeting_locked=False)
    meeting.banned.add(meeting.person_id("zhao"))
    standin.cloud.users.add("zhao")
    assert play(standin, meeting, "enter", userid="zhao") == 403


def test_who_waited_waits_no_longer_once_inside(standin: Standin, meeting: CloudMeeting) -> None:
    play(standin, meeting, "wait", userid="wang")
    play(standin, meeting, "enter", userid="wang")
    assert (len(meeting.inside()), meeting.waiting) == (1, [])


def test_co_hosts_and_invitations(standin: Standin, meeting: CloudMeeting) -> None:
    play(standin, meeting, "enter", userid="wang")
    play(standin, meeting, "cohost", userid="wang")
    assert meeting.cohosts == {meeting.person_id("wang")}
    play(standin, meeting, "cohost", userid="wang", on=False)
    assert meeting.cohosts == set()
    play(standin, meeting, "invite", userids=["wang", "zhao"])
    play(standin, meeting, "invite", userids=["zhao"])
    assert meeting.invitees == ["wang", "zhao"]


def test_what_is_no_act_is_refused(standin: Standin, meeting: CloudMeeting) -> None:
    assert play(standin, meeting, "dance") == 404
    assert play(standin, meeting, "move") == 400
    meeting.recycled = True
    assert play(standin, meeting, "enter", userid="li") == 404


def test_the_command_names_every_act(standin: Standin) -> None:
    assert command.ACTS.split(", ") == Acts(standin.cloud).names
