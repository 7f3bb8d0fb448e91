"""Each act as the call that Tencent's API has for it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.meetings.people import Target
from services.meetings.provider import NoSuchPersonError, UnsupportedError
from services.meetings.steering import (
    Act,
    Admit,
    ChangeSettings,
    Chat,
    End,
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
from services.meetings.tencent.errors import Endpoint

TERMINAL = 1  # `instanceid` of whoever acts: a PC, the usual filler
PERSON = 4  # a person is meant by their id in this meeting, `ms_open_id`
ADMIT, PUT_BACK, TURN_AWAY = 1, 2, 3
CONNECTOR = "9"
ON_ENTRY = {MuteOnEntry.OFF: 0, MuteOnEntry.ON: 1, MuteOnEntry.ABOVE_SIX: 2}
CHAT = {Chat.FREE: 0, Chat.PUBLIC: 1, Chat.HOSTS: 2}

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Instruction:
    """`body` without who acts. `targets` are inside when it can be obeyed, or else wait."""

    endpoint: Endpoint
    body: Body
    targets: tuple[Target, ...] = ()
    who_wait: bool = False


def to_instruction(act: Act) -> Instruction:
    """Not for Invite. Raises NoSuchPersonError for whom one cannot mean, UnsupportedError."""
    match act:
        case ChangeSettings():
            return Instruction(Endpoint.SETTINGS, settings(act))
        case End():
            return Instruction(Endpoint.END, {"reason_code": 1, "force_dismiss_meeting": 1, "retrieve_code": 0})
        case Remove(targets, may_return):
            reason = {"reason": "removed"} if any(each.terminal == CONNECTOR for each in targets) else {}
            body = {"users": users(targets), "allow_rejoin": may_return, **reason}
            return Instruction(Endpoint.REMOVE, body, targets)
        case Admit(targets):
            body = {"operate_type": ADMIT, "users": users(targets)}
            return Instruction(Endpoint.WAITING_ROOM, body, targets, who_wait=True)
        case PutInWaitingRoom(targets):
            return Instruction(Endpoint.WAITING_ROOM, {"operate_type": PUT_BACK, "users": users(targets)}, targets)
        case TurnAway(targets, may_return):
            body = {"operate_type": TURN_AWAY, "users": users(targets), "allow_rejoin": may_return}
            return Instruction(Endpoint.WAITING_ROOM, body, targets, who_wait=True)
    return _about_one(act)


def _about_one(act: Act) -> Instruction:
    match act:
        case Mute(target, muted):
            return Instruction(Endpoint.MUTE, {"mute": muted, "user": user(target)}, (target,))
        case SetCoHost(target, co_host):
            return Instruction(Endpoint.CO_HOST, {"action": co_host, "user": user(target)}, (target,))
        case Rename(target, display_name):
            person_id, terminal = addressed(target)
            named = {"ms_open_id": person_id, "instanceid": terminal, "nick_name": display_name}
            return Instruction(Endpoint.NAMES, {"users": [named]}, (target,))
        case StopVideo(target):
            return Instruction(Endpoint.VIDEO, {"video": False, "user": user(target)}, (target,))
        case StopSharing(target):
            return Instruction(Endpoint.SHARING, {"user": user(target)}, (target,))
    raise UnsupportedError(f"{type(act).__name__}: no call does this")


def settings(wanted: ChangeSettings) -> Body:
    """Only what shall change."""
    named = {
        "mute_all": wanted.mute_all,
        "allow_unmute_by_self": wanted.may_unmute,
        "participant_join_mute": None if wanted.mute_on_entry is None else ON_ENTRY[wanted.mute_on_entry],
        "meeting_locked": wanted.locked,
        "auto_waiting_room": wanted.waiting_room,
        "hide_meeting_code_password": wanted.hide_number,
        "only_enterprise_user_allowed": wanted.organization_only,
        "share_screen": wanted.may_share,
        "allow_chat": None if wanted.chat is None else CHAT[wanted.chat],
        "enable_red_envelope": wanted.red_envelopes,
        "play_ivr_on_join": wanted.entry_sound,
    }
    return {name: value for name, value in named.items() if value is not None}


def users(targets: Sequence[Target]) -> list[Body]:
    return [user(each) for each in targets]


def user(target: Target) -> Body:
    person_id, terminal = addressed(target)
    return {"to_operator_id": person_id, "to_operator_id_type": PERSON, "instanceid": terminal}


def addressed(target: Target) -> tuple[str, int]:
    """Who, and at which device: with another's the other side says that it was done, and does nothing."""
    if not target.person_id or not (target.terminal.isascii() and target.terminal.isdigit()):
        raise NoSuchPersonError("it is not said who is meant, or at which device")
    return target.person_id, int(target.terminal)
