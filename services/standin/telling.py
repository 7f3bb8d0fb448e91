"""How the stand-in's webhooks tell what happened. Times of meetings are numbers here, and strings in the API."""

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.standin.cloud import CloudMeeting, CloudVisit, CloudWaiting

OF_PEOPLE = ("meeting.participant-joined", "meeting.participant-left")

Told = dict[str, Any]


def told(event: str, moment: int, meeting: Told, operator: Told | None, end_type: int | None) -> Told:
    """`moment` in epoch milliseconds."""
    payload: Told = {"operate_time": moment, "meeting_info": meeting}
    if operator is not None:
        payload["operator"] = operator
    if event in OF_PEOPLE:
        payload["action_scene_type"] = 0
    if end_type is not None:
        payload["meeting_end_type"] = end_type
    return {"event": event, "trace_id": str(uuid.uuid4()), "payload": [payload]}


def told_meeting(meeting: "CloudMeeting", sub: str, status: int | None) -> Told:
    info: Told = {
        "meeting_id": meeting.meeting_id,
        "meeting_code": meeting.code,
        "subject": meeting.subject,
        "creator": {"userid": meeting.creator, "user_name": meeting.creator},
        "meeting_type": 1 if meeting.subs else meeting.kind,
        "start_time": meeting.start,
        "end_time": meeting.end,
        "meeting_create_mode": 0,
        "meeting_id_type": 0,
    }
    if sub:
        one = meeting.occurrence(sub)
        info |= {"sub_meeting_id": sub, "sub_meeting_start_time": one.start, "sub_meeting_end_time": one.end}
    if status is not None:
        info["meeting_participant_status"] = status
    return info


def told_by_name(userid: str) -> Told:
    return {"userid": userid, "user_name": userid, "instance_id": "1"}


def told_person(person: "CloudVisit | CloudWaiting") -> Told:
    return {
        "userid": person.userid,
        "ms_open_id": person.ms_open_id,
        "user_name": person.name,
        "instance_id": str(person.instanceid),
    }
