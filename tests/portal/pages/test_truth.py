"""What a page says beforehand is what happens: checks and confirmations, free times, invitations as they are pasted."""

import re
from collections.abc import Callable
from html import unescape

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.plumbing.test_invitations import CHINESE, ENGLISH
from tests.portal.pages.serving import Portal
from tests.portal.pages.test_browser import meeting
from tests.portal.pages.test_pages import Looking, form
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Said, Stack, wait_for

pytestmark = pytest.mark.system

Prepare = Callable[[Stack, str], str]
"""Makes the situation of an account, and gives the number of the meeting in question, on Tuesday at ten."""


def usual(stack: Stack, name: str) -> str:
    return meeting(stack, name, "2025-07-08 10:00")


def reserved_by_me(stack: Stack, name: str) -> str:
    code = usual(stack, name)
    assert reserve(stack, name, code).code == 0
    return code


def reserve(stack: Stack, name: str, code: str, role: str = "booker", *more: str) -> Said:
    figures = ("--start", "2025-07-08 10:00", "--minutes", "60", "--people", "12", "--subject", "组会")
    return stack.login(role, name).yunhui("reserve", "--code", code, *figures, *more)


def reserved_for_another(stack: Stack, name: str) -> str:
    stack.login("booker", "colleague").reserve("2025-07-09 08:00")
    code = usual(stack, name)
    assert reserve(stack, "lin", code, "support", "--account", "colleague").code == 0
    return code


def called_off(stack: Stack, name: str) -> str:
    code = usual(stack, name)
    stack.login("booker", name).yunhui("simulate", "cancel", code)
    return code


def quota_used_up(stack: Stack, name: str) -> str:
    for start in ("13:00", "15:00", "17:00"):
        stack.login("booker", name).reserve(f"2025-07-08 {start}")
    return usual(stack, name)


