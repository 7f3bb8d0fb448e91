"""The notifier's tables: what came in, what went out and how often it was tried, who wants what, what is to come.

Times are epoch milliseconds.
"""

from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Field, Index, SQLModel

from services.platform.data import audit
from services.platform.messaging import outbox

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")
QUEUED = sa.text("state = 'queued'")


class DeliveryState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class DeadEventState(StrEnum):
    OPEN = "open"
    RETRIED = "retried"
    DROPPED = "dropped"


class InboxRow(SQLModel, table=True):
    """One event that was taken in, in this order; also when nothing followed from it, or it is a dead event now."""

    __tablename__ = "inbox"
    __table_args__ = (Index("inbox_entity", "entity_id", "entity_seq"),)

    seq: int | None = Field(default=None, primary_key=True, sa_type=KEY)
    event_id: str = Field(unique=True)
    subject: str
    entity_id: str
    entity_seq: int = Field(sa_type=sa.BigInteger, description="0 when the event does not say")
    receive_time: int = Field(sa_type=sa.BigInteger)


class Delivery(SQLModel, table=True):
    """One notice to one recipient. `lease_end` is until when one worker holds the row; 0 when nobody does."""

    __tablename__ = "delivery"
    __table_args__ = (
        sa.UniqueConstraint("event_id", "channel", "kind", "recipient"),
        Index("delivery_due", "channel", "due_time", sqlite_where=QUEUED),
        Index("delivery_account", "account_id", "delivery_id"),
        Index("delivery_reservation", "reservation_id", "delivery_id"),
        Index("delivery_recipient", "recipient", "state"),
        Index("delivery_kept", "update_time", sqlite_where=sa.text("kept")),
    )

    delivery_id: str = Field(primary_key=True)
    event_id: str
    channel: str = Field(description="mail or webhook")
    kind: str
    recipient: str = Field(description="mail address (personal data), or id of the webhook")
    account_id: str
    reservation_id: str
    addressee: str = Field(default="", description="account that the mail is written to; empty: support or a webhook")
    message_id: str
    state: str = Field(default=DeliveryState.QUEUED)
    attempts: int = 0
    code: int = Field(default=0, description="of the last answer")
    answer: str = Field(default="", description="the last answer")
    event_seq: int = Field(default=0, description="how many events were published about it")
    content: bytes = Field(description="what is sent; emptied when it is kept no longer", sa_type=sa.LargeBinary)
    kept: bool = Field(default=True, description="whether there is content")
    due_time: int = Field(sa_type=sa.BigInteger, description="not tried before")
    first_time: int = Field(sa_type=sa.BigInteger, description="since when it is tried: for giving up")
    expire_time: int = Field(default=0, sa_type=sa.BigInteger, description="of no use from then on; 0: always of use")
    lease_end: int = Field(default=0, sa_type=sa.BigInteger)
    create_time: int = Field(sa_type=sa.BigInteger)
    update_time: int = Field(sa_type=sa.BigInteger)
    traceparent: str | None = Field(default=None, description="W3C trace context of what brought it about")


class AttemptRow(SQLModel, table=True):
    """One try of a delivery."""

    __tablename__ = "attempt"

    delivery_id: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    time: int = Field(sa_type=sa.BigInteger)
    verdict: str
    code: int
    answer: str


class DeadEvent(SQLModel, table=True):
    """An event that could not be read or written, and what a person did about it."""

    __tablename__ = "dead_event"
    __table_args__ = (Index("dead_event_state", "state", "create_time", "dead_event_id"),)

    dead_event_id: str = Field(primary_key=True)
    subject: str
    headers: str = Field(sa_type=sa.Text, description="JSON object")
    payload: bytes = Field(sa_type=sa.LargeBinary)
    reason: str
    state: str = Field(default=DeadEventState.OPEN)
    actor: str = ""
    note: str = ""
    create_time: int = Field(sa_type=sa.BigInteger)
    update_time: int = Field(sa_type=sa.BigInteger)


class OptOut(SQLModel, table=True):
    """An optional notice that an account does not want."""

    __tablename__ = "opt_out"

    account_id: str = Field(primary_key=True)
    notice: str = Field(primary_key=True)
    create_time: int = Field(sa_type=sa.BigInteger)


class Webhook(SQLModel, table=True):
    """A subscriber without NATS."""

    __tablename__ = "webhook"

    webhook_id: str = Field(primary_key=True)
    url: str
    filter: str
    description: str
    secret: str = Field(description="whsec_...; in the clear, for every call is signed with it")
    enabled: bool = True
    reason: str = Field(default="", description="why it was switched off")
    failing_since: int = Field(default=0, sa_type=sa.BigInteger, description="0 while all is well")
    create_time: int = Field(sa_type=sa.BigInteger)
    update_time: int = Field(sa_type=sa.BigInteger)


class NoticeState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    VOID = "void"


class ScheduledNotice(SQLModel, table=True):
    """A notice at a time of its own.

    One row for each kind and reservation, kept when it is over: an older event that comes late must not revive it.
    """

    __tablename__ = "planned"
    __table_args__ = (sa.UniqueConstraint("kind", "entity_id"), sa.Index("planned_next", "state", "try_at"))

    id: int | None = Field(default=None, primary_key=True, sa_type=KEY)
    kind: str
    entity_id: str
    version: int = Field(description="of the reservation; the newer one wins", sa_type=sa.BigInteger)
    state: str = Field(default=NoticeState.WAITING)
    due_at: int = Field(sa_type=sa.BigInteger)
    try_at: int = Field(
        description="when somebody looks next: due_at, the end of a claim, or after a pause", sa_type=sa.BigInteger
    )
    event_id: str = Field(description="of the event that it follows from: names the mail")
    payload: str = Field(description="ReservationEvent as JSON, personal data; emptied when it is over")


class CaseState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class SupportCase(SQLModel, table=True):
    """A request that support was asked about. `cutoff` is 0 when there is none."""

    __tablename__ = "support_case"

    reservation_id: str = Field(primary_key=True)
    version: int = Field(sa_type=sa.BigInteger)
    state: str = Field(default=CaseState.OPEN)
    closed_by: str = Field(default="", description="id of the event that closed it")
    addresses: str = Field(description="who was asked, one a line")
    open_time: int = Field(sa_type=sa.BigInteger)
    cutoff: int = Field(sa_type=sa.BigInteger)
    payload: str = Field(description="ReservationEvent as JSON, personal data; emptied when it is closed")

    @property
    def asked(self) -> list[str]:
        return self.addresses.split()


TABLES: list[type[SQLModel]] = [
    InboxRow,
    Delivery,
    AttemptRow,
    DeadEvent,
    OptOut,
    Webhook,
    ScheduledNotice,
    SupportCase,
    *outbox.TABLES,
    *audit.TABLES,
]
