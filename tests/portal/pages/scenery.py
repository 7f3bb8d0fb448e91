"""An installation as it looks in use: people, their meetings and reservations, a busy day, a no-show, an escalation."""

from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Page

from tests.portal.pages.meeting_stage import stage
from tests.portal.pages.people import TABLE, settle
from tests.system.stack import Stack, wait_for

NAMES = {
    "li.wei": "李伟",
    "wang.fang": "王芳",
    "he.peng": "何鹏",
    "anna.meyer": "Anna Meyer",
    "zhao.min": "赵敏",
    "lin.tao": "林涛",
    "sun.yue": "孙悦",
}
SUPPORT, ADMIN = "lin.tao", "sun.yue"
ROLES = {SUPPORT: "support", ADMIN: "admin"}
"""Of those who are more than bookers."""
BUSY = (
    ("chen.jie", "09:00", 90, 18, "空间天文联合组会"),
    ("chen.jie", "13:30", 120, 45, "Proposal review, round 2"),
    ("anna.meyer", "10:00", 120, 30, "EU–China data exchange call"),
    ("anna.meyer", "15:00", 60, 80, "Seminar: gravitational waves"),
    ("zhou.yan", "08:30", 180, 60, "研究生开题报告会"),
    ("zhou.yan", "16:00", 90, 22, "Journal club"),
    ("zhou.yan", "19:00", 60, 95, "科普讲座彩排"),
    ("he.peng", "09:30", 60, 12, "平台运维周会"),
    ("he.peng", "14:00", 150, 70, "Training: high-performance computing"),
)


@dataclass(frozen=True, slots=True)
class Look:
    """A page to look at: who looks ("" is nobody yet), where, and what is done there first."""

    title: dict[str, str]
    who: str
    path: str
    act: Callable[[Page], None] = field(default=lambda page: None)
    away: bool = False
    """Looked at while booking does not answer."""


def said(chinese: str, english: str) -> dict[str, str]:
    return {"zh-CN": chinese, "en": english}


