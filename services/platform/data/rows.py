"""Rows as objects of their models: a SQLModel session within the transaction of a connection. For what runs seldom.

What runs often stays with statements: docs/decisions/0013-rows-by-sqlmodel.md has the figures.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection
from sqlmodel import Session


@contextmanager
def open_session(connection: Connection) -> Iterator[Session]:
    """What was added or changed is written when it ends, and committed with the rest; its objects stay readable.

    The transaction is the connection's alone: `commit` and `rollback` are not for whoever is given the session.
    """
    with Session(connection, join_transaction_mode="rollback_only", expire_on_commit=False) as session:
        yield session
        session.flush()
