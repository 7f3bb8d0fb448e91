"""The console as answers to requests: who may, what is typed, what others did meanwhile; with the real directory."""

import csv
import io
import os
import re
import signal
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.portal.pages.desk import Desk, department, faults, form_in, member, names
from tests.portal.pages.serving import Portal
from tests.system.stack import Stack, wait_for

pytestmark = pytest.mark.system

HOSTILE = "\"'><script>alert(1)</script>{{ 7*7 }}"
READ = (
    "/console/members",
    "/console/members.csv",
    "/console/members.xlsx",
    "/console/departments",
    "/console/departments/found?find=a&name=department",
    "/console/organization",
)
CHANGE = (
    "/console/members/new",
    "/console/departments/new",
    "/console/imports",
    "/console/imports.csv",
    "/console/imports/template.xlsx",
    "/console/organization/edit",
    "/console/organization/contacts",
    "/console/organization/joining",
    "/console/organization/purchases/new",
)


@pytest.mark.parametrize("path", [*READ, *CHANGE])
def test_the_console_is_for_those_who_have_a_page_there(portal: Portal, client: httpx2.Client, path: str) -> None:
    """Support looks, an administrator changes, and nobody else gets in, or sees the door."""
    seen = [Desk(portal, client, role, role).get(path).status_code for role in ("booker", "support", "admin")]
    assert seen == [403, 200 if path in READ else 403, 200]
    assert client.get(path).headers["location"].startswith("/sign-in?next=")


def test_the_door_is_shown_to_those_who_may_enter(portal: Portal, client: httpx2.Client) -> None:
    booker, support, admin = (Desk(portal, client, role, role) for role in ("booker", "support", "admin"))
    assert ['href="/console"' in each.text("/") for each in (booker, support, admin)] == [False, True, True]
    assert admin.get("/console").headers["location"] == "/console/members"
    assert booker.get("/console").status_code == 403
    assert ["/console/members/new" in each.text("/console/members") for each in (support, admin)] == [False, True]
    trail = re.findall(r"<li><(?:a|span)[^>]*>([^<]*)</", admin.text("/console/departments").partition("</ol>")[0])
    assert trail == ["Management", "Departments"]


def test_another_language_is_of_the_same_page(desk: Desk) -> None:
    """Also where what it is about stands behind the question mark."""
    page = desk.text("/console/members?q=a&status=enabled").partition("<main")[0]
    assert '<input type="hidden" name="back" value="/console/members?q=a&amp;status=enabled">' in page


def test_a_form_that_is_not_ours_or_not_an_administrators_changes_nothing(
    desk: Desk, portal: Portal, client: httpx2.Client
) -> None:
    _, fields = form_in(desk.text("/console/departments/new"))
    forged = {**fields, "display_name": "Forged", "csrf_token": "0" * 128}
    assert desk.send("/console/departments/new", forged).status_code == 403
    support = Desk(portal, client, "support", "support")
    token = re.search(r'name="csrf_token" value="([^"]*)"', support.text("/console/members"))
    assert token
    assert support.send("/console/departments/new", {"csrf_token": token[1], "display_name": "F"}).status_code == 403
    assert "There is no department" in desk.text("/console/departments?q=Forged") or "is called so" in desk.text(
        "/console/departments?q=Forged"
    )


def test_a_tree_grows_moves_and_shrinks(desk: Desk) -> None:
    """Each step through its form; the children of a node come when they are asked for."""
    top = department(desk, "Tree")
    first, second = department(desk, "First", top), department(desk, "Second", top)
    leaf = department(desk, "Leaf", first)
    below = desk.text(f"/console/departments/{top}/below")
    assert re.findall(r'<a href="/console/departments/[^"]*">(First|Second|Leaf)</a>', below) == ["First", "Second"]
    assert f'hx-get="/console/departments/{first}/below"' in below
    assert "Tree/First/Leaf" in desk.text("/console/departments?q=leaf")
    assert "done=renamed" in desk.done(f"/console/departments/{leaf}/rename", display_name="Blatt")
    assert "done=moved" in desk.done(f"/console/departments/{leaf}/move", parent_id=second)
    page = desk.text(f"/console/departments/{leaf}")
    assert re.findall(r'<li><a href="/console/departments/[^"]*">([^<]*)</a></li>', page) == ["Tree", "Second"]
    moved = desk.done(f"/console/departments/{second}/move", before_department_id=first)
    assert moved.endswith("done=moved")
    below = desk.text(f"/console/departments/{top}/below")
    assert re.findall(r">(First|Second)</a>", below) == ["Second", "First"]
    refused = desk.submit(f"/console/departments/{second}/delete")
    assert (refused.status_code, "" in faults(refused)) == (409, True)
    assert f"/console/departments/{first}" in desk.done(
        f"/console/departments/{second}/merge", into_department_id=first
    )
    assert "done=deleted" in desk.done(f"/console/departments/{leaf}/delete")
    assert desk.get(f"/console/departments/{leaf}").status_code == 404
    assert desk.get(f"/console/departments/{first}/nonsense").status_code == 404


