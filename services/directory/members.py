"""Changes of members: who there is, what is known of them, whether the account is open, and who has a licence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping
from yunhui.directory.v1 import events_pb2
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import bindings, changes, fields, grants, licences, memberships, scopes, search, transfers
from services.directory.changes import Changes, Outcome, Work
from services.directory.member_queries import find, last_numbers, to_messages
from services.directory.member_requests import (
    PERSONAL,
    UNIQUE,
    MemberInput,
    UpdateInput,
    account_id,
    in_order,
    is_advanced,
    to_departments,
    to_input,
    to_update,
)
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP, SHUT_OUT
from services.directory.scopes import EVERYWHERE, Actor, Scope
from services.platform.data import audit
from services.platform.messaging.bus import Event
from services.platform.serving import errors
from services.platform.text.messages import message
from services.platform.text.times import PLATFORM_ZONE

PERMISSION = "members.edit"
FOUND_BY = ("account_id", "email", "staff_id", "phone")
TAKEN = {
    "staff_id": ("STAFF_ID_TAKEN", message("another member has this staff id")),
    "provider_user_id": ("PROVIDER_USER_TAKEN", message("another member has this id at the meeting provider")),
}


@dataclass(frozen=True, slots=True)
class StoredMember:
    """A member as the tables have them. `departments`: ids, the main one first."""

    row: RowMapping
    departments: list[str]


async def create(made: Changes, request: api.CreateMemberRequest, by: Actor) -> pb.Member:
    """Raises errors.RpcError; then nothing was changed, here and below."""
    return await made.make(creating(request, by))


def creating(request: api.CreateMemberRequest, by: Actor) -> Work[pb.Member]:
    given = to_input(request.member)

    return lambda connection, now: add(connection, given, by, now)


def add(connection: Connection, given: MemberInput, by: Actor, now: int) -> Outcome[pb.Member]:
    """In a change."""
    if _exists(connection, MEMBER.c.account_id == given.account_id):
        words = message("there is a member with this account id already")
        raise errors.failure(grpc.StatusCode.ALREADY_EXISTS, "MEMBER_EXISTS", words)
    _check_free(connection, given.account_id, given.facts)
    _check_departments(connection, [], given.departments, by.scope(PERMISSION))
    if given.advanced:
        licences.take_one(connection, now)
    row = {
        "account_id": given.account_id,
        "status": given.status,
        "licence_assign_time": now if given.advanced else None,
        "version": last_numbers(connection, [given.account_id]).get(given.account_id, 0) + 1,
        "create_time": now,
        "update_time": now,
        "main_department_id": memberships.main_of(given.departments),
        **given.facts,
    }
    connection.execute(sa.insert(MEMBER).values(row | found_by(row)))
    memberships.put(connection, {given.account_id: given.departments})
    if row["version"] > 1 or given.status in SHUT_OUT:
        grants.mark(connection, [given.account_id])
    return _told(connection, None, given.account_id, "created", by, now)


async def update(made: Changes, request: api.UpdateMemberRequest, by: Actor) -> pb.Member:
    return await made.make(updating(request, by))


def updating(request: api.UpdateMemberRequest, by: Actor) -> Work[pb.Member]:
    given = to_update(request)

    def work(connection: Connection, now: int) -> Outcome[pb.Member]:
        before = _stored(connection, given.account_id, by.scope(PERMISSION))
        facts, departments = _new(before, given)
        if not facts and departments is None:
            return _as_it_stands(connection, before)
        _check_version(before, given.version)
        _check_free(connection, given.account_id, facts)
        if departments is not None:
            facts["main_department_id"] = _put(connection, before, departments, by)
        _store(connection, before, now, facts | found_by({**before.row, **facts}))
        return _told(connection, before, given.account_id, "updated", by, now)

    return work


async def set_enabled(made: Changes, request: api.SetMemberEnabledRequest, by: Actor) -> pb.Member:
    return await made.make(enabling(request, by))


def enabling(request: api.SetMemberEnabledRequest, by: Actor) -> Work[pb.Member]:
    wanted, version = account_id("account_id", request.account_id), fields.version(request.version)
    what = "enabled" if request.enabled else "disabled"
    status, given = what.upper(), to_departments(request)

    def work(connection: Connection, now: int) -> Outcome[pb.Member]:
        before = _stored(connection, wanted, by.scope(PERMISSION))
        if before.row["status"] == status:
            return _as_it_stands(connection, before)
        _check_version(before, version)
        bindings.check_may_change(connection, by, [wanted])
        values: dict[str, Any] = {"status": status}
        if given is not None:
            values["main_department_id"] = _put(connection, before, given, by)
        _store(connection, before, now, values)
        grants.mark(connection, [wanted])
        return _told(connection, before, wanted, what, by, now)

    return work


def activating(by: Actor) -> Work[pb.Member]:
    """Of one's own account, which was not used before."""

    def work(connection: Connection, now: int) -> Outcome[pb.Member]:
        before = _stored(connection, by.account_id)
        if before.row["status"] != "NOT_ACTIVATED":
            return _as_it_stands(connection, before)
        _store(connection, before, now, {"status": "ENABLED", "sign_in_time": now})
        return _told(connection, before, by.account_id, "enabled", by, now)

    return work


