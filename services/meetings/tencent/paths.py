"""Where a meeting is in Tencent's API."""

from services.meetings.provider import NoSuchMeetingError


def meeting_path(meeting_id: str) -> str:
    return f"/v1/meetings/{checked(meeting_id)}"


def control_path(meeting_id: str) -> str:
    return f"/v1/real-control/meetings/{checked(meeting_id)}"


def checked(meeting_id: str) -> str:
    """What is no id of theirs must not become another path. Raises NoSuchMeetingError."""
    if not (meeting_id.isascii() and meeting_id.isalnum() and len(meeting_id) <= 64):
        raise NoSuchMeetingError("not an id of a meeting of this provider")
    return meeting_id