def test_what_a_department_may_not_be_is_said_beside_its_field(desk: Desk) -> None:
    top = department(desk, "Rules of names")
    inside = department(desk, "Inside", top)
    again = desk.submit(f"/console/departments/new?below={top}", display_name="Inside")
    assert (again.status_code, "display_name" in faults(again), 'value="Inside"' in again.text) == (409, True, True)
    slash = desk.submit("/console/departments/new", display_name="a/b")
    assert (slash.status_code, "display_name" in faults(slash), 'value="a/b"' in slash.text) == (422, True, True)
    cycle = desk.submit(f"/console/departments/{top}/move", parent_id=inside)
    assert (cycle.status_code, "parent_id" in faults(cycle)) == (409, True)
    nobody = desk.submit(f"/console/departments/{top}/merge", find="inside")
    assert "choose one of those found" in faults(nobody)["into_department_id"]
    assert "Rules of names/Inside" in nobody.text


def test_a_choice_of_departments_needs_no_script(desk: Desk) -> None:
    """A button beside the field searches; what was chosen, and typed elsewhere, stays."""
    one, two = department(desk, "Choice one"), department(desk, "Choice two")
    found = desk.submit("/console/members/new", display_name="Typed", memberships=[one], find="choice", search="1")
    assert (found.status_code, 'value="Typed"' in found.text) == (200, True)
    assert re.findall(r'name="memberships" value="([^"]*)"( checked)?', found.text) == [(one, " checked"), (two, "")]
    part = desk.text(f"/console/departments/found?name=memberships&find=choice&memberships={one}")
    assert re.findall(r'name="memberships" value="([^"]*)"', part) == [two]
    page = desk.text(member(desk, "chosen", "Chosen", memberships=[one, two], main=two))
    assert re.findall(r">(Choice \w+)</a>( <span class=\"badge\">main)?", page)[0][0] == "Choice two"


def test_members_are_found_by_what_is_known_of_them(desk: Desk) -> None:
    """Name, pinyin, initials, account, address; state, type, department with and without those below."""
    top = department(desk, "Finders")
    low = department(desk, "Keepers", top)
    member(desk, "find-1", "欧阳修", email="ouyang@example.org", memberships=[top], main=top, status="1")
    member(desk, "find-2", "李清照", memberships=[low], main=low, verified="1")
    path = "/console/members"
    for query in ("欧阳", "ouyangxiu", "oyx", "find-1", "ouyang@example"):
        assert names(desk.text(f"{path}?q={quote(query)}")) == ["欧阳修"], query
    assert names(desk.text(f"{path}?department={top}&sort=added")) == ["李清照", "欧阳修"]
    assert names(desk.text(f"{path}?department={top}&only=1")) == ["欧阳修"]
    assert names(desk.text(f"{path}?department={top}&status=enabled")) == ["欧阳修"]
    assert names(desk.text(f"{path}?department={top}&verified=yes")) == ["李清照"]
    assert names(desk.text(f"{path}?department={top}&type=advanced")) == []
    page = desk.text(f"{path}?department={top}")
    assert ("2 found" in page, "<strong>Finders</strong>" in page) == (True, True)
    assert "find-1" not in desk.text(f"{path}?department=-")
    assert "Finders/Keepers" in desk.text(f"{path}?find=keepers")
    file = desk.text(f"{path}.csv?department={top}&col=account")
    assert list(csv.reader(io.StringIO(file.removeprefix("\ufeff"))))[1:] == [
        ["李清照", "find-2"],
        ["欧阳修", "find-1"],
    ]


