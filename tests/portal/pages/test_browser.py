"""The tutorial's story in a real browser: by mouse, by keyboard, without JavaScript, by two people at once."""

import os
import re
import signal

import pytest
from playwright.sync_api import Page, expect

from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack

pytestmark = pytest.mark.system

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"


def meeting(stack: Stack, name: str, start: str, minutes: int = 60, subject: str = "组会") -> str:
    said = stack.login("booker", name).yunhui(
        "simulate", "meeting", "--start", start, "--minutes", str(minutes), "--subject", subject
    )
    return str(said.answer["meeting"]["meetingCode"])


def test_the_tutorial_by_mouse(stack: Stack, visitor: Visitor) -> None:
    """Number, meeting card, rules that follow what is typed, result, my reservations, cancelled, taken back."""
    code = meeting(stack, "mouse", "2025-07-08 10:00")
    page = visitor.open("mouse")
    page.goto("/")
    page.fill("#code", f"会议号：{code[:3]}-{code[3:6]}-{code[6:]}")
    page.get_by_role("button", name="查询").click()
    expect(page.locator(".meeting")).to_contain_text("组会")
    page.fill("[name=people]", "2")
    expect(page.locator(".outcome")).to_have_text(re.compile("个人免费版"))
    page.fill("[name=people]", "120")
    expect(page.locator(".outcome")).to_have_text(re.compile("技术支持"))
    page.fill("[name=people]", "12")
    expect(page.locator(".outcome")).to_have_text(re.compile("可以预定"))
    expect(page.locator("#verdict .rules li.good")).to_have_count(13)
    page.get_by_role("button", name="确认预定").click()
    expect(page.locator(".banner.good")).to_contain_text("预定成功")
    expect(page.locator(".note")).to_contain_text("10:30")
    page.get_by_role("link", name="我的预约").click()
    page.get_by_role("link", name=re.compile("取消预定")).click()
    expect(page.locator(".note.good")).to_contain_text("次数会退回")
    page.get_by_role("button", name="取消预定").click()
    expect(page.locator(".banner.good")).to_contain_text("次数已退回")
    page.get_by_role("button", name="撤回取消").click()
    expect(page.locator(".banner.good")).to_contain_text("预定成功")
    states = [record["state"] for record in stack.login("booker", "mouse").mine()]
    assert sorted(states) == ["RESERVATION_STATE_CANCELLED", "RESERVATION_STATE_CONFIRMED"]


@pytest.mark.long
def test_the_tutorial_by_keyboard(stack: Stack, visitor: Visitor) -> None:
    """Tab and Enter alone; the focus is always to be seen."""
    code = meeting(stack, "keys", "2025-07-08 12:00")
    page = visitor.open("keys")
    page.goto("/")
    page.keyboard.type(code)  # the field has the focus
    page.keyboard.press("Enter")
    expect(page.locator("#booking")).to_be_visible()
    page.keyboard.type("12")
    expect(page.locator(".outcome.good")).to_be_visible()
    tab_to(page, "确认预定")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator(".banner.good")).to_contain_text("预定成功")
    tab_to(page, "取消预定")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("确定取消预定？")
    tab_to(page, "取消预定")
    page.keyboard.press("Enter")
    expect(page.locator(".banner.good")).to_contain_text("次数已退回")


