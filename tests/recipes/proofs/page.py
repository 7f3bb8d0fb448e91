"""A page with a table and a file, of what a service answers: for its roles, in both languages."""

import csv
import io
from pathlib import Path

import httpx2

from tests.portal.pages.serving import COOKIE, Portal
from tests.system.stack import Stack

PATH = "/support/versions"


def test_it_is_there(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "state")
    stack.start()
    portal = Portal(stack)

    def get(path: str, role: str, language: str = "zh-CN") -> httpx2.Response:
        cookies = f"{COOKIE}={portal.sign_in(role, role)}; language={language}"
        return httpx2.get(portal.address + path, headers={"cookie": cookies})

    for path in (PATH, f"{PATH}.csv"):
        assert get(path, "booker").status_code == 403
    assert "规则版本" not in get("/rules", "booker").text
    page = get(PATH, "support").text
    assert f'<a href="{PATH}" aria-current="page">' in page
    assert "default@1" in page
    assert "<h1>Versions of the rules</h1>" in get(PATH, "support", "en").text
    written = get(f"{PATH}.csv", "support").content.decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(written, newline=""))
    assert (row["版本"], "生效时间（北京时间）" in row) == ("default@1", True)
    stack.stop()
