"""Pages as answers to requests: what is another's, what is hostile, what is sent twice, what cannot be read."""

import csv
import html
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from services.policy import versions
from tests.portal.pages.serving import COOKIE, Portal
from tests.system.stack import Stack, wait_for

pytestmark = pytest.mark.system

RULES = Path(versions.__file__).parent / "rules"


class Looking:
    """Somebody without JavaScript."""

    def __init__(
        self, portal: Portal, client: httpx2.Client, name: str, role: str = "booker", language: str = "en"
    ) -> None:
        self._client = client
        self._cookies = f"{COOKIE}={portal.sign_in(name, role)}; language={language}"

    def get(self, path: str) -> httpx2.Response:
        return self._client.get(path, headers={"cookie": self._cookies})

    def post(self, path: str, page: str, **fields: str) -> httpx2.Response:
        """With the hidden fields that the form on `page` carries."""
        hidden = dict(re.findall(r'<input type="hidden" name="(csrf_token|nonce|meeting_code)" value="([^"]*)"', page))
        return self._client.post(path, data={**hidden, **fields}, headers={"cookie": self._cookies})


def made(stack: Stack, name: str, start: str, minutes: int = 60) -> str:
    return stack.login("booker", name).meeting(start, minutes)


def form(start: str = "10:00", end: str = "11:00", people: str = "12", day: str = "2025-07-08") -> dict[str, str]:
    return {"day": day, "start": start, "end": end, "people": people, "subject": "seminar", "room_id": ""}


def test_a_form_sent_twice_at_once_makes_one_reservation(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """The form carries its request_id; both answers lead to the same page."""
    code = made(stack, "twice", "2025-07-08 10:00")
    looking = Looking(portal, client, "twice")
    page = looking.get(f"/book?meeting_code={code}").text
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: looking.post("/book", page, **form()), range(5)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(stack.login("booker", "twice").mine()) == 1


def test_a_corrected_form_is_another_request(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """Who goes back and changes the number of people does not get the first answer again."""
    code = made(stack, "corrects", "2025-07-08 10:00")
    looking = Looking(portal, client, "corrects")
    page = looking.get(f"/book?meeting_code={code}").text
    first = looking.post("/book", page, **form(people="2"))
    assert (first.status_code, "personal free account" in first.text) == (200, True)
    assert looking.post("/book", page, **form(people="3")).status_code == 303


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Seats 30, but 31 are expected: choose another room."),
        ("zh-CN", "最多容纳 30 人，而预计有 31 人：请另选会议室"),
    ],
)
def test_what_a_service_finds_wrong_is_said_in_the_readers_language(
    stack: Stack, portal: Portal, client: httpx2.Client, language: str, sentence: str
) -> None:
    """What was typed is kept; what a page did not look at itself, the service says in both."""
    code = made(stack, f"reads-{language}", "2025-07-08 10:00")
    looking = Looking(portal, client, f"reads-{language}", language=language)
    page = looking.get(f"/book?meeting_code={code}").text
    answer = looking.post("/book", page, **form(people="31") | {"room_id": "room-30-a"})
    assert (answer.status_code, sentence in answer.text, "seminar" in answer.text) == (409, True, True)


def test_of_anothers_meeting_it_is_told_that_it_is_anothers(
    stack: Stack, portal: Portal, client: httpx2.Client
) -> None:
    """And nothing else of it; what the gateway says of a number is shown."""
    code = made(stack, "owner", "2025-07-08 12:00")
    looking = Looking(portal, client, "guesses")
    anothers, absent, short = (looking.get(f"/book?meeting_code={number}") for number in (code, "999888777", "1234"))
    assert {answer.status_code for answer in (anothers, absent, short)} == {404}
    assert "made with another account" in anothers.text
    assert not {"owner", "seminar", "12:00"} & set(re.findall(r"[\w:]+", anothers.text))
    assert "No such meeting was found" in absent.text
    assert "9 or 10 digits of one meeting" in short.text


