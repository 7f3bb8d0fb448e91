"""The stand-in's calls that make, change, cancel and list a person's meetings. Every field is looked at: one that the
original does not know would be lost there."""

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from services.standin.cloud import Cloud, CloudMeeting
from services.standin.request_checks import Refusal
from services.standin.wire import Body, Query, caller, own

BOOL, INT, TEXT = bool, int, str
SETTINGS: Mapping[str, Any] = {
    "allow_in_before_host": BOOL,
    "allow_multi_device": BOOL,
    "allow_screen_shared_watermark": BOOL,
    "allow_unmute_self": BOOL,
    "auto_asr": BOOL,
    "auto_in_waiting_room": BOOL,
    "auto_record_type": ("none", "local", "cloud"),
    "change_nickname": (1, 2),
    "enable_host_pause_auto_record": BOOL,
    "mute_enable_join": BOOL,
    "mute_enable_type_join": (0, 1, 2),
    "only_enterprise_user_allowed": BOOL,
    "only_user_join_type": (1, 2, 3),
    "open_asr_view": (0, 1),
    "participant_join_auto_record": BOOL,
    "play_ivr_on_join": BOOL,
    "play_ivr_on_leave": BOOL,
    "water_mark_type": (0, 1),
}
CHANGED: Mapping[str, Any] = {
    "userid": TEXT,
    "instanceid": INT,
    "subject": TEXT,
    "start_time": TEXT,
    "end_time": TEXT,
    "meeting_type": (0, 1),
    "hosts": list,
    "invitees": list,
    "guests": list,
    "password": TEXT,
    "settings": dict,
    "time_zone": TEXT,
    "location": TEXT,
    "enable_live": BOOL,
    "enable_host_key": BOOL,
    "host_key": TEXT,
    "enable_enroll": BOOL,
    "enable_doc_upload_permission": BOOL,
    "enable_interpreter": BOOL,
}
MADE: Mapping[str, Any] = {**CHANGED, "type": (0, 1), "sync_to_wework": BOOL}
CANCELLED: Mapping[str, Any] = {
    "userid": TEXT,
    "instanceid": INT,
    "reason_code": INT,
    "reason_detail": TEXT,
    "meeting_type": (0, 1),
    "sub_meeting_id": TEXT,
}
MOST_INVITEES, PAGE = 300, 20
HOUR, MONTH = 3600, 30 * 86400
OVER = ("MEETING_STATE_ENDED", "MEETING_STATE_NULL", "MEETING_STATE_RECYCLED")

Told = Callable[[CloudMeeting, str], Body]


