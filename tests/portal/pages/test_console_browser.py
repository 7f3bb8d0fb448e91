"""The console in a browser: tables that follow what is typed, trees that unfold, choices; and without JavaScript."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.portal.pages.people import MEMBERS, settle
from tests.portal.pages.scenery import upload
from tests.portal.pages.visitor import Visitor
from tests.system.stack import Stack

pytestmark = pytest.mark.system


@pytest.fixture(scope="module", autouse=True)
def settled(stack: Stack) -> None:
    settle(stack.login("admin", "root"))


def test_a_table_follows_what_is_typed_and_its_address_can_be_shared(visitor: Visitor) -> None:
    """Without a fresh page: the focus stays where it is. Whoever opens the address sees the same."""
    page = visitor.open("root", "admin")
    page.goto("/console/members")
    expect(page.locator("#total")).to_have_text(f"共 {len(MEMBERS)} 条")
    page.evaluate("window.untouched = true")
    page.locator("[name=q]").press_sequentially("liwei")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    expect(page.locator("#total")).to_have_text("共 1 条")
    expect(page.locator("[name=q]")).to_be_focused()
    expect(page).to_have_url(re.compile(r"/console/members\?q=liwei$"))
    page.locator("[name=q]").fill("")
    page.locator("[name=type]").select_option("advanced")
    expect(page.locator("#rows tbody tr")).to_have_count(2)
    page.locator("summary", has_text="显示列").click()
    page.get_by_label("邮箱").check()
    expect(page.locator("#rows thead")).to_contain_text("邮箱")
    assert page.evaluate("window.untouched")
    other = visitor.open("lin", "support")
    other.goto(page.url)
    expect(other.locator("#rows tbody tr")).to_have_count(2)
    expect(other.locator("#rows thead")).to_contain_text("邮箱")
    other.locator("#rows thead a", has_text="添加时间").click()
    expect(other.locator("th[aria-sort=descending]")).to_contain_text("添加时间")
    expect(other.locator("#rows tbody tr")).to_have_count(2)


@pytest.mark.parametrize("status", [0, 503])
def test_a_table_that_cannot_be_fetched_says_so(visitor: Visitor, status: int) -> None:
    """By whatever comes in between; what was shown stays, and one click asks again."""
    page = visitor.open("root", "admin")
    page.goto("/console/members")

    def fail(route: Route) -> None:
        if route.request.headers.get("hx-request"):
            route.fulfill(status=status) if status else route.abort()
        else:
            route.continue_()

    page.route("**/console/members?*", fail)
    expect(page.locator("#rows .fault")).to_be_hidden()
    page.locator("[name=status]").select_option("disabled")
    expect(page.locator("#rows .fault")).to_be_visible()
    expect(page.locator("#rows tbody tr")).to_have_count(len(MEMBERS))
    page.locator("#rows .fault a").click()
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    assert [each for each in visitor.complaints if not each.startswith(("htmx:", "Response Status Error"))] == []
    visitor.complaints.clear()  # htmx says it in the console, too


def test_a_tree_unfolds_by_keyboard(visitor: Visitor) -> None:
    """A level at a time, each fetched when it is asked for."""
    page = visitor.open("root", "admin")
    page.goto("/console/departments")
    expect(page.get_by_role("link", name="计算中心")).to_have_count(0)
    page.locator(".tree summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="计算中心")).to_be_visible()
    page.locator(".tree .tree summary").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="网络与安全组").click()
    expect(page.locator("h1")).to_have_text("网络与安全组")
    expect(page.locator(".crumbs li")).to_have_text(["企业管理", "部门", "高能物理研究所", "计算中心", "网络与安全组"])
    page.get_by_role("link", name="2 名成员").first.click()
    expect(page.locator("#rows tbody tr")).to_have_count(2)


def test_a_department_is_chosen_by_its_pinyin(visitor: Visitor) -> None:
    page = visitor.open("root", "admin")
    page.goto("/console/member/edit?id=anna.meyer")
    page.locator("[name=find]").press_sequentially("jisuanzhongxin")
    page.get_by_label("高能物理研究所/计算中心", exact=True).check()
    page.locator(".option", has_text="计算中心").locator("[name=main]").check()
    page.locator("[name=find]").fill("wulisuo")  # what was chosen stays when something else is searched for
    expect(page.locator(".found .hint")).to_be_visible()
    page.locator("[name=find]").fill("jisuanzhongxin")  # and is not offered twice
    expect(page.locator(".found .hint")).to_be_visible()
    expect(page.locator(".option", has_text="计算中心")).to_have_count(1)
    page.get_by_role("button", name="保存").click()
    expect(page.locator(".banner.good")).to_be_visible()
    expect(page.locator("main .plain li", has_text="计算中心")).to_have_text(re.compile("计算中心.*主部门"))


def test_what_was_chosen_before_a_late_answer_stays(visitor: Visitor) -> None:
    """The answer to an earlier question may come after the choice, and does not know of it."""
    page = visitor.open("root", "admin")
    page.goto("/console/member/edit?id=zhou.yan")
    page.locator("[name=find]").fill("jisuanzhongxin")
    label = page.get_by_label("高能物理研究所/计算中心", exact=True)
    expect(label).to_be_visible()
    held: list[Route] = []
    page.route("**/departments/found*", lambda route: held.append(route))
    page.locator("[name=find]").fill("jisuanzhong")
    expect(page.locator("[name=find].htmx-request")).to_have_count(1)
    label.check()
    held[0].continue_()
    expect(page.locator("[name=find].htmx-request")).to_have_count(0)
    expect(page.locator(".option", has_text="计算中心")).to_have_count(1)
    expect(label).to_be_checked()


def test_the_console_needs_no_script(visitor: Visitor) -> None:
    """Filters have a button, trees links, and choices a search of their own."""
    page = visitor.open("root", "admin", java_script_enabled=False)
    page.goto("/console/members")
    page.fill("[name=q]", "wf")
    page.get_by_role("button", name="查看").click()
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    page.get_by_role("link", name="部门", exact=True).first.click()
    page.get_by_role("link", name="高能物理研究所").click()
    expect(page.get_by_role("link", name="计算中心")).to_be_visible()
    page.get_by_role("link", name="并入其他部门").click()
    page.fill("[name=find]", "wulisuo")
    page.get_by_role("button", name="搜索").click()
    expect(page.locator(".pick .hint")).to_be_visible()
    page.fill("[name=find]", "institute")
    page.get_by_role("button", name="搜索").click()
    page.get_by_label("Institute of Physics").check()
    page.get_by_role("button", name="合并").click()
    expect(page.locator("h1")).to_have_text("Institute of Physics")
    expect(page.locator(".banner.good")).to_be_visible()


def test_a_table_is_imported_without_script(visitor: Visitor) -> None:
    """From the members' page: uploaded, looked at, filtered, applied."""
    page = visitor.open("root", "admin", java_script_enabled=False)
    page.goto("/console/members")
    page.get_by_role("link", name="批量导入").first.click()
    upload(page)
    expect(page.locator("#rows tbody tr")).to_have_count(6)
    page.locator("[name=verdict]").select_option("failed")
    page.get_by_role("button", name="查看").click()
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    expect(page.locator("#rows tbody")).to_contain_text("E 列（账号类型）")
    page.get_by_role("link", name="导入…").click()
    page.locator("[name=good_rows]").check()
    page.get_by_role("button", name="确认导入").click()
    expect(page.locator(".banner.good")).to_contain_text("表格已导入")
    page.goto("/console/members?q=marie.weber&department=")
    expect(page.locator("#rows tbody tr")).to_have_count(1)


