"""The programs of an installation. Enter a new one here; tests/contract/test_registry.py says what else it needs."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgramEntry:
    """A program: the package services.NAME. Its user on the bus, database and stream of events have its name too."""

    name: str
    port: int
    metrics_port: int


SERVICES = (
    ProgramEntry("policy", 7102, 7111),
    ProgramEntry("meetings", 7107, 7112),
    ProgramEntry("booking", 7101, 7113),
    ProgramEntry("notifier", 7103, 7114),
)
"""With data, and so gRPC, a stream of events, outbox and audit log. Each stands after whoever it asks or hears from."""
PORTAL, ISSUER = ProgramEntry("portal", 7100, 7115), ProgramEntry("issuer", 7110, 7116)
"""With pages and without data. The issuer is for development and knows no bus."""
PROGRAMS = (*SERVICES, ISSUER, PORTAL)
OTHER_PORTS: Mapping[str, int] = {"nats": 7104, "mail": 7105, "monitor": 7106, "webhooks": 7108}

SERVICE_NAMES = tuple(service.name for service in SERVICES)
"""Of the services."""
BUS_USERS = ("admin", *SERVICE_NAMES, PORTAL.name, "subscriber")
EVENT_STREAMS: Mapping[str, str] = {name: name.upper() for name in SERVICE_NAMES}
"""The stream of each service's events. Whoever subscribes may read them from the past on (nats.conf)."""
