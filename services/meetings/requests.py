"""What callers ask, checked and made plain: every fault names its field and the way out."""

from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.meetings.v1 import meeting_pb2 as pb

from services.meetings.provider import MeetingKey
from services.platform.serving import errors
from services.platform.text.messages import message

LONGEST_ID = 64
LONGEST_ACCOUNT = 128
LONGEST_SUBJECT = 200
LONGEST_PAGE_TOKEN = 500


def meeting_key(given: pb.MeetingKey, field: str = "meeting") -> MeetingKey:
    for name in ("provider", "meeting_id", "sub_meeting_id"):
        value = getattr(given, name)
        if len(value) > LONGEST_ID or not value.isprintable():
            raise errors.invalid(
                f"{field}.{name}", message("must be at most {limit} printable characters", limit=LONGEST_ID)
            )
        if not value and name != "sub_meeting_id":
            raise errors.invalid(f"{field}.{name}", errors.REQUIRED)
    return MeetingKey(given.provider, given.meeting_id, given.sub_meeting_id)


def account(given: str, field: str = "account_id") -> str:
    if len(given) > LONGEST_ACCOUNT or not given.isprintable():
        raise errors.invalid(
            field,
            message("must be at most {limit} printable characters", limit=LONGEST_ACCOUNT),
        )
    return given


def page_token(given: str) -> str:
    if len(given) > LONGEST_PAGE_TOKEN or not given.isprintable():
        raise errors.invalid(
            "page_token",
            message("must be at most {limit} printable characters", limit=LONGEST_PAGE_TOKEN),
        )
    return given


def subject(given: str) -> str:
    if not given.strip() or len(given) > LONGEST_SUBJECT or not given.isprintable():
        raise errors.invalid(
            "subject",
            message("say what the meeting is about, in at most {limit} characters", limit=LONGEST_SUBJECT),
        )
    return given.strip()


def line(field: str, given: str, longest: int) -> str:
    """Trimmed, of at most so many characters."""
    text = given.strip()
    if len(text) > longest or not text.isprintable():
        raise errors.invalid(field, message("must be at most {limit} printable characters", limit=longest))
    return text


def interval(start_time: Timestamp, end_time: Timestamp) -> tuple[int, int]:
    start, end = errors.moment("start_time", start_time), errors.moment("end_time", end_time)
    if end <= start:
        raise errors.invalid("end_time", errors.LATER)
    return start, end
