"""Meetings in a browser: pages that follow what happens, a person's menu, what can be copied; without script, too."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.portal.pages.desk import Desk
from tests.portal.pages.hall import Hall, make, open_hall
from tests.portal.pages.people import settle
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack

pytestmark = pytest.mark.system


@pytest.fixture(scope="module", autouse=True)
def settled(stack: Stack) -> None:
    settle(stack.login("admin", "root"))


@pytest.fixture
def hall(stack: Stack, desk: Desk, request: pytest.FixtureRequest) -> Iterator[Hall]:
    opened = open_hall(stack, desk, f"Hall of {request.node.name}"[:90])
    yield opened
    stack.login("booker", "li.wei").yunhui("simulate", "end", opened.code)


def row(page: Page, name: str):  # type: ignore[no-untyped-def]
    return page.locator(".inside tbody tr", has_text=name)


def test_the_list_of_running_meetings_changes_while_it_is_looked_at(visitor: Visitor, stack: Stack, hall: Hall) -> None:
    """Without a fresh page; the focus stays where it is, and so does what is unfolded."""
    page = visitor.open("root", "admin")
    page.goto("/console/meetings")
    mine = page.locator("#rows tbody tr", has_text="Hall of test_the_list")
    expect(mine).to_contain_text(hall.code[:3])
    page.evaluate("window.untouched = true")
    page.locator("summary", has_text="显示列").click()
    mine.locator("a").focus()
    code = make(stack, "2025-07-07 08:00", "临时会议 live")
    stack.login("booker", "li.wei").yunhui("simulate", "enter", code)
    expect(page.locator("#rows tbody tr", has_text="临时会议 live")).to_be_visible()
    expect(mine.locator("a")).to_be_focused()
    expect(page.locator("details.chooser")).to_have_attribute("open", "")
    stack.login("booker", "li.wei").yunhui("simulate", "end", code)
    expect(page.locator("#rows tbody tr", has_text="临时会议 live")).to_have_count(0)
    assert page.evaluate("window.untouched")
    expect(page.locator("[data-lost]")).to_be_hidden()


def test_a_meeting_changes_while_it_is_looked_at(visitor: Visitor, hall: Hall) -> None:
    """Who comes, waits and goes, and what they turn on; when it ends the page becomes that of an ended one."""
    page = visitor.open("root", "admin")
    page.goto(hall.address)
    expect(page.locator(".inside tbody tr")).to_have_count(3)
    page.evaluate("window.untouched = true")
    page.locator("summary", has_text="更多设置").click()
    page.locator("[name=chat]").select_option("CHAT_HOSTS")
    row(page, "王芳").locator("button").focus()
    hall.play("camera", "wang.fang", "on")
    expect(row(page, "王芳").locator(".cam.on")).to_have_text("摄像头已打开")
    hall.play("enter", "zhou.yan")
    expect(row(page, "zhou.yan")).to_be_visible()
    hall.play("wait", "anna.meyer")
    expect(page.locator("#waiting")).to_contain_text("anna.meyer")
    hall.play("leave", "zhao.min")
    expect(row(page, "赵敏")).to_have_count(0)
    expect(page.locator("[name=chat]")).to_have_value("CHAT_HOSTS")
    expect(row(page, "王芳").locator("button")).to_be_focused()
    assert page.evaluate("window.untouched")
    hall.play("end", "li.wei")
    expect(page.locator("#stays")).to_be_visible()
    expect(page.locator("svg .stay").first).to_be_visible()


def test_the_menu_of_a_person_is_used_by_keyboard(visitor: Visitor, hall: Hall) -> None:
    """Opened in a dialog, closed again, and used; the answer is above, and has the focus."""
    page = visitor.open("root", "admin", language="en")
    page.goto(hall.address)
    menu = row(page, "王芳").locator("button")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_contain_text("王芳")
    expect(page.locator("dialog [value=mute]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(menu).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("dialog [name=reason]").first.fill("noise")
    page.keyboard.press("Enter")  # no button is meant by that
    expect(page.locator("dialog[open]")).to_be_visible()
    page.locator("dialog [value=mute]").click()
    expect(page.locator(".banner.good p").first).to_have_text("Microphone · 王芳 – Done.")
    expect(page.locator(".banner.good p").first).to_be_focused()
    expect(row(page, "王芳").locator(".mic.off")).to_have_text("Muted")
    expect(page.locator("#acts")).to_contain_text("noise")
    row(page, "王芳").locator("button").click()
    page.locator("dialog [name=display_name]").fill("Fang")
    page.keyboard.press("Enter")
    expect(row(page, "Fang")).to_be_visible()


def test_a_double_click_is_one_act(visitor: Visitor, hall: Hall) -> None:
    page = visitor.open("root", "admin", language="en")
    page.goto(hall.address)
    page.get_by_role("button", name="Mute all", exact=True).dblclick()
    expect(page.locator(".banner.good")).to_be_visible()
    expect(page.locator("#acts li")).to_have_count(1)
    page.reload()
    expect(page.locator("#acts li")).to_have_count(1)


def test_everything_goes_without_script(visitor: Visitor, hall: Hall) -> None:
    page = visitor.open("root", "admin", language="en", java_script_enabled=False)
    page.goto(hall.address)
    row(page, "赵敏").locator("button").click()
    expect(page.locator("h1")).to_have_text("赵敏")
    page.get_by_role("button", name="Make co-host").click()
    expect(page.locator(".banner.good")).to_contain_text("Co-host")
    expect(row(page, "赵敏")).to_contain_text("Co-host")
    page.get_by_role("button", name="Lock the meeting").click()
    expect(page.locator(".banner.good")).to_contain_text("Settings of the meeting changed")
    page.get_by_role("link", name="Invite members").click()
    page.locator("[name=find]").fill("anna")
    page.locator("noscript button, button[name=search]").first.click()
    page.get_by_label("Anna Meyer").check()
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.locator(".banner").first).to_contain_text("Invited")
    page.get_by_role("link", name="End the meeting").click()
    page.get_by_role("button", name="End the meeting").click()
    expect(page.locator(".banner.good")).to_contain_text("Meeting ended for everybody")


def test_members_to_be_invited_are_found_as_one_types(visitor: Visitor, hall: Hall) -> None:
    page = visitor.open("root", "admin")
    page.goto(hall.to("invite"))
    page.locator("[name=find]").press_sequentially("hepeng")
    page.get_by_label("何鹏").check()
    page.locator("[name=find]").fill("meyer")
    page.get_by_label("Anna Meyer").check()
    expect(page.get_by_label("何鹏")).to_be_checked()
    page.get_by_role("button", name="邀请", exact=True).click()
    expect(page.locator(".banner").first).to_contain_text("邀请成员")


def test_who_is_called_so_is_chosen_as_the_creator(visitor: Visitor, hall: Hall) -> None:
    """By name or pinyin, as one types."""
    page = visitor.open("root", "admin")
    page.goto("/console/meetings")
    page.locator("[name=creator]").press_sequentially("wangfang")
    expect(page.locator("#rows tbody tr")).to_have_count(0)
    page.locator("[name=creator]").fill("李伟")
    expect(page.locator("#rows tbody tr", has_text="Hall of")).to_be_visible()
    expect(page).to_have_url(re.compile(r"creator="))
    page.get_by_role("link", name="已结束").click()
    expect(page.locator("select[name=back]")).to_be_visible()
    expect(page.locator("[name=ahead]")).to_have_count(0)


def test_my_meetings_are_copied_and_lead_to_a_room(visitor: Visitor, hall: Hall, stack: Stack) -> None:
    page = visitor.open("li.wei", "booker", shown="李伟", permissions=["clipboard-read", "clipboard-write"])
    page.goto("/meetings?phase=running")
    card = page.locator("article", has_text="Hall of test_my_meetings")
    card.get_by_role("button", name="复制会议号").click()
    dashed = f"{hall.code[:3]}-{hall.code[3:6]}-{hall.code[6:]}"
    assert page.evaluate("navigator.clipboard.readText()") == dashed
    card.locator("summary").click()
    card.get_by_role("button", name="复制邀请").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"会议号：{dashed}" in copied
    assert "Hall of test_my_meetings" in copied
    card.get_by_role("link", name="预定会议室").click()
    expect(page).to_have_url(re.compile(rf"/book\?meeting_code={hall.code}"))
    page.goto("/meetings?phase=running")
    stack.login("booker", "li.wei").yunhui("simulate", "end", hall.code)
    expect(page.locator("article", has_text="Hall of test_my_meetings")).to_have_count(0)
    page.goto("/meetings?phase=ended")
    page.locator("article", has_text="Hall of test_my_meetings").get_by_role("link", name="参会明细").click()
    expect(page.locator("svg .stay")).to_have_count(3)


def test_a_stream_that_breaks_says_so(visitor: Visitor, hall: Hall) -> None:
    """What stands there is from before; when it is back, the words go."""
    page = visitor.open("root", "admin")
    page.route("**/live/meetings", lambda route: route.abort())
    page.goto("/console/meetings")
    expect(page.locator("[data-lost]")).to_be_visible()
