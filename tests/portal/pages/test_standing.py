"""Objections in a real browser, from the form to the answer."""

import re
from functools import partial

import httpx2
import pytest
from playwright.sync_api import expect

from tests.portal.pages.serving import Portal
from tests.portal.pages.test_pages import Looking
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Person, Stack, wait_for

pytestmark = pytest.mark.system

HOSTILE = "\"'></textarea><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def violations(stack: Stack) -> dict[str, str]:
    """By account, the violation that can be objected to."""
    people = {name: stack.login("booker", name) for name in ("dora", "emil", "finn")}
    for person in people.values():
        assert person.reserve("2025-07-07 22:30").code == 0
    stack.yunhui("clock", "set", "2025-07-07 23:15")
    return {name: wait_for(partial(violation_of, person)) for name, person in people.items()}


def violation_of(person: Person) -> str:
    """Its id; "" while none is recorded."""
    found = person.yunhui("quota").answer["standing"].get("violations")
    return str(found[0]["violationId"]) if found else ""


@pytest.mark.parametrize(
    ("answer", "said", "left"), [("Waive", "Support agreed", "Waived"), ("Dismiss", "Support dismissed", "Counts")]
)
def test_an_objection_is_made_and_answered(
    violations: dict[str, str], visitor: Visitor, answer: str, said: str, left: str
) -> None:
    """Without JavaScript: the booker says why, support decides by what the page shows, the booker reads the answer."""
    name = {"Waive": "dora", "Dismiss": "emil"}[answer]
    booker = visitor.open(name, language="en", java_script_enabled=False)
    booker.goto("/standing")
    booker.fill("textarea[name=text]", f"{HOSTILE}\nI was there at 22:31.")
    booker.get_by_role("button", name="Object").click()
    expect(booker).to_have_url(re.compile(r"/standing#rsv_"))
    expect(booker.locator(".violation .said")).to_have_text(f"{HOSTILE}\nI was there at 22:31.")
    expect(booker.locator(".violation")).to_contain_text("Support has not answered yet")
    expect(booker.locator("textarea[name=text]")).to_have_count(0)
    support = visitor.open("lin", "support", language="en", java_script_enabled=False)
    support.goto(f"/support#{violations[name]}")
    dispute = support.locator(f"#{violations[name]}")
    for shown in (HOSTILE, name, "22:30", "30 minutes", "Violations of the last 35 days"):
        expect(dispute).to_contain_text(shown)
    dispute.locator("[name=note]").fill("we have looked at the list")
    dispute.get_by_role("button", name=answer).click()
    expect(support.locator(".banner.good")).to_contain_text("the booker is told")
    expect(support.locator(f"#{violations[name]}")).to_have_count(0)
    booker.reload()
    expect(booker.locator(".violation")).to_contain_text(said)
    expect(booker.locator(".violation")).to_contain_text("we have looked at the list")
    expect(booker.locator(".violation .badge")).to_have_text(left)


def test_what_was_typed_is_kept_when_it_is_not_taken(
    stack: Stack, violations: dict[str, str], portal: Portal, client: httpx2.Client
) -> None:
    """Too long, and sent after another objection was: both times with the reason."""
    looking, path = Looking(portal, client, "finn"), f"/standing/violations/{violations['finn']}"
    page = looking.get("/standing").text
    long = looking.post(path, page, text="x" * 1001)
    assert (long.status_code, "x" * 1001 in long.text, "at most 1,000 characters" in long.text) == (422, True, True)
    assert looking.post(path, page, text="").status_code == 422
    assert looking.post(path, page, text="I was there").headers["location"].startswith("/standing#rsv_")
    assert looking.post(path, page, text="I was there").status_code == 303
    again = looking.post(path, page, text="and so was <b>she</b>")
    assert (again.status_code, "and so was &lt;b&gt;she&lt;/b&gt;" in again.text) == (409, True)
    assert "You have objected already" in again.text
    assert stack.login("support", "lin").yunhui("dismiss", violations["finn"], "--note", "no").code == 0
    assert "answered already" in looking.post(path, page, text="please").text


def test_a_forged_or_foreign_objection_is_none(
    violations: dict[str, str], portal: Portal, client: httpx2.Client
) -> None:
    """Another's violation is not there; a form without our token is not ours."""
    path = f"/standing/violations/{violations['dora']}"
    eve = Looking(portal, client, "eve")
    page = eve.get("/settings").text
    assert eve.post(path, page, text="mine").status_code == 404
    assert eve.post("/standing/violations/..%2f..%2f", page, text="mine").status_code in (400, 404)
    assert eve.post(path, "", text="mine").status_code == 403
    answer = eve.post(f"/support/objections/{violations['dora']}", page, note="no", answer="dismiss")
    assert answer.status_code == 403
