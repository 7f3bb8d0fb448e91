"""The stand-in's meetings, users and numbers, in memory: what Tencent's cloud would know, and what happens there."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from services.standin.sender import WebhookSender
from services.standin.users import CloudUser

DAY = 86400
RECYCLED_AFTER = 30 * DAY


@dataclass(slots=True)
class CloudVisit:
    """One stay in the meeting itself; `left` is 0 while inside. Seconds."""

    userid: str
    name: str
    ms_open_id: str
    joined: int
    left: int = 0
    sub_meeting_id: str = ""


@dataclass(slots=True)
class CloudSubMeeting:
    sub_meeting_id: str
    start: int
    end: int
    deleted: bool = False


@dataclass(slots=True)
class CloudMeeting:
    """`enterprise` False: somebody else's, which the API does not show."""

    meeting_id: str
    code: str
    subject: str
    creator: str
    start: int
    end: int
    hosts: list[str] = field(default_factory=list)
    invitees: list[str] = field(default_factory=list)
    subs: list[CloudSubMeeting] = field(default_factory=list)
    visits: list[CloudVisit] = field(default_factory=list)
    enterprise: bool = True
    cancelled: bool = False
    deleted: bool = False
    recycled: bool = False
    settings: dict[str, object] = field(default_factory=dict)

    def inside(self, sub_meeting_id: str | None = None) -> list[CloudVisit]:
        return [visit for visit in self.visits if not visit.left and sub_meeting_id in (None, visit.sub_meeting_id)]


