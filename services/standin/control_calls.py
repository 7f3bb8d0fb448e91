"""The stand-in's calls that steer a running meeting. For its creator, hosts and co-hosts: never for others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.standin.cloud import Cloud, CloudMeeting, CloudVisit, CloudWaiting
from services.standin.request_checks import Refusal
from services.standin.wire import PERSON, USER, Body, Query, caller, meeting_of, not_permitted

SWITCHES = {
    "mute_all": (True, False),
    "allow_unmute_by_self": (True, False),
    "participant_join_mute": (0, 1, 2),
    "meeting_locked": (True, False),
    "auto_waiting_room": (True, False),
    "hide_meeting_code_password": (True, False),
    "only_enterprise_user_allowed": (True, False),
    "share_screen": (True, False),
    "allow_chat": (0, 1, 2),
    "enable_red_envelope": (True, False),
    "play_ivr_on_join": (True, False),
}
CONNECTOR, ROOMS = 9, (20, 21, 22, 30, 31, 32, 33)
BY_PERSON = range(1, 9)
ADMIT, PUT_BACK, TURN_AWAY = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts, by both ids."""

    userid: str
    ms_open_id: str


class ControlCalls:
    """`kinds`: the operator_id_types that are taken. The vendor's library says 4 alone, its newer pages 1 too."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.kinds = {USER, PERSON}

    def verbs(self) -> Mapping[str, Callable[[str, Query, Body], Body]]:
        """By the last word of the path."""
        return {
            "status": self._status,
            "mutes": self._mutes,
            "kickout": self._kickout,
            "cohosts": self._cohosts,
            "waiting-room": self._waiting_room,
            "video": self._video,
            "screen-shared": self._screen_shared,
            "names": self._names,
            "doc": self._doc,
            "asr": self._asr,
        }

    def dismiss(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting, _ = self._begin(meeting_id, body, {USER, PERSON})
        required(body, reason_code=int)
        if body.get("force_dismiss_meeting", 1) != 1:
            raise Refusal(190004, "somebody is inside")
        self.cloud.end(meeting)
        if body.get("retrieve_code") == 1:
            self.cloud.recycle(meeting)
        return {}

    def _status(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting, acting = self._begin(meeting_id, body, {USER, PERSON})
        wanted = {name: value for name, value in body.items() if name in SWITCHES}
        for name, value in wanted.items():
            if not any(type(value) is type(each) and value == each for each in SWITCHES[name]):
                raise Refusal(190004, f"{name} must be one of {SWITCHES[name]}")
        meeting.settings |= wanted
        for visit in meeting.inside():
            if visit.ms_open_id != acting.ms_open_id and not meeting.is_host(visit.userid):
                visit.microphone = visit.microphone and wanted.get("mute_all") is not True
                visit.sharing = visit.sharing and wanted.get("share_screen") is not False
        return {}

    def _mutes(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting, _ = self._begin(meeting_id, body)
        required(body, mute=bool)
        for visit in targets(meeting, [body.get("user")]):
            visit.microphone = not body["mute"]
        return {}

    def _kickout(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting, _ = self._begin(meeting_id, body)
        required(body, allow_rejoin=bool, users=list)
        found = targets(meeting, body["users"])
        if any(each.instanceid == CONNECTOR for each in found) and not body.get("reason"):
            raise Refusal(190004, "reason is required for a connector")
        for visit in found:
            self.cloud.leave(meeting, visit)
            if not body["allow_rejoin"]:
                meeting.banned.add(visit.ms_open_id)
        return {}

    def _cohosts(self, meeting_id: str, _query: Query, body: Body) -> Body:
        """For hosts, not for co-hosts."""
        meeting, acting = self._begin(meeting_id, body)
        if not meeting.is_host(acting.userid):
            raise not_permitted()
        required(body, action=bool)
        for visit in targets(meeting, [body.get("user")]):
            if visit.instanceid not in BY_PERSON:
                raise Refusal(190004, "not for this device")
            change = meeting.cohosts.add if body["action"] else meeting.cohosts.discard
            change(visit.ms_open_id)
        return {}

    def _waiting_room(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting, _ = self._begin(meeting_id, body)
        required(body, operate_type=int, users=list)
        what = body["operate_type"]
        if what not in (ADMIT, PUT_BACK, TURN_AWAY) or ("allow_rejoin" in body and what != TURN_AWAY):
            raise Refusal(190004, "operate_type must be 1, 2 or 3, and allow_rejoin goes with 3 alone")
        if what == PUT_BACK:
            self._put_back(meeting, targets(meeting, body["users"]))
            return {}
        for waiting in who_wait(meeting, body["users"]):
            if what == ADMIT:
                self.cloud.admit(meeting, waiting)
            else:
                self.cloud.turn_away(meeting, waiting)
                if body.get("allow_rejoin") is False:
                    meeting.banned.add(waiting.ms_open_id)
        return {}

    def _put_back(self, meeting: CloudMeeting, found: list[CloudVisit]) -> None:
        if any(each.instanceid in ROOMS for each in found):
            raise Refusal(9103, "ROOMS CANNOT BE PUT INTO THE WAITING ROOM")
        for visit in found:
            self.cloud.put_in_waiting_room(meeting, visit)

    def _video(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting, _ = self._begin(meeting_id, body)
        wanted = body.get("video", False) is True
        for visit in targets(meeting, [body.get("user")]):
            if wanted and visit.instanceid != CONNECTOR:
                raise Refusal(9104, "NOT FOR THIS DEVICE")
            visit.camera = wanted
        return {}

    def _screen_shared(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting, _ = self._begin(meeting_id, body)
        for visit in targets(meeting, [body.get("user")]):
            visit.sharing = False
        return {}

    def _names(self, meeting_id: str, _query: Query, body: Body) -> Body:
        """For those who are inside themselves."""
        meeting, acting = self._begin(meeting_id, body)
        if acting.ms_open_id not in {each.ms_open_id for each in meeting.inside()}:
            raise not_permitted()
        required(body, users=list)
        for user in body["users"]:
            name = user.get("nick_name", "") if isinstance(user, dict) else ""
            if not isinstance(name, str) or not 1 <= len(name) <= 20:
                raise Refusal(190004, "nick_name must have 1 to 20 characters")
            meant = {"to_operator_id": user.get("ms_open_id"), "to_operator_id_type": 4} | user
            for visit in targets(meeting, [meant]):
                visit.name, visit.raw_name = name, b""
        return {}

    def _doc(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting, _ = self._begin(meeting_id, body)
        required(body, enable_upload_doc=bool)
        meeting.settings["enable_upload_doc"] = body["enable_upload_doc"]
        return {}

    def _asr(self, meeting_id: str, _query: Query, body: Body) -> Body:
        """Its device has another name, and whoever acts must be the creator."""
        required(body, is_open=bool, instance_id=int)
        meeting, acting = self._begin(meeting_id, body | {"instanceid": body["instance_id"]}, {USER})
        if acting.userid != meeting.creator:
            raise not_permitted()
        meeting.settings["asr"] = body["is_open"]
        return {}

    def _begin(self, meeting_id: str, body: Body, kinds: set[str] | None = None) -> tuple[CloudMeeting, Acting]:
        """Whether it runs, and whether whoever acts may. Raises Refusal."""
        required(body, operator_id=str, instanceid=int)
        kind = str(body.get("operator_id_type", ""))
        if kind not in (kinds or self.kinds):
            raise Refusal(190004, "operator_id_type is not one of those taken")
        meeting = meeting_of(self.cloud, meeting_id)
        acting = self._acting(meeting, body["operator_id"], kind)
        if not meeting.is_host(acting.userid) and acting.ms_open_id not in meeting.cohosts:
            raise not_permitted()
        if not meeting.inside():
            raise self._does_not_run(meeting)
        return meeting, acting

    def _acting(self, meeting: CloudMeeting, operator_id: str, kind: str) -> Acting:
        if kind == USER:
            userid = caller(self.cloud, operator_id)
            return Acting(userid, meeting.person_id(userid))
        known = {*meeting.hosts, meeting.creator, *(visit.userid for visit in meeting.visits)} - {""}
        return Acting(next((each for each in known if meeting.person_id(each) == operator_id), ""), operator_id)

    def _does_not_run(self, meeting: CloudMeeting) -> Refusal:
        """That it has not begun has no number in the original's pages."""
        if self.cloud.status(meeting) == "MEETING_STATE_INIT":
            return Refusal(190004, "MEETING HAS NOT STARTED")
        return Refusal(13603, "MEETING HAS ENDED")


