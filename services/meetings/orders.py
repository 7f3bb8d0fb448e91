"""What callers of ControlService ask, checked and made plain: every fault names its field and the way out."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from google.protobuf.message import Message
from yunhui.meetings.v1 import control_service_pb2 as pb
from yunhui.meetings.v1 import listed_meeting_pb2 as listed

from services.meetings import requests
from services.meetings.people import Target
from services.meetings.provider import MeetingKey
from services.meetings.steering import (
    Act,
    Admit,
    ChangeSettings,
    Chat,
    End,
    Invite,
    Mute,
    MuteOnEntry,
    PutInWaitingRoom,
    Remove,
    Rename,
    SetCoHost,
    StopSharing,
    StopVideo,
    TurnAway,
)
from services.platform.serving import errors
from services.platform.text.messages import message

LONGEST_REASON, LONGEST_NAME = 200, 20
LONGEST_PERSON = 256
MOST_TARGETS, MOST_INVITED = 20, 100
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True, slots=True)
class SteeringOrder:
    """`body_hash` tells one request from another, of another method too."""

    meeting: MeetingKey
    request_id: str
    reason: str
    act: Act
    body_hash: bytes

    @property
    def targets(self) -> Sequence[Target]:
        """Whom it is done to; none for what concerns the meeting."""
        one: Target | None = getattr(self.act, "target", None)
        several: Sequence[Target] = getattr(self.act, "targets", ())
        return (one,) if one else several


def read(request: Any) -> SteeringOrder:
    """Of any of the requests. Raises errors.RpcError."""
    if not request.HasField("order"):
        raise errors.invalid("order", errors.REQUIRED)
    order: pb.ControlOrder = request.order
    if not order.HasField("meeting"):
        raise errors.invalid("order.meeting", errors.REQUIRED)
    if not _REQUEST_ID.fullmatch(order.request_id):
        words = message('must be 8 to 64 letters, digits, "-" and "_"')
        raise errors.invalid("order.request_id", words)
    reason = requests.line("order.reason", order.reason, LONGEST_REASON)
    act = _ACTS[type(request)](request)
    return SteeringOrder(
        requests.meeting_key(order.meeting, "order.meeting"), order.request_id, reason, act, _hash(request)
    )


def _hash(request: Message) -> bytes:
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + request.SerializeToString(deterministic=True)).digest()


def _target(request: Any) -> Target:
    if not request.HasField("target"):
        raise errors.invalid("target", errors.REQUIRED)
    return _to_target("target", request.target)


def _to_target(field: str, given: listed.Target) -> Target:
    if not given.person_id:
        raise errors.invalid(f"{field}.person_id", errors.REQUIRED)
    for name, value in (("person_id", given.person_id), ("terminal", given.terminal)):
        if len(value) > LONGEST_PERSON or not value.isprintable():
            words = message("must be at most {limit} printable characters", limit=LONGEST_PERSON)
            raise errors.invalid(f"{field}.{name}", words)
    return Target(given.person_id, given.terminal)


def _targets(request: Any) -> tuple[Target, ...]:
    given = request.targets
    if not 1 <= len(given) <= MOST_TARGETS:
        raise errors.invalid("targets", message("name 1 to {most} of them", most=MOST_TARGETS))
    return tuple(_to_target(f"targets[{number}]", each) for number, each in enumerate(given))


def _display_name(given: str) -> str:
    name = requests.line("display_name", given, LONGEST_NAME)
    if not name:
        raise errors.invalid("display_name", errors.REQUIRED)
    return name


def _accounts(given: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(given) <= MOST_INVITED:
        raise errors.invalid("account_ids", message("name 1 to {most} of them", most=MOST_INVITED))
    if not all(given):
        raise errors.invalid("account_ids", errors.REQUIRED)
    return tuple(dict.fromkeys(requests.account(each, "account_ids") for each in given))


_CHOICES: Mapping[str, tuple[Any, Any]] = {
    "mute_on_entry": (pb.MuteOnEntry, MuteOnEntry),
    "chat": (pb.Chat, Chat),
}


def _change_settings(request: Any) -> Act:
    settings, wanted = request.settings, dict[str, Any]()
    for name in (each.name for each in fields(ChangeSettings)):
        given = getattr(settings, name)
        if name in _CHOICES:
            theirs, ours = _CHOICES[name]
            if given not in theirs.values():
                raise errors.invalid(f"settings.{name}", message("{number} is none that we know", number=given))
            if given:
                wanted[name] = ours(theirs.Name(given).removeprefix(theirs.Name(0).removesuffix("UNSPECIFIED")))
        elif settings.HasField(name):
            wanted[name] = given
    if not wanted:
        raise errors.invalid("settings", message("say what shall be different"))
    return ChangeSettings(**wanted)


_ACTS: Mapping[type[Message], Callable[[Any], Act]] = {
    pb.ChangeMeetingSettingsRequest: _change_settings,
    pb.MutePersonRequest: lambda asked: Mute(_target(asked), asked.muted),
    pb.RemovePeopleRequest: lambda asked: Remove(_targets(asked), asked.may_return),
    pb.SetCoHostRequest: lambda asked: SetCoHost(_target(asked), asked.co_host),
    pb.AdmitPeopleRequest: lambda asked: Admit(_targets(asked)),
    pb.PutInWaitingRoomRequest: lambda asked: PutInWaitingRoom(_targets(asked)),
    pb.TurnPeopleAwayRequest: lambda asked: TurnAway(_targets(asked), asked.may_return),
    pb.RenamePersonRequest: lambda asked: Rename(_target(asked), _display_name(asked.display_name)),
    pb.StopVideoRequest: lambda asked: StopVideo(_target(asked)),
    pb.StopSharingRequest: lambda asked: StopSharing(_target(asked)),
    pb.InviteMembersRequest: lambda asked: Invite(_accounts(asked.account_ids)),
    pb.EndMeetingRequest: lambda asked: End(),
}