def test_faults_of_a_member_stand_beside_their_fields(desk: Desk) -> None:
    """And what was typed is kept."""
    typed = {"account_id": "faulty", "display_name": "Faulty", "title": "Typed title"}
    for name, value in {"phone": "12", "email": "nobody", "account_id": "a@example.org"}.items():
        refused = desk.submit("/console/members/new", **(typed | {name: value}))
        assert (refused.status_code, set(faults(refused)) - {""}) == (422, {name}), refused.text
        assert (f'value="{value}"' in refused.text, 'value="Typed title"' in refused.text) == (True, True)
    member(desk, "taken", "Taken", staff_id="S-1", provider_user_id="P-1")
    for name, value in {"account_id": "taken", "staff_id": "S-1", "provider_user_id": "P-1"}.items():
        refused = desk.submit("/console/members/new", **(typed | {name: value}))
        assert (refused.status_code, set(faults(refused)) - {""}) == (409, {name}), refused.text
    gone = desk.submit("/console/members/new", **typed, memberships=["dep_gone"])
    assert (gone.status_code, set(faults(gone)) - {""}) == (409, {"memberships"})
    unpaid = desk.submit("/console/members/new", **typed, account_type="1", department=[])
    assert (unpaid.status_code, set(faults(unpaid)) - {""}) == (409, {"account_type"})
    assert desk.get("/console/member?id=faulty").status_code == 404


def test_hostile_words_are_only_words(desk: Desk) -> None:
    name = department(desk, HOSTILE.replace("/", "|"))
    page = member(desk, HOSTILE, HOSTILE, title=HOSTILE, memberships=[name], main=name)
    account = page.partition("?")[2]
    for path in (
        *(page, f"/console/member/edit?{account}", f"/console/member/disable?{account}"),
        *("/console/members?q=script&col=title&col=account", "/console/departments", f"/console/departments/{name}"),
        f"/console/departments/{name}/move",
    ):
        shown = desk.text(path)
        assert "<script>alert" not in shown, path
        assert "&lt;script&gt;alert(1)&lt;" in shown, path
        assert "{{ 7*7 }}" in shown, path


def test_a_licence_says_when_it_locks_before_it_is_given_and_after(desk: Desk, stack: Stack) -> None:
    """Seven days, as the directory has it; when none is left it is said, and nothing changes."""
    page = member(desk, "licensed", "Licensed")
    give = page.replace("/member?", "/member/give-licence?")
    before = desk.text(give)
    assert "0 of 0 licences are given, 0 are left." in before
    short = desk.submit(give)
    assert (short.status_code, "no licence is left" in faults(short)[""].lower()) == (409, True)
    bought = {"purchase_id": "PO-1", "count": "1", "first_day": "2025-07-01", "last_day": "2025-12-31"}
    desk.done("/console/organization/purchases/new", **bought)
    locks = re.search(r'Given now, it locks <time datetime="([^"]*)">', desk.text(give))
    assert "done=given" in desk.done(give)
    given = desk.text(page)
    said = re.search(r'It locks <time datetime="([^"]*)">', given)
    assert locks
    assert said
    assert abs(minutes(said[1]) - minutes(locks[1])) <= 1
    assert "Take the licence back" in given
    assert "1 of 1 licences are given, 0 are left." in desk.text("/console/members/new")
    assert "done=taken" in desk.done(page.replace("/member?", "/member/take-licence?"))
    assert "None: this is a free account." in desk.text(page)


def minutes(moment: str) -> int:
    """Of a day, and the day: enough for two moments that lie close together."""
    found = re.match(r"\d+-\d+-(\d+)T(\d+):(\d+)", moment)
    assert found
    return (int(found[1]) * 24 + int(found[2])) * 60 + int(found[3])


def test_a_change_over_anothers_is_explained_and_sent_again(desk: Desk) -> None:
    """What was typed stays, beside it how it stands now; the next time it is taken."""
    page = member(desk, "contested", "Before", title="old")
    edit = page.replace("/member?", "/member/edit?")
    mine, confirm = desk.get(edit), desk.get(page.replace("/member?", "/member/enable?"))
    desk.done(edit, title="theirs")
    refused = desk.submit(mine, title="mine")
    assert (refused.status_code, "Somebody else changed it" in faults(refused)[""]) == (409, True)
    assert ('value="mine"' in refused.text, "Now: theirs" in refused.text) == (True, True)
    assert desk.submit(refused).status_code == 303
    assert "<dd>mine</dd>" in desk.text(page)
    again = desk.submit(confirm)
    assert (again.status_code, "Somebody else changed the member" in faults(again)[""]) == (409, True)
    assert desk.submit(again).status_code == 303
    assert "done=disabled" in desk.done(page.replace("/member?", "/member/disable?"))


