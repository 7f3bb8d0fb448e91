"""Roles in the console: the matrix, own roles, who has them, why, and handing over; with the real directory."""

import html
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx2
import pytest

from services.platform.serving.permissions import BUILT_IN, CATALOGUE
from services.portal.console.roles import MODULES
from tests.portal.pages.desk import Desk, department, faults, member
from tests.portal.pages.serving import Portal
from tests.system.stack import MONDAY, Stack, wait_for

pytestmark = pytest.mark.system

OWNER = "owner"
"""Super administrator from the start; their token says no more than that they are a member."""
HOSTILE = "\"'><script>alert(1)</script>{{ 7*7 }}"
READ = ("/console/roles", "/console/roles/admin", "/console/roles/booker")
CHANGE = ("/console/roles/new", "/console/member/give-role?id=owner")
TRANSFER = "/console/organization/transfer"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("roles"), YUNHUI_SUPER_ADMINISTRATOR=OWNER)
    running.start("--clock", MONDAY)
    yield running
    running.stop()


@pytest.fixture
def desk(portal: Portal, client: httpx2.Client) -> Desk:
    return person(portal, client, OWNER)


def person(portal: Portal, client: httpx2.Client, account: str, language: str = "en") -> Desk:
    """A member, by the token."""
    return Desk(portal, client, account, "booker", language)


def sees(desk: Desk, path: str) -> bool:
    return desk.get(path).status_code == 200


def said(permission: str) -> str:
    """As it stands alone."""
    words = str(CATALOGUE[permission])
    return words[:1].upper() + words[1:]


def role(desk: Desk, name: str, *permissions: str, **more: str) -> str:
    """Its id."""
    made = desk.done("/console/roles/new", display_name=name, permissions=list(permissions), **more)
    assert made.endswith("?done=made")
    return made.partition("?")[0].rpartition("/")[2]


def give(desk: Desk, account: str, role_id: str, department_id: str = "") -> None:
    path = f"/console/member/give-role?id={account}"
    assert "done=role-given" in desk.done(path, role_id=role_id, department_id=department_id)


def taking(account: str, role_id: str, department_id: str = "") -> str:
    fields = {"id": account, "role_id": role_id, "department_id": department_id}
    return f"/console/member/take-role?{urlencode(fields)}"


def matrix(page: str) -> dict[str, list[str]]:
    """By the name of a role: what it permits, in words."""
    roles = re.findall(r'<th scope="col"><a [^>]*>([^<]*)</a>', page)
    found: dict[str, list[str]] = {html.unescape(each): [] for each in roles}
    for name, cells in re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page, re.S):
        for each, mark in zip(found.values(), re.findall(r"<td>(✓?)</td>", cells), strict=True):
            each += [html.unescape(name)] if mark else []
    return found


def lacking(answer: httpx2.Response) -> list[str]:
    """What a refusal says would be needed."""
    note = re.search(r'<div class="note bad lacking">.*?<ul>(.*?)</ul>', answer.text, re.S)
    return re.findall("<li>(.*?)</li>", note[1]) if note else []


@pytest.mark.parametrize("path", [*READ, *CHANGE])
def test_roles_are_for_those_who_may_see_or_change_them(
    desk: Desk, portal: Portal, client: httpx2.Client, path: str
) -> None:
    """By what is permitted: support has no page here, nor a tab."""
    support, admin = (Desk(portal, client, name, name) for name in ("support", "admin"))
    assert wait_for(lambda: sees(desk, path))
    assert [each.get(path).status_code for each in (person(portal, client, "nobody"), support, admin)] == [
        403,
        403,
        200,
    ]
    assert ['href="/console/roles"' in each.text("/console/members") for each in (support, admin)] == [False, True]