async def set_account_type(made: Changes, request: api.SetAccountTypeRequest, by: Actor) -> pb.Member:
    wanted, version = account_id("account_id", request.account_id), fields.version(request.version)
    advanced = is_advanced("account_type", request.account_type)
    what = "licence_assigned" if advanced else "licence_returned"

    def work(connection: Connection, now: int) -> Outcome[pb.Member]:
        before = _stored(connection, wanted, by.scope(licences.PERMISSION))
        assigned = before.row["licence_assign_time"]
        if advanced == (assigned is not None):
            return _as_it_stands(connection, before)
        _check_version(before, version)
        if advanced:
            licences.take_one(connection, now)
        else:
            _check_lock(licences.lock_time(assigned), now)
        _store(connection, before, now, {"licence_assign_time": now if advanced else None})
        return _told(connection, before, wanted, what, by, now)

    return await made.make(work)


async def delete(made: Changes, request: api.DeleteMemberRequest, by: Actor) -> None:
    await made.make(deleting(request, by))


def deleting(request: api.DeleteMemberRequest, by: Actor) -> Work[None]:
    wanted, version = account_id("account_id", request.account_id), fields.version(request.version)

    def work(connection: Connection, now: int) -> Outcome[None]:
        before = _stored(connection, wanted, by.scope(PERMISSION))
        _check_version(before, version)
        if before.row["status"] == "ENABLED":
            words = message("the account is open: close it first")
            raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "MEMBER_ENABLED", words)
        bindings.check_may_change(connection, by, [wanted])
        taken = bindings.remove(connection, bindings.of_member(connection, wanted), by, now)
        taken += transfers.forget(connection, wanted, by, now)
        grants.mark(connection, [wanted])
        memberships.put(connection, {wanted: []})
        connection.execute(sa.delete(MEMBER).where(MEMBER.c.account_id == wanted))
        gone = pb.Member(account_id=wanted, version=version + 1)
        return Outcome(None, [*taken, event_of("deleted", gone, by, now)], [_entry(wanted, before, None, by)])

    return work


def _exists(connection: Connection, condition: sa.ColumnElement[bool]) -> bool:
    return connection.execute(sa.select(sa.exists(MEMBER.select().where(condition)))).scalar_one()


def _check_free(connection: Connection, account_id: str, facts: Mapping[str, Any]) -> None:
    """Changes take turns: what is free now is free until the end."""
    for name in UNIQUE:
        taken = (MEMBER.c[name] == facts.get(name)) & (MEMBER.c.account_id != account_id)
        if facts.get(name) and _exists(connection, taken):
            reason, words = TAKEN[name]
            raise errors.failure(grpc.StatusCode.ALREADY_EXISTS, reason, words)


def _check_version(before: StoredMember, version: int) -> None:
    if before.row["version"] != version:
        raise changes.stale()


def _check_lock(lock_time: int, now: int) -> None:
    if now >= lock_time:
        day = f"{datetime.fromtimestamp(lock_time / 1000, PLATFORM_ZONE):%Y-%m-%d}"
        words = message("the licence stays with the member: it could be taken back until {day}", day=day)
        raise errors.failure(grpc.StatusCode.FAILED_PRECONDITION, "LICENCE_LOCKED", words)