class Scenery:
    """Raises AssertionError when the installation does not let it be made."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def meeting(self, who: str, start: str, minutes: int, subject: str) -> str:
        """Its number."""
        figures = ("--start", start, "--minutes", str(minutes), "--subject", subject)
        made = self._stack.login("booker", who).yunhui("simulate", "meeting", *figures)
        return str(made.answer["meeting"]["meetingCode"])

    def reserve(self, who: str, start: str, minutes: int, people: int, subject: str) -> str:
        """The reservation's id."""
        code = self.meeting(who, start, minutes, subject)
        figures = ("--start", start, "--minutes", str(minutes), "--people", str(people))
        person = self._stack.login("booker", who)
        answer = person.yunhui("reserve", "--code", code, "--subject", subject, *figures)
        assert answer.code == 0, answer.out + answer.err
        return str(answer.answer["reservation"]["reservationId"])

    def furnish(self) -> dict[str, Look]:
        """Every page by its name. The clock stands at Monday, 09:40."""
        self._miss()
        for who, start, minutes, people, subject in BUSY:
            self.reserve(who, f"2025-07-09 {start}", minutes, people, subject)
        confirmed = self.reserve("li.wei", "2025-07-08 10:00", 60, 25, "课题组周会：7 月第二周")
        self.reserve("li.wei", "2025-07-09 12:00", 90, 48, "Sino-German workshop: detector calibration")
        large = self.reserve("li.wei", "2025-07-10 09:00", 180, 150, "2025 年度学术报告会")
        for start in ("09:00", "11:00", "14:00"):
            self.reserve("zhao.min", f"2025-07-11 {start}", 60, 15, f"Interviews, {start}")
        coming = self.meeting("li.wei", "2025-07-11 10:00", 90, "Graduate seminar: sparse attention")
        short = self.meeting("li.wei", "2025-07-11 16:00", 30, "一对一交流")
        fourth = self.meeting("zhao.min", "2025-07-11 16:00", 60, "Interviews, last round")
        booking, others = self._booking(coming, short, fourth, confirmed, large), self._others(confirmed)
        return {**booking, **others, **self._console(), **self._meetings()}

    def _miss(self) -> None:
        """Two who did not come; one of them objects."""
        for who, subject in (("wang.fang", "项目例会"), ("anna.meyer", "预算讨论")):
            self.reserve(who, "2025-07-07 09:00", 60, 20, subject)
        self._stack.yunhui("clock", "set", "2025-07-07 09:40")
        self.violation("wang.fang")
        why = "我 9:03 用所里的公共电脑入会，用的是访客身份，会议录像里能看到。"
        objected = self._stack.login("booker", "anna.meyer").yunhui(
            "object", self.violation("anna.meyer"), "--because", why
        )
        assert objected.code == 0, objected.out + objected.err

    def violation(self, who: str) -> str:
        """Its id, as soon as it is recorded."""
        person = self._stack.login("booker", who)
        found = wait_for(lambda: person.yunhui("quota").answer["standing"].get("violations"))
        return str(found[0]["violationId"])

    def _booking(self, coming: str, short: str, fourth: str, confirmed: str, large: str) -> dict[str, Look]:
        return {
            "sign-in": Look(said("登录（开发用）", "Sign-in (development)"), "", "/settings"),
            "number": Look(said("第 1 步：会议号", "Step 1: the meeting's number"), "li.wei", "/"),
            "meeting": Look(
                said("第 2 步：确认时间，实时核对规则", "Step 2: the time, and the rules as one types"),
                "li.wei",
                f"/book?meeting_code={coming}&people=12",
            ),
            "making": Look(
                said("没有会议号：新建会议并预定", "No number: the meeting made here"),
                "li.wei",
                "/book/new?day=2025-07-11&start=14:00&end=15:30&people=20",
                plan,
            ),
            "result": Look(said("预定成功", "Reserved"), "li.wei", f"/reservations/{confirmed}?new=1"),
            "refused": Look(
                said("未能预定：理由与其他时间", "Not reserved: why, and other times"),
                "zhao.min",
                f"/book?meeting_code={fourth}&people=12",
                confirm,
            ),
            "escalated": Look(said("已转技术支持", "Sent to support"), "li.wei", f"/reservations/{large}?new=1"),
            "redirected": Look(
                said("建议使用个人免费版", "Sent to the personal account"),
                "li.wei",
                f"/book?meeting_code={short}&people=2",
                confirm,
            ),
        }

    def _others(self, confirmed: str) -> dict[str, Look]:
        one = f"/reservations/{confirmed}"
        return {
            "rooms": Look(said("空闲会议室", "Free rooms"), "li.wei", "/rooms?day=2025-07-09"),
            "reservations": Look(said("我的预约", "My reservations"), "li.wei", "/reservations"),
            "reservation": Look(said("一次预约", "One reservation"), "li.wei", one),
            "change": Look(said("更改", "Change"), "li.wei", f"{one}/change"),
            "cancel": Look(said("取消", "Cancel"), "li.wei", f"{one}/cancel"),
            "standing": Look(said("我的账户：有一次违约", "My standing, with a violation"), "wang.fang", "/standing"),
            "objected": Look(said("我的账户：已申诉", "My standing, objected"), "anna.meyer", "/standing"),
            "support": Look(said("技术支持", "Support's desk"), SUPPORT, "/support"),
            "decline": Look(said("技术支持：驳回前确认", "Support: before declining"), SUPPORT, "/support", decline),
            "support-objections": Look(
                said("技术支持：申诉", "Support's desk: objections"), SUPPORT, "/support", objections
            ),
            "support-account": Look(
                said("技术支持：一个账号", "Support: one account"), SUPPORT, "/support/accounts?account_id=wang.fang"
            ),
            "deliveries": Look(said("技术支持：投递记录", "Support: deliveries"), SUPPORT, "/support/deliveries"),
            "rules": Look(said("规则", "Rules"), "li.wei", "/rules"),
            "colleagues": Look(said("通讯录", "Address book"), "li.wei", "/colleagues"),
            "settings": Look(said("设置", "Settings"), "li.wei", "/settings"),
            "signed-out": Look(said("已退出", "Signed out"), "", "/signed-out"),
            "away": Look(said("服务暂时不可用", "A service is away"), "li.wei", "/reservations", away=True),
        }

    def _console(self) -> dict[str, Look]:
        admin = self._stack.login("admin", ADMIN)
        settle(admin)
        [found] = admin.yunhui("departments", "list", "安全").answer["departments"]
        department = f"/console/departments/{found['parentId']}"
        looks = {
            "members": (said("企业管理：成员", "Management: members"), "/console/members"),
            "imports": (said("企业管理：批量导入", "Management: imports"), "/console/imports"),
            "member": (said("企业管理：一名成员", "Management: one member"), "/console/member?id=li.wei"),
            "member-edit": (
                said("企业管理：编辑成员", "Management: a member edited"),
                "/console/member/edit?id=li.wei",
            ),
            "licence": (
                said("企业管理：分配高级账号之前", "Management: before a licence is given"),
                "/console/member/give-licence?id=zhao.min",
            ),
            "member-new": (said("企业管理：添加成员", "Management: a member added"), "/console/members/new"),
            "department": (said("企业管理：一个部门", "Management: one department"), department),
            "department-move": (said("企业管理：移动部门", "Management: a department moved"), f"{department}/move"),
            "roles": (said("企业管理：角色与权限", "Management: roles and what they permit"), "/console/roles"),
            "role": (said("企业管理：一个角色", "Management: one role"), "/console/roles/admin"),
            "role-new": (said("企业管理：新建角色", "Management: a role made"), "/console/roles/new"),
            "role-give": (
                said("企业管理：授予角色", "Management: a role given"),
                "/console/member/give-role?id=zhao.min",
            ),
            "why": (
                said("企业管理：此人能否操作，为什么", "Management: may this person, and why"),
                "/console/member?id=li.wei&why=rooms.edit#why",
            ),
            "visibility": (said("企业管理：通讯录可见范围", "Management: who sees whom"), "/console/visibility"),
            "organization": (said("企业管理：企业信息", "Management: the organization"), "/console/organization"),
            "contacts": (said("企业管理：企业联系人", "Management: contacts"), "/console/organization/contacts"),
            "joining": (said("企业管理：首次登录", "Management: the first sign-in"), "/console/organization/joining"),
            "provisioning": (
                said("企业管理：身份提供方的令牌", "Management: tokens of identity providers"),
                "/console/organization/provisioning",
            ),
        }
        acts = {
            "departments": (said("企业管理：部门", "Management: departments"), "/console/departments", unfold),
            "import": (said("企业管理：导入前逐行核对", "Management: a table, row by row"), "/console/imports", upload),
            "import-apply": (
                said("企业管理：确认导入", "Management: before it is applied"),
                "/console/imports",
                to_apply,
            ),
            "selection": (said("企业管理：批量操作", "Management: several members"), "/console/members", select),
            "palette": (said("搜索", "The search"), "/console/members", seek),
        }
        plain = {name: Look(title, ADMIN, path) for name, (title, path) in looks.items()}
        return plain | {name: Look(title, ADMIN, path, act) for name, (title, path, act) in acts.items()}

    def _meetings(self) -> dict[str, Look]:
        staged = stage(self._stack)
        console, mine = staged.console, staged.mine
        menu = said("企业管理：会中成员的操作", "Management: what can be done to a person in a meeting")
        return {
            "meetings": Look(said("企业管理：会议", "Management: meetings"), ADMIN, console["meetings"]),
            "meeting-running": Look(
                said("企业管理：进行中的会议", "Management: a running meeting"), ADMIN, console["meeting-running"]
            ),
            "meeting-menu": Look(menu, ADMIN, console["meeting-running"], open_menu),
            "meeting-invite": Look(
                said("企业管理：邀请成员", "Management: members invited"), ADMIN, console["meeting-invite"]
            ),
            "meeting-end": Look(
                said("企业管理：结束会议", "Management: before a meeting is ended"), ADMIN, console["meeting-end"]
            ),
            "meeting-ended": Look(
                said("企业管理：已结束的会议", "Management: a meeting that has ended"), ADMIN, console["meeting-ended"]
            ),
            "my-meetings": Look(said("我的会议", "My meetings"), "li.wei", mine["my-meetings"]),
        }


