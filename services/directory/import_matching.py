"""Which member each of the provider's people is, and which members came from the provider and are no longer there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.directory import import_columns
from services.directory.import_columns import Given
from services.directory.models import MEMBER
from services.platform.text.messages import message


@dataclass(frozen=True, slots=True)
class Roster:
    """All members, by what one of the provider's people may be found to be them. Open: without a user id of theirs."""

    users: Mapping[str, str]
    """Account by user id."""
    accounts: Mapping[str, str | None]
    """User id by account."""
    staff: Mapping[str, str]
    """Open account by staff id."""
    mail: Mapping[str, Sequence[str]]
    """Open accounts by e-mail address, capitals aside."""
    closed: frozenset[str]
    """Accounts that are disabled."""


def match(connection: Connection, people: Sequence[Given], places: Mapping[str, int]) -> list[Given]:
    """Puts into each row which account it is about, or a fault. Answers rows for those who are gone.

    `places`: of the fields in a row, from 0.
    """
    roster = _read(connection)
    matched = [person for person in people if _match(person, roster, places)]
    import_columns.tell_doubles("account_id", places, matched)
    return _gone(people, roster)


def _read(connection: Connection) -> Roster:
    c = MEMBER.c
    query = sa.select(c.account_id, c.provider_user_id, c.staff_id, c.email, c.status).order_by(c.account_id)
    rows = connection.execute(query).all()
    mail: dict[str, list[str]] = {}
    for row in rows:
        if row.provider_user_id is None and row.email:
            mail.setdefault(row.email.casefold(), []).append(row.account_id)
    return Roster(
        {row.provider_user_id: row.account_id for row in rows if row.provider_user_id is not None},
        {row.account_id: row.provider_user_id for row in rows},
        {row.staff_id: row.account_id for row in rows if row.staff_id and row.provider_user_id is None},
        mail,
        frozenset(row.account_id for row in rows if row.status == "DISABLED"),
    )


def _match(person: Given, roster: Roster, places: Mapping[str, int]) -> bool:
    """Whether it is somebody who is known."""
    values = person.values
    if "provider_user_id" not in values:
        return False
    account = (
        roster.users.get(values["provider_user_id"])
        or _by_account(person, roster)
        or roster.staff.get(values.get("staff_id", ""))
        or _by_mail(person, roster, places)
    )
    if account is None:
        return False
    values["account_id"] = account
    person.faults[:] = [fault for fault in person.faults if fault[0] != "account_id"] + _taken(person, roster, places)
    if values.get("status") == "NOT_ACTIVATED":  # how the account stands here says more
        del values["status"]
    return True


def _by_account(person: Given, roster: Roster) -> str | None:
    account: str | None = person.values.get("account_id")
    return account if account in roster.accounts else None


def _taken(person: Given, roster: Roster, places: Mapping[str, int]) -> list[import_columns.Fault]:
    """The member of the same account is another user of the provider's."""
    account, user = person.values["account_id"], person.values["provider_user_id"]
    other = roster.accounts[account]
    if other in (None, user):
        return []
    words = message(
        "the member {account} is linked to another user of the provider: {user}", account=account, user=other
    )
    return [import_columns.to_fault("provider_user_id", places["provider_user_id"] + 1, words)]


def _by_mail(person: Given, roster: Roster, places: Mapping[str, int]) -> str | None:
    found = roster.mail.get(person.values.get("email", "").casefold(), ())
    if len(found) > 1:
        words = message(
            "{number} members have this e-mail address: give the right one this staff id, or the provider's user id",
            number=len(found),
        )
        person.faults.append(import_columns.to_fault("email", places["email"] + 1, words))
    return found[0] if len(found) == 1 else None


def _gone(people: Sequence[Given], roster: Roster) -> list[Given]:
    """By account; those whose accounts are closed already stay as they are."""
    there = {person.values.get("provider_user_id") for person in people}
    accounts = sorted(
        account for user, account in roster.users.items() if user not in there and account not in roster.closed
    )
    first = max((person.line for person in people), default=1) + 1
    return [
        Given(line, [], {"account_id": account, "status": "DISABLED"}, [], [])
        for line, account in enumerate(accounts, first)
    ]
