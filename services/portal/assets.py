"""Our own files: their addresses change with their content, so that browsers may keep them for good."""

import hashlib
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).with_name("static")
DIGITS = 12
FOR_GOOD = "public, max-age=31536000, immutable"


@lru_cache
def digest(name: str) -> str:
    """Raises OSError when there is no such file."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:DIGITS]


def address(name: str) -> str:
    """For templates: {{ asset("app.css") }}."""
    return f"/static/{name}?v={digest(name)}"


class Assets(StaticFiles):
    """Asked for by another content's address, a file is looked for anew next time."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        asked = QueryParams(scope["query_string"]).get("v")
        if answer.status_code in (200, 304) and asked == digest(path):
            answer.headers["cache-control"] = FOR_GOOD
        return answer
