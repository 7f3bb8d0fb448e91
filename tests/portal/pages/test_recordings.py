"""Recordings on pages without JavaScript: listed, played, shared and deleted; one's own, and none of others."""

import csv
import html
import io
import json
import re

import httpx2
import pytest

from tests.portal.pages.desk import Desk
from tests.portal.pages.hall import HOST, acts, banners, follow, form_at, make, once
from tests.portal.pages.serving import Portal
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack, wait_for

pytestmark = pytest.mark.system

LISTED = re.compile(r'<a href="(/(?:console|meetings)/recording\?[^"]*)">([^<]*)</a>')


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> str:
    return f"Recording of {request.node.name}"[:90]


@pytest.fixture
def code(stack: Stack, subject: str) -> str:
    """A meeting of HOST, recorded in two files, and over; they are ready."""
    person = stack.login("booker", HOST)
    made = make(stack, "2025-07-07 08:00", subject)
    for act in ("enter", "record", "stop-recording", "record"):
        assert person.yunhui("simulate", act, made).code == 0
        stack.yunhui("clock", "advance", "1m")
    assert person.yunhui("simulate", "end", made).code == 0
    stack.yunhui("clock", "advance", "3m")
    return made


@pytest.fixture
def mine(portal: Portal, client: httpx2.Client) -> Desk:
    return Desk(portal, client, HOST, "booker")


def found(desk: Desk, path: str, subject: str) -> str:
    """The address of its page, as the list leads to it."""

    def look() -> str:
        page = desk.get(path).text
        return {html.unescape(name): html.unescape(address) for address, name in LISTED.findall(page)}.get(subject, "")

    return wait_for(look)


def below(address: str, act: str) -> str:
    path, _, query = address.partition("?")
    return f"{path}/{act}?{query}"


def test_it_is_listed_with_all_and_filtered(desk: Desk, code: str, subject: str) -> None:
    """By number, maker and time; and the same as a file."""
    address = found(desk, "/console/recordings", subject)
    page = desk.text(address)
    assert ("Ready" in page, f"{subject}" in page, 'class="count">2<' in page) == (True, True, True)
    assert subject in desk.text(f"/console/recordings?number={code}")
    assert subject in desk.text(f"/console/recordings?creator={HOST}&back=year")
    assert subject not in desk.text("/console/recordings?creator=nobody.at.all")
    assert subject not in desk.text("/console/recordings?number=999-999-998")
    table = list(csv.reader(io.StringIO(desk.text(f"/console/recordings.csv?number={code}").lstrip("\ufeff"))))
    assert (table[1][0], table[1][2], table[1][3]) == (subject, HOST, "Ready")


def test_the_page_of_a_meeting_leads_to_its_recordings(desk: Desk, mine: Desk, code: str, subject: str) -> None:
    for who, path in ((desk, "/console/meetings?phase=ended"), (mine, "/meetings?phase=ended")):
        once(who, path, lambda text: subject in text)
        address = re.search(rf'<a href="([^"]*)">{re.escape(subject)}</a>', who.text(path))
        assert address
        led = re.search(r'href="([^"]*recordings\?meeting=[^"]*)"', who.text(html.unescape(address[1])))
        assert led
        page = who.text(html.unescape(led[1]))
        assert [name for _, name in LISTED.findall(page)] == [subject]
        assert "Only of one meeting." in page


def test_links_are_made_anew_and_not_kept_by_the_browser(mine: Desk, code: str, subject: str) -> None:
    address = below(found(mine, "/meetings/recordings", subject), "links")
    links = [re.findall(r'href="(https://recordings[^"]*)"', mine.text(address)) for _ in range(2)]
    assert [len(each) for each in links] == [6, 6]
    assert not set(links[0]) & set(links[1])
    assert mine.get(address).headers["cache-control"] == "no-store"
    assert "noreferrer" in mine.text(address)


def test_who_may_see_it_is_said(mine: Desk, code: str, subject: str) -> None:
    """What is wrong stands beside its field, and what was typed is kept."""
    address = found(mine, "/meetings/recordings", subject)
    sharing = below(address, "sharing")
    for typed, field in (
        ({"password": "a b"}, "password"),
        ({"until": "2020-01-01"}, "until"),
        ({"until": "x"}, "until"),
    ):
        answer = mine.submit(sharing, audience="organization", **typed)
        assert (answer.status_code, f'id="fault-{field}"' in answer.text) == (422, True)
        assert 'value="organization" selected' in answer.text
    sent = mine.submit(
        sharing, audience="participants", password="abcd1", until="2025-07-09", may_download="on", reason="asked"
    )
    page = follow(mine, sent).text
    assert banners(page) == ["good: Say who may see it – Done."]
    assert "Those who were in the meeting" in page
    assert "asked" in page.partition('id="acts"')[2]
    assert 'value="2025-07-09"' in mine.text(sharing)
    links = mine.text(below(address, "links"))
    assert "abcd1" in links
    assert "/shared/" in links
    assert "abcd1" not in page + mine.text(sharing)


