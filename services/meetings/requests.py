"""What callers ask, checked and made plain: every fault names its field and the way out."""

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.meetings.v1 import meeting_pb2 as pb

from services.meetings.provider import MeetingKey
from services.platform.serving import errors

LONGEST_ID = 64
LONGEST_ACCOUNT = 128
LONGEST_SUBJECT = 200


def meeting_key(given: pb.MeetingKey) -> MeetingKey:
    for name in ("provider", "meeting_id", "sub_meeting_id"):
        value = getattr(given, name)
        if len(value) > LONGEST_ID or not value.isprintable():
            raise errors.invalid(
                f"meeting.{name}", f"must be at most {LONGEST_ID} printable characters", f"最多 {LONGEST_ID} 个可见字符"
            )
        if not value and name != "sub_meeting_id":
            raise errors.invalid(f"meeting.{name}", *errors.REQUIRED)
    return MeetingKey(given.provider, given.meeting_id, given.sub_meeting_id)


def account(given: str) -> str:
    if len(given) > LONGEST_ACCOUNT or not given.isprintable():
        raise errors.invalid(
            "account_id",
            f"must be at most {LONGEST_ACCOUNT} printable characters",
            f"最多 {LONGEST_ACCOUNT} 个可见字符",
        )
    return given


def subject(given: str) -> str:
    if not given.strip() or len(given) > LONGEST_SUBJECT or not given.isprintable():
        raise errors.invalid(
            "subject",
            f"say what the meeting is about, in at most {LONGEST_SUBJECT} characters",
            f"请写明会议主题，最多 {LONGEST_SUBJECT} 个字符",
        )
    return given.strip()


def interval(start_time: Timestamp, end_time: Timestamp) -> tuple[int, int]:
    start, end = errors.moment("start_time", start_time), errors.moment("end_time", end_time)
    if end <= start:
        raise errors.invalid("end_time", *errors.LATER)
    return start, end
