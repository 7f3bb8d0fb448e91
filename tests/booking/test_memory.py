"""What a replica keeps in memory, the pool and the accounts, is what the database holds, whoever changed it."""

import asyncio
import contextlib
import importlib.resources
import json
import random
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.policy.v1 import policy_service_pb2 as policy

from services.booking import accounts, endings, models, pool, rooms
from services.booking.accounts import AccountState, KnownAccounts
from services.booking.past import EVERYTHING, Horizon
from services.booking.pool import CurrentPool
from services.booking.scopes import of_account
from services.platform.clock import DAY, HOUR, MINUTE, to_timestamp
from services.platform.data import audit
from services.platform.data.database import ConflictError, Database
from services.platform.serving import errors
from services.policy.decisions import Policy
from tests.booking.builders import MONDAY, TEN, wanted
from tests.booking.conftest import Booking

ADMIN = audit.Caller("admin", frozenset({"admin"}), "")
CHANGES = models.POOL_CHANGE


async def create(booking: Booking, **fields: Any) -> api.CreateReservationResponse:
    return await booking.admission.create(wanted(**fields))


async def cancel(booking: Booking, reply: api.CreateReservationResponse) -> None:
    record = reply.reservation
    await endings.cancel(
        booking.transactions, record.reservation_id, of_account(record.organizer.account_id), "booker", ""
    )


def rule_ids(reply: api.CreateReservationResponse) -> list[str]:
    return [rule.rule_id for rule in reply.decision.rules]


async def test_a_room_that_another_replica_gives_back_is_free_at_once(replicas: list[Booking]) -> None:
    here, there = replicas
    taken = [await create(here, account_id=f"a{index}", participant_count=20) for index in range(3)]
    assert rule_ids(await create(here, account_id="late", participant_count=20)) == ["NO_ROOM_FREE"]
    await cancel(there, taken[0])
    assert (await create(here, account_id="late", participant_count=20)).reservation.room == taken[0].reservation.room


async def test_a_room_that_another_replica_has_given_is_not_offered(replicas: list[Booking]) -> None:
    here, there = replicas
    await create(here, account_id="a")
    for index in range(2):
        await create(there, account_id=f"b{index}", participant_count=20)
    assert rule_ids(await create(here, account_id="c", participant_count=20)) == ["NO_ROOM_FREE"]


async def test_the_quota_counts_what_another_replica_has_taken_and_given_back(replicas: list[Booking]) -> None:
    here, there = replicas
    first = await create(here, start=TEN)
    for number in (1, 2):
        await create(there, start=TEN + number * 2 * HOUR)
    assert rule_ids(await create(here, start=TEN + 6 * HOUR)) == ["DAILY_QUOTA"]
    await cancel(there, first)
    assert rule_ids(await create(here, start=TEN + 6 * HOUR)) == []


async def test_rooms_that_another_replica_has_changed_are_as_it_left_them(replicas: list[Booking]) -> None:
    here, there = replicas
    assert (await create(here, account_id="a")).reservation.room.room_id == "small-1"
    await rooms.update(there.database, api.UpdateRoomRequest(room_id="small-2", enabled=False), ADMIN)
    assert (await create(here, account_id="b")).reservation.room.room_id == "large-1"
    await rooms.create(there.database, api.CreateRoomRequest(room_id="new", capacity=12), ADMIN)
    assert (await create(here, account_id="c")).reservation.room.room_id == "new"


