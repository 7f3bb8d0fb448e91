"""What booking keeps of the directory is what the directory holds, however its events come; and rules rest on it."""

import random
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from yunhui.booking.v1 import reservation_pb2 as pb
from yunhui.directory.v1 import department_pb2, events_pb2, member_pb2
from yunhui.policy.v1 import decision_pb2 as policy
from yunhui.policy.v1.policy_service_pb2 import DecideRequest

from services.booking import accounts, directory, directory_events, endings, escalations, models, standing, updates
from services.booking.directory import UNKNOWN, MemberFacts
from services.booking.directory_events import DirectoryEvent, Receiver
from services.booking.scopes import EVERYBODY, of_account
from services.booking.series import create as create_series
from services.platform.clock import DAY, HOUR
from services.platform.data.database import Database
from services.platform.messaging.proto_json import to_json
from services.platform.serving import errors
from services.policy.decisions import Policy
from tests.booking.builders import MONDAY, TEN, change, wanted
from tests.booking.conftest import Booking
from tests.booking.test_admission import create, rule_ids
from tests.booking.test_series import series
from tests.booking.test_transitions import made, state, verdict
from tests.policy.samples import SOURCE

ENABLED, DISABLED = member_pb2.MEMBER_STATUS_ENABLED, member_pb2.MEMBER_STATUS_DISABLED
FREE, ADVANCED = member_pb2.ACCOUNT_TYPE_FREE, member_pb2.ACCOUNT_TYPE_ADVANCED


def of_member(version: int, account_id: str = "booker", what: str = "updated", **facts: Any) -> DirectoryEvent:
    """Open and advanced, checked and without a department, unless told otherwise."""
    main = facts.pop("department", "")
    belongs = [member_pb2.Membership(department_id=main, main=True)] if main else []
    known: dict[str, Any] = {"status": ENABLED, "account_type": ADVANCED, "verified": True, "memberships": belongs}
    member = member_pb2.Member(account_id=account_id, version=version, **(known | facts if what != "deleted" else {}))
    return DirectoryEvent(what, events_pb2.MemberEvent(member=member))


def of_department(id_: str, version: int, parent: str = "", what: str = "moved") -> DirectoryEvent:
    told = department_pb2.Department(department_id=id_, display_name=id_.upper(), parent_id=parent, version=version)
    return DirectoryEvent(what, events_pb2.DepartmentEvent(department=told))


async def tell(database: Database, *events: DirectoryEvent) -> None:
    await database.write(lambda connection: directory_events.store(connection, events))


async def facts(database: Database, account_id: str = "booker") -> MemberFacts:
    found = await database.read(lambda c: accounts.read_accounts(c, [account_id], MONDAY))
    return found[account_id].member


async def paths(database: Database) -> dict[str, tuple[str, str]]:
    """Ids and names of those that there are."""
    query = sa.select(models.DIRECTORY_DEPARTMENT).where(models.DIRECTORY_DEPARTMENT.c.path != "")
    rows = await database.read(lambda c: c.execute(query).mappings().all())
    return {row["department_id"]: (row["path"], row["names"]) for row in rows}


async def account_version(database: Database) -> int:
    found = await database.read(lambda c: accounts.read_accounts(c, ["booker"], MONDAY))
    return found["booker"].version


# what is kept


async def test_a_member_is_known_with_the_path_of_the_main_department(database: Database) -> None:
    assert await facts(database) == UNKNOWN
    await tell(database, of_department("top", 1), of_department("low", 1, "top"))
    await tell(database, of_member(1, department="low", account_type=FREE, verified=False))
    assert await facts(database) == MemberFacts(("top", "low"), FREE, verified=False, status=ENABLED)
    other = [member_pb2.Membership(department_id="low"), member_pb2.Membership(department_id="top", main=True)]
    await tell(database, of_member(2, memberships=other))
    assert await facts(database) == MemberFacts(("top",), ADVANCED, verified=True, status=ENABLED)


async def test_what_is_older_is_no_news(database: Database) -> None:
    await tell(database, of_member(2, status=DISABLED), of_member(1))
    assert (await facts(database)).closed
    await tell(database, of_member(2))
    assert (await facts(database)).closed
    await tell(database, of_member(3, what="enabled"))
    assert not (await facts(database)).closed


