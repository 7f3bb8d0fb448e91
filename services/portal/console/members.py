"""The members as a table: found by what is known of them."""

from starlette.requests import Request
from yunhui.directory.v1 import member_pb2 as pb
from yunhui.directory.v1 import member_service_pb2 as api

from services.platform.text.messages import Text, message
from services.portal.calls import ask, services_of
from services.portal.console import departments
from services.portal.console.addresses import IMPORTS, MEMBERS, NO_DEPARTMENT, SELECTION, of_member
from services.portal.tables import Asked, Column, Listing, Selection, Table, TableFilter, Way
from services.portal.texts import ACCOUNT_TYPES, MEMBER_STATUSES, MEMBER_TONES

LONGEST_QUERY = 100
STATUSES = {
    "enabled": pb.MEMBER_STATUS_ENABLED,
    "not-activated": pb.MEMBER_STATUS_NOT_ACTIVATED,
    "disabled": pb.MEMBER_STATUS_DISABLED,
    "waiting": pb.MEMBER_STATUS_WAITING,
}
TYPES = {"advanced": pb.ACCOUNT_TYPE_ADVANCED, "free": pb.ACCOUNT_TYPE_FREE}
HIDDEN = {"yes": message("Hidden"), "no": message("Not hidden")}
VERIFIED = {"yes": message("Verified"), "no": message("Not verified")}
ORDERS = {"added": api.MEMBER_ORDER_NEWEST}
"""As the address says them."""


async def fetch(request: Request, asked: Asked) -> Listing[pb.Member]:
    filters = asked.filters
    department_id = "" if filters["department"] == NO_DEPARTMENT else filters["department"]
    question = api.ListMembersRequest(
        query=filters["q"],
        statuses=[STATUSES[filters["status"]]] if filters["status"] else [],
        account_types=[TYPES[filters["type"]]] if filters["type"] else [],
        department_id=department_id,
        below=bool(department_id) and not filters["only"],
        without_department=filters["department"] == NO_DEPARTMENT,
        verified=filters["verified"] == "yes" if filters["verified"] else None,
        hidden=filters["hidden"] == "yes" if filters["hidden"] else None,
        order=ORDERS.get(asked.sort, api.MEMBER_ORDER_NAME),
        page_size=asked.page_size,
        page_token=asked.page_token,
    )
    answer = await ask(request, services_of(request).members.ListMembers, question)
    return Listing(list(answer.members), answer.next_page_token, answer.total_count)


def main_department(each: pb.Member) -> str:
    """And how many more."""
    if not each.memberships:
        return ""
    more = len(each.memberships) - 1
    return each.memberships[0].path + (f" +{more}" if more else "")


def verified(each: pb.Member) -> Text:
    return VERIFIED["yes" if each.verified else "no"]


async def look(request: Request, department_id: str) -> departments.Choice:
    """The department of the filter, and what was searched for beside it."""
    query = request.query_params.get("find", "").strip()
    wanted = "" if department_id == NO_DEPARTMENT else department_id
    return await departments.choose(request, [wanted], query)


async def count_waiting(request: Request, _: str) -> int:
    """How many wait to be let in; 0 where only rows are asked for, or they are on the page."""
    if "hx-request" in request.headers or request.query_params.get("status") == "waiting":
        return 0
    question = api.ListMembersRequest(statuses=[pb.MEMBER_STATUS_WAITING], page_size=1)
    answer = await ask(request, services_of(request).members.ListMembers, question)
    return answer.total_count


TABLE: Table[pb.Member] = Table(
    MEMBERS,
    message("Members"),
    fetch,
    columns=[
        Column(message("Name"), lambda each: each.display_name, link=of_member, sorts="ascending"),
        Column(message("Account"), lambda each: each.account_id, name="account", minor=True),
        Column(message("Department"), main_department, name="department", width="wide", minor=True),
        Column(
            message("State"),
            lambda each: MEMBER_STATUSES[each.status],
            name="status",
            width="narrow",
            tone=lambda each: MEMBER_TONES[each.status],
        ),
        Column(
            message("Account type"),
            lambda each: ACCOUNT_TYPES[each.account_type],
            name="type",
            width="narrow",
            minor=True,
        ),
        Column(message("Identity"), verified, name="verified", width="narrow", usual=False, minor=True),
        Column(message("E-mail"), lambda each: each.email, name="email", usual=False, minor=True),
        Column(message("Phone"), lambda each: each.phone, name="phone", usual=False, minor=True),
        Column(message("Title at work"), lambda each: each.title, name="title", usual=False, minor=True),
        Column(message("Staff number"), lambda each: each.staff_id, name="staff", usual=False, minor=True),
        Column(message("Licence given"), lambda each: each.licence_assign_time, name="given", usual=False, minor=True),
        Column(message("Licence locks"), lambda each: each.licence_lock_time, name="locks", usual=False, minor=True),
        Column(message("Last sign-in"), lambda each: each.last_sign_in_time, name="seen", usual=False, minor=True),
        Column(
            message("Added"),
            lambda each: each.create_time,
            name="added",
            sorts="descending",
            width="narrow",
            minor=True,
        ),
    ],
    filters=[
        TableFilter(
            "q",
            message("Search"),
            hint=message("Name, pinyin, account, e-mail, phone or number"),
            longest=LONGEST_QUERY,
        ),
        TableFilter(
            "status",
            message("State"),
            {name: MEMBER_STATUSES[each] for name, each in STATUSES.items()},
            look=count_waiting,
        ),
        TableFilter("type", message("Account type"), {name: ACCOUNT_TYPES[each] for name, each in TYPES.items()}),
        TableFilter("verified", message("Identity"), VERIFIED),
        TableFilter("hidden", message("Address book"), HIDDEN),
        TableFilter("department", message("Department"), part="console/_department_filter.html", look=look),
        TableFilter("only", message("Department"), {"1": message("Without those below it")}),
    ],
    permission="members.view",
    icon="people",
    ways=[
        Way(message("Add a member"), f"{MEMBERS}/new", "members.edit"),
        Way(message("Import a table"), IMPORTS, "members.edit"),
    ],
    selection=Selection(
        SELECTION,
        lambda each: each.account_id,
        lambda each: each.display_name,
        {
            "enable": message("Enable"),
            "disable": message("Disable"),
            "put": message("Put into a department"),
            "give-licence": message("Give the licence"),
            "take-licence": message("Take the licence back"),
        },
        "members.edit",
    ),
    done={"deleted": message("The member was deleted.")},
    template="console/members.html",
)
