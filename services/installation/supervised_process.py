"""One supervised process: which dies with the supervisor, logged to a file, stopped within a deadline."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from services.installation import die_with_parent
from services.installation.programs import Program, base_environment

STOP_SECONDS = 20.0
"""Longer than calls under way are given to finish (rpc.py: 10), with time left to publish and to answer questions."""
START_SECONDS = 60.0
POLL_SECONDS = 0.05
TAIL_LINES = 12


class StartError(Exception):
    """A program ended before it was ready, or was not ready in time."""

    def __init__(self, program: str, reason: str, tail: str) -> None:
        super().__init__(f"{program}: {reason}")
        self.program = program
        self.reason = reason
        self.tail = tail


class SupervisedProcess:
    """A program's process; `start` may be called again after it has died."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        command = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *self.program.command]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env={**base_environment(), **self.program.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone: it stops them in order
            )

    async def ready(self) -> None:
        """Waits until the program does its work. Raises StartError."""
        deadline = time.monotonic() + START_SECONDS
        while not await self.program.ready():
            if self._process is None or self._process.returncode is not None:
                raise StartError(self.program.name, f"ended with code {self.code}", self.tail())
            if time.monotonic() > deadline:
                raise StartError(self.program.name, f"was not ready after {START_SECONDS:.0f} s", self.tail())
            await asyncio.sleep(POLL_SECONDS)

    async def wait(self) -> None:
        if self._process:
            await self._process.wait()

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.returncode if self._process else None

    async def stop(self) -> None:
        """Asks it to end, and ends it when it does not."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def tail(self) -> str:
        """The last lines of the log."""
        try:
            lines = self._log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-TAIL_LINES:])

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)
