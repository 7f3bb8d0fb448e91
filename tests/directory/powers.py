"""What tests of roles share: who acts, a small house, and acts in few words."""

from typing import Any

import sqlalchemy as sa
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.directory import bindings, role_changes
from services.directory.changes import Changes
from services.directory.scopes import EVERYWHERE, Actor
from services.platform.messaging import outbox
from services.platform.serving.permissions import BUILT_IN, ORDINARY
from tests.directory.conftest import ADMIN, METHOD
from tests.directory.people import add, department, memberships
from tests.directory.test_organization import stored

TREE = {"a": "", "ab": "a", "abc": "ab", "x": ""}


def actor(account_id: str, *everywhere: str, **scoped: tuple[str, ...]) -> Actor:
    """`scoped`: departments by permission, with _ for its point. Everybody may do what every member may."""
    held = dict.fromkeys((*ORDINARY, *everywhere), frozenset[str]())
    held |= {name.replace("_", ".", 1): frozenset(ids) for name, ids in scoped.items()}
    return Actor(account_id, frozenset(), METHOD, held)


def with_role(account_id: str, role_id: str, *department_ids: str) -> Actor:
    held = dict.fromkeys(ORDINARY, frozenset[str]())
    return Actor(account_id, frozenset(), METHOD, dict.fromkeys(BUILT_IN[role_id], frozenset(department_ids)) | held)


async def settle(changes: Changes) -> None:
    """Departments a, a/b, a/b/c and x; ann and bob in a/b, cai in x, dan in none."""

    def work(connection: sa.Connection) -> None:
        for department_id, parent in TREE.items():
            department(connection, department_id, department_id.upper(), parent)

    await changes.database.write(work)
    for account_id, places in {"ann": ["ab"], "bob": ["ab"], "cai": ["x"], "dan": []}.items():
        await add(changes, account_id, account_id, memberships=memberships(*places))


async def give(
    changes: Changes, account_id: str, role_id: str, department_id: str = "", by: Actor = ADMIN
) -> pb.Binding:
    request = api.GiveRoleRequest(account_id=account_id, role_id=role_id, department_id=department_id)
    return await bindings.give(changes, request, by)


async def take(changes: Changes, account_id: str, role_id: str, department_id: str = "", by: Actor = ADMIN) -> None:
    await bindings.take(
        changes, api.TakeRoleRequest(account_id=account_id, role_id=role_id, department_id=department_id), by
    )


async def create(changes: Changes, name: str = "人事", *held: str, by: Actor = ADMIN, description: str = "") -> pb.Role:
    request = api.CreateRoleRequest(
        display_name=name, description=description, permissions=held or ("members.view", "members.edit")
    )
    return await role_changes.create(changes, request, by)


async def update(changes: Changes, role_id: str, version: int = 1, by: Actor = ADMIN, **given: Any) -> pb.Role:
    return await role_changes.update(changes, api.UpdateRoleRequest(role_id=role_id, version=version, **given), by)


async def delete(changes: Changes, role_id: str, version: int = 1, by: Actor = ADMIN) -> None:
    await role_changes.delete(changes, api.DeleteRoleRequest(role_id=role_id, version=version), by)


async def held_by(changes: Changes, account_id: str) -> list[tuple[str, str]]:
    answer = await bindings.list_of(changes.database, api.ListRolesOfRequest(account_id=account_id), EVERYWHERE)
    return [(each.role_id, each.department_id) for each in answer.bindings]


async def holders(changes: Changes, role_id: str, by: Actor = ADMIN, **more: Any) -> list[tuple[str, str]]:
    request = api.ListRoleHoldersRequest(role_id=role_id, **more)
    answer = await bindings.list_holders(changes.database, request, by.scope("roles.view"))
    assert answer.total_count >= len(answer.bindings)
    return [(each.account_id, each.department_id) for each in answer.bindings]


async def told(changes: Changes, what: str) -> list[tuple[str, int]]:
    """Names and numbers of events, in order."""
    rows = sorted(await stored(changes, outbox.TABLE), key=lambda row: row["seq"])
    names = [(row["subject"].removeprefix("yunhui.directory."), row["entity_seq"]) for row in rows]
    return [each for each in names if each[0].startswith(what)]