def test_a_department_and_an_organization_that_others_changed(desk: Desk) -> None:
    name = department(desk, "Contested")
    rename = f"/console/departments/{name}/rename"
    mine, delete = desk.get(rename), desk.get(f"/console/departments/{name}/delete")
    desk.done(rename, display_name="Theirs")
    refused = desk.submit(mine, display_name="Mine")
    assert (refused.status_code, 'value="Mine"' in refused.text, "Now: Theirs" in refused.text) == (409, True, True)
    assert desk.submit(refused).status_code == 303
    assert desk.submit(delete).status_code == 409
    edit, contacts = desk.get("/console/organization/edit"), desk.get("/console/organization/contacts")
    desk.done("/console/organization/edit", display_name="Theirs")
    refused = desk.submit(edit, display_name="Ours")
    assert (refused.status_code, 'value="Ours"' in refused.text, "Now: Theirs" in refused.text) == (409, True, True)
    assert desk.submit(refused).status_code == 303
    row = {"0-display_name": "Wang", "0-email": "wang@example.org", "0-topic-1": ["1"]}
    refused = desk.submit(contacts, **row)
    assert (refused.status_code, 'value="wang@example.org"' in refused.text) == (409, True)
    assert desk.submit(refused).status_code == 303


def test_an_account_is_closed_before_it_is_deleted(desk: Desk) -> None:
    page = member(desk, "leaver/with?odd#id", "Leaver", status="1")
    act = {name: page.replace("/member?", f"/member/{name}?") for name in ("enable", "disable", "delete", "fly")}
    open_ = desk.submit(act["delete"])
    assert (open_.status_code, "" in faults(open_)) == (409, True)
    assert "Delete the member" not in desk.text(page)
    assert "done=disabled" in desk.done(act["disable"])
    assert "done=enabled" in desk.done(act["enable"])
    desk.done(act["disable"])
    assert desk.done(act["delete"]) == "/console/members?done=deleted"
    assert desk.get(page).status_code == 404
    assert desk.get(act["fly"]).status_code == 404
    assert "The member was deleted." in desk.text("/console/members?done=deleted")


def test_what_a_leaver_has_coming_is_asked_and_done_first(desk: Desk, stack: Stack, portal: Portal) -> None:
    """Who is kept, handed over to or cancelled for; nothing is asked where nothing is coming, or nobody may say."""
    page, _ = member(desk, "goer", "Goer", status="1"), member(desk, "heir", "Heir One", status="1")
    other = member(desk, "heir-2", "Heir Two", status="1")
    disable = page.replace("/member?", "/member/disable?")
    assert "reservations that are coming" not in desk.text(disable)
    goer = stack.login("booker", "goer")
    for hour in (10, 12):
        assert goer.reserve(f"2025-07-09 {hour}:00").code == 0
    assert desk.text(disable).count("<bdi>组会</bdi>") == 2
    for typed, fault in (
        ({}, "Choose what becomes"),
        ({"coming": "fly"}, "Choose what becomes"),
        ({"coming": "hand-over"}, "No enabled member"),
        ({"coming": "hand-over", "new_account": "nobody-here"}, "No enabled member"),
        ({"coming": "hand-over", "new_account": "Heir"}, "Choose who takes them over"),
        ({"coming": "hand-over", "new_account": "heir"}, "must have signed in once"),
        ({"coming": "hand-over", "new_account": "goer"}, "ust be another account"),
    ):
        refused = desk.submit(disable, **typed)
        assert (refused.status_code in (409, 422), fault in faults(refused)[""]) == (True, True), (typed, refused.text)
    assert "heir-2" in desk.submit(disable, coming="hand-over", new_account="Heir").text
    heir = stack.login("booker", "heir")
    for hour in (14, 16):
        assert heir.reserve(f"2025-07-09 {hour}:00").code == 0
    done = desk.submit(disable, coming="hand-over", new_account="heir")
    assert (done.status_code, "The account is disabled." in done.text) == (200, True)
    assert (done.text.count("Handed over"), done.text.count("Stays as it was")) == (1, 1)
    assert "the daily limit is 3" in done.text
    told = " ".join(re.sub("<[^>]+>", " ", desk.text(re.findall(r'href="(/reservations/\w+)"', done.text)[0])).split())
    assert "It was handed over to another account" in told
    assert re.search(r"Booker\W* goer\W+heir", told), told
    assert len([each for each in heir.mine() if each["state"].endswith("CONFIRMED")]) == 3
    delete = page.replace("/member?", "/member/delete?")
    assert desk.text(delete).count("<bdi>组会</bdi>") == 1
    done = desk.submit(delete, coming="cancel")
    assert (done.status_code, "The member was deleted." in done.text, "Cancelled" in done.text) == (200, True, True)
    keep = other.replace("heir-2", "heir").replace("/member?", "/member/disable?")
    assert "done=disabled" in desk.done(keep, coming="keep")
    assert len([each for each in heir_reservations(stack) if each["state"].endswith("CONFIRMED")]) == 3


