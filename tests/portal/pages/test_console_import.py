"""A table of people through the console: uploaded, looked at row by row, applied or given up; without JavaScript."""

import csv
import html
import io
import re
from collections.abc import Iterable

import httpx2
import pytest
from python_calamine import CalamineWorkbook

from tests.portal.pages.desk import Desk, faults, member
from tests.portal.pages.serving import Portal
from tests.system.stack import wait_for

pytestmark = pytest.mark.system

HEAD = ("账号", "姓名", "邮箱", "部门", "账号类型")
TABLE = (
    HEAD,
    ("table.new", "新人", "new@example.org", "导入一部/二组", "免费账号"),
    ("table.known", "改名", "", "", ""),
    ("table.same", "Same", "", "", ""),
    ("table.bad", "Bad", "nobody", "", "白金账号"),
)


def written(rows: Iterable[Iterable[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


def arrived(desk: Desk, content: bytes, name: str = "people.csv") -> str:
    """The address of the import, once all of the file is there."""
    answer = desk.upload(content, name)
    assert answer.status_code == 303, answer.text
    page = str(answer.headers["location"])
    wait_for(lambda: "<progress" not in desk.get(page).text)
    return page


def tiles(page: str) -> list[int]:
    return [int(each) for each in re.findall(r"<dt>[^<]*</dt><dd>(\d+)</dd>", page)]


def rows(page: str) -> list[list[str]]:
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in body.split("<tr>")[1:]]
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in row] for row in cells]


@pytest.fixture
def known(desk: Desk) -> None:
    if desk.get("/console/member?id=table.known").status_code == 404:
        member(desk, "table.known", "Before")
        member(desk, "table.same", "Same")


def test_a_table_is_looked_at_before_it_is_applied(desk: Desk, known: None) -> None:
    page = arrived(desk, written(TABLE))
    one = re.sub("&size=.*", "", page)
    shown = desk.text(page)
    assert tiles(shown) == [1, 1, 1, 1, 2]
    assert [row[:2] for row in rows(shown)] == [
        ["2", "Is added"],
        ["3", "Changes"],
        ["4", "Stays as it is"],
        ["5", "Cannot be taken"],
    ]
    assert rows(shown)[1][4] == "Name: Before → 改名"
    assert [row[0] for row in rows(desk.text(f"{one}&verdict=failed"))] == ["5"]
    reasons = rows(shown)[3][4].split("\n")
    assert [each.partition(":")[0] for each in reasons] == ["Column C, E-mail", "Column E, Account type"]
    chinese = desk.get(f"{one}&verdict=failed", cookie=desk.cookie("zh-CN")).text
    assert "C 列（邮箱）：" in chinese
    assert desk.get("/console/member?id=table.new").status_code == 404
    failed = csv.reader(io.StringIO(desk.text(one.replace("/import?", "/import/failed.csv?")).removeprefix("\ufeff")))
    assert [row[0] for row in failed] == ["账号", "table.bad"]
    sheet = desk.get(one.replace("/import?", "/import/failed.xlsx?")).content
    assert CalamineWorkbook.from_filelike(io.BytesIO(sheet)).get_sheet_by_index(0).to_python()[1][0] == "table.bad"
    apply = one.replace("/import?", "/import/apply?")
    whole = desk.submit(apply)
    assert (whole.status_code, "1 rows cannot be taken" in faults(whole)[""]) == (409, True)
    done = desk.done(apply, good_rows=["1"])
    said = desk.text(done)
    assert ("The table was applied" in said, tiles(said), "<tbody>" in said) == (True, [1, 1, 1, 1, 2], False)
    assert "新人" in desk.text("/console/member?id=table.new")
    assert "导入一部/二组" in desk.text("/console/member?id=table.new")
    again = arrived(desk, written(TABLE[:4]))
    assert "There is nothing to apply" in desk.text(again)
    assert desk.get(again.replace("/import?", "/import/apply?")).status_code == 200


def test_an_import_is_given_up(desk: Desk) -> None:
    page = arrived(desk, written([HEAD, ("table.gone", "Gone", "", "", "")]), "C:\\people\\gone.csv")
    assert "<bdi>gone.csv</bdi>" in desk.text(page)
    cancel = desk.act(page, "/console/import/cancel")
    assert cancel.headers["location"] == "/console/imports?done=cancelled"
    assert "was given up" in desk.text("/console/imports?done=cancelled")
    assert "what was uploaded is forgotten" in desk.text(page)
    assert desk.get(page.replace("/import?", "/import/apply?")).status_code == 303
    assert "gone.csv</a></td>" in desk.text("/console/imports")


