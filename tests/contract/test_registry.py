"""What every program of the registry needs elsewhere: whoever enters a new one is told each place that is missing."""

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.installation.registry import (
    BUS_USERS,
    EVENT_STREAMS,
    ISSUER,
    PORTAL,
    PROGRAMS,
    SERVICE_NAMES,
    SERVICES,
    ProgramEntry,
)

ROOT = Path(__file__).parents[2]
DEPLOYED = [each for each in PROGRAMS if each is not ISSUER]


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(text("compose.yaml"))
    return read


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_it_can_be_run_and_is_explained(program: ProgramEntry) -> None:
    assert importlib.util.find_spec(f"services.{program.name}.__main__")
    assert f"| `services/{program.name}/` |" in text("docs/architecture.md")


@pytest.mark.parametrize("program", DEPLOYED, ids=lambda program: program.name)
def test_compose_runs_it(program: ProgramEntry) -> None:
    """With its own user on the bus, its port, and logs and metrics as all others."""
    made = compose()["services"][program.name]
    told = made["environment"]
    assert made["command"] == ["python", "-m", f"services.{program.name}"]
    assert told["YUNHUI_NATS_USER"] == program.name
    assert told["YUNHUI_LISTEN"] == f"0.0.0.0:{program.port}"
    assert {"YUNHUI_LOG_KEY", "YUNHUI_METRICS_LISTEN", "OTEL_EXPORTER_OTLP_ENDPOINT"} <= set(told)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_it_has_a_database_and_its_tables(service: ProgramEntry) -> None:
    assert f"CREATE DATABASE {service.name};" in text("tools/create_databases.sql")
    assert compose()["services"][service.name]["environment"]["YUNHUI_DATABASE_URL"].endswith(
        f"@postgres/{service.name}"
    )
    assert (ROOT / "services" / service.name / "migrations" / "0001_initial.py").exists()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_the_portal_knows_where_it_is(service: ProgramEntry) -> None:
    address = compose()["services"][PORTAL.name]["environment"][f"YUNHUI_{service.name.upper()}_ADDRESS"]
    assert address == f"http://{service.name}:{service.port}"


@pytest.mark.parametrize("user", BUS_USERS)
def test_the_bus_knows_its_users(user: str) -> None:
    password = f"NATS_{user.upper()}_PASSWORD"
    assert f"{{ user: {user}, password: ${password}" in text("services/installation/nats.conf")
    assert password in compose()["services"]["nats"]["environment"]
    assert f"\n{password}=" in text(".env.example")


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_its_events_can_be_subscribed_to(name: str) -> None:
    rights = text("services/installation/nats.conf")
    for what in ("CREATE.{}.>", "INFO.{}.*", "MSG.NEXT.{}.*"):
        assert f'"$JS.API.CONSUMER.{what.format(EVENT_STREAMS[name])}"' in rights
    assert f"`{EVENT_STREAMS[name]}`" in text("docs/events.md")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_command_may_not_look_inside_it(program: ProgramEntry) -> None:
    """Only its contracts are between them."""
    contracts = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    walls = [wall["forbidden_modules"] for wall in contracts if wall.get("source_modules") == ["services.cli"]]
    assert any(f"services.{program.name}" in wall for wall in walls)


def test_all_that_compose_runs_of_ours_is_registered() -> None:
    commands = [service.get("command", [""]) for service in compose()["services"].values()]
    ours = {command[2].removeprefix("services.") for command in commands if command[:2] == ["python", "-m"]}
    assert ours == {each.name for each in DEPLOYED}


def test_no_port_is_given_twice() -> None:
    ports = [port for each in PROGRAMS for port in (each.port, each.metrics_port)]
    assert len(set(ports)) == len(ports)


def test_no_list_of_the_services_is_kept_elsewhere() -> None:
    """A second list is one that somebody forgets."""
    names = "|".join(f'"{name}"' for name in SERVICE_NAMES)
    written = re.compile(rf"[(\[]\s*(?:(?:{names})\s*,?\s*){{{len(SERVICE_NAMES)},}}[)\]]")
    found = [
        str(path.relative_to(ROOT))
        for folder in ("services", "tests", "tools", "bench")
        for path in (ROOT / folder).rglob("*.py")
        if written.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
