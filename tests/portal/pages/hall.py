"""A running meeting with people in it, and an administrator without JavaScript before its page."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from tests.portal.pages.desk import Desk
from tests.system.stack import Stack, wait_for

PEOPLE = {"li.wei": "李伟", "wang.fang": "王芳", "zhao.min": "赵敏"}
"""Who is inside at first; one of them made it."""
HOST = "li.wei"


@dataclass(frozen=True, slots=True)
class Hall:
    """One meeting, by its number; `address` is that of its page."""

    stack: Stack
    code: str
    address: str

    def play(self, act: str, who: str, *more: str) -> None:
        """What somebody does in the meeting client."""
        said = self.stack.login("booker", who).yunhui("simulate", act, self.code, *more)
        assert said.code == 0, said.out + said.err

    def query(self) -> str:
        return self.address.partition("?")[2]

    def to(self, part: str) -> str:
        return f"/console/meeting/{part}?{self.query()}"


def make(stack: Stack, start: str, subject: str, host: str = HOST, minutes: int = 90) -> str:
    """The number of a meeting."""
    figures = ("--start", start, "--minutes", str(minutes), "--subject", subject)
    made = stack.login("booker", host).yunhui("simulate", "meeting", *figures)
    return str(made.answer["meeting"]["meetingCode"])


def open_hall(stack: Stack, desk: Desk, subject: str, *, people: int = 0) -> Hall:
    """With PEOPLE inside, or so many who are invented."""
    code = make(stack, "2025-07-07 08:00", subject)
    if people:
        said = stack.login("booker", HOST).yunhui("simulate", "populate", code, "--people", str(people))
        assert said.code == 0, said.out + said.err
    else:
        for who, name in PEOPLE.items():
            entered = stack.login("booker", who).yunhui("simulate", "enter", code, "--name", name)
            assert entered.code == 0, entered.out + entered.err
    hall = Hall(stack, code, wait_for(lambda: listed(desk, subject)))
    wait_for(lambda: people or set(PEOPLE.values()) <= set(inside(desk.text(hall.address))))
    return hall


def listed(desk: Desk, subject: str, phase: str = "running") -> str:
    """The address of the meeting's page, once it is in the list; "" before."""
    page = desk.get(f"/console/meetings?phase={phase}")
    return addresses(page.text).get(subject, "")


def addresses(page: str) -> dict[str, str]:
    """Of meetings by their subjects."""
    found = re.findall(r'<a href="(/(?:console|meetings)/meeting\?[^"]*)">([^<]*)</a>', page)
    return {html.unescape(subject): html.unescape(address) for address, subject in found}


def inside(page: str) -> dict[str, str]:
    """Who is inside, and what is said of each."""
    table = re.search(r'<table class="listing inside">(.*?)</table>', page, re.S)
    rows = re.findall(r"<tr><td><bdi>(.*?)</bdi>(.*?)</tr>", table[1] if table else "", re.S)
    return {html.unescape(name): " ".join(re.sub(r"<[^>]*>", " ", rest).split()) for name, rest in rows}


def waiting(page: str) -> list[str]:
    part = page.partition('id="waiting"')[2].partition("</section>")[0]
    return re.findall(r"<bdi>(.*?)</bdi>", part)


def banners(page: str) -> list[str]:
    """What is said of what was just done."""
    found = re.findall(r'<div class="banner (\w+)" role="status">(.*?)</div>', page, re.S)
    return [f"{tone}: {' '.join(re.sub('<[^>]*>', ' ', text).split())}" for tone, text in found]


def acts(page: str) -> list[str]:
    """The list of what was done, the newest first."""
    part = page.partition('id="acts"')[2].partition("</section>")[0]
    return [" ".join(re.sub("<[^>]*>", "", each).split()) for each in re.findall(r"<div><p>(.*?)</p>", part, re.S)]


def form_at(page: str, action: str) -> dict[str, str | list[str]]:
    """The hidden fields of the first form that is sent to this address."""
    for head, body in re.findall(r"<form ([^>]*)>(.*?)</form>", page, re.S):
        if f'action="{html.escape(action)}"' in head:
            tags = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', body)
            return {name: html.unescape(value) for name, value in tags}
    raise AssertionError(f"no form for {action}: {page}")


def value_of(page: str, name: str) -> str:
    """What the menu's button of somebody sends."""
    row = re.search(rf"<tr><td><bdi>{re.escape(name)}</bdi>.*?</tr>", page, re.S)
    assert row, f"{name} is not inside"
    found = re.search(r'name="person" value="([^"]*)"', row[0])
    assert found, row[0]
    return html.unescape(found[1])


def once(desk: Desk, path: str, wanted: Callable[[str], object]) -> str:
    """The page as soon as it is as wanted."""

    def look() -> str:
        page = desk.get(path).text
        return page if wanted(page) else ""

    return wait_for(look)


def press(desk: Desk, hall: Hall, name: str, act: str, **typed: str) -> httpx2.Response:
    """A button in somebody's menu; what the answer leads to."""
    value = value_of(desk.text(hall.address), name)
    menu = desk.text(f"{hall.to('person')}&person={value}")
    assert f'value="{act}"' in menu, menu
    sent = desk.send(hall.to("person"), {**form_at(menu, hall.to("person")), "act": act, **typed})
    return follow(desk, sent)


def order(desk: Desk, hall: Hall, part: str, **typed: str) -> httpx2.Response:
    """A form of the meeting's page, or of a page below it."""
    page = desk.text(hall.address if part in ("waiting", "settings") else hall.to(part))
    return follow(desk, desk.send(hall.to(part), {**form_at(page, hall.to(part)), **typed}))


def follow(desk: Desk, sent: httpx2.Response) -> httpx2.Response:
    assert sent.status_code == 303, sent.text
    return desk.get(str(sent.headers["location"]))
