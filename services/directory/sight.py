"""Whom somebody sees in the address book, as conditions of queries: docs/decisions/0020."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import visibility_pb2 as pb

from services.directory import member_queries, scopes, visibility
from services.directory.member_queries import Reach
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP, SHUT_OUT
from services.directory.scopes import Actor, Scope
from services.platform.serving import errors
from services.platform.text.messages import message

VIEW = "members.view"

c, m = DEPARTMENT.c, MEMBERSHIP.c


@dataclass(frozen=True, slots=True)
class Eyes:
    """Of one account. `everybody`: they see all who are not hidden. `within` and `shown` are conditions on rows of
    DEPARTMENT: whether it lies in what they see, and whether it is not hidden from them. `number` is about how many
    members belong to what they see, when it is not everybody.
    """

    account_id: str
    settings: pb.Visibility
    scope: Scope
    everybody: bool
    within: sa.ColumnElement[bool]
    number: int
    shown: sa.ColumnElement[bool]

    def says(self, field: pb.CardField.ValueType) -> bool:
        """Whether cards do."""
        return field in self.settings.fields

    def departments(self, wanted: sa.ColumnElement[bool] | None = None) -> sa.Select[Any]:
        """Ids of those that they see."""
        met = [self.within, self.shown, *([] if wanted is None else [wanted])]
        return sa.select(c.department_id).where(*met).correlate(None)

    def reach(self, wanted: sa.ColumnElement[bool], number: int) -> Reach:
        """Such departments, as far as they see them; at most about so many belong to them."""
        inside = sa.and_(self.within, self.shown, wanted)
        return Reach(inside, number if self.everybody else min(number, self.number), is_exact=False)

    def people(self, connection: Connection, among: Reach | None = None) -> sa.ColumnElement[bool]:
        """Whether they see a row of MEMBER; `among`: and it belongs to one of these departments, which they see."""
        me = MEMBER.c.account_id == self.account_id
        met = [MEMBER.c.status.not_in(SHUT_OUT), MEMBER.c.hidden.is_(False) | me | self._in_scope(connection)]
        return sa.and_(*met, member_queries.belongs(among, in_order=True) if among else self._reached(me))

    def _reached(self, me: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        if not self.everybody:
            reach = self.reach(sa.true(), self.number)
            if reach.number > member_queries.MANY:
                return me | member_queries.belongs(reach, in_order=True)
            there = sa.select(m.account_id).where(m.department_id.in_(reach.ids))
            return MEMBER.c.account_id.in_(there.union_all(sa.select(sa.literal(self.account_id))))
        if not self.settings.hidden_departments:
            return sa.true()
        hidden = sa.select(c.department_id).where(sa.not_(self.shown)).correlate(None)
        other = sa.select(m.account_id).where(m.main.is_(False), m.department_id.in_(self.departments()))
        return me | MEMBER.c.main_department_id.not_in(hidden) | MEMBER.c.account_id.in_(other)

    def _in_scope(self, connection: Connection) -> sa.ColumnElement[bool]:
        if self.scope is None:
            return sa.true()
        return scopes.belongs(connection, self.scope) if self.scope else sa.false()


def of(connection: Connection, by: Actor) -> Eyes:
    """Raises ADDRESS_BOOK_CLOSED."""
    found = find(connection, by)
    if found is None:
        words = message("there is no address book for you: it is not shown, or you are not one of the members")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "ADDRESS_BOOK_CLOSED", words)
    return found


def find(connection: Connection, by: Actor) -> Eyes | None:
    """None when the address book is not open for them."""
    settings = visibility.read(connection)
    member = sa.select(MEMBER.c.account_id).where(MEMBER.c.account_id == by.account_id)
    if not settings.address_book_shown or connection.scalar(member) is None:
        return None
    places = MEMBERSHIP.join(DEPARTMENT, c.department_id == m.department_id)
    own = sa.select(c.department_id, c.path).select_from(places).where(m.account_id == by.account_id)
    rules = {row.department_id: _rule_for(row.path, settings) for row in connection.execute(own)}
    seen = [*rules.values()] or [pb.VisibilityRule(sight=settings.sight)]
    everybody, scope = any(rule.sight == pb.SIGHT_EVERYBODY for rule in seen), by.scope(VIEW)
    within, number = (sa.true(), 0) if everybody else _within(connection, rules)
    return Eyes(by.account_id, settings, scope, everybody, within, number, _shown(connection, settings, scope))


def _rule_for(path: str, settings: pb.Visibility) -> pb.VisibilityRule:
    """The nearest one on the way up from a department."""
    rules = {rule.department.department_id: rule for rule in settings.rules}
    above = (rules[each] for each in reversed(path.split("/")) if each in rules)
    return next(above, pb.VisibilityRule(sight=settings.sight))


def _within(connection: Connection, rules: Mapping[str, pb.VisibilityRule]) -> tuple[sa.ColumnElement[bool], int]:
    """By the departments that somebody belongs to, and what each lets them see; about how many belong to that."""
    alone = [each for each, rule in rules.items() if rule.sight == pb.SIGHT_OWN_DEPARTMENT]
    roots = {each for each, rule in rules.items() if rule.sight == pb.SIGHT_OWN_DEPARTMENT_AND_BELOW}
    roots |= {each.department_id for rule in rules.values() for each in rule.chosen}
    tops = scopes.tops(connection, roots)
    number = member_queries.number_in(connection, alone) + sum(row.member_count_below for row in tops)
    return sa.or_(c.department_id.in_(alone), *(scopes.below(row.path, as_it_is=True) for row in tops)), number


def _shown(connection: Connection, settings: pb.Visibility, scope: Scope) -> sa.ColumnElement[bool]:
    hidden = _below_any(connection, [each.department_id for each in settings.hidden_departments])
    return sa.not_(hidden) if scope == frozenset() else sa.or_(sa.not_(hidden), scopes.within(connection, scope))


def _below_any(connection: Connection, roots: Collection[str]) -> sa.ColumnElement[bool]:
    """As scopes.within: any of them, or below one."""
    return scopes.within(connection, frozenset(roots)) if roots else sa.false()
