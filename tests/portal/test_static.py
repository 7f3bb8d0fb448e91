"""What is vendored is what it says it is, and pages hold no script and no style of their own."""

import hashlib
import re

from services.portal.rendering import FOLDER

STATIC = FOLDER / "static"


def test_vendored_files_have_their_pinned_hashes() -> None:
    """And every minified file is pinned."""
    rows = [line.split() for line in (STATIC / "vendored.txt").read_text().splitlines() if not line.startswith("#")]
    assert {name for _, name in rows} == {path.name for path in STATIC.glob("*.min.js")}
    assert [name for sha256, name in rows if hashlib.sha256((STATIC / name).read_bytes()).hexdigest() != sha256] == []


def test_templates_hold_no_inline_script_or_style() -> None:
    """The content security policy would refuse them."""
    for path in (FOLDER / "templates").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|hx-on|hx-vals=.js|\|safe", text), path.name
