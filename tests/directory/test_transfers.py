"""The super administrator: there always is one, who hands the organization over, and where the first one comes from."""

import asyncio
from typing import Any

import pytest
from yunhui.directory.v1 import member_service_pb2 as member_api
from yunhui.directory.v1 import organization_service_pb2 as organization_api
from yunhui.directory.v1 import role_pb2 as pb

from services.directory import beginning, members, transfers
from services.directory.changes import Changes
from services.directory.settings import DirectorySettings
from services.platform.clock import DAY
from services.platform.data import audit
from services.platform.serving import errors
from services.platform.serving.permissions import SUPER_ADMINISTRATOR
from tests.directory.conftest import ADMIN, ManualClock
from tests.directory.people import add
from tests.directory.powers import actor, give, held_by, holders, settle, take, told, with_role
from tests.directory.test_organization import stored
from tests.directory.tree import refused

LAST = "FAILED_PRECONDITION LAST_SUPER_ADMINISTRATOR"
NO_TRANSFER = "NOT_FOUND TRANSFER_NOT_FOUND"


@pytest.fixture(autouse=True)
async def house(changes: Changes) -> None:
    await settle(changes)


async def test_the_last_super_administrator_stays(changes: Changes) -> None:
    await give(changes, "ann", SUPER_ADMINISTRATOR)
    close = member_api.SetMemberEnabledRequest(account_id="ann", enabled=False, version=1)
    remove = member_api.DeleteMemberRequest(account_id="ann", version=1)
    assert await refused(take(changes, "ann", SUPER_ADMINISTRATOR)) == LAST
    assert await refused(members.set_enabled(changes, close, ADMIN)) == LAST
    assert await refused(members.delete(changes, remove, ADMIN)) == LAST
    await give(changes, "bob", SUPER_ADMINISTRATOR)
    await members.set_enabled(changes, close, ADMIN)
    assert await refused(take(changes, "bob", SUPER_ADMINISTRATOR)) == LAST  # ann is disabled
    await take(changes, "ann", SUPER_ADMINISTRATOR)


async def test_of_two_who_take_from_each_other_at_once_one_is_left(replicas: list[Changes]) -> None:
    """Whichever of two replicas they ask."""
    for number in range(5):
        for account_id in ("ann", "bob"):
            await give(replicas[0], account_id, SUPER_ADMINISTRATOR)
        came = await asyncio.gather(
            *(take(replicas[place], who, SUPER_ADMINISTRATOR) for place, who in enumerate(("ann", "bob"))),
            return_exceptions=True,
        )
        assert sorted(each.reason if isinstance(each, errors.RpcError) else "" for each in came) == ["", LAST], number
        assert len(await holders(replicas[0], SUPER_ADMINISTRATOR)) == 1


async def begin(changes: Changes, successor: str, by: str = "ann") -> pb.Transfer:
    request = organization_api.BeginTransferRequest(account_id=successor)
    return await transfers.begin(changes, request, with_role(by, SUPER_ADMINISTRATOR))


async def accept(changes: Changes, transfer: pb.Transfer, by: str) -> None:
    request = organization_api.AcceptTransferRequest(transfer_id=transfer.transfer_id)
    await transfers.accept(changes, request, actor(by))


async def cancel(changes: Changes, transfer: pb.Transfer, by: str = "ann") -> None:
    request = organization_api.CancelTransferRequest(transfer_id=transfer.transfer_id)
    await transfers.cancel(changes, request, with_role(by, SUPER_ADMINISTRATOR))


@pytest.fixture
async def founder(changes: Changes) -> None:
    await give(changes, "ann", SUPER_ADMINISTRATOR)


@pytest.mark.usefixtures("founder")
async def test_the_organization_is_handed_over_to_who_accepts(changes: Changes) -> None:
    begun = await begin(changes, "bob")
    assert begun == await begin(changes, "bob")
    assert await transfers.get(changes, actor("bob")) == begun
    assert await refused(transfers.get(changes, actor("cai"))) == NO_TRANSFER
    assert await transfers.get(changes, with_role("cai", SUPER_ADMINISTRATOR)) == begun
    for other in ("ann", "cai"):
        assert await refused(accept(changes, begun, other)) == NO_TRANSFER
    await accept(changes, begun, "bob")
    assert await held_by(changes, "bob") == [(SUPER_ADMINISTRATOR, "")]
    assert await held_by(changes, "ann") == [("admin", "")]
    assert await refused(accept(changes, begun, "bob")) == NO_TRANSFER
    names = [name for name, _ in await told(changes, "organization.")]
    assert names == ["organization.transfer_begun", "organization.transfer_accepted"]
    assert [row["target_kind"] for row in await stored(changes, audit.TABLE)][-2:] == ["transfer", "transfer"]


@pytest.mark.usefixtures("founder")
async def test_who_has_the_roles_already_keeps_one_of_each(changes: Changes) -> None:
    await give(changes, "ann", "admin")
    await give(changes, "bob", SUPER_ADMINISTRATOR)
    await accept(changes, await begin(changes, "bob"), "bob")
    assert (await held_by(changes, "ann"), await held_by(changes, "bob")) == (
        [("admin", "")],
        [(SUPER_ADMINISTRATOR, "")],
    )


