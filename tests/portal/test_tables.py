"""A table as a page and as a file: paging, filters, and what a spreadsheet makes of it."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient
from yunhui.notifier.v1.delivery_pb2 import Delivery

from services.platform.serving.grants import Grants
from services.platform.text.messages import Text, message
from services.portal import deliveries
from services.portal.navigation import Area, Tab, area_at, areas_for, lit, tabs_for
from services.portal.sessions import Person, with_grants
from services.portal.tables import SHOWN, Act, Asked, Column, Listing, Table, TableFilter, Way

Row = tuple[str, int, Timestamp]
ROWS: list[Row] = [(name, number, Timestamp(seconds=1_751_850_000)) for number, name in enumerate("ab=c李")]
ASKED: list[Asked] = []


async def fetch(_: Request, asked: Asked) -> Listing[Row]:
    """Two rows at a time, whatever is asked."""
    ASKED.append(asked)
    start = int(asked.page_token or 0)
    chosen = [row for row in ROWS if row[0] == asked.filters["name"]] if asked.filters["name"] else ROWS
    return Listing(chosen[start : start + 2], str(start + 2) if len(chosen) > start + 2 else "")


TABLE: Table[Row] = Table(
    "/things",
    message("Support"),
    fetch,
    permission="reservations.view_all",
    columns=[
        Column(message("Account"), lambda row: row[0], link=lambda row: f"/?name={row[0]}"),
        Column(message("People expected"), lambda row: row[1], width="narrow"),
        Column(message("When"), lambda row: row[2]),
        Column(message("State"), lambda row: message("Confirmed")),
    ],
    filters=[
        TableFilter("name", message("Account")),
        TableFilter("kind", message("State"), {"x": message("Confirmed"), "y": message("Over")}),
    ],
    act=Act(message("Send again"), lambda row: "/again" if row[1] else ""),
)


class Signed:
    """Middleware: somebody is there."""

    def __init__(self, app: Any, person: Person) -> None:
        self.app, self.person = app, person

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})
        scope["state"] |= {"person": self.person, "session_secret": "secret", "session": None}
        await self.app(scope, receive, send)


def browser(role: str, table: Table[Row] = TABLE) -> TestClient:
    person = with_grants(Person("lin", "Lin", "", frozenset({role}), "zh-CN", "token"), Grants())
    routes = [Route("/things", table.show), Route("/things.csv", table.export)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Signed, person=person)]))


@pytest.fixture
def support() -> Iterator[TestClient]:
    ASKED.clear()
    with browser("support") as opened:
        yield opened


def test_a_page_leads_to_the_next_and_keeps_what_was_asked(support: TestClient) -> None:
    page = support.get("/things?name=&kind=y").text
    assert page.count("<tr>") == 3
    assert 'href="/things?kind=y&amp;page=2"' in page
    assert '<option value="y" selected>' in page
    assert page.count('action="/again"') == 1
    last = support.get("/things?kind=y&page=4").text
    assert (last.count("<tr>"), 'rel="next"' in last, "第一页" in last) == (2, False, True)
    assert 'name="back" value="/things?kind=y&amp;page=4"' in last
    assert [(each.page_token, each.page_size) for each in ASKED] == [("", 50), ("4", 50)]


def test_what_is_no_choice_chooses_nothing(support: TestClient) -> None:
    """Nothing that nobody offered reaches a service."""
    support.get("/things?kind=%27")
    assert [each.filters for each in ASKED] == [{"name": "", "kind": ""}]


def test_the_file_has_all_rows_and_no_formula(support: TestClient) -> None:
    """As Excel wants it: the mark, CRLF, times without a zone in each cell; and for nobody to keep."""
    answer = support.get("/things.csv?kind=y&page=4")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="things-')
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.startswith("\ufeff账号,".encode())
    assert answer.content.count(b"\r\n") == 1 + len(ROWS)
    heading, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert heading == ["账号", "参会人数", "时间（北京时间）", "状态"]
    assert [row[0] for row in rows] == ["a", "b", "'=", "c", "李"]
    assert rows[0][1:3] == ["0", "2025-07-07 09:00:00"]
    assert [(each.page_token, each.page_size) for each in ASKED] == [("", 500), ("2", 500), ("4", 500)]


def test_a_file_without_rows_has_its_heading(support: TestClient) -> None:
    assert len(support.get("/things.csv?name=nobody").text.splitlines()) == 1
    assert "没有符合条件的记录" in support.get("/things?name=nobody").text


def test_the_zone_of_a_file_is_right_in_summer_and_winter(support: TestClient) -> None:
    """Rows may be of both: Eastern Standard Time would be wrong for half of them."""
    support.cookies["zone"] = "America/New_York"
    assert "时间（America/New_York）" in support.get("/things.csv?kind=y").text


def test_a_service_is_never_asked_for_more_than_it_gives() -> None:
    ASKED.clear()
    with browser("support", replace(TABLE, most=SHOWN)) as opened:
        opened.get("/things?page=2")
        opened.get("/things.csv?kind=y&page=4")
    assert {each.page_size for each in ASKED} == {SHOWN}
    assert [each.page_token for each in ASKED] == ["2", "", "2", "4"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cancellation", "预约已取消"),
        ("escalation-2", "致技术支持：新的待审批预约"),
        ("yunhui.booking.reservation.confirmed", "预定成功"),
        ("unheard-of", "unheard-of"),
    ],
)
def test_a_delivery_is_called_what_it_is(kind: str, said: str) -> None:
    """Whoever cancelled; one of several of its kind; a webhook."""
    named = deliveries.kind(Delivery(kind=kind))
    assert (named.to("zh-CN") if isinstance(named, Text) else named) == said


def test_others_get_neither_page_nor_file() -> None:
    ASKED.clear()
    with browser("booker") as plain:
        assert [plain.get(path).status_code for path in ("/things", "/things.csv")] == [403, 403]
    assert ASKED == []


RICH: Table[Row] = replace(
    TABLE,
    columns=[
        Column(message("Account"), lambda row: row[0], sorts="ascending", tone=lambda row: "good"),
        Column(message("People expected"), lambda row: row[1], name="people", minor=True),
        Column(message("When"), lambda row: row[2], name="when", usual=False, sorts="descending"),
    ],
    ways=[Way(message("Book"), "/things/new", "rooms.edit")],
    done={"made": message("Saved.")},
)


async def fetch_counted(request: Request, asked: Asked) -> Listing[Row]:
    return replace(await fetch(request, asked), total=len(ROWS))


def test_columns_order_and_count_stand_in_the_address() -> None:
    """What leads on keeps them; what nobody offers is not asked for."""
    ASKED.clear()
    with browser("support", replace(RICH, fetch=fetch_counted)) as opened:
        plain = opened.get("/things").text
        chosen = opened.get("/things?kind=y&sort=when&col=when&col=nothing").text
        opened.get("/things?sort=people&col=people")
        file = opened.get("/things.csv?col=when&sort=when").content.decode("utf-8-sig")
    assert re.findall(r'aria-sort="(\w+)"', plain) == ["ascending"]
    assert ("参会人数</th>" in plain, "共 5 条" in plain, '<span class="badge good">a</span>' in plain) == (True,) * 3
    assert re.findall(r'aria-sort="(\w+)"', chosen) == ["none", "descending"]
    assert ("参会人数</th>" in chosen, "时间（北京时间）</a>" in chosen) == (False, True)
    assert 'href="/things?kind=y&amp;sort=when&amp;page=2&amp;col=when"' in chosen
    assert 'href="/things.csv?kind=y&amp;sort=when&amp;col=when"' in chosen
    assert [(each.sort, list(each.chosen)) for each in ASKED[:3]] == [("", []), ("when", ["when"]), ("", [])]
    assert file.splitlines()[0] == "账号,时间（北京时间）"


def test_a_part_is_answered_with_an_address_without_empty_fields() -> None:
    """As htmx asks for it while somebody types."""
    with browser("support", RICH) as opened:
        asked = {"hx-request": "true"}
        assert opened.get("/things?name=a&kind=&sort=", headers=asked).headers["hx-push-url"] == "/things?name=a"
        assert "hx-push-url" not in opened.get("/things?name=a").headers


def test_a_way_is_for_whoever_is_permitted_and_what_was_done_is_said_once() -> None:
    with browser("support", RICH) as support, browser("admin", RICH) as admin:
        assert ["/things/new" in each.get("/things").text for each in (support, admin)] == [False, True]
        assert ["已保存" in admin.get(f"/things?done={word}").text for word in ("made", "<b>")] == [True, False]


def test_a_door_is_for_whoever_has_a_page_behind_it() -> None:
    tabs = (Tab("/", "a", message("Book")), Tab("/support", "b", message("Support"), "members.view"))
    console = Area("/console", message("Management"), (Tab("/console/x", "c", message("Rules"), "rules.edit"),))
    areas = (Area("/", message("My meetings"), tabs), console)
    seen = {
        role: [(area.path, len(area.tabs)) for area in areas_for(areas, person(role))]
        for role in ("booker", "support", "admin")
    }
    assert seen == {"booker": [("/", 1)], "support": [("/", 2)], "admin": [("/", 2), ("/console", 1)]}
    expected = {"/": "/", "/console": "/console", "/console/x/y": "/console", "/consoles": "/", "/rules": "/"}
    assert {path: area.path if (area := area_at(areas, path)) else "" for path in expected} == expected
    assert area_at([], "/") is None


def person(role: str) -> Person:
    return with_grants(Person("ann", "Ann", "", frozenset({role}), "en", "token"), Grants())


def test_a_tab_is_seen_by_whoever_is_permitted_and_lit_below_its_address() -> None:
    tabs = (
        Tab("/", "a", message("Book"), also=["/book"]),
        Tab("/support", "b", message("Support"), "members.view"),
    )
    assert [tab.path for tab in tabs_for(tabs, person("booker"))] == ["/"]
    expected = {"/": "/", "/book": "/", "/book/find": "/", "/support/x": "/support", "/supporters": "", "/rules": ""}
    assert {path: tab.path if (tab := lit(tabs, path)) else "" for path in expected} == expected


def test_a_column_and_a_filter_may_belong_to_one_choice_only() -> None:
    """On the page, in its chooser and in its file; rows may be told apart."""

    def only(filters: Mapping[str, str]) -> bool:
        return filters["kind"] == "x"

    columns = [*TABLE.columns, Column(message("Phone"), lambda row: "phone", name="phone", where=only)]
    filters = [*TABLE.filters, TableFilter("when", message("When"), where=only)]
    table = replace(TABLE, columns=columns, filters=filters, row_id=lambda row: f"row-{row[0]}")
    with browser("support", table) as opened:
        page, other = opened.get("/things?kind=x").text, opened.get("/things?kind=y").text
        assert ["手机" in each for each in (page, other)] == [True, False]
        assert ['name="when"' in each for each in (page, other)] == [True, False]
        assert ['value="phone"' in each for each in (page, other)] == [True, False]
        assert '<tr id="row-a">' in page
        assert ["phone" in opened.get(f"/things.csv?kind={each}").text for each in "xy"] == [True, False]
