"""What callers send, checked and made plain: every fault names its field and the way out."""

import re
import unicodedata
from dataclasses import dataclass, fields, replace

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.meetings.v1.meeting_pb2 import MeetingOptions

from services.booking import answers
from services.booking.meetings import SeenOccurrence
from services.booking.models import LONGEST
from services.contracts import invitations, recurrence
from services.platform.clock import DAY, from_timestamp
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.serving.identity import Principal
from services.platform.text.messages import message

MAX_PARTICIPANTS = 10_000
MAX_SUBJECT = 200
MAX_NOTE = 500
MAX_OBJECTION = 1000
MAX_DURATION = LONGEST
MAX_AHEAD = 366 * DAY
MAX_SEARCH = 31 * DAY
MAX_INVITEES, MAX_HOSTS = 300, 10

FOR_OTHERS = "reservations.manage"
"""Whoever is permitted this may act for others."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PASSWORD = re.compile(r"[0-9]{4,6}")


@dataclass(frozen=True, slots=True)
class ChangeInput:
    """A checked request for a change. Times are epoch ms; None is unchanged; `version` 0 is any."""

    request_id: str
    reservation_id: str
    start_time: int | None
    end_time: int | None
    participant_count: int | None
    version: int
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class ReservationInput:
    """A checked request for a room, and who makes it. Times are epoch ms; room_id is "" when not given."""

    request_id: str
    meeting_code: str
    subject: str
    start_time: int
    end_time: int
    participant_count: int
    room_id: str
    account_id: str
    """Who is charged; "" until it is known who asks: then that is their own account."""
    body_hash: bytes
    actor: str = ""
    profile: pb.Organizer | None = None
    """Of the account, as the token says; None for another's account, which must be known already."""
    roles: str = ""
    """Of the account, space separated; "" without a profile."""
    by: audit.Caller | None = None
    """Who asks for another, for the audit log."""
    meeting: SeenOccurrence | None = None
    """What was found behind the number; None where nobody looked."""
    obstacle: errors.RpcError | None = None
    """Why the meeting cannot be had; told unless the request is a repeated one."""
    new_meeting: MeetingOptions | None = None
    """The meeting is to be made, too."""
    making_id: str = ""
    """As which it was made; "" while it is not, and when nobody asked for that."""

    @property
    def lacks_meeting(self) -> bool:
        """It cannot be stored without one that is yet to be made."""
        return self.new_meeting is not None and not self.making_id

    @property
    def interval(self) -> tuple[int, int]:
        return self.start_time, self.end_time


def shared_with(kind: type[Message]) -> tuple[str, ...]:
    """The words and numbers of a request that a message of that kind tells of, under the same names."""
    told = {each.name for each in kind.DESCRIPTOR.fields if each.message_type is None}
    return tuple(each.name for each in fields(ReservationInput) if each.name in told)


def to_input(request: api.CreateReservationRequest, *, complete: bool = True) -> ReservationInput:
    """Checks every field by itself. `complete=False` (a mere check) lets meeting_code and subject be empty."""
    start, end = interval(request.start_time, request.end_time)
    made = request.HasField("new_meeting")
    if made and request.meeting_code:
        raise errors.invalid("new_meeting", message("give either this or meeting_code"))
    if made and complete and not request.request_id:
        raise errors.invalid("request_id", message("is required where a meeting is made: nothing is to be made twice"))
    code = "" if made or not (complete or request.meeting_code) else invitations.meeting_code(request.meeting_code)
    return ReservationInput(
        request_id=optional_id("request_id", request.request_id),
        meeting_code=code,
        subject=subject(request.subject) if complete or request.subject else "",
        start_time=start,
        end_time=end,
        participant_count=count("participant_count", request.participant_count, MAX_PARTICIPANTS),
        room_id=optional_id("room_id", request.room_id),
        account_id=text("account_id", request.account_id, 128),
        body_hash=answers.body_hash(without_password(request)),
        new_meeting=meeting_options(request.new_meeting) if made else None,
    )


def without_password(request: api.CreateReservationRequest) -> api.CreateReservationRequest:
    """Of so few digits any that fits a stored hash is found at once."""
    if not request.new_meeting.password:
        return request
    rest = api.CreateReservationRequest()
    rest.CopyFrom(request)
    rest.new_meeting.password = ""
    return rest


def meeting_options(given: MeetingOptions) -> MeetingOptions:
    """Checked, with everybody once."""
    if given.time_zone:
        recurrence.time_zone(given.time_zone, "new_meeting.time_zone")
    if given.password and not _PASSWORD.fullmatch(given.password):
        raise errors.invalid("new_meeting.password", message("must be 4 to 6 digits"))
    options = MeetingOptions()
    options.CopyFrom(given)
    for name, most in (("invitee_account_ids", MAX_INVITEES), ("host_account_ids", MAX_HOSTS)):
        accounts, field = getattr(options, name), f"new_meeting.{name}"
        once = list(dict.fromkeys(required_account(field, each) for each in accounts))
        if len(once) > most:
            raise errors.invalid(field, message("must be at most {most:,} accounts", most=most))
        del accounts[:]
        accounts.extend(once)
    return options


