"""What every answer tells the browser to allow: our own files and nothing else."""

import time
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
FIXED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # no-referrer would make browsers send "Origin: null" with our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
YEAR_SECONDS = 365 * 24 * 3600


def policy(report_uri: str = "", **others: str) -> str:
    """The Content-Security-PolicyInForce. `others` replace directives: form_action="'self' https://..."."""
    directives = POLICY | {name.replace("_", "-"): value for name, value in others.items()}
    if report_uri:
        directives["report-uri"] = report_uri
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def fixed(*, https: bool, report_uri: str = "") -> Mapping[str, str]:
    safe = {"strict-transport-security": f"max-age={YEAR_SECONDS}"} if https else {}
    return {"content-security-policy": policy(report_uri), **FIXED, **safe}


class SecurityHeaders:
    """Adds `headers` to every answer, and the milliseconds it took; what is not said to be kept is not kept."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cache = "no-cache" if scope["type"] == "http" and scope["path"].startswith("/static/") else "no-store"

        begun = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", cache)
                headers["server-timing"] = f"page;dur={1e3 * (time.perf_counter() - begun):.1f}"
            await send(message)

        await self._app(scope, receive, send_with_headers)
