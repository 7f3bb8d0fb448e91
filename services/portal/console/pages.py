"""Every page of the console, by its address, and the tabs beside them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.platform.text.messages import message
from services.portal.calls import SUPPORT
from services.portal.console import (
    department_acts,
    departments,
    licences,
    member,
    member_forms,
    members,
    organization,
)
from services.portal.console.addresses import CONSOLE, MEMBER, ORGANIZATION
from services.portal.console.forms import for_console
from services.portal.navigation import Area, Tab
from services.portal.tables import Table


async def enter(_: Request) -> Response:
    return RedirectResponse(members.TABLE.path, 303)


TABLES: list[Table[Any]] = [members.TABLE]
AREA = Area(
    CONSOLE,
    message("Management"),
    (
        Tab(members.TABLE.path, members.TABLE.icon, members.TABLE.title, SUPPORT, also=[MEMBER]),
        Tab(departments.PATH, "tree", message("Departments"), SUPPORT),
        Tab(ORGANIZATION, "office", message("Organization"), SUPPORT),
    ),
    deep=True,
)
PAGES = [
    (CONSOLE, for_console(enter), "GET"),
    *member_forms.PAGES,  # their addresses are no acts
    *member.PAGES,
    *department_acts.PAGES,
    *organization.PAGES,
    *licences.PAGES,
]
