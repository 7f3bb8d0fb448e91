"""An installation as people start it, on a state directory of its own, with SQLite or on PostgreSQL."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copy
from typing import Any

from bench import bookers
from bench.lag import Bus
from bench.postgres import Server
from bench.processes import Programs
from services.installation import die_with_parent
from services.installation.programs import base_environment
from services.installation.state import State

STOP_SECONDS = 60.0


class Installation:
    """Its tokens are signed with `keys`. `databases`: the PostgreSQL server where its programs keep their data.

    `arguments` are more of `yunhui up`; `environment` is what its programs inherit besides.
    """

    def __init__(
        self,
        root: Path,
        keys: State,
        databases: Server | None = None,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.state = State(root)
        self.state.prepare()
        copy(keys.private_key, self.state.private_key)
        self._databases = databases
        self._arguments = arguments
        self._environment = {**base_environment(), **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._report: dict[str, Any] = {}
        self.start_seconds = 0.0

    def start(self) -> None:
        """Until it says that everything is healthy. Raises RuntimeError with its log."""
        log = self.state.root / "up.log"
        begun = time.perf_counter()
        with log.open("a") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *self._command()],
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        self.start_seconds = time.perf_counter() - begun
        if not line:
            raise RuntimeError(log.read_text(errors="replace"))
        self._report = json.loads(line)

    def _command(self) -> list[str]:
        state = ["--state", str(self.state.root)]
        clock = [] if self.state.clock.exists() else ["--clock", bookers.CLOCK]
        if self._databases:
            return [sys.executable, "-m", "bench.postgres", *state, *clock, "--url", self._databases.url]
        return [
            sys.executable,
            "-m",
            "services.cli",
            "up",
            "--json",
            "--ports",
            "auto",
            "--meetings",
            "off",
            "--portal",
            "off",
            *state,
            *clock,
            *self._arguments,
        ]

    @property
    def address(self) -> str:
        return str(self._report["booking"])

    @property
    def directory(self) -> str:
        return str(self._report["directory"])

    @property
    def bus(self) -> Bus:
        return Bus(str(self._report["nats"]), "admin", self.state.password("admin"))

    @property
    def programs(self) -> Programs:
        """All that must run for it; the database server too."""
        assert self._process  # noqa: S101 - it has been started
        databases = {"postgresql": self._databases.pid} if self._databases else {}
        return {"supervisor": self._process.pid, **self._report["pids"], **databases}

    def stop(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=STOP_SECONDS)
            self._process = None


@contextmanager
def running(installation: Installation) -> Iterator[Installation]:
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()
