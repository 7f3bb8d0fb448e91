"""The meeting made here and its room reserved in one step, without JavaScript, in both languages."""

import html
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.portal.pages.desk import Desk, faults
from tests.portal.pages.hall import addresses
from tests.portal.pages.people import settle
from tests.portal.pages.serving import Portal
from tests.system.stack import Stack, wait_for

pytestmark = pytest.mark.system

NEW = "/book/new"
DAY = "2025-07-08"
PASSWORD = "481526"
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
Wanted = dict[str, str | list[str]]


@pytest.fixture(scope="module", autouse=True)
def settled(stack: Stack) -> None:
    """The people who are invited are members; an account may otherwise be anybody."""
    settle(stack.login("admin", "root"))


@dataclass(frozen=True, slots=True)
class Booker:
    """Somebody without JavaScript who makes meetings."""

    stack: Stack
    desk: Desk
    account: str

    def form(self) -> str:
        return self.desk.text(NEW)

    def send(self, page: str = "", /, **typed: str | list[str]) -> httpx2.Response:
        """The form of that page, or of a new one."""
        answer = httpx2.Response(200, text=page or self.form())
        return self.desk.submit(answer, **wanted(**typed))

    def made(self, **typed: str | list[str]) -> str:
        """The address of its reservation."""
        answer = self.send(**typed)
        assert answer.status_code == 303, faults(answer)
        return str(answer.headers["location"])

    def state(self, code: str) -> str:
        """Of the meeting, as whoever made it sees it."""
        said = self.stack.login("booker", self.account).yunhui("query", code)
        return str(said.answer["meeting"]["state"]) if said.code == 0 else said.err

    def coming(self) -> set[str]:
        """Subjects of one's meetings to come."""
        return set(addresses(self.desk.text("/meetings?phase=coming")))

    def reservations(self) -> list[dict[str, Any]]:
        return self.stack.login("booker", self.account).mine()


Somebody = Callable[..., Booker]


@pytest.fixture
def somebody(stack: Stack, portal: Portal, client: httpx2.Client) -> Somebody:
    def open_desk(account: str, language: str = "en") -> Booker:
        return Booker(stack, Desk(portal, client, account, "booker", language), account)

    return open_desk


@pytest.fixture
def fang(somebody: Somebody) -> Booker:
    """A member, who has an address book."""
    return somebody("wang.fang")


def wanted(**typed: str | list[str]) -> Wanted:
    usual: Wanted = {"subject": "Group meeting", "day": DAY, "start": "10:00", "end": "11:00", "people": "12"}
    return usual | typed


def code_on(page: str) -> str:
    found = re.search(r'-number">([\d-]+)</span>', page)
    assert found, page
    return found[1].replace("-", "")


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


def times(page: str) -> set[str]:
    return set(re.findall(r'<time datetime="([^"]*)"', page))


SAID = {
    "en": {
        "way": "Make the meeting here",
        "done": "The meeting is made, and your room is reserved",
        "goes along": "it is moved with it, and cancelled with it",
        "support": "Sent to support",
        "personal": "This meeting goes best with your personal free account",
        "nothing": "No meeting was made.",
    },
    "zh-CN": {
        "way": "在这里新建会议",
        "done": "会议已建好，会议室预定成功",
        "goes along": "取消预约时会议一并取消",
        "support": "已转技术支持",
        "personal": "个人免费版",
        "nothing": "没有新建会议。",
    },
}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_meeting_is_made_and_its_room_reserved(somebody: Somebody, language: str) -> None:
    """From the start page, with the time chosen among the free rooms, to number, invitation and link."""
    said, booker = SAID[language], somebody(f"makes-{language}", language)
    start = booker.desk.text(f"/?day={DAY}&start=14:00&end=15:00&people=8")
    [way] = re.findall(rf'href="({NEW}\?[^"]*)"', start)
    assert said["way"] in start
    page = booker.desk.text(html.unescape(way))
    answer = booker.desk.submit(httpx2.Response(200, text=page), subject="Kick-off <2025>", password=PASSWORD)
    assert answer.status_code == 303, faults(answer)
    shown = booker.desk.text(answer.headers["location"])
    assert said["done"] in shown
    assert said["goes along"] in shown
    code = code_on(shown)
    invitation = html.unescape(re.findall(r"<textarea[^>]*readonly[^>]*>(.*?)</textarea>", shown, re.S)[0])
    assert "Kick-off <2025>" in invitation
    assert "14:00–15:00" in invitation
    assert code in re.sub(r"(?<=\d)[- ](?=\d)", "", invitation)
    [link] = [html.unescape(each) for each in re.findall(r'href="(https?://[^"]*)" rel="noreferrer"', shown)]
    assert link in invitation
    assert 'data-copy="' in shown
    assert booker.state(code) == "MEETING_STATE_SCHEDULED"
    [record] = booker.reservations()
    assert record["participantCount"] == 8


