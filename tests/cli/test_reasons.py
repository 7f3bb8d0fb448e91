"""What the command says: it names commands as they are typed here, and what programs read of an error stays."""

import re
import string
from typing import Any

import pytest
import typer

from services.cli.commands import app
from services.cli.failures import CommandError
from services.cli.reasons import FailureReason
from services.platform.text.languages import LANGUAGES
from tools import messages

SAID = [
    text for entry in messages.read() if entry.id for text in messages.forms(entry.id) + messages.forms(entry.string)
]


def hinted() -> list[str]:
    """The commands that sentences name, without their name."""
    pieces = (piece for text in SAID for piece in string.Formatter().parse(text))
    return sorted({str(words) for _, name, words, _ in pieces if name == "yunhui" and words})


@pytest.mark.parametrize("words", hinted())
def test_a_command_that_is_hinted_at_exists(words: str) -> None:
    """With its options: what is said must be typed as it stands."""
    found: Any = typer.main.get_command(app)
    for word in words.split():
        if word.startswith("--"):
            assert word in [option for parameter in found.params for option in parameter.opts], word
        elif hasattr(found, "commands"):
            found = found.commands[word]


def test_no_sentence_names_the_command_bare() -> None:
    """`yunhui` may not be on the PATH: {yunhui} says how it is typed here."""
    bare = re.compile(r"(?<![.{/\w])yunhui (?!是)[a-z-]")
    assert [text for text in SAID if bare.search(text)] == []


@pytest.mark.parametrize("reason", FailureReason)
def test_programs_know_a_failure_by_its_name(reason: FailureReason) -> None:
    """Not by its sentence, which may be worded better one day."""
    failure = CommandError(reason)
    assert failure.reason == reason.name
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", reason.name)


def test_the_names_that_programs_know_stay() -> None:
    """Scripts compare with them: one that goes, or is called otherwise, is a break."""
    names = {"NOT_SIGNED_IN", "NOT_RUNNING", "NO_STATE", "BUS_AWAY", "MISSING_VALUE", "NO_SUCH_OPTION", "SAY_YES"}
    assert names <= {reason.name for reason in FailureReason}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hint_can_be_typed(language: str) -> None:
    assert CommandError(FailureReason.NOT_SIGNED_IN).hint in CommandError(FailureReason.NOT_SIGNED_IN).sentence(
        language
    )