def test_anothers_reservation_is_not_there(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """To look at, to change, to cancel, to export: as if it did not exist."""
    said = stack.login("booker", "owner2").reserve("2025-07-08 15:00")
    reservation = said.answer["reservation"]["reservationId"]
    looking = Looking(portal, client, "curious")
    page = looking.get("/settings").text
    for path in ("", "/cancel", "/change", "/calendar.ics"):
        assert looking.get(f"/reservations/{reservation}{path}").status_code == 404
        assert looking.get(f"/reservations/rsv_nothing{path}").status_code == 404
    assert looking.post(f"/reservations/{reservation}/cancel", page).status_code == 404
    assert stack.login("booker", "owner2").mine()[0]["state"] == "RESERVATION_STATE_CONFIRMED"


@pytest.mark.parametrize("path", ["", "/accounts?account_id=known", "/deliveries", "/deliveries.csv"])
def test_support_is_for_support(stack: Stack, portal: Portal, client: httpx2.Client, path: str) -> None:
    """Others are told so."""
    stack.login("booker", "known").reserve("2025-07-08 15:00")
    assert Looking(portal, client, "plain").get(f"/support{path}").status_code == 403
    assert Looking(portal, client, "lin", "support").get(f"/support{path}").status_code == 200


def test_all_deliveries_are_a_table_and_a_file(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """Support reads what was sent to whom; addresses are masked for it in both."""
    stack.login("booker", "written-to").reserve("2025-07-08 17:00")
    desk, path = Looking(portal, client, "lin", "support"), "/support/deliveries"
    wait_for(lambda: "written-to</td>" in desk.get(f"{path}?state=sent").text)
    page = desk.get(f"{path}?state=&account_id=written-to").text
    assert "A reservation is confirmed</a>" in page
    assert 'href="/support/deliveries.csv?account_id=written-to"' in page
    written = desk.get(f"{path}.csv?state=sent&account_id=written-to")
    rows = list(csv.DictReader(io.StringIO(written.content.decode("utf-8-sig"), newline="")))
    assert [(row["Notice"], row["Account"], row["Attempts"]) for row in rows] == [
        ("A reservation is confirmed", "written-to", "1")
    ]
    assert "written-to@" not in written.text


def test_who_sends_a_delivery_again_comes_back_to_the_table(
    stack: Stack, portal: Portal, client: httpx2.Client
) -> None:
    """As they had filtered it, and to no page of somebody else; from the desk to the desk."""
    stack.login("booker", "again").reserve("2025-07-08 18:00")
    desk, path = Looking(portal, client, "lin", "support"), "/support/deliveries?state=sent&account_id=again"
    wait_for(lambda: "again</td>" in desk.get(path).text)
    page = desk.get(path).text
    action, *_ = re.findall(r'action="(/support/deliveries/[^"]+)"', page)
    *_, back = re.findall(r'name="back" value="([^"]+)"', page)
    places = []
    for given in (html.unescape(back), "https://evil.example.org/", ""):
        wait_for(lambda: action in desk.get(path).text)  # what is on its way cannot be sent again
        places.append(desk.post(action, page, back=given).headers["location"])
    assert places == [path, "/", "/support?done=resent"]


def test_many_cases_are_counted_and_the_most_urgent_are_shown(
    stack: Stack, portal: Portal, client: httpx2.Client
) -> None:
    """More than a page holds; whatever is cut off is what can wait."""
    days, hours = ("2025-07-11", "2025-07-10", "2025-07-09"), ("09:00", "11:00", "13:00")
    for name in ("large-1", "large-2", "large-3"):
        for day in days:  # an account may ask support three times a day
            booker = stack.login("booker", f"{name}-{day}")
            assert [booker.reserve(f"{day} {hour}", people=150).code for hour in hours] == [0, 0, 0]
    page = Looking(portal, client, "lin", "support").get("/support").text
    assert 'Open cases <span class="count">27</span>' in page
    assert "The 20 that expire soonest are shown" in page
    shown = page.count('action="/support/escalations/')
    assert (shown, page.count(">Wed 9 Jul "), page.count(">Fri 11 Jul ")) == (20, 9, 2)


def test_support_is_shown_why_somebody_else_answers_what_is_their_own(
    stack: Stack, portal: Portal, client: httpx2.Client
) -> None:
    """No button there; what is sent all the same is refused with the reason."""
    mine = stack.login("support", "wu").reserve("2025-07-08 17:00", people=150).answer["reservation"]["reservationId"]
    theirs = stack.login("booker", "asking").reserve("2025-07-08 18:00", people=150)
    other = theirs.answer["reservation"]["reservationId"]
    why = "somebody else of support has to decide"
    desk = Looking(portal, client, "wu", "support")
    page = desk.get(f"/support/escalations/{mine}").text
    assert f'action="/support/escalations/{mine}"' not in page
    assert f'action="/support/escalations/{other}"' in page
    assert page.count(why) == 1
    refused = desk.post(f"/support/escalations/{mine}", page, answer="approve")
    assert (refused.status_code, why in refused.text, "a role that" in refused.text) == (403, True, False)
    chinese = Looking(portal, client, "wu", "support", language="zh-CN")
    assert "须由另一位技术支持人员处理" in chinese.get("/support").text
    colleague = Looking(portal, client, "lin", "support")
    page = colleague.get("/support").text
    assert why not in page
    assert colleague.post(f"/support/escalations/{mine}", page, answer="approve").status_code == 303


def test_the_link_in_a_mail_leads_to_the_case_as_it_is_now(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """First on the desk while it waits, then its own page. What changed meanwhile is not approved unseen."""
    asking = stack.login("booker", "mailed")
    case = asking.reserve("2025-07-09 18:00", people=150).answer["reservation"]["reservationId"]
    desk = Looking(portal, client, "lin", "support")
    page = desk.get(f"/support/escalations/{case}?answer=approve").text
    assert re.findall(r'action="/support/escalations/([^"]+)"', page)[0] == case
    assert desk.get("/support/escalations").status_code == 200
    assert Looking(portal, client, "mailed").get(f"/support/escalations/{case}").status_code == 403
    assert asking.yunhui("change", case, "--people", "250").code == 0
    assert desk.post(f"/support/escalations/{case}", page, answer="approve", version="1").status_code == 409
    page = desk.get(f"/support/escalations/{case}").text
    assert "<dd>250</dd>" in page
    assert desk.post(f"/support/escalations/{case}", page, answer="approve", version="2").status_code == 303
    assert desk.get(f"/support/escalations/{case}").headers["location"] == f"/reservations/{case}"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"people": ""}, "How many people"),
        ({"people": "-1"}, "How many people"),
        ({"people": "१२"}, "How many people"),
        ({"people": "999999"}, "How many people"),
        ({"day": "yesterday"}, "Give a day"),
        ({"start": "25:00"}, "Give a day"),
        ({"day": "2025-07-06"}, "That time is over"),
        ({"subject": ""}, "Say what"),
        ({"subject": "x" * 300}, "At most 200"),
        ({"take": "0-99999999999999999999"}, ""),
        ({"nonce": "<script>"}, ""),
        ({"room_id": "../../x"}, "Must be 1 to 64 letters"),
        ({"room_id": "room-none"}, "There is no such room"),
        ({"day": "2099-01-01"}, "Lies more than a year ahead"),
    ],
)
def test_what_cannot_be_read_names_its_field(
    stack: Stack, portal: Portal, client: httpx2.Client, fields: dict[str, str], fault: str
) -> None:
    """Never a 500; what was typed stays in the form."""
    name = f"clumsy-{abs(hash(str(fields)))}"  # nobody may look up more than twenty meetings a minute
    code = made(stack, name, "2025-07-08 10:00")
    looking = Looking(portal, client, name)
    page = looking.get(f"/book?meeting_code={code}").text
    answer = looking.post("/book/check", page, **{**form(), **fields})
    assert (answer.status_code, fault in answer.text) == (200, True)
    assert "<script>" not in answer.text


