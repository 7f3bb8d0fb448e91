"""What may be done to a meeting while it runs, in words that belong to no provider. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from services.meetings.people import Target


class MuteOnEntry(StrEnum):
    OFF = "OFF"
    ON = "ON"
    ABOVE_SIX = "ABOVE_SIX"
    """From the seventh person on."""


class Chat(StrEnum):
    FREE = "FREE"
    PUBLIC = "PUBLIC"
    """Only what all can read."""
    HOSTS = "HOSTS"
    """Only hosts may write."""


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """What the meeting shall be like; None leaves a thing as it is."""

    mute_all: bool | None = None
    may_unmute: bool | None = None
    mute_on_entry: MuteOnEntry | None = None
    locked: bool | None = None
    waiting_room: bool | None = None
    hide_number: bool | None = None
    organization_only: bool | None = None
    may_share: bool | None = None
    chat: Chat | None = None
    red_envelopes: bool | None = None
    entry_sound: bool | None = None


@dataclass(frozen=True, slots=True)
class Mute:
    target: Target
    muted: bool


@dataclass(frozen=True, slots=True)
class Remove:
    """Out of the meeting."""

    targets: tuple[Target, ...]
    may_return: bool


@dataclass(frozen=True, slots=True)
class SetCoHost:
    target: Target
    co_host: bool


@dataclass(frozen=True, slots=True)
class Admit:
    """From the waiting room into the meeting."""

    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class PutInWaitingRoom:
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class TurnAway:
    """Out of the waiting room."""

    targets: tuple[Target, ...]
    may_return: bool


@dataclass(frozen=True, slots=True)
class Rename:
    target: Target
    display_name: str


@dataclass(frozen=True, slots=True)
class StopVideo:
    target: Target


@dataclass(frozen=True, slots=True)
class StopSharing:
    target: Target


@dataclass(frozen=True, slots=True)
class Invite:
    """Accounts, beside those who are invited already."""

    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class End:
    """For everybody; nothing happens to a meeting that has ended."""


Act = (
    ChangeSettings
    | Mute
    | Remove
    | SetCoHost
    | Admit
    | PutInWaitingRoom
    | TurnAway
    | Rename
    | StopVideo
    | StopSharing
    | Invite
    | End
)
ACTS: frozenset[type[Act]] = frozenset(Act.__args__)
