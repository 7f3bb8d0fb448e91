"""What members see of each other, as the organization sets it: docs/decisions/0020."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import grpc
import sqlalchemy as sa
from google.protobuf.json_format import MessageToDict
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import events_pb2
from yunhui.directory.v1 import organization_service_pb2 as api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.directory import changes, departments, fields
from services.directory.changes import Changes, Outcome
from services.directory.models import DEPARTMENT, ORGANIZATION
from services.platform.clock import to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.serving import errors
from services.platform.text.messages import Text, message

ENTITY = "visibility"
MOST_RULES = 100
MOST_CHOSEN = 20
MOST_HIDDEN = 100
AT_FIRST = pb.Visibility(
    address_book_shown=True,
    departments_shown=True,
    fields=[pb.CARD_FIELD_TITLE, pb.CARD_FIELD_DEPARTMENTS],
    sight=pb.SIGHT_EVERYBODY,
    version=1,
)
"""Usable, and without what reaches people elsewhere: addresses, phone numbers, staff ids."""
NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("address_book_shown", "departments_shown"), False),
    **{name: [] for name in ("fields", "rules", "hidden_departments")},
}
"""As JSON leaves it out."""
NOT_ONE = message("is not one of those that there are")
EACH_ONCE = message("must name each once")


async def get(database: Database) -> pb.Visibility:
    return await database.read(lambda connection: with_paths(connection, read(connection)))


def read(connection: Connection) -> pb.Visibility:
    """Without paths."""
    stored = connection.execute(sa.select(ORGANIZATION.c.visibility)).scalar_one()
    return AT_FIRST if stored is None else pb.Visibility.FromString(stored)


async def update(made: Changes, request: api.UpdateVisibilityRequest, by: audit.Caller) -> pb.Visibility:
    """Raises errors.RpcError; then nothing was changed."""
    version, given = fields.version(request.version), to_given(request)

    def work(connection: Connection, now: int) -> Outcome[pb.Visibility]:
        before = read(connection)
        after = _merged(before, given)
        if after == before:
            return Outcome(with_paths(connection, before), (), ())
        if before.version != version:
            raise changes.stale()
        _check_departments(connection, after)
        after.version += 1
        after.update_time.CopyFrom(to_timestamp(now))
        stored = after.SerializeToString(deterministic=True)
        connection.execute(sa.update(ORGANIZATION).values(visibility=stored))
        told = events_pb2.OrganizationEvent(visibility=after, actor=by.account_id)
        return Outcome(
            with_paths(connection, after),
            [changes.event("organization.visibility_changed", ENTITY, before.version, told, now)],
            [audit.AuditEntry(by, "organization", ENTITY, detail=to_detail(before, after))],
        )

    return await made.make(work)


def check_not_named(connection: Connection, department_id: str) -> None:
    """Whom others see must not change with the tree, unseen by whoever tidies it."""
    if department_id in {each.department_id for each in _named(read(connection))}:
        words = message("the visibility settings name this department: take it out of them first")
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "DEPARTMENT_NAMED", words)


def with_paths(connection: Connection, settings: pb.Visibility) -> pb.Visibility:
    """For people, and sorted by path."""
    told = pb.Visibility()
    told.CopyFrom(settings)
    paths = departments.paths_of(connection, {each.department_id for each in _named(told)})
    for each in _named(told):
        each.path = paths[each.department_id]
    told.rules.sort(key=lambda rule: rule.department.path)
    told.hidden_departments.sort(key=lambda each: each.path)
    return told


def _named(settings: pb.Visibility) -> Iterator[pb.NamedDepartment]:
    yield from settings.hidden_departments
    for rule in settings.rules:
        yield rule.department
        yield from rule.chosen


def _merged(before: pb.Visibility, given: Mapping[str, Any]) -> pb.Visibility:
    after = pb.Visibility()
    after.CopyFrom(before)
    for name in given:
        after.ClearField(name)  # type: ignore[arg-type] # a field by its name
    after.MergeFrom(pb.Visibility(**given))
    return after


def _check_departments(connection: Connection, settings: pb.Visibility) -> None:
    wanted = {each.department_id for each in _named(settings)}
    c = DEPARTMENT.c.department_id
    if wanted - {*connection.scalars(sa.select(c).where(c.in_(wanted)))}:
        raise errors.not_found("department", message("there is no such department"))


def to_given(request: api.UpdateVisibilityRequest) -> Mapping[str, Any]:
    """Fields of Visibility that were given, each checked by itself; the same for whatever means the same."""
    given: dict[str, Any] = {}
    for name in ("address_book_shown", "departments_shown"):
        if request.HasField(name):
            given[name] = getattr(request, name)
    if request.HasField("fields"):
        given["fields"] = _fields(request.fields.fields)
    if request.HasField("sight"):
        given["sight"] = _sight("sight", request.sight, {pb.SIGHT_CHOSEN_DEPARTMENTS})
    if request.HasField("rules"):
        given["rules"] = _rules(request.rules.rules)
    if request.HasField("hidden_departments"):
        hidden = request.hidden_departments.departments
        given["hidden_departments"] = _departments("hidden_departments.departments", hidden, MOST_HIDDEN)
    if not given:
        raise errors.invalid("address_book_shown", message("give what is to change"))
    return given


def _fields(given: Sequence[pb.CardField.ValueType]) -> list[pb.CardField.ValueType]:
    field = "fields.fields"
    if not {*given} <= {*pb.CardField.values()[1:]}:
        raise errors.invalid(field, NOT_ONE)
    _check_number(field, given, len(pb.CardField.values()), EACH_ONCE)
    return sorted(given)


def _sight(field: str, given: pb.Sight.ValueType, others: Collection[int] = ()) -> pb.Sight.ValueType:
    if given not in pb.Sight.values()[1:] or given in others:
        raise errors.invalid(field, NOT_ONE)
    return given


def _rules(given: Sequence[pb.VisibilityRule]) -> list[pb.VisibilityRule]:
    checked = [_rule(f"rules.rules[{place}]", each) for place, each in enumerate(given)]
    words = message("must have one rule for each department")
    _check_number("rules.rules", [each.department.department_id for each in checked], MOST_RULES, words)
    return sorted(checked, key=lambda rule: rule.department.department_id)


def _rule(path: str, given: pb.VisibilityRule) -> pb.VisibilityRule:
    department_id = fields.identifier(f"{path}.department.department_id", given.department.department_id)
    sight, chosen = _sight(f"{path}.sight", given.sight), _departments(f"{path}.chosen", given.chosen, MOST_CHOSEN)
    if bool(chosen) != (sight == pb.SIGHT_CHOSEN_DEPARTMENTS):
        words = message("is for a rule that shows chosen departments, which needs at least one")
        raise errors.invalid(f"{path}.chosen", words)
    return pb.VisibilityRule(department=pb.NamedDepartment(department_id=department_id), sight=sight, chosen=chosen)


def _departments(field: str, given: Sequence[pb.NamedDepartment], most: int) -> list[pb.NamedDepartment]:
    places = enumerate(given)
    ids = [fields.identifier(f"{field}[{place}].department_id", each.department_id) for place, each in places]
    _check_number(field, ids, most, message("must name each department once"))
    return [pb.NamedDepartment(department_id=each) for each in sorted(ids)]


def _check_number(field: str, given: Sequence[Any], most: int, words: Text) -> None:
    if len(given) > most:
        raise errors.invalid(field, message("must be at most {most}", most=most))
    if len({*given}) < len(given):
        raise errors.invalid(field, words)


def to_detail(before: pb.Visibility, after: pb.Visibility) -> Mapping[str, Any]:
    """What was changed, before and after; of lists what the other one has not."""
    was, is_ = ({**NOTHING, **MessageToDict(each, preserving_proto_field_name=True)} for each in (before, after))
    changed = [name for name in (*NOTHING, "sight") if was[name] != is_[name]]
    return {
        "before": {name: _without(was[name], is_[name]) for name in changed},
        "after": {name: _without(is_[name], was[name]) for name in changed},
    }


def _without(value: Any, other: Any) -> Any:
    return [each for each in value if each not in other] if isinstance(value, list) else value
