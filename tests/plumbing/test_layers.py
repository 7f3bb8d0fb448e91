"""The walls that `make check` holds are felt by whoever walks into one."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import layers

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, to be spoilt."""
    root = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "services", root / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def check(root: Path) -> str:
    """What import-linter says; "" when it has nothing to say."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize(
    ("place", "line", "said"),
    [
        ("booking/pool.py", "from services.policy import api", "booking is not allowed to import services.policy"),
        ("booking/pool.py", "from services.installation import state", "not allowed to import services.installation"),
        ("cli/up.py", "from services.booking import pool", "services.cli is not allowed to import services.booking"),
        ("installation/sample_rooms.py", "from services.cli import client", "is not allowed to import services.cli"),
        ("installation/sample_rooms.py", "import rich", "services.installation is not allowed to import rich"),
        ("platform/clock.py", "from services.contracts import subjects", "platform is not allowed to import"),
        ("platform/data/chain.py", "from services.platform.messaging import bus", "data is not allowed to import"),
        ("meetings/gateway.py", "from services.meetings.tencent import errors", "gateway -> services.meetings.tencent"),
        ("policy/facts.py", "import durable", "services is not allowed to import durable"),
        ("directory/__init__.py", "", "directory"),
    ],
)  # fmt: skip
def test_a_planted_import_is_found(source: Path, place: str, line: str, said: str) -> None:
    """Also a new program that nobody has told the linter of."""
    planted = source / "services" / place
    before = planted.read_text() if planted.exists() else None
    planted.parent.mkdir(exist_ok=True)
    planted.write_text((before or '"""New."""\n') + f"\n{line}\n")
    try:
        assert said in check(source)
    finally:
        planted.unlink() if before is None else planted.write_text(before)


def test_nothing_is_found_where_nothing_is_wrong(source: Path) -> None:
    shutil.rmtree(source / "services" / "directory", ignore_errors=True)
    assert check(source) == ""


def test_the_picture_is_fresh() -> None:
    page = layers.PAGE.read_text(encoding="utf-8")
    assert layers.render(page) == page, "run `python -m tools.layers`"