def test_the_matrix_shows_what_each_role_permits(desk: Desk) -> None:
    """Built-in ones first, then those of one's own by name."""
    role(desk, "Zebra keepers", "rooms.edit")
    role(desk, "Archivists", "audit.view", "events.repair")
    shown = matrix(desk.text("/console/roles"))
    names = ["Member", "Technical support", "Administrator", "Super administrator", "Archivists", "Zebra keepers"]
    assert [each for each in shown if each in names] == names
    built_in = zip(("booker", "support", "admin", "super_admin"), names, strict=False)
    for role_id, name in built_in:
        assert shown[name] == [said(each) for each in CATALOGUE if each in BUILT_IN[role_id]]
    assert shown["Archivists"] == [said("events.repair"), said("audit.view")]
    assert said("attendance.report") not in desk.text("/console/roles"), "no member can have it"


def test_a_role_is_made_changed_and_deleted(desk: Desk) -> None:
    role_id = role(desk, "Front desk", "members.view", "rooms.edit", description="Who meets visitors")
    page = desk.text(f"/console/roles/{role_id}")
    assert all(words in page for words in ("Front desk", "Who meets visitors", "members.view", "rooms.edit"))
    changed = desk.done(f"/console/roles/{role_id}/edit", display_name="Reception", permissions=["members.view"])
    assert changed == f"/console/roles/{role_id}?done=saved"
    page = desk.text(changed)
    assert ("Reception" in page, "Who meets visitors" in page, "rooms.edit" in page) == (True, True, False)
    like = desk.text(f"/console/roles/new?like={role_id}")
    assert re.findall(r'name="permissions" value="([^"]*)" checked', like) == ["members.view"]
    assert desk.done(f"/console/roles/{role_id}/delete") == "/console/roles?done=deleted"
    assert desk.get(f"/console/roles/{role_id}").status_code == 404


def test_faults_of_a_role_stand_beside_their_fields(desk: Desk) -> None:
    """And what was typed is kept, the boxes too."""
    role_id = role(desk, "Taken", "rooms.edit")
    new = "/console/roles/new"
    again = desk.submit(new, display_name="Taken", permissions=["audit.view"])
    assert (again.status_code, set(faults(again)) - {""}) == (409, {"display_name"})
    assert ('value="Taken"' in again.text, 'value="audit.view" checked' in again.text) == (True, True)
    for path, typed in ((new, {"display_name": "None"}), (f"/console/roles/{role_id}/edit", {"permissions": []})):
        none = desk.submit(path, **typed)
        assert (none.status_code, set(faults(none)) - {""}) == (422, {"permissions"}), path
    fixed = desk.submit(new, display_name="Fixed", permissions=["organization.transfer"])
    assert (fixed.status_code, set(faults(fixed)) - {""}) == (422, {"permissions"})
    assert 'value="organization.transfer"' not in desk.text(new)


def test_a_role_that_others_changed_meanwhile_is_shown_as_it_stands_now(desk: Desk) -> None:
    role_id = role(desk, "Raced", "rooms.edit")
    path = f"/console/roles/{role_id}/edit"
    old = desk.get(path)
    desk.done(path, description="Theirs", permissions=["audit.view"])
    stale = desk.submit(old, display_name="Mine")
    assert (stale.status_code, 'value="Mine"' in stale.text) == (409, True)
    assert "Now: Theirs" in re.sub("<[^>]*>", "", stale.text)
    assert re.findall(r"<p>Now:</p><ul><li>(.*?)</li></ul>", stale.text) == [said("audit.view")]
    assert desk.submit(stale).status_code == 303
    assert desk.submit(old, display_name="Late").status_code == 409


