"""Where the pages of the console are. Ids of others' making stand behind the question mark: they may be any word."""

from typing import Protocol
from urllib.parse import urlencode

from yunhui.meetings.v1.meeting_pb2 import MeetingKey

from services.portal.meetings import query_of

CONSOLE = "/console"
MEMBERS = f"{CONSOLE}/members"
MEMBER = f"{CONSOLE}/member"
"""With ?id=; and below it what is done to one."""
SELECTION = f"{MEMBERS}/selection"
"""What is done to several at once."""
NO_DEPARTMENT = "-"
"""In the filter: members who belong to none."""
ORGANIZATION = f"{CONSOLE}/organization"
IMPORTS = f"{CONSOLE}/imports"
IMPORT = f"{CONSOLE}/import"
"""With ?id=; and below it what is done with one."""
JOINING = f"{ORGANIZATION}/joining"
PURCHASES = f"{ORGANIZATION}/purchases"
PURCHASE = f"{ORGANIZATION}/purchase"
"""With ?id=."""
TRANSFER = f"{ORGANIZATION}/transfer"
PROVISIONING = f"{ORGANIZATION}/provisioning"
MEETINGS = f"{CONSOLE}/meetings"
MEETING = f"{CONSOLE}/meeting"
"""With ?provider=, ?id= and ?occurrence=; and below it what is done in one."""
RECORDINGS = f"{CONSOLE}/recordings"
RECORDING = f"{CONSOLE}/recording"
"""With ?id=; and below it what is done with one."""
ROLES = f"{CONSOLE}/roles"
VISIBILITY = f"{CONSOLE}/visibility"


class HasAccount(Protocol):
    account_id: str


class HasPurchase(Protocol):
    purchase_id: str


class HasImport(Protocol):
    import_id: str


def of_import(each: HasImport, act: str = "", **query: str) -> str:
    return f"{IMPORT}{act and f'/{act}'}?{urlencode({'id': each.import_id, **query})}"


def of_purchase(each: HasPurchase, act: str = "") -> str:
    return f"{PURCHASE}{act and f'/{act}'}?{urlencode({'id': each.purchase_id})}"


def of_role(role_id: str, act: str = "", **query: str) -> str:
    return f"{ROLES}/{role_id}{act and f'/{act}'}" + (f"?{urlencode(query)}" if query else "")


def of_visibility(act: str = "", **query: str) -> str:
    return f"{VISIBILITY}{act and f'/{act}'}" + (f"?{urlencode(query)}" if query else "")


def of_member(each: HasAccount, act: str = "", **query: str) -> str:
    return f"{MEMBER}{act and f'/{act}'}?{urlencode({'id': each.account_id, **query})}"


def of_meeting(key: MeetingKey, act: str = "", **query: str) -> str:
    return f"{MEETING}{act and f'/{act}'}?{query_of(key, **query)}"
