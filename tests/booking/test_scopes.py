"""Who is permitted something for some departments sees, and acts on, what belongs to their members; nothing else."""

import itertools
import random
import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from yunhui.access.v1.access_pb2 import Grant, GrantedPermission
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.directory.v1 import member_pb2

from services.booking import listings, models, states
from services.booking.api import SERVICE
from services.booking.listings import ObjectionFilter, ReservationFilter
from services.booking.scopes import Scope, Whose
from services.platform.clock import DAY, HOUR, from_timestamp
from services.platform.data.database import Database
from tests.booking.builders import MONDAY, TEN, create_request
from tests.booking.conftest import Booking
from tests.booking.served import Caller
from tests.booking.test_admission import create
from tests.booking.test_directory import of_department, of_member, tell

PARENTS = {"school": "", "math": "school", "algebra": "math", "physics": "school", "math-lab": "", "empty": "math"}
"""`math-lab` begins like `math`, and lies elsewhere."""
SCOPES: list[frozenset[str]] = [
    *(frozenset({each}) for each in PARENTS),
    *(frozenset(), frozenset({"gone"}), frozenset({"algebra", "physics"}), frozenset({"math", "algebra"})),
]
EVERY_STATE = [*states.STATES]


def belonging(*department_ids: str) -> list[member_pb2.Membership]:
    return [member_pb2.Membership(department_id=each, main=not place) for place, each in enumerate(department_ids)]


async def plant(database: Database) -> None:
    await tell(database, *(of_department(each, 1, parent) for each, parent in PARENTS.items()))


def inside(places: Iterable[str], scope: Scope) -> bool:
    def above(place: str) -> Iterable[str]:
        while place:
            yield place
            place = PARENTS[place]

    return scope is None or any(each in scope for place in places for each in above(place))