def test_a_role_is_given_for_a_department_and_taken_again(desk: Desk) -> None:
    """The department is searched for without a script; both pages tell of it."""
    role_id = role(desk, "Keepers", "members.view")
    top = department(desk, "Keep")
    page = member(desk, "keeper", "Keeper")
    found = desk.submit("/console/member/give-role?id=keeper", role_id=role_id, find="keep", search="1")
    assert re.findall(r'name="department_id" value="([^"]*)"( checked)?', found.text) == [("", " checked"), (top, "")]
    assert re.search(rf'<option value="{role_id}" selected>', found.text)
    give(desk, "keeper", role_id, top)
    give(desk, "keeper", role_id)
    held = re.findall(r"<li><div><a [^>]*>([^<]*)</a><br>(.*?)</div>", desk.text(page))
    assert [name for name, _ in held] == ["Keepers", "Keepers"]
    assert ["Keep</a>" in where for _, where in held] == [False, True]
    assert "keeper" in desk.text(f"/console/roles/{role_id}")
    assert "done=role-taken" in desk.done(taking("keeper", role_id, top))
    assert desk.get(taking("keeper", role_id, top)).status_code == 404
    assert "Keep</a>" not in desk.text(page).partition('id="roles"')[2].partition("</section>")[0]


def test_what_was_taken_by_others_meanwhile_is_taken(desk: Desk) -> None:
    member(desk, "twice", "Twice")
    give(desk, "twice", "support")
    old = desk.get(taking("twice", "support"))
    desk.done(taking("twice", "support"))
    assert desk.submit(old).headers["location"].endswith("done=role-taken")


def test_a_role_that_somebody_has_is_not_deleted(desk: Desk, portal: Portal, client: httpx2.Client) -> None:
    """Said in either language."""
    role_id = role(desk, "Held", "rooms.edit")
    member(desk, "holder", "Holder")
    give(desk, "holder", role_id)
    path = f"/console/roles/{role_id}/delete"
    assert "1 member has this role" in desk.text(path)
    refused = desk.submit(path)
    assert (refused.status_code, faults(refused)[""]) == (409, "Somebody has this role: take it from them first.")
    chinese = person(portal, client, OWNER, "zh-CN").submit(path)
    assert (chinese.status_code, "角色" in faults(chinese)[""]) == (409, True)
    desk.done(taking("holder", role_id))
    assert "done=deleted" in desk.done(path)


def test_nobody_gives_more_than_they_have(desk: Desk, portal: Portal, client: httpx2.Client) -> None:
    """What is lacking is said in words; what was chosen is kept."""
    editors = role(desk, "Editors", "members.view", "roles.view", "roles.edit")
    member(desk, "editor", "Editor")
    member(desk, "other", "Other")
    give(desk, "editor", editors)
    editor = person(portal, client, "editor")
    wait_for(lambda: sees(editor, "/console/roles/new"))
    role(editor, "Narrow", "members.view")
    wide = editor.submit("/console/roles/new", display_name="Wide", permissions=["members.view", "rooms.edit"])
    assert (wide.status_code, lacking(wide)) == (409, [said("rooms.edit")])
    assert 'value="rooms.edit" checked' in wide.text
    given = editor.submit("/console/member/give-role?id=other", role_id="support")
    assert given.status_code == 409
    assert said("violations.waive") in lacking(given)
    assert '<option value="support" selected>' in given.text
    give(desk, "other", "support")
    taken = editor.submit(taking("other", "support"))
    assert (taken.status_code, said("violations.waive") in lacking(taken)) == (409, True)
    strong = role(desk, "Strong", "audit.view")
    deleted = editor.submit(f"/console/roles/{strong}/delete")
    assert (deleted.status_code, lacking(deleted)) == (409, [said("audit.view")])
    chinese = person(portal, client, "editor", "zh-CN")
    wide = chinese.submit("/console/roles/new", display_name="Wide", permissions=["audit.view"])
    assert lacking(wide) == [CATALOGUE["audit.view"].to("zh-CN")]


def test_the_last_super_administrator_stays(desk: Desk, portal: Portal, client: httpx2.Client) -> None:
    refused = desk.submit(taking(OWNER, "super_admin"))
    assert (refused.status_code, "" in faults(refused)) == (409, True)
    assert "super administrator" in faults(refused)[""].lower()
    chinese = person(portal, client, OWNER, "zh-CN").submit(taking(OWNER, "super_admin"))
    assert "超级管理员" in faults(chinese)[""]


