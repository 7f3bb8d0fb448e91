"""What Tencent's REST API answers, as far as it is read: one model an endpoint, and one for its errors."""

import base64
import binascii
import math
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _number(value: Any) -> Any:
    return value or 0  # "" and null stand for none


def _decoded(value: Any) -> Any:
    """Names travel in base64; one that does not is taken as it is, for a name must not cost an answer."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError, TypeError):
        return value if isinstance(value, str) else ""


def _figure(value: Any) -> Any:
    """Figures travel as text; one that is none is not told."""
    try:
        figure = float(value)
    except (TypeError, ValueError):
        return None
    return figure if math.isfinite(figure) and figure >= 0 else None


Figure = Annotated[float | None, BeforeValidator(_figure)]
Number = Annotated[int, BeforeValidator(_number)]
Seconds = Number
Encoded = Annotated[str, BeforeValidator(_decoded)]


class TencentAnswer(BaseModel):
    """Unknown fields are ignored: there will be more. A null is a field that is not there."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, content: Any) -> Any:
        return (
            {name: value for name, value in content.items() if value is not None} if type(content) is dict else content
        )


class User(TencentAnswer):
    userid: str = ""


class SubMeeting(TencentAnswer):
    sub_meeting_id: str
    status: int | str = 0  # 0 as planned, 1 called off
    start_time: Seconds = 0
    end_time: Seconds = 0


class MeetingInfo(TencentAnswer):
    meeting_id: str
    meeting_code: str = ""
    subject: str = ""
    status: str = ""
    meeting_type: int = 0
    start_time: Seconds = 0
    end_time: Seconds = 0
    hosts: list[User] = []
    join_meeting_role: str = ""
    sub_meetings: list[SubMeeting] = []
    has_more_sub_meeting: int = 0


class OwnMeeting(MeetingInfo):
    """As the person to whom it is listed sees it, or as it was made. Never its password."""

    join_url: str = ""


class Made(TencentAnswer):
    """Exactly one: of what is not there it is not known whether it was made."""

    meeting_info_list: Annotated[list[OwnMeeting], Field(min_length=1, max_length=1)]


class OwnMeetings(TencentAnswer):
    """Some of a person's meetings. `remaining` is required: what is not said to be all must not be taken for it."""

    remaining: int
    meeting_info_list: list[OwnMeeting] = []
    next_pos: Number = 0
    next_cursory: Number = 0


class Meetings(TencentAnswer):
    """With neither field it says nothing, and must not be taken for "there is none"."""

    meeting_number: int = -1
    meeting_info_list: list[MeetingInfo] = []

    @model_validator(mode="after")
    def refuse_silence(self) -> Self:
        if self.meeting_number < 0 and not self.meeting_info_list:
            raise ValueError("an answer without meeting_number")
        return self


class Visit(TencentAnswer):
    userid: str = ""
    open_id: str = ""
    ms_open_id: str = ""
    user_name: Encoded = ""
    join_time: Annotated[int, BeforeValidator(_number), Field(gt=0)]
    left_time: Seconds = 0


class Visits(TencentAnswer):
    """`meeting_id` and `total_count` are required: an empty object must not be taken for "nobody"."""

    meeting_id: str
    total_count: int
    participants: list[Visit] = []
    has_remaining: bool = False
    next_pos: int = 0


R = TypeVar("R")


class NumberedPage(TencentAnswer, Generic[R]):
    """`total_count` is required: an empty object must not be taken for "nobody"."""

    total_count: Annotated[int, Field(ge=0)]
    total_page: Number = 0
    current_page: Number = 0
    rows: list[R] = Field([], validation_alias=AliasChoices("participants", "meeting_info_list"))


class VisitNow(Visit):
    """Somebody who is inside, at one device. `instanceid` says which kind of device."""

    instanceid: str = ""
    user_role: Number = 0
    join_type: Number = 0
    audio_state: bool | None = None
    video_state: bool | None = None
    screen_shared_state: bool | None = None


class Inside(NumberedPage[VisitNow]):
    meeting_id: str
    status: str = ""


class WaitingPerson(TencentAnswer):
    """No answer is known to say since when."""

    userid: str = ""
    open_id: str = ""
    ms_open_id: str = ""
    user_name: Encoded = ""
    instanceid: str = ""
    join_time: Seconds = 0


class WaitingRoom(NumberedPage[WaitingPerson]):
    meeting_id: str = ""


class Network(TencentAnswer):
    network_delay: Figure = None
    upstream_packet_loss: Figure = None
    downstream_packet_loss: Figure = None


class DeviceQuality(TencentAnswer):
    instanceid: str = ""
    network: Network = Network()


class PersonQuality(TencentAnswer):
    """Names are plain here."""

    ms_open_id: str = ""
    nick_name: str = ""
    qos_details: list[DeviceQuality] = []


class MeetingQuality(NumberedPage[PersonQuality]):
    """The people of one meeting."""


class CorpMeeting(TencentAnswer):
    """Times are seconds, but milliseconds of what has ended. Other types than 0, 1 and 6 are not told."""

    meeting_id: Annotated[str, Field(min_length=1, max_length=64)]
    meeting_code: str = ""
    subject: str = ""
    userid: str = ""
    userid_type: Number = 1
    nick_name: str = ""
    start_time: Number = 0
    end_time: Number = 0
    meeting_type: int = -1
    sub_meeting_id: Annotated[str, Field(max_length=64)] = ""
    online_member_num: int | None = None
    participants_num: int | None = None


class CorpMeetings(NumberedPage[CorpMeeting]):
    """Those of one list."""


class PersonId(TencentAnswer):
    ms_open_id: Annotated[str, Field(min_length=1)]


class Invitees(TencentAnswer):
    """With neither field it says nothing, and must not be taken for "nobody": who is left out is invited no longer."""

    invitees: list[User] = []
    has_remaining: bool = False
    next_pos: Number = 0

    @model_validator(mode="after")
    def refuse_silence(self) -> Self:
        if not self.model_fields_set & {"invitees", "has_remaining"}:
            raise ValueError("an answer without invitees")
        return self


class Invited(TencentAnswer):
    user_non_registered: list[str] = []


class UserDepartment(TencentAnswer):
    """`department_full_name` has the names above it before its own, with "/" between them."""

    department_name: str = ""
    department_full_name: str = ""
    is_main: bool = False


class ListedUser(TencentAnswer):
    """A user of the enterprise. Names are plain here."""

    userid: Annotated[str, Field(min_length=1)]
    username: str = ""
    area: str = ""
    phone: str = ""
    email: str = ""
    staff_id: str = ""
    job_title: str = ""
    status: Number = 0
    user_account_type: Number = 0
    department_list: list[UserDepartment] = []


class People(TencentAnswer):
    """`users` is required: an empty object must not be taken for "nobody else"."""

    users: list[ListedUser]
    has_remaining: bool = False
    next_pos: str = ""


class ErrorInfo(TencentAnswer):
    error_code: int
    message: str = ""


class Failure(TencentAnswer):
    error_info: ErrorInfo | None = None


class Done(TencentAnswer):
    """Nothing to read."""
