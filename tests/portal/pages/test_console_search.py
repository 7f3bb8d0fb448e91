"""The search for all that a person may open: by role, by kind; as a page and as the part of a dialog."""

import re
from urllib.parse import quote

import httpx2
import pytest

from tests.portal.pages.desk import Desk, department, member
from tests.portal.pages.serving import Portal
from tests.system.stack import Stack

pytestmark = pytest.mark.system


def groups(page: str) -> dict[str, list[str]]:
    """What was found, by title."""
    main = page[page.index("<main") :]
    found = re.findall(r"<h2>([^<]*)</h2>(.*?)</section>", main, re.S)
    return {title: re.findall(r"<bdi>([^<]*)</bdi>", hits) for title, hits in found}


def test_everybody_finds_what_they_may_open(desk: Desk, portal: Portal, client: httpx2.Client, stack: Stack) -> None:
    place = department(desk, "Sucheinheit")
    member(desk, "suche.person", "Sucher", memberships=[place], main=place)
    booker = Desk(portal, client, "suche.person", "booker")
    said = stack.login("booker", "suche.person").reserve("2025-07-08 10:00")
    assert said.code == 0, said.err
    code = said.answer["reservation"]["meetingCode"]
    assert groups(desk.text("/search?q=such")) == {"Members": ["Sucher"], "Departments": ["Sucheinheit"]}
    assert groups(booker.text("/search?q=such")) == {"Colleagues": ["Sucher"]}
    for query in (code, f"{code[:3]}-{code[3:]}"):
        assert list(groups(booker.text(f"/search?q={query}"))) == ["My reservations"]
        assert groups(desk.text(f"/search?q={query}")) == {}
    assert groups(booker.text("/search?q=stand")) == {"Pages": ["My standing"]}
    assert groups(desk.text("/search?q=import")) == {"Pages": ["Import"]}
    assert groups(booker.text("/search?q=import")) == {}
    assert "Import" in groups(desk.text("/search"))["Pages"]


def test_at_most_eight_of_a_kind_and_nothing_hostile(desk: Desk) -> None:
    for number in range(9):
        member(desk, f"eight-{number}", f"<b>Eight {number}</b>")
    page = desk.text("/search?q=eight")
    assert len(groups(page)["Members"]) == 8
    assert ("<b>Eight" in page, "&lt;b&gt;Eight 0" in page) == (False, True)
    hostile = desk.get("/search?q=" + quote('"><script>alert(1)</script>\0' + "x" * 200))
    assert (hostile.status_code, "<script>alert" in hostile.text) == (200, False)
    part = desk.get("/search?q=eight", **{"hx-request": "true"}).text
    assert ("<html" in part, part.count('role="option"')) == (False, 8)
