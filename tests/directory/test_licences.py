"""Licences: figures at any moment, and that never more are given than were bought, whoever asks for one at once."""

import asyncio
import json
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.directory import licences
from services.directory.changes import Changes, Outcome
from services.directory.models import MEMBER, PURCHASE
from services.platform.clock import DAY, to_timestamp
from services.platform.data import audit
from services.platform.messaging import outbox
from services.platform.serving import errors
from tests.directory.conftest import ADMIN, MONDAY, ManualClock
from tests.directory.test_organization import stored, subject_of


def purchase(purchase_id: str = "P1", count: int = 1, start: int = -1, end: int = 30, note: str = "") -> Any:
    """Times in days from MONDAY."""
    return pb.LicencePurchase(
        purchase_id=purchase_id,
        count=count,
        start_time=to_timestamp(MONDAY + start * DAY),
        end_time=to_timestamp(MONDAY + end * DAY),
        note=note,
    )


async def put(changes: Changes, *args: Any, **given: Any) -> pb.LicenceFigures:
    request = api.PutLicencePurchaseRequest(purchase=purchase(*args, **given))
    return await licences.put(changes, request, ADMIN)


async def delete(changes: Changes, purchase_id: str) -> pb.LicenceFigures:
    return await licences.delete(changes, api.DeleteLicencePurchaseRequest(purchase_id=purchase_id), ADMIN)


async def give(changes: Changes, account_id: str) -> None:
    """As members are given one. Raises errors.RpcError."""

    def work(connection: Connection, now: int) -> Outcome[None]:
        licences.take_one(connection, now)
        values = dict.fromkeys(("display_name", "sort_name", "search_text", "email", "phone", "title"), "")
        times = {"create_time": now, "update_time": now, "licence_assign_time": now}
        others = {"status": "ENABLED", "verified": False, "version": 1}
        connection.execute(sa.insert(MEMBER).values(account_id=account_id, **values, **times, **others))
        return Outcome(None, (), ())

    await changes.make(work)


async def refusal(changes: Changes, account_id: str) -> str:
    """Why the account was given none; "" when it was."""
    try:
        await give(changes, account_id)
    except errors.RpcError as error:
        return subject_of(error)
    return ""


async def take_back(changes: Changes, account_id: str) -> None:
    def work(connection: Connection, now: int) -> Outcome[None]:
        connection.execute(sa.delete(MEMBER).where(MEMBER.c.account_id == account_id))
        return Outcome(None, (), ())

    await changes.make(work)


async def figures(changes: Changes, day: float = 0) -> pb.LicenceFigures:
    return (await licences.get(changes.database, MONDAY + int(day * DAY))).figures


async def test_without_purchases_there_are_none(changes: Changes) -> None:
    answer = await licences.get(changes.database, MONDAY)
    assert answer == api.GetLicencesResponse(figures=pb.LicenceFigures(as_of=to_timestamp(MONDAY)))
    with pytest.raises(errors.RpcError) as caught:
        await give(changes, "a")
    assert (caught.value.code.name, subject_of(caught.value)) == ("RESOURCE_EXHAUSTED", "NO_LICENCE_LEFT")


async def test_a_purchase_holds_from_its_start_until_just_before_its_end(changes: Changes) -> None:
    await put(changes, "P1", 5, 1, 2)
    ms = 1 / DAY
    assert [(await figures(changes, day)).bought for day in (1 - ms, 1, 2 - ms, 2)] == [0, 5, 5, 0]


