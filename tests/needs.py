"""Programs that no lock file brings: where one is missing, tests are skipped, and the last line of the run says so."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Need:
    """Any of the `names` will do; `packages` are Debian's."""

    names: tuple[str, ...]
    packages: str

    @property
    def found(self) -> str:
        """Its path; "" when there is none."""
        return next(filter(None, map(shutil.which, self.names)), "")

    @property
    def missing(self) -> str:
        return f"without {self.names[0]} (`apt install {self.packages}`)"

    def require(self) -> None:
        """Skips the test where it is missing."""
        if not self.found:
            pytest.skip(self.missing)


CHROMIUM = Need(("chromium", "google-chrome"), "chromium fonts-noto-cjk")
NODE = Need(("node",), "nodejs npm")
NPM = Need(("npm",), "nodejs npm")


def told(reasons: list[str]) -> str:
    """The sentence for so many tests that were not run, each with its reason."""
    counted = ", ".join(f"{number} {reason}" for reason, number in Counter(reasons).most_common())
    return f"NOT RUN: {len(reasons)} of the tests: {counted}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """After all that pytest itself says; where several workers run, the one process that reports."""
    yield
    terminal: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal and (skipped := terminal.stats.get("skipped")):
        reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in skipped]
        terminal.write_line(told(reasons), red=True, bold=True)
