"""What accounts may do reaches the bus, whatever happens between the commit and the put, and to the bucket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from yunhui.access.v1 import access_pb2
from yunhui.directory.v1 import department_service_pb2 as department_api
from yunhui.directory.v1 import import_service_pb2 as import_api
from yunhui.directory.v1 import member_pb2
from yunhui.directory.v1 import member_service_pb2 as member_api

from services.directory import department_changes, grants, import_tables, members, models
from services.directory.changes import Changes
from services.directory.grants import GrantPublisher
from services.directory.imports import Imports
from services.installation import topology
from services.platform.messaging.grants_line import STREAM, to_subject
from services.platform.messaging.outbox import Relay
from services.platform.serving.permissions import BUILT_IN
from tests.directory.conftest import ADMIN
from tests.directory.people import add, department, memberships
from tests.directory.powers import create, give, take, update
from tests.directory.test_organization import stored
from tests.patience import PATIENCE_SECONDS
from tests.servers import Bus, until


class EndError(Exception):
    """The program ends here."""


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Bus]:
    made = Bus(tmp_path / "nats")
    await made.start()
    await made.set_up()
    yield made
    await made.stop()


@pytest.fixture
async def bus(nats: Bus) -> AsyncIterator[Client]:
    """As the directory is connected."""
    connection = await nats.connect("directory")
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
async def house(changes: Changes) -> None:
    def work(connection: sa.Connection) -> None:
        for department_id, parent in {"a": "", "ab": "a", "x": ""}.items():
            department(connection, department_id, department_id.upper(), parent)

    await changes.database.write(work)
    for account_id in ("ann", "bob"):
        await add(changes, account_id, account_id, memberships=memberships("ab"))


def publisher_of(changes: Changes, bus: Client) -> GrantPublisher:
    return GrantPublisher(changes.database, bus, lambda: True)


async def in_bucket(bus: Client, account_id: str) -> access_pb2.Grant | None:
    try:
        found = await bus.jetstream().get_msg(STREAM, subject=to_subject(account_id))
    except NotFoundError:
        return None
    return access_pb2.Grant.FromString(found.data or b"")


async def computed(changes: Changes, account_id: str) -> access_pb2.Grant:
    found = await changes.database.read(lambda connection: grants.compute(connection, [account_id]))
    return found[account_id]


def permitted(grant: access_pb2.Grant | None) -> dict[str, list[str]]:
    assert grant
    return {each.permission: [*each.department_ids] for each in grant.permissions}


async def waiting(changes: Changes) -> list[str]:
    return sorted(row["account_id"] for row in await stored(changes, models.MEMBER_GRANT) if row["waiting"])


async def set_enabled(changes: Changes, account_id: str, version: int, *, enabled: bool) -> None:
    request = member_api.SetMemberEnabledRequest(account_id=account_id, enabled=enabled, version=version)
    await members.set_enabled(changes, request, ADMIN)


async def test_roles_together_permit_what_each_does(changes: Changes) -> None:
    """Of departments all are told; what is everywhere needs none."""
    made = await create(changes, "A", "members.view", "rooms.edit")
    for role_id, department_id in (("support", "x"), (made.role_id, "ab"), (made.role_id, "x")):
        await give(changes, "ann", role_id, department_id)
    found = await computed(changes, "ann")
    assert sorted(found.roles) == sorted([made.role_id, "support"])
    expected = {name: ["x"] for name in BUILT_IN["support"]} | {"rooms.edit": ["ab", "x"], "members.view": ["ab", "x"]}
    assert permitted(found) == expected
    await give(changes, "ann", made.role_id)
    assert permitted(await computed(changes, "ann")) == expected | {"rooms.edit": [], "members.view": []}


async def test_every_change_that_touches_an_account_is_marked(changes: Changes) -> None:
    """And nobody else is."""

    async def marked() -> list[str]:
        found = await waiting(changes)
        await changes.database.write(
            lambda connection: connection.execute(sa.update(models.MEMBER_GRANT), {"waiting": False})
        )
        return found

    assert await marked() == []  # who was merely added
    made = await create(changes)
    await give(changes, "ann", made.role_id, "ab")
    assert await marked() == ["ann"]
    await update(changes, made.role_id, display_name="B")
    assert await marked() == []
    await update(changes, made.role_id, 2, permissions=["rules.view"])
    assert await marked() == ["ann"]
    request = department_api.MergeDepartmentRequest(department_id="ab", into_department_id="x", version=1)
    await department_changes.merge(changes, request, ADMIN)
    assert await marked() == ["ann"]
    await take(changes, "ann", made.role_id, "x")
    assert await marked() == ["ann"]
    await set_enabled(changes, "bob", 2, enabled=False)
    assert await marked() == ["bob"]
    await members.delete(changes, member_api.DeleteMemberRequest(account_id="bob", version=3), ADMIN)
    assert await marked() == ["bob"]
    await add(changes, "bob", "bob")
    assert await marked() == ["bob"]
    await add(changes, "cai", "cai", status=member_pb2.MEMBER_STATUS_DISABLED)
    assert await marked() == ["cai"]


async def test_tables_of_people_mark_whom_they_open_and_close(changes: Changes) -> None:
    await members.delete(changes, member_api.DeleteMemberRequest(account_id="bob", version=1), ADMIN)
    imports = Imports(changes)
    rows = [
        ["账号", "姓名", "账号状态"],
        ["ann", "", "已停用"],
        ["bob", "b", ""],
        ["cai", "c", "已停用"],
        ["dan", "d", ""],
    ]
    content = b"".join(import_tables.write_csv(rows))
    made = await imports.create(import_api.CreateImportRequest(file_name="a.csv"), ADMIN)
    await imports.upload(import_api.UploadImportPartRequest(import_id=made.import_id, content=content))
    await imports.check(made.import_id)
    await imports.apply(import_api.ApplyImportRequest(import_id=made.import_id), ADMIN)
    assert await waiting(changes) == ["ann", "bob", "cai"]
    assert [(await computed(changes, each)).disabled for each in ("ann", "bob", "cai")] == [True, False, True]


async def test_what_was_marked_is_published_and_marked_no_more(changes: Changes, bus: Client) -> None:
    await give(changes, "ann", "support")
    publisher = publisher_of(changes, bus)
    await publisher.publish()
    first = await in_bucket(bus, "ann")
    assert first == await computed(changes, "ann")
    assert ({*permitted(first)}, await waiting(changes)) == ({*BUILT_IN["support"]}, list[str]())
    assert await in_bucket(bus, "bob") is None
    await take(changes, "ann", "support")
    await publisher.publish()
    after = await in_bucket(bus, "ann")
    assert after
    assert first
    assert after.version > first.version
    assert (permitted(after), [*after.roles], after.disabled) == ({}, [], False)


async def test_who_is_disabled_or_gone_may_do_nothing(changes: Changes, bus: Client) -> None:
    publisher = publisher_of(changes, bus)

    async def disabled() -> bool:
        await publisher.publish()
        found = await in_bucket(bus, "ann")
        return bool(found and found.disabled)

    await set_enabled(changes, "ann", 1, enabled=False)
    assert await disabled()
    await set_enabled(changes, "ann", 2, enabled=True)
    assert not await disabled()
    await set_enabled(changes, "ann", 3, enabled=False)
    await members.delete(changes, member_api.DeleteMemberRequest(account_id="ann", version=4), ADMIN)
    assert await disabled()
    await add(changes, "ann", "ann")
    assert not await disabled()


async def test_only_who_owns_the_outbox_publishes(changes: Changes, bus: Client) -> None:
    await give(changes, "ann", "support")
    await GrantPublisher(changes.database, bus, lambda: False).publish()
    assert (await in_bucket(bus, "ann"), await waiting(changes)) == (None, ["ann"])


async def test_what_was_committed_before_the_end_is_published_after_it(
    changes: Changes, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program ends between the commit and the put, and another between the put and the mark."""
    await give(changes, "ann", "support")

    def die(*_: Any, **__: Any) -> Any:
        raise EndError

    with monkeypatch.context() as patched:
        patched.setattr(GrantPublisher, "_put", die)
        with pytest.raises(EndError):
            await publisher_of(changes, bus).publish()
    assert (await in_bucket(bus, "ann"), await waiting(changes)) == (None, ["ann"])

    with monkeypatch.context() as patched:
        patched.setattr(grants, "_note", die)
        with pytest.raises(EndError):
            await publisher_of(changes, bus).publish()
    assert (await in_bucket(bus, "ann"), await waiting(changes)) == (await computed(changes, "ann"), ["ann"])

    await publisher_of(changes, bus).publish()
    assert (await in_bucket(bus, "ann"), await waiting(changes)) == (await computed(changes, "ann"), [])


