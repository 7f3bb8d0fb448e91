"""What could not be tried is said where everybody looks: in the last line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = """
from tests import needs

def test_a_page(): needs.CHROMIUM.require()
def test_another(): needs.CHROMIUM.require()
def test_an_example(): needs.NPM.require()
def test_what_needs_nothing(): pass
"""
SAID = "NOT RUN: 3 of the tests: 2 without chromium (`apt install chromium fonts-noto-cjk`), 1 without npm"


def last_line(folder: Path, search: str, *options: str) -> str:
    """Of a run that finds programs in `search` only."""
    (folder / "test_sample.py").write_text(SAMPLE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "--rootdir",
        str(folder),
        *options,
        str(folder),
    ]
    environment = {**os.environ, "PATH": search}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.long)], ids=["one", "two"])
def test_the_last_line_says_what_is_missing(tmp_path: Path, workers: tuple[str, ...]) -> None:
    assert last_line(tmp_path, "/nowhere", *workers).startswith(SAID)


def test_nothing_is_said_when_nothing_is_missing(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("chromium", "npm"):
        (tools / name).touch(0o755)
    assert last_line(tmp_path, str(tools)).startswith("4 passed")