class Crowd:
    """Accounts in all places, some in two and some in none, with reservations that often begin together."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.places = {f"p{each}": self._place() for each in range(20)}
        self.rows = [self._row(each) for each in range(300)]

    def _place(self) -> list[str]:
        return self.dice.sample([*PARENTS], self.dice.choice([0, 1, 1, 1, 2]))

    def _row(self, number: int) -> dict[str, Any]:
        start = MONDAY + self.dice.randrange(12) * 6 * HOUR
        plain = dict.fromkeys(("created_by", "subject", "decision_id", "note"), "")
        facts = {"start_time": start, "end_time": start + self.dice.choice([1, 3, 24]) * HOUR}
        state = self.dice.choice([each for each in EVERY_STATE if each not in ("CONFIRMED", "IN_USE")])
        who = self.dice.choice([*self.places, "p0", "p1", "p2"])
        return (
            plain
            | facts
            | {
                "reservation_id": f"r{number:03}",
                "version": 1,
                "state": state,
                "account_id": who,
                "meeting_code": "123456789",
                "participant_count": 2,
                "create_time": MONDAY,
                "update_time": MONDAY,
            }
        )

    async def store(self, database: Database) -> None:
        await plant(database)
        members = [of_member(1, who, memberships=belonging(*at)) for who, at in self.places.items()]
        await tell(database, *members)
        profile = dict.fromkeys(("display_name", "email", "locale", "department", "roles"), "")
        accounts = [{"account_id": each, "version": 1, "event_seq": 0} | profile for each in self.places]
        await database.write(lambda c: c.execute(sa.insert(models.ACCOUNT), accounts))
        await database.write(lambda c: c.execute(sa.insert(models.RESERVATION), self.rows))

    def wanted(self, whose: Whose, asked: dict[str, Any]) -> list[str]:
        """By looking at all of them, one by one."""
        found = [
            row
            for row in self.rows
            if (row["account_id"] == whose.own or inside(self.places[row["account_id"]], whose.scope))
            and (not asked["states"] or row["state"] in asked["states"])
            and (asked["after"] is None or row["end_time"] > asked["after"])
            and (asked["before"] is None or row["start_time"] < asked["before"])
        ]
        found.sort(key=lambda row: (row["start_time"], row["reservation_id"]), reverse=True)
        return [row["reservation_id"] for row in found]

    def asked(self) -> dict[str, Any]:
        moments = [None, None, *(MONDAY + each * 5 * HOUR for each in range(14))]
        return {
            "states": self.dice.choice([[], [], EVERY_STATE[:1], self.dice.sample(EVERY_STATE, 3)]),
            "after": self.dice.choice(moments),
            "before": self.dice.choice(moments),
        }


async def pages_of(database: Database, whose: Whose, size: int, asked: dict[str, Any]) -> list[str]:
    found: list[pb.Reservation] = []
    key, more = None, True
    while more:
        wanted = ReservationFilter(account_id="", before_key=key, limit=size + 1, whose=whose, **asked)
        page = await database.read(partial(listings.list_reservations, wanted=wanted))
        more = len(page) > size
        found += page[:size]
        key = (from_timestamp(found[-1].start_time), found[-1].reservation_id) if found else None
    return [each.reservation_id for each in found]


@pytest.mark.parametrize("few", [0, 40, 1000], ids=["by account", "by either", "by time"])
async def test_pages_hold_exactly_what_lies_inside(
    database: Database, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "FEW", few)
    dice = random.Random(few)
    crowd = Crowd(dice)
    await crowd.store(database)
    for scope in [*SCOPES, None]:
        for _ in range(4):
            whose, asked, size = Whose(scope, dice.choice(["", "p0", "p7"])), crowd.asked(), dice.choice([1, 3, 7, 400])
            assert await pages_of(database, whose, size, asked) == crowd.wanted(whose, asked), (whose, asked, size)


async def test_lists_follow_who_changes_department_and_what_is_moved(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(random.Random(7))
    await crowd.store(database)
    anything: dict[str, Any] = {"states": [], "after": None, "before": None}

    async def compare() -> list[list[str]]:
        lists = [await pages_of(database, Whose(scope), 400, anything) for scope in SCOPES]
        assert lists == [crowd.wanted(Whose(scope), anything) for scope in SCOPES]
        return lists

    seen = [await compare()]
    for version, places in enumerate((["algebra"], ["physics"], ["physics", "math"], []), 2):
        crowd.places["p0"] = places
        await tell(database, of_member(version, "p0", memberships=belonging(*places)))
        seen.append(await compare())
    for version, parent in enumerate(("physics", "math-lab", ""), 2):
        monkeypatch.setitem(PARENTS, "math", parent)
        await tell(database, of_department("math", version, parent))
        seen.append(await compare())
    assert all(before != after for before, after in itertools.pairwise(seen))
    gone = [each for each in crowd.places if "physics" in crowd.places[each]]
    for each in gone:
        crowd.places[each] = []
        await tell(database, of_member(9, each, "deleted"))
    await compare()


async def test_objections_hold_exactly_what_lies_inside(database: Database) -> None:
    dice = random.Random(1)
    crowd = Crowd(dice)
    await crowd.store(database)
    raised = dice.sample(crowd.rows, 60)
    times = {row["reservation_id"]: MONDAY + place for place, row in enumerate(raised)}
    await database.write(lambda c: c.execute(sa.insert(models.VIOLATION), [violation(row, times) for row in raised]))
    for scope in [*SCOPES, None]:
        whose = Whose(scope)
        asked = ObjectionFilter(["OPEN"], None, 100, whose)
        found = await database.read(lambda c, asked=asked: listings.list_objections(c, asked))  # type: ignore[misc]
        wanted = [row for row in raised if inside(crowd.places[row["account_id"]], scope)]
        assert [each.violation_id for _, each in found] == [row["reservation_id"] for row in wanted]


def violation(row: dict[str, Any], times: dict[str, int]) -> dict[str, Any]:
    """With an open objection; its id is the reservation's."""
    time = times[row["reservation_id"]]
    return {
        "violation_id": row["reservation_id"],
        "reservation_id": row["reservation_id"],
        "waived": False,
        "account_id": row["account_id"],
        "violation_time": time,
        "decision_id": "",
        "objection_text": "why",
        "objection_time": time,
        "objection_order": time,
        "objection_outcome": "OPEN",
    }


# methods


PERMITTED = ("reservations.view_all", "reservations.manage", "violations.waive")
NOBODYS = {
    **dict.fromkeys(("ListRooms", "CreateRoom", "UpdateRoom", "SearchAvailability"), "rooms are nobody's"),
    **dict.fromkeys(("GetCalendarFeed", "CreateCalendarFeed", "DeleteCalendarFeed"), "always one's own"),
    "ObjectToViolation": "always one's own",
    "ReportAttendance": "of programs",
}


def local(booking: Booking, account_id: str, *department_ids: str) -> None:
    """Somebody who may do what support may, for these departments."""
    held = [GrantedPermission(permission=each, department_ids=department_ids) for each in PERMITTED]
    booking.grants.put(account_id, Grant(version=1, roles=["local"], permissions=held))


