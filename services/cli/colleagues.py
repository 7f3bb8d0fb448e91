"""`yunhui colleagues`: the address book, as far as one sees it."""

import unicodedata
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import address_book_service_pb2 as api

from services.cli import rendering
from services.cli.client import Directory, open_directory
from services.cli.departments import ID
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message, pmessage

PAGE = 500


def list_(
    terminal: Terminal,
    text: Annotated[str, typer.Argument(help=message("part of the name, pinyin, initials, or of what cards say"))] = "",
    department: Annotated[str, typer.Option(help=message("of this department, by path or number"))] = "",
    below: Annotated[bool, typer.Option("--below", help=message("and of those below it"))] = False,
    limit: Annotated[int, typer.Option(min=1, help=message("list at most so many"))] = 50,
) -> None:
    request = api.ListColleaguesRequest(query=text, below=below, page_size=min(limit, PAGE))
    with open_directory(terminal) as directory:
        if department:
            request.department_id = find(directory, department)
        answer = first_pages(directory, request, limit)
    terminal.answer(answer, lambda to: show_list(to, answer))


def first_pages(directory: Directory, request: api.ListColleaguesRequest, limit: int) -> api.ListColleaguesResponse:
    """As one, of at most so many; it tells of a next page if there are more."""
    whole = api.ListColleaguesResponse()
    while True:
        answer = directory.ask(directory.stub.address_book.ListColleagues, request)
        whole.colleagues.extend(answer.colleagues)
        whole.next_page_token = request.page_token = answer.next_page_token
        if not answer.next_page_token or len(whole.colleagues) >= limit:
            return whole
        request.page_size = min(limit - len(whole.colleagues), PAGE)


def show(terminal: Terminal, account: Annotated[str, typer.Argument(metavar="ACCOUNT")]) -> None:
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.address_book.GetColleague, api.GetColleagueRequest(account_id=account))
    terminal.answer(answer, lambda to: rendering.show_facts(to, facts(to, answer.colleague)))


def departments(
    terminal: Terminal,
    under: Annotated[str, typer.Option(help=message("right below this one; at the top if not given"))] = "",
) -> None:
    with open_directory(terminal) as directory:
        parent_id = find(directory, under) if under else ""
        answer = api.ListColleagueDepartmentsResponse(departments=children(directory, parent_id))
    terminal.answer(answer, lambda to: show_departments(to, answer))


def find(directory: Directory, typed: str) -> str:
    """The number of a department, or of what has that path. Raises CommandError."""
    if ID.fullmatch(typed):
        return typed
    path, parent_id = unicodedata.normalize("NFC", typed).strip("/ "), ""
    while True:
        below = children(directory, parent_id)
        way = next((each for each in below if f"{path}/".startswith(f"{each.path}/")), None)
        if way is None:
            raise CommandError(FailureReason.NO_SUCH_DEPARTMENT, ExitCode.NOT_FOUND, typed=typed)
        if way.path == path:
            return way.department_id
        parent_id = way.department_id


def children(directory: Directory, parent_id: str) -> Iterator[api.ColleagueDepartment]:
    """Those that one sees, in their order; those at the top of ""."""
    request = api.ListColleagueDepartmentsRequest(parent_id=parent_id, page_size=PAGE)
    while True:
        answer = directory.ask(directory.stub.address_book.ListColleagueDepartments, request)
        yield from answer.departments
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def show_list(terminal: Terminal, answer: api.ListColleaguesResponse) -> None:
    if not answer.colleagues:
        terminal.say(message("Nobody whom you can see is found so."))
        return
    table = Table(padding=(0, 1))
    for text in (pmessage("person", "name"), message("account"), message("title"), message("departments")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in answer.colleagues:
        paths = "\n".join(one.path for one in each.departments)
        table.add_row(*map(Styled, (each.display_name, each.account_id, each.title, paths)))
    terminal.out.print(table)
    if answer.next_page_token:
        terminal.say(message("There are more: say more of the name, or list more with --limit."))


def facts(terminal: Terminal, colleague: api.Colleague) -> Iterator[tuple[Text, str]]:
    """Those that are told."""
    yield pmessage("person", "name"), colleague.display_name
    yield message("account"), colleague.account_id
    told = {
        message("title"): colleague.title,
        message("e-mail"): colleague.email,
        message("phone"): colleague.phone,
        message("staff number"): colleague.staff_id,
        message("departments"): "\n".join(each.path for each in colleague.departments),
    }
    yield from ((text, value) for text, value in told.items() if value)
    if colleague.hidden:
        yield message("address book"), terminal.text(message("hidden from others"))


def show_departments(terminal: Terminal, answer: api.ListColleagueDepartmentsResponse) -> None:
    if not answer.departments:
        terminal.say(message("No departments."))
        return
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("department")), overflow="fold")
    table.add_column(terminal.text(message("number")), no_wrap=True)
    for each in answer.departments:
        table.add_row(Styled(each.path), each.department_id)
    terminal.out.print(table)