async def test_what_was_refused_at_the_commit_is_not_remembered(
    booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the room that was chosen for it, nor that it counts."""
    await create(booking, account_id="known", start=TEN + DAY)

    def fail(*_: object) -> None:
        raise ConflictError

    with monkeypatch.context() as patched:
        patched.setattr("services.booking.reservations._Rows.write", fail)
        with pytest.raises(Exception, match="too many"):
            await create(booking, account_id="known")
    for number in range(3):
        reply = await create(booking, account_id="known", start=TEN + number * HOUR)
        assert (rule_ids(reply), reply.reservation.room.room_id) == ([], "small-1")


ACTS = 400
WIDTH = 3 * DAY


@pytest.mark.parametrize("seed", range(3))
async def test_the_pool_in_memory_is_the_pool_in_the_database(database: Database, seed: int) -> None:
    """After whatever was done to the tables by whatever hand, in transactions that were committed or were not."""
    dice, kept = random.Random(seed), CurrentPool()
    for _ in range(ACTS):
        await disturb(database, dice)
        if dice.random() < 0.5:
            interval = some_interval(dice, WIDTH)
            await database.read(lambda c: compare(c, kept, interval))  # noqa: B023 - it is read at once


def compare(connection: Connection, kept: CurrentPool, interval: pool.Interval) -> None:
    kept.read(connection, [interval])
    stored = pool.read_pool(connection, [interval])
    start, end = interval
    for people in (1, 31):
        free = stored.free(start, end, people)
        assert kept.free(start, end, people) == free
        assert kept.count_free(start, end, people) == len(free)
        assert kept.first_free(start, end, people) == next(iter(free), None)
        assert list(kept.free_intervals(start, end, people)) == list(stored.free_intervals(start, end, people))


async def disturb(database: Database, dice: random.Random) -> None:
    act = dice.choices((take, change, drop, switch, prune, fail), (8, 6, 2, 1, 1, 2))[0]
    with contextlib.suppress(ConflictError, ZeroDivisionError):  # the room was taken; or it was to be rolled back
        await database.write(lambda c: act(c, dice))


def take(connection: Connection, dice: random.Random) -> None:
    start, end = some_interval(dice, DAY // 2)
    insert(connection, reservation_id=f"r{dice.random()}", start_time=start, end_time=end, **some_state(dice))


def insert(connection: Connection, **values: Any) -> None:
    row: dict[str, Any] = {column.name: "" for column in models.RESERVATION.c if not column.nullable}
    row |= dict.fromkeys(("version", "participant_count", "ask_count", "create_time", "update_time"), 1)
    connection.execute(sa.insert(models.RESERVATION), [row | values])


def change(connection: Connection, dice: random.Random) -> None:
    start, end = some_interval(dice, DAY // 2)
    values = dice.choice([some_state(dice), {"start_time": start, "end_time": end}, {"subject": "other"}])
    connection.execute(sa.update(models.RESERVATION).where(one(connection, dice)).values(values))


def drop(connection: Connection, dice: random.Random) -> None:
    connection.execute(sa.delete(models.RESERVATION).where(one(connection, dice)))


def switch(connection: Connection, dice: random.Random) -> None:
    mine = models.ROOM.c.room_id == dice.choice(("small-1", "large-1"))
    values = {"enabled": dice.random() < 0.7, "capacity": dice.choice((30, 300))}
    connection.execute(sa.update(models.ROOM).where(mine).values(values))


def prune(connection: Connection, _: random.Random) -> None:
    """As the database does by itself from time to time."""
    last = sa.select(sa.func.max(CHANGES.c.number)).scalar_subquery()
    connection.execute(sa.delete(CHANGES).where(CHANGES.c.number < last))


def fail(connection: Connection, dice: random.Random) -> None:
    take(connection, dice)
    raise ZeroDivisionError


def one(connection: Connection, dice: random.Random) -> sa.ColumnElement[bool]:
    ids = connection.scalars(sa.select(models.RESERVATION.c.reservation_id).order_by("reservation_id")).all()
    return models.RESERVATION.c.reservation_id == (dice.choice(ids) if ids else "")


def some_state(dice: random.Random) -> dict[str, Any]:
    return {
        "state": dice.choice(("CONFIRMED", "IN_USE", "CONFIRMED", "CANCELLED")),
        "room_id": dice.choice(("small-1", "small-2", "large-1")),
    }


def some_interval(dice: random.Random, longest: int) -> pool.Interval:
    start = TEN + dice.randrange(5 * DAY) // MINUTE * MINUTE
    return start, start + dice.randrange(1, longest // MINUTE) * MINUTE


async def test_many_changes_are_kept_only_for_a_while(database: Database) -> None:
    """The latest ones; at least one, so that who has seen it knows that it missed none."""

    def work(connection: Connection) -> tuple[int, int, int]:
        flips = [{"on": bool(number % 2)} for number in range(12_000)]
        flip = sa.update(models.ROOM).where(models.ROOM.c.room_id == "small-1")
        connection.execute(flip.values(enabled=sa.bindparam("on")), flips)
        query = sa.select(sa.func.count(), sa.func.min(CHANGES.c.number), sa.func.max(CHANGES.c.number))
        number, first, last = connection.execute(query).one()
        return number, first, last

    number, first, last = await database.write(work)
    assert 10_000 <= number <= 11_000
    assert last - first + 1 == number


async def test_days_that_nobody_asks_about_are_forgotten(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_HOLDS", 3)
    kept = CurrentPool()
    for day in range(6):
        for room_id in ("small-1", "small-2"):
            row: dict[str, Any] = {"reservation_id": f"{room_id}-{day}", "room_id": room_id, "state": "CONFIRMED"}
            row |= {"start_time": TEN + day * DAY, "end_time": TEN + day * DAY + HOUR}
            await database.write(lambda c: insert(c, **row))  # noqa: B023 - done at once
    for day in (0, 1, 2, 3, 4, 5, 0):
        interval = (TEN + day * DAY, TEN + day * DAY + HOUR)
        await database.read(lambda c: compare(c, kept, interval))  # noqa: B023 - it is read at once
        assert len(kept._days) == 1


async def test_an_account_in_memory_is_the_account_in_the_database(replicas: list[Booking]) -> None:
    """With its history as it grew: confirmed, waiting for support, refused, cancelled here or elsewhere."""
    dice, kept = random.Random(7), replicas[0].admission._accounts
    made: list[api.CreateReservationResponse] = []
    for number in range(40):
        booking = dice.choice(replicas)
        if made and dice.random() < 0.3:
            await cancel(booking, made.pop(dice.randrange(len(made))))
        else:
            start = TEN + dice.randrange(1, 20) * DAY + number * MINUTE
            people = dice.choice((12, 12, 120))
            reply = await create(booking, account_id=f"a{dice.randrange(2)}", start=start, participant_count=people)
            made += [reply] if reply.reservation.state == pb.RESERVATION_STATE_CONFIRMED else []
        start = TEN + dice.randrange(1, 20) * DAY
        window = booking.policy.window
        await replicas[0].database.read(
            lambda c: compare_accounts(c, kept, {"a0": start, "a1": TEN}, window)  # noqa: B023 - it is read at once
        )


def compare_accounts(
    connection: Connection, kept: KnownAccounts, latest: dict[str, int], window: policy.HistoryWindow | None
) -> None:
    found, stored = kept.read(connection, latest, window, MONDAY), accounts.read_accounts(connection, latest, MONDAY)
    for account_id, state in found.items():
        subject = policy.Subject(start_time=to_timestamp(latest[account_id]))
        assert comparable(state, window, subject) == comparable(stored[account_id], window, subject)


def comparable(state: AccountState, window: policy.HistoryWindow | None, subject: policy.Subject) -> tuple[Any, ...]:
    history = state.told(window, [subject], MONDAY)
    items = sorted(history.reservations, key=lambda item: item.reservation_id)
    account = state.version, state.profile, state.roles, state.member, state.overdue
    return *account, items, history.from_time, history.until_time


WITHIN = Horizon(TEN, TEN, TEN + DAY)
FAR = 20 * DAY

EDGES: dict[str, tuple[int, list[int], int | None]] = {
    "too early": (TEN - 1, [], None),
    "first": (TEN, [], None),
    "last": (TEN + DAY - 1, [], None),
    "too late": (TEN + DAY, [], None),
    "moved away": (TEN + FAR, [TEN], None),
    "moved forward": (TEN - FAR, [TEN + DAY - 1], None),
    "moved within": (TEN + HOUR, [TEN], None),
    "support asked": (TEN + FAR, [], TEN),
    "moved long ago": (TEN + FAR, [TEN - FAR], None),
    "forgotten": (TEN - accounts.HISTORY - 1, [TEN], None),
}
"""Start, former starts and when support was asked; epoch ms."""


def insert_edges(connection: Connection) -> None:
    values = {"display_name": "", "email": "", "locale": "", "department": "", "roles": "", "event_seq": 0}
    connection.execute(sa.insert(models.ACCOUNT), [{"account_id": "a", "version": 1, **values}])
    for name, (start, former, asked) in EDGES.items():
        moved = json.dumps([[each, each, 0] for each in former]) if former else None
        times = {"start_time": start, "end_time": start + HOUR, "former_starts": moved, "escalate_time": asked}
        insert(connection, account_id="a", reservation_id=name, state="CANCELLED", **times)


async def read_edges(database: Database, within: Horizon = EVERYTHING) -> AccountState:
    found = await database.read(lambda c: accounts.read_accounts(c, ["a"], TEN, within))
    return found["a"]


async def test_no_more_is_read_than_lies_within_and_what_counts_at_other_moments(database: Database) -> None:
    await database.write(insert_edges)
    bounded, whole = await read_edges(database, WITHIN), await read_edges(database)
    names = sorted(each.reservation_id for each in whole.history.reservations)
    assert names == sorted({*EDGES} - {"forgotten"})
    read = sorted(each.reservation_id for each in bounded.history.reservations)
    assert read == sorted({*names} - {"too early", "too late"})
    assert not whole.history.HasField("from_time")
    assert (bounded.history.from_time, bounded.history.until_time) == (to_timestamp(TEN), to_timestamp(TEN + DAY))


@pytest.mark.parametrize(
    ("within", "covered"),
    [
        (WITHIN, True),
        (Horizon(TEN + 1, 0, TEN + DAY - 1), True),
        (Horizon(TEN - 1, TEN, TEN + DAY), False),
        (Horizon(TEN, TEN, TEN + DAY + 1), False),
        (Horizon(TEN, TEN), False),
    ],
)
async def test_an_account_knows_how_much_of_its_history_was_read(
    database: Database, within: Horizon, covered: bool
) -> None:
    await database.write(insert_edges)
    assert (await read_edges(database, WITHIN)).covers(within) == covered
    assert (await read_edges(database)).covers(within)


async def test_who_asks_for_a_later_start_is_read_again(database: Database) -> None:
    """And whoever asks for one that was looked at is not."""
    await database.write(insert_edges)
    kept, window = KnownAccounts(), policy.HistoryWindow(before_now_seconds=60, after_start_seconds=60)

    async def state(latest: int) -> AccountState:
        found = await database.read(lambda c: kept.read(c, {"a": latest}, window, TEN))
        kept.keep("a", found["a"])
        return found["a"]

    first = await state(TEN)
    assert first.history.until_time == to_timestamp(TEN + MINUTE)
    assert await state(TEN) is first
    second = await state(TEN + 1)
    assert second is not first
    assert await state(TEN) is second
    assert [len(each.history.reservations) for each in (first, second, await state(TEN + DAY))] == [7, 7, 9]


@pytest.mark.parametrize(("seconds", "names"), [(86_400, {"first", "last"}), (86_401, {"first", "last", "too late"})])
async def test_who_has_to_tell_more_reads_it(database: Database, seconds: int, names: set[str]) -> None:
    await database.write(insert_edges)
    account = await read_edges(database, WITHIN)
    subject, window = policy.Subject(start_time=to_timestamp(TEN)), policy.HistoryWindow(after_start_seconds=seconds)
    question = policy.DecideRequest(account=policy.Account(account_id="a"))
    told = await accounts.tell_more(database, account, question, [subject], window, TEN)
    assert {each.reservation_id for each in told.reservations if each.reservation_id in {"too late", *names}} == names
    assert told.until_time == to_timestamp(TEN + seconds * 1000)
    assert account.history.until_time == to_timestamp(TEN + DAY)


async def test_a_remedy_beyond_what_was_read_is_found(booking: Booking) -> None:
    """The account's next forty days are full; what is offered lies close by, and is full, too."""

    def fill(connection: Connection) -> None:
        for index in range(40 * 3):
            start = TEN + index // 3 * DAY + index % 3 * HOUR
            fields = {"reservation_id": f"r{index}", "state": "CONFIRMED", "room_id": "small-1", "account_id": "full"}
            insert(connection, start_time=start, end_time=start + HOUR, **fields)
        connection.execute(sa.update(models.ACCOUNT).values(version=models.ACCOUNT.c.version + 1))

    await create(booking, account_id="full", start=TEN + 5 * DAY + 8 * HOUR)
    await booking.database.write(fill)
    reply = await create(booking, account_id="full", start=TEN + 6 * HOUR)
    assert "DAILY_QUOTA" in [rule.rule_id for rule in reply.decision.rules if rule.remedy.changes]
    assert not reply.alternatives


async def test_only_so_many_accounts_are_kept(booking: Booking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MOST_KEPT", 2 * (accounts.ACCOUNT_ITSELF + 1))  # two, each with one reservation
    for name in ("a", "b", "c"):
        await create(booking, account_id=name, start=TEN + HOUR)
    assert list(booking.admission._accounts._states) == ["b", "c"]
    assert rule_ids(await create(booking, account_id="a", start=TEN + 3 * HOUR)) == []


async def test_days_that_cannot_be_asked_for_are_not_read(booking: Booking) -> None:
    """Neither long past nor far ahead: whoever asks for them gets none."""
    for days in (-4000, 400, 40_000):
        with pytest.raises(errors.RpcError, match="lies"):
            await booking.admission.check(wanted(start=TEN + days * DAY))
    assert not booking.admission._pool._days


async def test_empty_days_count_among_those_that_are_kept(booking: Booking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_HOLDS", 5)
    for days in range(1, 30):
        await booking.admission.check(wanted(start=TEN + days * DAY))
    assert len(booking.admission._pool._days) <= 15  # what the last refusal has looked at


async def test_a_check_names_no_room_of_a_day_that_was_forgotten_meanwhile(
    booking: Booking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search for other times, for another request of the batch, reads many days."""
    rules = (importlib.resources.files("services.policy") / "rules" / "default.yaml").read_text()
    booking.policy.policy = Policy.load(
        rules.replace("horizon_days: {value: 7,", "horizon_days: {value: 20,"), "default@2"
    )
    far = TEN + 12 * DAY
    assert rule_ids(await create(booking, account_id="a", start=far)) == []
    monkeypatch.setattr(pool, "MOST_HOLDS", 1)
    for number in range(3):
        await create(booking, account_id="full", start=TEN + number * 2 * HOUR)
    check = booking.admission.check(wanted("b", start=far))
    refused = booking.admission.create(wanted("full", start=TEN + 8 * HOUR))
    checked, reply = await asyncio.gather(check, refused)
    assert rule_ids(reply) == ["DAILY_QUOTA"]
    assert checked.room.room_id == "small-2"


async def test_another_connection_begins_with_nothing_in_memory(booking: Booking) -> None:
    """The database behind it may not be what it was: here it lost what this replica has seen, and its numbers go on."""
    first = await create(booking, start=TEN)

    def lose(connection: Connection) -> None:
        """As where a standby took over that did not have the last transactions, and another replica went on with it."""
        c = models.RESERVATION.c
        lost = c.reservation_id == first.reservation.reservation_id
        connection.execute(sa.delete(models.RESERVATION).where(lost))
        last = sa.select(sa.func.max(CHANGES.c.number)).scalar_subquery()
        connection.execute(sa.delete(CHANGES).where(CHANGES.c.number == last))

    await booking.database.write(lose)
    await booking.database.read(lambda _: booking.database._reader._disconnect())
    start = TEN + HOUR // 2
    replies = [await create(booking, start=start), *[await create(booking, start=start + n * HOUR) for n in (2, 4)]]
    assert [rule_ids(reply) for reply in replies] == [[], [], []]
    assert replies[0].reservation.room.room_id == "small-1"
