"""`yunhui organization licences`: how many there are, what was bought, and entering what is bought (admin)."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import organization_pb2 as pb
from yunhui.directory.v1 import organization_service_pb2 as api

from services.cli import moments
from services.cli.arguments import read_moment
from services.cli.client import open_directory
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.platform.text.messages import message


def licences(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.organization.GetLicences, api.GetLicencesRequest())
    terminal.answer(answer, lambda to: show_licences(to, answer))


def put(
    terminal: Terminal,
    purchase_id: Annotated[str, typer.Argument(help=message("such as the number of the order"))],
    count: Annotated[int | None, typer.Option(min=1, help=message("how many"))] = None,
    start: Annotated[str | None, typer.Option(help=message("from when on they may be given"))] = None,
    end: Annotated[str | None, typer.Option(help=message("until when"))] = None,
    note: Annotated[str | None, typer.Option(help=message("what is good to know"))] = None,
) -> None:
    """Of one that is there already, what is not said stays."""
    now = development_clock.now(terminal.state)
    with open_directory(terminal) as directory:
        stub = directory.stub.organization
        known = directory.ask(stub.GetLicences, api.GetLicencesRequest()).purchases
        purchase = next((each for each in known if each.purchase_id == purchase_id), None)
        purchase = purchase or pb.LicencePurchase(purchase_id=purchase_id)
        if count is not None:
            purchase.count = count
        if start is not None:
            purchase.start_time.CopyFrom(moments.to_timestamp(read_moment(start, now)))
        if end is not None:
            purchase.end_time.CopyFrom(moments.to_timestamp(read_moment(end, now)))
        if note is not None:
            purchase.note = note
        answer = directory.ask(stub.PutLicencePurchase, api.PutLicencePurchaseRequest(purchase=purchase))
    terminal.answer(answer, lambda to: show_figures(to, answer.figures))


def delete(terminal: Terminal, purchase_id: str) -> None:
    with open_directory(terminal) as directory:
        request = api.DeleteLicencePurchaseRequest(purchase_id=purchase_id)
        answer = directory.ask(directory.stub.organization.DeleteLicencePurchase, request)
    terminal.answer(answer, lambda to: show_figures(to, answer.figures))


def show_licences(terminal: Terminal, answer: api.GetLicencesResponse) -> None:
    show_figures(terminal, answer.figures)
    if not answer.purchases:
        terminal.say(message("Nothing was bought yet."))
        return
    zone = moments.zone_name(terminal.language)
    table = Table(padding=(0, 1))
    table.add_column(terminal.text(message("purchase")), overflow="fold")
    table.add_column(terminal.text(message("licences")), justify="right")
    table.add_column(terminal.text(message("time ({zone})"), zone=zone), overflow="fold")
    table.add_column(terminal.text(message("note")), overflow="fold")
    for each in answer.purchases:
        held = moments.show_bare_interval(each.start_time, each.end_time, terminal.language)
        table.add_row(Styled(each.purchase_id), f"{each.count:,}", held, Styled(each.note))
    terminal.out.print(table)


def show_figures(terminal: Terminal, figures: pb.LicenceFigures) -> None:
    said = message("{left:,} of {bought:,} licences are left; {used:,} are given, {locked:,} of them for good.")
    short = message("{used:,} licences are given, and {bought:,} were bought: none is given until that is right again.")
    counts = {"bought": figures.bought, "used": figures.used, "left": figures.left, "locked": figures.locked}
    terminal.say(short if figures.left < 0 else said, **counts)
    if figures.HasField("next_end_time"):
        terminal.say(
            message("The next purchase ends {time}; from then on there are {count:,} in all."),
            time=moments.show(figures.next_end_time, terminal.language),
            count=figures.bought_after_next_end,
        )