class Cloud:
    """Everything that happens, with the webhook that follows from it. Safe for several threads. Times are seconds."""

    def __init__(self, sender: WebhookSender | None = None, now: Callable[[], float] = time.time) -> None:
        self.sender = sender or WebhookSender()
        self.now = now
        self.admin = "admin"
        self.users = {"admin"}
        self.known: dict[str, CloudUser] = {}
        self.meetings: dict[str, CloudMeeting] = {}
        self.lock = threading.RLock()
        self._last_id = 6_058_890_385_480_921_052
        self._last_code = 530_812_451

    def create(
        self,
        creator: str,
        start: int,
        end: int,
        *,
        subject: str = "组会",
        code: str = "",
        times: int = 1,
        every: int = 7 * DAY,
        enterprise: bool = True,
    ) -> CloudMeeting:
        """`times` more than 1 makes it recurring. Raises ValueError for a number in use."""
        with self.lock:
            if code and self.holder(code):
                raise ValueError(f"{code} is in use")
            self._last_id += 1
            meeting = CloudMeeting(str(self._last_id), code or self._free_code(), subject, creator, start, end)
            meeting.enterprise = enterprise
            if times > 1:
                meeting.subs = [
                    CloudSubMeeting(str(start + number * every), start + number * every, end + number * every)
                    for number in range(times)
                ]
            self.meetings[meeting.meeting_id] = meeting
            if enterprise:
                self.users.add(creator)
            self._tell("meeting.created", meeting, creator)
            return meeting

    def add_user(self, user: CloudUser) -> None:
        """In place of what there was of them."""
        with self.lock:
            self.users.add(user.userid)
            self.known[user.userid] = user

    def remove_user(self, userid: str) -> None:
        with self.lock:
            self.users.discard(userid)
            self.known.pop(userid, None)

    def everybody(self) -> list[CloudUser]:
        """Also those of whom nothing is known but their id."""
        return [self.known.get(userid) or CloudUser(userid) for userid in sorted(self.users)]

    def holder(self, code: str) -> CloudMeeting | None:
        """The meeting that has the number now; a number that was given back has none."""
        return next((each for each in self.meetings.values() if each.code == code and not self.is_recycled(each)), None)

    def is_recycled(self, meeting: CloudMeeting) -> bool:
        start = max([meeting.start, *(sub.start for sub in meeting.subs)])
        return meeting.recycled or self.now() > start + RECYCLED_AFTER

    def status(self, meeting: CloudMeeting) -> str:
        if meeting.cancelled:
            return "MEETING_STATE_CANCELLED"
        if self.is_recycled(meeting):
            return "MEETING_STATE_RECYCLED"
        if meeting.inside():
            return "MEETING_STATE_STARTED"
        if meeting.deleted:
            return "MEETING_STATE_ENDED"
        end = max([meeting.end, *(sub.end for sub in meeting.subs)])
        return "MEETING_STATE_INIT" if self.now() < end else "MEETING_STATE_NULL"

    def enter(self, meeting: CloudMeeting, userid: str, name: str = "", sub: str = "", at: int = 0) -> CloudVisit:
        """`userid` "" is a guest. `at` lets it have happened at another time."""
        with self.lock:
            moment = at or int(self.now())
            visit = CloudVisit(userid, name or userid or "访客", uuid.uuid4().hex, moment, 0, sub)
            first = not meeting.inside(sub)
            meeting.visits.append(visit)
            if first:
                self._tell("meeting.participant-status-update", meeting, None, at=moment, sub=sub, status=0)
            if userid == meeting.creator:
                self._tell("meeting.started", meeting, userid, at=moment, sub=sub)
            self._tell("meeting.participant-joined", meeting, visit, at=moment, sub=sub)
            return visit

    def leave(self, meeting: CloudMeeting, visit: CloudVisit, at: int = 0) -> None:
        with self.lock:
            visit.left = at or int(self.now())
            self._tell("meeting.participant-left", meeting, visit, at=visit.left, sub=visit.sub_meeting_id)
            if not meeting.inside(visit.sub_meeting_id):
                sub = visit.sub_meeting_id
                self._tell("meeting.participant-status-update", meeting, None, at=visit.left, sub=sub, status=1)

    def wait(self, meeting: CloudMeeting, userid: str, sub: str = "") -> None:
        """Somebody comes into the waiting room, and no further."""
        visit = CloudVisit(userid, userid, uuid.uuid4().hex, int(self.now()))
        self._tell("meeting.participant-joined-waiting-room", meeting, visit, sub=sub)

    def move(self, meeting: CloudMeeting, start: int, end: int) -> None:
        with self.lock:
            meeting.start, meeting.end = start, end
            self._tell("meeting.updated", meeting, meeting.creator)

    def cancel(self, meeting: CloudMeeting) -> None:
        with self.lock:
            meeting.cancelled = True
            self._tell("meeting.canceled", meeting, meeting.creator)

    def end(self, meeting: CloudMeeting) -> None:
        """The host ends it for everybody."""
        with self.lock:
            for visit in meeting.inside():
                self.leave(meeting, visit)
            meeting.deleted = self.now() >= meeting.end
            self._tell("meeting.end", meeting, meeting.creator, end_type=0)

    def recycle(self, meeting: CloudMeeting) -> None:
        """Its number is given back, and may be given to another meeting."""
        meeting.recycled = True

    def _free_code(self) -> str:
        while True:
            self._last_code += 1
            if not self.holder(str(self._last_code)):
                return str(self._last_code)

    def _tell(
        self,
        event: str,
        meeting: CloudMeeting,
        operator: "CloudVisit | str | None",
        *,
        at: int = 0,
        sub: str = "",
        status: int | None = None,
        end_type: int | None = None,
    ) -> None:
        if not meeting.enterprise:
            return
        payload: dict[str, object] = {
            "operate_time": (at or int(self.now())) * 1000,
            "meeting_info": self._told(meeting, sub, status),
        }
        if operator is not None:
            payload["operator"] = _operator(operator)
        if event in ("meeting.participant-joined", "meeting.participant-left"):
            payload["action_scene_type"] = 0
        if end_type is not None:
            payload["meeting_end_type"] = end_type
        self.sender.send({"event": event, "trace_id": str(uuid.uuid4()), "payload": [payload]})

    def _told(self, meeting: CloudMeeting, sub: str, status: int | None) -> dict[str, object]:
        """As events tell it: times are numbers here, and strings in the API."""
        info: dict[str, object] = {
            "meeting_id": meeting.meeting_id,
            "meeting_code": meeting.code,
            "subject": meeting.subject,
            "creator": {"userid": meeting.creator, "user_name": meeting.creator},
            "meeting_type": 1 if meeting.subs else 0,
            "start_time": meeting.start,
            "end_time": meeting.end,
            "meeting_create_mode": 0,
            "meeting_id_type": 0,
        }
        if sub:
            one = next(each for each in meeting.subs if each.sub_meeting_id == sub)
            info |= {"sub_meeting_id": sub, "sub_meeting_start_time": one.start, "sub_meeting_end_time": one.end}
        if status is not None:
            info["meeting_participant_status"] = status
        return info


def _operator(operator: CloudVisit | str) -> dict[str, object]:
    if isinstance(operator, str):
        return {"userid": operator, "user_name": operator, "instance_id": "1"}
    return {
        "userid": operator.userid,
        "ms_open_id": operator.ms_open_id,
        "user_name": operator.name,
        "instance_id": "1",
    }