def test_what_is_folded_away_is_asked_for_too(fang: Booker) -> None:
    """Of the provider: whoever is a host can see the link as well."""
    page = fang.made(
        subject="With hosts",
        start="08:30",
        end="09:30",
        hosts="li.wei",
        invitees="zhao.min\nanna.meyer, chen.jie；zhou.yan",
        time_zone="Europe/Berlin",
        password=PASSWORD,
        waiting_room="1",
        enter_before_host="1",
        organization_only="1",
        watermark="1",
        mute_on_entry="1",
    )
    assert code_on(fang.desk.text(page))


FAULTS: list[tuple[dict[str, str], str]] = [
    ({"subject": ""}, "subject"),
    ({"subject": "x" * 201}, "subject"),
    ({"people": "0"}, "people"),
    ({"people": "10001"}, "people"),
    ({"day": "2025-07-06"}, "start"),
    ({"day": "soon"}, "start"),
    ({"password": "123"}, "password"),
    ({"password": "1234567"}, "password"),
    ({"password": "12a4"}, "password"),
    ({"password": "１２３４"}, "password"),
    ({"hosts": ",".join(f"host-{number}" for number in range(11))}, "hosts"),
    ({"invitees": "x" * 129}, "invitees"),
    ({"hosts": "x" * 129}, "hosts"),
    ({"room_id": "room-none"}, "room_id"),
    ({"people": "31", "room_id": "room-30-a"}, "room_id"),
    ({"day": "2099-01-01"}, "start"),
]


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_is_wrong_is_said_beside_its_field(somebody: Somebody, language: str) -> None:
    """Whoever finds it; what was typed is kept, and nothing is made."""
    booker = somebody(f"clumsy-{language}", language)
    page = booker.form()
    for typed, place in FAULTS:
        answer = booker.send(page, **{"subject": "Never made", **typed})
        assert answer.status_code in (409, 422), typed
        found = faults(answer)
        assert place in found, (typed, found)
        assert bool(re.search("[\u4e00-\u9fff]", found[place])) is (language == "zh-CN"), found
        [(name, value)] = list(typed.items())[:1]
        assert html.escape(value) in answer.text or name in ("subject", "room_id") or value == "soon", typed
    assert booker.reservations() == []
    assert booker.coming() == set()


@pytest.mark.parametrize("password", ["1234", "12345", "123456", ""])
def test_passwords_of_four_to_six_digits_are_taken(somebody: Somebody, password: str) -> None:
    booker = somebody(f"password-{len(password)}")
    answer = booker.desk.submit(
        httpx2.Response(200, text=booker.form()), **wanted(password=password, start="17:00", end="18:00")
    )
    assert answer.status_code == 303, faults(answer)


