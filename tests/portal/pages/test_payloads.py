"""Sixty hostile texts as subject, name and note, on every page, in mails and calendar files, in a browser."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx2
import pytest
from icalendar import Calendar
from playwright.sync_api import Browser, Page

from services.cli.mail import read_all
from tests.patience import PATIENCE_SECONDS
from tests.portal.pages.payloads import PAYLOADS
from tests.portal.pages.serving import COOKIE, Portal
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack, wait_for

pytestmark = [pytest.mark.system, pytest.mark.long]

INNOCENT = "innocent"
LONGEST_SUBJECT = 200
TYPED = {"day": "2025-07-10", "start": "10:00", "end": "11:00", "people": "120", "room_id": ""}
PROPERTIES = {"UID", "SEQUENCE", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "STATUS", "LOCATION", "TRANSP"}
TRAP = """
window.__stopped = [];
document.addEventListener("securitypolicyviolation", event => window.__stopped.push(event.violatedDirective));
"""
TAGS = "[...document.querySelectorAll('*')].map(each => each.localName + [...each.attributes].map(a => a.name)).join()"


@dataclass
class Person:
    """Who has the payload as name, and as subject of an escalated reservation that was declined with it as note.

    Nobody signs in with a name that has control characters: there it is the text of the payload.
    """

    payload: str
    account: str
    code: str = ""
    reservation: str = ""
    client: httpx2.Client = field(default_factory=httpx2.Client)

    @property
    def text(self) -> str:
        """What a form keeps of it."""
        return " ".join(self.payload.split())[:LONGEST_SUBJECT].strip()

    @property
    def name(self) -> str:
        return self.text if any(unicodedata.category(each) == "Cc" for each in self.payload) else self.payload[:500]


@pytest.fixture(scope="module")
def people(stack: Stack, portal: Portal) -> Iterator[list[Person]]:
    made = [Person(payload, f"person-{number}") for number, payload in enumerate((INNOCENT, *PAYLOADS))]
    for person in made:
        session = portal.sign_in(person.account, "booker", person.name)
        cookies = {COOKIE: session, "language": "en"}
        person.client = httpx2.Client(base_url=portal.address, cookies=cookies, timeout=PATIENCE_SECONDS)
        reserve(stack, person)
    yield made
    for person in made:
        person.client.close()


def reserve(stack: Stack, person: Person) -> None:
    """As subject of the meeting too, where the gateway takes it: it refuses what no line of text can be."""
    subject = person.text if person.text.isprintable() else "meeting"
    booker = stack.login("booker", person.account)
    said = booker.yunhui(
        "simulate", "meeting", "--start", "2025-07-10 10:00", "--minutes", "60", f"--subject={subject}"
    )
    assert said.code == 0, (person.payload, said.err)
    person.code = said.answer["meeting"]["meetingCode"]
    form = person.client.get(f"/book?meeting_code={person.code}").text
    answer = person.client.post("/book", data={**hidden(form), **TYPED, "subject": person.text})
    if answer.status_code != 303:  # refused as a text, with the form again: then with what is a text
        assert answer.status_code in (409, 422), (person.payload, answer.text)
        answer = person.client.post("/book", data={**hidden(form), **TYPED, "subject": "meeting"})
    person.reservation = answer.headers["location"].partition("?")[0]


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(csrf_token|nonce|meeting_code)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


@pytest.fixture
def trapped(portal: Portal, browser: Browser) -> Iterator[Visitor]:
    """Nothing may run, be blocked, or be asked of another site."""
    visitor = Visitor(portal, browser)
    yield visitor
    visitor.close()
    assert visitor.complaints == []


def open_page(visitor: Visitor, portal: Portal, person: Person) -> Page:
    page = visitor.open(person.account, shown=person.name, language="en")
    return guard(page, visitor, portal.address)


def become(page: Page, portal: Portal, person: Person) -> None:
    """Signed in as another, in the same window: a new one costs as much as a dozen pages."""
    session = portal.sign_in(person.account, shown=person.name)
    page.context.add_cookies([{"name": COOKIE, "value": session, "url": portal.address}])


def guard(page: Page, visitor: Visitor, address: str) -> Page:
    def note(request: Any) -> None:
        if not request.url.startswith((address, "data:", "about:")):
            visitor.complaints.append(request.url)

    page.add_init_script(TRAP)
    page.on("request", note)
    return page


def structure(page: Page) -> str:
    """The page's elements with their attributes; fails when something ran or was stopped."""
    assert page.evaluate("window.__owned") is None
    assert page.evaluate("window.__stopped || []") == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    return str(page.evaluate(TAGS))


