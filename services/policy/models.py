"""The one table that the policy keeps: its published versions. Times are epoch milliseconds."""

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from services.platform.data import audit
from services.platform.messaging import outbox


class PublishedVersion(SQLModel, table=True):
    """Rows are only ever added."""

    __tablename__ = "policy_version"

    number: int = Field(primary_key=True, description="counts the versions, from 1")
    version: str = Field(unique=True)
    source: str = Field(sa_type=sa.Text)
    tests: str = Field(sa_type=sa.Text)
    author: str
    note: str
    publish_time: int = Field(sa_type=sa.BigInteger)
    effective_time: int = Field(sa_type=sa.BigInteger)
    sha256: str


TABLES: list[type[SQLModel]] = [PublishedVersion, *outbox.TABLES, *audit.TABLES]
