"""The organization itself: who it is, what it has bought, and who is told of what."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from yunhui.directory.v1 import events_pb2
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.directory import changes, fields, grants, joining
from services.directory.changes import Changes, Outcome
from services.directory.models import ORGANIZATION
from services.platform.clock import to_timestamp
from services.platform.data import audit
from services.platform.data.database import Database
from services.platform.messaging.grants_line import STRANGERS
from services.platform.serving import errors
from services.platform.text.messages import message

ENTITY = "organization"
EDITION = "EDITION_"
MAX_NAME = 100
MAX_PROVIDER_ID = 64
MAX_CONTACTS = 20


async def get(database: Database) -> pb.Organization:
    return await database.read(lambda connection: to_message(connection, read(connection)))


async def update(made: Changes, request: api.UpdateOrganizationRequest, by: audit.Caller) -> pb.Organization:
    """Raises errors.RpcError; then nothing was changed."""
    version, wanted = fields.version(request.version), to_values(request)

    def work(connection: Connection, now: int) -> Outcome[pb.Organization]:
        before = read(connection)
        new = {name: value for name, value in wanted.items() if value != before._mapping[name]}
        if not new:
            return Outcome(to_message(connection, before), (), ())
        if before.version != version:
            raise changes.stale()
        if "joining" in new:
            joining.check_departments(connection, new["joining"])
        values = {**new, "version": version + 1, "update_time": now}
        connection.execute(sa.update(ORGANIZATION).values(values))
        after = read(connection)
        if joining.TOLD & new.keys():
            grants.mark(connection, [STRANGERS])
        answer = to_message(connection, after)
        told = events_pb2.OrganizationEvent(organization=answer, actor=by.account_id)
        number = after.version - 1  # the first version was there from the start, and no event told of it
        return Outcome(
            answer,
            [changes.event("organization.updated", ENTITY, number, told, now)],
            [audit.AuditEntry(by, ENTITY, ENTITY, detail=to_detail(new, before, after))],
        )

    return await made.make(work)


def read(connection: Connection) -> Row[Any]:
    return connection.execute(sa.select(ORGANIZATION)).one()


def to_message(connection: Connection, row: Row[Any]) -> pb.Organization:
    return pb.Organization(
        display_name=row.display_name,
        provider_organization_id=row.provider_organization_id,
        provider_name=row.provider_name,
        edition=pb.Edition.Value(EDITION + (row.edition or "UNSPECIFIED")),
        contacts=to_contacts(row),
        version=row.version,
        update_time=None if row.update_time is None else to_timestamp(row.update_time),
        joining=joining.to_message(connection, row),
    )


def to_contacts(row: Row[Any]) -> Collection[pb.Contact]:
    return api.Contacts.FromString(row.contacts).contacts


def to_values(request: api.UpdateOrganizationRequest) -> Mapping[str, Any]:
    """Columns of what was given, each checked by itself."""
    values: dict[str, Any] = {}
    if request.HasField("display_name"):
        values["display_name"] = fields.required_text("display_name", request.display_name, MAX_NAME)
    if request.HasField("provider_organization_id"):
        name = "provider_organization_id"
        values[name] = fields.text(name, request.provider_organization_id, MAX_PROVIDER_ID)
    if request.HasField("provider_name"):
        values["provider_name"] = fields.text("provider_name", request.provider_name, MAX_NAME)
    if request.HasField("edition"):
        values["edition"] = edition(request.edition)
    if request.HasField("contacts"):
        values["contacts"] = contacts(request.contacts.contacts)
    if request.HasField("joining"):
        values["joining"] = joining.to_column(request.joining)
    if not values:
        raise errors.invalid("display_name", message("give what is to change"))
    return values


def edition(given: pb.Edition.ValueType) -> str:
    if given not in pb.Edition.values()[1:]:
        raise errors.invalid("edition", message("is not one of those that there are"))
    return pb.Edition.Name(given).removeprefix(EDITION)


def contacts(given: Collection[pb.Contact]) -> bytes:
    """The same bytes for the same contacts."""
    if len(given) > MAX_CONTACTS:
        raise errors.invalid("contacts.contacts", message("must be at most {most}", most=MAX_CONTACTS))
    checked = [contact(f"contacts.contacts[{index}]", each) for index, each in enumerate(given)]
    return api.Contacts(contacts=checked).SerializeToString(deterministic=True)


def contact(path: str, given: pb.Contact) -> pb.Contact:
    checked = pb.Contact(
        display_name=fields.required_text(f"{path}.display_name", given.display_name, MAX_NAME),
        email=fields.email(f"{path}.email", given.email),
        phone=fields.phone(f"{path}.phone", given.phone),
        topics=sorted(set(given.topics)),
    )
    if not checked.email:
        raise errors.invalid(f"{path}.email", errors.REQUIRED)
    topics = f"{path}.topics"
    if not checked.topics:
        raise errors.invalid(topics, errors.REQUIRED)
    if len(checked.topics) != len(given.topics):
        raise errors.invalid(topics, message("name each once"))
    if not set(checked.topics) <= set(pb.NoticeTopic.values()[1:]):
        raise errors.invalid(topics, message("is not one of those that there are"))
    return checked


def to_detail(new: Iterable[str], before: Row[Any], after: Row[Any]) -> Mapping[str, Any]:
    """What was changed; before and after of what names nobody."""
    detail: dict[str, Any] = {"changed": sorted(new)}
    for name in ("provider_organization_id", "edition"):
        if name in detail["changed"]:
            detail[name] = [before._mapping[name], after._mapping[name]]
    if "contacts" in detail["changed"]:
        detail["contacts"] = [len(to_contacts(row)) for row in (before, after)]
    if "joining" in detail["changed"]:
        detail["joining"] = [joining.to_detail(row) for row in (before, after)]
    return detail
