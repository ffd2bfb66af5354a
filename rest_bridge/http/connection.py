"""One HTTP/1.1 connection: uvicorn's, with bounds on a request's head and framing, and with the bridge's own refusals.

This module alone imports uvicorn's private classes. `protocol_check` tries it at each start.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sized
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from foretell_lifecycle.request_id import request_id
from rest_bridge.http import head_bounds
from rest_bridge.http.body import WHOLE_ANSWER, WHOLE_BODY
from rest_bridge.json.request_problems import refusal

_FRAMING = 8
"""Framing bytes allowed for each byte of a body: a chunk of one byte takes five."""

PIECE = 16_384
"""Bytes parsed at once. No more is read while requests from them are queued."""

_DISCARD: deque[tuple[bytes, bytes]] = deque(maxlen=0)


class Connection(HttpToolsProtocol):
    """A connection that bounds its caller: size and time of a head, framing around a body, requests read ahead.

    uvicorn has none of these bounds. It also reads on after each response, however many requests are queued.
    """

    head_seconds = head_bounds.HEAD_SECONDS

    draining = False
    """Whether the next response is the connection's last."""

    _timer: asyncio.TimerHandle | None = None
    """Closes the connection if no whole head arrives in time."""

    _in_head = False
    _in_body = False
    _read = 0
    """Bytes in the last piece."""
    _body = 0
    """Bytes of a body in the last piece."""
    _message_ended = False
    """Whether a request ended within the last piece: the rest of the piece belongs to the next one."""
    _head = 0
    """Bytes of the current head, if it did not arrive in one piece."""
    _head_too_large = False
    _framing = 0
    """Bytes since the last body bytes, beyond what may frame those."""

    _plain_head = b""
    """The last head without its upgrade, to be parsed in its place."""

    @property
    def busy(self) -> bool:
        """Whether a request has no response yet."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    @property
    def unsent(self) -> bool:
        """Whether a response is outstanding or not yet taken by the caller."""
        return self.busy or self.transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._ahead: deque[bytes | memoryview] = deque()
        """Pieces that are read and not parsed."""
        self.flow = self._flow = _Flow(transport, self.pipeline, self._resume)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_timer()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves this timer on a connection that is reset.
        self._flow.resume = lambda: None  # Breaks the reference cycle, so that no garbage collection is needed.

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self._ahead and len(data) <= PIECE:
            self._parse(data)
            if self._ahead:
                self._parse_ahead()
            return
        view = memoryview(data)
        self._ahead.extend(view[start : start + PIECE] for start in range(0, len(data), PIECE))
        self._parse_ahead()

    def _resume(self) -> None:
        if self._ahead:
            self.loop.call_soon(self._parse_ahead)  # Later: the caller of this method has not finished its response.
        else:
            FlowControl.resume_reading(self.flow)

    def _parse_ahead(self) -> None:
        while self._ahead and not self.pipeline and not self.transport.is_closing():
            self._parse(self._ahead.popleft())
        if not self._ahead and not self.busy:
            self.flow.resume_reading()

    def _parse(self, data: bytes | memoryview) -> None:
        self._read, self._body, self._message_ended, began_in_body = len(data), 0, False, self._in_body
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            self._refuse(*(head_bounds.UNKNOWN_METHOD if head_bounds.UNKNOWN_METHOD_LINE.search(data) else head_bounds.MALFORMED))
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade as upgrade:
            self._ahead.extendleft((data[upgrade.args[0] :], self._plain_head))
            self._plain_head = b""
        if self._in_head:
            self._bound_head()
            return
        if self._in_body:
            self._bound_framing(began_in_body)
        if self._timer is None and self.cycle is not None and self.cycle.response_complete:
            self._start_timer()  # The data was the rest of a refused body, or a blank line: uvicorn's timer is off now.

    def on_message_begin(self) -> None:
        """See httptools: the first byte of a request."""
        self._in_head = True
        self._stop_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools: the last byte of a head."""
        self._in_head, self._in_body = False, True
        if (self._read > head_bounds.HEAD_BYTES or self._timer is not None) and self._head_so_far() > head_bounds.HEAD_BYTES:
            self._head_too_large = True
            raise ValueError  # Stops the parser; `_parse` calls send_400_response.
        self._stop_timer()
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._plain_head, self._in_body = self._without_upgrade(), False
            return
        super().on_headers_complete()
        self.headers = _DISCARD  # type: ignore[assignment]  # A trailer is no header of the request.

    def on_body(self, body: bytes) -> None:
        """See httptools: a part of a body. uvicorn's own tests each part for a protocol upgrade."""
        self._body += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """See httptools: the last byte of a request. Puts a body that is already whole into the scope."""
        if self._plain_head:
            return
        self._message_ended, self._in_body = True, False
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.more_body = False
        cycle.message_event.set()
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]  # ASGI allows more keys than the type
        scope[WHOLE_BODY] = bytes(cycle.body)
        scope[WHOLE_ANSWER] = partial(self._send_whole, cycle)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's text is in another form
        """Refuse data that is not HTTP, or a head that is too large."""
        self._refuse(*(head_bounds.HEAD_TOO_LARGE if self._head_too_large else head_bounds.MALFORMED))

    def _send_whole(self, cycle: RequestResponseCycle, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        if self.flow.write_paused or cycle.disconnected or cycle.response_started:
            return False
        lines = [b"HTTP/1.1 200 OK\r\n", *[b"%b: %b\r\n" % header for header in headers], b"content-length: %d\r\n" % len(body)]
        if self.draining or not cycle.keep_alive:
            cycle.keep_alive = False
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join((*lines, b"\r\n", body)))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def _bound_head(self) -> None:
        if self._timer is None:
            self._start_timer()
            self._head = self._head_so_far() if self._message_ended else self._read
        else:
            self._head += self._read
        if self._head > head_bounds.HEAD_BYTES:
            self._refuse(*head_bounds.HEAD_TOO_LARGE)

    def _bound_framing(self, began_in_body: bool) -> None:
        if not began_in_body:
            self._framing = 0
            return
        self._framing = max(0, self._framing + self._read - self._body - _FRAMING * self._body)
        if self._framing > head_bounds.HEAD_BYTES:
            self._refuse(*head_bounds.FRAMING_TOO_LARGE)

    def _without_upgrade(self) -> bytes:
        """The head without its `Upgrade` header: a server may ignore an upgrade and answer in HTTP/1.1 (RFC 9110, 7.8).

        The parser reads all bytes behind an upgrade, a body included, as another protocol. It reads this head as a usual one.
        """
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        return b"\r\n".join((line, *(b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"), b"", b""))

    def _head_so_far(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.head_seconds, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        if self.flow.read_paused:  # The rest of the head may be in the kernel's buffer: the delay is ours.
            self._start_timer()
        elif self._in_head:
            self._refuse(*head_bounds.HEAD_TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, status: int, kind: str, msg: str) -> None:
        if self.busy and not self.cycle.more_body:  # Responses keep the order of their requests.
            self.flow.pause_reading()
            self.cycle.on_response = partial(self._refuse, status, kind, msg)
            return
        if self.transport.is_closing():
            return
        response = refusal(status, kind, msg).response()
        head: list[tuple[str, Any]] = [*response.headers.items(), ("x-request-id", request_id(None)), ("connection", "close")]
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in head), "", ""]
        self.transport.write("\r\n".join(lines).encode() + bytes(response.body))
        self.transport.close()


class _Flow(FlowControl):
    """Calls `resume` in place of reading on, and only if no request is queued."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized, resume: Callable[[], None]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline
        self.resume = resume

    def resume_reading(self) -> None:
        """See FlowControl."""
        if self.read_paused and not self._pipeline:
            self.resume()