def test_on_the_pages_of_whoever_typed_it(portal: Portal, people: list[Person], trapped: Visitor) -> None:
    """Each page has the same elements as with an innocent word: nothing that was typed became one."""
    seen: dict[str, str] = {}
    page = open_page(trapped, portal, people[0])
    for person in people:
        become(page, portal, person)
        for name, path in pages(person).items():
            page.goto(path)
            shown = structure(page)
            assert shown == seen.setdefault(name, shown), (name, person.payload)


def pages(person: Person) -> dict[str, str]:
    one = person.reservation
    book = f"/book?meeting_code={person.code}"
    return {"book": book, "all": "/reservations", "one": one, "cancel": f"{one}/cancel", "change": f"{one}/change"}


def test_before_support_and_in_what_support_says(portal: Portal, people: list[Person], trapped: Visitor) -> None:
    """Page after page of cases: each is declined with its payload as note, which the booker reads."""
    support = guard(trapped.open("lin", "support", language="en"), trapped, portal.address)
    asked = {escalation(person): person for person in people}
    inside: set[str] = set()
    while asked:
        support.goto("/support")
        structure(support)
        inside.update(support.eval_on_selector_all("article.case", INSIDE))
        shown = support.eval_on_selector_all("article.case form", "all => all.map(each => each.getAttribute('action'))")
        assert shown
        decline(portal, [asked.pop(each) for each in shown])
    assert len(inside) == 1
    seen = ""
    page = open_page(trapped, portal, people[0])
    for person in people:
        become(page, portal, person)
        page.goto(person.reservation)
        shown = structure(page)
        seen = seen or shown
        assert shown == seen, person.payload


INSIDE = """all => all.map(each => [...each.querySelectorAll('*')]
    .map(one => one.localName + [...one.attributes].map(a => a.name)).join())"""


def escalation(person: Person) -> str:
    return person.reservation.replace("/reservations/", "/support/escalations/")


def decline(portal: Portal, people: list[Person]) -> None:
    cookies = {COOKIE: portal.sign_in("lin", "support"), "language": "en"}
    with httpx2.Client(base_url=portal.address, cookies=cookies, timeout=PATIENCE_SECONDS) as client:
        form = hidden(client.get("/settings").text)
        for person in people:
            path, said = escalation(person), {**form, "answer": "decline", "sure": "1", "note": person.payload[:500]}
            if client.post(path, data=said).status_code != 303:  # refused as a text: then with what is one
                assert not person.text.isprintable(), person.payload
                assert client.post(path, data={**said, "note": "a note"}).status_code == 303, person.payload


def test_in_mails(stack: Stack, people: list[Person], browser: Browser) -> None:
    """The HTML of every mail so far: nothing runs, nothing is loaded, no element that mails do not have."""
    wait_for(lambda: len(read_all(stack.state / "mail")) >= len(people))
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    for mail in read_all(stack.state / "mail"):
        part = mail.message.get_body(("html",))
        assert part is not None
        page.set_content(str(part.get_content()))
        assert page.evaluate("window.__owned") is None
        assert page.locator("script, svg, img, iframe, form, input, object, embed, base, link").count() == 0
        assert page.evaluate(ODD) == []
        assert set(mail.message.keys()).isdisjoint({"Bcc", "Cc"})
    page.close()
    assert [each for each in asked if not each.startswith(("about:", "data:"))] == []


ODD = """[...document.querySelectorAll('*')].flatMap(each => [...each.attributes])
    .filter(a => /^on|hx-/.test(a.name) || /^\\s*javascript:/i.test(a.value)).map(a => a.name)"""


def test_in_calendar_files(people: list[Person]) -> None:
    """One event with its properties; the subject comes back as it was."""
    for person in people:
        answer = person.client.get(f"{person.reservation}/calendar.ics")
        made = Calendar.from_ical(answer.content)
        [event] = made.walk("VEVENT")
        assert {str(name) for name in event} <= PROPERTIES, person.payload
        assert set(made) == {"VERSION", "PRODID", "METHOD"}
        if person.text.isprintable():
            assert str(event["SUMMARY"]) in (person.text, "meeting")
