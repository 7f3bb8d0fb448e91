"""One meaning for a class name in the whole house: nobody has to ask which `Case` is meant."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def classes(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and place of each class, inner ones too."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield node.name, f"{path.relative_to(folder)}:{node.lineno}"


def doubled(folder: Path) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for name, place in classes(folder):
        places.setdefault(name, []).append(place)
    return {name: where for name, where in places.items() if len(where) > 1}


def test_a_class_name_has_one_meaning() -> None:
    found = doubled(ROOT / "services")
    assert not found, f"defined more than once, so name each by what it is about: {found}"


def test_a_second_meaning_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class Rate: ...\nclass Case: ...\n")
    (tmp_path / "two.py").write_text("def build():\n    class Rate: ...\n")
    assert doubled(tmp_path) == {"Rate": ["one.py:1", "two.py:2"]}