def test_what_changed_meanwhile_is_looked_at_again(desk: Desk) -> None:
    """The check no longer holds: it is said, and the next one does."""
    page = arrived(desk, written([HEAD, ("table.late", "Late", "", "", "")]))
    apply = desk.get(page.replace("/import?", "/import/apply?"))
    member(desk, "table.late", "Others were faster")
    refused = desk.submit(apply)
    assert (refused.status_code, "has changed since the check" in faults(refused)[""]) == (409, True)
    fresh = desk.act(page, "/console/import/check").headers["location"]
    assert rows(desk.text(fresh))[0][4] == "Name: Others were faster → Late"


@pytest.mark.parametrize(
    ("content", "name", "status", "said"),
    [
        (b"", "empty.csv", 422, "Choose a file that is not empty"),
        (b"x" * 20_000_001, "large.csv", 413, "The file has more than 20 MB"),
    ],
)
def test_a_file_that_cannot_be_uploaded(desk: Desk, content: bytes, name: str, status: int, said: str) -> None:
    refused = desk.upload(content, name)
    assert (refused.status_code, said in faults(refused)["file"]) == (status, True)
    assert name not in desk.text("/console/imports")


@pytest.mark.parametrize(("content", "said"), [(b"\0\1\2", "no table"), (b"a,b\n1,2\n", "There is no column")])
def test_a_file_that_is_no_table_says_so_where_it_would_be_shown(desk: Desk, content: bytes, said: str) -> None:
    page = arrived(desk, content)
    shown = desk.get(page)
    assert shown.status_code == 200
    assert said in faults(shown)[""], faults(shown)
    assert "Give it up" in shown.text
    assert desk.act(page, "/console/import/cancel").status_code == 303


def test_while_a_file_is_on_its_way_the_page_shows_how_far_it_is(desk: Desk) -> None:
    """And asks again by itself; without what its file has, a button reads what is there."""
    page = arrived(desk, b"not a table\0")
    one = re.sub("&size=.*", "", page)
    shown = desk.text(f"{one}&size=24")
    assert re.search(r'<progress max="24" value="12"', shown)
    assert ('hx-trigger="every 2s"' in shown, '<meta http-equiv="refresh" content="2">' in shown) == (True, True)
    assert "were not read yet" in desk.text(one)
    assert desk.act(one, "/console/import/check").status_code == 422
    desk.act(one, "/console/import/cancel")


def test_templates_have_all_columns(desk: Desk) -> None:
    assert desk.text("/console/imports/template.csv").startswith("\ufeffAccount ID,Name,")
    sheet = desk.get("/console/imports/template.xlsx")
    assert 'filename="members.xlsx"' in sheet.headers["content-disposition"]
    assert (
        CalamineWorkbook.from_filelike(io.BytesIO(sheet.content)).get_sheet_by_index(0).to_python()[0][0]
        == "Account ID"
    )
    assert desk.get("/console/imports/template.exe").status_code == 404


def test_only_administrators_upload_and_only_from_our_page(portal: Portal, client: httpx2.Client, desk: Desk) -> None:
    """Whoever may not is answered before the file is read."""
    table = written([HEAD, ("table.forged", "Forged", "", "", "")])
    assert desk.upload(table, csrf_token="0" * 128).status_code == 403
    support = Desk(portal, client, "support", "support")
    token = re.search(r'name="csrf_token" value="([^"]*)"', support.text("/console/members"))
    assert token
    assert support.post_file("/console/imports", table, token[1]).status_code == 403
    stranger = client.post("/console/imports", files={"file": ("a.csv", table)}, headers={"origin": portal.address})
    assert "Forged" not in stranger.text
    assert stranger.status_code in (200, 403)


def test_hostile_words_of_a_table_are_only_words(desk: Desk) -> None:
    hostile = "\"'><script>alert(1)</script>{{ 7*7 }}"
    page = arrived(
        desk, written([HEAD, ("table.hostile", hostile, hostile, "", "")]), f"{hostile}.csv".replace("/", "")
    )
    for path in (page, "/console/imports"):
        shown = desk.text(path)
        assert ("<script>alert" in shown, "{{ 7*7 }}" in shown) == (False, True), path
    desk.act(page, "/console/import/cancel")
