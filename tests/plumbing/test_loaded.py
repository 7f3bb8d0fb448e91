"""What a program does not load when it starts: megabytes that it has no use for, or seldom."""

import subprocess
import sys

import pytest

from services.platform import process

BABEL, SERIES = "babel", "dateutil"
POSTGRESQL, PAGES = "sqlalchemy.dialects.postgresql", "jinja2"
DATABASE, BUS = "sqlalchemy", "faststream"
LEFT_OUT = {
    "booking": [BABEL, SERIES, POSTGRESQL, PAGES, "httpx2", "icalendar", "prometheus_client"],
    "policy": [BABEL, SERIES, POSTGRESQL, PAGES, "httpx2", "icalendar", "prometheus_client"],
    "meetings": [BABEL, POSTGRESQL, PAGES, "prometheus_client"],
    "notifier": [POSTGRESQL, "prometheus_client"],
    "directory": [BABEL, SERIES, POSTGRESQL, PAGES, BUS, "pypinyin", "icalendar", "prometheus_client"],
    "portal": [BABEL, DATABASE, BUS, "prometheus_client"],
    "issuer": [BABEL, DATABASE, BUS, PAGES, "grpc", "prometheus_client"],
}


@pytest.mark.parametrize("program", LEFT_OUT)
def test_a_program_does_not_load_what_it_has_no_use_for(program: str) -> None:
    assert loaded(f"services.{program}.__main__", LEFT_OUT[program]) == []


def test_the_command_stays_small_for_up_runs_as_long_as_its_programs() -> None:
    assert loaded("services.cli.commands", [DATABASE, BUS, "pydantic_settings"]) == []


def loaded(module: str, names: list[str]) -> list[str]:
    """Those of `names` that are there when `module` has been imported."""
    code = f"import sys, {module}; print(*({{*{names}}} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    return run.stdout.split()


def test_memory_that_the_start_needed_can_be_given_back_anywhere() -> None:
    process.give_back_memory()
