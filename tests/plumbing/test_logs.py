"""What may be said in a log line, and what never is."""

import json
import logging
from collections.abc import Iterator

import pytest

from services.platform.observing import logs
from services.platform.serving import errors

SECRET = "zhangsan@example.org"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def last_line(captured: pytest.CaptureFixture[str]) -> str:
    return captured.readouterr().err.strip()


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_told_without_its_words(form: logs.Format, capsys: pytest.CaptureFixture[str]) -> None:
    """Its type, its causes and where it comes from are."""
    logs.start("booking", form)
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise ValueError(f"no {SECRET}") from error
    except ValueError as error:
        logging.getLogger("x").exception("failed: %s", error)
    line = last_line(capsys)
    assert "zhangsan" not in line
    assert "failed: ValueError" in line
    assert "KeyError" in line
    assert "test_logs.py" in line


def test_only_known_keys_go_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.start("booking", "json")
    logging.getLogger("x").info("done", extra={"subject": "secret", "account": logs.pseudonym("zhangsan")})
    written = json.loads(last_line(capsys))
    assert set(written) == {"event", "level", "logger", "time", "program", "account"}
    assert written["event"] == "done"
    assert "zhangsan" not in written["account"]


def test_addresses_and_tokens_of_libraries_are_taken_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.start("booking", "console")
    logging.getLogger("library").warning("no %s with Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.abc", SECRET)
    assert last_line(capsys).endswith("library no <address> with Bearer <token>")


def test_errors_of_ours_and_of_the_network_say_why() -> None:
    """They are about codes and addresses, and the way out hangs on them."""
    assert logs.words(errors.unavailable("policy")) == "RpcError UNAVAILABLE SERVICE_AWAY"
    assert logs.words(ConnectionRefusedError(111, "refused")) == "ConnectionRefusedError: [Errno 111] refused"


def test_the_same_key_gives_the_same_pseudonym(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the lines of several programs can be put together."""
    monkeypatch.setattr(logs, "_key", b"one")
    first = logs.pseudonym("zhangsan")
    assert logs.pseudonym("zhangsan") == first
    monkeypatch.setattr(logs, "_key", b"two")
    assert logs.pseudonym("zhangsan") != first
