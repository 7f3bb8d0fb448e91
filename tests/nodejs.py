"""Packages from the npm registry for one test: as the lock says, in a folder of its own."""

import shutil
import subprocess
from pathlib import Path

from tests.needs import NODE, NPM

MOST_SECONDS = 300


def install(source: Path, folder: Path) -> Path:
    """`npm ci` of the package.json in `source`, done in `folder`. Returns its node_modules; without npm, skips."""
    NODE.require()
    NPM.require()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=MOST_SECONDS)
    assert done.returncode == 0, done.stderr
    return folder / "node_modules"
