"""The page docs/permissions.md, made from the contracts by `python -m tools.permissions`."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pool

from services.platform.serving import permissions

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "permissions.md"
ROLES = ("booker", "support", "admin", "service")

INTRODUCTION = """\
<!-- Made from proto/ by `python -m tools.permissions`; do not edit. -->
# Who may call what

A role is a word in the claim `roles` of the token. The contracts say which roles a method admits
(`option (yunhui.access.v1.roles)`), the guard in `platform/serving/rpc.py` holds to it, and a method that says
nothing is served to nobody: its program does not start. Health checks, and reflection in development, need no token.

A booker sees and touches what is his own. What is another's and what does not exist get the same answer, NOT_FOUND.
To have made a reservation for another gives no right to it: rights follow the role of today. And nobody, whatever the
role, answers a request, waives a violation or dismisses an objection in which they have a part
([0011](decisions/0011-a-second-person.md)).
Addresses of mail are shown to admins, and masked for support.
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
    return INTRODUCTION + "".join(line + "\n" for name in services() for line in _table(name))


def _table(service: str) -> Iterator[str]:
    yield from ("", f"## {service}", "", f"| method | {' | '.join(ROLES)} |", "|---" * (1 + len(ROLES)) + "|")
    roles = permissions.of(service)
    for method in descriptor_pool.Default().FindServiceByName(service).methods:
        cells = ["✓" if role in roles[f"/{service}/{method.name}"] else "" for role in ROLES]
        yield f"| {method.name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
