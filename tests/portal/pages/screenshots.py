"""`make pictures`: every page of a running portal as a picture, what axe says of it, and the tutorial as a story.

Writes docs/portal/ and docs/portal.md.
"""

import argparse
import base64
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree, rmtree

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.portal.pages.gallery import LANGUAGES, PHONE, THEMES, Gallery, write
from tests.portal.pages.scenery import NAMES, ROLES, Look, Scenery
from tests.portal.pages.serving import Portal
from tests.portal.pages.story import tell
from tests.portal.pages.visitor import Visitor, chromium
from tests.system.stack import MONDAY, Stack

DOCS = Path(__file__).parents[3] / "docs"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
QUALITY = 50
PHONE_WIDTH = 360


@dataclass
class Camera:
    """Goes through all pages as their people; `findings` are axe's by (page, language, theme), counted by impact."""

    stack: Stack
    visitor: Visitor
    folder: Path
    findings: dict[tuple[str, str, str], Counter[str]] = field(default_factory=dict)
    _opened: dict[tuple[str, str, str, int], Page] = field(default_factory=dict)

    def take(self, name: str, look: Look, language: str, theme: str) -> None:
        page = self._page(look.who, language, theme, 1280)
        with self._away(look):
            page.goto(look.path)
        look.act(page)
        found = Axe().run(page, options=RULES).response["violations"]
        self.findings[name, language, theme] = Counter(each["impact"] for each in found for _ in each["nodes"])
        picture(page, self.folder / f"{name}.{language}.{theme}.webp")

    def take_phone(self, name: str, look: Look, language: str) -> None:
        page = self._page(look.who, language, "light", PHONE_WIDTH)
        page.goto(look.path)
        picture(page, self.folder / f"{name}.{language}.phone.webp")

    def _page(self, who: str, language: str, theme: str, width: int) -> Page:
        key = (who, language, theme, width)
        if key not in self._opened:
            role = ROLES.get(who, "booker")
            browsers = {"color_scheme": theme, "locale": language}  # for the issuer, which knows no settings of ours
            shown = NAMES.get(who, "")
            opened = self.visitor.open(who, role, shown=shown, language=language, theme=theme, width=width, **browsers)
            opened.emulate_media(reduced_motion="reduce")
            self._opened[key] = opened
        return self._opened[key]

    @contextmanager
    def _away(self, look: Look) -> Iterator[None]:
        """Booking does not answer meanwhile, if that is what is to be seen."""
        if not look.away:
            yield
            return
        os.kill(self.stack.pids["booking"], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.stack.pids["booking"], signal.SIGCONT)


def picture(page: Page, path: Path) -> None:
    """What is in the window, as WebP by the browser itself."""
    devtools = page.context.new_cdp_session(page)
    taken = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    path.write_bytes(base64.b64decode(taken["data"]))
    devtools.detach()


def take_all(camera: Camera, looks: Mapping[str, Look], languages: Sequence[str]) -> None:
    for name, look in looks.items():
        for language in languages:
            for theme in THEMES:
                camera.take(name, look, language, theme)
            if name in PHONE:
                camera.take_phone(name, look, language)
        print(name, flush=True)


def run(stack: Stack, browser: Browser, folder: Path, languages: Sequence[str]) -> Gallery:
    visitor = Visitor(Portal(stack), browser)
    camera = Camera(stack, visitor, folder)
    looks = Scenery(stack).furnish()
    take_all(camera, looks, languages)
    stories = {language: tell(stack, visitor, folder, language) for language in languages}
    visitor.close()
    assert visitor.complaints == [], visitor.complaints
    return Gallery({name: look.title for name, look in looks.items()}, camera.findings, stories)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS, help="where to write portal/ and portal.md")
    docs: Path = parser.parse_args().docs
    with tempfile.TemporaryDirectory(prefix="yunhui-pictures-") as state, sync_playwright() as playwright:
        stack, made = Stack(Path(state) / "state"), Path(state) / "portal"
        made.mkdir()
        stack.start("--clock", MONDAY)
        try:
            with chromium(playwright) as browser:
                gallery = run(stack, browser, made, LANGUAGES)
        finally:
            stack.stop()
        folder = docs / "portal"
        rmtree(folder, ignore_errors=True)  # only now that there are new ones
        copytree(made, folder)
    write(gallery, docs / "portal.md")
    grave = sum(found[each] for found in gallery.findings.values() for each in ("serious", "critical"))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{len(list(folder.iterdir()))} pictures, {size / 1e6:.1f} MB; serious or critical findings: {grave}")
    raise SystemExit(1 if grave else 0)


if __name__ == "__main__":
    main()