async def test_a_change_while_it_is_published_is_published_too(changes: Changes, bus: Client) -> None:
    await give(changes, "ann", "support")
    publisher = publisher_of(changes, bus)
    put = publisher._put

    async def slow(account_id: str, grant: Any) -> int:
        if grant.roles:
            await take(changes, "ann", "support")
        return await put(account_id, grant)

    publisher._put = slow  # type: ignore[method-assign]
    await publisher.publish()
    assert (permitted(await in_bucket(bus, "ann")), await waiting(changes)) == ({}, [])


async def test_a_replica_that_is_late_makes_up_for_it(changes: Changes, bus: Client) -> None:
    """It overwrites what another one has published since, sees that, and has the newest published again."""
    await give(changes, "ann", "support")
    late, other = publisher_of(changes, bus), publisher_of(changes, bus)
    put = late._put

    async def overtaken(account_id: str, grant: Any) -> int:
        if grant.roles:
            await take(changes, "ann", "support")
            await other.publish()
            assert not permitted(await in_bucket(bus, "ann"))
        return await put(account_id, grant)

    late._put = overtaken  # type: ignore[method-assign]
    await late.publish()
    assert (permitted(await in_bucket(bus, "ann")), await waiting(changes)) == ({}, [])


async def lose_bucket(nats: Bus) -> None:
    admin = await nats.connect()
    await admin.jetstream().delete_stream(STREAM)
    await topology.apply(admin)
    await admin.close()