def test_a_large_file_is_refused_before_it_travels(visitor: Visitor) -> None:
    page = visitor.open("root", "admin", language="en")
    page.goto("/console/imports")
    page.locator("input[type=file]").evaluate("field => { field.dataset.most = 3; }")
    page.set_input_files("[name=file]", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"1234"})
    message = page.locator("[name=file]").evaluate("field => field.validationMessage")
    assert message == "The file has more than 20 MB: split it into several files."
    page.set_input_files("[name=file]", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"123"})
    assert page.locator("[name=file]").evaluate("field => field.validity.valid")


def test_boxes_are_counted_and_ticked_together(visitor: Visitor) -> None:
    """Also in rows that came later; the act is confirmed on a page of its own."""
    page = visitor.open("root", "admin", language="en")
    page.goto("/console/members")
    page.locator("[name=pick]").first.check()
    expect(page.locator("[data-count]")).to_have_text("1 selected")
    assert page.locator("[data-all]").evaluate("box => box.indeterminate")
    page.locator("[name=q]").press_sequentially("example.org")
    expect(page.locator("[data-count]")).to_have_text("0 selected")
    page.locator("[name=q]").fill("wang")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    page.get_by_label("Select all on this page").check()
    expect(page.locator("[data-count]")).to_have_text("1 selected")
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("main tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Disable the accounts").click()
    expect(page.locator(".banner.good")).to_contain_text("Done for 1 member.")
    page.get_by_role("link", name="Back to the list").click()
    expect(page).to_have_url(re.compile(r"/console/members"))


def test_the_search_is_used_by_keyboard_alone(visitor: Visitor) -> None:
    """Opened, typed into, chosen, followed; closed; the focus goes back to where it was."""
    page = visitor.open("root", "admin", language="en")
    page.goto("/settings")
    page.keyboard.press("Control+k")
    field = page.locator(".palette [role=combobox]")
    expect(field).to_be_focused()
    expect(page.locator(".palette [role=option]").first).to_be_visible()
    page.keyboard.type("anna")
    expect(page.locator(".palette [role=option][aria-selected=true]")).to_contain_text("Anna Meyer")
    expect(field).to_have_attribute("aria-activedescendant", "hit-people-1")
    page.keyboard.press("Escape")
    expect(page.locator(".palette")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("import")
    expect(page.locator(".palette [role=option]")).to_have_text(re.compile("Import"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/console/imports$"))


def test_the_search_without_script_is_a_page(visitor: Visitor) -> None:
    page = visitor.open("root", "admin", java_script_enabled=False, language="en")
    page.goto("/settings")
    page.get_by_role("link", name="Search").click()
    page.fill("#search", "institute of")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("main h2")).to_have_text(["Departments"])


def test_a_search_that_does_not_answer_says_so(visitor: Visitor) -> None:
    page = visitor.open("root", "admin")
    page.goto("/settings")
    page.route("**/search?*", lambda route: route.abort())
    page.locator("[data-palette]").click()
    expect(page.locator(".palette .fault")).to_be_visible()
    assert [each for each in visitor.complaints if not each.startswith("htmx:")] == []
    visitor.complaints.clear()  # htmx says it in the console, too