def test_a_member_is_shown_with_what_they_have_booked(desk: Desk, stack: Stack, portal: Portal) -> None:
    """Quota, no-shows, and the reservations that come, the next one first."""
    page = member(desk, "regular", "Regular", status="1")
    assert "Nothing is reserved." in desk.text(page)
    for hour in ("16", "09"):
        assert stack.login("booker", "regular").reserve(f"2025-07-09 {hour}:00").code == 0
    shown = desk.text(page).partition('id="bookings"')[2].partition("</section>")[0]
    assert list(dict.fromkeys(re.findall(r"09:00|16:00", shown))) == ["09:00", "16:00"]
    assert re.findall(r"<strong>(\d+/\d+)</strong>", shown)[:2] == ["0/3", "2/10"]
    [first, _] = re.findall(r'href="(/reservations/\w+)"', shown)
    assert "Regular" in desk.text(first) or "regular" in desk.text(first)
    assert "Standing of regular" in desk.text("/support/accounts?account_id=regular")


def test_signing_in_for_the_first_time_activates_an_account(desk: Desk, portal: Portal) -> None:
    page = member(desk, "newcomer", "Newcomer")
    unused, unseen = "Not activated", "Last sign-in</dt><dd>None yet<"
    assert [each in desk.text(page) for each in (unused, unseen)] == [True, True]
    portal.sign_in("newcomer")
    assert [each in desk.text(page) for each in (unused, unseen, "Last sign-in</dt>")] == [False, False, True]


def heir_reservations(stack: Stack) -> list[dict[str, Any]]:
    """As support sees them, for the account is closed."""
    found = stack.login("support", "desk").yunhui("mine", "--all-accounts").answer["reservations"]
    return [each for each in found if each["organizer"]["accountId"] == "heir"]


def test_contacts_and_purchases_are_looked_at_field_by_field(desk: Desk) -> None:
    rows = {"0-display_name": "Li", "0-email": "li@example.org", "0-topic-2": ["1"]}
    more = desk.submit("/console/organization/contacts", **rows, more="1")
    assert more.text.count("-display_name") >= 2
    bad = desk.submit(more, **{"1-display_name": "Nobody", "1-email": "nowhere", "1-topic-1": ["1"]})
    assert (bad.status_code, "1-email" in faults(bad), 'value="nowhere"' in bad.text) == (422, True, True)
    none = desk.submit(bad, **{"1-email": "no@example.org", "1-topic-1": []})
    assert (none.status_code, 'value="no@example.org"' in none.text) == (422, True)
    assert desk.submit(none, **{"1-remove": ["1"]}).status_code == 303
    assert "li@example.org" in desk.text("/console/organization")
    purchase = {"purchase_id": "PO.2", "count": "5", "first_day": "2025-07-01", "last_day": "2025-07-31"}
    path = "/console/organization/purchases/new"
    for name, value in {"purchase_id": "a b", "count": "many", "first_day": "x", "last_day": "2025-06-01"}.items():
        refused = desk.submit(path, **(purchase | {name: value}))
        assert (refused.status_code, set(faults(refused)) - {""}) == (422, {name}), refused.text
        assert f'value="{value}"' in refused.text
    desk.done(path, **purchase)
    one = "/console/organization/purchase?id=PO.2"
    page = desk.text(one)
    assert ('value="2025-07-01"' in page, 'value="2025-07-31"' in page) == (True, True)
    assert "done=entered" in desk.done(one, count="7")
    assert ">7</td>" in desk.text("/console/organization")
    assert "done=removed" in desk.done("/console/organization/purchase/remove?id=PO.2")
    assert desk.get(one).status_code == 404


def test_without_the_directory_the_rest_goes_on(desk: Desk, stack: Stack) -> None:
    """The console says that a service is away, with what was typed; the other pages do not mind."""
    page = desk.get("/console/departments/new")
    os.kill(stack.pids["directory"], signal.SIGKILL)
    answer = desk.submit(page, display_name="Patient")
    assert (answer.status_code, answer.headers["retry-after"], 'value="Patient"' in answer.text) == (503, "3", True)
    assert desk.get("/").status_code == 200
    wait_for(lambda: desk.get("/console/members").status_code == 200)
