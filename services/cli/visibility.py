"""`yunhui organization visibility`: what members see of each other in the address book."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import typer
from yunhui.directory.v1 import organization_service_pb2 as api
from yunhui.directory.v1 import visibility_pb2 as pb

from services.cli import departments, moments, myself, rendering
from services.cli.arguments import in_choices, read_named
from services.cli.client import Directory, open_directory
from services.cli.departments import Department
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import Text, message, pmessage

SIGHT, FIELD = "SIGHT_", "CARD_FIELD_"
SIGHTS: Mapping[int, Text] = {
    pb.SIGHT_EVERYBODY: message("everybody"),
    pb.SIGHT_OWN_DEPARTMENT: message("their own departments"),
    pb.SIGHT_OWN_DEPARTMENT_AND_BELOW: message("their own departments and those below"),
    pb.SIGHT_CHOSEN_DEPARTMENTS: message("chosen departments"),
}
FIELDS: Mapping[int, Text] = {
    pb.CARD_FIELD_EMAIL: message("e-mail"),
    pb.CARD_FIELD_PHONE: message("phone"),
    pb.CARD_FIELD_TITLE: message("title"),
    pb.CARD_FIELD_STAFF_ID: message("staff number"),
    pb.CARD_FIELD_DEPARTMENTS: message("departments"),
}
SIGHT_CHOICES = "|".join(in_choices(name, SIGHT) for name in pb.Sight.keys()[1:])
USUAL_CHOICES = "|".join(in_choices(name, SIGHT) for name in pb.Sight.keys()[1:-1])
FIELD_CHOICES = "|".join(in_choices(name, FIELD) for name in pb.CardField.keys()[1:])


def show(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        answer = get(directory)
    terminal.answer(answer, lambda to: show_visibility(to, answer))


def change(
    terminal: Terminal,
    address_book: Annotated[
        bool | None, typer.Option("--address-book/--no-address-book", help=message("whether members have one"))
    ] = None,
    tree: Annotated[
        bool | None, typer.Option("--tree/--no-tree", help=message("whether it shows the tree of departments"))
    ] = None,
    card: Annotated[
        list[str] | None,
        typer.Option(
            "--card", metavar=FIELD_CHOICES, help=message("all that cards say from now on; repeatable, '' for none")
        ),
    ] = None,
    sees: Annotated[
        str | None, typer.Option(metavar=USUAL_CHOICES, help=message("whom those see whom no rule is for"))
    ] = None,
) -> None:
    request = api.UpdateVisibilityRequest(address_book_shown=address_book, departments_shown=tree)
    if card:
        named = [read_named(typed, pb.CardField.keys(), FIELD) for typed in card if typed]
        request.fields.CopyFrom(api.CardFields(fields=[pb.CardField.Value(name) for name in named]))
    if sees:
        request.sight = pb.Sight.Value(read_named(sees, pb.Sight.keys(), SIGHT))
    if not request.ListFields():
        way = f"{myself.name()} organization visibility set --help"
        raise CommandError(FailureReason.SAY_WHAT, ExitCode.USAGE, way=way)
    with open_directory(terminal) as directory:
        put(terminal, directory, get(directory), request)


def put_rule(
    terminal: Terminal,
    department: Department,
    sees: Annotated[str, typer.Option(metavar=SIGHT_CHOICES, help=message("whom its members see"))],
    chosen: Annotated[
        list[str] | None, typer.Option("--chosen", help=message("one of the chosen departments; repeatable"))
    ] = None,
) -> None:
    """One that there is for the department is replaced."""
    sight = pb.Sight.Value(read_named(sees, pb.Sight.keys(), SIGHT))
    with open_directory(terminal) as directory:
        before = get(directory)
        places = [named(departments.find(directory, typed).department_id) for typed in chosen or ()]
        department_id = departments.find(directory, department).department_id
        made = pb.VisibilityRule(department=named(department_id), sight=sight, chosen=places)
        put(terminal, directory, before, with_rules([*others(before, department_id), made]))


def delete_rule(terminal: Terminal, department: Department) -> None:
    with open_directory(terminal) as directory:
        before, department_id = get(directory), departments.find(directory, department).department_id
        put(terminal, directory, before, with_rules(others(before, department_id)))


def hide(terminal: Terminal, department: Department) -> None:
    with open_directory(terminal) as directory:
        before, department_id = get(directory), departments.find(directory, department).department_id
        hidden = {each.department_id for each in before.hidden_departments} | {department_id}
        put(terminal, directory, before, with_hidden(hidden))


def unhide(terminal: Terminal, department: Department) -> None:
    with open_directory(terminal) as directory:
        before, department_id = get(directory), departments.find(directory, department).department_id
        hidden = {each.department_id for each in before.hidden_departments} - {department_id}
        put(terminal, directory, before, with_hidden(hidden))


def get(directory: Directory) -> pb.Visibility:
    return directory.ask(directory.stub.organization.GetVisibility, api.GetVisibilityRequest()).visibility


def put(terminal: Terminal, directory: Directory, before: pb.Visibility, request: api.UpdateVisibilityRequest) -> None:
    request.version = before.version
    after = directory.ask(directory.stub.organization.UpdateVisibility, request).visibility
    terminal.answer(after, lambda to: show_visibility(to, after))


def others(settings: pb.Visibility, department_id: str) -> list[pb.VisibilityRule]:
    return [each for each in settings.rules if each.department.department_id != department_id]


def with_rules(rules: Iterable[pb.VisibilityRule]) -> api.UpdateVisibilityRequest:
    return api.UpdateVisibilityRequest(rules=api.VisibilityRules(rules=rules))


def with_hidden(ids: Iterable[str]) -> api.UpdateVisibilityRequest:
    places = api.NamedDepartments(departments=[named(each) for each in sorted(ids)])
    return api.UpdateVisibilityRequest(hidden_departments=places)


def named(department_id: str) -> pb.NamedDepartment:
    return pb.NamedDepartment(department_id=department_id)


def show_visibility(terminal: Terminal, settings: pb.Visibility) -> None:
    rendering.show_facts(terminal, facts(terminal, settings))


def facts(terminal: Terminal, settings: pb.Visibility) -> Iterator[tuple[Text, str]]:
    comma, shown = terminal.text(pmessage("list", ", ")), {True: message("shown"), False: message("not shown")}
    yield message("address book"), terminal.text(shown[settings.address_book_shown])
    yield message("tree of departments"), terminal.text(shown[settings.departments_shown])
    yield message("cards say"), comma.join([terminal.text(FIELDS[each]) for each in settings.fields]) or "–"
    yield message("members see"), terminal.text(SIGHTS[settings.sight])
    for rule in settings.rules:
        chosen = comma.join(each.path for each in rule.chosen)
        said = chosen or terminal.text(SIGHTS[rule.sight])
        yield (
            message("a rule"),
            terminal.text(message("{path} and below see: {whom}"), path=rule.department.path, whom=said),
        )
    for each in settings.hidden_departments:
        yield message("hidden department"), each.path
    if settings.HasField("update_time"):
        yield message("last change"), moments.show(settings.update_time, terminal.language)
