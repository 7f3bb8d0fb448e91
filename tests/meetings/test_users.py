"""Who belongs to the organization: by the stand-in within its limits, by the simulated provider, and over the bus."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from yunhui.meetings.v1 import user_pb2 as pb

from services.meetings import simulated_users, subscriptions, users
from services.meetings.gateway import Gateway
from services.meetings.provider import (
    AwayError,
    IncompleteError,
    MisconfiguredError,
    NoSuchPageError,
    NotPermittedError,
    OrganizationUser,
    Provider,
    ProviderError,
    RateLimitedError,
    UserPage,
    UserStatus,
)
from services.meetings.providers import Providers
from services.meetings.simulated import Simulated
from services.meetings.tencent.tencent import Tencent
from services.meetings.tencent.users import to_phone
from services.meetings.webhook_events import WebhookEvents
from services.platform.data.database import Database
from services.standin.request_checks import Application, Refusal, RequestChecker
from services.standin.server import Standin
from services.standin.users import CloudUser, invented, list_users
from tests import templates
from tests.meetings.builders import HOUR, HandClock, provider


@pytest.fixture(params=["sqlite"])
def url(service: str, tmp_path: Path) -> str:
    """Nothing of it is stored."""
    return templates.on_sqlite(tmp_path / "meetings.db", service)


async def everybody(asked: Provider) -> list[list[OrganizationUser]]:
    """By page."""
    pages: list[list[OrganizationUser]] = []
    position = ""
    while True:
        page = await asked.users(position)
        pages.append([*page.users])
        position = page.next_position
        if not position:
            return pages


def people(standin: Standin, count: int) -> None:
    """So many in all, the administrator among them."""
    for number in range(1, count):
        standin.cloud.add_user(invented(number))


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (99, [99]), (100, [100]), (101, [100, 1]), (200, [100, 100])])
async def test_each_is_told_once_whatever_the_number_of_pages(
    standin: Standin, tencent: Tencent, count: int, sizes: list[int]
) -> None:
    people(standin, count)
    pages = await everybody(tencent)
    assert [len(page) for page in pages] == sizes
    found = [user.user_id for page in pages for user in page]
    assert sorted(found) == sorted({*found}) == sorted(standin.cloud.users)


async def test_what_is_said_of_a_user_is_told_in_our_words(standin: Standin, tencent: Tencent) -> None:
    departments = ["研发/平台", "市场"]
    standin.cloud.add_user(
        CloudUser("u-1", "User 1", "u-1@example.com", "86", "13800138000", "S1", "工程师", 1, 9, departments)
    )
    user = next(each for each in (await tencent.users("")).users if each.user_id == "u-1")
    assert user == OrganizationUser(
        user_id="u-1",
        account="u-1",
        display_name="User 1",
        email="u-1@example.com",
        phone="+8613800138000",
        title="工程师",
        staff_id="S1",
        departments=(("研发", "平台"), ("市场",)),
        status=UserStatus.ENABLED,
        advanced=True,
    )


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (0, UserStatus.UNKNOWN),
        (1, UserStatus.ENABLED),
        (2, UserStatus.DISABLED),
        (3, UserStatus.NOT_ACTIVATED),
        (4, UserStatus.DISABLED),
        (5, UserStatus.NOT_ACTIVATED),
        (6, UserStatus.UNKNOWN),
    ],
)
async def test_how_an_account_stands(standin: Standin, tencent: Tencent, number: int, status: UserStatus) -> None:
    standin.cloud.add_user(CloudUser("a", status=number))
    assert (await tencent.users("")).users[0].status == status


@pytest.mark.parametrize(
    ("number", "advanced"), [(0, None), (1, True), (2, False), (3, False), (4, True), (8, True), (9, True), (10, None)]
)
async def test_whether_an_account_takes_a_licence(
    standin: Standin, tencent: Tencent, number: int, advanced: bool | None
) -> None:
    standin.cloud.add_user(CloudUser("a", account_type=number))
    assert (await tencent.users("")).users[0].advanced is advanced


@pytest.mark.parametrize(
    ("area", "phone", "whole"),
    [
        ("86", "13800138000", "+8613800138000"),
        ("", "13800138000", "+8613800138000"),
        ("+852", "51234567", "+85251234567"),
        ("86", "138****8000", ""),
        ("86", "", ""),
    ],
)
def test_a_phone_number_has_its_country_or_is_not_told(area: str, phone: str, whole: str) -> None:
    assert to_phone(area, phone) == whole


async def test_a_userid_that_is_no_account_of_ours_is_told_without_one(standin: Standin) -> None:
    for userid in ("li@example.org", "robot"):
        standin.cloud.add_user(CloudUser(userid))
    asked, client = provider(standin.address, pattern="{account}@example.org")
    [page] = await everybody(asked)
    await client.close()
    assert {user.user_id: user.account for user in page} == {"admin": "", "li@example.org": "li", "robot": ""}


async def test_a_wrong_signature_is_refused(standin: Standin) -> None:
    asked, client = provider(standin.address, Application(secret_key="other"))
    with pytest.raises(MisconfiguredError):
        await asked.users("")
    await client.close()
    assert standin.refusals == [200003]


async def test_only_an_administrator_may_ask(standin: Standin, tencent: Tencent) -> None:
    standin.cloud.admin = "chief"
    with pytest.raises(NotPermittedError):
        await tencent.users("")
    assert standin.refusals == [500014]


async def test_too_many_of_these_calls_hold_up_no_others(standin: Standin, tencent: Tencent) -> None:
    """The 101st of a minute is refused; then we leave it for a minute, and look up meetings all the same."""
    standin.checker = RequestChecker(of_account_a_minute=2)
    people(standin, 301)
    meeting = standin.cloud.create("li", HOUR, 2 * HOUR)
    first = await tencent.users("")
    second = await tencent.users(first.next_position)
    for _ in range(2):
        with pytest.raises(RateLimitedError) as caught:
            await tencent.users(second.next_position)
        assert caught.value.retry_seconds >= 59
    assert standin.refusals == [190313]  # the second time it was not even asked
    standin.cloud.now = lambda: float(HOUR)
    assert (await tencent.find(meeting.code, "li")).meeting_id == meeting.meeting_id


def test_the_stand_in_counts_these_calls_by_the_minute() -> None:
    """Each for itself: those of people, those of meetings, and those about the quality of one meeting."""
    clock = HandClock()
    checker = RequestChecker(now=clock.seconds())
    limits = {
        "/v1/users/advance/list": (100, 190313),
        "/v1/corp/meetings": (100, 190313),
        "/v1/meetings/1/qos": (30, 500046),
        "/v1/meetings/2/qos": (30, 500046),
    }
    for path, (limit, code) in limits.items():
        for _ in range(limit):
            checker.count_by_path(path)
        with pytest.raises(Refusal) as caught:
            checker.count_by_path(path)
        assert caught.value.code == code
    clock.time += 60_000
    for path in limits:
        checker.count_by_path(path)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"size": "100"}, 0),
        ({"size": "101"}, 190004),
        ({}, 0),
        ({"size": "0"}, 190004),
        ({"size": "-1"}, 190004),
        ({"pos": "4"}, 0),
        ({"pos": "5"}, 190004),
        ({"operator_id": "nobody"}, 190001),
        ({"operator_id": "user-1"}, 500014),
        ({"operator_id_type": "2"}, 190004),
    ],
)
def test_the_stand_in_is_strict(standin: Standin, query: dict[str, str], code: int) -> None:
    people(standin, 5)
    with pytest.raises(Refusal) if code else nullcontext() as caught:
        list_users(standin.cloud, {"operator_id": "admin", "operator_id_type": "1"} | query)
    assert not caught or caught.value.code == code


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({}, AwayError),
        ({"has_remaining": False}, AwayError),
        ({"users": [{"username": "no id"}]}, AwayError),
        ({"users": [], "has_remaining": True, "next_pos": "7"}, IncompleteError),
        ({"users": [{"userid": "a"}], "has_remaining": True}, IncompleteError),
        ({"users": [{"userid": "a"}], "has_remaining": True, "next_pos": "5"}, IncompleteError),
    ],
)
async def test_half_an_answer_is_none(
    standin: Standin, tencent: Tencent, answer: dict[str, object], error: type[ProviderError]
) -> None:
    """Whoever is not told of would be taken for gone."""
    standin.canned = answer
    with pytest.raises(error):
        await tencent.users("5")


async def test_people_come_and_go_at_the_stand_in(standin: Standin, tencent: Tencent) -> None:
    standin.act(["users"], {"userid": "user-1", "username": "User 1"})
    standin.act(["users"], {"userid": "user-1", "username": "User One"})
    assert [user.display_name for user in (await tencent.users("")).users] == ["admin", "User One"]
    standin.act(["users", "user-1", "remove"], {})
    assert [user.user_id for user in (await tencent.users("")).users] == ["admin"]


async def test_the_simulated_organization(database: Database, clock: HandClock, webhook_events: WebhookEvents) -> None:
    pages = await everybody(Simulated(database, clock, webhook_events))
    assert [len(page) for page in pages] == [5, 5, 2]
    assert [user for page in pages for user in page] == [*simulated_users.USERS]


@pytest.mark.parametrize("position", ["0", "12", "-1", "x", "¹", "9" * 30])
def test_the_simulated_organization_has_no_other_pages(position: str) -> None:
    with pytest.raises(ProviderError):
        simulated_users.page(position)


class Told:
    """A provider that says this, or fails so."""

    name = "told"

    def __init__(self, said: UserPage | ProviderError) -> None:
        self.said = said
        self.asked: list[str] = []

    async def users(self, position: str) -> UserPage:
        self.asked.append(position)
        if isinstance(self.said, ProviderError):
            raise self.said
        return self.said


async def ask(said: UserPage | ProviderError, token: str = "") -> pb.ListUsersReply:
    gateway = Gateway(Providers({"": Told(said), "9": Told(AwayError("another"))}), None)  # type: ignore[arg-type,dict-item]
    return await subscriptions.list_users(gateway, pb.ListUsersRequest(page_token=token))


async def test_the_default_provider_is_asked_over_the_bus() -> None:
    reply = await ask(UserPage((OrganizationUser("u-1", "li", departments=(("a", "b"), ("c",)), advanced=False),), "2"))
    assert reply.response.next_page_token == "2"
    [user] = reply.response.users
    assert (user.user_id, user.account_id, user.status) == ("u-1", "li", pb.PROVIDER_USER_STATUS_UNSPECIFIED)
    assert [[*each.names] for each in user.departments] == [["a", "b"], ["c"]]
    assert user.HasField("advanced")
    assert not user.advanced
    assert not (await ask(UserPage((OrganizationUser("u-1", "li"),)))).response.users[0].HasField("advanced")


@pytest.mark.parametrize(
    ("error", "code", "retry"),
    [
        (AwayError("x"), 14, 5_000),
        (RateLimitedError("x", 60), 14, 60_000),
        (NotPermittedError("x"), 7, 0),
        (NoSuchPageError("x"), 3, 0),
        (IncompleteError("x"), 13, 0),
    ],
)
async def test_why_there_is_no_answer(error: ProviderError, code: int, retry: int) -> None:
    reply = await ask(error)
    assert (reply.error.code, reply.error.retry_after_ms) == (code, retry)


async def test_a_page_that_the_bus_cannot_carry_is_refused() -> None:
    fits = "x" * (users.MOST_BYTES - 100)
    assert (await ask(UserPage((OrganizationUser("u", "u", title=fits),)))).HasField("response")
    assert (await ask(UserPage((OrganizationUser("u", "u", title=fits + "x" * 100),)))).error.code == 13


async def test_a_page_token_is_short_and_printable() -> None:
    assert (await ask(UserPage(()), "x" * 500)).HasField("response")
    for token in ("x" * 501, "\n"):
        assert (await ask(UserPage(()), token)).error.code == 3
