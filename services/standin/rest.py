"""The calls that the stand-in understands, with the original's envelopes, pages, encodings and refusals."""

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from services.standin.cloud import Cloud, CloudMeeting
from services.standin.control_calls import ControlCalls
from services.standin.corp_calls import CorpCalls
from services.standin.making_calls import MakingCalls
from services.standin.people_calls import PeopleCalls
from services.standin.request_checks import ACCOUNT_MEETINGS, ACCOUNT_USERS, Refusal, Request
from services.standin.users import list_users
from services.standin.wire import Body, Query, caller, meeting_of, operator, read_body


class Rest:
    """Answers admitted requests. Raises Refusal."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.control = ControlCalls(cloud)
        self.making = MakingCalls(cloud, self._told)
        people, corp = PeopleCalls(cloud), CorpCalls(cloud)
        one, control = r"/v1/meetings/(\d+)", r"/v1/real-control/meetings/(\d+)"
        self._routes: list[tuple[str, re.Pattern[str], Callable[[str, Query, Body], Body]]] = [
            ("GET", re.compile("/v1/meetings()"), self._find),
            ("POST", re.compile("/v1/meetings()"), self.making.create),
            ("GET", re.compile(one), self._get),
            ("PUT", re.compile(one), self.making.modify),
            ("POST", re.compile(f"{one}/cancel"), self.making.cancel),
            ("GET", re.compile(f"{ACCOUNT_MEETINGS}()"), corp.meetings),
            ("GET", re.compile(f"{one}/participants"), people.participants),
            ("GET", re.compile(f"{one}/real-time-participants"), people.inside),
            ("GET", re.compile(f"{one}/waiting-room-participants"), people.waiting),
            ("GET", re.compile(f"{one}/qos"), people.quality),
            ("GET", re.compile(f"{one}/ms-open-id"), people.person_id),
            ("GET", re.compile(f"{one}/invitees"), people.invitees),
            ("PUT", re.compile(f"{one}/invitees"), people.invite),
            ("POST", re.compile(f"{one}/dismiss"), self.control.dismiss),
            *(("PUT", re.compile(f"{control}/{word}"), verb) for word, verb in self.control.verbs().items()),
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
        who = caller(self.cloud, query.get("userid", ""))
        if not query.get("instanceid"):
            raise Refusal(190004, "instanceid is required")
        if "meeting_code" not in query:
            return self.making.own(who, query)
        if not re.fullmatch(r"\d{9}", query["meeting_code"]):
            raise Refusal(190004, "meeting_code must be 9 digits")
        meeting = self.cloud.holder(query["meeting_code"])
        if meeting is None or not meeting.enterprise:
            raise Refusal(9003, "MEETING NOT EXIST")
        every = query.get("is_show_all_sub_meetings") == "1"
        return {"meeting_number": 1, "meeting_info_list": [self._told(meeting, who, every=every)]}

    def _get(self, meeting_id: str, query: Query, _body: Body) -> Body:
        who = caller(self.cloud, operator(query))
        meeting = meeting_of(self.cloud, meeting_id)
        if meeting.cancelled:
            raise Refusal(9007, "MEETING CANCELED")
        return {"meeting_number": 1, "meeting_info_list": [self._told(meeting, who, every=True)]}

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
            "need_password": bool(meeting.password),
            "time_zone": meeting.time_zone,
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


def role(meeting: CloudMeeting, caller: str) -> str:
    if caller == meeting.creator:
        return "creator"
    if caller in meeting.hosts:
        return "hoster"
    return "invitee" if caller in meeting.invitees else ""