async def test_what_is_left_after_the_next_end_is_what_holds_then(changes: Changes) -> None:
    """Two end together; one has begun by then, one begins at that very moment, one later, one has ended before."""
    for purchase_id, count, start, end in (
        ("over", 1, -9, -1),
        ("first", 10, -5, 10),
        ("also", 20, -4, 10),
        ("longer", 40, -3, 50),
        ("soon", 100, 5, 60),
        ("then", 200, 10, 60),
        ("later", 400, 11, 60),
    ):
        await put(changes, purchase_id, count, start, end)
    now = await figures(changes)
    assert (now.bought, now.next_end_time, now.bought_after_next_end) == (70, end_of(10), 340)
    last = await figures(changes, 55)
    assert (last.bought, last.next_end_time, last.bought_after_next_end) == (700, end_of(60), 0)
    between = await figures(changes, 60)
    assert (between.bought, between.HasField("next_end_time"), between.bought_after_next_end) == (0, False, 0)


def end_of(day: int) -> Timestamp:
    return to_timestamp(MONDAY + day * DAY)


async def test_a_licence_is_locked_after_seven_days(changes: Changes, clock: ManualClock) -> None:
    assert licences.lock_time(MONDAY) == MONDAY + 7 * DAY
    await put(changes, count=3)
    await give(changes, "a")
    clock.time += DAY
    await give(changes, "b")
    ms = 1 / DAY
    shown = [await figures(changes, day) for day in (7 - ms, 7, 8)]
    assert [(each.used, each.locked, each.left) for each in shown] == [(2, 0, 1), (2, 1, 1), (2, 2, 1)]


async def test_purchases_are_listed_by_end(changes: Changes) -> None:
    """Those that have ended, too."""
    for given_one in (purchase("B", 1, 0, 30), purchase("C", 2, 0, 20), purchase("A", 3, -9, 30, "合同 7")):
        await licences.put(changes, api.PutLicencePurchaseRequest(purchase=given_one), ADMIN)
    await put(changes, "old", 4, -9, -8)
    answer = await licences.get(changes.database, MONDAY)
    assert [each.purchase_id for each in answer.purchases] == ["old", "C", "A", "B"]
    assert answer.purchases[2] == purchase("A", 3, -9, 30, "合同 7")


async def test_each_change_has_an_event_and_an_entry(changes: Changes) -> None:
    assert (await put(changes, count=3)).bought == 3
    assert (await put(changes, count=2, note="private")).bought == 2
    assert (await delete(changes, "P1")).bought == 0
    events = await stored(changes, outbox.TABLE)
    assert [(each["subject"], each["entity_id"], each["entity_seq"]) for each in events] == [
        ("yunhui.directory.organization.licences_changed", "licences", number) for number in (1, 2, 3)
    ]
    told = [json.loads(each["payload"]) for each in events]
    assert [each["licences"].get("bought", 0) for each in told] == [3, 2, 0]
    assert {each["actor"] for each in told} == {"admin"}
    entries = await stored(changes, audit.TABLE)
    assert {(each["target_kind"], each["target_id"]) for each in entries} == {("licence_purchase", "P1")}
    times = {"start_time": MONDAY - DAY, "end_time": MONDAY + 30 * DAY}
    three, two = {"count": 3, **times}, {"count": 2, **times}
    assert [json.loads(each["detail"]) for each in entries] == [
        {"before": None, "after": three},
        {"before": three, "after": two},
        {"before": two, "after": None},
    ]


async def test_a_purchase_that_stands_already_leaves_no_trace(changes: Changes) -> None:
    assert await put(changes, note="x") == await put(changes, note=" x ")
    assert len(await stored(changes, outbox.TABLE)) == len(await stored(changes, audit.TABLE)) == 1


async def test_a_purchase_that_is_unknown_cannot_be_deleted(changes: Changes) -> None:
    with pytest.raises(errors.RpcError) as caught:
        await delete(changes, "P1")
    assert (caught.value.code.name, subject_of(caught.value)) == ("NOT_FOUND", "LICENCE_PURCHASE_NOT_FOUND")
    with pytest.raises(errors.RpcError, match="purchase_id: "):
        await delete(changes, "P 1")


