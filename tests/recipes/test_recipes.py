"""The recipes of CONTRIBUTING.md are played: each is done in a copy, and proved there, in as few files as it says."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.recipes.copies import ROOT, Copy, changed_by
from tools import new_service

NAMES: Mapping[str, str] = {"program": "library", "page": "versions", "provider": "bridge"}
"""What a recipe's NAME is when it is played."""
MOST = {"program": 8, "page": 4, "fact": 6, "rule": 3, "event": 6, "provider": 5, "field": 12}
"""How many files each may take by hand."""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy.make(tmp_path)


DIFFS = [each for each in MOST if each != "program"]


@pytest.mark.parametrize("recipe", DIFFS)
def test_a_recipe_fits_the_sources(recipe: str) -> None:
    """Without playing it: whoever changes what it is about is told at once."""
    Copy(ROOT).apply(recipe, only_check=True)


@pytest.mark.parametrize("recipe", DIFFS)
def test_the_page_lists_what_a_recipe_takes(recipe: str) -> None:
    assert listed(recipe) == changed_by(recipe)
    assert len(listed(recipe)) <= MOST[recipe]


def listed(recipe: str) -> set[str]:
    """The files that CONTRIBUTING.md tells whoever follows the recipe to write, with the example's name."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(rf"^### [^\n]*<!-- recipe: {recipe} -->\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    assert section, f"CONTRIBUTING.md has no recipe {recipe}"
    paths = re.findall(r"^\d+\. `([^`]+)`", section[1], re.MULTILINE)
    return {path.replace("NAME", NAMES.get(recipe, "NAME")) for path in paths}


@pytest.mark.long
def test_a_program(copy: Copy) -> None:
    """It passes every check, starts with `up` beside the others, and answers whoever may ask."""
    told = copy.make_target("new-service", "NAME=library", "ENTITY=book").split()
    written = {each for each in told if (copy.root / each).is_file()}
    assert written == listed("program")
    assert len(written) <= MOST["program"]
    copy.make_target("check")
    copy.test("tests/contract/test_registry.py", "tests/contract/test_permissions.py", "tests/library")
    copy.test("tests/plumbing/test_migrations.py", "-k", "library and not postgres")
    copy.prove("program")


@pytest.mark.long
def test_a_page_with_a_table_and_an_export(copy: Copy) -> None:
    """It shows its rows and its file, to those it is for, in both languages."""
    copy.apply("page")
    copy.python("-m", "tools.messages", "--check")
    copy.python("-m", "mypy", "services/portal")
    copy.prove("page")


@pytest.mark.long
def test_a_fact(copy: Copy) -> None:
    """Rules can use it, with a test table, a quota and a name for it."""
    copy.apply("fact")
    copy.python("-m", "mypy", "services/policy")
    copy.python("-m", "tools.generated")
    copy.test("tests/policy/test_generated.py", "tests/policy/test_questions.py")
    copy.prove("fact")


@pytest.mark.long
def test_a_rule(copy: Copy) -> None:
    """It decides, agrees with the oracle, and is told in pages, command and handbook."""
    copy.apply("rule")
    copy.python("-m", "tools.generated")
    copy.prove("rule")


@pytest.mark.long
def test_an_event(copy: Copy) -> None:
    """A running installation publishes it, as the contract, the examples and the words for people say."""
    copy.apply("event")
    copy.python("-m", "tools.messages", "--check")
    copy.make_target("generated")
    copy.test("tests/system/test_asyncapi.py", GOLDEN="write")
    copy.make_target("generated")
    copy.test("tests/contract/test_asyncapi.py")
    assert "yunhui.notifier.delivery.resent" in (copy.root / "docs" / "events.examples.json").read_text()


@pytest.mark.long
def test_a_provider(copy: Copy) -> None:
    """Numbers lead to it beside another one; the rest of the gateway needs no change."""
    copy.apply("provider")
    copy.run(".venv/bin/lint-imports", "--no-logo")
    copy.test("tests/meetings/test_layout.py", "tests/meetings/test_settings.py", "tests/contract/test_registry.py")
    copy.prove("provider")


@pytest.mark.long
def test_a_field_of_a_reservation(copy: Copy) -> None:
    """From page and command to the database, the event and the mail, and back; by the migration as it is drafted."""
    copy.apply("field")
    copy.python("-m", "tools.messages", "--check")
    copy.make_target("proto")
    copy.make_target("migration", "SERVICE=booking", "MESSAGE=reservations have a purpose")
    copy.python("-m", "mypy", "services/booking", "services/portal", "services/cli")
    copy.test("tests/plumbing/test_migrations.py", "-k", "booking and not postgres")
    copy.prove("field")


@pytest.mark.parametrize(
    "name", ["booking", "Library", "li-brary", "", "../x", "admin", "mail", "postgres", "pages", "bench", "class"]
)
def test_a_program_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match=r"already|is no word|keyword"):
        new_service.refuse(name, "book")


def test_an_entity_has_a_table_of_its_own() -> None:
    with pytest.raises(ValueError, match="has a table reservation already"):
        new_service.refuse("library", "reservation")
    new_service.refuse("library", "book")
