"""Whose reservations, violations and decisions somebody may see or touch, as a condition of queries.

Nothing is left out after a query: pages would be too short, and their gaps would tell.
"""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.booking.models import DIRECTORY_DEPARTMENT, DIRECTORY_MEMBERSHIP
from services.platform.serving import errors
from services.platform.serving.identity import Principal
from services.platform.text.messages import message

Scope = frozenset[str] | None
"""Ids of departments, each with all below it; None: everywhere."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Those of all who belong to a department of the scope, and of one account more, if `own` names it."""

    scope: Scope
    own: str = ""

    def covers(self, account: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """Whether a row, with that column, is about one of them."""
        if self.scope is None:
            return sa.true()
        own = account == self.own
        return sa.or_(own, account.in_(accounts_in(self.scope))) if self.scope else own

    def includes(self, connection: Connection, account_ids: Collection[str]) -> bool:
        """Whether one of these accounts is among them."""
        if self.scope is None or self.own in account_ids:
            return True
        found = accounts_in(self.scope).where(DIRECTORY_MEMBERSHIP.c.account_id.in_(account_ids))
        return bool(self.scope) and connection.execute(found.limit(1)).first() is not None

    def require(self, connection: Connection, account_id: str) -> None:
        """Raises errors.RpcError, as for an account that does not exist."""
        if not self.includes(connection, [account_id]):
            raise no_such_account()


EVERYBODY = Whose(None)


def no_such_account() -> errors.RpcError:
    return errors.not_found("account", message("there is no such account"))


def of_account(account_id: str) -> Whose:
    """That account's alone."""
    return Whose(frozenset(), account_id)


def permitted(caller: Principal, permission: str) -> Whose:
    """Those for whom the caller is permitted it."""
    return Whose(caller.scope(permission))


def own_and_permitted(caller: Principal, permission: str) -> Whose:
    """The caller's own, and those for whom it is permitted."""
    return Whose(caller.scope(permission), caller.account_id)


def accounts_in(scope: Collection[str]) -> sa.Select[tuple[str]]:
    """Ids of all who belong to one of these departments, or to one below; twice who belongs to two."""
    d, m = DIRECTORY_DEPARTMENT.c, DIRECTORY_MEMBERSHIP.c
    there = sa.select(d.department_id).where(d.department_id.in_(scope), d.path != "")
    inside = there.cte("inside", recursive=True)
    inside = inside.union(sa.select(d.department_id).join(inside, d.parent_id == inside.c.department_id))
    return sa.select(m.account_id).where(m.department_id.in_(sa.select(inside.c.department_id)))
