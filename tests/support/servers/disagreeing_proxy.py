"""An HTTP proxy that changes a server's responses, for checks that must notice it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

Change = Callable[[str, int, Any], tuple[int, Any]]
"""From the path, status and document of a response to another status and document."""


@contextmanager
def proxy(url: str, change: Change) -> Iterator[str]:
    """The address of a proxy for the server at `url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._forward("GET")

        def do_POST(self) -> None:
            self._forward("POST")

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Logs nothing."""

        def _forward(self, verb: str) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with httpx2.Client(base_url=url, timeout=30) as client:
                response = client.request(verb, self.path, content=body, headers={"content-type": "application/json"})
            status, document = change(self.path, response.status_code, response.json())
            changed = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(changed)))
            self.end_headers()
            self.wfile.write(changed)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
