"""Members as SCIM users: how each is written as the other, and what becomes of a user that is made or changed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from scim2_models import Meta, PreconditionFailedException, UniquenessException
from sqlalchemy.engine import Connection, RowMapping
from yunhui.directory.v1 import department_service_pb2 as department_api
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.directory import department_changes, departments, fields, member_queries, members
from services.directory.changes import Outcome, Steps, Work
from services.directory.models import DEPARTMENT, MEMBER, MEMBERSHIP, PROVISIONED_MEMBER, SHUT_OUT
from services.directory.scim.names import to_scim_id
from services.directory.scim.schemas import (
    DescribedUser,
    EmailType,
    EnterpriseUser,
    PhoneType,
    ScimEmail,
    ScimName,
    ScimPhone,
    ScimUser,
    ScimUserGroup,
)
from services.directory.scopes import Actor
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.text.messages import message

MOST_IN_NAME = 256
"""Characters, of what identity providers call somebody."""
MOST_IN_PART = 100
MOST_IN_TYPE = 32
PHONE_ORDER = ("mobile", "work")
"""Which of several is called; then any."""
_BESIDE_DIGITS = re.compile(r"[\s().-]")

SAID = MEMBER.outerjoin(PROVISIONED_MEMBER, PROVISIONED_MEMBER.c.account_id == MEMBER.c.account_id)
COLUMNS = [*MEMBER.c, *(each.label(f"said_{each.name}") for each in PROVISIONED_MEMBER.c)]
"""A member, and beside it what was said of them; that is NULL for those whom no identity provider knows yet."""


@dataclass(frozen=True, slots=True)
class SaidUser:
    """A user as an identity provider wants it. `facts`: of the member; `said`: columns; `way`: of the department."""

    facts: dict[str, Any]
    said: dict[str, Any]
    enabled: bool
    way: tuple[str, ...]


def from_user(user: ScimUser) -> SaidUser:
    """Raises errors.RpcError for what cannot be so."""
    name, email, phone = (
        user.name or ScimName(),
        _chosen(user.emails, ("work",)),
        _chosen(user.phone_numbers, PHONE_ORDER),
    )
    more: EnterpriseUser | None = getattr(user, "EnterpriseUser", None)
    user_name = fields.required_text("userName", user.user_name or "", MOST_IN_NAME)
    parts = {
        "formatted_name": _text("name.formatted", name.formatted),
        "given_name": _text("name.givenName", name.given_name),
        "family_name": _text("name.familyName", name.family_name),
    }
    phone_said = _text("phoneNumbers", phone and phone.value)
    return SaidUser(
        facts={
            "display_name": _text("displayName", user.display_name) or _put_together(parts) or user_name[:MOST_IN_PART],
            "email": fields.email("emails", (email and email.value) or ""),
            "phone": to_phone(phone_said),
            "title": _text("title", user.title) or "",
            "staff_id": fields.text("employeeNumber", (more and more.employee_number) or "", 64),
        },
        said={
            "user_name": user_name,
            "user_name_key": user_name.casefold(),
            "external_id": fields.text("externalId", user.external_id or "", MOST_IN_NAME) or None,
            **parts,
            "display_name_said": bool(user.display_name),
            "active_said": user.active is not None,
            "email_type": _type("emails.type", email),
            "email_primary": email and email.primary,
            "phone_said": phone_said,
            "phone_type": _type("phoneNumbers.type", phone),
            "phone_primary": phone and phone.primary,
        },
        enabled=user.active is not False,
        way=_way((more and more.department) or ""),
    )


def _text(field: str, given: str | None) -> str | None:
    return fields.text(field, given or "", MOST_IN_PART) or None


def _type(field: str, given: ScimEmail | ScimPhone | None) -> str | None:
    return fields.text(field, (given and given.type) or "", MOST_IN_TYPE) or None


def _chosen(given: Sequence[Any] | None, order: Sequence[str]) -> Any:
    """One has a single address and a single phone here: the main one of several, else by what they are for."""
    usable = [each for each in given or () if each.value]
    ranks = {kind: place for place, kind in enumerate(order)}
    return min(usable, key=lambda each: (not each.primary, ranks.get(each.type or "", len(ranks))), default=None)


def _put_together(parts: Mapping[str, str | None]) -> str:
    given, family = parts["given_name"] or "", parts["family_name"] or ""
    chinese = not (given + family).isascii() and " " not in given + family
    whole = family + given if chinese else f"{given} {family}"
    return (parts["formatted_name"] or whole).strip()[:MOST_IN_PART]


def to_phone(said: str | None) -> str:
    """In E.164; "" for one that cannot be called from everywhere."""
    number = _BESIDE_DIGITS.sub("", (said or "").removeprefix("tel:"))
    try:
        return fields.phone("phoneNumbers", number)
    except errors.RpcError:
        return ""


def _way(path: str) -> tuple[str, ...]:
    """Names from the top down."""
    names = path.split("/") if path.strip() else ()
    return tuple(fields.required_text("department", name, fields.MOST_IN_DEPARTMENT) for name in names)


def to_user(row: RowMapping, memberships: Sequence[pb.Membership]) -> ScimUser:
    known = row["said_account_id"] is not None
    enabled = row["status"] not in SHUT_OUT
    department = next((each.path for each in memberships if each.department_id == row["said_department_id"]), None)
    user = DescribedUser(
        id=to_scim_id(row["account_id"]),
        external_id=row["said_external_id"] if known else row["account_id"],
        user_name=row["said_user_name"] if known else row["account_id"],
        name=_name(row),
        display_name=row["display_name"] if row["said_display_name_said"] is not False else None,
        title=row["title"] or None,
        active=enabled if row["said_active_said"] is not False or not enabled else None,
        emails=_emails(row),
        phone_numbers=_phones(row),
        groups=[_group(each) for each in memberships] or None,
        meta=Meta(
            resource_type="User",
            created=to_time(row["create_time"]),
            last_modified=to_time(max(row["update_time"], row["said_update_time"] or 0)),
            version=version_of(row),
        ),
    )
    if row["staff_id"] or department:
        more = EnterpriseUser(employee_number=row["staff_id"], department=department)
        setattr(user, EnterpriseUser.__name__, more)
    return user


def version_of(row: RowMapping) -> str:
    return f'W/"{row["version"]}.{row["said_version"] or 0}"'


def to_time(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def _name(row: RowMapping) -> ScimName | None:
    parts = {name: row[f"said_{name}"] for name in ("formatted_name", "family_name", "given_name")}
    if not any(parts.values()):
        return None
    return ScimName(formatted=parts.pop("formatted_name"), **parts)


def _emails(row: RowMapping) -> list[ScimEmail] | None:
    if not row["email"]:
        return None
    kind, primary = _shown(row, "email", "work")
    return [ScimEmail(value=row["email"], type=kind and EmailType(kind), primary=primary)]


def _phones(row: RowMapping) -> list[ScimPhone] | None:
    """As it was written, as long as that is still the member's."""
    said = row["said_phone_said"]
    value = said if to_phone(said) == row["phone"] else row["phone"]
    if not value:
        return None
    kind, primary = _shown(row, "phone", "mobile")
    return [ScimPhone(value=value, type=kind and PhoneType(kind), primary=primary)]


