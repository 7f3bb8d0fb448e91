"""The address book and its settings as pages, with the real directory: who sees whom, and what cards say."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import expect

from tests.patience import PATIENCE_SECONDS
from tests.portal.pages.desk import Desk, department, form_in, member
from tests.portal.pages.people import settle
from tests.portal.pages.serving import Portal
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack

pytestmark = pytest.mark.system

SETTINGS = "/console/visibility"
EVERYBODY, OWN, BELOW, CHOSEN = "1", "2", "3", "4"


@pytest.fixture(scope="module", autouse=True)
def settled(stack: Stack) -> None:
    settle(stack.login("admin", "root"))


@pytest.fixture
def fang(portal: Portal) -> Iterator[Desk]:
    with httpx2.Client(base_url=portal.address, timeout=PATIENCE_SECONDS) as client:
        yield Desk(portal, client, "wang.fang", "booker")


@pytest.fixture(autouse=True)
def as_at_first(desk: Desk) -> Iterator[None]:
    yield
    for action in ("remove-rule", "unhide"):
        while f'action="{SETTINGS}/{action}"' in desk.text(SETTINGS):
            assert act(desk, action).status_code == 303
    usual = {"address_book_shown": "1", "departments_shown": "1", "field-3": "1", "field-5": "1", "sight": EVERYBODY}
    others: dict[str, str | list[str]] = {f"field-{each}": [] for each in (1, 2, 4)}
    assert desk.submit(SETTINGS, **{**others, **usual}).status_code == 303


def act(desk: Desk, action: str) -> httpx2.Response:
    """The first form that is sent there."""
    page = desk.text(SETTINGS)
    found = re.search(rf'<form method="post" action="{SETTINGS}/{action}".*?</form>', page, re.S)
    assert found
    return desk.send(*form_in(f"<main>{found[0]}"))


def names(page: str) -> list[str]:
    return re.findall(r'href="/colleagues/card\?id=[^"]*"><bdi>([^<]*)</bdi>', page)


def test_every_member_finds_colleagues(fang: Desk) -> None:
    assert 'href="/colleagues"' in fang.text("/")
    assert set(names(fang.text("/colleagues"))) >= {"李伟", "王芳", "Anna Meyer"}
    for query, found in (("wangfang", ["王芳"]), ("lw", ["李伟"]), ("网络与安全组", ["王芳"]), ("zzz", [])):
        assert names(fang.text(f"/colleagues?q={query}")) == found
    assert "研究员" in fang.text("/colleagues/card?id=li.wei")
    assert 'href="/colleagues/card?id=li.wei"' in fang.text("/search?q=liwei")


def test_who_is_no_member_has_no_address_book(portal: Portal, client: httpx2.Client) -> None:
    page = Desk(portal, client, "stranger", "admin").text("/colleagues")
    assert (names(page), 'type="search" name="q" value' in page.partition("<main")[2]) == ([], False)


def test_what_one_does_not_see_is_no_page(fang: Desk, desk: Desk) -> None:
    """As what does not exist, in status and words."""
    assert desk.done(SETTINGS, sight=OWN).endswith("done=saved")
    assert names(fang.text("/colleagues")) == ["王芳"]
    hidden, missing = (fang.get(f"/colleagues/card?id={each}") for each in ("li.wei", "nobody"))
    assert (hidden.status_code, missing.status_code) == (404, 404)
    bare = [re.sub(r'id=[\w.]+|value="[0-9a-f]{64,}"', "", each.text) for each in (hidden, missing)]
    assert bare[0] == bare[1]
    assert fang.get("/colleagues?department=gone").status_code == 404


def test_cards_say_what_the_organization_lets_them(fang: Desk, desk: Desk) -> None:
    where = member(desk, "mail-1", "有邮箱", email="mail-1@example.org", phone="+8613800138000")
    assert "mail-1@example.org" not in fang.text("/colleagues/card?id=mail-1")
    assert names(fang.text("/colleagues?q=mail-1@")) == []
    desk.done(SETTINGS, **{"field-1": "1", "field-3": [], "field-5": []})
    page = fang.text("/colleagues/card?id=mail-1")
    assert ("mail-1@example.org" in page, "+8613800138000" in page) == (True, False)
    assert names(fang.text("/colleagues?q=mail-1@")) == ["有邮箱"]
    assert "研究员" not in fang.text("/colleagues?q=李伟")
    assert where.startswith("/console/member?id=mail-1")


def test_a_hidden_member_is_marked_for_those_who_see_them(fang: Desk, desk: Desk) -> None:
    member(desk, "veiled", "隐身人", hidden="1")
    assert names(fang.text("/colleagues?q=隐身人")) == []
    assert "隐身人" in desk.text("/console/members?hidden=yes")
    assert "隐身人" not in desk.text("/console/members?hidden=no&q=隐身人").partition('id="rows"')[2]


def test_rules_and_hidden_departments_come_and_go(fang: Desk, desk: Desk) -> None:
    top = department(desk, "Rules of sight")
    low = department(desk, "Below it", top)
    member(desk, "rule-1", "规一", memberships=[low], main=low)
    found = desk.text(f"{SETTINGS}/rule?find=Below&search=1")
    assert re.findall(r'name="department" value="([^"]*)"', found) == [low]
    assert desk.done(f"{SETTINGS}/rule?department={top}", sight=CHOSEN, chosen=[low]).endswith("done=ruled")
    assert "Rules of sight/Below it" in desk.text(SETTINGS)
    nothing = desk.submit(f"{SETTINGS}/rule?department={low}", sight=CHOSEN)
    assert (nothing.status_code, 'id="fault-chosen"' in nothing.text) == (422, True)
    refused = desk.submit(f"/console/departments/{low}/delete")
    assert refused.status_code == 409
    assert desk.submit(f"{SETTINGS}/hide", department=low).headers["location"].endswith("done=hidden")
    assert (names(fang.text("/colleagues?q=规一")), fang.get(f"/colleagues?department={low}").status_code) == ([], 404)
    assert act(desk, "unhide").status_code == 303
    assert names(fang.text("/colleagues?q=规一")) == ["规一"]
    assert act(desk, "remove-rule").status_code == 303
    assert "Below it" not in desk.text(SETTINGS)


def test_settings_that_others_changed_meanwhile_are_not_overwritten(desk: Desk) -> None:
    before = form_in(desk.text(SETTINGS))
    desk.done(SETTINGS, sight=OWN)
    late = desk.send(before[0], {**before[1], "sight": BELOW})
    assert (late.status_code, f'value="{OWN}" checked' in late.text) == (409, True)


@pytest.mark.parametrize("path", ["", "/rule", "/hide"])
def test_the_settings_are_for_those_who_may(portal: Portal, client: httpx2.Client, path: str) -> None:
    seen = [
        Desk(portal, client, role, role).get(SETTINGS + path).status_code for role in ("booker", "support", "admin")
    ]
    assert seen == [403, 403 if path else 200, 200]
    support = Desk(portal, client, "support", "support")
    assert ("disabled" in support.text(SETTINGS), '<button class="primary">' in support.text(SETTINGS)) == (True, False)
    token = re.search(r'name="csrf_token" value="([^"]*)"', support.text("/"))
    assert token
    assert support.send(SETTINGS + path, {"csrf_token": token[1]}).status_code == 403


def test_a_tree_unfolds_and_a_list_follows_what_is_typed(visitor: Visitor) -> None:
    page = visitor.open("wang.fang")
    page.goto("/colleagues")
    page.locator(".tree summary").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="计算中心", exact=True).click()
    expect(page.locator("#rows tbody tr")).to_have_count(2)
    page.locator("[name=q]").last.press_sequentially("wf")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    assert urlsplit(page.url).query.endswith("q=wf")
    page.get_by_role("link", name="王芳").click()
    expect(page.locator("h1")).to_have_text("王芳")


def test_the_address_book_needs_no_script(visitor: Visitor) -> None:
    page = visitor.open("wang.fang", java_script_enabled=False)
    page.goto("/colleagues")
    page.get_by_role("link", name="高能物理研究所", exact=True).click()
    expect(page.get_by_role("link", name="计算中心", exact=True)).to_be_visible()
    page.fill("main [name=q]", "wf")
    page.locator("main").get_by_role("button", name="搜索").click()
    expect(page.locator("#rows tbody tr")).to_have_count(1)
