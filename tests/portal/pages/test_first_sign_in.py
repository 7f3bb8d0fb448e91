"""First sign-in, as people see it: what an administrator chooses, what a stranger is shown, and how they are let in."""

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import expect

from tests.portal.pages.desk import Desk, department, faults, names
from tests.portal.pages.serving import Portal
from tests.portal.pages.test_sight import look
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Person, Stack, wait_for

pytestmark = pytest.mark.system

JOINING = "/console/organization/joining"
MODES = {"off": "1", "approval": "2", "mail-domain": "3"}
STRANGERS = ("ann", "bob", "cai", "dan")


@pytest.fixture
def admin(stack: Stack, portal: Portal) -> Iterator[Person]:
    """Afterwards nobody is asked about any more."""
    for each in STRANGERS:
        portal.sign_in(each)  # while it still is so
    person = stack.login("admin", "root")
    yield person
    assert person.yunhui("organization", "joining", "set", "off").code == 0


def waits(stranger: Desk, path: str = "/rooms") -> bool:
    answer = stranger.get(path)
    return answer.status_code == 403 and "You have to be let in first" in answer.text


def test_an_administrator_chooses_what_becomes_of_strangers(desk: Desk, admin: Person) -> None:
    """What cannot be is said beside its field; rows come and go, and stay when the mode is another."""
    place = department(desk, "Mathematics")
    assert faults(desk.submit(JOINING, mode="3"))["domain"] == "Name at least one domain."
    assert "department_id" in faults(desk.submit(JOINING, mode="3", domain="math.example.edu"))
    wrong = desk.submit(JOINING, mode="3", domain="a b", department_id=place)
    assert (wrong.status_code, faults(wrong)["domain"]) == (422, "Must be written like math.example.edu.")
    gone = desk.submit(JOINING, mode="3", domain="math.example.edu", department_id="dep_none")
    assert "department_id" in faults(gone)
    assert desk.done(JOINING, mode="3", domain="@Math.Example.EDU", department_id=place).endswith("done=saved")
    shown = desk.text("/console/organization")
    assert "@math.example.edu</span> → " in shown
    assert "By the domain of their mail; everybody else waits" in shown
    found = desk.submit(JOINING, search="1", find="mathe", domain="b.edu")  # without JavaScript
    assert (found.status_code, f'value="{place}"' in found.text, 'value="b.edu"' in found.text) == (200, True, True)
    desk.done(JOINING, mode="2", domain="b.edu", department_id=place)
    assert admin.yunhui("organization", "joining").answer["mode"] == "JOINING_MODE_APPROVAL"
    desk.done(JOINING, mode="1", **{"0-remove": "1"})
    rows = admin.yunhui("organization", "joining", "show").answer["domains"]
    assert [each["domain"] for each in rows] == ["math.example.edu"]
    page = desk.get(JOINING)
    admin.yunhui("organization", "joining", "set", "approval")
    stale = desk.submit(page, mode="3")
    assert (stale.status_code, "Somebody else changed it" in stale.text, "Now:" in stale.text) == (409, True, True)
    assert desk.submit(stale, mode="1").status_code == 303


def test_a_stranger_waits_is_let_in_and_goes_on(
    portal: Portal, client: httpx2.Client, desk: Desk, admin: Person
) -> None:
    ann, place = Desk(portal, client, "ann", "booker"), department(desk, "Physics")
    assert ann.get("/rooms").status_code == 200
    contact = ("contacts", "add", "safe@example.org", "--name", "Safety", "--topic", "security")
    assert admin.yunhui("organization", *contact).code == 0
    assert admin.yunhui("organization", "joining", "set", "approval").code == 0
    wait_for(lambda: waits(ann))
    page = ann.get("/reservations?tab=past").text
    assert 'href="mailto:safe@example.org"' in page
    assert 'href="/reservations?tab=past"' in page
    assert "ann@example.org" in page
    assert ann.send("/settings", {"language": "en"}).status_code == 403  # also of forms
    listed = desk.text("/console/members")
    assert "1 person waits to be let in." in listed
    assert names(desk.text("/console/members?status=waiting")) == ["ann"]
    shown = desk.text("/console/member?id=ann")
    assert all(f"/console/member/{act}?id=ann" in shown for act in ("let-in", "reject", "delete"))
    act = "/console/member/let-in?id=ann"
    assert 'value="b.edu"' not in desk.submit(act, search="1", find="phys").text
    refused = desk.submit(act, department_id="dep_none")
    assert (refused.status_code, "no such department" in faults(refused)[""]) == (409, True)
    assert desk.done(act, department_id=place).endswith("done=let-in")
    wait_for(lambda: ann.get("/rooms").status_code == 200)
    assert "Physics" in desk.text("/console/member?id=ann")
    assert "waits to be let in" not in desk.text("/console/members").partition("<form")[0]