def test_300_people_can_be_invited_and_not_301(somebody: Somebody) -> None:
    """Each counts once; ten may lead the meeting."""
    booker = somebody("invites-many")
    many = [f"colleague-{number:03}" for number in range(301)]
    refused = booker.send(subject="301", invitees="\n".join(many))
    assert (refused.status_code, set(faults(refused))) == (422, {"invitees"})
    assert many[300] in refused.text
    taken = booker.send(subject="300", invitees="\n".join([*many[:300], many[0]]), hosts=",".join(many[:10]))
    assert taken.status_code == 303, faults(taken)
    assert wait_for(lambda: booker.coming()) == {"300"}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_is_too_small_goes_to_the_personal_account_and_nothing_is_made(somebody: Somebody, language: str) -> None:
    booker = somebody(f"small-{language}", language)
    answer = booker.send(subject="Two of us", people="2")
    assert answer.status_code == 200
    said = words(answer.text)
    assert SAID[language]["personal"] in said
    assert SAID[language]["nothing"] in said
    assert "Cancel the old meeting" not in said
    assert (booker.reservations(), booker.coming()) == ([], set())


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_is_large_waits_for_support_with_its_meeting(
    somebody: Somebody, portal: Portal, client: httpx2.Client, language: str
) -> None:
    """The meeting is there meanwhile; it is cancelled when support declines, which is told before."""
    booker = somebody(f"large-{language}", language)
    path = booker.made(subject="A large one", people="120")
    page = booker.desk.text(path)
    assert SAID[language]["support"] in page
    code = code_on(page)
    assert booker.state(code) == "MEETING_STATE_SCHEDULED"
    support = Desk(portal, client, "lin", "support", "en")
    case = urlsplit(path).path.rpartition("/")[2]
    desk = support.text(f"/support/escalations/{case}")
    fields = support.fields(desk) | {"answer": "decline", "note": "too many", "version": "1"}
    asked = support.send(f"/support/escalations/{case}", fields)
    assert "The meeting is cancelled with it." in asked.text
    assert support.send(f"/support/escalations/{case}", fields | {"sure": "1"}).status_code == 303
    wait_for(lambda: booker.state(code) != "MEETING_STATE_SCHEDULED")


def test_a_form_sent_twice_at_once_is_one_reservation_and_one_meeting(somebody: Somebody) -> None:
    booker = somebody("hasty")
    page = booker.form()
    with ThreadPoolExecutor(5) as pool:
        answers = list(
            pool.map(
                lambda _: booker.send(page, subject="Once", start="18:00", end="19:00", password=PASSWORD), range(5)
            )
        )
    assert {each.status_code for each in answers} == {303}, [faults(each) for each in answers]
    assert len({each.headers["location"] for each in answers}) == 1
    assert len(booker.reservations()) == 1
    wait_for(booker.coming)
    assert len(re.findall(r'<article class="card reservation"', booker.desk.text("/meetings?phase=coming"))) == 1


def test_a_change_moves_the_meeting_and_cancelling_cancels_it(somebody: Somebody) -> None:
    """Both are told before; what was cancelled is not offered to be taken back, for its meeting is gone."""
    booker = somebody("mover")
    path = urlsplit(booker.made(subject="Moves", start="18:00", end="19:00")).path
    code = code_on(booker.desk.text(path))
    change = booker.desk.text(f"{path}/change")
    assert "The meeting is moved with it." in change
    moved = booker.desk.submit(httpx2.Response(200, text=change), day="2025-07-09", start="15:00", end="16:30")
    assert moved.status_code == 303, faults(moved)
    page = booker.desk.text(path)
    assert code_on(page) == code
    assert "15:00–16:30" in re.findall(r"<textarea.*?</textarea>", page, re.S)[0]
    said = booker.stack.login("booker", "mover").yunhui("query", code)
    assert said.answer["meeting"]["occurrences"][0]["startTime"] == "2025-07-09T07:00:00Z"
    asked = booker.desk.text(f"{path}/cancel")
    assert "The meeting is cancelled with it" in asked
    assert "stays in the meeting client" not in asked
    done = booker.desk.submit(httpx2.Response(200, text=asked))
    assert done.status_code == 303
    wait_for(lambda: booker.state(code) != "MEETING_STATE_SCHEDULED")
    gone = booker.desk.text(done.headers["location"])
    assert "Undo" not in gone
    assert "The way to the meeting" not in gone


