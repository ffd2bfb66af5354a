"""A REST door that passes requests on and answers otherwise than the server: what the test kit has to notice."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

Twist = Callable[[str, int, Any], tuple[int, Any]]
"""From the path, the status and the document of an answer to another status and document."""


@contextmanager
def disagreeing(url: str, twist: Twist) -> Iterator[str]:
    """The address of a door before the server at `url`."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on("GET")

        def do_POST(self) -> None:
            self._pass_on("POST")

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Tests print nothing."""

        def _pass_on(self, verb: str) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with httpx2.Client(base_url=url, timeout=30) as client:
                response = client.request(verb, self.path, content=body, headers={"content-type": "application/json"})
            status, document = twist(self.path, response.status_code, response.json())
            told = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
