"""Permissions: what there is to be permitted, what the built-in roles permit, and which one a method needs.

The last is what the contracts say (proto/yunhui/access), read from the descriptors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from yunhui.access.v1 import access_pb2

from services.platform.text.messages import Text, message

CATALOGUE: Mapping[str, Text] = {
    "reservations.view": message("see rooms, free times and one's own reservations"),
    "reservations.book": message("reserve for oneself: move, end and cancel what is one's own"),
    "reservations.view_all": message("see everybody's reservations, standing and decisions"),
    "reservations.manage": message("act for others, and answer requests that wait for support"),
    "violations.waive": message("waive violations and answer objections"),
    "rooms.edit": message("add and change rooms of the pool"),
    "rules.view": message("see the rules, and ask what they would say"),
    "rules.edit": message("try, publish and take back rules"),
    "meetings.view": message("look up one's own meetings"),
    "meetings.view_all": message("look up everybody's meetings and who came"),
    "meetings.control": message("steer running meetings: mute, lock, admit, remove, end"),
    "recordings.manage": message("play, share and delete what was recorded in the meetings of others"),
    "notices.view": message("see one's own notices, and choose them"),
    "notices.view_all": message("see everybody's notices and send them again"),
    "notices.manage": message("see addresses of mail, and choose the notices of others"),
    "address_book.view": message("see colleagues in the address book"),
    "members.view": message("see members and departments"),
    "members.edit": message("add, change, disable and remove members"),
    "departments.edit": message("add, change, move and merge departments"),
    "roles.view": message("see roles and who has them"),
    "roles.edit": message("make roles, and give and take them"),
    "organization.view": message("see the organization and its licences"),
    "organization.edit": message("change the organization, its contacts and what members see of each other"),
    "organization.transfer": message("hand the organization over to another super administrator"),
    "licences.edit": message("buy licences, and give and take them"),
    "webhooks.edit": message("decide which programs are told of events"),
    "events.repair": message("publish events again, and deal with those that nobody could take"),
    "audit.view": message("read the audit log and verify it"),
    "attendance.report": message("report who came to meetings"),
}
"""All permissions, module.verb, in the order in which people read them."""

LOCAL = frozenset(
    {
        *("reservations.view_all", "reservations.manage", "violations.waive"),
        *("members.view", "members.edit", "departments.edit", "roles.view", "roles.edit", "licences.edit"),
    }
)
"""Those that mean something where they are held for some departments; the others count only if held everywhere."""

_BOOKER = frozenset(
    {
        *("reservations.view", "reservations.book", "rules.view", "meetings.view", "notices.view"),
        "address_book.view",
    }
)
_SUPPORT = _BOOKER | {
    *("reservations.view_all", "reservations.manage", "violations.waive", "meetings.view_all", "notices.view_all"),
    *("members.view", "organization.view"),
}
_SERVICE = frozenset({"reservations.view", "reservations.view_all", "rules.view", "meetings.view", "meetings.view_all"})
_SUPER = frozenset(CATALOGUE) - {"attendance.report"}

ORDINARY = _BOOKER
"""What every member may do."""
SUPER_ADMINISTRATOR = "super_admin"
BUILT_IN: Mapping[str, frozenset[str]] = {
    "booker": ORDINARY,
    "support": _SUPPORT,
    "admin": _SUPER - {"organization.transfer"},
    SUPER_ADMINISTRATOR: _SUPER,
    "service": _SERVICE | {"attendance.report"},
}
"""Roles that every installation has, by their ids. `service` is for programs: no member has it."""
NAMES: Mapping[str, Text] = {
    "booker": message("member"),
    "support": message("technical support"),
    "admin": message("administrator"),
    SUPER_ADMINISTRATOR: message("super administrator"),
    "service": message("program"),
}


@dataclass(frozen=True, slots=True)
class Needed:
    """What a method asks of its caller."""

    permission: str
    scoped: bool = False
    """The permission for some departments will do: the method keeps to those."""


Permissions = Mapping[str, Needed]
"""By the path of a method."""


def of(service: str) -> dict[str, Needed]:
    """By the full name of a service whose stubs are imported. Raises ValueError for a method that says none."""
    descriptor = descriptor_pool.Default().FindServiceByName(service)
    return {f"/{service}/{method.name}": _needed(method) for method in descriptor.methods}


def _needed(method: MethodDescriptor) -> Needed:
    options = method.GetOptions().Extensions
    needed = Needed(options[access_pb2.permission], options[access_pb2.scoped])
    if needed.permission not in CATALOGUE:
        raise ValueError(f"{method.full_name}: (yunhui.access.v1.permission) must name one of those in permissions.py")
    return needed
