"""Departments as SCIM groups: their members are people and departments below, which are put in and taken out by hand's
own rules.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

import sqlalchemy as sa
from scim2_models import InvalidValueException, Meta, PreconditionFailedException, TooManyException, UniquenessException
from sqlalchemy.engine import Connection, RowMapping
from yunhui.directory.v1 import department_service_pb2 as api
from yunhui.directory.v1 import member_service_pb2 as member_api

from services.directory import department_changes, departments, fields, member_queries, members
from services.directory.changes import Outcome, Steps, Work
from services.directory.models import DEPARTMENT, MEMBERSHIP, PROVISIONED_DEPARTMENT
from services.directory.scim.names import from_scim_id, to_scim_id
from services.directory.scim.schemas import ScimGroup, ScimGroupMember
from services.directory.scim.users import MOST_IN_NAME, as_memberships, departments_of, to_time
from services.directory.scopes import Actor
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.text.messages import message

MOST_MEMBERS = 10_000
"""On a page: they are all in memory at once, some times over."""
AT_ONCE = 20
"""Departments whose members are looked up with one statement."""

MembersAs = Literal["objects", "shown", ""]
"""What they are needed for: to be changed, or only to be shown; empty: for nothing."""

SAID = DEPARTMENT.outerjoin(
    PROVISIONED_DEPARTMENT, PROVISIONED_DEPARTMENT.c.department_id == DEPARTMENT.c.department_id
)
COLUMNS = [*DEPARTMENT.c, *(each.label(f"said_{each.name}") for each in PROVISIONED_DEPARTMENT.c)]


@dataclass(frozen=True, slots=True)
class GroupIds:
    """Who is in a department, and what lies right below it."""

    accounts: list[str]
    departments: list[str]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Kind and id."""
        yield from (("User", each) for each in self.accounts)
        yield from (("Group", each) for each in self.departments)


def show(connection: Connection, department_ids: Sequence[str], members: MembersAs = "objects") -> list[ScimGroup]:
    """In their order, without those that there are not; fewer when they have too many members for a page."""
    query = sa.select(*COLUMNS).select_from(SAID).where(DEPARTMENT.c.department_id.in_(department_ids))
    rows = {row["department_id"]: row for row in connection.execute(query).mappings()}
    found, number = list[ScimGroup](), 0
    for department_id, ids in _ids_of_each(connection, [each for each in department_ids if each in rows]):
        number += len(ids.accounts) if members else 0
        if number > MOST_MEMBERS and found:
            break
        if number > MOST_MEMBERS:
            words = f"The group has more than {MOST_MEMBERS:,} members: ask with excludedAttributes=members"
            raise TooManyException(detail=words)
        group = to_group(rows[department_id], ids, [*ids] if members == "objects" else ())
        group._shown = [*ids] if members == "shown" else ()
        found.append(group)
    return found


def show_only(connection: Connection, department_id: str, account_ids: Collection[str]) -> ScimGroup:
    """With those of its members alone that are named. Raises errors.RpcError."""
    row, ids = find(connection, department_id), ids_of(connection, department_id)
    return to_group(row, ids, [each for each in ids if each[1] in account_ids])


def to_group(row: RowMapping, ids: GroupIds, shown: Collection[tuple[str, str]] | GroupIds) -> ScimGroup:
    return ScimGroup(
        id=to_scim_id(row["department_id"]),
        external_id=row["said_external_id"],
        display_name=row["display_name"],
        members=[_member(kind, own) for kind, own in shown] or None,
        meta=Meta(
            resource_type="Group",
            created=to_time(row["create_time"]),
            last_modified=to_time(max(row["update_time"], row["said_update_time"] or 0)),
            version=version_of(row, ids),
        ),
    )


def _member(kind: str, own: str) -> ScimGroupMember:
    scim_id = to_scim_id(own)
    return ScimGroupMember(value=scim_id, ref=f"{kind}s/{scim_id}", type=kind)


def version_of(row: RowMapping, ids: GroupIds) -> str:
    """A department's own number does not tell who is in it."""
    digest = crc32("\n".join(f"{kind} {own}" for kind, own in ids).encode())
    return f'W/"{row["version"]}.{row["said_version"] or 0}.{digest:x}"'


def ids_of(connection: Connection, department_id: str) -> GroupIds:
    [(_, ids)] = _ids_of_each(connection, [department_id])
    return ids


def _ids_of_each(connection: Connection, department_ids: Sequence[str]) -> Iterator[tuple[str, GroupIds]]:
    """In their order."""
    m, d = MEMBERSHIP.c, DEPARTMENT.c
    for start in range(0, len(department_ids), AT_ONCE):
        some = {each: GroupIds([], []) for each in department_ids[start : start + AT_ONCE]}
        of_these = sa.select(m.department_id, m.account_id).where(m.department_id.in_(some))
        for department_id, account_id in connection.execute(of_these):
            some[department_id].accounts.append(account_id)
        below = sa.select(d.parent_id, d.department_id).where(d.parent_id.in_(some))
        for parent_id, department_id in connection.execute(below):
            some[parent_id].departments.append(department_id)
        for department_id, ids in some.items():
            ids.accounts.sort()
            ids.departments.sort()
            yield department_id, ids


