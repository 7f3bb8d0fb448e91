"""The programs of an installation. `make new-service` enters one; `make generated` writes what follows from this list.

What follows: the rights on the bus (nats.conf), compose.yaml, the databases, .env.example, the walls in pyproject.toml
(tools/derived.py), ports, streams, health, backups, doctor and dashboards. tests/contract/test_registry.py compares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.contracts import subjects


@dataclass(frozen=True, slots=True)
class ProgramEntry:
    """A program: the package services.NAME. Its user on the bus, database and stream of events have its name too."""

    name: str
    port: int
    metrics_port: int
    asks: Sequence[str] = ()
    """Subjects of questions that others answer."""
    answers: Sequence[str] = ()
    answer_seconds: int = 30
    """After so long nobody waits for an answer any more."""
    publishes: Sequence[str] = ()
    """Besides its events, its outbox and what its consumers need (topology.py)."""
    listens: Sequence[str] = ()
    """The same for what it hears."""
    reached: Sequence[int] = ()
    """Its ports that compose.yaml opens on the host, for whatever ends TLS there."""


OTHER_PORTS: Mapping[str, int] = {"nats": 7104, "mail": 7105, "monitor": 7106, "webhooks": 7108, "scim": 7119}

GRANTS = "$KV.grants.>"
"""What the directory grants to accounts: every program hears it, and may introduce an account (subjects.INTRODUCE)."""

SERVICES = (
    ProgramEntry(
        "policy",
        *(7102, 7111),
        asks=[subjects.REQUESTS],
        answers=[subjects.DECIDE, subjects.ALLOWED, subjects.USAGE],
    ),
    ProgramEntry(
        "meetings",
        *(7107, 7112),
        answers=[
            *(subjects.LOOK_UP, subjects.PARTICIPANTS, subjects.USERS),
            *(subjects.MAKE_MEETING, subjects.MOVE_MEETING, subjects.UNMAKE_MEETING),
        ],
        answer_seconds=60,  # who came, of many pages, takes its time
        reached=[OTHER_PORTS["webhooks"]],
    ),
    ProgramEntry(
        "directory",
        *(7117, 7118),
        asks=[subjects.USERS],
        answers=[subjects.INTRODUCE],
        publishes=[GRANTS],
        reached=[OTHER_PORTS["scim"]],
    ),
    ProgramEntry(
        "booking",
        *(7101, 7113),
        asks=[
            *(subjects.DECIDE, subjects.ALLOWED, subjects.USAGE),
            *(subjects.LOOK_UP, subjects.PARTICIPANTS),
            *(subjects.MAKE_MEETING, subjects.MOVE_MEETING, subjects.UNMAKE_MEETING),
        ],
        answers=[subjects.REQUESTS, subjects.CALENDAR],
        listens=["yunhui.booking.reservation.*"],  # for whoever watches, at every replica
        reached=[7101],
    ),
    ProgramEntry(
        "notifier",
        *(7103, 7114),
        publishes=["yunhui.dead.notifier.>"],  # what it cannot read
        reached=[7103],
    ),
)
"""With data, and so gRPC, a stream of events, outbox and audit log. Each stands after whoever it asks or hears from."""
PORTAL = ProgramEntry(
    "portal",
    *(7100, 7115),
    asks=[subjects.CALENDAR],
    publishes=[  # who is signed in
        "$KV.portal_sessions.>",
        "$JS.API.STREAM.INFO.KV_portal_sessions",
        "$JS.API.STREAM.MSG.GET.KV_portal_sessions",
    ],
    reached=[7100],
)
ISSUER = ProgramEntry("issuer", 7110, 7116)
"""With pages and without data. The issuer is for development and knows no bus."""
PROGRAMS = (*SERVICES, ISSUER, PORTAL)

SERVICE_NAMES = tuple(service.name for service in SERVICES)
"""Of the services."""
BUS_USERS = ("admin", *SERVICE_NAMES, PORTAL.name, "subscriber")
EVENT_STREAMS: Mapping[str, str] = {name: name.upper() for name in SERVICE_NAMES}
"""The stream of each service's events. Whoever subscribes may read them from the past on (nats.conf)."""
