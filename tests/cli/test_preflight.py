"""`make setup` on a machine that lacks something: one clear sentence, and no traceback."""

import ast
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREFLIGHT = ROOT / "tools" / "preflight.py"
IN_OLD_PYTHONS = {"os", "sys", "sysconfig"}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A copy of what `make setup` reads first, and a PATH with no more than make needs."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("Makefile", "pyproject.toml", "uv.lock", "tools/preflight.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("touch", "find", "sort"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def put(machine: Path, name: str, script: str) -> None:
    file = machine / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def python(machine: Path, patch: str) -> None:
    """A python3 that runs preflight.py after `patch`, and nothing else."""
    code = f"import runpy, sys, sysconfig; {patch}; runpy.run_path(sys.argv[1], run_name='__main__')"
    put(machine, "python3", f'exec {sys.executable} -c "{code}" "$@"')


def setup(machine: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(shutil.which("make")), "setup"],
        cwd=machine,
        env={"PATH": str(machine / "bin"), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


def sentences(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """All that was said, but for make's own last word."""
    return [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]


def test_no_python_is_one_sentence_in_both_languages(machine: Path) -> None:
    """There is nothing that could find out which one is read."""
    done = setup(machine)
    [said] = sentences(done)
    assert done.returncode
    assert "没有找到 python3" in said
    assert "python3 was not found" in said


@pytest.mark.parametrize(
    ("patch", "lang", "expected"),
    [
        ("sys.version_info = (2, 7, 18)", "en_US.UTF-8", "Python 3.11 or newer is needed, this is 2.7"),
        ("sys.version_info = (3, 6, 9)", "C", "需要 Python 3.11 或更新版本，现为 3.6"),
        (
            "old = sysconfig.get_paths; sysconfig.get_paths = lambda *a: dict(old(*a), include='/nowhere')",
            "en",
            "Python.h is needed",
        ),
        ("sys.modules['ensurepip'] = None", "en", "venv is needed"),
        ("sys.modules['venv'] = None", "zh_CN.UTF-8", "需要 Python 的 venv"),
    ],
)
def test_what_is_missing_is_one_sentence(machine: Path, patch: str, lang: str, expected: str) -> None:
    """With the way out, in the language of the locale."""
    put(machine, "cc", "exit 0")
    python(machine, patch)
    done = setup(machine, LANG=lang)
    [said] = sentences(done)
    assert done.returncode
    assert expected in said
    assert not (machine / ".venv").exists()


def test_no_compiler_is_one_sentence(machine: Path) -> None:
    """Before anything is fetched."""
    python(machine, "pass")
    [said] = sentences(setup(machine, LANG="en"))
    assert "a C compiler is needed" in said


def test_an_old_python_can_read_it() -> None:
    """No syntax, and no module, that 2.7 does not know: it would fail before it could say what is wrong."""
    tree = ast.parse(PREFLIGHT.read_text(encoding="utf-8"))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef, ast.Nonlocal, ast.YieldFrom, ast.Match)
    assert [node for node in ast.walk(tree) if isinstance(node, newer)] == []
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not any(
        node.returns or node.args.kwonlyargs or any(a.annotation for a in node.args.args) for node in functions
    )
    imported = {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    assert imported <= IN_OLD_PYTHONS
    assert PREFLIGHT.read_bytes().startswith(b"# -*- coding: utf-8 -*-")  # 2.7 reads ASCII otherwise
    for old in ("python2.7", "python3.6", "python3.8"):
        if found := shutil.which(old):
            assert os.system(f"{found} {PREFLIGHT}") != 0  # noqa: S605 - our own program