class MakingCalls:
    """`told` says a meeting as everybody is told of it.

    A person makes no more than `an_hour`, the enterprise `a_month`. `words` may not stand in a subject.
    """

    def __init__(self, cloud: Cloud, told: Told) -> None:
        self.cloud, self._told = cloud, told
        self.an_hour, self.a_month = 2000, 1_000_000
        self.words: list[str] = []
        self._times: deque[tuple[float, str]] = deque()

    def own(self, who: str, query: Query) -> Body:
        """Theirs, as creator, host or invitee, that are not over. By `pos` alone a page repeats some of the last."""
        theirs = [each for each in self.cloud.meetings.values() if self._is_listed(each, who)]
        theirs.sort(key=lambda each: (each.start, each.changed))
        place = int(query.get("pos") or 0), int(query.get("cursory") or 0)
        rest = [each for each in theirs if (each.start, each.changed) >= place]
        page, left = rest[:PAGE], rest[PAGE:]
        answer: Body = {
            "meeting_number": len(page),
            "remaining": len(left),
            "meeting_info_list": [self._told(each, who) for each in page],
        }
        return answer | ({"next_pos": left[0].start, "next_cursory": left[0].changed} if left else {})

    def _is_listed(self, meeting: CloudMeeting, who: str) -> bool:
        state = self.cloud.status(meeting)
        takes_part = who in (meeting.creator, *meeting.hosts, *meeting.invitees)
        return takes_part and meeting.enterprise and state in ("MEETING_STATE_INIT", "MEETING_STATE_STARTED")

    def create(self, _: str, _query: Query, body: Body) -> Body:
        check(body, MADE, ("userid", "instanceid", "subject", "type", "start_time", "end_time"))
        who = caller(self.cloud, body["userid"])
        start, end = interval(body["start_time"], body["end_time"])
        people = self._people(body)
        subject = self._subject(body["subject"])
        self._count(who)
        made = self.cloud.create(who, start, end, subject=subject)
        self._change(made, body, people)
        unknown = [each for each in made.invitees if each not in self.cloud.users]
        info = self._told(made, who) | {"password": made.password, "settings": body.get("settings", {})}
        if unknown:
            info["user_non_registered"] = unknown
        return {"meeting_number": 1, "meeting_info_list": [info]}

    def modify(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting = own(self.cloud, meeting_id, str(body.get("userid", "")))
        check(body, CHANGED, ("userid", "instanceid"))
        self._check_state(meeting, runs=14151, over=14152)
        times = interval(body.get("start_time", str(meeting.start)), body.get("end_time", str(meeting.end)))
        people = self._people(body)
        if "subject" in body:
            meeting.subject = self._subject(body["subject"])
        self._change(meeting, body, people)
        self.cloud.move(meeting, *times)
        info = {"meeting_id": meeting.meeting_id, "meeting_code": meeting.code}
        return {"meeting_number": 1, "meeting_info_list": [info]}

    def cancel(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting = own(self.cloud, meeting_id, str(body.get("userid", "")))
        check(body, CANCELLED, ("userid", "instanceid", "reason_code"))
        self._check_state(meeting, runs=13602, over=13603)
        self.cloud.cancel(meeting)
        return {}

    def _check_state(self, meeting: CloudMeeting, *, runs: int, over: int) -> None:
        if meeting.cancelled:
            raise Refusal(9007, "MEETING CANCELED")
        if meeting.inside():
            raise Refusal(runs, "MEETING HAS STARTED")
        if self.cloud.status(meeting) in OVER:
            raise Refusal(over, "MEETING HAS ENDED")

    def _subject(self, subject: str) -> str:
        if not subject.strip():
            raise Refusal(190004, "subject is required")
        if any(word in subject for word in self.words):
            raise Refusal(9093, "SENSITIVE WORD")
        return subject

    def _count(self, who: str) -> None:
        now = self.cloud.now()
        while self._times and now - self._times[0][0] >= MONTH:
            self._times.popleft()
        if len(self._times) >= self.a_month:
            raise Refusal(500168, "meetings of this enterprise a month", 500)
        if sum(name == who and now - moment < HOUR for moment, name in self._times) >= self.an_hour:
            raise Refusal(500029, "meetings of this user an hour", 500)
        self._times.append((now, who))

    def _people(self, body: Body) -> dict[str, list[str]]:
        """Hosts must be known; invitees need not be."""
        found: dict[str, list[str]] = {
            name: userids(name, body[name]) for name in ("hosts", "invitees") if name in body
        }
        if len(found.get("invitees", ())) > MOST_INVITEES:
            raise Refusal(190004, f"no more than {MOST_INVITEES} invitees")
        for each in found.get("hosts", ()):
            caller(self.cloud, each)
        return found

    def _change(self, meeting: CloudMeeting, body: Body, people: dict[str, list[str]]) -> None:
        meeting.hosts = people.get("hosts", meeting.hosts)
        meeting.invitees = people.get("invitees", meeting.invitees)
        meeting.password = body.get("password", meeting.password)
        meeting.time_zone = body.get("time_zone", meeting.time_zone)
        wanted = body.get("settings", {})
        if "auto_in_waiting_room" in wanted:
            meeting.settings["auto_waiting_room"] = wanted["auto_in_waiting_room"]
        if "mute_enable_type_join" in wanted:
            meeting.settings["participant_join_mute"] = wanted["mute_enable_type_join"]
        if "only_user_join_type" in wanted:
            meeting.settings["only_enterprise_user_allowed"] = wanted["only_user_join_type"] == 3
        meeting.settings |= {name: wanted[name] for name in KEPT if name in wanted}


KEPT = ("allow_in_before_host", "allow_screen_shared_watermark")


def check(body: Body, known: Mapping[str, Any], required: tuple[str, ...]) -> None:
    """Raises Refusal."""
    for name in required:
        if name not in body:
            raise Refusal(190004, f"{name} is required")
    check_each(body, known)
    check_each(body.get("settings", {}), SETTINGS)
    password = body.get("password", "")
    if password and not re.fullmatch(r"[0-9]{4,6}", password):
        raise Refusal(190004, "password must be 4 to 6 digits")


def check_each(given: Body, known: Mapping[str, Any]) -> None:
    for name, value in given.items():
        kind = known.get(name)
        if kind is None:
            raise Refusal(190004, f"{name} is unknown")
        fits = type(value) in map(type, kind) and value in kind if isinstance(kind, tuple) else type(value) is kind
        if not fits:
            raise Refusal(190004, f"{name} is no {kind}")


def interval(start_time: str, end_time: str) -> tuple[int, int]:
    if not (re.fullmatch(r"[0-9]{10}", start_time) and re.fullmatch(r"[0-9]{10}", end_time)):
        raise Refusal(190004, "times are strings of seconds")
    start, end = int(start_time), int(end_time)
    if end <= start:
        raise Refusal(190004, "end_time must be later than start_time")
    return start, end


def userids(name: str, given: list[Any]) -> list[str]:
    if not all(isinstance(each, dict) and isinstance(each.get("userid"), str) and each["userid"] for each in given):
        raise Refusal(190004, f"{name} are objects with a userid")
    return [each["userid"] for each in given]