def test_odd_addresses_are_answered(portal: Portal, client: httpx2.Client) -> None:
    """Whatever stands in the address."""
    looking = Looking(portal, client, "odd")
    for path in (
        "/rooms?day=2025-99-99&people=x",
        "/rooms?day=9999-12-31&people=9999999999",
        "/rooms?people=१२",
        "/reservations?tab=<b>",
        "/book?meeting_code=%00",
        "/book",
        "/reservations/%2e%2e%2f",
        "/reservations?page=nonsense",
    ):
        assert looking.get(path).status_code < 500, path


def test_the_calendar_file_is_one_event(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """RFC 5545, the reserved interval in UTC."""
    said = stack.login("booker", "calendar").reserve("2025-07-08 16:00")
    reservation = said.answer["reservation"]["reservationId"]
    answer = Looking(portal, client, "calendar").get(f"/reservations/{reservation}/calendar.ics")
    assert answer.headers["content-type"].startswith("text/calendar")
    assert "DTSTART:20250708T080000Z" in answer.text
    assert reservation not in answer.text


def test_settings_lead_back_to_pages_of_ours_only(portal: Portal, client: httpx2.Client) -> None:
    """An address from elsewhere is not followed; what is not on offer is not stored."""
    looking = Looking(portal, client, "settled")
    page = looking.get("/settings").text
    for back in ("//evil.example", "https://evil.example", "/\\evil.example"):
        answer = looking.post("/settings", page, back=back, language="en", zone="Mars/Phobos")
        assert answer.headers["location"] == "/settings?saved=1"
        assert "Phobos" not in answer.headers["set-cookie"]


def test_switched_off_mails_stay_off(portal: Portal, client: httpx2.Client) -> None:
    """The notifier keeps them."""
    looking = Looking(portal, client, "quiet")
    page = looking.get("/settings").text
    assert looking.post("/settings", page, mail="1", **{"notice-change": "on"}).status_code == 303
    shown = looking.get("/settings").text
    assert re.findall(r'name="notice-(\w+)" checked', shown) == ["change"]


def test_a_late_cancellation_says_so_before_and_after(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """The consequence is the policy's own answer; a violation is another matter."""
    said = stack.login("booker", "late").reserve("2025-07-07 12:00")
    path = f"/reservations/{said.answer['reservation']['reservationId']}"
    looking = Looking(portal, client, "late")
    assert "your quota comes back" in looking.get(f"{path}/cancel").text
    stack.yunhui("clock", "set", "2025-07-07 11:45")
    page = looking.get(f"{path}/cancel").text
    assert "will still count against your quota" in page
    assert looking.post(f"{path}/cancel", page).headers["location"].endswith("?cancelled=kept")


@pytest.fixture
def longer_cutoff(stack: Stack, tmp_path: Path) -> Iterator[None]:
    """An hour instead of thirty minutes for the role of bookers."""
    rules = tmp_path / "draft.yaml"
    override = "{role: booker, thresholds: {booking_cutoff_seconds: 3600}}"
    rules.write_text(f"{(RULES / 'default.yaml').read_text()}\noverrides:\n  - {override}\n")
    case = """
  - name: a booker cancels at {now}
    ask: {{action: CANCEL, roles: [booker], now: 2025-07-08 {now}}}
    expect: {{effect: ALLOW, rules: [{rules}]}}
"""
    cases = [case.format(now="09:00:00", rules=""), case.format(now="09:00:01", rules="LATE_CANCELLATION")]
    rules.with_suffix(".test.yaml").write_text((RULES / "default.test.yaml").read_text() + "".join(cases))
    admin = stack.login("admin")
    said = admin.yunhui("policy", "publish", str(rules), "--note", "an hour")
    assert said.code == 0, said.err
    yield
    assert admin.yunhui("policy", "rollback", "default@1", "--note", "as before").code == 0


def test_what_cancelling_means_follows_from_ones_role(
    stack: Stack, portal: Portal, client: httpx2.Client, longer_cutoff: None
) -> None:
    """An override for a role holds on the page as it holds when it is done."""
    said = stack.login("booker", "overridden").reserve("2025-07-07 13:00")
    path = f"/reservations/{said.answer['reservation']['reservationId']}"
    looking = Looking(portal, client, "overridden")
    stack.yunhui("clock", "set", "2025-07-07 12:15")
    page = looking.get(f"{path}/cancel").text
    assert "will still count against your quota" in page
    assert looking.post(f"{path}/cancel", page).headers["location"].endswith("?cancelled=kept")


def test_support_waives_a_violation(stack: Stack, portal: Portal, client: httpx2.Client) -> None:
    """With a reason, which the booker reads beside the evidence."""
    missing = stack.login("booker", "missing")
    missing.reserve("2025-07-07 13:00")
    stack.yunhui("clock", "set", "2025-07-07 14:00")
    wait_for(lambda: missing.yunhui("quota").answer["standing"].get("violations"))
    support = Looking(portal, client, "lin", "support")
    page = support.get("/support/accounts?account_id=missing").text
    action = re.search(r'action="(/support/violations/[^"]+)"', page)
    assert action
    assert support.post(action[1], page, note="a fire alarm").status_code == 303
    shown = Looking(portal, client, "missing").get("/standing").text
    assert "a fire alarm" in shown
    assert "Nobody had entered 30 minutes after the start" in shown
