"""A field of a reservation travels: from the page and the command to the database, the event and the mail, and back."""

import json
import sqlite3
from pathlib import Path

import httpx2

from tests.portal.pages.serving import Portal
from tests.portal.pages.test_pages import Looking, form, made
from tests.system.stack import MONDAY, Stack, wait_for, yunhui

WORDS = "年度评审 <b>"


def test_it_travels(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state")
    stack.start("--clock", MONDAY)
    ada = stack.login("booker", "ada")
    portal = Portal(stack)
    with httpx2.Client(base_url=portal.address) as client:
        looking = Looking(portal, client, "ada")
        page = looking.get(f"/book?meeting_code={made(stack, 'ada', '2025-07-08 10:00')}").text
        assert 'name="purpose"' in page
        booked = looking.post("/book", page, **form(), purpose=WORDS, reserve="1").headers["location"]
        shown = looking.get(booked).text
        assert "年度评审 &lt;b&gt;" in shown
        looking.post(f"{booked.partition('?')[0]}/cancel", shown)
        assert 'name="purpose" value="年度评审 &lt;b&gt;"' in looking.get(booked).text  # to be booked once more
    typed = ada.yunhui("reserve", "--code", made(stack, "ada", "2025-07-09 10:00"), "--subject", "s", "--people", "12",
                       "--start", "2025-07-09 10:00", "--minutes", "60", "--purpose", WORDS)  # fmt: skip
    reservation_id = typed.answer["reservation"]["reservationId"]
    assert WORDS in yunhui("show", reservation_id, "--state", str(stack.state), YUNHUI_TOKEN=ada.token).out
    assert stored(stack, reservation_id) == WORDS
    assert WORDS in wait_for(lambda: mail(stack, WORDS))
    events = [json.loads(line) for line in stack.yunhui("events", "tail", "--no-follow", "--json").out.splitlines()]
    told = [each["data"]["reservation"]["purpose"] for each in events if each["subject"].endswith(".confirmed")]
    assert told == [WORDS, WORDS]
    stack.stop()


def stored(stack: Stack, reservation_id: str) -> str:
    with sqlite3.connect(stack.state / "booking.db") as database:
        query = "SELECT purpose FROM reservation WHERE reservation_id = ?"
        return str(database.execute(query, (reservation_id,)).fetchone()[0])


def mail(stack: Stack, words: str) -> str:
    """A mail that says them; "" so far."""
    from email import message_from_bytes, policy

    for file in (stack.state / "mail" / "new").iterdir():
        plain = message_from_bytes(file.read_bytes(), policy=policy.default).get_body(("plain",))
        if plain and words in (text := str(plain.get_content())):
            return text
    return ""
