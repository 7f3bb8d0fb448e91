"""Where the pages of the console are. Ids of others' making stand behind the question mark: they may be any word."""

from typing import Protocol
from urllib.parse import urlencode

CONSOLE = "/console"
MEMBERS = f"{CONSOLE}/members"
MEMBER = f"{CONSOLE}/member"
"""With ?id=; and below it what is done to one."""
NO_DEPARTMENT = "-"
"""In the filter: members who belong to none."""
ORGANIZATION = f"{CONSOLE}/organization"
PURCHASES = f"{ORGANIZATION}/purchases"
PURCHASE = f"{ORGANIZATION}/purchase"
"""With ?id=."""


class HasAccount(Protocol):
    account_id: str


class HasPurchase(Protocol):
    purchase_id: str


def of_purchase(each: HasPurchase, act: str = "") -> str:
    return f"{PURCHASE}{act and f'/{act}'}?{urlencode({'id': each.purchase_id})}"


def of_member(each: HasAccount, act: str = "", **query: str) -> str:
    return f"{MEMBER}{act and f'/{act}'}?{urlencode({'id': each.account_id, **query})}"
