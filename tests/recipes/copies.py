"""Copies of the sources, in which a recipe is played: the environment is shared, the code is the copy's own."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPES = Path(__file__).parent
CHANGED = re.compile(r"^\+\+\+ b/(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Copy:
    """All that git would commit, and a way to run things there."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> "Copy":
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():  # one that was removed is still listed
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        (root / ".venv").symlink_to(ROOT / ".venv")
        if (ROOT / ".mypy_cache").exists():
            shutil.copytree(ROOT / ".mypy_cache", root / ".mypy_cache")
        return cls(root)

    def apply(self, recipe: str, *, only_check: bool = False) -> None:
        """Does what the recipe's diff says. One that no longer fits is made anew: do it by hand, and `git diff -U1`."""
        only = ["--check"] if only_check else []
        self.run("git", "apply", "-C1", "--recount", *only, str(RECIPES / f"{recipe}.diff"))

    def prove(self, recipe: str) -> None:
        """Runs the proof of the recipe as a test of the copy."""
        proof = self.root / "tests" / "proofs" / f"test_{recipe}.py"
        proof.parent.mkdir(exist_ok=True)
        shutil.copy2(RECIPES / "proofs" / f"{recipe}.py", proof)
        self.test(str(proof))

    def make_target(self, *targets: str) -> str:
        """`make`, which must not install anything: the environment belongs to the original."""
        return self.run("make", "--old-file=.venv/.installed", *targets)

    def python(self, *arguments: str) -> str:
        return self.run(".venv/bin/python", *arguments)

    def test(self, *arguments: str, **environment: str) -> str:
        """The code that is tried is the copy's."""
        where = "import services; print(services.__path__[0])"
        assert Path(self.python("-c", where).strip()).parent == self.root
        return self.run(".venv/bin/python", "-m", "pytest", "-p", "no:cacheprovider", *arguments, **environment)

    def run(self, *command: str, **environment: str) -> str:
        """What it said. Raises AssertionError with that when it fails."""
        told = {**self.environment, **environment}
        done = subprocess.run(command, cwd=self.root, env=told, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @property
    def environment(self) -> dict[str, str]:
        """The copy's packages come before those of the environment, which are the original's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("YUNHUI_", "PYTEST_"))}
        return {**kept, "PYTHONPATH": os.pathsep.join([str(self.root), str(self.root / "proto/gen")])}


def changed_by(recipe: str) -> set[str]:
    """The files of a recipe's diff."""
    return set(CHANGED.findall((RECIPES / f"{recipe}.diff").read_text(encoding="utf-8")))
