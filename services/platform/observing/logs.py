"""Log lines: one form for our own and for libraries' records, without personal data.

Calls log with `logging` and %-formatting. What goes out is decided here: an exception appears by its type, its `reason`
and where it was raised, never by its words, which can quote what people wrote or a whole SQL statement.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import sys
import traceback
from collections.abc import Iterator
from typing import Any, Literal

from services.platform.observing import traces

Format = Literal["json", "console"]

ALLOWED = frozenset({"event", "level", "logger", "time", "program", "exception", "trace_id", "account"})
"""Keys of a line; `account` is a pseudonym. Others that a library brings along are left out."""
_MAIL = re.compile(r"[^\s<>\"'=:,;(]+@[\w-]+(\.[\w-]+)+")
_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?<=earer )\S+")
_QUOTABLE = (OSError,)
"""Their words are about addresses, files and the network."""

_key = secrets.token_bytes(32)


def start(program: str, form: Format, key: bytes = b"") -> None:
    """Every record goes to stderr. With the same `key` an account has the same pseudonym everywhere and always."""
    global _key
    _key = key or _key
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Cleaner(program))
    handler.setFormatter(_json() if form == "json" else _Console("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # its lines hold addresses with secrets in them


def pseudonym(account_id: str) -> str:
    """Tells accounts apart in the log, and not who they are."""
    return hmac.digest(_key, account_id.encode(), hashlib.sha256).hex()[:10]


def words(error: BaseException) -> str:
    """What may be said of an exception."""
    name, reason = type(error).__name__, getattr(error, "reason", None)
    if isinstance(error, _QUOTABLE) or type(error).__module__.startswith("nats."):
        return f"{name}: {error}"
    return f"{name} {reason}" if isinstance(reason, str) and reason else name


def clean(text: str) -> str:
    """Without e-mail addresses and tokens: behind the care of each call, for what libraries say."""
    return _TOKEN.sub("<token>", _MAIL.sub("<address>", text))


def trail(error: BaseException) -> str:
    """Where it comes from: causes first, each with its frames, without the words."""
    return "\n".join(line for each in _causes(error) for line in (words(each), *_frames(each)))


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found[::-1]


def _frames(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {os.path.relpath(frame.filename)}:{frame.lineno} in {frame.name}"


class _Cleaner(logging.Filter):
    """Makes the record's text final, so that no formatter sees an argument or an exception."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(words(each) if isinstance(each, BaseException) else each for each in record.args)
        if isinstance(record.msg, BaseException):
            record.msg = words(record.msg)
        record.msg, record.args = clean(record.getMessage()), ()
        if record.exc_info and record.exc_info[1]:
            record.exception = trail(record.exc_info[1])
        record.exc_info = record.exc_text = record.stack_info = None
        record.program = self._program
        if trace := traces.current():
            record.trace_id = trace.split("-")[1]
        return True


class _Console(logging.Formatter):
    """One legible line, and the trail of an exception below it."""

    def format(self, record: logging.LogRecord) -> str:
        more = f" account={record.account}" if hasattr(record, "account") else ""
        below = f"\n{record.exception}" if hasattr(record, "exception") else ""
        return super().format(record) + more + below


def _json() -> logging.Formatter:
    import structlog  # a megabyte that only this form needs

    def allow(_logger: Any, _method: str, line: Any) -> dict[str, Any]:
        return {key: value for key, value in line.items() if key in ALLOWED}

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", key="time"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            allow,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
