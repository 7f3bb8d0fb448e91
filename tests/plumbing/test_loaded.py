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
    "portal": [BABEL, DATABASE, BUS, "prometheus_client"],
    "issuer": [BABEL, DATABASE, BUS, PAGES, "grpc", "prometheus_client"],
}


@pytest.mark.parametrize("program", LEFT_OUT)
def test_a_program_does_not_load_what_it_has_no_use_for(program: str) -> None:
    code = f"import sys, services.{program}.__main__; print(*({{*{LEFT_OUT[program]}}} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert run.stdout.split() == []


def test_memory_that_the_start_needed_can_be_given_back_anywhere() -> None:
    process.give_back_memory()