def test_hostile_words_are_only_words(somebody: Somebody) -> None:
    """As the subject and as an account; what cannot be an account is refused, and shown as it was typed."""
    booker = somebody("hostile-maker")
    path = booker.made(subject=HOSTILE, start="19:00", end="20:00")
    for address in (path, "/", "/reservations", "/meetings", f"{urlsplit(path).path}/cancel"):
        page = booker.desk.text(address)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    refused = booker.send(subject=HOSTILE, invitees=HOSTILE, password=HOSTILE[:20])
    assert refused.status_code == 422
    assert "<script>alert" not in refused.text
    assert html.escape(HOSTILE, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in refused.text


def test_people_are_found_in_the_address_book_without_script(fang: Booker) -> None:
    """Those who are chosen stay, with their names, whatever is searched for next and whatever is wrong."""
    page = httpx2.Response(200, text=fang.form())
    assert 'name="find_invitee"' in page.text
    fields: Wanted = {**wanted(subject="Found"), "find_invitee": "liwei", "search": "1"}
    found = fang.desk.send(f"{NEW}/check", {**hidden(page.text), **fields})
    assert 'name="invitee" value="li.wei"' in found.text
    assert '<details class="more" open>' in found.text
    again: Wanted = {**wanted(subject="Found"), "invitee": "li.wei", "find_host": "anna", "people": "0"}
    kept = fang.desk.send(NEW, {**hidden(page.text), **again})
    assert kept.status_code == 422
    assert 'name="invitee" value="li.wei" checked> <span><bdi>李伟</bdi>' in kept.text
    assert 'name="host" value="anna.meyer"' in kept.text
    part = fang.desk.text(f"{NEW}/found?name=host&find_host=anna")
    assert 'name="host" value="anna.meyer"' in part
    assert "<html" not in part


def test_who_has_no_address_book_types_accounts(somebody: Somebody) -> None:
    page = somebody("no-member").form()
    assert 'name="find_invitee"' not in page
    assert '<textarea name="invitees"' in page


def hidden(page: str) -> Wanted:
    return {
        name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
    }


def test_other_times_carry_everything_along(somebody: Somebody) -> None:
    """The fourth of a day is refused; one of the other times is one click, password and people included."""
    booker = somebody("fourth-maker")
    for start, end in (("09:00", "10:00"), ("11:00", "12:00"), ("13:00", "14:00")):
        booker.made(subject=f"At {start}", start=start, end=end)
    refused = booker.send(
        subject="The fourth", start="15:00", end="16:00", password=PASSWORD, invitees="li.wei", watermark="1"
    )
    assert refused.status_code == 200
    [form] = re.findall(rf'<form method="post" action="{NEW}" data-once>(.*?)</form>', refused.text, re.S)
    carried = hidden(form)
    assert {name: carried[name] for name in ("password", "invitees", "watermark", "subject", "people")} == {
        "password": PASSWORD,
        "invitees": "li.wei",
        "watermark": "1",
        "subject": "The fourth",
        "people": "12",
    }
    assert "First move the meeting" not in form
    take = re.findall(r'name="take" value="([^"]*)"', form)[0]
    done = booker.desk.send(NEW, {**carried, "take": take})
    assert done.status_code == 303, faults(done)
    assert PASSWORD not in done.headers["location"]
    starts = {datetime.fromisoformat(each["startTime"]).timestamp() for each in booker.reservations()}
    assert int(take.partition("-")[0]) in starts


def test_no_password_comes_from_an_address_or_stays_anywhere(stack: Stack, somebody: Somebody) -> None:
    """Not even in what is logged, or kept of the request."""
    booker = somebody("secretive")
    page = booker.desk.text(f"{NEW}?password=739164&subject=Asked")
    assert 'value="739164"' not in page
    booker.made(subject="A secret", start="19:00", end="20:00", password="739164")
    kept = [each for each in stack.state.rglob("*") if each.is_file() and not each.name.startswith("meetings.db")]
    assert [each.name for each in kept if b"739164" in each.read_bytes()] == []
