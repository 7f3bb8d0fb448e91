"""Every page, in both languages and both themes and on a phone: accessible, and nothing sticks out."""

import re
from collections.abc import Iterator

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.patience import PATIENCE_SECONDS
from tests.portal.pages.desk import Desk
from tests.portal.pages.meeting_stage import stage
from tests.portal.pages.people import settle
from tests.portal.pages.scenery import confirm, decline, open_menu, plan, seek, select, to_apply, unfold, upload
from tests.portal.pages.serving import Portal
from tests.portal.pages.visitor import Visitor
from tests.system.stack import MONDAY, Stack, wait_for

pytestmark = [pytest.mark.system, pytest.mark.long]

GRAVE = ("serious", "critical")
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}

OVER = """[...document.querySelectorAll(".card input, .card select, .card textarea, .card button, .card .badge")]
    .filter(each => !each.closest(".scroll"))
    .filter(each => each.getBoundingClientRect().right > each.closest(".card").getBoundingClientRect().right)
    .map(each => each.outerHTML)"""
"""What reaches over the edge of its card, where the next one would cover it; what scrolls inside it does not."""


OWNER = "owner"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("sight"), YUNHUI_SUPER_ADMINISTRATOR=OWNER)
    running.start("--clock", MONDAY)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def pages(stack: Stack, portal: Portal) -> dict[str, tuple[str, str]]:
    """Where each page is, and who looks at it."""
    booker = stack.login("booker", "seen")
    confirmed = booker.reserve("2025-07-09 09:00", people=25).answer["reservation"]["reservationId"]
    booker.reserve("2025-07-09 11:00", people=150)
    codes = [booker.meeting(start) for start in ("2025-07-09 16:00", "2025-07-09 18:00", "2025-07-07 21:30")]
    missed = stack.login("booker", "missed")
    objects = stack.login("booker", "objects")
    for absent in (missed, objects):
        absent.reserve("2025-07-07 20:00")
    stack.yunhui("clock", "set", "2025-07-07 21:00")
    wait_for(lambda: missed.yunhui("quota").answer["standing"].get("violations"))
    [violation] = wait_for(lambda: objects.yunhui("quota").answer["standing"].get("violations"))
    assert objects.yunhui("object", violation["violationId"], "--because", "I was there. " * 70).code == 0
    return {
        "number": ("seen", "/"),
        "meeting": ("seen", f"/book?meeting_code={codes[0]}"),
        "making": ("seen", "/book/new"),
        "making-more": ("seen", "/book/new?day=2025-07-10&start=14:00&end=15:30&people=12"),
        "making-found": ("wang.fang", "/book/new?find_invitee=li&invitee=anna.meyer&invitee=konstantinopolsky"),
        **made(stack),
        "rules-met": ("seen", f"/book?meeting_code={codes[0]}&people=12"),
        "rules-object": ("seen", f"/book?meeting_code={codes[1]}&people=2"),
        "refused": ("seen", f"/book?meeting_code={codes[2]}&people=12"),
        "unknown-number": ("seen", "/book?meeting_code=999888777"),
        "rooms": ("seen", "/rooms?day=2025-07-09"),
        "rooms-for-many": ("seen", "/rooms?day=2025-07-09&people=200"),
        "reservations": ("seen", "/reservations"),
        "reservations-past": ("missed", "/reservations?tab=past"),
        "reservation": ("seen", f"/reservations/{confirmed}?new=1"),
        "cancel": ("seen", f"/reservations/{confirmed}/cancel"),
        "change": ("seen", f"/reservations/{confirmed}/change"),
        "standing": ("seen", "/standing"),
        "standing-violation": ("missed", "/standing"),
        "standing-objection": ("objects", "/standing"),
        "rules": ("seen", "/rules"),
        "settings": ("seen", "/settings"),
        "support": ("lin", "/support"),
        "decline": ("lin", "/support"),
        "support-account": ("lin", "/support/accounts?account_id=missed"),
        **console(stack),
        **meetings(stack),
        "not-found": ("seen", "/reservations/rsv_nothing"),
        "signed-out": ("", "/signed-out"),
    }


