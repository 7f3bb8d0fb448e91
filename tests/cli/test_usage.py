"""Help and usage errors: all of it ours, in the reader's language, and JSON where JSON was asked for."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from services.cli import myself, usage
from services.cli.commands import app
from services.cli.panels import PANELS
from services.platform.text.languages import LANGUAGES, read

ROOT = Path(__file__).parents[2]
PROPER = frozenset(
    {"JSON", "RFC", "CSV", "NATS", "Prometheus", "Webhook", "RRULE", "URL", "YUNHUI_STATE", "YUNHUI_LANG", "zh-CN"}
    | {"YUNHUI_MEETING_PASSWORD"}
    | {"yunhui", "support", "admin", "service", "booker"}
)
"""Names, and roles, that are the same in Chinese."""
LITERAL = re.compile(
    r"--[a-z-]+"  # options
    r"|'[^']*'"  # examples
    r"|\.(?:csv|xlsx)\b"  # endings of files
    r"|\b[\w.-]+(?:[|=][\w.-]+)+"  # choices
    r"|\w+/[\w-]+"  # an id of something
    r"|[\w.]*\.(?:yaml|yunhui|\*|>)\S*|\byunhui\.\S*"  # files, subjects
    r"|默认：[^\]]*|默认 \.yunhui"
)


def commands() -> Iterator[tuple[str, ...]]:
    """Every group and command, by its words."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, each in getattr(command, "commands", {}).items():
            yield from walk(each, (*path, name))

    return walk(typer.main.get_command(app), ())


COMMANDS = list(commands())


def run(*arguments: str, **environment: str) -> Result:
    cleared = dict.fromkeys(("YUNHUI_TOKEN", "YUNHUI_STATE", "YUNHUI_LANG"))
    return CliRunner().invoke(app, arguments, env={**cleared, "COLUMNS": "200", **environment})


def named(path: tuple[str, ...]) -> str:
    return " ".join(path) or "yunhui"


@pytest.mark.parametrize("path", COMMANDS, ids=named)
def test_chinese_help_has_no_english_word(path: tuple[str, ...]) -> None:
    """Neither typer's own nor one of ours; options, choices, examples, roles and proper names are typed as they are."""
    said = run(*path, "--help", "--lang", "zh-CN").stdout
    assert "用法：" in said
    typed = {word for each in COMMANDS for word in each} | {"auto", "off", "rules", "tests", "reminder", "confirmation"}
    left = re.findall(r"[A-Za-z][A-Za-z_-]{2,}", LITERAL.sub(" ", said))
    assert sorted(set(left) - typed - PROPER) == []


@pytest.mark.parametrize("path", COMMANDS, ids=named)
def test_english_help_has_no_chinese_and_no_raw_name(path: tuple[str, ...]) -> None:
    """A placeholder is a word in capitals, not a name of our code."""
    said = run(*path, "--help", "--lang", "en").stdout
    assert not re.search(r"[\u4e00-\u9fff\0]", said)
    assert not re.search(r"\b[a-z]+_[a-z_]+\b|<\w+>|\bbool\b", said)


