"""`yunhui organization joining`: what becomes of somebody unknown who signs in (admin)."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.cli import departments, rendering
from services.cli.arguments import in_choices, read_named
from services.cli.client import Directory, open_directory
from services.cli.failures import CommandError, ExitCode
from services.cli.organization import MODES, get
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.platform.text.messages import message

MODE = "JOINING_MODE_"
CHOICES = "|".join(in_choices(name, MODE) for name in pb.JoiningMode.keys()[1:])
Domain = Annotated[str, typer.Argument(metavar="DOMAIN")]


def show(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        found = get(directory).joining
    terminal.answer(found, lambda to: show_joining(to, found))


def set_(terminal: Terminal, mode: Annotated[str, typer.Argument(metavar=CHOICES)]) -> None:
    wanted = pb.JoiningMode.Value(read_named(mode, pb.JoiningMode.keys(), MODE))
    with open_directory(terminal) as directory:
        before = get(directory)
        after = put(directory, before, wanted, before.joining.domains)
    terminal.answer(after, lambda to: show_joining(to, after))


def add(terminal: Terminal, domain: Domain, department: Annotated[str, typer.Argument(metavar="DEPARTMENT")]) -> None:
    """A domain that is there already is given the other department."""
    with open_directory(terminal) as directory:
        before = get(directory)
        added = pb.JoiningDomain(domain=domain, department_id=departments.find(directory, department).department_id)
        others = [each for each in before.joining.domains if not is_same(each, domain)]
        after = put(directory, before, before.joining.mode, [*others, added])
    terminal.answer(after, lambda to: show_joining(to, after))


def delete(terminal: Terminal, domain: Domain) -> None:
    with open_directory(terminal) as directory:
        before = get(directory)
        others = [each for each in before.joining.domains if not is_same(each, domain)]
        if len(others) == len(before.joining.domains):
            raise CommandError(FailureReason.NO_SUCH_DOMAIN, ExitCode.NOT_FOUND, domain=domain)
        after = put(directory, before, before.joining.mode, others)
    terminal.answer(after, lambda to: show_joining(to, after))


def is_same(row: pb.JoiningDomain, domain: str) -> bool:
    return row.domain == domain.strip().removeprefix("@").casefold()


def put(
    directory: Directory, before: pb.Organization, mode: pb.JoiningMode.ValueType, domains: Iterable[pb.JoiningDomain]
) -> pb.Joining:
    request = api.UpdateOrganizationRequest(version=before.version, joining=pb.Joining(mode=mode, domains=domains))
    return directory.ask(directory.stub.organization.UpdateOrganization, request).organization.joining


def show_joining(terminal: Terminal, joining: pb.Joining) -> None:
    rendering.show_facts(terminal, [(message("somebody unknown signs in"), terminal.text(MODES[joining.mode]))])
    if not joining.domains:
        return
    table = Table(padding=(0, 1))
    for text in (message("mail domain"), message("department")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in joining.domains:
        table.add_row(Styled(each.domain), Styled(each.path or terminal.text(message("gone: they wait"))))
    terminal.out.print(table)
