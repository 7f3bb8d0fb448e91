"""`yunhui login`, `logout`, `whoami` and `quota`: who one is, and what one may still do."""

import os
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text as Styled
from yunhui.booking.v1 import booking_service_pb2 as api
from yunhui.booking.v1 import reservation_pb2 as pb

from services.cli import client, issuer, moments, texts
from services.cli.arguments import read_account, read_choice
from services.cli.issuer import SampleAccount
from services.cli.state import write_private
from services.cli.terminal import Terminal
from services.cli.texts import Text

OBJECTIONS = {
    pb.OBJECTION_OUTCOME_OPEN: texts.OBJECTION_OPEN,
    pb.OBJECTION_OUTCOME_UPHELD: texts.OBJECTION_UPHELD,
    pb.OBJECTION_OUTCOME_DISMISSED: texts.OBJECTION_DISMISSED,
}
PERIODS = {"DAILY_QUOTA": texts.TODAY, "WEEKLY_QUOTA": texts.THIS_WEEK}


def login(
    terminal: Terminal,
    role: Annotated[str, typer.Argument(metavar="|".join(issuer.ROLES))],
    account: Annotated[str, typer.Option(help=texts.OPTION_ACCOUNT.help)] = "",
) -> None:
    role = read_choice(role, issuer.ROLES)
    sample = SampleAccount(read_account(account or role), role, terminal.language)
    try:
        token = issuer.mint(terminal.state, sample)
    except FileNotFoundError as error:
        raise client.no_state(terminal) from error
    session = {"token": token, "account": sample.account_id, "role": role, "locale": sample.locale}
    write_private(terminal.state.session, session)
    terminal.print_json({"account": sample.account_id, "role": role})
    terminal.say(texts.SIGNED_IN, account=sample.account_id, role=role)


def logout(terminal: Terminal) -> None:
    terminal.state.session.unlink(missing_ok=True)
    terminal.print_json({})
    terminal.say(texts.SIGNED_OUT)


def whoami(terminal: Terminal) -> None:
    """Says what the token says; whether a service believes it is another question."""
    claims = client.claims(client.token(terminal))
    shown: dict[str, Any] = {
        name: claims[name] for name in ("sub", "name", "email", "roles", "department") if name in claims
    }
    terminal.print_json(shown)
    roles = ", ".join(str(role) for role in claims.get("roles", ()))
    terminal.say(texts.WHO, **_who(terminal, claims, roles))


def _who(terminal: Terminal, claims: dict[str, Any], roles: str) -> dict[str, str]:
    origin = terminal.text(texts.TOKEN_FROM_ENVIRONMENT) if "YUNHUI_TOKEN" in os.environ else ""
    return {"account": str(claims.get("sub")), "roles": roles, "origin": origin}


def quota(
    terminal: Terminal,
    account: Annotated[str, typer.Option(help=texts.OPTION_WHOSE.help)] = "",
) -> None:
    with client.open_booking(terminal) as booking:
        answer = booking.ask(booking.stub.GetStanding, api.GetStandingRequest(account_id=account))
    terminal.answer(answer, lambda to: show_standing(to, answer.standing))


def show_standing(terminal: Terminal, standing: pb.Standing) -> None:
    terminal.out.print(Styled(quota_line(terminal, standing), "bold"))
    for quota_standing in standing.quotas:
        if not quota_standing.remaining:
            fresh = moments.show(quota_standing.usage.period_end, terminal.language)
            terminal.say(texts.OPEN_AGAIN, time=fresh)
    if standing.HasField("suspension"):
        terminal.say(texts.SUSPENDED, time=moments.show(standing.suspension.end_time, terminal.language))
    else:
        terminal.say(texts.NOT_SUSPENDED)
    show_violations(terminal, standing)


def quota_line(terminal: Terminal, standing: pb.Standing) -> str:
    """今日 1/3 · 本周 4/10"""
    return " · ".join(
        f"{_period(terminal, row.usage.rule_id)} {row.usage.used}/{row.usage.limit}" for row in standing.quotas
    )


def _period(terminal: Terminal, rule_id: str) -> str:
    return terminal.text(PERIODS[rule_id]) if rule_id in PERIODS else rule_id


def show_violations(terminal: Terminal, standing: pb.Standing) -> None:
    if not standing.violations:
        terminal.say(texts.NO_VIOLATIONS)
        return
    table = Table(padding=(0, 1))
    for text in (texts.VIOLATION, texts.TIME, texts.RESERVATION, texts.STATE):
        table.add_column(terminal.text(text), overflow="fold")
    for violation in standing.violations:
        when = moments.show(violation.violation_time, terminal.language)
        condition = terminal.text(_condition(violation))
        if violation.HasField("objection"):
            state = terminal.text(OBJECTIONS[violation.objection.outcome])
            condition = f"{condition} · {terminal.text(texts.OBJECTION)} {state}"
        table.add_row(violation.violation_id, when, violation.reservation_id, condition)
    terminal.out.print(table)


def _condition(violation: pb.Violation) -> Text:
    if violation.waived:
        return texts.WAIVED
    return texts.USED_UP if violation.suspension_id else texts.VALID
