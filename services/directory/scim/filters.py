"""Filters of identity providers as conditions of SQL: what a page shows and what is counted come from one of them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)

from services.directory.models import (
    DEPARTMENT,
    MEMBER,
    MEMBERSHIP,
    PROVISIONED_DEPARTMENT,
    PROVISIONED_MEMBER,
    SHUT_OUT,
)
from services.directory.scim.names import from_scim_id

MOST_COMPARISONS = 100
"""Databases have limits of their own, and tell of them less clearly."""

_UNSTORABLE = re.compile("[\0-\x1f\ud800-\udfff]")
Condition = sa.ColumnElement[bool]
Op = CompareOperator
m, p, d, o = MEMBER.c, PROVISIONED_MEMBER.c, DEPARTMENT.c, PROVISIONED_DEPARTMENT.c
BY_HAND = p.account_id.is_(None)


@dataclass(frozen=True, slots=True)
class Attribute:
    """How it is compared, and when there is one. None of both is ever NULL, so that "not" is the opposite."""

    compare: Callable[[CompareOperator, Any], Condition]
    present: Condition


def unsupported(op: CompareOperator) -> InvalidFilterException:
    return InvalidFilterException(detail=f"This attribute cannot be compared by {op.value}")


def text(column: sa.ColumnElement[Any]) -> Attribute:
    """Without regard to capitals. An empty one is none."""
    known = sa.func.coalesce(column, "")
    folded, present = sa.func.lower(known), known != ""

    def compare(op: CompareOperator, value: str | None) -> Condition:
        if op in (Op.eq, Op.ne):
            equal = ~present if value is None else sa.and_(present, folded == value.lower())
            return equal if op == Op.eq else ~equal
        ways: Mapping[CompareOperator, Callable[..., Condition]] = {
            Op.co: folded.contains,
            Op.sw: folded.startswith,
            Op.ew: folded.endswith,
        }
        if op not in ways or value is None:
            raise unsupported(op)
        return sa.and_(present, ways[op](value.lower(), autoescape=True))

    return Attribute(compare, present)


def exact(found: Callable[[Any], Condition], present: Condition) -> Attribute:
    """One that is equal or not: `found` says of which it is, by an index."""

    def compare(op: CompareOperator, value: Any) -> Condition:
        if op not in (Op.eq, Op.ne):
            raise unsupported(op)
        equal = ~present if value is None else found(value)
        return equal if op == Op.eq else ~equal

    return Attribute(compare, present)


def moment(column: sa.ColumnElement[int]) -> Attribute:
    def compare(op: CompareOperator, value: Any) -> Condition:
        if not isinstance(value, datetime):
            raise unsupported(op)
        wanted = int(value.timestamp() * 1000)
        ways: Mapping[CompareOperator, Condition] = {
            Op.eq: column == wanted,
            Op.ne: column != wanted,
            Op.gt: column > wanted,
            Op.ge: column >= wanted,
            Op.lt: column < wanted,
            Op.le: column <= wanted,
        }
        if op not in ways:
            raise unsupported(op)
        return ways[op]

    return Attribute(compare, sa.true())


def flag(column: Condition) -> Attribute:
    return exact(lambda value: column if value else ~column, sa.true())


def later(one: sa.ColumnElement[int], other: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.case((other > one, other), else_=one)


def _named(theirs: sa.Select[Any], own: Condition) -> Condition:
    """Those who are called so, and those by hand whose account id is that."""
    by_hand = sa.select(m.account_id).where(own, ~sa.exists().where(p.account_id == m.account_id))
    return m.account_id.in_(theirs.union_all(by_hand))


def _user_name() -> Attribute:
    spelled = text(sa.func.coalesce(p.user_name, m.account_id))

    def compare(op: CompareOperator, value: Any) -> Condition:
        if op != Op.eq or value is None:
            return spelled.compare(op, value)
        theirs = sa.select(p.account_id).where(p.user_name_key == value.casefold())
        return _named(theirs, sa.func.lower(m.account_id) == value.lower())

    return Attribute(compare, sa.true())


def _external_id(value: str) -> Condition:
    return _named(sa.select(p.account_id).where(p.external_id == value), m.account_id == value)


def _in_department(value: str) -> Condition:
    theirs = sa.select(MEMBERSHIP.c.account_id).where(MEMBERSHIP.c.department_id == from_scim_id(value))
    return m.account_id.in_(theirs)


def _has_member(value: str) -> Condition:
    own, below = from_scim_id(value), DEPARTMENT.alias()
    people = sa.select(MEMBERSHIP.c.department_id).where(MEMBERSHIP.c.account_id == own)
    return d.department_id.in_(people.union_all(sa.select(below.c.parent_id).where(below.c.department_id == own)))


_EMAIL, _PHONE = m.email != "", sa.or_(m.phone != "", sa.func.coalesce(p.phone_said, "") != "")

USERS: Mapping[str, Attribute] = {
    "id": exact(lambda value: m.account_id == from_scim_id(value), sa.true()),
    "external_id": exact(_external_id, sa.or_(BY_HAND, p.external_id.is_not(None))),
    "user_name": _user_name(),
    "display_name": text(m.display_name),
    "name.formatted": text(p.formatted_name),
    "name.given_name": text(p.given_name),
    "name.family_name": text(p.family_name),
    "title": text(m.title),
    "active": flag(m.status.not_in(SHUT_OUT)),
    "emails.value": text(m.email),
    "emails.type": text(sa.case((BY_HAND, "work"), else_=p.email_type)),
    "emails.primary": flag(sa.or_(BY_HAND, sa.func.coalesce(p.email_primary, sa.false()))),
    "phone_numbers.value": text(sa.case((m.phone == "", p.phone_said), else_=m.phone)),
    "phone_numbers.type": text(sa.case((BY_HAND, "mobile"), else_=p.phone_type)),
    "phone_numbers.primary": flag(sa.or_(BY_HAND, sa.func.coalesce(p.phone_primary, sa.false()))),
    "groups.value": exact(_in_department, sa.exists().where(MEMBERSHIP.c.account_id == m.account_id)),
    "employee_number": exact(
        lambda value: sa.and_(m.staff_id.is_not(None), m.staff_id == value), m.staff_id.is_not(None)
    ),
    "meta.created": moment(m.create_time),
    "meta.last_modified": moment(later(m.update_time, p.update_time)),
}
GROUPS: Mapping[str, Attribute] = {
    "id": exact(lambda value: d.department_id == from_scim_id(value), sa.true()),
    "external_id": exact(
        lambda value: d.department_id.in_(sa.select(o.department_id).where(o.external_id == value)),
        o.external_id.is_not(None),
    ),
    "display_name": text(d.display_name),
    "members.value": exact(
        _has_member,
        sa.or_(
            sa.exists().where(MEMBERSHIP.c.department_id == d.department_id),
            d.department_id.in_(sa.select(DEPARTMENT.alias("below").c.parent_id)),
        ),
    ),
    "meta.created": moment(d.create_time),
    "meta.last_modified": moment(later(d.update_time, o.update_time)),
}
WHOLE: Mapping[str, Condition] = {
    "emails": _EMAIL,
    "phone_numbers": _PHONE,
    "groups": USERS["groups.value"].present,
    "members": GROUPS["members.value"].present,
    "name": sa.or_(*(USERS[f"name.{part}"].present for part in ("formatted", "given_name", "family_name"))),
    "meta": sa.true(),
}
"""When there is one at all, of what has parts."""


def to_condition(asked: ScimFilter[Any], model: type[Any], attributes: Mapping[str, Attribute]) -> Condition:
    """Of the resources of one kind. Raises InvalidFilterException for what SQL is not asked here."""
    bind: Callable[[str], ScimFilter[Any]] = ScimFilter.__class_getitem__(model)
    bound = bind(str(asked))
    return _ToSql(bound, attributes).visit(bound.ast)


class _ToSql(FilterVisitor[Condition]):
    def __init__(self, scim_filter: ScimFilter[Any], attributes: Mapping[str, Attribute]) -> None:
        self._filter, self._attributes = scim_filter, attributes
        self._number = 0
        self._inside: AttrPath | None = None
        """Whose values are being selected."""

    def visit_comparison(self, node: Comparison) -> Condition:
        self._count()
        binding = self._filter.resolve_comparison(self._path(node.attr_path), strict=False)
        if binding is None:
            return sa.false()
        name = ".".join(filter(None, (binding.field_name, binding.sub_field_name)))
        value = _readable(node.value, binding.target_type)
        return self._attribute(name, node.attr_path).compare(node.op, value)

    def visit_present(self, node: Present) -> Condition:
        self._count()
        binding = self._filter.resolve(self._path(node.attr_path), strict=False)
        if binding is None:
            return sa.false()
        if binding.sub_field_name is None and binding.field_name in WHOLE:
            return WHOLE[binding.field_name]
        name = ".".join(filter(None, (binding.field_name, binding.sub_field_name)))
        return self._attribute(name, node.attr_path).present

    def visit_not(self, node: Not) -> Condition:
        return sa.not_(self.visit(node.expr))

    def visit_logical_expr(self, node: LogicalExpr) -> Condition:
        join = sa.and_ if node.op == LogicalOperator.and_ else sa.or_
        return join(*(self.visit(term) for term in node.terms))

    def visit_value_path(self, node: ValuePath) -> Condition:
        """There is one address and one phone at most, so what holds for a value of them holds for them all."""
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return sa.false()
        if binding.field_name in ("groups", "members") and not isinstance(node.val_filter, Comparison):
            raise InvalidFilterException(detail=f'"{node.attr_path}" can be selected by one value only')
        self._inside = node.attr_path
        inner = self.visit(node.val_filter)
        self._inside = None
        return sa.and_(WHOLE[binding.field_name], inner)

    def _path(self, given: AttrPath) -> AttrPath:
        return AttrPath(self._inside.attr, given.attr, self._inside.uri) if self._inside else given

    def _attribute(self, name: str, path: AttrPath) -> Attribute:
        if name not in self._attributes:
            raise InvalidFilterException(detail=f'"{path}" cannot be filtered by')
        return self._attributes[name]

    def _count(self) -> None:
        self._number += 1
        if self._number > MOST_COMPARISONS:
            raise InvalidFilterException(detail=f"A filter can have at most {MOST_COMPARISONS} comparisons")


def _readable(value: Any, kind: type | None) -> Any:
    """As the database is asked for it."""
    if isinstance(value, str) and kind is datetime:
        try:
            read = datetime.fromisoformat(value)
            return read if read.tzinfo else read.replace(tzinfo=UTC)
        except ValueError as error:
            raise InvalidFilterException(detail=f'"{value[:40]}" is no time') from error
    if isinstance(value, str) and _UNSTORABLE.search(value):
        raise InvalidFilterException(detail="A value cannot have control characters")
    if kind is bool and value is not None and not isinstance(value, bool):
        raise InvalidFilterException(detail="It is compared with true or false")
    if kind is not bool and value is not None and not isinstance(value, str):
        raise InvalidFilterException(detail="It is compared with a text in quotes")
    return value
