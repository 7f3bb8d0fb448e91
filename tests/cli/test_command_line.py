"""The command without any program running: parsing, languages, exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.commands import app
from services.platform.local import is_loopback_address


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YUNHUI_TOKEN", "YUNHUI_STATE", "YUNHUI_BOOKING_ADDRESS", "YUNHUI_NATS_URL"):
        monkeypatch.delenv(name, raising=False)


def run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--state", str(state)])


RESERVE = ("reserve", "--code", "123456789", "--subject", "x", "--minutes", "60", "--people", "12")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((*RESERVE, "--start", "tomorrow", "--lang", "en"), 2, "write it like '2025-07-07 10:00'"),
        ((*RESERVE, "--start", "tomorrow", "--lang", "zh-CN"), 2, "请写成 “2025-07-07 10:00”"),
        ((*RESERVE, "--start", "2025-07-07 10:00", "--lang", "en"), 5, "yunhui up"),
        (("rooms", "--lang", "fr"), 2, "zh-CN, en"),
        (("login", "king", "--lang", "en"), 2, "booker, support, admin, service"),
        (("login", "booker", "--account", "a b", "--lang", "en"), 2, "1 to 64 letters"),
        (("login", "booker", "--lang", "en"), 1, "First run: yunhui up"),
        (("clock", "advance", "45m", "--lang", "en"), 1, "First run: yunhui up"),
        (("clock", "advance", "soon", "--lang", "en"), 2, "write 45m, 2h or 1d"),
        (("mine", "--only", "lost", "--lang", "en"), 2, "no-show"),
        (("whoami", "--lang", "en"), 1, "First run: yunhui login"),
        (("mail", "--lang", "en"), 1, "First run: yunhui up"),
        (("doctor", "--lang", "en"), 1, "First run: yunhui up"),
        (("events", "tail", "--lang", "en"), 5, "First run: yunhui up"),
        (("free", "--start", "soon", "--lang", "en"), 2, "write it like '2025-07-07 10:00'"),
        (("rooms", "set", "r", "--capacity", "many", "--lang", "en"), 2, "--capacity"),
        (("watch", "--lang", "en"), 5, "yunhui up"),
        (("bus", "setup", "--lang", "en"), 5, "First run: yunhui up"),
        (("up", "--ports", "some", "--lang", "en"), 2, "fixed, auto"),
    ],
)
def test_faults_are_sentences_with_an_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """In the language asked for, on stderr, with the way out."""
    done = run(tmp_path, *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert sentence in done.stderr


def test_faults_are_json_for_programs(tmp_path: Path) -> None:
    """On stderr: stdout is for answers."""
    done = run(tmp_path, "rooms", "--json", "--lang", "en")
    assert "yunhui up" in json.loads(done.stderr)["error"]["message"]


def test_options_before_a_subcommand_hold_for_it(tmp_path: Path) -> None:
    """`yunhui clock --lang en advance` is English too."""
    done = CliRunner().invoke(app, ["clock", "--state", str(tmp_path), "--lang", "zh-CN", "advance", "soon"])
    assert "请写成 45m" in done.stderr


def test_a_missing_option_is_a_usage_error(tmp_path: Path) -> None:
    """Typer says so itself."""
    assert run(tmp_path, "reserve").exit_code == 2


@pytest.mark.parametrize(
    "command", ["up", "demo", "reserve", "mine", "rooms add", "rooms set", "free", "watch", "events tail", "doctor"]
)
def test_every_command_explains_itself(command: str) -> None:
    """With the three options that all have."""
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert all(option in done.stdout for option in ("--state", "--lang", "--json"))


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:7101", True),
        ("[::1]:7101", True),
        ("localhost:1", True),
        ("10.0.0.1:1", False),
        ("booking:1", False),
    ],
)
def test_only_this_machine_is_spoken_to_without_tls(address: str, loopback: bool) -> None:
    """A token must not travel in the open by accident."""
    assert is_loopback_address(address) is loopback
