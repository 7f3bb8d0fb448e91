"""Who may do what: tokens, and what the directory has granted; and the way on which its word comes, on a real bus."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from yunhui.access.v1.access_pb2 import Grant, GrantedPermission

from services.platform.messaging import grants_line
from services.platform.messaging.grants_line import BusLine, to_account_id, to_subject
from services.platform.serving import errors, grants, permissions
from services.platform.serving.grants import AWAY_SECONDS, Grants, GrantsLine, admits, is_power
from services.platform.serving.identity import Principal
from services.platform.serving.permissions import BUILT_IN, CATALOGUE, ORDINARY, Needed
from services.platform.settings import Settings
from tests.plumbing.conftest import connected
from tests.servers import Bus, password, until

ANN = Principal("ann", frozenset({"booker"}))


def granted(version: int = 1, /, disabled: bool = False, roles: tuple[str, ...] = (), **held: tuple[str, ...]) -> Grant:
    """`held`: departments by permission, with _ for its point."""
    return Grant(
        version=version,
        disabled=disabled,
        roles=roles,
        permissions=[
            GrantedPermission(permission=name.replace("_", ".", 1), department_ids=departments)
            for name, departments in held.items()
        ],
    )


def reason(refusal: pytest.ExceptionInfo[errors.RpcError]) -> str:
    return refusal.value.reason


def test_a_token_s_role_counts_where_it_is_let() -> None:
    admin = Principal("root", frozenset({"admin"}))
    assert Grants().of(admin).everywhere("rooms.edit")
    strict = Grants(["service"]).of(admin)
    assert not strict.roles
    assert set(strict.permissions) == ORDINARY
    gate = Principal("gate", frozenset({"service"}))
    assert [set(each.of(gate).permissions) for each in (Grants(), Grants(["service"]))] == [BUILT_IN["service"]] * 2


def test_what_a_token_and_the_directory_give_adds_up() -> None:
    held = Grants()
    held.put("ann", granted(1, roles=("role_1",), rooms_edit=(), members_view=("dep_1",)))
    ann = held.of(ANN)
    assert ann.roles == {"booker", "role_1"}
    assert ann.everywhere("rooms.edit")
    assert ann.everywhere("reservations.book")
    assert ann.may("members.view")
    assert not ann.everywhere("members.view")
    assert not ann.may("members.edit")
    assert [ann.scope(each) for each in ("rooms.edit", "members.view", "rules.edit")] == [None, {"dep_1"}, set()]


def test_whoever_the_directory_speaks_of_is_a_member_whatever_the_token_says() -> None:
    stranger = Principal("ann", frozenset())
    held = Grants()
    assert not held.of(stranger).permissions
    held.put("ann", granted(1))
    assert set(held.of(stranger).permissions) == ORDINARY
    assert set(Grants(["service"]).of(stranger).permissions) == ORDINARY


def test_a_permission_everywhere_is_not_narrowed_by_one_for_a_department() -> None:
    held = Grants()
    held.put("root", granted(1, members_view=("dep_1",)))
    assert held.of(Principal("root", frozenset({"admin"}))).scope("members.view") is None


def test_a_permission_of_a_newer_program_is_nothing_here() -> None:
    held = Grants()
    held.put("ann", granted(1, future_act=()))
    assert "future.act" not in held.of(ANN).permissions


def test_a_later_word_counts_and_an_earlier_one_is_passed_over() -> None:
    held = Grants()
    held.put("ann", granted(2))
    held.put("ann", granted(1, rooms_edit=()))
    assert not held.of(ANN).may("rooms.edit")
    held.put("ann", granted(3, rooms_edit=()))
    assert held.of(ANN).may("rooms.edit")


def test_the_answer_for_a_caller_can_be_asked_again_and_follows_what_is_granted() -> None:
    """As a stream does, whose caller is what an earlier answer was: what was taken away must not come back by it."""
    held = Grants()
    held.put("ann", granted(1, roles=("admin",), rooms_edit=()))
    first = held.of(ANN)
    assert held.of(ANN) is first
    held.put("ann", granted(2))
    assert held.of(first).roles == {"booker"}
    assert not held.of(first).may("rooms.edit")


def test_a_disabled_account_may_nothing_whatever_its_token_says() -> None:
    held = Grants()
    held.put("ann", granted(1, disabled=True, rooms_edit=()))
    with pytest.raises(errors.RpcError) as refused:
        held.of(Principal("ann", frozenset({"admin"})))
    assert reason(refused) == "PERMISSION_DENIED ACCOUNT_DISABLED"
    assert "停用" in errors.chinese_of(refused.value.to_status())
    held.put("ann", granted(2))
    assert held.of(ANN).may("reservations.book")


class SilentLine(GrantsLine):
    seconds = math.inf

    def silent_for(self) -> float:
        return self.seconds


def test_known_grants_go_on_for_a_while_when_the_bus_is_away() -> None:
    held, line = Grants(), SilentLine()
    held.line = line
    for seconds, admitted in ((0.0, True), (AWAY_SECONDS, True), (AWAY_SECONDS + 1, False), (math.inf, False)):
        line.seconds = seconds
        if admitted:
            assert held.of(ANN).may("reservations.book")
        else:
            with pytest.raises(errors.RpcError) as refused:
                held.of(ANN)
            assert reason(refused) == "UNAVAILABLE SERVICE_AWAY"
        assert held.of(Principal("gate", frozenset({"service"}))).may("attendance.report")  # a program is known


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "MOST_REMEMBERED", 3)
    held = Grants()
    for number in range(10):
        assert held.of(Principal(f"a{number}", frozenset({"booker"}))).may("reservations.book")


@given(st.sampled_from(sorted(CATALOGUE)), st.booleans(), st.sampled_from([None, (), ("dep_1",)]))
def test_a_method_admits_whom_it_should(name: str, scoped: bool, held: tuple[str, ...] | None) -> None:
    permissions = {} if held is None else {name: frozenset(held)}
    caller = Principal("ann", frozenset(), permissions=permissions)
    assert admits(caller, Needed(name, scoped)) is (held == () or (held is not None and scoped))


def test_acts_of_power_are_more_than_seeing_and_more_than_everybody_may() -> None:
    power = {name for name in CATALOGUE if is_power(Needed(name))}
    assert power & ORDINARY == set()
    assert {"rooms.edit", "violations.waive", "roles.edit", "events.repair"} <= power
    assert not {name for name in power if ".view" in name}


def test_the_built_in_roles_contain_each_other() -> None:
    assert BUILT_IN["booker"] < BUILT_IN["support"] < BUILT_IN["admin"] < BUILT_IN["super_admin"] < set(CATALOGUE)
    assert set(permissions.NAMES) == set(BUILT_IN)


@given(st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable()))
def test_every_account_has_a_subject_of_its_own(account_id: str) -> None:
    subject = to_subject(account_id)
    assert to_account_id(subject) == account_id
    assert subject.count(".") == 3
    assert not set(subject[len("$KV.grants.account.") :]) & set(" .*>\t")


# on a real bus


@asynccontextmanager
async def followed(server: Bus, *, known: bool = True) -> AsyncIterator[tuple[Grants, BusLine]]:
    name = "booking"
    held = Grants()
    line = BusLine(Settings(nats_url=server.url, nats_user=name, nats_password=password(name)), name, held)
    running = asyncio.create_task(line.run())
    try:
        if known:
            await until(lambda: line.silent_for() == 0)
        yield held, line
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def put(directory: Client, account_id: str, grant: Grant) -> None:
    await directory.jetstream().publish(to_subject(account_id), grant.SerializeToString())


async def test_a_program_knows_what_was_granted_before_it_came_and_hears_the_rest(bus: Bus, directory: Client) -> None:
    await put(directory, "ann", granted(1, rooms_edit=()))
    await put(directory, "李 明@x", granted(1, rules_edit=()))
    await put(directory, "ann", granted(2, rules_edit=()))
    await directory.publish("$KV.grants.account.!!!", b"no grant")
    async with followed(bus) as (held, line):
        assert held.of(ANN).may("rules.edit")
        assert not held.of(ANN).may("rooms.edit")
        assert held.of(Principal("李 明@x", frozenset())).may("rules.edit")
        await put(directory, "ann", granted(3, disabled=True))
        await line.confirm()
        with pytest.raises(errors.RpcError):
            held.of(ANN)


async def test_what_was_granted_while_the_bus_was_away_is_known_after(bus: Bus) -> None:
    async with followed(bus) as (held, line):
        await bus.stop()
        await until(lambda: line.silent_for() > 0)
        with pytest.raises(errors.RpcError) as refused:
            await line.confirm()
        assert refused.value.code is grpc.StatusCode.UNAVAILABLE
        assert held.of(ANN).may("reservations.book")
        await bus.start()
        async with connected(bus, "directory") as directory:
            await put(directory, "ann", granted(9, disabled=True))
        await until(lambda: line.silent_for() == 0)
        await line.confirm()
        with pytest.raises(errors.RpcError):
            held.of(ANN)


async def test_nobody_but_the_directory_can_grant_anything(bus: Bus, directory: Client) -> None:
    async with followed(bus) as (held, line):
        for user in ("booking", "policy", "notifier", "meetings", "portal", "subscriber"):
            async with connected(bus, user) as stranger:
                await stranger.publish(to_subject("ann"), granted(5, rooms_edit=()).SerializeToString())
                await stranger.flush()
        await put(directory, "bob", granted(1, rooms_edit=()))
        await line.confirm()
        assert held.of(Principal("bob", frozenset())).may("rooms.edit")
        assert not held.of(ANN).may("rooms.edit")


async def test_without_the_bucket_nobody_knows_what_was_granted(server: Bus) -> None:
    async with followed(server, known=False) as (held, line):
        with pytest.raises(errors.RpcError) as refused:
            held.of(ANN)
        assert refused.value.code is grpc.StatusCode.UNAVAILABLE
        await server.set_up()
        await until(lambda: line.silent_for() == 0)
        assert held.of(ANN).may("reservations.book")


async def test_an_answer_that_comes_late_costs_no_connection(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """nats-py drops it when a pong comes for a ping that was given up."""
    monkeypatch.setattr(grants_line, "CONFIRM_SECONDS", 0.1)
    async with followed(bus) as (_, line):
        lost = asyncio.Event()
        monkeypatch.setattr(line, "_interrupted", lost)
        async with bus.paused():
            with pytest.raises(errors.RpcError):
                await line.confirm()
        monkeypatch.undo()
        await until(lambda: confirmed(line))
        assert not lost.is_set()


async def confirmed(line: BusLine) -> bool:
    with suppress(errors.RpcError):
        await line.confirm()
        return True
    return False