def _shown(row: RowMapping, what: str, usual: str) -> tuple[str | None, bool | None]:
    """Of which type it is, and whether it is the main one."""
    if row["said_account_id"] is None:
        return usual, True
    return row[f"said_{what}_type"], row[f"said_{what}_primary"]


def _group(membership: pb.Membership) -> ScimUserGroup:
    scim_id = to_scim_id(membership.department_id)
    return ScimUserGroup(value=scim_id, ref=f"Groups/{scim_id}", display=membership.path)


def show(connection: Connection, account_ids: Sequence[str]) -> list[ScimUser]:
    """In their order; without those that there are not."""
    query = sa.select(*COLUMNS).select_from(SAID).where(MEMBER.c.account_id.in_(account_ids))
    rows = {row["account_id"]: row for row in connection.execute(query).mappings()}
    found = member_queries.memberships_of(connection, [*rows])
    return [to_user(rows[each], found.get(each, ())) for each in account_ids if each in rows]


def find(connection: Connection, account_id: str) -> RowMapping:
    """Raises errors.RpcError."""
    query = sa.select(*COLUMNS).select_from(SAID).where(MEMBER.c.account_id == account_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise errors.not_found("member", message("there is no such member"))
    return row


def creating(account_id: str, user: SaidUser, by: Actor) -> Work[ScimUser]:
    """An IdP says that the person may come in, so the account is open at once unless it says otherwise. Who waits to be
    let in comes in by that."""

    def work(connection: Connection, now: int) -> Outcome[ScimUser]:
        if member_queries.status_of(connection, account_id) == "WAITING":
            return updating(account_id, user, None, by)(connection, now)
        _check_names(connection, account_id, user.said)
        steps = Steps(connection, now)
        department_id = _department(steps, user.way, by)
        member = pb.Member(
            account_id=account_id,
            status=pb.MEMBER_STATUS_ENABLED if user.enabled else pb.MEMBER_STATUS_DISABLED,
            memberships=[pb.Membership(department_id=department_id)] if department_id else [],
            **user.facts,
        )
        steps.take(members.creating(api.CreateMemberRequest(member=member), by))
        said = {**user.said, "account_id": account_id, "department_id": department_id}
        _store(connection, None, said | {"active_said": True}, now)
        return steps.outcome(show(connection, [account_id])[0])

    return work


def updating(account_id: str, user: SaidUser, expected: str | None, by: Actor) -> Work[ScimUser]:
    """`expected`: the version that it must have, if any. Who leaves is shut out before anything else."""

    def work(connection: Connection, now: int) -> Outcome[ScimUser]:
        before = find(connection, account_id)
        if expected not in (None, version_of(before)):
            raise PreconditionFailedException
        _check_names(connection, account_id, user.said)
        steps, version = Steps(connection, now), before["version"]
        if user.enabled != (before["status"] not in SHUT_OUT):
            asked = api.SetMemberEnabledRequest(account_id=account_id, version=version, enabled=user.enabled)
            version = steps.take(members.enabling(asked, by)).version
        department_id = _department(steps, user.way, by)
        request = api.UpdateMemberRequest(account_id=account_id, version=version, **user.facts)
        if ids := _new_departments(connection, before, department_id):
            request.memberships.CopyFrom(as_memberships(*ids))
        steps.take(members.updating(request, by))
        said = {**user.said, "account_id": account_id, "department_id": department_id}
        if changed := _store(connection, before, said, now):
            steps.note(audit.AuditEntry(by, "member", account_id, account_id, detail={"provisioned": changed}))
        return steps.outcome(show(connection, [account_id])[0])

    return work


def deleting(account_id: str, expected: str | None, by: Actor) -> Work[None]:
    """Nobody can be asked to close the account first, so that is done here."""

    def work(connection: Connection, now: int) -> Outcome[None]:
        before = find(connection, account_id)
        if expected not in (None, version_of(before)):
            raise PreconditionFailedException
        steps, version = Steps(connection, now), before["version"]
        if before["status"] == "ENABLED":
            asked = api.SetMemberEnabledRequest(account_id=account_id, version=version, enabled=False)
            version = steps.take(members.enabling(asked, by)).version
        steps.take(members.deleting(api.DeleteMemberRequest(account_id=account_id, version=version), by))
        return steps.outcome(None)

    return work


def _check_names(connection: Connection, account_id: str, said: Mapping[str, Any]) -> None:
    """Nobody else may be called so, whoever entered them: an IdP could not tell them apart."""
    m, p = MEMBER.c, PROVISIONED_MEMBER.c
    by_hand = sa.and_(p.account_id.is_(None), m.account_id != account_id)
    for name, value, theirs, own in (
        ("userName", said["user_name_key"], p.user_name_key, sa.func.lower(m.account_id)),
        ("externalId", said["external_id"], p.external_id, m.account_id),
    ):
        other = sa.and_(theirs == value, p.account_id != account_id)
        called = (
            sa.select(p.account_id)
            .where(other)
            .union_all(sa.select(m.account_id).select_from(SAID).where(by_hand, own == value))
        )
        if value is not None and connection.execute(called.limit(1)).first():
            raise UniquenessException(detail=f"{name}: another member has it")


def _department(steps: Steps, way: Sequence[str], by: Actor) -> str | None:
    """The department with these names from the top down, made where there is none, as by an import."""
    parent_id, c = departments.TOP, DEPARTMENT.c
    for name in way:
        there = sa.and_(c.parent_id == parent_id, c.display_name == name)
        found = steps.connection.scalar(sa.select(c.department_id).where(there))
        request = department_api.CreateDepartmentRequest(display_name=name, parent_id=parent_id)
        parent_id = found or steps.take(department_changes.creating(request, by)).department_id
    return parent_id or None


def _new_departments(connection: Connection, before: RowMapping, new: str | None) -> tuple[list[str]] | None:
    """The main one first; None where they stay. Those that groups or people put the member in stay in any case."""
    now, old = departments_of(connection, before["account_id"]), before["said_department_id"]
    if new == old and (new is None or new in now):
        return None
    others = [each for each in now if each not in (old, new)]
    return ([new, *others] if new else others,)


def departments_of(connection: Connection, account_id: str) -> list[str]:
    """Ids, the main one first."""
    m = MEMBERSHIP.c
    query = sa.select(m.department_id).where(m.account_id == account_id).order_by(m.main.desc(), m.department_id)
    return [*connection.scalars(query)]


def as_memberships(department_ids: Sequence[str]) -> api.Memberships:
    """The first is the main one."""
    return api.Memberships(
        memberships=[pb.Membership(department_id=each, main=place == 0) for place, each in enumerate(department_ids)]
    )


def _store(connection: Connection, before: RowMapping | None, said: Mapping[str, Any], now: int) -> list[str]:
    """What of it is new, if anything."""
    if before is None or before["said_account_id"] is None:
        connection.execute(sa.insert(PROVISIONED_MEMBER).values(**said, version=1, update_time=now))
        return sorted(said)
    changed = sorted(name for name, value in said.items() if value != before[f"said_{name}"])
    if changed:
        mine = PROVISIONED_MEMBER.c.account_id == said["account_id"]
        values = {**said, "version": before["said_version"] + 1, "update_time": now}
        connection.execute(sa.update(PROVISIONED_MEMBER).where(mine).values(values))
    return changed
