"""Several members at once: whom it concerns, what became of each; and all that a table shows, as files."""

import csv
import io
import re

import httpx2
import pytest
from python_calamine import CalamineWorkbook

from tests.portal.pages.desk import Desk, department, faults, member, names
from tests.portal.pages.serving import Portal

pytestmark = pytest.mark.system

SELECTION = "/console/members/selection"


def outcomes(page: str) -> dict[str, str]:
    """By account: "Done", or why not."""
    rows = re.findall(r'<td class="minor">([^<]*)</td>\s*<td><span class="badge \w+">(\w+)</span>([^<]*)</td>', page)
    return {account: reason.strip() or verdict for account, verdict, reason in rows}


def test_what_is_ticked_is_confirmed_and_done_one_by_one(desk: Desk) -> None:
    """Also by who changed meanwhile, or is gone: each is told what became of it."""
    for number in range(4):
        member(desk, f"several-{number}", f"Several {number}", status="1")
    listed = desk.text("/console/members?q=several")
    assert re.findall(r'name="pick" value="([^"]*)"', listed) == [f"several-{number}" for number in range(4)]
    assert " checked" not in listed.partition("<tbody>")[2]
    assert desk.text("/console/members?q=several&all=1").partition("<tbody>")[2].count(" checked") == 4
    picks = [f"several-{number}" for number in range(4)]
    page = desk.send(SELECTION, desk.fields(listed) | {"pick": [*picks, "nobody"], "act": "disable"})
    assert (page.status_code, names(page.text)) == (200, [f"Several {number}" for number in range(4)])
    assert ("4 members" in page.text, "1 of those selected is not there any more" in page.text) == (True, True)
    desk.done("/console/member/edit?id=several-1", title="changed")
    desk.done("/console/member/disable?id=several-3")
    desk.done("/console/member/delete?id=several-3")
    done = desk.submit(page)
    said = outcomes(done.text)
    assert (done.status_code, said["several-0"], said["several-2"]) == (200, "Done", "Done")
    assert ("changed" in said["several-1"], said["several-3"]) == (True, "There is no such member.")
    assert "Done for 2 members. Refused for 2." in done.text
    again = desk.submit(done, act="disable")
    assert names(again.text) == ["Several 1"]
    assert outcomes(desk.submit(again).text) == {"several-1": "Done"}
    assert desk.text("/console/members?q=several&status=disabled").count('name="pick"') == 3
    listed = desk.text("/console/members?q=several")
    enable = desk.send(SELECTION, desk.fields(listed) | {"pick": ["several-0", "several-0"], "act": "enable"})
    assert outcomes(desk.submit(enable).text) == {"several-0": "Done"}


def test_members_are_put_into_a_department(desk: Desk) -> None:
    """It is their main one then; those that they are in already stay."""
    old, new = department(desk, "Selection old"), department(desk, "Selection new")
    member(desk, "placed-0", "Placed 0", memberships=[old], main=old)
    member(desk, "placed-1", "Placed 1", memberships=[new, old], main=old)
    member(desk, "placed-2", "Placed 2")
    fields = desk.fields(desk.text("/console/members?q=placed"))
    page = desk.send(SELECTION, fields | {"pick": ["placed-0", "placed-1", "placed-2"], "act": "put"})
    none = desk.submit(page)
    assert (none.status_code, "choose one" in faults(none)["into_department_id"]) == (422, True)
    found = desk.submit(none, find="selection new", search="1")
    assert (found.status_code, f'value="{new}"' in found.text) == (200, True)
    done = desk.submit(found, into_department_id=new)
    assert outcomes(done.text) == {f"placed-{number}": "Done" for number in range(3)}
    for number, ways in enumerate(
        (["Selection new", "Selection old"], ["Selection new", "Selection old"], ["Selection new"])
    ):
        shown = desk.text(f"/console/member?id=placed-{number}")
        assert re.findall(r'<li><a href="/console/departments/[^"]*">(Selection \w+)</a>', shown) == ways
    stale = desk.submit(found, into_department_id=old)
    assert outcomes(stale.text)["placed-0"] == "It was changed by others meanwhile: look again."
    fresh = desk.submit(desk.submit(stale, act="put"), into_department_id="dep_gone")
    assert "There is no such department" in outcomes(fresh.text)["placed-0"]


