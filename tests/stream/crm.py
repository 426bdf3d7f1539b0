"""
A system outside that knows tenants, over HTTP on loopback: it may be slow, fail, hang up, or be away for a while.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


class Crm:
    """
    `/tenants/<id>` answers for one, `/tenants?ids=a,b` for several. `mode` says how it behaves.
    """

    def __init__(self, tenants: Mapping[str, Any], token: str = "") -> None:
        """
        Listen on a free port; where there is a `token`, only who brings it as a bearer is answered.
        """
        self.tenants = dict(tenants)
        self.token = token
        self.mode = "answer"
        self.gone = False
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self._server = self._listen(0)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.away()

    @property
    def url(self) -> str:
        """
        Return where it listens.
        """
        return f"http://127.0.0.1:{self.port}"

    def away(self) -> None:
        """
        Stop listening: connections are refused, and those that are open are hung up.
        """
        self.gone = True
        self._server.shutdown()
        self._server.server_close()

    def back(self) -> None:
        """
        Listen again, on the same port.
        """
        self.gone = False
        self._server = self._listen(self.port)

    def _listen(self, port: int) -> ThreadingHTTPServer:
        crm = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                crm.answer(self)

            def log_message(self, *_: object) -> None:
                """
                Keep quiet.
                """

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """
                Keep quiet about who did not wait for an answer.
                """

        server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """
        Answer one request, as `mode` says: a number is a status, `slow` takes a second, `drop` hangs up.
        """
        self.asked.append(request.path)
        if self.mode == "drop" or self.gone:
            request.close_connection = True
            return
        if self.mode == "slow":
            time.sleep(1)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            self._send(request, 401, {})
        elif self.mode.isdigit():
            self._send(request, int(self.mode), {})
        elif self.mode == "garbage":
            self._send(request, 200, ["not", "an", "object"])
        else:
            self._find(request)

    def _find(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        if parts.query:
            ids = parse_qs(parts.query)["ids"][0].split(",")
            self._send(request, 200, {one: self.tenants[one] for one in ids if one in self.tenants})
            return
        tenant = unquote(parts.path.rpartition("/")[2])
        if tenant in self.broken:
            self._send(request, 500, {})
        elif tenant in self.tenants:
            self._send(request, 200, {"id": tenant, "nested": {"a": 1}, **(self.tenants[tenant] or {})})
        else:
            self._send(request, 404, {"error": "no such tenant"})

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        if status == 302:
            request.send_header("Location", "/tenants/acme")
        request.end_headers()
        request.wfile.write(content)
