"""`yunhui organization scim-tokens`: what proves identity providers, which keep members up by SCIM (admin)."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.directory.v1 import provisioning_service_pb2 as api

from services.cli import moments
from services.cli.client import open_directory
from services.cli.terminal import Terminal
from services.platform.text.messages import message

Name = Annotated[str, typer.Argument(metavar="NAME")]


def list_(terminal: Terminal) -> None:
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.provisioning.ListProvisioningTokens, api.ListProvisioningTokensRequest())
    terminal.answer(answer, lambda to: show_tokens(to, answer.tokens))


def create(terminal: Terminal, name: Name) -> None:
    request = api.CreateProvisioningTokenRequest(display_name=name)
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.provisioning.CreateProvisioningToken, request)
    terminal.answer(answer, lambda to: show_secret(to, answer.secret))


def revoke(terminal: Terminal, name: Name) -> None:
    request = api.RevokeProvisioningTokenRequest(display_name=name)
    with open_directory(terminal) as directory:
        answer = directory.ask(directory.stub.provisioning.RevokeProvisioningToken, request)
    terminal.answer(answer, lambda to: to.say(message("The token {name} does not hold any more."), name=name))


def show_secret(terminal: Terminal, secret: str) -> None:
    terminal.say(message("The token, which nobody can show again; give it to the identity provider alone:"))
    terminal.out.print(secret, soft_wrap=True, highlight=False, markup=False)


def show_tokens(terminal: Terminal, tokens: Iterable[api.ProvisioningToken]) -> None:
    table = Table(padding=(0, 1))
    for text in (message("token"), message("made by"), message("made")):
        table.add_column(terminal.text(text), overflow="fold")
    for each in tokens:
        made = moments.show(each.create_time, terminal.language)
        table.add_row(Styled(each.display_name), Styled(each.actor), made)
    if table.row_count:
        terminal.out.print(table)
    else:
        terminal.say(message("No token holds: no identity provider gets in."))
