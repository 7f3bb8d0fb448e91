"""The state directory of a development installation: where each thing lies, who may read it, and its lock."""

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from services.installation.registry import BUS_USERS

WEBHOOK_TOKEN = "webhook token"  # noqa: S105 - its name among the secrets


class AlreadyRunningError(Exception):
    """Another `up` holds the lock of this state directory."""


@dataclass(frozen=True, slots=True)
class State:
    """Paths under one directory. Only its owner may enter it."""

    root: Path

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def private_key(self) -> Path:
        return self.root / "issuer.json"

    @property
    def public_keys(self) -> Path:
        return self.root / "jwks.json"

    @property
    def clock(self) -> Path:
        return self.root / "clock.json"

    @property
    def run(self) -> Path:
        return self.root / "run.json"

    @property
    def session(self) -> Path:
        return self.root / "session.json"

    @property
    def mail(self) -> Path:
        return self.root / "mail"

    @property
    def bus(self) -> Path:
        return self.root / "nats"

    def database(self, program: str) -> Path:
        return self.root / f"{program}.db"

    def log(self, program: str) -> Path:
        return self.root / "logs" / f"{program}.log"

    def exists(self) -> bool:
        return self.secrets.exists()

    def prepare(self) -> None:
        """Makes the directory and the random secrets that are missing: all of them at the first start."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        (self.root / "logs").mkdir(exist_ok=True)
        known = read_json(self.secrets)
        if not known.keys() >= {*BUS_USERS, WEBHOOK_TOKEN}:
            # a leading letter, or the bus's configuration would read some of them as numbers
            fresh = {user: "p" + secrets.token_hex(24) for user in BUS_USERS}
            token = {WEBHOOK_TOKEN: secrets.token_hex(12)}  # 24 letters and digits, one less than the vendor's longest
            write_private(self.secrets, {**fresh, **token, **known})

    def password(self, user: str) -> str:
        """Raises FileNotFoundError outside a development installation."""
        return str(json.loads(self.secrets.read_text())[user])

    def read_run(self) -> dict[str, Any]:
        """What `up` wrote: addresses and process ids; empty when it does not run or left no word."""
        return read_json(self.run)

    def lock(self) -> IO[str]:
        """Holds the directory until the file is closed or the process dies. Raises AlreadyRunningError."""
        file = (self.root / "lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise AlreadyRunningError(str(self.root)) from error
        return file


def read_json(path: Path) -> dict[str, Any]:
    """An empty object when the file is not there or was cut off."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Replaces the file in one step; only its owner may read it, from the first byte on."""
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    fresh.replace(path)
