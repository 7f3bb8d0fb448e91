"""`yunhui roles give`, `take`, `holders`, `of` and `explain`: who has which role, and what comes of it (admin)."""

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import department_pb2
from yunhui.directory.v1 import role_service_pb2 as api

from services.cli import departments, rendering, roles
from services.cli.client import Directory, open_directory
from services.cli.departments import PAGE
from services.cli.members import Account
from services.cli.roles import RoleName, told
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message, pmessage

DepartmentOption = Annotated[
    str, typer.Option("--department", help=message("for this one and all below, by path or number; else everywhere"))
]
REASONS: Mapping[int, Text] = {
    api.ACCESS_REASON_KIND_EVERYBODY: message("Everybody may."),
    api.ACCESS_REASON_KIND_ROLE: message("It comes with the role {role}: {place}."),
    api.ACCESS_REASON_KIND_DISABLED: message("The account is disabled."),
    api.ACCESS_REASON_KIND_WAITING: message("The person waits to be let in."),
    api.ACCESS_REASON_KIND_DEPARTMENT_ONLY: message(
        "It comes with the role {role}, but for {place} only, and that is not enough here."
    ),
    api.ACCESS_REASON_KIND_NOTHING: message("None of their roles gives it."),
}


def give(terminal: Terminal, account: Account, role: RoleName, department: DepartmentOption = "") -> None:
    with open_directory(terminal) as directory:
        request = api.GiveRoleRequest(
            account_id=account,
            role_id=roles.find(directory, role).role_id,
            department_id=find_department(directory, department).department_id,
        )
        answer = directory.ask(directory.stub.roles.GiveRole, request)
    given = answer.binding
    who = {"account": given.account_id, "name": given.display_name, "role": told(terminal, given.role_name)}
    where = place(terminal, given.department_path)
    said = message("{account} ({name}) has the role {role}: {place}.")
    terminal.answer(answer, lambda to: to.say(said, **who, place=where))


def take(terminal: Terminal, account: Account, role: RoleName, department: DepartmentOption = "") -> None:
    with open_directory(terminal) as directory:
        taken, there = roles.find(directory, role), find_department(directory, department)
        request = api.TakeRoleRequest(account_id=account, role_id=taken.role_id, department_id=there.department_id)
        answer = directory.ask(directory.stub.roles.TakeRole, request)
    values = {"account": account, "role": told(terminal, taken.display_name), "place": place(terminal, there.path)}
    said = message("{account} does not have the role {role} any more: {place}.")
    terminal.answer(answer, lambda to: to.say(said, **values))


def holders(
    terminal: Terminal,
    role: RoleName,
    limit: Annotated[int, typer.Option(min=1, help=message("list at most so many"))] = 50,
) -> None:
    with open_directory(terminal) as directory:
        request = api.ListRoleHoldersRequest(role_id=roles.find(directory, role).role_id, page_size=min(limit, PAGE))
        answer = first_pages(directory, request, limit)
    terminal.answer(answer, lambda to: show_holders(to, answer))


def of(terminal: Terminal, account: Account) -> None:
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.roles.ListRolesOf, api.ListRolesOfRequest(account_id=account))
    terminal.answer(answer, lambda to: show_roles_of(to, answer))


def explain(
    terminal: Terminal,
    account: Account,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PERMISSION",
            help=message("e.g. 'members.edit', or a method, e.g. 'yunhui.directory.v1.MemberService/GetMember'"),
        ),
    ],
) -> None:
    request = api.ExplainAccessRequest(account_id=account)
    if "/" in what:
        request.method = what.removeprefix("/")
    else:
        request.permission = what
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.roles.ExplainAccess, request)
        known = directory.ask(directory.stub.roles.ListRoles, api.ListRolesRequest()).roles
    names = {each.role_id: told(terminal, each.display_name) for each in known}
    terminal.answer(answer, lambda to: show_explanation(to, account, answer, names))


def find_department(directory: Directory, typed: str) -> department_pb2.Department:
    """One without an id stands for everywhere. Raises CommandError."""
    return departments.find(directory, typed) if typed else department_pb2.Department()


def first_pages(directory: Directory, request: api.ListRoleHoldersRequest, limit: int) -> api.ListRoleHoldersResponse:
    """As one, of at most so many."""
    answer = directory.ask(directory.stub.roles.ListRoleHolders, request)
    whole = api.ListRoleHoldersResponse(bindings=answer.bindings, total_count=answer.total_count)
    while answer.next_page_token and len(whole.bindings) < limit:
        request.page_token = answer.next_page_token
        answer = directory.ask(directory.stub.roles.ListRoleHolders, request)
        whole.bindings.extend(answer.bindings)
    del whole.bindings[limit:]
    return whole


def place(terminal: Terminal, path: str) -> str:
    return path or terminal.text(message("everywhere"))


def show_holders(terminal: Terminal, answer: api.ListRoleHoldersResponse) -> None:
    if not answer.bindings:
        terminal.say(message("Nobody has this role."))
        return
    table = Table(padding=(0, 1))
    for text in (message("account"), pmessage("person", "name"), message("where it holds")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in answer.bindings:
        table.add_row(*map(Styled, (each.account_id, each.display_name, place(terminal, each.department_path))))
    terminal.out.print(table)
    rendering.show_rest(terminal, len(answer.bindings), answer.total_count)


def show_roles_of(terminal: Terminal, answer: api.ListRolesOfResponse) -> None:
    if not answer.bindings:
        terminal.say(message("No role besides that of every member."))
        return
    table = Table(padding=(0, 1))
    for text in (message("role"), message("number"), message("where it holds")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in answer.bindings:
        where = place(terminal, each.department_path)
        table.add_row(*map(Styled, (told(terminal, each.role_name), each.role_id, where)))
    terminal.out.print(table)


def show_explanation(
    terminal: Terminal, account: str, answer: api.ExplainAccessResponse, names: Mapping[str, str]
) -> None:
    said = message("{account} may: {permission}.") if answer.allowed else message("{account} may not: {permission}.")
    style = "bold green" if answer.allowed else "bold red"
    terminal.out.print(Styled(terminal.text(said, account=account, permission=answer.permission), style))
    for line in reasons(terminal, answer):
        terminal.out.print(f"  {line}", markup=False)
    if not answer.allowed and answer.role_ids:
        giving = terminal.text(pmessage("list", ", ")).join(names.get(each, each) for each in answer.role_ids)
        needed = message("Roles that give it: {roles}.")
        wide = message("Roles that give it, if they hold everywhere: {roles}.")
        terminal.say(needed if answer.scoped else wide, roles=giving)
    terminal.say(message("What the token says comes on top: it is not known here."))


def reasons(terminal: Terminal, answer: api.ExplainAccessResponse) -> Iterator[str]:
    for each in answer.reasons:
        where = place(terminal, each.department_path)
        yield terminal.text(REASONS[each.kind], role=told(terminal, each.role_name), place=where)
