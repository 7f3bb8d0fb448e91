"""The stand-in's meetings, users and numbers, in memory: what Tencent's cloud would know, and what happens there."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from services.standin.sender import WebhookSender
from services.standin.telling import told, told_by_name, told_meeting, told_person
from services.standin.users import CloudUser

DAY = 86400
RECYCLED_AFTER = 30 * DAY
PC = 1
GOOD = {
    "network_delay": "20",
    "upstream_packet_loss": "0",
    "downstream_packet_loss": "0",
    "upstream_bindwidth": "2000",
    "downstream_bindwidth": "4000",
}


@dataclass(slots=True)
class CloudVisit:
    """One stay in the meeting itself, at one device; `left` is 0 while inside. Seconds.

    `raw_name` is told in place of the name, should it be no UTF-8. `network` holds the figures of the quality.
    """

    userid: str
    name: str
    ms_open_id: str
    joined: int
    left: int = 0
    sub_meeting_id: str = ""
    instanceid: int = PC
    microphone: bool = False
    camera: bool = False
    sharing: bool = False
    raw_name: bytes = b""
    network: dict[str, str] = field(default_factory=lambda: dict(GOOD))


@dataclass(slots=True)
class CloudWaiting:
    """Somebody in the waiting room, since `joined` (seconds)."""

    userid: str
    name: str
    ms_open_id: str
    joined: int
    sub_meeting_id: str = ""
    instanceid: int = PC
    raw_name: bytes = b""


@dataclass(slots=True)
class CloudSubMeeting:
    sub_meeting_id: str
    start: int
    end: int
    deleted: bool = False


@dataclass(slots=True)
class CloudMeeting:
    """`enterprise` False: somebody else's, which the API does not show. `cohosts` and `banned` are ms_open_ids.

    `changed` in milliseconds: each time another one.
    """

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
    waiting: list[CloudWaiting] = field(default_factory=list)
    enterprise: bool = True
    cancelled: bool = False
    deleted: bool = False
    recycled: bool = False
    kind: int = 0
    password: str = ""
    time_zone: str = ""
    changed: int = 0
    settings: dict[str, object] = field(default_factory=dict)
    cohosts: set[str] = field(default_factory=set)
    banned: set[str] = field(default_factory=set)

    def inside(self, sub_meeting_id: str | None = None) -> list[CloudVisit]:
        return [visit for visit in self.visits if not visit.left and sub_meeting_id in (None, visit.sub_meeting_id)]

    def person_id(self, userid: str) -> str:
        """The id of somebody in this meeting, which is known before they enter; every guest is another."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{self.meeting_id}/{userid}").hex if userid else uuid.uuid4().hex

    def is_host(self, userid: str) -> bool:
        return bool(userid) and (userid == self.creator or userid in self.hosts)

    def occurrence(self, sub_meeting_id: str) -> "CloudMeeting | CloudSubMeeting":
        return next((each for each in self.subs if each.sub_meeting_id == sub_meeting_id), self)


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
        self._last_change = 0

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
            meeting.changed = self._change_time()
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

    def enter(
        self, meeting: CloudMeeting, userid: str, name: str = "", sub: str = "", at: int = 0, instanceid: int = PC
    ) -> CloudVisit:
        """`userid` "" is a guest. `at` lets it have happened at another time. Whoever waited waits no longer."""
        with self.lock:
            waited = [each for each in meeting.waiting if userid and each.userid == userid]
            meeting.waiting = [each for each in meeting.waiting if each not in waited]
            person_id = meeting.person_id(userid)
            return self._come_in(meeting, userid, name or userid or "访客", person_id, sub, at, instanceid)

    def _come_in(
        self, meeting: CloudMeeting, userid: str, name: str, person_id: str, sub: str, at: int, instanceid: int
    ) -> CloudVisit:
        moment = at or int(self.now())
        visit = CloudVisit(userid, name, person_id, moment, 0, sub, instanceid)
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

    def wait(
        self, meeting: CloudMeeting, userid: str, sub: str = "", name: str = "", instanceid: int = PC
    ) -> CloudWaiting:
        """Somebody comes into the waiting room, and no further."""
        with self.lock:
            person_id = meeting.person_id(userid)
            return self._wait(meeting, userid, name or userid or "访客", person_id, sub, instanceid)

    def _wait(
        self, meeting: CloudMeeting, userid: str, name: str, person_id: str, sub: str, instanceid: int
    ) -> CloudWaiting:
        waiting = CloudWaiting(userid, name, person_id, int(self.now()), sub, instanceid)
        meeting.waiting.append(waiting)
        self._tell("meeting.participant-joined-waiting-room", meeting, waiting, sub=sub)
        return waiting

    def admit(self, meeting: CloudMeeting, waiting: CloudWaiting) -> CloudVisit:
        with self.lock:
            meeting.waiting.remove(waiting)
            person = (waiting.userid, waiting.name, waiting.ms_open_id)
            return self._come_in(meeting, *person, waiting.sub_meeting_id, 0, waiting.instanceid)

    def put_in_waiting_room(self, meeting: CloudMeeting, visit: CloudVisit) -> CloudWaiting:
        with self.lock:
            self.leave(meeting, visit)
            person = (visit.userid, visit.name, visit.ms_open_id)
            return self._wait(meeting, *person, visit.sub_meeting_id, visit.instanceid)

    def turn_away(self, meeting: CloudMeeting, waiting: CloudWaiting) -> None:
        with self.lock:
            meeting.waiting.remove(waiting)
            self._tell("meeting.participant-left-waiting-room", meeting, waiting, sub=waiting.sub_meeting_id)

    def move(self, meeting: CloudMeeting, start: int, end: int) -> None:
        with self.lock:
            meeting.start, meeting.end, meeting.changed = start, end, self._change_time()
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
            meeting.waiting = []
            meeting.deleted = self.now() >= meeting.end
            self._tell("meeting.end", meeting, meeting.creator, end_type=0)

    def recycle(self, meeting: CloudMeeting) -> None:
        """Its number is given back, and may be given to another meeting."""
        meeting.recycled = True

    def _change_time(self) -> int:
        self._last_change = max(self._last_change + 1, int(self.now() * 1000))
        return self._last_change

    def _free_code(self) -> str:
        while True:
            self._last_code += 1
            if not self.holder(str(self._last_code)):
                return str(self._last_code)

    def _tell(
        self,
        event: str,
        meeting: CloudMeeting,
        who: "CloudVisit | CloudWaiting | str | None",
        *,
        at: int = 0,
        sub: str = "",
        status: int | None = None,
        end_type: int | None = None,
    ) -> None:
        if meeting.enterprise:
            operator = told_by_name(who) if isinstance(who, str) else told_person(who) if who else None
            moment = (at or int(self.now())) * 1000
            self.sender.send(told(event, moment, told_meeting(meeting, sub, status), operator, end_type))