async def test_who_was_removed_is_unknown_and_can_come_back(database: Database) -> None:
    await tell(database, of_member(1, department="top"), of_member(2, what="deleted"), of_member(1))
    assert await facts(database) == UNKNOWN
    await tell(database, of_member(3, what="created"))
    assert (await facts(database)).status == ENABLED


async def test_whom_a_department_moves_is_not_written(database: Database) -> None:
    await tell(database, of_department("a", 1), of_department("b", 1), of_department("c", 1, "b"))
    await tell(database, of_member(1, department="c"))
    await tell(database, of_department("b", 2, "a"))
    assert (await facts(database)).department_path == ("a", "b", "c")
    assert await paths(database) == {"a": ("a", "A"), "b": ("a/b", "A/B"), "c": ("a/b/c", "A/B/C")}


async def test_a_department_below_itself_for_a_moment_is_at_the_top(database: Database) -> None:
    """b was below a, and then a below b: the second is told first."""
    await tell(database, of_department("a", 1), of_department("b", 1, "a"), of_department("a", 2, "b"))
    assert {id_: path for id_, (path, _) in (await paths(database)).items()} == {"a": "a", "b": "a/b"}
    await tell(database, of_department("b", 2))
    assert {id_: path for id_, (path, _) in (await paths(database)).items()} == {"a": "b/a", "b": "b"}


class Tree:
    """Random acts on a tree, each with its events, as the directory tells them."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.parents: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.events: list[DirectoryEvent] = []

    def path(self, id_: str) -> list[str]:
        return [*self.path(self.parents[id_]), id_] if id_ else []

    def tell(self, id_: str, what: str = "moved") -> None:
        self.versions[id_] = self.versions.get(id_, 0) + 1
        self.events.append(of_department(id_, self.versions[id_], self.parents[id_], what))

    def act(self) -> None:
        known = [*self.parents]
        id_ = self.dice.choice(known) if known else ""
        place = self.dice.choice(["", *(each for each in known if id_ not in self.path(each))])
        if not id_ or self.dice.random() < 0.4:
            id_ = f"d{len(self.versions)}"
            self.parents[id_] = place
            self.tell(id_, "created")
        elif place and self.dice.random() < 0.3:
            self.tell(id_, "merged")
            self.parents.pop(id_)
            for child in [each for each, parent in self.parents.items() if parent == id_]:
                self.parents[child] = place
                self.tell(child)
        else:
            self.parents[id_] = place
            self.tell(id_)


@pytest.mark.parametrize("seed", range(8))
async def test_events_in_any_order_and_told_twice_come_to_the_tree(database: Database, seed: int) -> None:
    tree = Tree(random.Random(seed))
    for _ in range(40):
        tree.act()
    told = tree.events + tree.dice.sample(tree.events, len(tree.events) // 2)
    tree.dice.shuffle(told)
    for start in range(0, len(told), 5):
        await tell(database, *told[start : start + 5])
    expected = {id_: "/".join(tree.path(id_)) for id_ in tree.parents}
    assert {id_: path for id_, (path, _) in (await paths(database)).items()} == expected


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("yunhui.directory.member.created", b"{"),
        ("yunhui.directory.member.created", b"{}"),
        ("yunhui.directory.department.moved", b'{"department": {}}'),
        ("yunhui.directory.member", b"{}"),
        ("yunhui.directory.member.created", b'{"member": {"accountId": "a", "version": "x"}}'),
    ],
)
async def test_what_is_no_event_is_not_told_again(database: Database, subject: str, body: bytes) -> None:
    message: Any = Message(subject, body)
    await Receiver(database).receive([message])
    assert message.answers == ["term"]


class Message:
    """As a consumer is given it."""

    class Metadata:
        class sequence:  # noqa: N801 - as nats-py calls it
            stream = 1

        num_delivered = 1

    metadata = Metadata()

    def __init__(self, subject: str, data: bytes) -> None:
        self.subject, self.data = subject, data
        self.answers: list[str] = []

    async def ack(self) -> None:
        self.answers.append("ack")

    async def nak(self, delay: float) -> None:
        self.answers.append(f"again in {delay:g} s")

    async def term(self) -> None:
        self.answers.append("term")


def messages(*events: DirectoryEvent) -> list[Any]:
    return [
        Message(
            f"yunhui.directory.{'member' if isinstance(each.body, events_pb2.MemberEvent) else 'department'}.x",
            to_json(each.body).encode(),
        )
        for each in events
        if each.body
    ]


async def test_events_are_taken_when_they_are_stored(database: Database) -> None:
    told = [*messages(of_department("top", 1), of_member(1, department="top")), Message("yunhui.directory.x.y", b"")]
    await Receiver(database).receive(told)
    assert [message.answers for message in told] == [["ack"]] * 3
    assert (await facts(database)).department_path == ("top",)


async def test_one_that_cannot_be_stored_holds_nobody_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = directory.store_member

    def stuck(connection: Connection, member: member_pb2.Member) -> bool:
        if member.account_id == "stuck":
            raise errors.unavailable("database")
        return store(connection, member)

    monkeypatch.setattr(directory, "store_member", stuck)
    told = messages(of_member(1, "before"), of_member(1, "stuck"), of_member(1, "after"))
    await Receiver(database).receive(told)
    assert [message.answers for message in told] == [["ack"], ["again in 2 s"], ["ack"]]
    assert (await facts(database, "after")).status == ENABLED


# what rests on it

LIMITED = """
overrides:
  - {department: {id: institute, below: true}, thresholds: {may_book: 0}}
  - {department: {id: physics, below: true}, thresholds: {may_book: 1, daily_quota: 1}}
  - {department: {id: strict, below: true}, thresholds: {free_account_may_book: 0, unverified_may_book: 0}}
