"""How the stand-in's calls read what they are asked, and say what everybody's answers have in common."""

import base64
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from services.standin.cloud import Cloud, CloudMeeting, CloudVisit, CloudWaiting
from services.standin.request_checks import Refusal

Query = dict[str, str]
Body = dict[str, Any]

T = TypeVar("T")

USER, PERSON = "1", "4"
MEMBER, CREATOR, HOST, CREATOR_AND_HOST, GUEST, CO_HOST, CREATOR_AND_CO_HOST = 0, 1, 2, 3, 4, 6, 7


def read_body(body: bytes) -> Body:
    try:
        content = json.loads(body or b"{}")
    except ValueError as error:
        raise Refusal(190004, "the body is no JSON") from error
    return content if isinstance(content, dict) else {}


def operator(given: Query | Body) -> str:
    """Of the calls that only ask."""
    if str(given.get("operator_id_type", "")) != USER:
        raise Refusal(190004, "operator_id_type must be 1")
    return str(given.get("operator_id", ""))


def caller(cloud: Cloud, userid: str) -> str:
    if userid not in cloud.users:
        raise Refusal(190001, "USER NOT REGISTERED")
    return userid


def meeting_of(cloud: Cloud, meeting_id: str) -> CloudMeeting:
    meeting = cloud.meetings.get(meeting_id)
    if meeting is None or not meeting.enterprise:
        raise Refusal(9003, "MEETING NOT EXIST")
    return meeting


def own(cloud: Cloud, meeting_id: str, userid: str) -> CloudMeeting:
    """Of its creator, or for the administrator."""
    who, meeting = caller(cloud, userid), meeting_of(cloud, meeting_id)
    if who not in (meeting.creator, cloud.admin):
        raise not_permitted()
    return meeting


def not_permitted() -> Refusal:
    return Refusal(9042, "NO PERMISSION", 403)


def page_of(rows: Sequence[T], query: Query, *, least: int = 1, most: int, size: int = 0) -> tuple[list[T], Body]:
    """Some rows, and what is said of all; `size` is what is taken when none is asked for, 0: one must be."""
    page, wanted = int(query.get("page") or (1 if size else 0)), int(query.get("page_size") or size)
    if page < 1 or not least <= wanted <= most:
        raise Refusal(190004, f"page and page_size ({least} to {most}) are required")
    shown = list(rows[(page - 1) * wanted : page * wanted])
    return shown, {
        "total_count": len(rows),
        "current_page": page,
        "current_size": len(shown),
        "total_page": -(-len(rows) // wanted),
    }


def of_occurrence(meeting: CloudMeeting, query: Query, visits: list[CloudVisit]) -> list[CloudVisit]:
    sub = query.get("sub_meeting_id", "")
    if meeting.subs and sub not in {each.sub_meeting_id for each in meeting.subs}:
        raise Refusal(190004, "sub_meeting_id is required for a recurring meeting")
    return [each for each in visits if not meeting.subs or each.sub_meeting_id == sub]


def schedule(meeting: CloudMeeting) -> Body:
    return {
        "meeting_id": meeting.meeting_id,
        "meeting_code": meeting.code,
        "schedule_start_time": str(meeting.start),
        "schedule_end_time": str(meeting.end),
    }


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def name_of(person: CloudVisit | CloudWaiting) -> str:
    return base64.b64encode(person.raw_name).decode() if person.raw_name else encoded(person.name)


def role_in(meeting: CloudMeeting, visit: CloudVisit) -> int:
    """`user_role`: whoever made it is host as long as nobody else is named."""
    if visit.userid and visit.userid == meeting.creator:
        return CREATOR if meeting.hosts and visit.userid not in meeting.hosts else CREATOR_AND_HOST
    if meeting.is_host(visit.userid):
        return HOST
    if visit.ms_open_id in meeting.cohosts:
        return CO_HOST
    return MEMBER if visit.userid else GUEST


def person(meeting: CloudMeeting, visit: CloudVisit) -> Body:
    """Names in base64, times as strings; no left_time while inside, when alone there are states and an address."""
    told: Body = {
        "userid": visit.userid,
        "ms_open_id": visit.ms_open_id,
        "user_name": name_of(visit),
        "join_time": str(visit.joined),
        "instanceid": visit.instanceid,
        "user_role": role_in(meeting, visit),
        "join_type": 1,
        "is_enterprise_user": bool(visit.userid),
    }
    states = {
        "audio_state": visit.microphone,
        "video_state": visit.camera,
        "screen_shared_state": visit.sharing,
        "ip": "127.0.0.1",
    }
    return told | ({"left_time": str(visit.left)} if visit.left else states)
