# -*- coding: utf-8 -*-
"""Says in one sentence what this machine lacks, before the installer says it in a hundred lines.

It must run on the Python that is too old, be it 2.7, to say so.
"""

import os
import sys
import sysconfig

NEEDED = (3, 11)
ENGLISH, CHINESE = 0, 1


def language():
    # type: () -> int
    """As services/cli/languages.py chooses, without a sign-in."""
    names = ("YUNHUI_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    chosen = [os.environ[name] for name in names if os.environ.get(name)]
    return ENGLISH if chosen and chosen[0].lower()[:2] == "en" else CHINESE


def is_installed(program):
    # type: (str) -> bool
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in folders)


def has_venv():
    # type: () -> bool
    try:
        import ensurepip  # noqa: F401 - only asked whether it is there
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def problems():
    # type: () -> list[tuple[str, str]]
    """In English and Chinese."""
    this = "{}.{}".format(*sys.version_info[:2])
    if tuple(sys.version_info[:2]) < NEEDED:
        # the rest would be asked of the wrong Python
        return [
            (
                "Python 3.11 or newer is needed, this is {}; try `make PYTHON=python3.11 up`".format(this),
                "需要 Python 3.11 或更新版本，现为 {}；可试 `make PYTHON=python3.11 up`".format(this),
            )
        ]
    found = []
    if not any(is_installed(name) for name in ("cc", "gcc", "clang")):
        found.append(
            (
                "a C compiler is needed (durable-rules is compiled here): on Debian `apt install gcc`",
                "需要 C 编译器（durable-rules 在本机编译）：Debian 上 `apt install gcc`",
            )
        )
    if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        found.append(
            (
                "Python.h is needed to compile durable-rules: on Debian `apt install python3-dev`",
                "编译 durable-rules 需要 Python.h：Debian 上 `apt install python3-dev`",
            )
        )
    if not has_venv():
        found.append(
            (
                "Python's venv is needed: on Debian `apt install python3-venv`",
                "需要 Python 的 venv：Debian 上 `apt install python3-venv`",
            )
        )
    return found


def say(sentence):
    # type: (str) -> None
    """As UTF-8, whatever the locale: an older Python would stumble over Chinese under LANG=C."""
    line = sentence + "\n"
    data = line if isinstance(line, bytes) else line.encode("utf-8")
    getattr(sys.stderr, "buffer", sys.stderr).write(data)  # type: ignore[arg-type] # in 2.7 it takes bytes


if __name__ == "__main__":
    lacking = problems()
    for each in lacking:
        say(("yunhui cannot be set up: ", "云会无法安装：")[language()] + each[language()])
    sys.exit(1 if lacking else 0)
