"""A real OpenID issuer on loopback: HTTPS with a CA of its own, discovery, and keys that it rotates."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import trustme
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

CONFIGURATION = "/.well-known/openid-configuration"


class Issuer:
    """`pages` are what it serves: change them at will. `asked` is what was asked for."""

    def __init__(self, port: int) -> None:
        self.address = f"https://localhost:{port}"
        self.pages: dict[str, Any] = {
            CONFIGURATION: {"issuer": self.address, "jwks_uri": f"{self.address}/keys"},
        }
        self.asked: list[str] = []
        self.delay = 0.0
        self.key = self.rotate()

    def rotate(self) -> ECKey:
        """A new key, and only that."""
        self.key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        self.pages["/keys"] = KeySet([self.key]).as_dict(private=False)
        return self.key

    def token(self, key: ECKey | None = None, **changes: Any) -> str:
        key, now = key or self.key, int(time.time())
        base = {"iss": self.address, "aud": "yunhui", "sub": "booker", "exp": now + 600, "roles": ["booker"]}
        return jwt.encode({"alg": "ES256", "kid": key.kid}, base | changes, key)


@contextmanager
def serve(authority: trustme.CA, folder: Path) -> Iterator[Issuer]:
    """`folder` gets the CA as ca.pem; SSL_CERT_FILE makes it trusted."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            time.sleep(issuer.delay)
            page = issuer.pages.get(self.path)
            if isinstance(page, str):
                self.send_response(302)
                self.send_header("Location", page)
                self.end_headers()
                return
            self.send_response(200 if page else 404)
            self.end_headers()
            self.wfile.write(json.dumps(page).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer = Issuer(server.server_port)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield issuer
    server.shutdown()
    thread.join()
    server.server_close()
