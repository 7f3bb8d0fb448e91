"""What scim2-server asks of the directory: pages by SQL, and changes in their turn, as whoever's token it was."""

from collections.abc import Collection, Sequence
from contextvars import ContextVar
from typing import Any, Literal, cast

import sqlalchemy as sa
from scim2_models import (
    NotFoundException,
    Path,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    SearchRequest,
)
from scim2_server.storage import AsyncScimStorage, SearchPage
from sqlalchemy.engine import Connection

from services.directory.changes import Changes
from services.directory.member_requests import account_id as checked_account_id
from services.directory.models import DEPARTMENT, MEMBER
from services.directory.scim import filters, groups, users
from services.directory.scim.names import from_scim_id
from services.directory.scim.schemas import DescribedUser, ScimGroup, ScimUser
from services.directory.scopes import Actor

AccountIdFrom = Literal["externalId", "userName"]
CALLER: ContextVar[Actor] = ContextVar("scim_caller")
USER = "User"


class DirectoryStorage(AsyncScimStorage):
    """`account_id_from`: what of a new user is the subject of the person's tokens."""

    def __init__(self, changes: Changes, account_id_from: AccountIdFrom) -> None:
        self._changes, self._database = changes, changes.database
        self._account_id_from = account_id_from

    async def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        own, members = from_scim_id(resource_id), members_for(response_parameters)

        def work(connection: Connection) -> Sequence[Resource[Any]]:
            if resource_type.name == USER:
                return users.show(connection, [own])
            return groups.show(connection, [own], members)

        for found in await self._database.read(work):
            return found
        raise NotFoundException(detail=f"There is no such {resource_type.name}")

    async def get_group(self, resource_id: str, member_ids: Collection[str]) -> ScimGroup:
        """With those of its members alone that are named by ids of ours. Raises errors.RpcError."""
        own = from_scim_id(resource_id)
        return await self._database.read(lambda connection: groups.show_only(connection, own, member_ids))

    async def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """In the order of ids; of several kinds, one kind after the other."""
        offset, limit = search_request.start_index_0 or 0, search_request.count or 0
        members = members_for(search_request)

        def work(connection: Connection) -> SearchPage:
            total, found = 0, list[Resource[Any]]()
            for each in resource_types:
                is_user = each.name == USER
                first, room = max(offset - total, 0), limit - len(found)
                number, ids = _page(connection, is_user, search_request.filter, first, room)
                if is_user:
                    found += users.show(connection, ids)
                else:
                    found += groups.show(connection, ids, members)
                total += number
            return SearchPage(total, found)

        return await self._database.read(work)

    async def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        if resource_type.name != USER:
            return await self._changes.make(groups.creating(cast(ScimGroup, resource), CALLER.get()))
        user = users.from_user(cast(ScimUser, resource))
        said = [user.said["external_id"], user.said["user_name"]]
        given = said[0] or said[1] if self._account_id_from == "externalId" else said[1]
        account_id = checked_account_id("account_id", given)
        return await self._changes.make(users.creating(account_id, user, CALLER.get()))

    async def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        own = from_scim_id(resource.id or "")
        if resource_type.name != USER:
            return await self.update_group(cast(ScimGroup, resource), None, expected_version)
        user = users.from_user(cast(ScimUser, resource))
        return await self._changes.make(users.updating(own, user, expected_version, CALLER.get()))

    async def update_group(
        self, group: ScimGroup, known: Collection[str] | None, expected_version: str | None
    ) -> ScimGroup:
        """`known`: of which members it tells at all; None for all. Raises errors.RpcError."""
        own = from_scim_id(group.id or "")
        return await self._changes.make(groups.updating(own, group, known, expected_version, CALLER.get()))

    async def delete(
        self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None
    ) -> None:
        own, by = from_scim_id(resource_id), CALLER.get()
        kind = users if resource_type.name == USER else groups
        await self._changes.make(kind.deleting(own, expected_version, by))


def members_for(parameters: ResponseParameters[Any] | None) -> groups.MembersAs:
    """What the members of groups are needed for: without `parameters` for a change, else for an answer to them."""
    if parameters is None:
        return "objects"
    named = [*(parameters.attributes or ()), *(parameters.excluded_attributes or ())]
    if any("members." in str(path) for path in named):  # in part: the library knows which
        return "objects"
    kept = Path[ScimGroup].iter_paths(
        include_subattributes=False,
        attributes=parameters.attributes,
        excluded_attributes=parameters.excluded_attributes or (None if parameters.attributes else []),
    )
    return "shown" if any(str(path).endswith("members") for path in kept) else ""


def _page(
    connection: Connection, is_user: bool, asked: ScimFilter[Any] | None, offset: int, limit: int
) -> tuple[int, Sequence[str]]:
    """How many there are, and the ids on the page. All are looked at once: counting them costs as much as the page."""
    if is_user:
        key: sa.ColumnElement[str] = MEMBER.c.account_id
        rows: sa.FromClause = users.SAID if asked else MEMBER
    else:
        key, rows = DEPARTMENT.c.department_id, groups.SAID
    query = sa.select(key.label("id")).select_from(rows)
    if asked:
        kind = (DescribedUser, filters.USERS) if is_user else (ScimGroup, filters.GROUPS)
        query = query.where(filters.to_condition(asked, *kind))
    found = query.cte("found").prefix_with("MATERIALIZED") if asked else query.subquery("found")
    total = sa.select(sa.func.count()).select_from(found)
    page = sa.select(found.c.id, total.scalar_subquery()).order_by(found.c.id).offset(offset).limit(limit)
    shown = connection.execute(page).all() if limit else []
    number = shown[0][1] if shown else connection.execute(total).scalar_one()
    return number, [row[0] for row in shown]