def found_by(row: Mapping[str, Any]) -> dict[str, str]:
    """What follows from the rest of a row: by what the member is sorted and found."""
    name = row["display_name"]
    return texts_of(row, search.to_order(name), search.to_lines([name], search.as_person))


def texts_of(row: Mapping[str, Any], sort_name: str, lines: Sequence[str]) -> dict[str, str]:
    """As found_by, where it is known how the name is sorted, and by which lines it is found."""
    return {
        "sort_name": sort_name,
        "card_text": search.to_text((), [*lines, row["account_id"]]),
        "search_text": search.to_text((), [*lines, *(row[each] or "" for each in FOUND_BY)]),
    }


def _stored(connection: Connection, account_id: str, scope: Scope = EVERYWHERE) -> StoredMember:
    """Raises NOT_FOUND, also for one outside."""
    row, mine = find(connection, account_id, scope), MEMBERSHIP.c.account_id == account_id
    main = {each.department_id: each.main for each in connection.execute(sa.select(MEMBERSHIP).where(mine))}
    return StoredMember(row, in_order(main, *(each for each in main if main[each])))


def _new(before: StoredMember, given: UpdateInput) -> tuple[dict[str, Any], list[str] | None]:
    """What is given and is not so yet; None where the departments are."""
    facts = {name: value for name, value in given.facts.items() if value != before.row[name]}
    return facts, None if given.departments == before.departments else given.departments


def _check_departments(connection: Connection, before: Sequence[str], after: Sequence[str], scope: Scope) -> None:
    """Only what lies inside comes or goes, and whoever has a scope leaves the member in it."""
    c = DEPARTMENT.c
    there = c.department_id.in_([*before, *after]) & scopes.within(connection, scope)
    inside = {*connection.scalars(sa.select(c.department_id).where(there))}
    if {*after} - inside - {*before}:
        raise errors.not_found("department", message("there is no such department"))
    if scope is None:
        return
    if not inside.intersection(after):
        words = message("the member must belong to one of the departments whose members you may change")
        raise scopes.outside(words)
    moved = {*before[:1]} ^ {*after[:1]}
    if ({*before} - {*after} | moved) - inside:
        words = message("departments whose members you may not change must stay as they are: give them as you saw them")
        raise scopes.outside(words)


def _put(connection: Connection, before: StoredMember, departments: list[str], by: Actor) -> str:
    """Into these departments alone. Answers the main one."""
    _check_departments(connection, before.departments, departments, by.scope(PERMISSION))
    memberships.put(connection, {before.row["account_id"]: departments})
    return memberships.main_of(departments)


def _store(connection: Connection, before: StoredMember, now: int, values: Mapping[str, Any]) -> None:
    """As the next version."""
    row = before.row
    advanced = {"version": row["version"] + 1, "update_time": now}
    connection.execute(sa.update(MEMBER).where(MEMBER.c.account_id == row["account_id"]).values({**values, **advanced}))


def _as_it_stands(connection: Connection, before: StoredMember) -> Outcome[pb.Member]:
    return Outcome(to_messages(connection, [before.row])[0], (), ())


def _told(
    connection: Connection, before: StoredMember | None, account_id: str, what: str, by: Actor, now: int
) -> Outcome[pb.Member]:
    """What was stored, as `what` is told of in an event."""
    after = _stored(connection, account_id)
    [member] = to_messages(connection, [after.row])
    return Outcome(member, [event_of(what, member, by, now)], [_entry(account_id, before, after, by)])


def event_of(what: str, member: pb.Member, by: Actor, now: int) -> Event:
    told = events_pb2.MemberEvent(member=member, actor=by.account_id)
    return changes.event(f"member.{what}", member.account_id, member.version, told, now)


def _entry(account_id: str, before: StoredMember | None, after: StoredMember | None, by: Actor) -> audit.AuditEntry:
    """Of what the audit log may not repeat, only that it changed."""
    detail: dict[str, Any] = {"before": _detail(before), "after": _detail(after)}
    if before and after:
        detail["changed"] = [name for name in PERSONAL if before.row[name] != after.row[name]]
    return audit.AuditEntry(by, "member", account_id, account_id, detail=detail)


def _detail(stored: StoredMember | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    names = ("version", "status", "licence_assign_time", "verified", "hidden")
    return {name: stored.row[name] for name in names} | {"departments": stored.departments}