def find(connection: Connection, department_id: str) -> RowMapping:
    """Raises errors.RpcError."""
    query = sa.select(*COLUMNS).select_from(SAID).where(DEPARTMENT.c.department_id == department_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise errors.not_found("department", message("there is no such department"))
    return row


def creating(group: ScimGroup, by: Actor) -> Work[ScimGroup]:
    """At the top; where it belongs is said by the group that it is a member of."""

    def work(connection: Connection, now: int) -> Outcome[ScimGroup]:
        steps = Steps(connection, now)
        request = api.CreateDepartmentRequest(display_name=group.display_name or "")
        department_id = steps.take(department_changes.creating(request, by)).department_id
        _store(connection, find(connection, department_id), group, now)
        _put_in(steps, department_id, _wanted(group), by)
        return steps.outcome(show_only(connection, department_id, _wanted(group)))

    return work


def updating(
    department_id: str, group: ScimGroup, known: Collection[str] | None, expected: str | None, by: Actor
) -> Work[ScimGroup]:
    """`known`: ids of the members that `group` was about before it was changed; None for all.

    `expected`: the version that it must have, if any.
    """

    def work(connection: Connection, now: int) -> Outcome[ScimGroup]:
        before, ids = find(connection, department_id), ids_of(connection, department_id)
        if expected not in (None, version_of(before, ids)):
            raise PreconditionFailedException
        steps, wanted = Steps(connection, now), _wanted(group)
        request = api.RenameDepartmentRequest(
            department_id=department_id, version=before["version"], display_name=group.display_name or ""
        )
        steps.take(department_changes.renaming(request, by))
        if _store(connection, before, group, now):
            steps.note(audit.AuditEntry(by, "department", department_id, detail={"provisioned": ["external_id"]}))
        had = {own for _, own in ids} if known is None else {own for _, own in ids if own in known}
        _take_out(steps, department_id, ids, had - {*wanted}, by)
        _put_in(steps, department_id, [each for each in wanted if each not in had], by)
        return steps.outcome(show_only(connection, department_id, wanted))

    return work


def deleting(department_id: str, expected: str | None, by: Actor) -> Work[None]:
    """Its people stay members of the organization; departments below it must be moved first, as by hand."""

    def work(connection: Connection, now: int) -> Outcome[None]:
        before, ids = find(connection, department_id), ids_of(connection, department_id)
        if expected not in (None, version_of(before, ids)):
            raise PreconditionFailedException
        steps = Steps(connection, now)
        if not ids.departments:
            _take_out(steps, department_id, ids, ids.accounts, by)
        request = api.DeleteDepartmentRequest(department_id=department_id, version=before["version"])
        steps.take(department_changes.deleting(request, by))
        return steps.outcome(None)

    return work


def _wanted(group: ScimGroup) -> list[str]:
    """Ids of ours, each once; what is not ours is kept as it is, and not found."""
    return [*dict.fromkeys(from_scim_id(each.value or "") or f"@{each.value}" for each in group.members or ())]


def _put_in(steps: Steps, department_id: str, added: Collection[str], by: Actor) -> None:
    for own in added:
        is_department = sa.select(DEPARTMENT.c.department_id).where(DEPARTMENT.c.department_id == own)
        if _change_departments(steps, own, department_id, by, put_in=True):
            continue
        if steps.connection.scalar(is_department) is None:
            raise InvalidValueException(detail="members: there is no user or group with one of these ids")
        _move(steps, own, department_id, by)


def _take_out(steps: Steps, department_id: str, ids: GroupIds, removed: Collection[str], by: Actor) -> None:
    """A department that is taken out comes to lie at the top."""
    for own in sorted(removed):
        if own in ids.departments:
            _move(steps, own, departments.TOP, by)
        else:
            _change_departments(steps, own, department_id, by, put_in=False)


def _change_departments(steps: Steps, account_id: str, department_id: str, by: Actor, *, put_in: bool) -> bool:
    """Whether there is such a member. Who had none has a main one now."""
    version = member_queries.version_of(steps.connection, account_id)
    if version is None:
        return False
    others = [each for each in departments_of(steps.connection, account_id) if each != department_id]
    ids = [*others, department_id] if put_in else others
    request = member_api.UpdateMemberRequest(account_id=account_id, version=version)
    request.memberships.CopyFrom(as_memberships(ids))
    steps.take(members.updating(request, by))
    return True


def _move(steps: Steps, department_id: str, parent_id: str, by: Actor) -> None:
    version = find(steps.connection, department_id)["version"]
    request = api.MoveDepartmentRequest(department_id=department_id, parent_id=parent_id, version=version)
    steps.take(department_changes.moving(request, by))


def _store(connection: Connection, before: RowMapping, group: ScimGroup, now: int) -> bool:
    """Whether something is new. `before`: as find gave it."""
    external_id = fields.text("externalId", group.external_id or "", MOST_IN_NAME) or None
    if external_id == before["said_external_id"]:
        return False
    c, own = PROVISIONED_DEPARTMENT.c, before["department_id"]
    other = sa.select(c.department_id).where(c.external_id == external_id, c.department_id != own)
    if external_id and connection.execute(other).first():
        raise UniquenessException(detail="externalId: another group has it")
    values: dict[str, Any] = {"external_id": external_id, "version": (before["said_version"] or 0) + 1}
    values["update_time"] = now
    if before["said_department_id"] is None:
        connection.execute(sa.insert(PROVISIONED_DEPARTMENT).values(department_id=own, **values))
    else:
        connection.execute(sa.update(PROVISIONED_DEPARTMENT).where(c.department_id == own).values(values))
    return True