def made(stack: Stack) -> dict[str, tuple[str, str]]:
    """A reservation whose meeting was made with it."""
    with httpx2.Client(base_url=Portal(stack).address, timeout=PATIENCE_SECONDS) as client:
        desk = Desk(Portal(stack), client, "seen", "booker")
        times = {"day": "2025-07-10", "start": "20:00", "end": "21:00", "people": "12"}
        path = desk.done("/book/new", subject="组会", **times).partition("?")[0]
    return {"made": ("seen", f"{path}?new=1"), "made-cancel": ("seen", f"{path}/cancel")}


def console(stack: Stack) -> dict[str, tuple[str, str]]:
    """The pages of the management platform."""
    admin = stack.login("admin", "root")
    settle(admin)
    [found] = admin.yunhui("departments", "list", "安全").answer["departments"]
    department = f"/console/departments/{found['parentId']}"
    sights = ("organization", "visibility")
    ruled = ("rule", "高能物理研究所/实验物理中心", "--sees", "chosen-departments", "--chosen", "高能物理研究所")
    for words in (
        ruled,
        ("hide", "计算机网络信息中心"),
        ("set", "--card", "title", "--card", "email", "--card", "departments"),
    ):
        assert admin.yunhui(*sights, *words).code == 0
    [role] = [each for each in admin.yunhui("roles").answer["roles"] if each.get("description")]
    own = f"/console/roles/{role['roleId']}"
    paths = {
        "members": "/console/members",
        "members-chosen": "/console/members?find=%E8%AE%A1%E7%AE%97&col=email&col=phone&col=given&col=locks&sort=added",
        "members-none": "/console/members?q=nobody",
        "members-all": "/console/members?all=1",
        "selection": "/console/members",
        "imports": "/console/imports",
        "import": "/console/imports",
        "import-apply": "/console/imports",
        "search": "/search?q=e",
        "palette": "/console/members",
        "member": "/console/member?id=li.wei",
        "member-edit": "/console/member/edit?id=li.wei",
        "member-disable": "/console/member/disable?id=li.wei",
        "licence": "/console/member/give-licence?id=zhao.min",
        "member-new": "/console/members/new",
        "departments": "/console/departments",
        "departments-found": "/console/departments?q=wangluo",
        "department": department,
        "department-new": f"/console/departments/new?below={found['parentId']}",
        "department-rename": f"{department}/rename",
        "department-move": f"{department}/move",
        "department-merge": f"{department}/merge",
        "department-delete": f"{department}/delete",
        "roles": "/console/roles",
        "role": "/console/roles/admin",
        "role-of-everybody": "/console/roles/booker",
        "role-own": own,
        "role-new": "/console/roles/new",
        "role-edit": f"{own}/edit",
        "role-delete": f"{own}/delete",
        "role-give": "/console/member/give-role?id=zhao.min",
        "role-take": "/console/member/take-role?id=li.wei&role_id=admin&department_id=",
        "member-may": "/console/member?id=li.wei&why=rooms.edit",
        "member-may-not": "/console/member?id=zhao.min&why=rooms.edit",
        "visibility": "/console/visibility",
        "visibility-rule": f"/console/visibility/rule?department={found['parentId']}",
        "visibility-hide": "/console/visibility/hide?find=wangluo",
        "organization": "/console/organization",
        "organization-edit": "/console/organization/edit",
        "contacts": "/console/organization/contacts",
        "joining": "/console/organization/joining",
        "purchase": "/console/organization/purchase?id=PO-2025-003",
        "purchase-new": "/console/organization/purchases/new",
        "purchase-remove": "/console/organization/purchase/remove?id=PO-2025-003",
    }
    transfer = "/console/organization/transfer"
    handing = {
        "transfer": transfer,
        "transfer-found": f"{transfer}?find=li",
        "organization-owner": "/console/organization",
    }
    book = {
        "colleagues": "/colleagues",
        "colleagues-found": "/colleagues?q=wf",
        "colleague": "/colleagues/card?id=li.wei",
    }
    return {
        **{name: ("root", path) for name, path in paths.items()},
        **{name: ("wang.fang", path) for name, path in book.items()},
        "colleagues-below": ("wang.fang", f"/colleagues?department={found['parentId']}"),
        "colleagues-closed": ("seen", "/colleagues"),
        **{name: (OWNER, path) for name, path in handing.items()},
    }


