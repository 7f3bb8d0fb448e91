"""A meeting as it is wanted, before it is made. Times are epoch milliseconds."""

from dataclasses import dataclass, field

USUAL_ZONE = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class MeetingOptions:
    """As in the contract. Persons are accounts of ours."""

    time_zone: str = USUAL_ZONE
    invitees: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    password: str = field(default="", repr=False)
    waiting_room: bool = False
    enter_before_host: bool = False
    organization_only: bool = False
    watermark: bool = False
    mute_on_entry: bool = False


@dataclass(frozen=True, slots=True)
class MeetingPlan:
    """[start_time, end_time), whole seconds."""

    subject: str
    start_time: int
    end_time: int
    options: MeetingOptions = MeetingOptions()
