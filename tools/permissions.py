"""The page docs/permissions.md, made from the contracts by `python -m tools.permissions`."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pool

from services.platform.serving import permissions

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "permissions.md"
ROLES = tuple(permissions.BUILT_IN)

INTRODUCTION = """\
<!-- Made from proto/ and services/platform/serving/permissions.py by `python -m tools.permissions`; do not edit. -->
# Who may do what

Whoever calls shows a token, which proves an account. What the account may do are **permissions**, and people get them
by **roles**: built-in ones, and those that an organization makes of permissions for itself. A role is given in the
directory, for everything or for a department and all below it. Roles that the token claims count as well, as far as
the setting `YUNHUI_TOKEN_ROLES` lets them; `service` is for programs and only there.

The contracts say which permission a method needs (`option (yunhui.access.v1.permission)`), the guard in
`platform/serving/rpc.py` holds to it, and a method that says nothing is served to nobody: its program does not start.
Health checks, and reflection in development, need no token.

Every program hears of what is given and taken within a second, over the bus. A disabled account may do nothing, its
streams and its sessions in the portal end. While the bus is away, what was known goes on for five minutes at most, and
whatever is more than seeing, and more than every member may do, waits until it is back.

Without `reservations.view_all`, people see and touch what is their own. What is another's and what does not exist get
the same answer, NOT_FOUND. To have made a reservation for another gives no right to it: rights follow the permissions
of today. And nobody, whatever they may, answers a request, waives a violation or dismisses an objection in which they
have a part ([0011](decisions/0011-a-second-person.md)).
"""


def services() -> list[str]:
    """Full names of all services under proto/."""
    names = []
    for path in sorted((ROOT / "proto" / "yunhui").rglob("*_service.proto")):
        module = ".".join(path.relative_to(ROOT / "proto").with_suffix("").parts) + "_pb2"
        file = importlib.import_module(module).DESCRIPTOR
        names += [each.full_name for each in file.services_by_name.values()]
    return names


def render() -> str:
    lines = [*_permissions(), *(line for name in services() for line in _methods(name))]
    return INTRODUCTION + "".join(f"{line}\n" for line in lines)


def _permissions() -> Iterator[str]:
    """What there is, and what the built-in roles have of it."""
    names = " | ".join(f"{permissions.NAMES[role]} `{role}`" for role in ROLES)
    yield from ("", "## Permissions", "", f"| permission | to | {names} |", "|---" * (2 + len(ROLES)) + "|")
    for name, meaning in permissions.CATALOGUE.items():
        cells = ["✓" if name in permissions.BUILT_IN[role] else "" for role in ROLES]
        yield f"| `{name}` | {meaning} | {' | '.join(cells)} |"


def _methods(service: str) -> Iterator[str]:
    yield from ("", f"## {service}", "", "| method | permission | for a department |", "|---|---|---|")
    needed = permissions.of(service)
    for method in descriptor_pool.Default().FindServiceByName(service).methods:
        what = needed[f"/{service}/{method.name}"]
        yield f"| {method.name} | `{what.permission}` | {'✓' if what.scoped else ''} |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
