"""`yunhui departments`: the tree of the organization, and changing it (admin)."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table
from rich.text import Text as Styled
from rich.tree import Tree
from yunhui.directory.v1 import department_pb2 as pb
from yunhui.directory.v1 import department_service_pb2 as api

from services.cli import moments, rendering
from services.cli.arguments import confirm
from services.cli.client import Directory, open_directory
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message
from services.platform.text.times import in_brackets

PAGE = 500
LEVELS = 3
MOST_LEVELS = 64
ID = re.compile(r"[a-z]+_[0-9a-z]{26}")

Department = Annotated[str, typer.Argument(help=message("its path, with / between the names, or its number"))]
Yes = Annotated[bool, typer.Option("--yes", help=message("do not ask again"))]


@dataclass(frozen=True, slots=True)
class Branch:
    """A department, and what was asked for of what is below it."""

    department: pb.Department
    below: Sequence["Branch"]

    def to_json(self) -> dict[str, Any]:
        below = [each.to_json() for each in self.below]
        return MessageToDict(self.department) | ({"departments": below} if below else {})


def list_(
    terminal: Terminal,
    text: Annotated[str, typer.Argument(help=message("part of the name, its pinyin or its initials"))] = "",
    under: Annotated[str, typer.Option(help=message("right below this one; at the top if not given"))] = "",
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help=message("list at most so many"))] = 100,
) -> None:
    with open_directory(terminal) as directory:
        stub = directory.stub.departments
        if text:
            found = directory.ask(stub.SearchDepartments, api.SearchDepartmentsRequest(query=text, page_size=limit))
            answer = api.ListDepartmentsResponse(departments=found.departments, total_count=found.total_count)
        else:
            parent_id = find(directory, under).department_id if under else ""
            request = api.ListDepartmentsRequest(parent_id=parent_id, page_size=limit)
            answer = directory.ask(stub.ListDepartments, request)
    terminal.answer(answer, lambda to: show_list(to, answer))


def tree(
    terminal: Terminal,
    department: Annotated[str, typer.Argument(help=message("where to begin; at the top if not given"))] = "",
    levels: Annotated[int, typer.Option(min=1, max=MOST_LEVELS, help=message("how far down"))] = LEVELS,
) -> None:
    with open_directory(terminal) as directory:
        tops = [find(directory, department)] if department else list(children(directory, ""))
        branches = [to_branch(directory, top, levels) for top in tops]
    terminal.print_json({"departments": [branch.to_json() for branch in branches]})
    if not terminal.json:
        show_tree(terminal, branches)


def show(terminal: Terminal, department: Department) -> None:
    with open_directory(terminal) as directory:
        answer = api.GetDepartmentResponse(department=find(directory, department))
    terminal.answer(answer, lambda to: show_department(to, answer.department))


def add(
    terminal: Terminal,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    under: Annotated[str, typer.Option(help=message("the department above; at the top if not given"))] = "",
) -> None:
    with open_directory(terminal) as directory:
        parent_id = find(directory, under).department_id if under else ""
        request = api.CreateDepartmentRequest(display_name=name, parent_id=parent_id)
        answer = directory.ask(directory.stub.departments.CreateDepartment, request)
    terminal.answer(answer, lambda to: to.say(message("Department {path} is made."), path=answer.department.path))


def rename(terminal: Terminal, department: Department, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    with open_directory(terminal) as directory:
        before = find(directory, department)
        request = api.RenameDepartmentRequest(
            department_id=before.department_id, display_name=name, version=before.version
        )
        answer = directory.ask(directory.stub.departments.RenameDepartment, request)
    terminal.answer(
        answer,
        lambda to: to.say(message("{old} is now called {path}."), old=before.path, path=answer.department.path),
    )


def move(
    terminal: Terminal,
    department: Department,
    under: Annotated[str, typer.Option(help=message("the department above from now on"))] = "",
    top: Annotated[bool, typer.Option("--top", help=message("to the top"))] = False,
    before: Annotated[str, typer.Option(help=message("in front of this one; as the last if not given"))] = "",
) -> None:
    if bool(under) == top and (top or not before):
        raise CommandError(FailureReason.SAY_WHERE_TO, ExitCode.USAGE)
    with open_directory(terminal) as directory:
        moved = find(directory, department)
        sibling = find(directory, before) if before else pb.Department()
        parent_id = find(directory, under).department_id if under else "" if top else sibling.parent_id
        request = api.MoveDepartmentRequest(
            department_id=moved.department_id,
            parent_id=parent_id,
            before_department_id=sibling.department_id,
            version=moved.version,
        )
        answer = directory.ask(directory.stub.departments.MoveDepartment, request)
    path, place = answer.department.path, answer.department.position + 1
    stayed = message("{path} is now in place {place}.")
    said = stayed if path == moved.path else message("{old} is now {path}, in place {place}.")
    terminal.answer(answer, lambda to: to.say(said, old=moved.path, path=path, place=place))


def merge(
    terminal: Terminal,
    department: Department,
    into: Annotated[str, typer.Option(help=message("the one that takes over"))],
    yes: Yes = False,
) -> None:
    with open_directory(terminal) as directory:
        merged, other = find(directory, department), find(directory, into)
        question = message(
            "Give the members ({members}) and departments ({departments}) of {path} to {into}, and remove it?"
        )
        counts = {"members": merged.member_count, "departments": merged.child_count}
        confirm(terminal, question, yes=yes, path=merged.path, into=other.path, **counts)
        request = api.MergeDepartmentRequest(
            department_id=merged.department_id, into_department_id=other.department_id, version=merged.version
        )
        answer = directory.ask(directory.stub.departments.MergeDepartment, request)
    said = message("{path} is now part of {into}.")
    terminal.answer(answer, lambda to: to.say(said, path=merged.path, into=answer.department.path))


def delete(terminal: Terminal, department: Department, yes: Yes = False) -> None:
    with open_directory(terminal) as directory:
        gone = find(directory, department)
        confirm(terminal, message("Delete {path}?"), yes=yes, path=gone.path)
        request = api.DeleteDepartmentRequest(department_id=gone.department_id, version=gone.version)
        answer = directory.ask(directory.stub.departments.DeleteDepartment, request)
    terminal.answer(answer, lambda to: to.say(message("{path} is deleted."), path=gone.path))


def find(directory: Directory, typed: str) -> pb.Department:
    """By its number, or by its path from the top down. Raises CommandError."""
    stub = directory.stub.departments
    if ID.fullmatch(typed):
        return directory.ask(stub.GetDepartment, api.GetDepartmentRequest(department_id=typed)).department
    found = pb.Department()
    for name in unicodedata.normalize("NFC", typed).split("/"):
        below = children(directory, found.department_id)
        match = next((each for each in below if each.display_name == name.strip()), None)
        if match is None:
            raise CommandError(FailureReason.NO_SUCH_DEPARTMENT, ExitCode.NOT_FOUND, typed=typed)
        found = match
    return found


def children(directory: Directory, parent_id: str) -> Iterator[pb.Department]:
    """In their order; those at the top of ""."""
    request = api.ListDepartmentsRequest(parent_id=parent_id, page_size=PAGE)
    while True:
        answer = directory.ask(directory.stub.departments.ListDepartments, request)
        yield from answer.departments
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def to_branch(directory: Directory, department: pb.Department, levels: int) -> Branch:
    """Itself, and so many levels less one below it."""
    if levels == 1 or not department.child_count:
        return Branch(department, ())
    below = children(directory, department.department_id)
    return Branch(department, [to_branch(directory, each, levels - 1) for each in below])


def show_list(terminal: Terminal, answer: api.ListDepartmentsResponse) -> None:
    if not answer.departments:
        terminal.say(message("No departments."))
        return
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("department")), overflow="fold")
    for text in (message("members"), message("with those below"), message("departments below")):
        table.add_column(terminal.text(text), justify="right")
    table.add_column(terminal.text(message("number")), no_wrap=True)
    for each in answer.departments:
        counts = (each.member_count, each.member_count_below, each.child_count)
        table.add_row(Styled(each.path), *(f"{count:,}" for count in counts), each.department_id)
    terminal.out.print(table)
    rendering.show_rest(terminal, len(answer.departments), answer.total_count)


def show_tree(terminal: Terminal, branches: Sequence[Branch]) -> None:
    if not branches:
        terminal.say(message("No departments."))
        return
    for branch in branches:
        drawn = Tree(to_label(terminal, branch), guide_style="dim")
        grow(terminal, drawn, branch)
        terminal.out.print(drawn)


def grow(terminal: Terminal, drawn: Tree, branch: Branch) -> None:
    for each in branch.below:
        grow(terminal, drawn.add(to_label(terminal, each)), each)


def to_label(terminal: Terminal, branch: Branch) -> Styled:
    """Its name, who belongs to it, and how many departments below it are not drawn."""
    department = branch.department
    counts = {"own": department.member_count, "all": department.member_count_below}
    leaf = message("members: {own:,}")
    members = terminal.text(
        message("members: {own:,}, with those below: {all:,}") if department.child_count else leaf, **counts
    )
    hidden = department.child_count and not branch.below
    more = terminal.text(message("departments below: {count:,}"), count=department.child_count) if hidden else ""
    return Styled(department.display_name, "bold").append(
        in_brackets("", " · ".join(filter(None, [members, more])), terminal.language), "not bold dim"
    )


def show_department(terminal: Terminal, department: pb.Department) -> None:
    rendering.show_facts(terminal, department_facts(terminal, department))


def department_facts(terminal: Terminal, department: pb.Department) -> Iterator[tuple[Text, str]]:
    yield message("department"), department.path
    yield message("number"), department.department_id
    yield message("members"), f"{department.member_count:,}"
    yield message("with those below"), f"{department.member_count_below:,}"
    yield message("departments below"), f"{department.child_count:,}"
    yield message("made"), moments.show(department.create_time, terminal.language)
    yield message("last change"), moments.show(department.update_time, terminal.language)
