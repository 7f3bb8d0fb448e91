"""The calls that the stand-in understands, with the original's envelopes, pages, encodings and refusals."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from services.standin.cloud import Cloud, CloudMeeting, CloudVisit
from services.standin.request_checks import ACCOUNT_USERS, Refusal, Request
from services.standin.users import list_users

Query = dict[str, str]
Body = dict[str, Any]


class Rest:
    """Answers admitted requests. Raises Refusal."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        one = r"/v1/meetings/(\d+)"
        self._routes: list[tuple[str, re.Pattern[str], Callable[[str, Query, Body], Body]]] = [
            ("GET", re.compile("/v1/meetings()"), self._find),
            ("POST", re.compile("/v1/meetings()"), self._create),
            ("GET", re.compile(one), self._get),
            ("PUT", re.compile(one), self._modify),
            ("POST", re.compile(f"{one}/cancel"), self._cancel),
            ("POST", re.compile(f"{one}/dismiss"), self._dismiss),
            ("GET", re.compile(f"{one}/participants"), self._participants),
            ("GET", re.compile(f"{one}/real-time-participants"), self._present),
            ("PUT", re.compile(r"/v1/real-control/meetings/(\d+)/status"), self._control),
            ("GET", re.compile(f"{ACCOUNT_USERS}()"), lambda _, query, _body: list_users(cloud, query)),
        ]

    def answer(self, request: Request) -> Body:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        for method, pattern, handle in self._routes:
            found = pattern.fullmatch(parts.path)
            if found and method == request.method:
                with self.cloud.lock:
                    return handle(found[1], query, read_body(request.body))
        raise Refusal(190004, f"no such call: {request.method} {parts.path}")

    def _find(self, _: str, query: Query, _body: Body) -> Body:
        caller = self._caller(query.get("userid", ""))
        if not query.get("instanceid"):
            raise Refusal(190004, "instanceid is required")
        if "meeting_code" not in query:
            return self._list(caller, query)
        if not re.fullmatch(r"\d{9}", query["meeting_code"]):
            raise Refusal(190004, "meeting_code must be 9 digits")
        meeting = self.cloud.holder(query["meeting_code"])
        if meeting is None or not meeting.enterprise:
            raise Refusal(9003, "MEETING NOT EXIST")
        every = query.get("is_show_all_sub_meetings") == "1"
        return {"meeting_number": 1, "meeting_info_list": [self._told(meeting, caller, every=every)]}

    def _list(self, caller: str, query: Query) -> Body:
        mine = sorted(
            (each for each in self.cloud.meetings.values() if each.creator == caller and not each.cancelled),
            key=lambda each: (each.start, each.meeting_id),
        )
        rest = [each for each in mine if each.start >= int(query.get("pos") or 0)]
        page, left = rest[:20], rest[20:]
        answer: Body = {
            "meeting_number": len(page),
            "remaining": len(left),
            "meeting_info_list": [self._told(each, caller) for each in page],
        }
        return answer | ({"next_pos": left[0].start, "next_cursory": left[0].start * 1000} if left else {})

    def _create(self, _: str, _query: Query, body: Body) -> Body:
        for name in ("userid", "instanceid", "subject", "type", "start_time", "end_time"):
            if name not in body:
                raise Refusal(190004, f"{name} is required")
        caller = self._caller(str(body["userid"]))
        if not isinstance(body["start_time"], str) or not isinstance(body["end_time"], str):
            raise Refusal(190004, "times are strings of seconds")
        start, end = int(body["start_time"]), int(body["end_time"])
        made = self.cloud.create(caller, start, end, subject=str(body["subject"]))
        made.hosts = [str(each["userid"]) for each in body.get("hosts") or []]
        return {"meeting_number": 1, "meeting_info_list": [self._told(made, caller)]}

    def _get(self, meeting_id: str, query: Query, _body: Body) -> Body:
        caller = self._caller(operator(query))
        meeting = self._meeting(meeting_id)
        if meeting.cancelled:
            raise Refusal(9007, "MEETING CANCELED")
        return {"meeting_number": 1, "meeting_info_list": [self._told(meeting, caller, every=True)]}

    def _modify(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting = self._own(meeting_id, str(body.get("userid", "")))
        if meeting.inside():
            raise Refusal(14151, "MEETING HAS STARTED")
        start, end = int(body.get("start_time", meeting.start)), int(body.get("end_time", meeting.end))
        meeting.subject = str(body.get("subject", meeting.subject))
        self.cloud.move(meeting, start, end)
        info = {"meeting_id": meeting.meeting_id, "meeting_code": meeting.code}
        return {"meeting_number": 1, "meeting_info_list": [info]}

    def _cancel(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting = self._own(meeting_id, str(body.get("userid", "")))
        if meeting.inside():
            raise Refusal(13602, "MEETING HAS STARTED")
        self.cloud.cancel(meeting)
        return {}

    def _dismiss(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting = self._own(meeting_id, operator(body))
        if meeting.deleted:
            raise Refusal(13603, "MEETING HAS ENDED")
        self.cloud.end(meeting)
        if body.get("retrieve_code") == 1:
            self.cloud.recycle(meeting)
        return {}

    def _control(self, meeting_id: str, _query: Query, body: Body) -> Body:
        meeting = self._own(meeting_id, operator(body))
        if not meeting.inside():
            raise Refusal(13601, "MEETING HAS NOT STARTED")
        names = {"operator_id", "operator_id_type", "instanceid"}
        meeting.settings |= {name: value for name, value in body.items() if name not in names}
        return {}

    def _participants(self, meeting_id: str, query: Query, _body: Body) -> Body:
        meeting = self._own(meeting_id, query.get("userid") or operator(query))
        visits = self._in_window(self._visits(meeting, query), query)
        position, size = int(query.get("pos") or 0), int(query.get("size") or 20)
        if not 1 <= size <= 100:
            raise Refusal(190004, "size must be at most 100")
        page, end = visits[position : position + size], position + size
        return self._schedule(meeting) | {
            "subject": meeting.subject,
            "total_count": len(visits),
            "has_remaining": end < len(visits),
            "next_pos": end if end < len(visits) else 0,
            "participants": [person(each) for each in page],
        }

    def _present(self, meeting_id: str, query: Query, _body: Body) -> Body:
        meeting = self._own(meeting_id, operator(query))
        visits = [each for each in self._visits(meeting, query) if not each.left]
        page, size = int(query.get("page") or 0), int(query.get("page_size") or 0)
        if page < 1 or not 1 <= size <= 50:
            raise Refusal(190004, "page and page_size (at most 50) are required")
        shown = visits[(page - 1) * size : page * size]
        return self._schedule(meeting) | {
            "subject": encoded(meeting.subject),
            "status": self.cloud.status(meeting),
            "total_count": len(visits),
            "current_page": page,
            "current_size": len(shown),
            "total_page": -(-len(visits) // size),
            "participants": [person(each) for each in shown],
        }

    def _visits(self, meeting: CloudMeeting, query: Query) -> list[CloudVisit]:
        sub = query.get("sub_meeting_id", "")
        if meeting.subs and sub not in {each.sub_meeting_id for each in meeting.subs}:
            raise Refusal(190004, "sub_meeting_id is required for a recurring meeting")
        return [each for each in meeting.visits if not meeting.subs or each.sub_meeting_id == sub]

    def _in_window(self, visits: list[CloudVisit], query: Query) -> list[CloudVisit]:
        if "start_time" not in query and "end_time" not in query:
            return visits
        end = int(query.get("end_time") or self.cloud.now())
        start = int(query.get("start_time") or end - 31 * 86400)
        if end - start > 31 * 86400:
            raise Refusal(190004, "at most 31 days")
        return [each for each in visits if start <= each.joined <= end]

    def _caller(self, userid: str) -> str:
        if userid not in self.cloud.users:
            raise Refusal(190001, "USER NOT REGISTERED")
        return userid

    def _meeting(self, meeting_id: str) -> CloudMeeting:
        meeting = self.cloud.meetings.get(meeting_id)
        if meeting is None or not meeting.enterprise:
            raise Refusal(9003, "MEETING NOT EXIST")
        return meeting

    def _own(self, meeting_id: str, userid: str) -> CloudMeeting:
        """Of its creator, or for the administrator."""
        caller, meeting = self._caller(userid), self._meeting(meeting_id)
        if caller not in (meeting.creator, self.cloud.admin):
            raise Refusal(9042, "NO PERMISSION", 403)
        return meeting

    def _schedule(self, meeting: CloudMeeting) -> Body:
        return {
            "meeting_id": meeting.meeting_id,
            "meeting_code": meeting.code,
            "schedule_start_time": str(meeting.start),
            "schedule_end_time": str(meeting.end),
        }

    def _told(self, meeting: CloudMeeting, caller: str, *, every: bool = False) -> Body:
        """As the API tells it: times are strings of seconds."""
        told: Body = {
            "subject": meeting.subject,
            "meeting_id": meeting.meeting_id,
            "meeting_code": meeting.code,
            "type": 0,
            "meeting_type": 1 if meeting.subs else 0,
            "status": self.cloud.status(meeting),
            "start_time": str(meeting.start),
            "end_time": str(meeting.end),
            "join_url": f"https://meeting.tencent.com/dm/{meeting.meeting_id}",
            "join_meeting_role": role(meeting, caller),
            "need_password": False,
            "time_zone": "",
        }
        if meeting.hosts:
            told["hosts"] = [{"userid": each} for each in meeting.hosts]
        if meeting.subs:
            shown = meeting.subs if every else meeting.subs[:1]
            told |= {
                "current_sub_meeting_id": meeting.subs[0].sub_meeting_id,
                "has_more_sub_meeting": int(len(shown) < len(meeting.subs)),
                "remain_sub_meetings": len(meeting.subs),
                "sub_meetings": [
                    {
                        "sub_meeting_id": each.sub_meeting_id,
                        "status": int(each.deleted),
                        "start_time": str(each.start),
                        "end_time": str(each.end),
                    }
                    for each in shown
                ],
            }
        return told


def read_body(body: bytes) -> Body:
    try:
        content = json.loads(body or b"{}")
    except ValueError as error:
        raise Refusal(190004, "the body is no JSON") from error
    return content if isinstance(content, dict) else {}


def operator(given: Query | Body) -> str:
    if str(given.get("operator_id_type", "")) != "1":
        raise Refusal(190004, "operator_id_type must be 1")
    return str(given.get("operator_id", ""))


def role(meeting: CloudMeeting, caller: str) -> str:
    if caller == meeting.creator:
        return "creator"
    if caller in meeting.hosts:
        return "hoster"
    return "invitee" if caller in meeting.invitees else ""


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def person(visit: CloudVisit) -> Body:
    """Names in base64, times as strings; no left_time while inside, when alone there is an address."""
    told: Body = {
        "userid": visit.userid,
        "ms_open_id": visit.ms_open_id,
        "user_name": encoded(visit.name),
        "join_time": str(visit.joined),
        "instanceid": 1,
        "user_role": 0,
        "join_type": 1,
        "is_enterprise_user": bool(visit.userid),
    }
    return told | ({"left_time": str(visit.left)} if visit.left else {"ip": "127.0.0.1"})
