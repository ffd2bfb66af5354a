"""The process that forks candidates, as the server sees it: started when it is needed, gone when it was not for a while.

Each candidate gets a process of its own, without the second or two in which a new one imports scikit-learn: what serves would miss
that time.
"""

import json
import socket
import subprocess
import sys
import threading
from typing import Any, Self


class _Running:
    """The process, once it was started."""

    def __init__(self, line: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self._line = line
        self._process = process

    @classmethod
    def start(cls) -> Self:
        """Raises OSError where it cannot be."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "grpc_server.forking", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,  # What a model prints is log: whoever reads the server's stdout expects other things.
                pass_fds=[theirs.fileno()],
                process_group=0,  # No session of its own: Linux would give that as much time as the server's.
            )
        return cls(ours, process)

    def ask(self, message: bytes, descriptors: list[int]) -> int:
        """Its id. Raises OSError where it has left: see forking.py."""
        socket.send_fds(self._line, [message], descriptors)
        return self._process.pid

    def end(self) -> None:
        """Kill it: it holds nothing that anybody would miss."""
        self._line.close()
        self._process.kill()
        self._process.wait()


class ForkServer:
    """Forks candidates. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def fork(self, facts: dict[str, Any], told: socket.socket, lifeline: socket.socket) -> int:
        """Have a candidate run with these facts and sockets; the id of the process that forks it. Raises OSError where none can."""
        message, descriptors = json.dumps(facts).encode(), [told.fileno(), lifeline.fileno()]
        with self._lock:
            if self._running is not None:
                try:
                    return self._running.ask(message, descriptors)
                except OSError:
                    self._end()
            self._running = _Running.start()
            return self._running.ask(message, descriptors)

    def close(self) -> None:
        """End the process, until it is needed again. Candidates are ended by those who wait for them."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._running is not None:
            self._running.end()
            self._running = None
