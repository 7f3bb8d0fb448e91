"""What a way out is to the rest: it takes one notice to the other side and says how that went."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sqlalchemy.engine import Connection

MAIL, WEBHOOK = "mail", "webhook"
ANSWER_LENGTH = 200


class SendVerdict(StrEnum):
    ACCEPTED = "accepted"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    AWAY = "away"
    """The other side could not be asked at all: that says nothing about this one, and others would fare the same."""
    UNKNOWN = "unknown"
    """Never an answer: stands for an attempt whose sender ended before the answer was stored."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """`code` is the SMTP reply code or HTTP status, 0 when there was none. `text` may hold an address: never log it."""

    verdict: SendVerdict
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """The right to make attempt `number` of one delivery until the lease ends."""

    delivery_id: str
    number: int
    event_id: str
    channel: str
    kind: str
    recipient: str
    message_id: str
    content: bytes = field(repr=False)
    first_time: int
    expire_time: int = 0
    traceparent: str = ""


class Channel(Protocol):
    """Whatever takes notices to the other side."""

    name: str
    shared: bool
    """Whether all recipients are reached through one server: when it is away, nobody is tried."""

    async def send(self, claim: DeliveryClaim) -> SendResult:
        """Never raises for what the other side does; that is what the Answer says."""
        ...

    def record(self, connection: Connection, claim: DeliveryClaim, answer: SendResult, now: int) -> None:
        """Keeps, in the transaction that stores the answer, what the channel itself wants to know of it."""
        ...

    async def rest(self) -> None:
        """Nothing more to send for now: connections may be closed."""
        ...
