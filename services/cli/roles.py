"""`yunhui roles`: what there is to be permitted, and the roles that permit it (admin)."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import role_pb2 as pb
from yunhui.directory.v1 import role_service_pb2 as api

from services.cli import moments, myself, rendering
from services.cli.arguments import confirm
from services.cli.client import Directory, open_directory
from services.cli.departments import Yes
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.languages import CHINESE
from services.platform.text.messages import Text, message, pmessage

EVERYBODYS = "booker"
RoleName = Annotated[str, typer.Argument(metavar="ROLE", help=message("its id, or what it is called"))]
Description = Annotated[str | None, typer.Option(help=message("what it is for"))]


def list_(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.roles.ListRoles, api.ListRolesRequest())
    terminal.answer(answer, lambda to: show_list(to, answer.roles))


def permissions(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.roles.ListPermissions, api.ListPermissionsRequest())
    terminal.answer(answer, lambda to: show_permissions(to, answer.permissions))


def show(terminal: Terminal, role: RoleName) -> None:
    with open_directory(terminal) as directory:
        answer = api.GetRoleResponse(role=find(directory, role))
    terminal.answer(answer, lambda to: show_role(to, answer.role))


def create(
    terminal: Terminal,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    permission: Annotated[
        list[str], typer.Option("--permission", help=message("what it permits, e.g. 'members.view'; repeatable"))
    ],
    description: Description = None,
) -> None:
    request = api.CreateRoleRequest(display_name=name, description=description or "", permissions=permission)
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.roles.CreateRole, request)
    terminal.answer(answer, lambda to: show_role(to, answer.role))


def change(
    terminal: Terminal,
    role: RoleName,
    name: Annotated[str | None, typer.Option(help=message("what it is called from now on"))] = None,
    description: Description = None,
    permission: Annotated[
        list[str] | None, typer.Option("--permission", help=message("all that it permits from now on; repeatable"))
    ] = None,
) -> None:
    request = api.UpdateRoleRequest(display_name=name, description=description, permissions=permission or ())
    if not request.ListFields():
        raise CommandError(FailureReason.SAY_WHAT, ExitCode.USAGE, way=f"{myself.name()} roles change --help")
    with open_directory(terminal) as directory:
        before = find(directory, role)
        request.role_id, request.version = before.role_id, before.version
        answer = directory.ask(directory.stub.roles.UpdateRole, request)
    terminal.answer(answer, lambda to: show_role(to, answer.role))


def delete(terminal: Terminal, role: RoleName, yes: Yes = False) -> None:
    with open_directory(terminal) as directory:
        gone = find(directory, role)
        name = told(terminal, gone.display_name)
        confirm(terminal, message("Delete the role {role}?"), yes=yes, role=name)
        request = api.DeleteRoleRequest(role_id=gone.role_id, version=gone.version)
        answer = directory.ask(directory.stub.roles.DeleteRole, request)
    terminal.answer(answer, lambda to: to.say(message("The role {role} is deleted."), role=name))


def find(directory: Directory, typed: str) -> pb.Role:
    """By its id, or by its name in either language. Raises CommandError."""
    for each in directory.ask(directory.stub.roles.ListRoles, api.ListRolesRequest()).roles:
        if typed.strip() in (each.role_id, each.display_name.zh_cn, each.display_name.en):
            return each
    raise CommandError(FailureReason.NO_SUCH_ROLE, ExitCode.NOT_FOUND, typed=typed)


def told(terminal: Terminal, words: pb.RoleText) -> str:
    """In the reader's language."""
    return words.zh_cn if terminal.language == CHINESE else words.en


def show_list(terminal: Terminal, roles: Iterable[pb.Role]) -> None:
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("role")), overflow="fold")
    table.add_column(terminal.text(message("number")), no_wrap=True)
    for text in (message("permissions"), message("members")):
        table.add_column(terminal.text(text), justify="right")
    for each in roles:
        name = Styled(told(terminal, each.display_name), "bold" if each.built_in else "")
        table.add_row(name, each.role_id, f"{len(each.permissions):,}", holder_count(terminal, each))
    terminal.out.print(table)


def holder_count(terminal: Terminal, role: pb.Role) -> str:
    return terminal.text(message("everybody")) if role.role_id == EVERYBODYS else f"{role.holder_count:,}"


def show_permissions(terminal: Terminal, permissions: Iterable[pb.Permission]) -> None:
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("permission")), no_wrap=True)
    table.add_column(terminal.text(message("what it permits")), overflow="fold")
    table.add_column(terminal.text(message("for roles of one's own")))
    for each in permissions:
        can = terminal.text(message("yes") if each.assignable else message("no"))
        table.add_row(each.permission, Styled(told(terminal, each.description)), can)
    terminal.out.print(table)


def show_role(terminal: Terminal, role: pb.Role) -> None:
    rendering.show_facts(terminal, role_facts(terminal, role))


def role_facts(terminal: Terminal, role: pb.Role) -> Iterator[tuple[Text, str]]:
    yield message("role"), told(terminal, role.display_name)
    yield message("number"), role.role_id
    yield pmessage("role", "kind"), terminal.text(message("built in") if role.built_in else message("made here"))
    if role.description:
        yield message("what it is for"), role.description
    yield message("permissions"), "\n".join(role.permissions)
    yield message("members"), holder_count(terminal, role)
    if not role.built_in:
        yield message("made"), moments.show(role.create_time, terminal.language)
        yield message("last change"), moments.show(role.update_time, terminal.language)
