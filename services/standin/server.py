"""The stand-in for Tencent's cloud as a local HTTP server, with the faults that a test, or a person, asks for.

It stands on http.server: that alone hands over the target and the case of header names as they came over the wire.
"""

import contextlib
import json
import socket
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from services.standin.acts import Acts
from services.standin.cloud import Cloud
from services.standin.request_checks import Refusal, Request, RequestChecker
from services.standin.rest import Rest
from services.standin.sender import WebhookSender
from services.standin.wire import read_body

LARGEST_BODY = 1024 * 1024
HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
CONTROL = "/standin/"


class Standin:
    """`faults` befall the next requests, one each; `broken` befalls all: html, hang, drip and so on.

    A fault may also be "error:CODE", and "lost": what was asked for is done, and not answered. `canned` is answered to
    all that is admitted. What is refused is kept in `refusals` as its code.
    """

    def __init__(
        self, port: int = 0, sender: WebhookSender | None = None, checker: RequestChecker | None = None
    ) -> None:
        self.checker = checker or RequestChecker()
        self.cloud = Cloud(sender)
        self.rest = Rest(self.cloud)
        self._acts = Acts(self.cloud)
        self.faults: deque[str] = deque()
        self.broken = ""
        self.requests: list[Request] = []
        self.refusals: list[int] = []
        self.canned: dict[str, Any] | None = None
        self.released = threading.Event()
        handler = type("Handler", (_Handler,), {"standin": self})
        self._server = _Server(("127.0.0.1", port), handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def serve(self) -> None:
        """Until interrupted."""
        self._server.serve_forever()

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self) -> str:
        return self.broken or (self.faults.popleft() if self.faults else "")

    def act(self, words: list[str], body: dict[str, Any]) -> dict[str, Any]:
        """What people do there, as `acts` says, and which faults befall requests. Raises Refusal."""
        if words == ["faults"]:
            self.broken = str(body.get("always", ""))
            self.faults.extend(map(str, body.get("next", ())))
            return {}
        return self._acts.act(words, body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    standin: ClassVar[Standin]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, LARGEST_BODY))
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        if self.path.startswith(CONTROL):
            self._answer(lambda: self.standin.act(self.path.removeprefix(CONTROL).split("/"), read_body(body)))
            return
        self.standin.requests.append(request)
        fault = self.standin.next_fault()
        if fault == "lost":
            self._lost(request)
        elif fault and not fault.startswith("error:"):
            getattr(self, f"_{fault}")()
        else:
            self._answer(lambda: self._obey(request, fault))

    def _obey(self, request: Request, fault: str) -> dict[str, Any]:
        self.standin.checker.check(request)
        if fault:
            raise Refusal(int(fault.removeprefix("error:")), "on purpose", 500)
        return self.standin.rest.answer(request) if self.standin.canned is None else self.standin.canned

    def _answer(self, work: Any) -> None:
        try:
            self._send(200, json.dumps(work(), ensure_ascii=False).encode())
        except Refusal as refusal:
            self.standin.refusals.append(refusal.code)
            info: dict[str, Any] = {"error_code": refusal.code, "message": str(refusal)}
            if 190300 <= refusal.code < 190400:  # newer answers have it, older ones do not
                info["new_error_code"] = 200_000_000 + refusal.code
            self._send(refusal.status, json.dumps({"error_info": info}).encode())
        except (ValueError, TypeError, KeyError) as error:
            info = {"error_code": 190004, "message": f"{type(error).__name__}: {error}"}
            self._send(400, json.dumps({"error_info": info}).encode())

    def _send(self, status: int, content: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _lost(self, request: Request) -> None:
        with contextlib.suppress(Refusal):
            self._obey(request, "")
        self._close()

    def _html(self) -> None:
        self._send(502, HTML, "text/html")

    def _html_as_success(self) -> None:
        self._send(200, HTML, "text/html")

    def _empty(self) -> None:
        self._send(200, b"{}")

    def _refusal_as_success(self) -> None:
        self._send(200, b'{"error_info": {"error_code": 960000, "message": "internal"}}')

    def _redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _hang(self) -> None:
        self.standin.released.wait(60)
        self.close_connection = True

    def _drip(self) -> None:
        """A byte now and then: no read takes long, the whole never ends."""
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.standin.released.wait(0.1):
            try:
                self.wfile.write(b" ")
            except OSError:
                return

    def _cut_off(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b'{"meeting_number": 1, "meeting_info_list": [{"meeting')
        self.close_connection = True

    def _close(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _huge(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        piece = b" " * 65536
        try:
            for _ in range(10_000):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Its tests would drown in it."""
