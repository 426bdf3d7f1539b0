"""
A product's own web server: pages under a strict policy that embed charts, and a back end that mints tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

STRICT = (
    "default-src 'none'; script-src 'self' {server}; style-src 'self'; connect-src 'self' {server};"
    " frame-src {server}; img-src 'self'; base-uri 'none'; require-trusted-types-for 'script'"
)


class Host:
    """
    The server; `pages` are its files by path, `tokens` returns what `/api/token` says.
    """

    def __init__(self) -> None:
        """
        Listen on a free port.
        """
        self.pages: dict[str, tuple[str, str]] = {}
        self.policy = ""
        self.minted = 0
        self.tokens: Callable[[], str] = str
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """
        Serve.
        """
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """
        Stop.
        """
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, text: str, media: str = "text/html") -> str:
        """
        Serve a page; returns its address.
        """
        self.pages[path] = (text, media)
        return self.origin + path

    def serve_for(self, server: str, tokens: Callable[[], str]) -> None:
        """
        Embed charts of a server, with a policy that allows nothing but its own files and that server's.
        """
        self.policy = STRICT.format(server=server)
        self.tokens = tokens
        self.minted = 0

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/api/token":
                    host.minted += 1
                    self._answer(200, host.tokens(), "text/plain")
                elif self.path in host.pages:
                    self._answer(200, *host.pages[self.path])
                else:
                    self._answer(404, "", "text/plain")

            def _answer(self, status: int, text: str, media: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", f"{media}; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                if host.policy:
                    self.send_header("Content-Security-Policy", host.policy)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """
                Say nothing.
                """

        return Handler