def required(body: Body, **kinds: type) -> None:
    for name, kind in kinds.items():
        if type(body.get(name)) is not kind or body[name] in ("", []):
            raise Refusal(190004, f"{name} is required, as {kind.__name__}")


def meant(user: Any) -> tuple[str, int]:
    """Whom, and at which device."""
    if not isinstance(user, dict) or str(user.get("to_operator_id_type", "")) != PERSON:
        raise Refusal(190004, "whom it is done to must be said, with to_operator_id_type 4")
    required(user, to_operator_id=str, instanceid=int)
    return user["to_operator_id"], user["instanceid"]


def targets(meeting: CloudMeeting, users: list[Any]) -> list[CloudVisit]:
    """Nobody for somebody at another device: then nothing happens. Raises Refusal for who is not inside."""
    asked = [meant(each) for each in users]
    inside = meeting.inside()
    if {who for who, _ in asked} - {each.ms_open_id for each in inside}:
        raise Refusal(190004, "no such person in the meeting")
    return [each for each in inside if (each.ms_open_id, each.instanceid) in asked]


def who_wait(meeting: CloudMeeting, users: list[Any]) -> list[CloudWaiting]:
    asked = [meant(each) for each in users]
    if {who for who, _ in asked} - {each.ms_open_id for each in meeting.waiting}:
        raise Refusal(190004, "no such person in the waiting room")
    return [each for each in meeting.waiting if (each.ms_open_id, each.instanceid) in asked]
