"""An organization for the console's pages: departments, members, licences, roles, and who is told of what."""

from tests.system.stack import Person, Said

DEPARTMENTS = (
    ("高能物理研究所", ""),
    ("计算中心", "高能物理研究所"),
    ("网络与安全组", "高能物理研究所/计算中心"),
    ("Computing for detectors", "高能物理研究所/计算中心"),
    ("实验物理中心", "高能物理研究所"),
    ("计算机网络信息中心", ""),
    ("Institute of Physics", ""),
)
MEMBERS = (
    ("li.wei", "李伟", "研究员", "高能物理研究所/计算中心", "--enabled", "--verified", "--advanced"),
    ("wang.fang", "王芳", "副研究员", "高能物理研究所/计算中心/网络与安全组", "--enabled", "--verified", "--advanced"),
    ("he.peng", "何鹏", "工程师", "高能物理研究所/计算中心/网络与安全组", "--enabled"),
    ("zhao.min", "赵敏", "Secretary", "高能物理研究所", "--enabled", "--verified"),
    ("anna.meyer", "Anna Meyer", "Visiting scientist", "Institute of Physics", "--enabled"),
    ("chen.jie", "陈洁", "博士后", "高能物理研究所/实验物理中心"),
    ("zhou.yan", "周燕", "", "计算机网络信息中心"),
    ("konstantinopolsky", "Alexander Konstantinopolsky-Featherstonehaugh", "Postdoc", "高能物理研究所/实验物理中心"),
)
ROLES = (
    ("会议室管理员", "管理会议室，并查看全部预约", "reservations.view_all", "rooms.edit", "meetings.view_all"),
    ("Department secretaries", "", "members.view", "members.edit", "departments.edit", "roles.view"),
)
HELD = (
    ("li.wei", "admin", ""),
    ("wang.fang", "会议室管理员", ""),
    ("li.wei", "会议室管理员", "高能物理研究所/计算中心"),
)
"""Who has which role, and for which department."""


TABLE = """账号,姓名,职位,部门,账号类型,邮箱
lin.yuan,林远,工程师,高能物理研究所/计算中心/网络与安全组,免费账号,lin.yuan@example.org
marie.weber,Marie Weber,Postdoc,Institute of Physics/Optics,免费账号,marie.weber@example.org
he.peng,何鹏,高级工程师,高能物理研究所/计算中心,,
zhou.yan,周燕,Secretary,,,zhou.yan@example.org
zhao.min,赵敏,,,,
wu.hao,吴昊,工程师,高能物理研究所,白金账号,wu.hao at example.org
"""
"""To be imported: some are new, some change, one is known so, and one row is wrong."""


def settle(admin: Person) -> None:
    """Raises AssertionError when the directory does not take it."""

    def do(*words: str) -> Said:
        said = admin.yunhui(*words)
        assert said.code == 0, said.out + said.err
        return said

    about = ("--name", "中国科学院某研究所", "--provider", "腾讯云", "--edition", "education")
    do("organization", "update", *about)
    do("organization", "contacts", "add", "li.wei@example.org", "--name", "李伟", "--topic", "licences")
    purchases = (
        ("PO-2024-017", "3", "2024-08-01 00:00", "2025-08-01 00:00"),
        ("PO-2025-003", "5", "2025-01-01 00:00", "2026-01-01 00:00"),
    )
    for purchase, count, start, end in purchases:
        do("organization", "licences", "put", purchase, "--count", count, "--start", start, "--end", end)
    for name, above in DEPARTMENTS:
        do("departments", "add", name, *(("--under", above) if above else ()))
    for number, (account, name, title, department, *more) in enumerate(MEMBERS):
        facts = ("--name", name, "--email", f"{account}@example.org", "--department", department)
        do("members", "add", account, *facts, *(("--title", title) if title else ()), "--staff", f"S{number:04}", *more)
    do("members", "disable", "he.peng")
    for name, description, *permissions in ROLES:
        wanted = (word for each in permissions for word in ("--permission", each))
        do("roles", "create", name, "--description", description, *wanted)
    for account, role, department in HELD:
        do("roles", "give", account, role, *(("--department", department) if department else ()))