def test_why_somebody_may_is_said_on_their_page(desk: Desk) -> None:
    """Role by role; and what would help, where they may not."""
    role_id = role(desk, "Auditors", "audit.view")
    page = member(desk, "auditor", "Auditor", status="1")

    def why(permission: str) -> str:
        part = desk.text(f"{page}&why={permission}").partition('id="why"')[2].partition("</section>")[0]
        return html.unescape(re.sub(r"<option.*?</option>|<[^>]*>", "", part))

    assert "No, this person may not." in why("audit.view")
    assert "None of their roles gives it." in why("audit.view")
    helping = why("audit.view").partition("Roles that give it: Administrator · Super administrator · ")[2]
    assert "Auditors" in helping
    give(desk, "auditor", role_id)
    assert "Yes, this person may." in why("audit.view")
    assert "It comes with the role Auditors, for the whole organization." in why("audit.view")
    assert "Every member may" in why("reservations.book")
    desk.done(page.replace("/member?", "/member/disable?"))
    assert "The account is disabled" in why("audit.view")
    assert "No, this person may not." in why("reservations.book")
    assert "this person may" not in why("made.up")


def test_hostile_words_are_only_words(desk: Desk) -> None:
    role_id = role(desk, HOSTILE[:50], "rooms.edit", description=HOSTILE)
    member(desk, "victim", HOSTILE)
    give(desk, "victim", role_id)
    for path in (
        *("/console/roles", f"/console/roles/{role_id}", f"/console/roles/{role_id}/edit"),
        *(f"/console/roles/{role_id}/delete", "/console/member?id=victim&why=rooms.edit", taking("victim", role_id)),
        "/console/member/give-role?id=victim",
    ):
        shown = desk.text(path)
        assert "<script>alert" not in shown, path
        assert "&lt;script&gt;alert(1)&lt;" in shown, path


def test_every_permission_stands_in_a_module() -> None:
    """Those of one title follow each other, or it would stand there twice."""
    titles = [MODULES[each.partition(".")[0]] for each in CATALOGUE if each != "attendance.report"]
    changes = [now for before, now in zip([None, *titles], titles, strict=False) if now != before]
    assert len(changes) == len(set(changes))


def test_the_organization_is_handed_over_when_the_successor_accepts(
    desk: Desk, portal: Portal, client: httpx2.Client
) -> None:
    """Each sees what is theirs to do, others see nothing; called off, it was nothing. Last, for the owner changes."""
    member(desk, "heir", "Heir", status="1")
    heir, other = person(portal, client, "heir"), person(portal, client, "third")
    assert "Super administrators" in desk.text("/console/organization")
    assert [each.get(TRANSFER).status_code for each in (heir, other)] == [404, 404]
    nobody = desk.submit(f"{TRANSFER}?find=heir")
    assert (nobody.status_code, "choose one of those found" in faults(nobody)[""]) == (422, True)
    begun = desk.submit(f"{TRANSFER}?find=heir", account_id="heir")
    assert begun.headers["location"] == f"{TRANSFER}?done=begun"
    assert f"{portal.address}{TRANSFER}" in desk.text(TRANSFER)
    assert "being handed over to Heir" in desk.text("/console/organization")
    assert other.get(TRANSFER).status_code == 404
    old = heir.get(TRANSFER)
    assert "Accept, and become super administrator" in old.text
    assert desk.submit(TRANSFER).headers["location"] == f"{TRANSFER}?done=cancelled"
    late = heir.submit(old)
    assert (late.status_code, "" in faults(late)) == (409, True)
    desk.submit(f"{TRANSFER}?find=heir", account_id="heir")
    assert heir.submit(TRANSFER).headers["location"] == f"{TRANSFER}?done=accepted"
    assert "You are super administrator now." in heir.text(f"{TRANSFER}?done=accepted")
    wait_for(lambda: sees(heir, "/console/organization"))
    assert wait_for(lambda: desk.get(TRANSFER).status_code == 404)
    assert re.findall(r'<a href="/console/member\?id=(\w+)">', heir.text("/console/roles/super_admin")) == ["heir"]
    assert sees(desk, "/console/roles"), "an administrator still"
