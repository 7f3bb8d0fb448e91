"""The meeting made here, in a browser: rules that follow what is typed, people who are found, one click too many."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.portal.pages.people import settle
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack

pytestmark = pytest.mark.system

DAY = "2025-07-08"
WORDS = {
    "zh-CN": {
        "way": "在这里新建会议",
        "make": "新建会议并预定",
        "personal": "个人免费版",
        "support": "技术支持",
        "fine": "可以预定",
    },
    "en": {
        "way": "Make the meeting here",
        "make": "Make the meeting and reserve the room",
        "personal": "personal free account",
        "support": "Support will decide",
        "fine": "Can be reserved",
    },
}


@pytest.fixture(scope="module", autouse=True)
def settled(stack: Stack) -> None:
    settle(stack.login("admin", "root"))


def fill(page: Page, subject: str, start: str = "10:00", end: str = "11:00", people: str = "12") -> None:
    typed = {"subject": subject, "day": DAY, "start": start, "end": end, "people": people}
    for name, value in typed.items():
        page.fill(f"[name={name}]", value)


@pytest.mark.parametrize(("language", "who"), [("zh-CN", "wang.fang"), ("en", "anna.meyer")])
def test_a_meeting_is_made_by_mouse(stack: Stack, visitor: Visitor, language: str, who: str) -> None:
    """Rules as one types, colleagues from the address book, the answer with number and invitation to be copied."""
    words, page = (
        WORDS[language],
        visitor.open(who, language=language, permissions=["clipboard-read", "clipboard-write"]),
    )
    page.goto("/")
    page.get_by_role("link", name=words["way"]).click()
    fill(page, "Kick-off", people="2")
    expect(page.locator(".outcome")).to_contain_text(words["personal"])
    page.fill("[name=people]", "120")
    expect(page.locator(".outcome")).to_contain_text(words["support"])
    page.fill("[name=people]", "12")
    expect(page.locator(".outcome")).to_contain_text(words["fine"])
    page.locator("details.more summary").click()
    page.fill("[name=find_invitee]", "liwei")
    page.keyboard.press("Enter")  # looks for people, and sends nothing
    page.locator("#found-invitee").get_by_text("李伟").click()
    expect(page.locator("fieldset.pick > .option [name=invitee]")).to_be_checked()
    page.fill("[name=find_host]", "zhaomin")
    page.locator("#found-host").get_by_text("赵敏").click()
    page.fill("[name=password]", "481526")
    assert page.url.endswith("/book/new")
    page.get_by_role("button", name=words["make"]).dblclick()
    expect(page.locator(".banner.good")).to_be_visible()
    assert "481526" not in page.url
    number = page.locator(".made .number .mono").inner_text()
    page.locator(".made .number [data-copy]").click()
    assert page.evaluate("navigator.clipboard.readText()") == number
    page.locator(".made summary").click()
    page.locator(".made details [data-copy]").click()
    assert number in page.evaluate("navigator.clipboard.readText()")
    expect(page.locator(".made a.button")).to_have_attribute("href", re.compile("^https://"))
    assert len(stack.login("booker", who).mine()) == 1


def test_a_fault_in_what_is_folded_unfolds_it(visitor: Visitor) -> None:
    """The field says what is wrong with it, and holds what was typed."""
    page = visitor.open("he.zhen")
    page.goto("/book/new")
    fill(page, "组会")
    page.locator("details.more summary").click()
    page.fill("[name=password]", "12")
    expect(page.locator("#verdict")).to_contain_text("4 至 6 位数字")
    page.locator("#booking > .actions .primary").click()
    expect(page.locator("#fault-password")).to_be_visible()
    expect(page.locator("[name=password]")).to_have_value("12")
    page.fill("[name=password]", "1234")
    page.locator("#booking > .actions .primary").click()
    expect(page.locator(".banner.good")).to_be_visible()


def test_another_time_is_one_click_and_its_meeting_is_made_then(stack: Stack, visitor: Visitor) -> None:
    booker = stack.login("booker", "fourth-here")
    for start in ("09:00", "10:00", "11:00"):
        booker.reserve(f"{DAY} {start}")
    page = visitor.open("fourth-here")
    page.goto("/book/new")
    fill(page, "第四个会", "15:00", "16:00")
    page.locator("#verdict .offer").first.click()
    expect(page.locator(".banner.good")).to_be_visible()
    expect(page.locator("h1")).to_have_text("第四个会")


def test_a_meeting_is_made_without_javascript(visitor: Visitor) -> None:
    page = visitor.open("plain-maker", java_script_enabled=False)
    page.goto("/book/new")
    fill(page, "组会")
    page.get_by_role("button", name="核对规则").click()
    expect(page.locator(".outcome.good")).to_be_visible()
    page.get_by_role("button", name=WORDS["zh-CN"]["make"]).click()
    expect(page.locator(".banner.good")).to_be_visible()
    page.get_by_role("link", name="取消预定").click()
    expect(page.locator(".note:not(.good)")).to_contain_text("会议将一并取消")
    page.get_by_role("button", name="取消预定").click()
    expect(page.locator(".banner.good")).to_contain_text("次数已退回")