def test_one_file_and_then_all_is_deleted_after_a_second_look(desk: Desk, code: str, subject: str) -> None:
    """With why; the same form twice is one deletion; what is gone cannot be deleted again."""
    address = found(desk, "/console/recordings", subject)
    one = re.search(r'href="([^"]*delete[^"]*file=[^"]*)"', desk.text(address))
    assert one
    asked = desk.text(html.unescape(one[1]))
    assert "Delete this file for good?" in asked
    page = follow(desk, desk.submit(html.unescape(one[1]), reason="only the beginning")).text
    assert banners(page)[0].startswith("good: Delete · ")
    assert 'class="count">1<' in page
    whole = below(address, "delete")
    form = desk.text(whole)
    assert "cannot be brought back" in form
    fields = {**form_at(form, whole), "reason": "too old"}
    first, second = desk.send(whole, fields), desk.send(whole, fields)
    assert first.headers["location"] == second.headers["location"]
    page = follow(desk, first).text
    assert banners(page) == ["good: Delete – Done."]
    assert "deleted for good" in page
    assert len(acts(page)) == 2
    assert "Delete the recording" not in page.partition('id="acts"')[0]
    again = desk.send(whole, {**fields, "nonce": "another-nonce-1"})
    assert (again.status_code, "was deleted" in again.text) == (409, True)
    assert subject not in desk.text("/console/recordings")


def test_nobody_sees_anothers(
    portal: Portal, client: httpx2.Client, desk: Desk, mine: Desk, code: str, subject: str
) -> None:
    """Whoever sees all may not play, share or delete it without the permission, and is not offered it."""
    support = Desk(portal, client, "sue", "support")
    address = found(desk, "/console/recordings", subject)
    own = address.replace("/console/", "/meetings/")
    other = Desk(portal, client, "eve", "booker")
    assert subject not in other.text("/meetings/recordings")
    for act in ("", "links", "sharing", "delete"):
        path = below(own, act) if act else own
        assert other.get(path).status_code == 404
        assert other.get(below(address, act) if act else address).status_code == 403
    fields = {**form_at(mine.text(below(own, "delete")), below(own, "delete"))}
    token = re.search(r'name="csrf_token" value="([^"]*)"', other.text("/settings"))
    assert token
    assert other.send(below(own, "delete"), {**fields, "csrf_token": token[1]}).status_code == 404
    page = support.text(address)
    assert "you need the permission for it" in page
    assert "/links?" not in page
    assert support.get(below(address, "links")).status_code == 403


def test_what_is_not_ready_has_no_links(stack: Stack, desk: Desk, mine: Desk, subject: str) -> None:
    person, code = stack.login("booker", HOST), make(stack, "2025-07-07 08:00", subject)
    for act in ("enter", "record"):
        assert person.yunhui("simulate", act, code).code == 0
    address = found(mine, "/meetings/recordings", subject)
    assert "Being recorded" in mine.text(address)
    assert "This cannot be done" in mine.text(below(address, "delete"))
    assert person.yunhui("simulate", "end", code).code == 0
    assert "Being made ready" in mine.text(address)
    assert "not ready" in mine.text(below(address, "links"))


def test_the_command_line_does_the_same(stack: Stack, code: str, subject: str) -> None:
    """Table and JSON; what is not one's own is not there."""
    host, other = stack.login("booker", HOST), stack.login("booker", "eve")
    wait_for(lambda: subject in host.yunhui("recordings", "list", "--meeting", code).out)
    listed = json.loads(host.yunhui("recordings", "list", "--meeting", code, "--json").out)["recordings"]
    [recording] = [each["recordingId"] for each in listed]
    assert "2025" in host.yunhui("recordings", "show", recording).out
    assert "https://recordings" in host.yunhui("recordings", "links", recording).out
    shared = host.yunhui(
        "recordings", "share", recording, "organization", "--password", "abcd", "--until", "2025-07-20 10:00"
    )
    assert shared.code == 0, shared.err
    assert "abcd" in host.yunhui("recordings", "links", recording).out
    assert "abcd" not in host.yunhui("recordings", "show", recording).out
    for words in (
        ("show", recording),
        ("links", recording),
        ("delete", recording, "--yes"),
        ("share", recording, "anybody"),
    ):
        assert other.yunhui("recordings", *words).code == 4
    assert host.yunhui("recordings", "delete", recording).code == 2
    done = host.yunhui("recordings", "delete", recording, "--yes", "--reason", "too old", "--json")
    assert json.loads(done.out)["act"]["outcome"] == "CONTROL_OUTCOME_DONE"
    assert host.yunhui("recordings", "delete", recording, "--yes").code != 0
    assert "too old" in host.yunhui("recordings", "show", recording).out


def test_it_is_deleted_in_a_browser_without_script(visitor: Visitor, desk: Desk, code: str, subject: str) -> None:
    address = found(desk, "/console/recordings", subject)
    page = visitor.open("root", "admin", language="en", java_script_enabled=False)
    page.goto(address)
    page.get_by_role("link", name="Delete the recording").click()
    page.get_by_label("Why").fill("too old")
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_text("Delete – Done.").wait_for()
    assert "too old" in page.locator("#acts").inner_text()
