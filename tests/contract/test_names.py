"""One meaning for a class name in the whole house: nobody has to ask which `Case` is meant."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STILL_DOUBLED: Mapping[str, str] = {
    "Narrator": "of events (cli/events), of a start (cli/up)",
    "Policy": "compiled rules (policy/decisions), what pages read of them (portal/policies)",
    "Text": "a sentence of the command (cli/texts), of a page (portal/gate)",
    "Typed": "what was typed at the command (cli/myself), into a form (portal/booking)",
    "Wanted": "events to show (cli/happenings), a reservation to be made (cli/proposal)",
}
"""Names with more than one meaning today, and which. A name that no longer has two goes."""


def classes(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and place of each class, inner ones too."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield node.name, f"{path.relative_to(folder)}:{node.lineno}"


@cache
def doubled(folder: Path) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for name, place in classes(folder):
        places.setdefault(name, []).append(place)
    return {name: where for name, where in places.items() if len(where) > 1}


def test_a_class_name_has_one_meaning() -> None:
    found = doubled(ROOT / "services")
    new = {name: where for name, where in found.items() if name not in STILL_DOUBLED}
    assert not new, f"defined more than once, so name each by what it is about: {new}"


@pytest.mark.parametrize("name", STILL_DOUBLED)
def test_an_exception_is_still_needed(name: str) -> None:
    assert name in doubled(ROOT / "services"), f"{name} has one meaning now: take it off the list"


def test_a_second_meaning_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class Rate: ...\nclass Case: ...\n")
    (tmp_path / "two.py").write_text("def build():\n    class Rate: ...\n")
    assert doubled(tmp_path) == {"Rate": ["one.py:1", "two.py:2"]}
