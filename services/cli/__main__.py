"""Where the command begins: Ctrl-C is quiet from the first moment on, not only once everything is loaded."""

import json
import os
import signal
import sys

INTERRUPTED = 130


def main() -> None:
    watched = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell may have it ignored
    if watched:
        signal.signal(signal.SIGINT, leave)
    from services.cli.commands import app  # takes a second

    if watched:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app()


def leave(*_: object) -> None:
    """Nothing was begun; a traceback would only tell what was being imported."""
    if "--json" in sys.argv:
        error = {"reason": "INTERRUPTED", "message": "interrupted", "field": "", "hint": "", "exitCode": INTERRUPTED}
        os.write(2, json.dumps({"error": error}).encode() + b"\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