def test_a_stranger_who_is_rejected_is_signed_out(
    portal: Portal, client: httpx2.Client, desk: Desk, admin: Person
) -> None:
    bob = Desk(portal, client, "bob", "booker")
    admin.yunhui("organization", "joining", "set", "approval")
    wait_for(lambda: waits(bob))
    assert desk.done("/console/member/reject?id=bob").endswith("done=rejected")
    wait_for(lambda: "Your account is disabled" in bob.get("/rooms").text)


def test_who_waits_can_sign_out(portal: Portal, client: httpx2.Client, admin: Person) -> None:
    """By their own form, and by no forged one."""
    cai = Desk(portal, client, "cai", "booker")
    admin.yunhui("organization", "joining", "set", "approval")
    wait_for(lambda: waits(cai))
    assert cai.send("/sign-out", {"csrf_token": "0" * 128}).status_code != 303
    assert waits(cai)
    page = cai.get("/rooms").text
    token = page.partition('action="/sign-out"')[2].partition('name="csrf_token" value="')[2].partition('"')[0]
    assert cai.send("/sign-out", {"csrf_token": token}).status_code in (200, 303)
    assert cai.get("/rooms").headers["location"].startswith("/sign-in")


LOOKS = [("zh-CN", 1280), ("en", 360)]


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_its_pages_can_be_used_by_everybody(
    visitor: Visitor, desk: Desk, admin: Person, language: str, width: int
) -> None:
    place = department(desk, f"理论物理与数学交叉研究中心 {language} {width}")
    admin.yunhui("organization", "update", "--name", "中国科学院某研究所")
    contact = ("contacts", "add", "safe@example.org", "--name", "王安全", "--topic", "security")
    admin.yunhui("organization", *contact)
    twice = {"domain": f"{language}{width}.example.edu".lower(), "department_id": place}
    desk.done(JOINING, mode="3", **twice)
    assert faults(desk.submit(JOINING, mode="3", **twice))["domain"] == "Another row is about this domain."
    stranger = visitor.open("dan", language=language, width=width)
    wait_for(lambda: stranger.goto("/rooms") and stranger.locator("h1").count() == 1)
    expect(stranger.get_by_role("link", name="safe@example.org")).to_be_visible()
    look(stranger, f"waiting-{language}-{width}", with_axe=True)
    page = visitor.open("root", "admin", language=language, width=width)
    for name, path in {
        "joining": JOINING,
        "organization-joining": "/console/organization",
        "members-waiting": "/console/members",
        "member-waiting": "/console/member?id=dan",
        "let-in": "/console/member/let-in?id=dan",
        "reject": "/console/member/reject?id=dan",
    }.items():
        page.goto(path)
        assert page.locator("html").get_attribute("lang") == language
        look(page, f"{name}-{language}-{width}", with_axe=True)


def test_a_department_is_found_as_one_types(visitor: Visitor, desk: Desk, admin: Person) -> None:
    department(desk, "Chemistry")
    page = visitor.open("root", "admin", language="en")
    page.goto(JOINING)
    page.get_by_label("By the domain of their mail").check()
    page.get_by_label("Domain", exact=True).fill("chem.example.edu")
    page.locator("[name=find]").press_sequentially("chem")
    page.get_by_label("Chemistry").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    expect(page.get_by_text("@chem.example.edu")).to_be_visible()