@pytest.mark.usefixtures("founder")
async def test_a_transfer_ends_after_seven_days(changes: Changes, clock: ManualClock) -> None:
    begun = await begin(changes, "bob")
    assert begun.end_time.ToMilliseconds() == clock.time + 7 * DAY
    clock.time += 7 * DAY
    assert await refused(accept(changes, begun, "bob")) == NO_TRANSFER
    assert await refused(cancel(changes, begun)) == NO_TRANSFER
    clock.time -= 1
    await accept(changes, begun, "bob")
    clock.time += 1
    assert (await begin(changes, "cai", "bob")).to_account_id == "cai"


@pytest.mark.usefixtures("founder")
async def test_one_transfer_at_a_time_which_can_be_given_up(changes: Changes) -> None:
    begun = await begin(changes, "bob")
    assert await refused(begin(changes, "cai")) == "FAILED_PRECONDITION TRANSFER_OPEN"
    await cancel(changes, begun)
    assert await refused(accept(changes, begun, "bob")) == NO_TRANSFER
    other = await begin(changes, "cai")
    assert await refused(accept(changes, begun, "cai")) == NO_TRANSFER  # not the one that was seen
    await accept(changes, other, "cai")


@pytest.mark.usefixtures("founder")
async def test_to_whom_it_cannot_be_handed_over(changes: Changes) -> None:
    assert await refused(begin(changes, "ann")) == "account_id"
    assert await refused(begin(changes, "nobody")) == "NOT_FOUND MEMBER_NOT_FOUND"
    assert await refused(begin(changes, "bob", "cai")) == "FAILED_PRECONDITION NOT_SUPER_ADMINISTRATOR"
    close = member_api.SetMemberEnabledRequest(account_id="bob", enabled=False, version=1)
    await members.set_enabled(changes, close, ADMIN)
    assert await refused(begin(changes, "bob")) == "FAILED_PRECONDITION MEMBER_DISABLED"


@pytest.mark.usefixtures("founder")
async def test_a_transfer_does_not_outlast_who_is_named_in_it(changes: Changes) -> None:
    """Who comes later under the same account id is not meant, and nobody hands over what they have no more."""
    begun = await begin(changes, "bob")
    await members.delete(changes, member_api.DeleteMemberRequest(account_id="bob", version=1), ADMIN)
    await add(changes, "bob", "bob")
    assert await refused(accept(changes, begun, "bob")) == NO_TRANSFER
    assert ("organization.transfer_cancelled", 2) in await told(changes, "organization.")
    again = await begin(changes, "bob")
    await give(changes, "cai", SUPER_ADMINISTRATOR)
    await take(changes, "ann", SUPER_ADMINISTRATOR)
    assert await refused(accept(changes, again, "bob")) == NO_TRANSFER


@pytest.mark.usefixtures("founder")
async def test_who_is_disabled_hands_nothing_over(changes: Changes) -> None:
    begun = await begin(changes, "bob")
    await give(changes, "cai", SUPER_ADMINISTRATOR)
    close = member_api.SetMemberEnabledRequest(account_id="ann", enabled=False, version=1)
    await members.set_enabled(changes, close, ADMIN)
    assert await refused(accept(changes, begun, "bob")) == NO_TRANSFER


async def test_the_first_super_administrator_comes_from_the_settings(changes: Changes) -> None:
    await beginning.ensure_super_administrator(changes, "")
    assert await holders(changes, SUPER_ADMINISTRATOR) == []
    for _ in range(2):
        await beginning.ensure_super_administrator(changes, "eve")
    await beginning.ensure_super_administrator(changes, "ann")  # there is one
    assert await holders(changes, SUPER_ADMINISTRATOR) == [("eve", "")]
    entries = [row for row in await stored(changes, audit.TABLE) if row["account_id"] == "eve"]
    assert [(row["actor"], row["method"]) for row in entries] == [("directory", "start")] * 2


async def test_a_member_becomes_the_first_one_unless_disabled(changes: Changes) -> None:
    close = member_api.SetMemberEnabledRequest(account_id="bob", enabled=False, version=1)
    await members.set_enabled(changes, close, ADMIN)
    await beginning.ensure_super_administrator(changes, "bob")
    assert await holders(changes, SUPER_ADMINISTRATOR) == []
    await beginning.ensure_super_administrator(changes, "ann")
    assert await holders(changes, SUPER_ADMINISTRATOR) == [("ann", "")]


async def test_two_replicas_that_start_at_once_make_one(replicas: list[Changes]) -> None:
    both = (beginning.ensure_super_administrator(each, who) for each, who in zip(replicas, ("ann", "bob"), strict=True))
    await asyncio.gather(*both)
    assert len(await holders(replicas[0], SUPER_ADMINISTRATOR)) == 1


def test_the_setting_names_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, Any] = {"database_url": "x", "issuer": "x", "jwks": "x", "environment": "development"}
    assert DirectorySettings(**said, super_administrator="ann").super_administrator == "ann"
    with pytest.raises(ValueError, match="no e-mail address"):
        DirectorySettings(**said, super_administrator="ann@example.org")