async def test_no_more_purchases_are_entered_than_are_listed(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "MAX_PURCHASES", 2)
    for purchase_id in ("A", "B"):
        await put(changes, purchase_id)
    with pytest.raises(errors.RpcError) as caught:
        await put(changes, "C")
    assert (caught.value.code.name, subject_of(caught.value)) == ("FAILED_PRECONDITION", "TOO_MANY_PURCHASES")
    assert (await put(changes, "B", 9)).bought == 10


LATE = Timestamp(seconds=253_402_300_800)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"purchase_id": ""}, "purchase.purchase_id"),
    ({"purchase_id": "P 1"}, "purchase.purchase_id"),
    ({"purchase_id": "x" * 65}, "purchase.purchase_id"),
    ({"count": 0}, "purchase.count"),
    ({"count": -1}, "purchase.count"),
    ({"count": 1_000_001}, "purchase.count"),
    ({"start_time": Timestamp()}, "purchase.start_time"),
    ({"start_time": Timestamp(seconds=-1)}, "purchase.start_time"),
    ({"end_time": Timestamp()}, "purchase.end_time"),
    ({"end_time": LATE}, "purchase.end_time"),
    ({"end_time": to_timestamp(MONDAY - DAY)}, "purchase.end_time"),
    ({"note": "x" * 501}, "purchase.note"),
    ({"note": "a\u202eb"}, "purchase.note"),
]


@pytest.mark.parametrize(("wrong", "field"), BAD)
async def test_bad_input_names_its_field(changes: Changes, wrong: dict[str, Any], field: str) -> None:
    given_one = purchase()
    for name, value in wrong.items():
        given_one.ClearField(name)
        given_one.MergeFrom(pb.LicencePurchase(**{name: value}))
    with pytest.raises(errors.RpcError) as caught:
        await licences.put(changes, api.PutLicencePurchaseRequest(purchase=given_one), ADMIN)
    assert (caught.value.code.name, subject_of(caught.value)) == ("INVALID_ARGUMENT", field)
    assert await stored(changes, PURCHASE) == []


DAYS = st.integers(0, 12)
STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("PQR"), st.integers(1, 3), DAYS, st.integers(1, 6)),
    st.tuples(st.just("delete"), st.sampled_from("PQR")),
    st.tuples(st.just("give")),
    st.tuples(st.just("take")),
    st.tuples(st.just("wait"), st.integers(0, 3)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(STEPS, max_size=30))
async def test_none_is_given_that_was_not_bought(changes: Changes, clock: ManualClock, steps: list[Any]) -> None:
    """Against the plainest model that there is: purchases in a dictionary, and who has a licence in a list."""
    clock.time, bought, holders = MONDAY, {}, list[str]()
    with changes.database.engine.begin() as connection:
        connection.execute(sa.delete(MEMBER))
        connection.execute(sa.delete(PURCHASE))
    for number, (what, *values) in enumerate(steps):
        day = (clock.time - MONDAY) // DAY
        if what == "put":
            purchase_id, count, start, length = values
            bought[purchase_id] = (count, start, start + length)
            await put(changes, purchase_id, count, start, start + length)
        elif what == "delete" and bought.pop(values[0], None):
            await delete(changes, values[0])
        elif what == "take" and holders:
            await take_back(changes, holders.pop())
        elif what == "wait":
            clock.time += values[0] * DAY
        elif what == "give":
            left = sum(count for count, start, end in bought.values() if start <= day < end) - len(holders)
            assert await refusal(changes, f"a{number}") == ("" if left > 0 else "NO_LICENCE_LEFT")
            holders += [f"a{number}"] if left > 0 else []


async def test_the_last_one_goes_to_one_of_many(replicas: list[Changes]) -> None:
    """Whichever of two replicas they ask, and however many ask at the same moment."""
    await put(replicas[0], count=3)
    came = await asyncio.gather(*(refusal(replicas[number % 2], f"a{number}") for number in range(10)))
    assert sorted(came) == [""] * 3 + ["NO_LICENCE_LEFT"] * 7
    assert (await figures(replicas[1])).left == 0