def meetings(stack: Stack) -> dict[str, tuple[str, str]]:
    """Those of the organization, and those of one of its members."""
    staged = stage(stack, begun="2025-07-07 20:30", later="2025-07-08 10:00")
    return {
        **{name: ("root", path) for name, path in staged.console.items()},
        "meeting-menu": ("root", staged.running),
        **{name: ("li.wei", path) for name, path in staged.mine.items()},
    }


ACTS = {
    "meeting-menu": open_menu,
    "making-more": plan,
    "refused": confirm,
    "decline": decline,
    "departments": unfold,
    "selection": select,
    "import": upload,
    "import-apply": to_apply,
    "palette": seek,
}
"""What is done on a page to come to the one that is looked at."""


def visit(page: Page, name: str, path: str) -> None:
    page.goto(path)
    if act := ACTS.get(name):
        act(page)


def look(page: Page, name: str, *, with_axe: bool) -> None:
    """Axe finds nothing serious, and nothing has to be scrolled sideways."""
    if with_axe:
        found = Axe().run(page, options=RULES).response["violations"]
        grave = [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found if each["impact"] in GRAVE]
        assert grave == [], name
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, f"{name} sticks out by {width} px"
    assert page.evaluate(OVER) == [], name


LOOKS = [
    ("zh-CN", "light", 1280),
    ("en", "dark", 1280),
    ("en", "light", 360),
]
"""How wide a page is differs by its language and its window; what can be told apart, by its theme."""


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_every_page_can_be_used_by_everybody(
    pages: dict[str, tuple[str, str]], visitor: Visitor, language: str, theme: str, width: int
) -> None:
    """A computer in both themes, and a phone of 360 px in the language of the longer words."""
    roles = {"lin": "support", "root": "admin"}
    opened = {
        name: visitor.open(name, roles.get(name, "booker"), language=language, theme=theme, width=width)
        for name in {who for who, _ in pages.values()}
    }
    for name, (who, path) in pages.items():
        visit(opened[who], name, path)
        assert opened[who].locator("html").get_attribute("lang") == language
        look(opened[who], name, with_axe=width == 1280)


def test_what_moves_can_be_stopped_and_what_is_printed_is_the_page(
    pages: dict[str, tuple[str, str]], visitor: Visitor
) -> None:
    """No transition where reduced motion is asked for; navigation is not printed."""
    who, path = pages["reservation"]
    page = visitor.open(who, reduced_motion="reduce")
    page.goto(path)
    durations = page.eval_on_selector_all("*", "all => all.map(each => getComputedStyle(each).transitionDuration)")
    assert set(durations) == {"0s"}
    page.emulate_media(media="print")
    expect(page.locator(".side")).to_be_hidden()
    expect(page.locator("h1")).to_be_visible()


def test_english_pages_hold_no_chinese(pages: dict[str, tuple[str, str]], visitor: Visitor) -> None:
    """But for the switch to the other language, and what people wrote themselves."""
    page = visitor.open("seen", language="en")
    for name, (who, path) in pages.items():
        if who == "seen":
            visit(page, name, path)
            text = page.locator("body").inner_text().replace("中文", "").replace("组会", "")
            assert not re.findall(r"[\u4e00-\u9fff]+", text), name
