"""Tokens of identity providers in the console, and what support sees there whose role is for some departments."""

import html
import re

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.portal.pages.desk import Desk, department, faults, member
from tests.portal.pages.screenshots import RULES
from tests.portal.pages.serving import Portal
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack

pytestmark = pytest.mark.system

PAGE = "/console/organization/provisioning"


def secret_in(page: httpx2.Response) -> str:
    found = re.search(r'id="scim-secret" value="([^"]*)"', page.text)
    return html.unescape(found[1]) if found else ""


def test_a_token_is_made_shown_once_and_revoked(desk: Desk) -> None:
    assert "YUNHUI_SCIM_LISTEN" in desk.text(PAGE)  # this installation has no door
    made = desk.submit(PAGE, display_name="entra")
    assert made.status_code == 200
    assert secret_in(made).startswith("yunhui_scim_")
    assert made.headers["cache-control"] == "no-store"
    assert secret_in(desk.get(PAGE)) == ""
    again = desk.submit(PAGE, display_name="entra")
    assert (again.status_code, faults(again)["display_name"]) == (409, "There is a token of this name already.")
    bad = desk.submit(PAGE, display_name="no good name")
    assert (bad.status_code, [*faults(bad)]) == (422, ["display_name", ""])
    assert desk.submit(PAGE, display_name="okta").status_code == 200
    assert "Two tokens hold" in desk.text(PAGE)
    for name in ("entra", "okta"):
        assert desk.done(f"{PAGE}/revoke?name={name}") == f"{PAGE}?done=revoked"
        assert desk.get(f"{PAGE}/revoke?name={name}").status_code == 404
    assert "No token holds" in desk.text(f"{PAGE}?done=revoked")


def test_it_is_for_who_may_edit_all_members(portal: Portal, client: httpx2.Client, stack: Stack, desk: Desk) -> None:
    physics = department(desk, "Physics")
    member(desk, "local", "Local")
    admin = stack.login("admin", "root")
    for words in (
        ("roles", "create", "Secretaries", "--permission", "members.view", "--permission", "members.edit",
         "--permission", "organization.view"),
        ("roles", "give", "local", "Secretaries", "--department", "Physics"),
    ):  # fmt: skip
        said = admin.yunhui(*words)
        assert said.code == 0, said.err
    assert physics
    for who, role in (("support", "support"), ("local", "booker")):
        refused = Desk(portal, client, who, role)
        assert refused.get(PAGE).status_code == 403
        assert PAGE not in refused.get("/console/organization").text
    assert PAGE in desk.text("/console/organization")


def test_support_of_a_department_sees_and_answers_its_own(
    stack: Stack, portal: Portal, client: httpx2.Client, desk: Desk, visitor: Visitor
) -> None:
    """In a real browser: the doors, the desk, the page of a member."""
    math, law = department(desk, "Mathematics"), department(desk, "Law")
    for account, place in (("inn", math), ("out", law), ("helper", law)):
        member(desk, account, account.title(), memberships=[place], main=place, status="1")
    said = stack.login("admin", "root").yunhui("roles", "give", "helper", "support", "--department", "Mathematics")
    assert said.code == 0, said.err
    waiting = {}
    for account, start in (("inn", "2025-07-10T10:00+08:00"), ("out", "2025-07-10T14:00+08:00")):
        made = stack.login("booker", account).reserve(start, people=150).answer
        waiting[account] = made["reservation"]["reservationId"]
    page = visitor.open("helper", "booker", language="en")
    page.goto("/support")
    expect(page.locator("article.case")).to_have_count(1)
    expect(page.get_by_role("heading", name="Deliveries that failed")).to_have_count(0)
    expect(page.get_by_role("link", name="Deliveries", exact=True)).to_have_count(0)
    page.goto(f"/reservations/{waiting['out']}")
    assert "no such reservation" in page.inner_text("main")
    page.goto("/support/accounts?account_id=out")
    assert "no such account" in page.inner_text("main")
    page.goto("/support/accounts?account_id=inn")
    expect(page.get_by_role("heading", level=1)).to_contain_text("inn")
    page.goto("/console/members")
    expect(page.get_by_role("link", name="Inn")).to_have_count(1)
    expect(page.get_by_role("link", name="Out", exact=True)).to_have_count(0)
    page.goto("/support")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("status").first).to_contain_text("Approved")
    outsiders = Desk(portal, client, "helper", "booker")
    token = re.search(r'name="csrf_token" value="([^"]*)"', outsiders.text("/"))
    assert token
    answer: dict[str, str | list[str]] = {"csrf_token": token[1], "answer": "approve"}
    assert outsiders.send(f"/support/escalations/{waiting['out']}", answer).status_code == 404


@pytest.mark.parametrize(("width", "theme", "language"), [(360, "light", "en"), (1280, "dark", "zh-CN")])
def test_it_can_be_used_by_everybody(visitor: Visitor, width: int, theme: str, language: str) -> None:
    page = visitor.open("root", "admin", language=language, theme=theme, width=width)
    page.goto(PAGE)
    page.get_by_role("textbox").last.fill(f"idp-{width}-{language}")
    page.locator("main button.primary").click()
    expect(page.locator("#scim-secret")).to_be_visible()
    assert not Axe().run(page, options=RULES).response["violations"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name=f"idp-{width}-{language}").click()
    assert not Axe().run(page, options=RULES).response["violations"]
    page.locator("main button.danger").click()
    expect(page.get_by_role("status").first).to_be_visible()