"""
TREE = (
    of_department("institute", 1),
    of_department("physics", 1, "institute"),
    of_department("history", 1, "institute"),
    of_department("strict", 1),
)


@pytest.fixture
def limited(booking: Booking) -> Booking:
    booking.policy.policy = Policy.load(SOURCE + LIMITED, "default@1")
    return booking


@pytest.mark.parametrize(
    ("event", "rules"),
    [
        (of_member(1), []),
        (of_member(1, status=DISABLED), ["ACCOUNT_CLOSED"]),
        (of_member(1, status=member_pb2.MEMBER_STATUS_NOT_ACTIVATED), []),
        (of_member(1, department="institute"), ["MAY_NOT_BOOK"]),
        (of_member(1, department="history"), ["MAY_NOT_BOOK"]),
        (of_member(1, department="physics"), []),
        (of_member(1, department="strict"), []),
        (of_member(1, department="strict", account_type=FREE), ["ADVANCED_ONLY"]),
        (of_member(1, department="strict", verified=False), ["UNVERIFIED"]),
        (of_member(1, account_type=FREE, verified=False), []),
    ],
)
async def test_rules_rest_on_what_the_directory_says(limited: Booking, event: DirectoryEvent, rules: list[str]) -> None:
    """Of who has never booked, of who has, and of who is not known any more."""
    booking = limited
    await tell(booking.database, *TREE)
    assert rule_ids(await create(booking, account_id="stranger")) == []
    await tell(booking.database, event)
    assert rule_ids(await create(booking)) == rules
    assert rule_ids(await booking.admission.check(wanted(start=TEN + DAY))) == rules
    await tell(booking.database, of_member(2, what="deleted"))
    assert rule_ids(await create(booking, start=TEN + 2 * HOUR)) == []


async def test_whoever_moves_with_a_department_is_decided_about_anew(replicas: list[Booking]) -> None:
    """The accounts stay in memory: no row of theirs was written."""
    for each in replicas:
        each.policy.policy = Policy.load(SOURCE + LIMITED, "default@1")
    database = replicas[0].database
    await tell(database, *TREE, of_department("group", 1), of_member(1, department="group"))
    for each in replicas:
        assert rule_ids(await create(each, start=TEN + DAY)) == []
    before = await account_version(database)
    await tell(database, of_department("group", 2, "history"))
    assert await account_version(database) == before
    for each in replicas:
        assert rule_ids(await create(each)) == ["MAY_NOT_BOOK"]
    await tell(database, of_department("history", 2, "physics"))
    for each in replicas:
        assert rule_ids(await create(each, start=TEN + DAY)) == ["DAILY_QUOTA"]
        assert rule_ids(await create(each, start=TEN + (2 + replicas.index(each)) * DAY)) == []


async def test_what_is_being_decided_while_an_account_is_closed_is_decided_again(booking: Booking) -> None:
    await create(booking)
    ask, told = booking.policy._ask, False

    async def told_meanwhile(subject: str, body: bytes, kind: Any) -> Any:
        nonlocal told
        answer = await ask(subject, body, kind)
        if not told:
            told = True
            await tell(booking.database, of_member(1, status=DISABLED))
        return answer

    booking.policy._ask = told_meanwhile  # type: ignore[method-assign]
    assert rule_ids(await create(booking, start=TEN + 2 * HOUR)) == ["ACCOUNT_CLOSED"]


def spoken(decision: policy.Decision) -> list[str]:
    return [rule.rule_id for rule in decision.rules]


async def test_a_closed_account_keeps_gives_back_and_gets_nothing_more(booking: Booking) -> None:
    record = await made(booking)
    await tell(booking.database, of_member(1, status=DISABLED))
    longer = await updates.update(
        booking.transactions, None, change(record.reservation_id, minutes=90), of_account("booker"), "booker"
    )
    assert (longer.outcome, spoken(longer.decision)) == (pb.OUTCOME_DENIED, ["ACCOUNT_CLOSED"])
    shorter = await updates.update(
        booking.transactions, None, change(record.reservation_id, minutes=50), of_account("booker"), "booker"
    )
    assert shorter.outcome == pb.OUTCOME_CONFIRMED
    reply = await create_series(booking.transactions, series(TEN + DAY, TEN + 2 * DAY))
    assert [spoken(each.decision) for each in reply.occurrences] == [["ACCOUNT_CLOSED"]] * 2
    await endings.cancel(booking.transactions, record.reservation_id, of_account("booker"), "booker", "")
    assert await state(booking, record) == "CANCELLED"


async def test_what_waits_for_support_is_not_approved_for_a_closed_account(booking: Booking) -> None:
    pending = await made(booking, participant_count=120)
    await tell(booking.database, of_member(1, status=DISABLED))
    with pytest.raises(errors.RpcError) as caught:
        await escalations.resolve(booking.transactions, pending.reservation_id, verdict(), whose=EVERYBODY)
    assert "decline the request" in str(caught.value)
    assert await state(booking, pending) == "PENDING_APPROVAL"
    await tell(booking.database, of_member(2, what="enabled"))
    await escalations.resolve(booking.transactions, pending.reservation_id, verdict(), whose=EVERYBODY)
    assert await state(booking, pending) == "CONFIRMED"


async def test_it_is_declined_for_a_closed_account(booking: Booking) -> None:
    pending = await made(booking, participant_count=120)
    await tell(booking.database, of_member(1, status=DISABLED))
    await escalations.resolve(booking.transactions, pending.reservation_id, verdict(approve=False), whose=EVERYBODY)
    assert await state(booking, pending) == "DECLINED"


async def test_the_standing_has_the_numbers_of_the_department(limited: Booking) -> None:
    booking = limited
    await made(booking)
    await tell(booking.database, *TREE, of_member(1, department="physics"))
    stored = await booking.database.read(lambda c: standing.read(c, "booker", MONDAY))
    usage = await booking.policy.usage(standing.to_usage_request(stored, MONDAY, MONDAY))
    assert usage.thresholds["daily_quota"] == 1


async def test_a_stored_question_says_what_the_directory_said(booking: Booking) -> None:
    await tell(booking.database, of_department("top", 1), of_member(1, department="top", account_type=FREE))
    reply = await create(booking)
    [row] = await booking.database.read(lambda c: list(c.execute(sa.select(models.DECISION)).mappings()))
    asked = DecideRequest.FromString(bytes(row["request"])).account
    assert ([*asked.department_path], asked.account_type, asked.verified) == (["top"], FREE, True)
    assert reply.decision.effect == policy.EFFECT_ALLOW
    assert reply.decision.facts["free_account"] == 1
