"""The catalogue of translations: `python -m tools.messages` brings it up to date with code and templates.

`--check` changes nothing, and fails for whatever is missing, left over, or says less in Chinese than in English.
"""

import string
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from services.platform.text.languages import CHINESE
from services.platform.text.messages import catalog

PATH = catalog(CHINESE)
SERVICES = Path(__file__).parents[1] / "services"
METHODS = [("**/templates/**.html", "jinja2"), ("**/templates/**.txt", "jinja2"), ("**.py", "python")]
OPTIONS = {"**/templates/**": {"silent": "false"}}
KEYWORDS = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "message": None,
    "pmessage": ((1, "c"), 2),
}
"""Whose first argument, or whichever stands here, is a message id; c marks its context."""


def extract() -> Catalog:
    """Every message id there is."""
    found = Catalog(fuzzy=False)
    for _, _, text, comments, context in extract_from_dir(
        str(SERVICES), METHODS, options_map=OPTIONS, keywords=KEYWORDS
    ):
        found.add(text, auto_comments=comments, context=context)
    return found


def read() -> Catalog:
    with PATH.open("rb") as file:
        return read_po(file, locale="zh_CN")


def update() -> None:
    """Translations stay, new ids come empty, those that nobody shows any more go."""
    found = read()
    made = found.creation_date
    found.update(extract(), no_fuzzy_matching=True)
    found.obsolete.clear()
    found.creation_date = made  # a date that is always another would be a conflict in every merge
    with PATH.open("wb") as file:
        write_po(file, found, width=120, no_location=True, sort_output=True)


def faults(wanted: Catalog, found: Catalog) -> Iterator[str]:
    """What is wrong, one line each."""
    names = [{(each.id, each.context) for each in all_of if each.id} for all_of in (wanted, found)]
    yield from (f"not in the catalogue: {text!r}" for text, _ in names[0] - names[1])
    yield from (f"nobody says it any more: {text!r}" for text, _ in names[1] - names[0])
    yield from (f"obsolete: {each.id!r}" for each in found.obsolete.values())
    for each in found:
        yield from _faults_of(each) if each.id else ()


def _faults_of(entry: Message) -> Iterator[str]:
    if entry.fuzzy:
        yield f"fuzzy: {entry.id!r}"
    for said in forms(entry.string):
        if not said:
            yield f"has no Chinese: {entry.id!r}"
        elif placeholders(said) != placeholders(forms(entry.id)[-1]):
            yield f"other values in Chinese than in English: {entry.id!r}"


def forms(text: object) -> list[str]:
    """A plural has several."""
    return [str(form) for form in text] if isinstance(text, list | tuple) else [str(text)]


def placeholders(text: str) -> set[str]:
    """`{name}`, `{yunhui:login booker}` and `%(name)s`."""
    braces = {f"{name}:{words}" for _, name, words, _ in string.Formatter().parse(text) if name is not None}
    return braces | {part.partition(")s")[0] for part in text.split("%(")[1:]}


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        update()
        return 0
    found = sorted(faults(extract(), read()))
    for each in found:
        print(f"services/locales: {each}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