def test_every_command_is_in_one_panel() -> None:
    """Whoever adds one says who needs it."""
    shown = [name for _, names in PANELS for name in names]
    assert sorted(shown) == sorted(path[0] for path in COMMANDS if len(path) == 1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_help_is_in_panels_by_who_needs_it(language: str) -> None:
    """In the order of the table, each with its sentence, within 80 columns; all sentences have one left edge."""
    lines = run("--help", "--lang", language, COLUMNS="80").stdout.splitlines()
    assert max(map(cell_len, lines)) <= 80
    found = re.findall(r"^╭─ (.*?) ─*╮$|^│ ([a-z][a-z-]*) +\S", "\n".join(lines), re.MULTILINE)
    table = [(title.to(language), names) for title, names in PANELS]
    expected = [pair for title, names in table for pair in [(title, ""), *(("", name) for name in names)]]
    assert found[found.index(expected[0]) :] == expected
    edges = [re.match(r"│ [a-z][a-z-]* +", line) for line in lines]
    assert len({edge.end() for edge in edges if edge}) == 1


FAULTS = {
    ("rooms", "set", "a", "--capacity", "x"): ("--capacity", "NOT_A_WHOLE_NUMBER", "须为整数", "whole number"),
    ("check", "--minutes", "0"): ("--minutes", "AT_LEAST", "至少为 1", "at least 1"),
    ("check", "--minutes", "9999"): ("--minutes", "AT_MOST", "最多为 1440", "at most 1440"),
    ("standin", "--lost", "half"): ("--lost", "NOT_A_DECIMAL", "须为数字", "must be a number"),
    ("show",): ("ID", "MISSING_VALUE", "缺少 编号", "ID is missing"),
    ("waive", "vio_1"): ("--note", "MISSING_VALUE", "缺少 --note", "--note is missing"),
    ("mine", "--onyl"): ("--onyl", "NO_SUCH_OPTION", "是不是想用 --only", "Did you mean --only"),
    ("mine", "--only"): ("--only", "VALUE_NEEDED", "要有一个值", "needs a value"),
    ("mine", "--all-accounts=1"): ("--all-accounts", "NO_VALUE_WANTED", "不能有值", "takes no value"),
    ("mine", "all", "of", "it"): ("", "TOO_MANY_WORDS", "多出了“all of it”", "'all of it'"),
    ("mien",): ("", "NO_SUCH_COMMAND", "是不是想用 mine", "Did you mean mine"),
    ("simulate", "dance"): ("", "NO_SUCH_COMMAND", "没有命令“dance”", "no command 'dance'"),
    ("simulate", "--state", "x"): ("", "COMMAND_NEEDED", "请写明", "which command"),
    ("audit", "verify", "--file", "/nope"): ("--file", "NO_FILE", "读不到文件", "cannot be read"),
    ("mine", "--lang", "fr"): ("--lang", "BAD_CHOICE", "zh-CN, en", "zh-CN, en"),
}


@pytest.mark.parametrize("arguments", FAULTS, ids=" ".join)
def test_a_usage_error_is_a_sentence_or_json_on_stderr(arguments: tuple[str, ...]) -> None:
    """In both languages, with nothing of typer's; as JSON with reason, message, field, hint and exit code."""
    field, reason, chinese, english = FAULTS[arguments]
    lang = () if "--lang" in arguments else ("--lang", "en")
    for language, sentence in (("zh-CN", chinese), ("en", english)):
        said = run(*arguments, **({"YUNHUI_LANG": language} if lang else {"LANG": language}))
        assert (said.exit_code, said.stdout) == (2, "")
        assert sentence in said.stderr
        assert not re.search(r"Usage|Error|Invalid|Try '|Missing |No such|Input should", said.stderr)
    for place in (("--json", *arguments), (*arguments, "--json")):
        if place[-2:] == ("--only", "--json"):
            continue  # there it is the value of --only
        said = run(*lang, *place)
        error = json.loads(said.stderr)["error"]
        assert said.stdout == ""
        assert (error["reason"], error["field"], error["exitCode"]) == (reason, field, 2)
        assert english in error["message"]
        assert set(error) == {"reason", "message", "field", "hint", "exitCode"}
    if reason not in ("NO_FILE", "BAD_CHOICE"):
        assert error["hint"].endswith("--help")


@pytest.mark.parametrize(
    ("arguments", "reason", "code", "hint"),
    [
        (("mine",), "NOT_RUNNING", 5, "yunhui up"),
        (("whoami",), "NOT_SIGNED_IN", 1, "yunhui login booker"),
        (("clock",), "NO_STATE", 1, "yunhui up"),
    ],
)
def test_an_error_tells_programs_what_to_run(
    tmp_path: Path, arguments: tuple[str, ...], reason: str, code: int, hint: str
) -> None:
    """With the state directory that was meant, so that it works as it stands."""
    said = run(*arguments, "--json", "--state", str(tmp_path))
    error = json.loads(said.stderr)["error"]
    assert (said.exit_code, error["exitCode"], error["reason"]) == (code, code, reason)
    assert error["hint"] == f"{hint} --state {tmp_path}"
    assert error["hint"] in error["message"]


def test_a_service_that_is_away_is_json_too(tmp_path: Path) -> None:
    """A connection that is refused is no answer; the exit code tells it from a refusal."""
    (tmp_path / "session.json").write_text('{"token": "a.e30.c"}')
    said = run("rooms", "--json", "--state", str(tmp_path), YUNHUI_BOOKING_ADDRESS="127.0.0.1:9")
    error = json.loads(said.stderr)["error"]
    assert (said.exit_code, error["exitCode"], error["reason"], error["code"]) == (5, 5, "UNAVAILABLE", "UNAVAILABLE")


def test_ctrl_c_is_quiet_for_people_and_json_for_programs() -> None:
    """With 130, as shells have it."""

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert usage.attempt(lambda: 130, usage.Glance()) == 130
    assert usage.attempt(interrupted, usage.Glance()) == 130


def test_a_fault_of_ours_is_json_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """For people it is a traceback as ever: it has to be reported."""

    def broken() -> int:
        raise ZeroDivisionError("by zero")

    assert usage.attempt(broken, usage.Glance(json=True, lang="en")) == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["reason"], error["exitCode"]) == ("UNEXPECTED", 1)
    assert "by zero" in error["details"][0]["traceback"]
    with pytest.raises(ZeroDivisionError):
        usage.attempt(broken, usage.Glance())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), usage.Glance()),
        (("mine", "--json", "--lang", "en"), usage.Glance(None, "en", True)),
        (("--lang=zh-CN", "mine", "--lang", "en", "--state=/x"), usage.Glance("/x", "en", False)),
        (("mine", "--", "--json"), usage.Glance()),
        (("mine", "--lang"), usage.Glance()),
    ],
)
def test_the_common_options_are_seen_before_the_rest_is_read(words: tuple[str, ...], found: usage.Glance) -> None:
    """The last counts; nothing after a bare --."""
    assert usage.glance(words) == found


@pytest.mark.parametrize("how", ["path", "PATH", "module"])
def test_hints_are_typed_as_the_command_was(tmp_path: Path, how: str) -> None:
    """`.venv/bin/yunhui` where that was typed, `yunhui` only where the shell finds it, else the module."""
    script = Path(sys.executable).with_name("yunhui")
    environment = {**os.environ, "YUNHUI_STATE": str(tmp_path), "LANG": "C.UTF-8"}
    command, expected = [os.path.relpath(script, ROOT)], f"{os.path.relpath(script, ROOT)} up"
    if how == "PATH":
        environment["PATH"] = f"{script.parent}{os.pathsep}{environment['PATH']}"
        command, expected = ["yunhui"], "yunhui up"
    if how == "module":
        command = [sys.executable, "-m", "services.cli"]
        expected = f"{os.path.relpath(sys.executable, ROOT)} -m services.cli up"
    done = subprocess.run([*command, "mine"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == f"云会没有在运行。请先运行：{expected}"


def test_a_directory_with_a_space_is_quoted() -> None:
    """Else the shell would take it for two."""
    myself.remember_state("/x/my state")
    assert myself.typed("up") == "yunhui up --state '/x/my state'"
    myself.remember_state(None)
    assert myself.typed("up") == "yunhui up"
    assert read("en-GB") == "en"