@pytest.fixture
async def insider(booking: Booking, channel: grpc.aio.Channel) -> Caller:
    await plant(booking.database)
    for account_id, place in (("ann", "algebra"), ("bob", "algebra"), ("out", "physics")):
        await tell(booking.database, of_member(1, account_id, memberships=belonging(place)))
    local(booking, "inside", "math")
    local(booking, "outside", "physics", "math-lab", "empty")
    return Caller(channel, "nobody", "inside")


@pytest.fixture
def outsider(channel: grpc.aio.Channel, insider: Caller) -> Caller:
    return Caller(channel, "nobody", "outside")


class Theirs:
    """Ids of what belongs to somebody; of nothing, before `make`."""

    def __init__(self) -> None:
        self.account, self.successor = "nobody", "neither"
        self.held = self.waiting = self.violation = self.decision = "none"

    async def make(self, booking: Booking) -> None:
        for account_id in ("bob", "out"):  # they have signed in
            await create(booking, account_id=account_id, start=TEN + 8 * HOUR)
        self.account, self.successor = "ann", "bob"
        held = (await create(booking, account_id="ann")).reservation
        waiting = (await create(booking, account_id="ann", start=TEN + 3 * HOUR, participant_count=150)).reservation
        assert waiting.state == pb.RESERVATION_STATE_PENDING_APPROVAL
        self.held, self.waiting, self.decision = held.reservation_id, waiting.reservation_id, held.decision_id
        missed = (await create(booking, account_id="ann", start=TEN + 6 * HOUR)).reservation.reservation_id
        raised = violation({"reservation_id": missed, "account_id": "ann"}, {missed: MONDAY})
        self.violation = raised["violation_id"]
        await booking.database.write(lambda c: c.execute(sa.insert(models.VIOLATION), [raised]))

    def questions(self) -> dict[str, Message]:
        """One for each method, those that change most last."""
        wish = create_request(account_id=self.account, start=TEN + DAY)
        series = api.CreateReservationSeriesRequest(
            first=wish, recurrence_rule="FREQ=DAILY;COUNT=2", time_zone="Asia/Shanghai"
        )
        update = api.UpdateReservationRequest(reservation_id=self.held, participant_count=13)
        coming: dict[str, Any] = {"account_id": self.account}
        of_violation = {"violation_id": self.violation, "note": "x"}
        return {
            "CheckReservation": api.CheckReservationRequest(request=wish),
            "GetReservation": api.GetReservationRequest(reservation_id=self.held),
            "GetReservationHistory": api.GetReservationHistoryRequest(reservation_id=self.held),
            "ListReservations": api.ListReservationsRequest(**coming),
            "GetStanding": api.GetStandingRequest(**coming),
            "GetDecision": api.GetDecisionRequest(decision_id=self.decision),
            "WatchReservations": api.WatchReservationsRequest(**coming),
            "ListObjections": api.ListObjectionsRequest(),
            "CheckUpdate": api.CheckUpdateRequest(request=update),
            "UpdateReservation": update,
            "CreateReservation": wish,
            "CreateReservationSeries": series,
            "EndReservation": api.EndReservationRequest(reservation_id=self.held),
            "ResolveEscalation": api.ResolveEscalationRequest(reservation_id=self.waiting, note="x"),
            "DismissObjection": api.DismissObjectionRequest(**of_violation),
            "WaiveViolation": api.WaiveViolationRequest(**of_violation),
            "CancelReservation": api.CancelReservationRequest(reservation_id=self.held, note="x"),
            "HandOverReservations": api.HandOverReservationsRequest(
                account_id=self.account, new_account_id=self.successor
            ),
            "CancelComingReservations": api.CancelComingReservationsRequest(account_id=self.successor, note="x"),
        }


async def answer(caller: Caller, method: str, question: Any) -> Any:
    """What is answered, or the code and the words of the refusal."""
    try:
        if method == "WatchReservations":
            return [each async for each in caller.stub.WatchReservations(question, metadata=caller.metadata)]
        return await caller.ask(method, question)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details()


async def everything(database: Database) -> dict[str, list[Any]]:
    def read(connection: sa.Connection) -> dict[str, list[Any]]:
        tables = [models.ACCOUNT, models.RESERVATION, models.DECISION, models.VIOLATION, models.DEADLINE, models.ANSWER]
        return {table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in tables}

    return await database.read(read)


