"""Which language the command speaks: one order, the same for sentences, help and errors."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.commands import app

CHINESE, ENGLISH = "没有在运行", "is not running"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("YUNHUI_TOKEN", "YUNHUI_STATE", "YUNHUI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environment)


@pytest.mark.parametrize(
    ("option", "variable", "signed_in", "locale", "expected"),
    [
        ("", "", "", {}, CHINESE),
        ("", "", "", {"LANG": "C"}, CHINESE),
        ("", "", "", {"LC_ALL": "POSIX"}, CHINESE),
        ("", "", "", {"LANG": "C.UTF-8"}, CHINESE),
        ("", "", "", {"LANG": "fr_FR.UTF-8"}, CHINESE),
        ("", "", "", {"LANG": "zh_TW.UTF-8"}, CHINESE),
        ("", "", "", {"LANG": "en"}, ENGLISH),
        ("", "", "", {"LANG": "en_GB.UTF-8"}, ENGLISH),
        ("", "", "", {"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US"}, ENGLISH),
        ("", "", "", {"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "zh_CN", "LC_ALL": "en_US"}, ENGLISH),
        ("", "", "", {"LANG": "en_US.UTF-8", "LC_ALL": "C"}, CHINESE),
        ("", "", "en", {"LANG": "zh_CN.UTF-8"}, ENGLISH),
        ("", "", "zh-CN", {"LANG": "en_US.UTF-8"}, CHINESE),
        ("", "zh-CN", "en", {"LANG": "en_US.UTF-8"}, CHINESE),
        ("", "en", "zh-CN", {}, ENGLISH),
        ("", "en_US.UTF-8", "zh-CN", {}, ENGLISH),
        ("en", "zh-CN", "zh-CN", {"LC_ALL": "zh_CN"}, ENGLISH),
        ("zh-CN", "en", "en", {"LC_ALL": "en_US"}, CHINESE),
    ],
)
def test_the_nearest_choice_wins(
    tmp_path: Path, option: str, variable: str, signed_in: str, locale: dict[str, str], expected: str
) -> None:
    """--lang, YUNHUI_LANG, the choice at the sign-in, the locale, Chinese; in sentences, help and usage errors."""
    (tmp_path / "session.json").write_text(json.dumps({"token": "t", "language": signed_in}))
    more = ("--lang", option) if option else ()
    environment = {**locale, **({"YUNHUI_LANG": variable} if variable else {})}
    asked = ("--state", str(tmp_path), *more)
    assert expected in run("mine", *asked, **environment).stderr
    help_says, fault_says = ("选项", "没有选项") if expected == CHINESE else ("options", "There is no option")
    assert help_says in run("mine", *asked, "--help", **environment).stdout
    assert fault_says in run("mine", *asked, "--bogus", **environment).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--lang", "en", "--help"),
        ("--help", "--lang", "en"),
        ("--lang=en", "mine", "--help"),
        ("mine", "--lang", "en", "--help"),
        ("mine", "--help", "--lang", "en"),
        ("rooms", "--lang", "en", "add", "--help"),
        ("rooms", "add", "--help", "--lang", "en"),
    ],
)
def test_help_is_in_the_language_wherever_that_stands(arguments: tuple[str, ...]) -> None:
    """Before the command, behind it, before --help and after."""
    done = run(*arguments)
    assert done.exit_code == 0
    assert "usage:" in done.stdout
    assert not any("\u4e00" <= character <= "\u9fff" for character in done.stdout)


@pytest.mark.parametrize("given", [("--lang", "fr", "--help"), ("mine", "--lang", "fr"), ("--help",)])
def test_a_language_that_there_is_not_is_named_with_those_there_are(given: tuple[str, ...]) -> None:
    """Also where the variable asks for it; what a locale says is nobody's demand."""
    done = run(*given, **({"YUNHUI_LANG": "fr"} if given == ("--help",) else {}))
    assert done.exit_code == 2
    assert "zh-CN, en" in done.stderr


def test_a_language_is_kept_at_the_sign_in_only_if_somebody_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locale that was kept would outlive itself; the next sign-in keeps what was asked for before.

    Asked for here: what was chosen at the sign-in to the installation of the working directory holds there alone.
    """
    from services.installation import issuer
    from services.installation.state import State

    state = State(tmp_path)
    state.prepare()
    issuer.prepare_keys(state)
    elsewhere = State(tmp_path / ".yunhui")
    elsewhere.prepare()
    elsewhere.session.write_text(json.dumps({"token": "t", "language": "en"}))
    monkeypatch.chdir(tmp_path)

    def kept(*more: str, **environment: str) -> str | None:
        assert run("login", "booker", "--state", str(tmp_path), *more, **environment).exit_code == 0
        language: str | None = json.loads(state.session.read_text()).get("language")
        return language

    assert kept(LANG="en_US.UTF-8") is None
    assert kept("--lang", "en") == "en"
    assert kept() == "en"
    assert kept(YUNHUI_LANG="zh-CN") == "zh-CN"
    assert CHINESE in run("mine", "--state", str(tmp_path), LANG="en_US.UTF-8").stderr