SITUATIONS: dict[str, tuple[Prepare, dict[str, str], str]] = {
    "fine": (usual, {}, "good"),
    "large": (usual, {"people": "120"}, "wait"),
    "few people": (usual, {"people": "2"}, "away"),
    "short": (usual, {"end": "10:30"}, "away"),
    "room too small": (usual, {"people": "31", "room_id": "room-30-a"}, "bad"),
    "no such room": (usual, {"room_id": "room-none"}, "bad"),
    "nothing so large": (usual, {"people": "99", "room_id": "room-30-a"}, "bad"),
    "outside the meeting": (usual, {"start": "15:00", "end": "16:00"}, "bad"),
    "far ahead": (usual, {"day": "2026-12-01"}, "bad"),
    "reserved by me": (reserved_by_me, {}, "bad"),
    "reserved for another": (reserved_for_another, {}, "bad"),
    "quota used up": (quota_used_up, {}, "bad"),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_the_check_says_is_what_the_confirmation_says(
    stack: Stack, portal: Portal, client: httpx2.Client, situation: str
) -> None:
    prepare, fields, tone = SITUATIONS[situation]
    name = f"law-{situation.replace(' ', '-')}"
    code = prepare(stack, name)
    looking = Looking(portal, client, name)
    page = looking.get(f"/book?meeting_code={code}").text
    checked = looking.post("/book/check", page, **form() | fields)
    assert tones(checked.text) == [tone]
    told = looking.post("/book", page, **form() | fields)
    if tone in ("good", "wait"):
        assert told.status_code == 303
        shown = looking.get(told.headers["location"]).text
        assert f'class="banner {tone}"' in shown
    else:
        assert told.status_code in (200, 409)
        assert sentences(checked.text) <= sentences(told.text)
        assert f'class="banner {tone}"' in told.text


def tones(page: str) -> list[str]:
    return re.findall(r'class="outcome (\w+)"', page)


def sentences(page: str) -> set[str]:
    """Why not: of a rule, or of a service."""
    rules = re.findall(r'<li class="(?:bad|away|wait)">.*?<p>(.*?)</p>', page, re.DOTALL)
    errors = re.findall(r'</span></p>\n<p>(.*?)</p>|class="big"[^>]*>[^<]*</h2>\n  <p>(.*?)</p>', page, re.DOTALL)
    found = {unescape(re.sub(r"<[^>]+>", "", "".join(each))) for each in [*rules, *errors]}
    assert found, page
    return found


def test_a_meeting_that_was_called_off_is_not_green(stack: Stack, visitor: Visitor) -> None:
    """Nor one that meanwhile was reserved: the page that stood open says so as soon as something is typed."""
    code = meeting(stack, "open", "2025-07-08 10:00")
    page = visitor.open("open")
    page.goto(f"/book?meeting_code={code}&people=12")
    expect(page.locator(".outcome.good")).to_be_visible()
    assert reserve(stack, "open", code).code == 0
    page.fill("[name=people]", "13")
    expect(page.locator(".outcome.bad")).to_be_visible()
    expect(page.locator("#verdict")).to_contain_text("已经预定")
    page.locator("#verdict a").click()
    expect(page.locator("h1")).to_have_text("组会")
    code = called_off(stack, "open-2")
    other = visitor.open("open-2")
    other.goto(f"/book?meeting_code={code}&people=12")
    expect(other.locator(".outcome.bad")).to_be_visible()
    expect(other.locator("#verdict")).to_contain_text("已取消或已结束")


CHANGES: dict[str, tuple[dict[str, str], str]] = {
    "more people": ({"people": "45"}, "good"),
    "longer": ({"end": "11:30"}, "good"),
    "large": ({"people": "120"}, "bad"),
    "few people": ({"people": "2"}, "away"),
    "outside the meeting": ({"start": "15:00", "end": "16:00"}, "bad"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_said_of_a_change_is_what_becomes_of_it(
    stack: Stack, portal: Portal, client: httpx2.Client, change: str
) -> None:
    fields, tone = CHANGES[change]
    name = f"change-{change.replace(' ', '-')}"
    day = f"2025-07-{9 + list(CHANGES).index(change):02}"  # each has the rooms to itself
    said = stack.login("booker", name).reserve(f"{day} 10:00")
    path = f"/reservations/{said.answer['reservation']['reservationId']}/change"
    looking = Looking(portal, client, name)
    page = looking.get(path).text
    assert tones(page) == []
    checked = looking.post(f"{path}/check", page, **form(day=day) | fields)
    assert tones(checked.text) == [tone]
    told = looking.post(path, page, **form(day=day) | fields)
    assert told.status_code == (303 if tone == "good" else 409 if "start" in fields else 200)
    if tone != "good":
        assert "it stays as it was" in told.text
        assert sentences(checked.text) <= sentences(told.text)


@pytest.mark.parametrize("invitation", [CHINESE, ENGLISH], ids=["chinese", "english"])
def test_the_whole_invitation_is_pasted(stack: Stack, visitor: Visitor, invitation: str) -> None:
    """And its password gets into no address."""
    code = meeting(stack, "pastes", "2025-07-08 10:00")
    dashed = f"{code[:3]}-{code[3:6]}-{code[6:]}"
    pasted = invitation.replace("123-456-789", dashed).replace("123456789", code)
    page = visitor.open("pastes")
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.goto("/")
    page.fill("#code", pasted)
    page.get_by_role("button", name="查询").click()
    expect(page.locator(".meeting dd").first).to_have_text(dashed)
    assert not [address for address in addresses if "246810" in address]


def test_of_two_numbers_one_is_chosen(stack: Stack, visitor: Visitor) -> None:
    code = meeting(stack, "chooses", "2025-07-08 10:00")
    page = visitor.open("chooses")
    page.goto("/")
    page.fill("#code", f"{code} 还是 987-654-321？")
    page.get_by_role("button", name="查询").click()
    expect(page.locator(".fault")).to_contain_text("多个会议号")
    page.locator("a.chip", has_text=code[:3]).click()
    expect(page.locator(".meeting")).to_be_visible()


def test_no_time_is_drawn_free_that_no_rule_would_allow(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """Each that is offered can be reserved: half an hour between two meetings is too short, an hour is not."""
    for name, start, minutes in (("early", "09:00", 60), ("noon", "10:30", 60), ("late", "12:30", 60)):
        stack.login("booker", f"gap-{name}").reserve(f"2025-07-10 {start}", minutes, room="room-30-a")
    looking = Looking(portal, client, "gap-looks")
    page = looking.get("/rooms?day=2025-07-10").text
    drawn = re.findall(r'title="30-A (\d\d:\d\d)" href="[^"]*start=(\d\d:\d\d)&amp;end=(\d\d:\d\d)', page)
    offers = {slot: (start, end) for slot, start, end in drawn}
    assert "10:00" not in offers  # half an hour until the next
    assert offers["11:30"] == ("11:30", "12:30")
    assert offers["12:00"] == ("11:30", "12:30")  # its second half
    assert "10:00–10:30" not in page
    for start, end in sorted(set(offers.values())):
        assert outcome(stack, "gap-asks", start, end) in ("OUTCOME_CONFIRMED", "OUTCOME_DENIED"), (start, end)
    few = looking.get("/rooms?day=2025-07-10&people=2").text
    assert 'class="slot free"' not in few
    assert "personal free account" in few


def outcome(stack: Stack, name: str, start: str, end: str) -> str:
    hours = [int(each[:2]) * 60 + int(each[3:]) for each in (start, end)]
    figures = ("--start", f"2025-07-10 {start}", "--minutes", str(hours[1] - hours[0]), "--people", "12")
    booker = stack.login("booker", name)
    code = booker.meeting(f"2025-07-10 {start}", hours[1] - hours[0])
    return str(booker.yunhui("reserve", "--code", code, *figures, "--subject", "x", "--dry-run").answer["outcome"])


def test_a_refusal_says_why_first(stack: Stack, visitor: Visitor) -> None:
    """In the banner, with the figures and the way out; the focus is there, and it is step three."""
    code = quota_used_up(stack, "why")
    page = visitor.open("why", width=390)
    page.goto(f"/book?meeting_code={code}&people=12")
    page.get_by_role("button", name="确认预定").click()
    banner = page.locator(".banner.bad")
    expect(banner.locator(".reason")).to_contain_text("每天最多 3 次")
    expect(banner).to_contain_text("3 / 3")
    expect(banner).to_contain_text("可改到")
    expect(page.locator("h1")).to_be_focused()
    expect(page.locator(".steps [aria-current]")).to_have_text("预定结果")
    box = banner.locator(".reason").bounding_box()
    assert box
    assert box["y"] + box["height"] < 900  # nothing has to be scrolled for it


def test_what_changes_is_said_in_a_few_words(stack: Stack, visitor: Visitor) -> None:
    """The live region holds the outcome, not every rule; and the result's heading gets the focus."""
    code = meeting(stack, "hears", "2025-07-11 14:00")
    page = visitor.open("hears")
    page.goto(f"/book?meeting_code={code}")
    regions = page.locator("#verdict[aria-live], [aria-live]:has(#verdict)")
    expect(regions).to_have_count(0)
    for people, words in (("2", "个人免费版"), ("120", "技术支持"), ("12", "可以预定")):
        page.fill("[name=people]", people)
        expect(page.locator("#said")).to_contain_text(words)
        assert len(page.locator("#said").inner_text()) <= 40
    page.get_by_role("button", name="确认预定").click()
    expect(page.locator(".banner h2")).to_be_focused()
    expect(page.locator(".steps [aria-current]")).to_have_text("预定结果")


def test_declining_needs_a_reason_and_a_second_click(stack: Stack, visitor: Visitor) -> None:
    """Without JavaScript, too."""
    code = meeting(stack, "hopes", "2025-07-10 10:00", subject="年会")
    booker = visitor.open("hopes")
    booker.goto(f"/book?meeting_code={code}&people=150")
    booker.get_by_role("button", name="确认预定").click()
    support = visitor.open("lin", "support", java_script_enabled=False)
    support.goto("/support")
    support.locator(".case", has_text="年会").get_by_role("button", name="驳回").click()
    expect(support.locator("h1")).to_have_text("确定驳回这项申请？")
    assert stack.login("booker", "hopes").mine()[0]["state"] == "RESERVATION_STATE_PENDING_APPROVAL"
    support.fill("[name=note]", "  ")
    support.get_by_role("button", name="确认驳回").click()
    expect(support.locator(".fault")).to_contain_text("为何驳回")
    support.fill("[name=note]", "当天会议室维护")
    support.get_by_role("button", name="确认驳回").click()
    expect(support.locator(".banner.good")).to_contain_text("已驳回")
    [record] = stack.login("booker", "hopes").mine()
    assert (record["state"], record["note"]) == ("RESERVATION_STATE_DECLINED", "当天会议室维护")


def test_pages_without_a_page_look_like_the_others(visitor: Visitor) -> None:
    """Header, navigation for who is signed in, language, theme."""
    page = visitor.open("lost", theme="dark", language="en")
    page.goto("/no/such/page")
    framed(page, "There is no such page")
    expect(page.locator("nav.side a").first).to_be_visible()
    stranger = visitor.open("", theme="dark")
    stranger.goto("/no/such/page")
    framed(stranger, "没有这个页面")
    expect(stranger.locator("nav.side")).to_have_count(0)
    stranger.get_by_role("link", name="English").click()
    framed(stranger, "There is no such page")


def framed(page: Page, title: str) -> None:
    expect(page.locator("header.top .brand")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("main h1")).to_have_text(title)


def test_one_no_show_of_two_is_one_of_two(stack: Stack, visitor: Visitor) -> None:
    """At home and in one's standing; the limit is the policy's. Last, for it moves the clock."""
    stack.login("booker", "absent").reserve("2025-07-07 13:00")
    page = visitor.open("absent")
    for path in ("/", "/standing"):
        page.goto(path)
        expect(page.locator(".quota", has_text="未参会违约")).to_contain_text("0/2")
    stack.yunhui("clock", "set", "2025-07-07 13:40")
    wait_for(lambda: stack.login("booker", "absent").yunhui("quota").answer["standing"].get("violations"))
    for path in ("/", "/standing"):
        page.goto(path)
        expect(page.locator(".quota", has_text="未参会违约")).to_contain_text("1/2")
