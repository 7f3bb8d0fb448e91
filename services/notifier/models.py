"""The notifier's tables: one row for each mail, so that a repeated event takes effect once, and what is to come."""

from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class DeliveryState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class Delivery(SQLModel, table=True):
    """Times are epoch milliseconds. `lease_end` is until when one worker holds the row; 0 when nobody does."""

    __tablename__ = "delivery"
    __table_args__ = (sa.UniqueConstraint("event_id", "kind", "recipient"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    event_id: str
    kind: str
    recipient: str = Field(description="personal data")
    state: str = Field(default=DeliveryState.QUEUED)
    attempts: int = 0
    answer: str = Field(default="", description="the mail server's last answer")
    content: bytes = Field(description="RFC 5322 message; emptied once it is sent", sa_type=sa.LargeBinary)
    lease_end: int = Field(default=0, sa_type=sa.BigInteger)
    create_time: int = Field(sa_type=sa.BigInteger)
    update_time: int = Field(sa_type=sa.BigInteger)


class PlannedState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    VOID = "void"


class Planned(SQLModel, table=True):
    """A notice at a time of its own. Times are epoch milliseconds.

    One row for each kind and reservation, kept when it is over: an older event that comes late must not revive it.
    """

    __tablename__ = "planned"
    __table_args__ = (sa.UniqueConstraint("kind", "entity_id"), sa.Index("planned_next", "state", "try_at"))

    id: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger().with_variant(sa.Integer, "sqlite"))
    kind: str
    entity_id: str
    version: int = Field(description="of the reservation; the newer one wins", sa_type=sa.BigInteger)
    state: str = Field(default=PlannedState.WAITING)
    due_at: int = Field(sa_type=sa.BigInteger)
    try_at: int = Field(
        description="when somebody looks next: due_at, the end of a claim, or after a pause", sa_type=sa.BigInteger
    )
    event_id: str = Field(description="what planned it")
    payload: str = Field(description="ReservationEvent as JSON, personal data; emptied when it is over")


class CaseState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class SupportCase(SQLModel, table=True):
    """A request that support was asked about. Times are epoch milliseconds; `cutoff` is 0 when there is none."""

    __tablename__ = "support_case"

    reservation_id: str = Field(primary_key=True)
    version: int = Field(sa_type=sa.BigInteger)
    state: str = Field(default=CaseState.OPEN)
    closed_by: str = Field(default="", description="id of the event that closed it")
    addresses: str = Field(description="who was asked, one a line")
    open_time: int = Field(sa_type=sa.BigInteger)
    cutoff: int = Field(sa_type=sa.BigInteger)
    payload: str = Field(description="ReservationEvent as JSON, personal data; emptied when it is closed")


TABLES: list[type[SQLModel]] = [Delivery, Planned, SupportCase]
