"""A reservation's page tells what happened and what was mailed; the calendar feed serves whoever has its address."""

import mailbox
import re
from email.message import Message
from urllib.parse import urlsplit

import httpx2
import pytest
from icalendar import Calendar
from playwright.sync_api import expect

from tests.portal.pages.serving import Portal
from tests.portal.pages.test_pages import Looking
from tests.portal.pages.test_sight import LOOKS, look
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack, wait_for

pytestmark = pytest.mark.system

CALENDAR_PATH = re.compile(r'value="http[^"]*(/calendar/[A-Za-z0-9_-]{43}\.ics)"')


@pytest.fixture(scope="module")
def story(stack: Stack) -> str:
    """Where the page is: made, changed and cancelled, each with its mail."""
    person = stack.login("booker", "storied")
    made = person.reserve("2025-07-10 09:00").answer["reservation"]["reservationId"]
    assert person.yunhui("change", made, "--people", "20").code == 0
    assert person.yunhui("cancel", made, "--note", "it rains").code == 0
    wait_for(lambda: len(invitations(stack, "storied")) == 3)
    return f"/reservations/{made}"


def invitations(stack: Stack, name: str) -> list[Calendar]:
    """The calendar parts of the mails to somebody, in the order of their SEQUENCE."""
    found = [
        part for each in mailbox.Maildir(stack.state / "mail", create=False) for part in calendar_parts(each, name)
    ]
    return sorted(found, key=lambda each: str(each.events[0]["sequence"]))


def calendar_parts(mail: Message, name: str) -> list[Calendar]:
    if f"{name}@" not in str(mail["to"]):
        return []
    parts = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    return [Calendar.from_ical(part.get_payload(decode=True)) for part in parts]  # type: ignore[arg-type] # bytes


