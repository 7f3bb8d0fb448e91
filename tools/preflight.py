"""Says in one sentence what this machine lacks, before the installer says it in a hundred lines."""

import shutil
import sys
import sysconfig
from pathlib import Path

problems = []
if sys.version_info < (3, 11):  # noqa: UP036 - this is the file that tells people with an older Python
    problems.append(
        f"Python 3.11 or newer is needed, this is {sys.version_info[0]}.{sys.version_info[1]};"
        " try `make PYTHON=python3.11 ...`"
    )
if not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
    problems.append("a C compiler is needed (durable-rules is compiled here): on Debian `apt install gcc`")
if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
    problems.append("Python.h is needed to compile durable-rules: on Debian `apt install python3-dev`")
try:
    import ensurepip  # noqa: F401 - only asked whether it is there
except ImportError:
    problems.append("Python's venv is needed: on Debian `apt install python3-venv`")
for problem in problems:
    print("yunhui cannot be set up: " + problem, file=sys.stderr)
sys.exit(1 if problems else 0)
