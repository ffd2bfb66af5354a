"""One HTTP/1.1 connection: uvicorn's, with bounds on the head of a request, and with our words for what is no HTTP."""

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
from rest_bridge.json.request_problems import refused

WHOLE_BODY = "foretell.body"
"""Where a scope holds the body of a request that had arrived before the application was called."""

WHOLE_ANSWER = "foretell.answer"
"""Where a scope holds a SendWhole."""

SendWhole = Callable[[Iterable[tuple[bytes, bytes]], bytes], bool]
"""Sends status 200 with these headers and this body in one go. False where that must wait, and is for the application to send."""

HEAD_BYTES = 65_536
"""Largest head of a request: its line and its headers, without the blanks around a value."""

_FRAMING = 8
"""Bytes that each byte of a body may cost to frame: a chunk of a single byte costs five."""

PIECE = 16_384
"""Bytes that are parsed at once. While requests from them wait for their turn, nothing further is read."""

HEAD_SECONDS = 10.0
"""Longest time that a head may take to arrive; a connection that says nothing is given up as well."""

_OK = b"HTTP/1.1 200 OK\r\n"

_NOWHERE: deque[tuple[bytes, bytes]] = deque(maxlen=0)

# Status, type and text of what is refused before it is a request.
MALFORMED = 400, "malformed_request", "this is not HTTP/1.1"
TOO_LARGE = 431, "head_too_large", f"the line and the headers of a request must be at most {HEAD_BYTES} bytes"
TOO_LARGE_BESIDE = 431, "framing_too_large", f"what frames or follows the chunks of a body must be at most {HEAD_BYTES} bytes"
TOO_SLOW = 408, "head_too_slow", f"the line and the headers of a request must arrive within {HEAD_SECONDS:g} s"