def with_caller(wanted: ReservationInput, caller: Principal) -> ReservationInput:
    """Raises errors.RpcError when the caller may book for nobody else. For whom is asked where accounts are known."""
    if wanted.account_id in ("", caller.account_id):
        roles, account_id = " ".join(sorted(caller.roles)), caller.account_id
        return replace(wanted, actor=account_id, account_id=account_id, profile=to_profile(caller), roles=roles)
    if not caller.may(FOR_OTHERS):
        raise errors.not_permitted(message("account_id: booking for another account"), FOR_OTHERS)
    return replace(wanted, actor=caller.account_id, by=audit.caller())


def to_profile(caller: Principal) -> pb.Organizer:
    return pb.Organizer(
        account_id=caller.account_id,
        display_name=caller.display_name,
        email=caller.email,
        locale=caller.locale,
        department=caller.department,
    )


def to_change(request: api.UpdateReservationRequest) -> ChangeInput:
    """Checks every field by itself; the interval is checked when the other end is known."""
    if not (request.HasField("start_time") or request.HasField("end_time") or request.HasField("participant_count")):
        raise errors.invalid(
            "start_time",
            message("give what is to change: start_time, end_time or participant_count"),
        )
    if request.version < 0:
        raise errors.invalid("version", message("must be that of the reservation, or 0 for any"))
    people = request.participant_count if request.HasField("participant_count") else None
    return ChangeInput(
        request_id=optional_id("request_id", request.request_id),
        reservation_id=required_id("reservation_id", request.reservation_id),
        start_time=whole_second("start_time", request.start_time) if request.HasField("start_time") else None,
        end_time=whole_second("end_time", request.end_time) if request.HasField("end_time") else None,
        participant_count=None if people is None else count("participant_count", people, MAX_PARTICIPANTS),
        version=request.version,
        body_hash=answers.body_hash(request),
    )


def check_ahead(start: int, now: int) -> None:
    """Neither in the past nor more than a year ahead (epoch ms).

    Checked when it is known that the request is not a repeated one: that gets its answer at any time.
    """
    if start < now:
        raise errors.invalid("start_time", message("lies in the past: choose a time to come"))
    if start > now + MAX_AHEAD:
        raise errors.invalid("start_time", message("lies more than a year ahead"))


def interval(start_time: Timestamp, end_time: Timestamp) -> tuple[int, int]:
    """start before end, whole seconds, at most a day long."""
    start, end = whole_second("start_time", start_time), whole_second("end_time", end_time)
    if end <= start:
        raise errors.invalid("end_time", errors.LATER)
    if end - start > MAX_DURATION:
        raise errors.invalid("end_time", message("must be at most 24 hours after start_time"))
    return start, end


def search_window(start_time: Timestamp, end_time: Timestamp) -> tuple[int, int]:
    """start before end, whole seconds, at most 31 days apart."""
    start, end = whole_second("start_time", start_time), whole_second("end_time", end_time)
    if end <= start:
        raise errors.invalid("end_time", errors.LATER)
    if end - start > MAX_SEARCH:
        raise errors.invalid("end_time", message("must be at most 31 days after start_time"))
    return start, end


def whole_second(field: str, value: Timestamp) -> int:
    """Required; epoch ms of a whole second."""
    if timestamp(field, value).nanos:
        raise errors.invalid(field, message("must be a whole second"))
    return from_timestamp(value)


def timestamp(field: str, value: Timestamp) -> Timestamp:
    """Required; between the years 1970 and 9999."""
    errors.moment(field, value)
    return value


def subject(given: str) -> str:
    value = text("subject", given, MAX_SUBJECT)
    if not value:
        raise errors.invalid("subject", message("is required: say what the meeting is about"))
    return value


def text(field: str, given: str, longest: int) -> str:
    """Trimmed; at most `longest` characters; no control characters."""
    value = given.strip()
    check_length(field, value, longest)
    if has_controls(value):
        raise errors.invalid(field, message("must be one line without control characters"))
    return value


def lines(field: str, given: str, longest: int) -> str:
    """As `text`, but in as many lines as one likes; they end with LF, however they were typed."""
    value = given.replace("\r\n", "\n").strip()
    check_length(field, value, longest)
    if has_controls(value.replace("\n", "")):
        raise errors.invalid(field, message("must not have control characters other than ends of lines"))
    return value


def check_length(field: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise errors.invalid(
            field,
            message("must be at most {longest:,} characters, has {length:,}", longest=longest, length=len(value)),
        )


def has_controls(value: str) -> bool:
    if value.isprintable():  # whatever is not meant here is not either
        return False
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value)


def count(field: str, value: int, most: int) -> int:
    if not 1 <= value <= most:
        raise errors.invalid(field, message("must be between 1 and {most:,}, is {value:,}", most=most, value=value))
    return value


def optional_id(field: str, value: str) -> str:
    return identifier(field, value) if value else ""


def required_id(field: str, value: str) -> str:
    if not value:
        raise errors.invalid(field, errors.REQUIRED)
    return identifier(field, value)


def required_account(field: str, value: str) -> str:
    """An account's id, which may be any word."""
    account_id = text(field, value, 128)
    if not account_id:
        raise errors.invalid(field, errors.REQUIRED)
    return account_id


def identifier(field: str, value: str) -> str:
    if not _ID.fullmatch(value):
        raise errors.invalid(field, message('must be 1 to 64 letters, digits, ".", "_" or "-"'))
    return value
