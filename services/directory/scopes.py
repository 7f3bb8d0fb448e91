"""For which departments somebody may do something, as conditions of queries: nothing is left out after one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP
from services.platform.data import audit
from services.platform.serving import errors, rpc
from services.platform.text.messages import Text

Scope = frozenset[str] | None
"""Ids of departments, each with all below it."""
EVERYWHERE: Scope = None

c = DEPARTMENT.c


@dataclass(frozen=True, slots=True)
class Actor(audit.Caller):
    """Who acts, and what they may do. `permissions`: the scope of each; an empty one is everywhere.

    An identity provider says who comes and who goes, also of those who may do more than itself, but for super
    administrators.
    """

    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    is_identity_provider: bool = False

    def scope(self, permission: str) -> Scope:
        held = self.permissions.get(permission)
        return frozenset() if held is None else held or EVERYWHERE


def caller() -> Actor:
    """Who makes the call that is being served."""
    principal = rpc.principal()
    return Actor(principal.account_id, principal.roles, rpc.method(), principal.permissions)


def below(path: str, *, as_it_is: bool = False) -> sa.ColumnElement[bool]:
    """Whether a row is the department with that path, or lies below it. `as_it_is`: it stands in the statement."""
    first, end = (sa.literal(each, literal_execute=as_it_is) for each in (path, path[:-1] + "0"))
    return sa.and_(c.path >= first, c.path < end)


def within(connection: Connection, scope: Scope) -> sa.ColumnElement[bool]:
    """Whether a row of DEPARTMENT lies inside.

    Paths stand in the statement as they are: PostgreSQL cannot guess how many lie below one that it does not know, and
    chooses plans for a few.
    """
    if scope is None:
        return sa.true()
    return sa.or_(sa.false(), *(below(row.path, as_it_is=True) for row in tops(connection, scope)))


def tops(connection: Connection, scope: Collection[str]) -> list[sa.Row[Any]]:
    """The departments of a scope that lie below no other of it, by path. Not those that are gone."""
    found: list[sa.Row[Any]] = []
    for row in connection.execute(sa.select(DEPARTMENT).where(c.department_id.in_(scope)).order_by(c.path)):
        if not found or not row.path.startswith(found[-1].path):
            found.append(row)
    return found


def belongs(connection: Connection, scope: Scope) -> sa.ColumnElement[bool]:
    """Whether a row of MEMBER belongs to a department inside."""
    if scope is None:
        return sa.true()
    places = MEMBERSHIP.join(DEPARTMENT, c.department_id == MEMBERSHIP.c.department_id)
    theirs = MEMBERSHIP.c.account_id == MEMBER.c.account_id
    return (
        sa.select(sa.literal(1)).select_from(places).where(theirs, within(connection, scope)).correlate(MEMBER).exists()
    )


def outside(words: Text) -> errors.RpcError:
    """PERMISSION_DENIED, for what is seen but lies partly outside."""
    return errors.failure(grpc.StatusCode.PERMISSION_DENIED, "OUTSIDE_SCOPE", words)
