"""The audit log of a program: every act done with power over others, in the transaction of the act. Here is its SQL.

Not in it: what people do with what is their own (requests and events tell that already), reading, and what was refused
before anything was stored.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from services.platform.data import chain
from services.platform.data.chain import ChainEntry
from services.platform.serving import rpc

T = TypeVar("T")

LOCK = 7_308_052_014
"""Any number: on PostgreSQL, whoever adds an entry waits for the one before to be committed."""


class AuditRow(SQLModel, table=True):
    """One act, numbered 1, 2, 3, ... without gaps. Triggers refuse to change or remove rows.

    `hash` covers all the rest, the hash of the row before included.
    """

    __tablename__ = "audit"

    number: int = Field(primary_key=True, sa_type=sa.BigInteger, sa_column_kwargs={"autoincrement": False})
    time: int = Field(sa_type=sa.BigInteger, description="epoch ms, real time")
    actor: str = Field(description="account id")
    roles: str
    method: str = Field(description="full name of the RPC")
    target_kind: str
    target_id: str
    account_id: str = Field(description="whom it concerns")
    outcome: str
    detail: str = Field(sa_type=sa.Text, description="canonical JSON; no free text, no addresses, no secrets")
    previous_hash: str
    hash: str


TABLE = SQLModel.metadata.tables["audit"]
TABLES: list[type[SQLModel]] = [AuditRow]
"""Those of every program that keeps data."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, and through which method."""

    account_id: str
    roles: frozenset[str]
    method: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What is noted. `account_id` is whom it concerns; `detail` holds no free text, no addresses, no secrets."""

    caller: Caller
    target_kind: str
    target_id: str
    account_id: str = ""
    outcome: str = "done"
    detail: Mapping[str, Any] = field(default_factory=dict)


def caller() -> Caller:
    """Who makes the call that is being served."""
    principal = rpc.principal()
    return Caller(principal.account_id, principal.roles, rpc.method())


def audited(work: Callable[[Connection], T], describe: Callable[[T], AuditEntry | None]) -> Callable[[Connection], T]:
    """`work`, and at the end of its transaction what `describe` makes of its result; None is not audited."""

    def work_and_append(connection: Connection) -> T:
        result = work(connection)
        if entry := describe(result):
            append(connection, [entry])
        return result

    return work_and_append


def append(connection: Connection, entries: Iterable[AuditEntry]) -> None:
    """Adds entries. Must come last in a transaction: until its end nobody else can add any."""
    waiting = list(entries)
    if not waiting:
        return
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
    head, rows = read_head(connection), []
    for entry in waiting:
        head = _follow(head, entry)
        rows.append({name: getattr(head, name) for name in chain.FIELDS})
    connection.execute(sa.insert(TABLE), rows)


def _follow(head: ChainEntry, entry: AuditEntry) -> ChainEntry:
    values = (
        head.number + 1,
        max(time.time_ns() // 1_000_000, head.time),
        entry.caller.account_id,
        " ".join(sorted(entry.caller.roles)),
        entry.caller.method,
        entry.target_kind,
        entry.target_id,
        entry.account_id,
        entry.outcome,
        chain.canonical(entry.detail),
        head.hash,
    )
    return ChainEntry(*values, hash=chain.digest(*values))


NONE = ChainEntry(0, 0, "", "", "", "", "", "", "", "", "", chain.GENESIS)


def read_head(connection: Connection) -> ChainEntry:
    """The newest entry; number 0 when there is none."""
    row = connection.execute(sa.select(TABLE).order_by(TABLE.c.number.desc()).limit(1)).one_or_none()
    return ChainEntry(*row) if row else NONE


def read_after(connection: Connection, number: int, limit: int) -> list[ChainEntry]:
    """The next entries, oldest first."""
    query = sa.select(TABLE).where(TABLE.c.number > number).order_by(TABLE.c.number).limit(limit)
    return [ChainEntry(*row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to list; empty fields ask for all. `beyond` is the last number of the page before."""

    equal: Mapping[str, str] = field(default_factory=dict)
    after: int | None = None
    before: int | None = None
    beyond: int = 0
    oldest_first: bool = False
    limit: int = 50


def list_entries(connection: Connection, wanted: AuditFilter) -> Sequence[ChainEntry]:
    c = TABLE.c
    query = sa.select(TABLE).limit(wanted.limit).order_by(c.number if wanted.oldest_first else c.number.desc())
    for name, value in wanted.equal.items():
        query = query.where(c[name] == value)
    if wanted.after is not None:
        query = query.where(c.time >= wanted.after)
    if wanted.before is not None:
        query = query.where(c.time < wanted.before)
    if wanted.beyond:
        query = query.where(c.number > wanted.beyond if wanted.oldest_first else c.number < wanted.beyond)
    return [ChainEntry(*row) for row in connection.execute(query)]
