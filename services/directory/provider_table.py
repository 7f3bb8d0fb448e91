"""The provider's people as the table that import_columns reads. What the provider does not say is an empty cell."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from yunhui.meetings.v1 import user_pb2 as pb

from services.directory import import_tables
from services.platform.serving import spreadsheets

HEAD = (
    *("account_id", "provider_user_id", "display_name", "email", "phone", "title", "staff_id"),
    *("departments", "account_type", "status"),
)
STATUSES: Mapping[int, str] = MappingProxyType(
    {
        pb.PROVIDER_USER_STATUS_ENABLED: "ENABLED",
        pb.PROVIDER_USER_STATUS_NOT_ACTIVATED: "NOT_ACTIVATED",
        pb.PROVIDER_USER_STATUS_DISABLED: "DISABLED",
    }
)


def head() -> bytes:
    return b"".join(import_tables.write_csv([HEAD]))


def lines(users: Iterable[pb.ProviderUser]) -> bytes:
    """To be put behind the head."""
    return "".join(spreadsheets.line(to_cells(user)) for user in users).encode()


def to_cells(user: pb.ProviderUser) -> list[str]:
    """In the order of the head."""
    advanced = ("advanced" if user.advanced else "free") if user.HasField("advanced") else ""
    departments = ";".join("/".join(map(_name, each.names)) for each in user.departments)
    cells = (
        *(user.account_id, user.user_id, user.display_name, user.email, user.phone, user.title, user.staff_id),
        *(departments, advanced, STATUSES.get(user.status, "")),
    )
    return [cell.replace("\0", "")[: import_tables.MOST_IN_CELL] for cell in cells]


def _name(given: str) -> str:
    """What stands between names, and between paths, cannot be part of a name."""
    return given.replace(";", ",").replace("；", "，").replace("/", "_")