def test_every_method_is_asked_about_what_is_anothers() -> None:
    """Whatever is added to the contract, too."""
    methods = descriptor_pool.Default().FindServiceByName(SERVICE).methods
    assert {*Theirs().questions()} | {*NOBODYS} == {each.name for each in methods}


async def test_what_lies_outside_answers_as_what_does_not_exist(
    booking: Booking, insider: Caller, outsider: Caller
) -> None:
    absent, theirs = Theirs(), Theirs()
    await theirs.make(booking)
    before = await everything(booking.database)
    for method, question in theirs.questions().items():
        seen = await answer(outsider, method, question)
        assert seen == await answer(outsider, method, absent.questions()[method]), method
        if isinstance(seen, Message):
            assert method in ("ListObjections", "CancelComingReservations")
            assert not seen.ByteSize(), method
        else:
            assert seen[0] is grpc.StatusCode.NOT_FOUND, (method, seen)
    assert await everything(booking.database) == before
    listed = (await outsider.ask("ListReservations", api.ListReservationsRequest())).reservations
    assert {each.organizer.account_id for each in listed} == {"out"}
    for method, question in theirs.questions().items():
        seen = await answer(insider, method, question)
        refused = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED)
        assert isinstance(seen, Message) or seen[0] not in refused, (method, seen)
        assert not isinstance(seen, Message) or seen.ByteSize(), method
    assert await everything(booking.database) != before


async def test_both_accounts_of_a_hand_over_lie_inside(booking: Booking, insider: Caller) -> None:
    await Theirs().make(booking)
    ask = api.HandOverReservationsRequest
    booking.grants.put("out", Grant(version=1, disabled=True))
    assert await insider.refused("HandOverReservations", ask(account_id="ann", new_account_id="out")) == (
        "NOT_FOUND",
        "ACCOUNT_NOT_FOUND",
    )
    given = await insider.ask("HandOverReservations", ask(account_id="out", new_account_id="ann"))
    assert not given.reservations


async def test_nobody_acts_on_whom_they_lost_meanwhile(booking: Booking, insider: Caller) -> None:
    theirs = Theirs()
    await theirs.make(booking)
    question = api.CancelReservationRequest(reservation_id=theirs.held)
    await tell(booking.database, of_member(2, "ann", memberships=belonging("physics")))
    assert (await answer(insider, "CancelReservation", question))[0] is grpc.StatusCode.NOT_FOUND
    await tell(booking.database, of_member(3, "ann", memberships=belonging("physics", "math")))
    assert isinstance(await answer(insider, "CancelReservation", question), Message)


async def test_what_is_ones_own_is_not_outside(booking: Booking, insider: Caller) -> None:
    """But one decides about it no more than about anybody else's out there."""
    own = Caller.ask
    mine = (await own(insider, "CreateReservation", create_request(participant_count=150))).reservation
    listed = await insider.ask("ListReservations", api.ListReservationsRequest())
    assert [each.reservation_id for each in listed.reservations] == [mine.reservation_id]
    resolve = api.ResolveEscalationRequest(reservation_id=mine.reservation_id, approve=True)
    assert (await answer(insider, "ResolveEscalation", resolve))[0] is grpc.StatusCode.NOT_FOUND
    await insider.ask("CancelReservation", api.CancelReservationRequest(reservation_id=mine.reservation_id))


@pytest.mark.parametrize(
    ("states", "index"), [([], "reservation_account(_state)?"), (["NO_SHOW"], "reservation_account_state")]
)
async def test_a_page_of_few_reads_no_more_of_what_is_stored(database: Database, states: list[str], index: str) -> None:
    """The latest of each account, or of each of its states, is found in an index."""
    wanted = ReservationFilter("", states, None, None, None, 51, Whose(frozenset({"math"})))
    sqlite = database.engine.dialect.name == "sqlite"
    page = listings._latest(wanted, frozenset({"math"}))
    query = page.compile(database.engine, compile_kwargs={"literal_binds": True, "render_postcompile": True})

    def work(connection: sa.Connection) -> str:
        if not sqlite:  # it would read a table so small as a whole
            for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"):
                connection.execute(sa.text(f"SET LOCAL enable_{way} = off"))
        explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {query}"))

    plan = await database.read(work)
    steps = [line for line in plan.splitlines() if re.search(r"\b(on reservation|SEARCH (one|r)|SCAN (one|r))\b", line)]
    assert len(steps) >= 3, plan
    assert all(re.search(rf"INDEX {index} |using {index} on", each) for each in steps), plan
