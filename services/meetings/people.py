"""Who is in a meeting now, and how well: what providers tell of people while it runs. Pure.

Times are epoch milliseconds.
"""

from dataclasses import dataclass
from enum import StrEnum


class Device(StrEnum):
    """What somebody takes part with."""

    UNKNOWN = "UNSPECIFIED"
    PC = "PC"
    MAC = "MAC"
    LINUX = "LINUX"
    ANDROID = "ANDROID"
    IOS = "IOS"
    TABLET = "TABLET"
    WEB = "WEB"
    MINI_PROGRAM = "MINI_PROGRAM"
    PHONE = "PHONE"
    CONNECTOR = "CONNECTOR"
    """A terminal by H.323 or SIP."""
    ROOMS = "ROOMS"


class MeetingRole(StrEnum):
    """In this meeting, now."""

    MEMBER = "MEMBER"
    HOST = "HOST"
    CO_HOST = "CO_HOST"
    GUEST = "GUEST"


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody at one device, as the provider names them in this meeting alone: acts are addressed so."""

    person_id: str
    terminal: str = ""


@dataclass(frozen=True, slots=True)
class Presence:
    """Somebody who is inside now, once for each device. Of a state that the provider does not tell, None."""

    target: Target
    account: str
    display_name: str
    device: Device
    role: MeetingRole
    enter_time: int
    microphone: bool | None = None
    camera: bool | None = None
    sharing: bool | None = None


@dataclass(frozen=True, slots=True)
class PersonWaiting:
    """Somebody in the waiting room now."""

    target: Target
    account: str
    display_name: str
    enter_time: int


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the connection of somebody is now: milliseconds, and percent lost. None: not told."""

    target: Target
    account: str
    display_name: str
    delay: float | None = None
    upstream_loss: float | None = None
    downstream_loss: float | None = None