class Connection(HttpToolsProtocol):
    """uvicorn bounds neither the size of a head nor the time it takes, nor what comes beside a body in chunks.

    Nor does it bound how many requests are read ahead: it reads again with each answer, however many wait for their turn.
    """

    _waiting: asyncio.TimerHandle | None = None
    _in_head = False
    _read = 0
    _behind = False
    _head = 0
    _head_too_large = False
    _in_body = False
    _body = 0
    """Bytes of the body among those that were read last."""
    _beside = 0
    """Bytes since the last ones of the body that were none of it, beyond what may frame it."""

    _plain = b""
    """The head that is to be read instead of the one that was read last."""

    draining = False
    """Whether each answer is the last of its connection."""

    @property
    def busy(self) -> bool:
        """Whether a request waits for its answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    @property
    def owing(self) -> bool:
        """Whether its caller has not been sent all that was asked for."""
        return self.busy or self.transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._ahead: deque[bytes | memoryview] = deque()
        """What has come and is still to be parsed."""
        self.flow = self._flow = _Flow(transport, self.pipeline, self._read_on)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_waiting()
        super().connection_lost(exc)
        self._flow.read_on = _nothing_more  # It holds this connection: the two would wait for the garbage collector together.

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self._ahead and len(data) <= PIECE:
            self._parse(data)
            if self._ahead:
                self._go_on_ahead()
            return
        view = memoryview(data)
        self._ahead.extend(view[start : start + PIECE] for start in range(0, len(data), PIECE))
        self._go_on_ahead()

    def _read_on(self) -> None:
        """No request waits for its turn any more, but one may have its answer only just now."""
        if self._ahead:
            self.loop.call_soon(self._go_on_ahead)
        else:
            FlowControl.resume_reading(self.flow)

    def _go_on_ahead(self) -> None:
        while self._ahead and not self.pipeline and not self.transport.is_closing():
            self._parse(self._ahead.popleft())
        if not self._ahead and not self.busy:
            self.flow.resume_reading()

    def _parse(self, data: bytes | memoryview) -> None:
        self._read, self._body, self._behind, in_body = len(data), 0, False, self._in_body
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade as upgrade:
            self._ahead.extendleft((data[upgrade.args[0] :], self._plain))
            self._plain = b""
        if self._in_head:
            self._go_on_with_head()
            return
        if self._in_body:
            self._go_on_with_body(in_body)
        if self._waiting is None and self.cycle is not None and self.cycle.response_complete:
            self._wait()  # What was read is the rest of a body that nobody needs, or a blank line.

    def on_message_begin(self) -> None:
        """See httptools: the first byte of a request."""
        self._in_head = True
        self._stop_waiting()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools: the last byte of a head."""
        self._in_head, self._in_body = False, True
        if (self._read > HEAD_BYTES or self._waiting is not None) and self._head_so_far() > HEAD_BYTES:
            self._head_too_large = True
            raise ValueError  # The parser stops, and uvicorn calls send_400_response.
        self._stop_waiting()
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._plain, self._in_body = self._without_upgrade(), False
            return
        super().on_headers_complete()
        self.headers = _NOWHERE  # type: ignore[assignment]  # What comes behind a body is no header of the request.

    def on_body(self, body: bytes) -> None:
        """See httptools: a part of a body. As in uvicorn, which asks of each whether it is of another protocol."""
        self._body += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """See httptools: the last byte of a request. What has come whole need not be asked for."""
        if self._plain:
            return
        self._behind, self._in_body = True, False  # What is read with it belongs to the next request.
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.more_body = False
        cycle.message_event.set()
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]  # a scope may say more
        scope[WHOLE_BODY] = bytes(cycle.body)
        scope[WHOLE_ANSWER] = partial(self._answer, cycle)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words are not ours
        """Refuse what is no HTTP, or has too large a head."""
        self._refuse(*(TOO_LARGE if self._head_too_large else MALFORMED))

    def _answer(self, cycle: RequestResponseCycle, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        if self.flow.write_paused or cycle.disconnected or cycle.response_started:
            return False
        lines = [_OK, *[b"%b: %b\r\n" % header for header in headers], b"content-length: %d\r\n" % len(body)]
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

    def _go_on_with_head(self) -> None:
        if self._waiting is None:
            self._wait()
            self._head = self._head_so_far() if self._behind else self._read
        else:
            self._head += self._read
        if self._head > HEAD_BYTES:
            self._refuse(*TOO_LARGE)

    def _go_on_with_body(self, begun: bool) -> None:
        """`begun` says whether all that was read came behind the head."""
        if not begun:
            self._beside = 0
            return
        self._beside = max(0, self._beside + self._read - self._body - _FRAMING * self._body)
        if self._beside > HEAD_BYTES:
            self._refuse(*TOO_LARGE_BESIDE)

    def _without_upgrade(self) -> bytes:
        """The head of a request that would rather speak another protocol: it may be answered in this one all the same.

        The parser takes what follows such a head for the other protocol, a body included; this it reads as any other.
        """
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        return b"\r\n".join((line, *(b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"), b"", b""))

    def _head_so_far(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _wait(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        if self.flow.read_paused:  # The rest of it may have come, and waits to be read.
            self._wait()
        elif self._in_head:
            self._refuse(*TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, status: int, kind: str, msg: str) -> None:
        if self.busy and not self.cycle.more_body:  # Answers keep the order of their requests.
            self.flow.pause_reading()
            self.cycle.on_response = partial(self._refuse, status, kind, msg)
            return
        if self.transport.is_closing():
            return
        response = refused(status, kind, msg).response()
        head: list[tuple[str, Any]] = [*response.headers.items(), ("x-request-id", request_id(None)), ("connection", "close")]
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in head), "", ""]
        self.transport.write("\r\n".join(lines).encode() + bytes(response.body))
        self.transport.close()


class _Flow(FlowControl):
    """Reads on only where no request waits for its turn."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized, read_on: Callable[[], None]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline
        self.read_on = read_on

    def resume_reading(self) -> None:
        """See FlowControl."""
        if self.read_paused and not self._pipeline:
            self.read_on()


def _nothing_more() -> None:
    """What a connection that is lost reads on."""
