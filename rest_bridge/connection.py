"""One HTTP/1.1 connection: uvicorn's, with bounds on the head of a request, and with our words for what is no HTTP."""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lifecycle.request_id import request_id
from rest_bridge.problem import refused

HEAD_BYTES = 65_536
"""Largest head of a request: its line and its headers."""

HEAD_SECONDS = 10.0
"""Longest time that a head may take to arrive; a connection that says nothing is given up as well."""

_MALFORMED = 400, "malformed_request", "this is not HTTP/1.1"
_TOO_LARGE = 431, "head_too_large", f"the line and the headers of a request must be at most {HEAD_BYTES} bytes"
_TOO_SLOW = 408, "head_too_slow", f"the line and the headers of a request must arrive within {HEAD_SECONDS:g} s"


class Connection(HttpToolsProtocol):
    """uvicorn bounds neither the size of a head nor the time it takes."""

    _waiting: asyncio.TimerHandle | None = None
    _in_head = False
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        self._head = self._head + len(data) if self._in_head else 0
        if self._head > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(*_TOO_LARGE)

    def on_message_begin(self) -> None:
        """See httptools: the first byte of a request."""
        self._in_head = True
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools: the last byte of a head."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words are not ours
        """Refuse what is no HTTP."""
        self._refuse(*_MALFORMED)

    def _wait(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        if self._in_head:
            self._refuse(*_TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, status: int, kind: str, msg: str) -> None:
        response = refused(status, kind, msg).response()
        head: list[tuple[str, Any]] = [*response.headers.items(), ("x-request-id", request_id(None)), ("connection", "close")]
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in head), "", ""]
        self.transport.write("\r\n".join(lines).encode() + bytes(response.body))
        self.transport.close()
