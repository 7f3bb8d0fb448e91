"""What people do in the stand-in's meetings, for the command line and for tests: POST /standin/meetings/CODE/ACT.

ACT and its JSON body; "userid" says who, "" or a "name" alone is a guest:
enter {userid, name, instanceid, sub_meeting_id}, leave {userid}: into the waiting room where there is one.
wait, admit, go-away {userid}: in the waiting room. microphone, camera, sharing {userid, on}. cohost {userid, on}.
quality {userid, network_delay, upstream_packet_loss, downstream_packet_loss}: milliseconds and percent.
invite {userids}, settings {mute_all, meeting_locked and so on}, end, cancel, recycle, move {start, end} (seconds).
"""

from collections.abc import Callable
from typing import Any, TypeVar

from services.standin.cloud import PC, Cloud, CloudMeeting, CloudVisit, CloudWaiting
from services.standin.request_checks import Refusal
from services.standin.users import CloudUser

Body = dict[str, Any]
P = TypeVar("P", CloudVisit, CloudWaiting)
FIGURES = ("network_delay", "upstream_packet_loss", "downstream_packet_loss")


class Acts:
    """Raises Refusal, or ValueError, TypeError and KeyError for what is no such body."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._acts: dict[str, Callable[[CloudMeeting, Body], None]] = {
            "enter": self._enter,
            "leave": self._leave,
            "wait": self._wait,
            "admit": self._admit,
            "go-away": self._go_away,
            "microphone": lambda meeting, body: self._switch(meeting, body, "microphone"),
            "camera": lambda meeting, body: self._switch(meeting, body, "camera"),
            "sharing": lambda meeting, body: self._switch(meeting, body, "sharing"),
            "cohost": self._cohost,
            "quality": self._quality,
            "invite": self._invite,
            "settings": lambda meeting, body: meeting.settings.update(body),
            "end": lambda meeting, _: cloud.end(meeting),
            "cancel": lambda meeting, _: cloud.cancel(meeting),
            "recycle": lambda meeting, _: cloud.recycle(meeting),
            "move": lambda meeting, body: cloud.move(meeting, int(body["start"]), int(body["end"])),
        }

    @property
    def names(self) -> list[str]:
        return list(self._acts)

    def act(self, words: list[str], body: Body) -> Body:
        """meetings, meetings/CODE/enter, users, users/USERID/remove and so on."""
        with self._cloud.lock:
            match words:
                case ["meetings"]:
                    made = self._cloud.create(**body)
                    return {"meeting_id": made.meeting_id, "meeting_code": made.code}
                case ["meetings", code, act] if act in self._acts:
                    meeting = self._cloud.holder(code)
                    if meeting is None:
                        raise Refusal(9003, "MEETING NOT EXIST", 404)
                    self._acts[act](meeting, body)
                    return {"meeting_id": meeting.meeting_id, "status": self._cloud.status(meeting)}
                case ["users"]:
                    self._cloud.add_user(CloudUser(**body))
                    return {}
                case ["users", userid, "remove"]:
                    self._cloud.remove_user(userid)
                    return {}
        raise Refusal(190004, "no such act", 404)

    def _enter(self, meeting: CloudMeeting, body: Body) -> None:
        """As the meeting lets people in now."""
        userid, sub = str(body.get("userid", "")), str(body.get("sub_meeting_id", ""))
        host = meeting.is_host(userid)
        locked = meeting.settings.get("meeting_locked") is True and not host
        guests = meeting.settings.get("only_enterprise_user_allowed") is not True
        if locked or meeting.person_id(userid) in meeting.banned or not (guests or userid in self._cloud.users):
            raise Refusal(9101, "MAY NOT JOIN", 403)
        if meeting.settings.get("auto_waiting_room") is True and not host:
            self._wait(meeting, body)
            return
        hosts_inside = any(meeting.is_host(each.userid) for each in meeting.inside())
        if meeting.settings.get("allow_in_before_host") is False and not host and not hosts_inside:
            raise Refusal(9101, "MAY NOT JOIN", 403)
        instanceid = int(body.get("instanceid", PC))
        visit = self._cloud.enter(meeting, userid, str(body.get("name", "")), sub, instanceid=instanceid)
        muted = meeting.settings.get("participant_join_mute") == 1 and not host
        visit.microphone = bool(body.get("microphone", False)) and not muted

    def _leave(self, meeting: CloudMeeting, body: Body) -> None:
        for visit in _chosen(meeting.inside(), body):
            self._cloud.leave(meeting, visit)

    def _wait(self, meeting: CloudMeeting, body: Body) -> None:
        userid, sub = str(body.get("userid", "")), str(body.get("sub_meeting_id", ""))
        self._cloud.wait(meeting, userid, sub, str(body.get("name", "")), int(body.get("instanceid", PC)))

    def _admit(self, meeting: CloudMeeting, body: Body) -> None:
        for waiting in _chosen(meeting.waiting, body):
            self._cloud.admit(meeting, waiting)

    def _go_away(self, meeting: CloudMeeting, body: Body) -> None:
        for waiting in _chosen(meeting.waiting, body):
            self._cloud.turn_away(meeting, waiting)

    def _switch(self, meeting: CloudMeeting, body: Body, what: str) -> None:
        for visit in _chosen(meeting.inside(), body):
            setattr(visit, what, bool(body.get("on", True)))

    def _cohost(self, meeting: CloudMeeting, body: Body) -> None:
        for visit in _chosen(meeting.inside(), body):
            change = meeting.cohosts.add if body.get("on", True) else meeting.cohosts.discard
            change(visit.ms_open_id)

    def _quality(self, meeting: CloudMeeting, body: Body) -> None:
        told = {name: str(body[name]) for name in FIGURES if name in body}
        for visit in _chosen(meeting.inside(), body):
            visit.network |= told

    def _invite(self, meeting: CloudMeeting, body: Body) -> None:
        meeting.invitees = list(dict.fromkeys([*meeting.invitees, *map(str, body["userids"])]))


def _chosen(people: list[P], body: Body) -> list[P]:
    """Whoever has the userid, and the name if one is said."""
    return [
        each
        for each in people
        if each.userid == str(body.get("userid", "")) and body.get("name", each.name) == each.name
    ]