async def test_a_bucket_that_was_lost_is_filled_again(changes: Changes, nats: Bus, bus: Client) -> None:
    for account_id in ("ann", "bob"):
        await give(changes, account_id, "support")
    await publisher_of(changes, bus).publish()
    await lose_bucket(nats)
    await publisher_of(changes, bus).publish()  # whoever starts next
    for account_id in ("ann", "bob"):
        assert await in_bucket(bus, account_id) == await computed(changes, account_id)


async def test_a_bucket_that_is_as_it_was_left_is_left_alone(changes: Changes, nats: Bus, bus: Client) -> None:
    for account_id in ("ann", "bob"):
        await give(changes, account_id, "support")
    await publisher_of(changes, bus).publish()
    await give(changes, "ann", "admin")
    await publisher_of(changes, bus).publish()
    numbers = [row["sequence"] for row in await stored(changes, models.MEMBER_GRANT)]
    await publisher_of(changes, bus).publish()
    assert [row["sequence"] for row in await stored(changes, models.MEMBER_GRANT)] == numbers


async def test_after_a_restored_backup_the_tables_decide(changes: Changes, bus: Client) -> None:
    """Also about an account that they do not know, and with versions that nobody passes over."""
    await give(changes, "ann", "support")
    await give(changes, "bob", "support")
    await publisher_of(changes, bus).publish()
    before = [await in_bucket(bus, each) for each in ("ann", "bob")]

    def restore(connection: sa.Connection) -> None:
        connection.execute(sa.delete(models.BINDING))
        connection.execute(sa.delete(models.MEMBER_GRANT).where(models.MEMBER_GRANT.c.account_id == "bob"))
        connection.execute(sa.update(models.MEMBER_GRANT).values(version=1, sequence=0))

    await changes.database.write(restore)
    await publisher_of(changes, bus).publish()
    after = [await in_bucket(bus, each) for each in ("ann", "bob")]
    for old, new in zip(before, after, strict=True):
        assert old
        assert new
        assert new.version > old.version
        assert (permitted(new), new.disabled) == ({}, False)


@asynccontextmanager
async def running(loop: GrantPublisher | Relay) -> AsyncIterator[None]:
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_loop_is_woken_goes_on_after_failures_and_ends_with_nothing_left(
    changes: Changes, nats: Bus, bus: Client
) -> None:
    publisher = publisher_of(changes, bus)
    woken = Changes(changes.database, changes.clock, publisher.wake)
    async with running(publisher):
        await give(woken, "ann", "support")
        await until(lambda: in_bucket(bus, "ann"))
        admin = await nats.connect()
        await admin.jetstream().delete_stream(STREAM)
        await give(woken, "bob", "support")
        await until(lambda: waiting(changes))
        await topology.apply(admin)
        await admin.close()
        await until(lambda: in_bucket(bus, "bob"))
        await give(changes, "bob", "admin")  # nobody wakes it
    assert "admin" in (await in_bucket(bus, "bob") or access_pb2.Grant()).roles


async def test_what_another_replica_commits_wakes_the_one_that_publishes(
    replicas: list[Changes], nats: Bus, bus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks by themselves here: what comes was told of."""
    monkeypatch.setattr(grants, "LOOK_SECONDS", 10 * PATIENCE_SECONDS)
    other_bus = await nats.connect("directory")
    relays = [
        Relay(changes.database, connection, "directory")
        for changes, connection in zip(replicas, (bus, other_bus), strict=True)
    ]
    async with AsyncExitStack() as stack:
        for relay, changes, connection in zip(relays, replicas, (bus, other_bus), strict=True):
            await stack.enter_async_context(running(relay))
            await until(relays[0].owns)
            publisher = GrantPublisher(changes.database, connection, relay.owns)
            relay.wake_too(publisher.wake)
            await stack.enter_async_context(running(publisher))
        await bus.flush()
        assert [relay.owns() for relay in relays] == [True, False]
        there = Changes(replicas[1].database, replicas[1].clock, relays[1].wake)
        for number, role_id in enumerate(("support", "admin"), 1):
            await give(there, "ann", role_id)

            async def has_all(number: int = number) -> bool:
                found = await in_bucket(bus, "ann")
                return found is not None and len(found.roles) == number

            await until(has_all)
    await other_bus.close()


async def test_what_built_in_roles_permit_is_told_again_at_start(changes: Changes, bus: Client) -> None:
    made = await create(changes)
    await give(changes, "ann", "support")
    await give(changes, "bob", made.role_id)
    await publisher_of(changes, bus).publish()
    await changes.database.write(grants.mark_built_in)
    assert await waiting(changes) == ["ann"]