def tab_to(page: Page, name: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if name in str(page.evaluate("document.activeElement.textContent")):
            return
    raise AssertionError(f"the keyboard does not get to {name}")


def test_the_tutorial_without_javascript(stack: Stack, visitor: Visitor) -> None:
    """The rules come by a button of their own."""
    code = meeting(stack, "plain", "2025-07-08 14:00")
    page = visitor.open("plain", java_script_enabled=False)
    page.goto("/")
    page.fill("#code", code)
    page.get_by_role("button", name="查询").click()
    page.fill("[name=people]", "12")
    page.get_by_role("button", name="核对规则").click()
    expect(page.locator(".outcome.good")).to_be_visible()
    page.get_by_role("button", name="确认预定").click()
    expect(page.locator(".banner.good")).to_contain_text("预定成功")
    page.get_by_role("link", name="更改").click()
    page.fill("[name=people]", "20")
    page.get_by_role("button", name="更改").click()
    expect(page.locator(".banner.good")).to_contain_text("已更改")


def test_a_refusal_says_why_and_an_alternative_is_one_click(stack: Stack, visitor: Visitor) -> None:
    """The fourth of a day: every rule, the person's figures, other times; one of them after the meeting was moved."""
    booker = stack.login("booker", "fourth")
    for start in ("09:00", "10:00", "11:00"):
        booker.reserve(f"2025-07-09 {start}")
    code = meeting(stack, "fourth", "2025-07-09 15:00")
    page = visitor.open("fourth")
    page.goto(f"/book?meeting_code={code}&people=12")
    page.get_by_role("button", name="确认预定").click()
    expect(page.locator(".banner.bad")).to_contain_text("未能预定")
    expect(page.locator(".rules .bad")).to_contain_text("每天最多 3 次")
    expect(page.locator(".rules .bad")).to_contain_text("3 / 3")
    expect(page.locator(".offer")).to_have_count(3)
    page.locator(".offer").first.click()
    expect(page.locator(".banner.bad")).to_contain_text("会议不在这个时间召开")
    moved = page.locator("[name=day]").input_value()
    booker.yunhui("simulate", "move", code, "--start", f"{moved} 15:00")
    page.get_by_role("button", name="确认预定").click()
    expect(page.locator(".banner.good")).to_contain_text("预定成功")


def test_support_approves_and_the_booker_sees_it_at_once(stack: Stack, visitor: Visitor) -> None:
    """Two browsers: the page of the booker follows without being touched."""
    code = meeting(stack, "large", "2025-07-10 10:00")
    booker = visitor.open("large")
    booker.goto(f"/book?meeting_code={code}&people=150")
    booker.get_by_role("button", name="确认预定").click()
    expect(booker.locator(".banner.wait")).to_contain_text("预约编号")
    with booker.expect_request("**/live"):
        booker.goto(booker.url.partition("?")[0])
    support = visitor.open("lin", "support")
    support.goto("/support")
    case = support.locator(".case", has_text=code[:3])
    case.locator("textarea").fill("欢迎")
    case.get_by_role("button", name="批准").click()
    expect(support.locator(".banner.good")).to_contain_text("已批准")
    expect(booker.locator(".title .badge")).to_have_text("已预定")


def test_two_people_want_the_last_room(stack: Stack, visitor: Visitor) -> None:
    """Both saw it free, one gets it; whoever looks at the time line sees it taken without touching anything."""
    codes = {name: meeting(stack, name, "2025-07-11 10:00") for name in ("first", "second")}
    pages = {name: visitor.open(name) for name in codes}
    for name, page in pages.items():
        page.goto(f"/book?meeting_code={codes[name]}&people=200")
        page.fill("[name=people]", "99")
        page.locator("[name=room_id]").select_option("room-99-a")
        expect(page.locator(".outcome.good")).to_contain_text("99-A")
    watcher = visitor.open("watcher")
    watcher.goto("/rooms?day=2025-07-11")
    expect(watcher.locator(".slot.taken")).to_have_count(0)
    pages["first"].get_by_role("button", name="确认预定").click()
    expect(pages["first"].locator(".banner.good")).to_contain_text("99-A")
    expect(watcher.locator(".slot.taken")).to_have_count(2)
    pages["second"].get_by_role("button", name="确认预定").click()
    expect(pages["second"].locator(".banner.bad")).to_contain_text("未能预定")


def test_a_double_click_reserves_once(stack: Stack, visitor: Visitor) -> None:
    """The second click does nothing."""
    code = meeting(stack, "hasty", "2025-07-08 17:00")
    page = visitor.open("hasty")
    page.goto(f"/book?meeting_code={code}&people=12")
    page.get_by_role("button", name="确认预定").dblclick()
    expect(page.locator(".banner.good")).to_contain_text("预定成功")
    assert len(stack.login("booker", "hasty").mine()) == 1


@pytest.mark.long
def test_hostile_words_are_only_words(stack: Stack, visitor: Visitor) -> None:
    """As the subject of a meeting and as a name, on every page that shows them; no script runs, nothing is blocked."""
    code = meeting(stack, "hostile", "2025-07-09 09:00", subject=HOSTILE)
    page = visitor.open("hostile", shown=HOSTILE)
    page.goto(f"/book?meeting_code={code}&people=120")
    expect(page.locator(".meeting h2")).to_have_text(HOSTILE)
    page.get_by_role("button", name="确认预定").click()
    expect(page.locator("h1")).to_have_text(HOSTILE)
    for path in ("/", "/reservations", page.url + "/cancel", page.url + "/change", "/standing", "/settings"):
        page.goto(path.replace("?new=1", ""))
        expect(page.locator(".who .name")).to_have_text(HOSTILE)
    support = visitor.open("lin", "support")
    support.goto("/support")
    expect(support.locator(".case h3", has_text="script")).to_have_text(HOSTILE)


def test_a_service_that_is_away_loses_nothing(stack: Stack, visitor: Visitor) -> None:
    """The page says so, keeps what was typed, and sends it again by itself: one reservation."""
    code = meeting(stack, "patient", "2025-07-08 18:00")
    page = visitor.open("patient")
    page.goto(f"/book?meeting_code={code}&people=12")
    os.kill(stack.pids["booking"], signal.SIGKILL)
    page.get_by_role("button", name="确认预定").click()
    expect(page.locator(".banner.wait h1")).to_contain_text("暂时不可用")
    expect(page.locator(".banner.good")).to_contain_text("预定成功")
    assert len(stack.login("booker", "patient").mine()) == 1
