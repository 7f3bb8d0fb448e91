"""Every page of the console, by its address, and the tabs beside them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.platform.text.messages import message
from services.portal.console import (
    department_acts,
    departments,
    import_page,
    imports,
    joining,
    licences,
    meeting,
    meeting_forms,
    meetings,
    member,
    member_forms,
    member_roles,
    members,
    organization,
    provisioning,
    recordings,
    role_forms,
    roles,
    selection,
    transfer,
    visibility,
)
from services.portal.console.addresses import (
    CONSOLE,
    IMPORT,
    MEETING,
    MEMBER,
    ORGANIZATION,
    RECORDING,
    ROLES,
    VISIBILITY,
)
from services.portal.console.forms import for_permitted
from services.portal.navigation import Area, Tab
from services.portal.tables import Table


async def enter(_: Request) -> Response:
    return RedirectResponse(members.TABLE.path, 303)


TABLES: list[Table[Any]] = [members.TABLE, imports.TABLE, import_page.TABLE, meetings.TABLE, recordings.TABLE]
AREA = Area(
    CONSOLE,
    message("Management"),
    (
        Tab(members.TABLE.path, members.TABLE.icon, members.TABLE.title, members.TABLE.permission, also=[MEMBER]),
        Tab(imports.TABLE.path, imports.TABLE.icon, imports.TABLE.title, imports.TABLE.permission, also=[IMPORT]),
        Tab(meetings.TABLE.path, meetings.TABLE.icon, meetings.TABLE.title, meetings.TABLE.permission, also=[MEETING]),
        Tab(
            recordings.TABLE.path,
            recordings.TABLE.icon,
            recordings.TABLE.title,
            recordings.TABLE.permission,
            also=[RECORDING],
        ),
        Tab(departments.PATH, "tree", message("Departments"), "members.view"),
        Tab(ROLES, "key", message("Roles"), "roles.view"),
        Tab(VISIBILITY, "eye", message("Visibility"), "organization.view"),
        Tab(ORGANIZATION, "office", message("Organization"), "organization.view"),
    ),
    deep=True,
)
PAGES = [
    (CONSOLE, for_permitted("members.view", enter), "GET"),
    *meeting.PAGES,
    *meeting_forms.PAGES,
    *recordings.PAGES,
    *selection.PAGES,
    *member_forms.PAGES,  # their addresses are no acts
    *member_roles.PAGES,  # nor are these
    *member.PAGES,
    *imports.PAGES,
    *import_page.PAGES,
    *department_acts.PAGES,
    *organization.PAGES,
    *joining.PAGES,
    *provisioning.PAGES,
    *licences.PAGES,
    *role_forms.PAGES,  # `new` is no role
    *roles.PAGES,
    *transfer.PAGES,
    *visibility.PAGES,
]
