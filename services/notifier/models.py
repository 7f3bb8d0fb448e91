"""The notifier's table: one row for each mail, so that an event takes effect once however often it arrives."""

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


TABLES: list[type[SQLModel]] = [Delivery]
