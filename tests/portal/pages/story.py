"""The tutorial's story, played in the browser with a picture of every step."""

import base64
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.portal.pages.scenery import Scenery
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack

WORDS = {
    "zh-CN": {
        "name": "陈晨",
        "subject": "分布式系统研讨会",
        "number": "粘贴腾讯会议的会议号，点“查询”。",
        "found": "云会找到会议，预留时间已按会议时间填好。",
        "two": "只有 2 人参加：建议使用个人免费版账号。",
        "hundred": "120 人参加：转技术支持人工处理。",
        "twelve": "12 人参加：每条规则都符合，显示会分到的会议室。",
        "reserved": "预定成功，日历邀请已发出；开始 30 分钟无人进入将自动释放。",
        "mine": "“我的预约”列出全部预约，可更改、取消。",
        "sure": "取消之前先说明后果：现在取消，次数退回。",
        "cancelled": "已取消，次数已退回；会议室仍空闲，可以撤回取消。",
    },
    "en": {
        "name": "Chen Chen",
        "subject": "Distributed systems seminar",
        "number": "Paste the number of the Tencent meeting and look it up.",
        "found": "The meeting is found; its own time is proposed.",
        "two": "Two people: the personal free account is enough.",
        "hundred": "A hundred and twenty: support decides.",
        "twelve": "Twelve: every rule is met, and the room that it would be is shown.",
        "reserved": "Reserved, with a calendar invitation. Nobody there after 30 minutes: the room is released.",
        "mine": "All reservations, each to be changed or cancelled.",
        "sure": "Before cancelling one reads what follows: now, the quota comes back.",
        "cancelled": "Cancelled, and the quota is back. The room is still free: it can be taken back.",
    },
}
QUALITY, HEIGHT, WIDTH = 45, 720, 1024


def tell(stack: Stack, visitor: Visitor, folder: Path, language: str) -> list[tuple[str, str]]:
    """The stills with their captions."""
    words, account = WORDS[language], f"chen.{language.lower()}"
    code = Scenery(stack).meeting(account, "2025-07-08 15:00", 60, words["subject"])
    page = visitor.open(account, shown=words["name"], language=language, width=WIDTH, reduced_motion="reduce")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    stills: list[tuple[str, str]] = []

    def still(step: str) -> None:
        file = f"story-{len(stills) + 1}.{language}.webp"
        devtools = page.context.new_cdp_session(page)
        taken = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
        (folder / file).write_bytes(base64.b64decode(taken["data"]))
        stills.append((file, words[step]))

    play(page, code, still)
    return stills


def play(page: Page, code: str, still: Callable[[str], None]) -> None:
    page.goto("/")
    page.fill("#code", f"{code[:3]}-{code[3:6]}-{code[6:]}")
    still("number")
    page.locator(".search button").click()
    expect(page.locator(".meeting")).to_be_visible()
    still("found")
    for people, tone, step in (("2", "away", "two"), ("120", "wait", "hundred"), ("12", "good", "twelve")):
        page.fill("[name=people]", people)
        expect(page.locator(f".outcome.{tone}")).to_be_visible()
        still(step)
    page.locator("[name=reserve]").click()
    expect(page.locator(".banner.good")).to_be_visible()
    still("reserved")
    page.locator(".side a[href='/reservations']").click()
    expect(page.locator("article.reservation, .reservation").first).to_be_visible()
    still("mine")
    page.locator("a[href$='/cancel']").first.click()
    still("sure")
    page.locator("main form[method=post] .danger, main form[method=post] .primary").first.click()
    expect(page.locator(".banner.good")).to_be_visible()
    still("cancelled")