def open_menu(page: Page) -> None:
    """Of the second person inside."""
    page.locator(".inside button").nth(1).click()
    page.locator("dialog[open] [name=act]").first.wait_for()


def unfold(page: Page) -> None:
    """The first branch of the tree."""
    page.locator(".tree summary").first.click()
    page.locator(".tree .tree .node").first.wait_for()


def upload(page: Page) -> None:
    """A table, as far as the answer what it would do."""
    content = TABLE.encode()
    page.set_input_files("[name=file]", {"name": "新员工 2025-07.csv", "mimeType": "text/csv", "buffer": content})
    page.locator("[enctype] button").click()
    page.locator("#rows tbody tr").first.wait_for()


def to_apply(page: Page) -> None:
    """Of the one uploaded last."""
    page.locator("#rows tbody a").first.click()
    page.locator("main .actions a.primary").click()
    page.locator("[name=good_rows]").wait_for()


def select(page: Page) -> None:
    for place in (0, 2, 3):
        page.locator("[name=pick]").nth(place).check()
    page.locator("[name=act][value=disable]").click()
    page.locator("main .danger").wait_for()


def seek(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.locator(".palette input").fill("计算" if page.locator("html[lang=zh-CN]").count() else "comp")
    page.locator(".palette [role=option][aria-selected=true]").wait_for()


def plan(page: Page) -> None:
    """A meeting that is to be made, with all that can be said of it."""
    page.fill("[name=subject]", "Kick-off 项目启动会")
    page.locator("details.more summary").click()
    page.locator("[name=watermark]").check()
    page.locator(".outcome").wait_for()


def confirm(page: Page) -> None:
    page.locator("[name=reserve]").click()
    page.locator(".banner").first.wait_for()


def decline(page: Page) -> None:
    page.locator("article.case [value=decline]").first.click()
    page.locator("textarea[name=note]").wait_for()


def objections(page: Page) -> None:
    page.locator("#objections").evaluate("heading => heading.scrollIntoView()")