def lines(page: str) -> list[str]:
    """The words of each line of the history."""
    [shown] = re.findall(r'<ol class="history">(.*?)</ol>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", each).split()) for each in shown.split('<span class="at">')[1:]]


def test_the_page_tells_every_event_with_who_and_what(
    story: str, stack: Stack, portal: Portal, client: httpx2.Client
) -> None:
    """In words and in order, with the zone; the note stands where it was given, and nowhere else."""
    first, second, third = lines(Looking(portal, client, "storied").get(story).text)
    assert "a room is held" in first
    assert "by storied" in first
    assert "(Beijing time)" in first
    assert "was changed" in second
    assert "People 12 → 20" in second
    assert "It was cancelled" in third
    assert "it rains" in third
    assert "it rains" not in first + second
    assert lines(Looking(portal, client, "lin", "support").get(story).text) == [first, second, third]


def test_a_no_show_is_told_with_its_rules(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """By the system; the figures that it rests on are one click away."""
    person = stack.login("booker", "absent-one")
    made = person.reserve("2025-07-07 22:00").answer["reservation"]["reservationId"]
    stack.yunhui("clock", "set", "2025-07-07 23:00")
    wait_for(lambda: person.yunhui("quota").answer["standing"].get("violations"))
    told = lines(Looking(portal, client, "absent-one").get(f"/reservations/{made}").text)
    [violation] = [each for each in told if "A violation was recorded" in each]
    assert "by the system" in violation
    assert "Nobody had entered 30 minutes after the start" in violation


def test_the_booker_sees_the_mails_to_oneself(story: str, portal: Portal, client: httpx2.Client) -> None:
    page = Looking(portal, client, "storied").get(story).text
    table = page[page.index("Mails sent") :]
    for words in ("A reservation is confirmed", "A reservation was changed", "The reservation was cancelled", "Sent"):
        assert words in table
    assert "s***@" in table
    assert "storied@" not in table


def made_feed(portal: Portal, client: httpx2.Client, name: str) -> str:
    looking = Looking(portal, client, name)
    [path] = CALENDAR_PATH.findall(looking.post("/settings/calendar", looking.get("/settings").text).text)
    return str(path)


def test_the_feed_holds_the_entries_of_the_mails(
    story: str, stack: Stack, portal: Portal, client: httpx2.Client
) -> None:
    """Without a session; the same UID and SEQUENCE as the last mail, so that no calendar shows it twice."""
    answer = client.get(made_feed(portal, client, "storied"))
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["cache-control"].startswith("private")
    [event] = Calendar.from_ical(answer.content).events
    [mailed] = invitations(stack, "storied")[-1].events
    assert (event["uid"], event["sequence"]) == (mailed["uid"], mailed["sequence"])
    assert (event["status"], event["sequence"]) == ("CANCELLED", 2)
    assert (event.start, event["summary"]) == (mailed.start, "组会")
    [file] = Calendar.from_ical(Looking(portal, client, "storied").get(f"{story}/calendar.ics").content).events
    assert file["uid"] == mailed["uid"]


def test_an_unchanged_feed_is_not_sent_again(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    path = made_feed(portal, client, "unchanged")
    tag = client.get(path).headers["etag"]
    for asked in (tag, f'W/{tag}, "other"', "*"):
        again = client.get(path, headers={"if-none-match": asked})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    stack.login("booker", "unchanged").reserve("2025-07-10 12:00")
    changed = client.get(path, headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_what_opens_nothing_is_one_answer(portal: Portal, client: httpx2.Client) -> None:
    """Never made, no secret at all, replaced, removed."""
    looking = Looking(portal, client, "careful")
    replaced = made_feed(portal, client, "careful")
    current = made_feed(portal, client, "careful")
    assert client.get(current).status_code == 200
    assert current not in looking.get("/settings").text
    assert looking.post("/settings/calendar/remove", looking.get("/settings").text).status_code == 303
    absent = f"/calendar/{'A' * 43}.ics"
    answers = [client.get(path) for path in (absent, "/calendar/x.ics", replaced, current)]
    assert {(each.status_code, each.text, each.headers["cache-control"]) for each in answers} == {
        (404, "There is no such calendar.\n", "no-store")
    }


def test_whoever_asks_too_often_waits_and_nobody_else_does(portal: Portal, client: httpx2.Client) -> None:
    eager, other = made_feed(portal, client, "eager"), made_feed(portal, client, "calm")
    codes = [client.get(eager).status_code for _ in range(40)]
    assert codes.count(200) >= 30
    assert codes[-1] == 429
    assert client.get(eager).headers["retry-after"]
    assert client.get(other).status_code == 200


def test_a_feed_is_made_and_removed_by_forms_of_ours_only(portal: Portal, client: httpx2.Client) -> None:
    looking = Looking(portal, client, "forged")
    for path in ("/settings/calendar", "/settings/calendar/remove"):
        assert looking.post(path, "no token").status_code == 403
        assert client.post(path).status_code in (303, 403)


def test_the_secret_is_in_no_log(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    path = made_feed(portal, client, "logged")
    client.get(path)
    secret = path.removeprefix("/calendar/").removesuffix(".ics")
    kept = [each for each in stack.state.rglob("*") if each.is_file()]
    assert any(each.suffix == ".log" for each in kept)
    assert [str(each) for each in kept if secret.encode() in each.read_bytes()] == []


@pytest.mark.parametrize("script", [True, False])
def test_the_address_is_shown_once_and_can_be_copied(visitor: Visitor, script: bool) -> None:
    """Without JavaScript by hand."""
    page = visitor.open("copies", language="en", width=360, java_script_enabled=script)
    page.goto("/settings")
    page.get_by_role("button", name="Make").click()
    address = page.get_by_label("Address of the calendar").input_value()
    assert urlsplit(address).path.startswith("/calendar/")
    if script:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == address
        look(page, "settings-feed", with_axe=True)
    else:
        expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    assert page.request.get(address).status == 200
    page.goto("/settings")
    expect(page.get_by_label("Address of the calendar")).to_have_count(0)
    page.get_by_role("button", name="Remove").click()
    assert page.request.get(address).status == 404


@pytest.mark.parametrize(
    ("language", "theme", "width"), [LOOKS[0], *(pytest.param(*each, marks=pytest.mark.long) for each in LOOKS[1:])]
)
def test_the_history_can_be_read_by_everybody(
    story: str, visitor: Visitor, language: str, theme: str, width: int
) -> None:
    """On a phone, in both themes; on paper too."""
    page = visitor.open("storied", language=language, theme=theme, width=width)
    page.goto(story)
    expect(page.locator(".history li")).to_have_count(3)
    look(page, f"history-{language}-{theme}-{width}", with_axe=True)
    page.emulate_media(media="print")
    expect(page.locator(".history li").first).to_be_visible()