def test_licences_are_given_as_far_as_they_go(desk: Desk) -> None:
    bought = {"purchase_id": "PO-S", "count": "1", "first_day": "2025-07-01", "last_day": "2025-12-31"}
    desk.done("/console/organization/purchases/new", **bought)
    for number in range(2):
        member(desk, f"paid-{number}", f"Paid {number}")
    fields = desk.fields(desk.text("/console/members?q=paid"))
    page = desk.send(SELECTION, fields | {"pick": ["paid-0", "paid-1"], "act": "give-licence"})
    assert "0 of 1 licences are given, 1 are left." in page.text
    said = outcomes(desk.submit(page).text)
    assert (said["paid-0"], "licence" in said["paid-1"].lower(), said["paid-1"] == "Done") == ("Done", True, False)
    back = desk.send(SELECTION, fields | {"pick": ["paid-0"], "act": "take-licence"})
    assert outcomes(desk.submit(back).text) == {"paid-0": "Done"}


def test_nobody_too_many_and_what_there_is_not(desk: Desk) -> None:
    fields = desk.fields(desk.text("/console/members"))
    nobody = desk.send(SELECTION, fields | {"act": "disable", "back": "/console/members?q=a"})
    assert (nobody.status_code, "Nobody is selected" in faults(nobody)[""]) == (422, True)
    assert 'href="/console/members?q=a"' in nobody.text
    away = desk.send(SELECTION, fields | {"act": "disable", "back": "https://evil.example/console/members"})
    assert "evil.example" not in away.text.partition("<main")[2]
    many = desk.send(SELECTION, fields | {"act": "disable", "pick": [f"m-{number}" for number in range(501)]})
    assert (many.status_code, "At most 500" in faults(many)[""]) == (422, True)
    assert desk.send(SELECTION, fields | {"act": "fly", "pick": ["a"]}).status_code == 404
    assert (
        desk.send(f"{SELECTION}/do", fields | {"act": "disable", "pick": ["no version", "x:y", ":z"]}).status_code
        == 422
    )


def test_support_sees_no_boxes_and_changes_nobody(portal: Portal, client: httpx2.Client) -> None:
    support = Desk(portal, client, "support", "support")
    listed = support.text("/console/members")
    assert 'name="pick"' not in listed
    token = re.search(r'name="csrf_token" value="([^"]*)"', listed)
    assert token
    assert support.send(SELECTION, {"csrf_token": token[1], "act": "disable", "pick": ["a"]}).status_code == 403


def test_files_have_what_the_table_shows_and_no_formula(desk: Desk) -> None:
    """All pages of it, its filters and its columns."""
    for number in range(3):
        member(desk, f"file-{number}", f"=cmd|{number}", title="@SUM(A1)")
    query = "q=file-&col=account&col=title"
    text = list(csv.reader(io.StringIO(desk.text(f"/console/members.csv?{query}").removeprefix("\ufeff"))))
    sheet = desk.get(f"/console/members.xlsx?{query}")
    assert re.search(r'filename="console-members-[\d-]+\.xlsx"', sheet.headers["content-disposition"])
    rows = CalamineWorkbook.from_filelike(io.BytesIO(sheet.content)).get_sheet_by_index(0).to_python()
    assert rows[0] == text[0] == ["Name", "Account", "Title at work"]
    assert rows[1:] == [[f"=cmd|{number}", f"file-{number}", "@SUM(A1)"] for number in range(3)]
    assert text[1:] == [[f"'=cmd|{number}", f"file-{number}", "'@SUM(A1)"] for number in range(3)]
    assert b"<f>" not in sheet.content
