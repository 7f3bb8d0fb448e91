"""The portal's translations: `python -m tools.messages` brings each catalog up to date with templates and code."""

from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

PORTAL = Path(__file__).parents[1] / "services" / "portal"
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"templates/**.html": {"trimmed": "false", "silent": "false"}}
KEYWORDS = {"_": None, "ngettext": (1, 2), "message": None}


def extract() -> Catalog:
    """Every message id there is."""
    found = Catalog(fuzzy=False)
    for name, line, text, comments, _ in extract_from_dir(str(PORTAL), METHODS, options_map=OPTIONS, keywords=KEYWORDS):
        found.add(text, locations=[(name, line)], auto_comments=comments)
    return found


def catalogs() -> Iterator[Path]:
    return (PORTAL / "locales").glob("*/messages.po")


def update(path: Path) -> None:
    """Translations stay, new ids come empty, those that nobody shows any more go."""
    with path.open("rb") as file:
        catalog = read_po(file, locale=path.parent.name)
    catalog.update(extract(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    with path.open("wb") as file:
        write_po(file, catalog, width=120, no_location=True, omit_header=False, sort_output=True)


if __name__ == "__main__":
    for each in catalogs():
        update(each)
