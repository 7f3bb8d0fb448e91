"""`yunhui login`, `logout` and `whoami`: who one is."""

import os
from typing import Annotated, Any

import typer

from services.cli import client
from services.cli.arguments import read_account, read_choice
from services.cli.terminal import Terminal
from services.installation import issuer
from services.installation.issuer import SampleAccount
from services.installation.state import write_private
from services.platform.text.messages import message


def login(
    terminal: Terminal,
    role: Annotated[str, typer.Argument(metavar="|".join(issuer.ROLES))],
    account: Annotated[str, typer.Option(help=message("name of the sample account"))] = "",
) -> None:
    role = read_choice(role, issuer.ROLES)
    sample = SampleAccount(read_account(account or role), role, terminal.language)
    try:
        token = issuer.mint(terminal.state, sample)
    except FileNotFoundError as error:
        raise client.no_state(terminal) from error
    session = {"token": token, "account": sample.account_id, "role": role}
    # a language that nobody asked for is not kept: it would outlive the locale that it came from
    language = {"language": terminal.language} if terminal.language_asked_for else {}
    write_private(terminal.state.session, session | language)
    terminal.print_json({"account": sample.account_id, "role": role})
    terminal.say(message("Signed in as {account} ({role}), for 12 hours."), account=sample.account_id, role=role)


def logout(terminal: Terminal) -> None:
    terminal.state.session.unlink(missing_ok=True)
    terminal.print_json({})
    terminal.say(message("Signed out."))


def whoami(terminal: Terminal) -> None:
    """Says what the token says; whether a service believes it is another question."""
    claims = client.claims(client.token(terminal))
    shown: dict[str, Any] = {
        name: claims[name] for name in ("sub", "name", "email", "roles", "department") if name in claims
    }
    terminal.print_json(shown)
    roles = ", ".join(str(role) for role in claims.get("roles", ()))
    terminal.say(message("{account} ({roles}) {origin}"), **_who(terminal, claims, roles))


def _who(terminal: Terminal, claims: dict[str, Any], roles: str) -> dict[str, str]:
    origin = terminal.text(message("(from YUNHUI_TOKEN)")) if "YUNHUI_TOKEN" in os.environ else ""
    return {"account": str(claims.get("sub")), "roles": roles, "origin": origin}
