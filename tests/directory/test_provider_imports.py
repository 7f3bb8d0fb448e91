"""The provider's people on both databases: fetched page by page, told apart, taken in without doubling anybody."""

import json
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from yunhui.directory.v1 import import_pb2 as pb
from yunhui.directory.v1 import import_service_pb2 as api
from yunhui.directory.v1 import member_pb2
from yunhui.meetings.v1 import user_pb2

from services.directory import import_child, import_tables, provider_imports
from services.directory.changes import Changes
from services.directory.imports import Imports
from services.directory.models import IMPORT, IMPORT_PART, IMPORT_ROW, MEMBER
from services.directory.provider_imports import ProviderImports
from services.platform.serving import errors
from services.platform.serving.errors import RpcError
from tests.directory import people
from tests.directory.conftest import ADMIN, ManualClock
from tests.directory.test_imports import Caller, reasons, refused, verdicts

ENABLED, NOT_ACTIVATED = user_pb2.PROVIDER_USER_STATUS_ENABLED, user_pb2.PROVIDER_USER_STATUS_NOT_ACTIVATED
AWAY = errors.unavailable("the meeting provider", 0)


@pytest.fixture(autouse=True)
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: that a table is read in another is tried with tables."""

    async def read(content: bytes) -> tuple[list[str], list[str]]:
        head, *rows = import_child.answer(content)
        return head["head"], [json.dumps(row) for row in rows]

    monkeypatch.setattr(import_child, "read", read)


def user(user_id: str, account_id: str | None = None, **more: Any) -> user_pb2.ProviderUser:
    """Of the account of the same name, and with a name, unless told otherwise."""
    own = user_id if account_id is None else account_id
    return user_pb2.ProviderUser(user_id=user_id, account_id=own, **{"display_name": f"User {user_id}", **more})


def within(*paths: str) -> list[user_pb2.ProviderDepartment]:
    return [user_pb2.ProviderDepartment(names=path.split("/")) for path in paths]


class Provider:
    """`pages` of people; `faults` befall the next questions."""

    def __init__(self) -> None:
        self.pages: list[Sequence[user_pb2.ProviderUser]] = [[]]
        self.faults: list[RpcError] = []
        self.asked: list[str] = []

    async def ask(self, page_token: str) -> user_pb2.ListUsersResponse:
        self.asked.append(page_token)
        if self.faults:
            raise self.faults.pop(0)
        place = int(page_token or 0)
        following = str(place + 1) if place + 1 < len(self.pages) else ""
        return user_pb2.ListUsersResponse(users=self.pages[place], next_page_token=following)


class World(Caller):
    def __init__(self, changes: Changes) -> None:
        super().__init__(Imports(changes))
        self.provider = Provider()
        self.made = ProviderImports(self.imports, self.provider.ask)

    async def begin(self) -> str:
        return (await self.made.create(ADMIN)).import_id

    async def look(self, *users: user_pb2.ProviderUser) -> tuple[str, list[pb.ImportRow]]:
        """The id of the import, and what it would do."""
        self.provider.pages = [users]
        import_id = await self.begin()
        await self.made.fetch()
        return import_id, await self.rows(import_id)

    async def take(self, *users: user_pb2.ProviderUser) -> pb.Import:
        import_id, _ = await self.look(*users)
        return await self.apply(import_id)

    async def statuses(self) -> dict[str, str]:
        return {row["account_id"]: row["status"] for row in await self.all(MEMBER)}


@pytest.fixture
def world(changes: Changes) -> World:
    return World(changes)


async def test_people_of_all_pages_are_added_with_department_licence_and_status(world: World) -> None:
    await world.database.write(lambda c: people.purchase(c, 1))
    one = user("u1", "a", email="a@example.com", phone="+8613800138000", title="=T", staff_id="1", advanced=True)
    one.status = ENABLED
    one.departments.extend(within("研发/平台", "市场"))
    world.provider.pages = [[one], [user("u2", "b"), user("u3", "c", advanced=False)]]
    import_id = await world.begin()
    await world.made.fetch()
    assert world.provider.asked == ["", "1"]
    made = await world.imports.get(import_id)
    assert (made.state, made.source, made.fetched_count) == (pb.IMPORT_STATE_CHECKED, pb.IMPORT_SOURCE_PROVIDER, 3)
    assert (made.summary.create_count, made.summary.department_count) == (3, 3)
    assert await world.all(MEMBER) == []
    await world.apply(import_id)
    a = await world.member("a")
    assert [(each.path, each.main) for each in a.memberships] == [("研发/平台", True), ("市场", False)]
    assert (a.provider_user_id, a.email, a.phone, a.title, a.staff_id) == (
        *("u1", "a@example.com", "+8613800138000", "=T", "1"),
    )
    assert (a.status, a.account_type) == (member_pb2.MEMBER_STATUS_ENABLED, member_pb2.ACCOUNT_TYPE_ADVANCED)
    assert (await world.all(IMPORT_PART), await world.all(IMPORT_ROW)) == ([], [])


async def test_the_same_people_again_change_nothing(world: World) -> None:
    users = [user("u1", "a", departments=within("x")), user("u2", "b", status=NOT_ACTIVATED)]
    await world.take(*users)
    before = await world.events()
    _, rows = await world.look(*users)
    assert verdicts(rows) == "=="
    await world.take(*users)
    assert await world.events() == before


async def test_what_changed_at_the_provider_is_listed_and_then_done(world: World) -> None:
    await world.take(user("u1", "a", title="old", departments=within("x")))
    import_id, [row] = await world.look(user("u1", "a", title="new", departments=within("x/y")))
    assert [(each.field, each.before, each.after) for each in row.differences] == [
        ("title", "old", "new"),
        ("departments", "x", "x/y"),
    ]
    await world.apply(import_id)
    assert (await world.member("a")).title == "new"


async def test_what_the_provider_does_not_say_stays(world: World) -> None:
    await people.add(world.imports.changes, "a", email="a@example.com", title="T", provider_user_id="u1")
    _, [row] = await world.look(user("u1", "a", display_name="单雄信"))
    assert verdicts([row]) == "="


async def test_who_came_from_the_provider_and_is_gone_is_closed_and_not_deleted(world: World) -> None:
    await world.take(user("u1", "a", status=ENABLED), user("u2", "b", status=ENABLED, departments=within("x")))
    await people.add(world.imports.changes, "local")
    import_id, rows = await world.look(user("u1", "a", status=ENABLED))
    [gone] = [row for row in rows if row.verdict == pb.IMPORT_VERDICT_REMOVE]
    assert (gone.account_id, gone.display_name, len(rows)) == ("b", "User u2", 2)
    assert [(each.field, each.before, each.after) for each in gone.differences] == [("status", "ENABLED", "DISABLED")]
    assert (await world.imports.get(import_id)).summary.remove_count == 1
    await world.apply(import_id)
    assert await world.statuses() == {"a": "ENABLED", "b": "DISABLED", "local": "NOT_ACTIVATED"}
    assert (await world.events())[-1][:2] == ("member.disabled", "b")
    assert [each.path for each in (await world.member("b")).memberships] == ["x"]
    _, rows = await world.look(user("u1", "a", status=ENABLED))
    assert len(rows) == 1  # closed already


async def test_who_comes_back_is_the_same_member(world: World) -> None:
    both = [user("u1", "a", status=ENABLED), user("u2", "b", status=ENABLED)]
    for users in (both, both[:1], both):
        await world.take(*users)
    assert await world.statuses() == {"a": "ENABLED", "b": "ENABLED"}


async def test_whoever_is_at_fault_is_not_gone(world: World) -> None:
    await world.take(user("u1", "a"))
    _, rows = await world.look(user("u1", "a", email="no address"))
    assert verdicts(rows) == "f"


@pytest.mark.parametrize(
    ("known", "told", "account"),
    [
        ({"provider_user_id": "u1", "staff_id": "9"}, {"staff_id": "1"}, "known"),
        ({"staff_id": "1"}, {"staff_id": "1"}, "known"),
        ({"email": "A@example.com"}, {"email": "a@example.com"}, "known"),
        ({"email": "b@example.com"}, {"email": "a@example.com"}, "u1"),
        ({"email": "a@example.com", "provider_user_id": "other"}, {"email": "a@example.com"}, "u1"),
        ({"staff_id": "1"}, {"staff_id": "2"}, "u1"),
    ],
)
async def test_by_what_one_is_known(world: World, known: dict[str, str], told: dict[str, str], account: str) -> None:
    await people.add(world.imports.changes, "known", **known)
    _, rows = await world.look(user("u1", **told))
    assert rows[0].account_id == account
    assert verdicts(rows[:1]) == ("u" if account == "known" else "c")


async def test_one_who_is_found_by_mail_is_linked_for_good(world: World) -> None:
    await people.add(world.imports.changes, "a", email="a@example.com")
    await world.take(user("u1", "", email="a@example.com"))
    assert (await world.member("a")).provider_user_id == "u1"
    _, [row] = await world.look(user("u1", "", email="new@example.com"))
    assert [each.field for each in row.differences] == ["email"]


async def test_who_cannot_be_told_apart_is_at_fault(world: World) -> None:
    for account in ("a", "b"):
        await people.add(world.imports.changes, account, email="shared@example.com")
    await people.add(world.imports.changes, "c", email="c@example.com")
    await people.add(world.imports.changes, "d", provider_user_id="other")
    _, rows = await world.look(
        user("u1", email="shared@example.com"),
        user("u2", email="c@example.com"),
        user("u3", email="C@example.com"),
        user("d"),
        user("other", ""),
        user("u6", ""),
        user("u7", staff_id="7"),
        user("u8", staff_id="7"),
        user("u9"),
        user("u9"),
    )
    assert verdicts(rows) == "fffffffff" + "f"
    assert [reasons(row)[0][0] for row in rows] == [
        *("email", "account_id", "account_id", "provider_user_id", "account_id"),
        *("account_id", "staff_id", "staff_id", "account_id", "account_id"),
    ]


async def test_a_licence_that_nobody_bought_is_not_given(world: World) -> None:
    import_id, rows = await world.look(user("u1", advanced=True), user("u2"))
    assert verdicts(rows) == "fc"
    assert await refused(world.apply(import_id)) == "FAILED_PRECONDITION ROWS_FAILED"
    assert (await world.apply(import_id, good_rows_only=True)).summary.failed_count == 1


async def test_how_an_account_stands_here_outlives_that_nobody_signed_in_there(world: World) -> None:
    await people.add(world.imports.changes, "u1", "User u1", status=member_pb2.MEMBER_STATUS_ENABLED)
    await world.take(user("u1", status=NOT_ACTIVATED))
    assert await world.statuses() == {"u1": "ENABLED"}


async def test_who_left_the_directory_meanwhile_outdates_what_was_shown(world: World) -> None:
    """Also when only the number of those who are gone is another."""
    await world.take(user("u1"))
    import_id, _ = await world.look(user("u2"))
    await people.add(world.imports.changes, "late", provider_user_id="late")
    assert await refused(world.apply(import_id)) == "FAILED_PRECONDITION IMPORT_OUTDATED"
    await world.imports.check(import_id)
    assert (await world.apply(import_id)).summary.remove_count == 2


async def test_of_nobody_nothing_follows(world: World) -> None:
    await world.take(user("u1"))
    import_id, rows = await world.look()
    made = await world.imports.get(import_id)
    assert (made.state, rows) == (pb.IMPORT_STATE_FAILED, [])
    assert made.fault.english == "the provider knows nobody of the organization: nothing follows from that"
    assert made.fault.chinese not in ("", made.fault.english)
    assert await refused(world.apply(import_id)) == "FAILED_PRECONDITION IMPORT_ENDED"


@pytest.mark.parametrize(("most", "state"), [(2, pb.IMPORT_STATE_CHECKED), (1, pb.IMPORT_STATE_FAILED)])
async def test_not_too_many_people(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int, state: pb.ImportState.ValueType
) -> None:
    monkeypatch.setattr(import_tables, "MOST_ROWS", most)
    import_id, _ = await world.look(user("u1"), user("u2"))
    assert (await world.imports.get(import_id)).state == state


async def test_a_page_is_asked_for_again_while_the_provider_is_away(world: World) -> None:
    world.provider.pages = [[user("u1")], [user("u2")]]
    world.provider.faults = [AWAY, AWAY]
    import_id = await world.begin()
    await world.made.fetch()
    assert world.provider.asked == ["", "", "", "1"]
    assert (await world.imports.get(import_id)).summary.create_count == 2


@pytest.mark.parametrize(
    "fault",
    [
        errors.unavailable("the meeting provider", 61),
        errors.failure(grpc.StatusCode.PERMISSION_DENIED, "NOT_PERMITTED", "no"),
        errors.failure(grpc.StatusCode.INTERNAL, "MEETINGS_REFUSED", "no"),
    ],
)
async def test_half_of_the_people_are_never_taken_for_all(world: World, fault: RpcError) -> None:
    await world.take(user("u1"), user("u2"))
    world.provider.pages = [[user("u1")], [user("u2")]]
    import_id = await world.begin()
    first = world.provider.ask

    async def ask(page_token: str) -> user_pb2.ListUsersResponse:
        if page_token:
            raise fault
        return await first(page_token)

    await ProviderImports(world.imports, ask).fetch()
    made = await world.imports.get(import_id)
    assert (made.state, made.fault.english) == (pb.IMPORT_STATE_FAILED, str(fault))
    assert await world.all(IMPORT_PART) == []


async def test_another_replica_goes_on_where_one_ended(world: World, clock: ManualClock) -> None:
    world.provider.pages = [[user("u1")], [user("u2")]]
    import_id = await world.begin()
    asked = world.provider.ask

    async def dies(page_token: str) -> user_pb2.ListUsersResponse:
        if page_token:
            raise RuntimeError
        return await asked(page_token)

    with pytest.raises(RuntimeError):
        await ProviderImports(world.imports, dies).fetch()
    clock.time += provider_imports.LEASE - 1
    await world.made.fetch()
    assert (await world.imports.get(import_id)).state == pb.IMPORT_STATE_FETCHING
    clock.time += 1
    await world.made.fetch()
    assert world.provider.asked == ["", "1"]
    assert (await world.imports.get(import_id)).summary.create_count == 2


async def test_while_it_is_fetched_it_is_one_and_can_only_be_given_up(world: World) -> None:
    world.provider.pages = [[user("u1")]]
    import_id = await world.begin()
    assert await world.begin() == import_id
    assert await refused(world.imports.check(import_id)) == "FAILED_PRECONDITION IMPORT_FETCHING"
    assert await refused(world.apply(import_id)) == "FAILED_PRECONDITION IMPORT_NOT_CHECKED"
    part = api.UploadImportPartRequest(import_id=import_id, offset=0, content=b"x")
    assert await refused(world.imports.upload(part)) == "FAILED_PRECONDITION NOT_UPLOADING"
    assert (await world.imports.cancel(import_id)).state == pb.IMPORT_STATE_CANCELLED
    await world.made.fetch()
    assert (world.provider.asked, await world.all(IMPORT_PART)) == ([], [])
    assert len(await world.all(IMPORT)) == 1


async def test_names_that_look_like_formulas_or_paths_stay_one_cell(world: World) -> None:
    departments = [user_pb2.ProviderDepartment(names=["a;b", "c/d"])]
    await world.take(user("u1", display_name='=1+1,"x"', departments=departments))
    made = await world.member("u1")
    assert (made.display_name, made.memberships[0].path) == ('=1+1,"x"', "a,b/c_d")
