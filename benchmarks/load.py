"""Loads a server with h2load, for HTTP/1.1 and gRPC, so that latencies are comparable.

wrk is unsuitable: it corrects latencies for requests that a slow answer delayed, which h2load does not.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.process import LOAD_CORE, pinned
from benchmarks.protocols import Request, WireProtocol, WrongAnswer

Numbers = NDArray[np.float64]
MISSING = "h2load is missing: install the package nghttp2-client"

CONNECTIONS = {1: 1, 4: 4, 16: 4, 64: 8}
"""Connections that the callers share over gRPC; over HTTP/1.1 each has its own."""


class NoAnswer(RuntimeError):
    """No request was answered during the load."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Rates and latencies of the answered requests."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float


_LONG, _FEWEST = 0.02, 3
"""From this many seconds a request, a number of requests is sent instead of a duration; the least number."""


def available() -> bool:
    """Whether the load generator is installed."""
    return shutil.which("h2load") is not None


def call(
    protocol: WireProtocol,
    port: int,
    request: Request,
    callers: int,
    seconds: float,
    answer: bytes,
    core: int | None = LOAD_CORE,
    each: float = 0.0,
) -> Answered:
    """Load a server for some seconds from one core.

    `each` is the approximate duration of a request in seconds. If it is long, a number of requests is sent instead, because the
    server would also work on requests that end too late to count.

    Raises NoAnswer; and WrongAnswer if a request failed, or if the received bytes are not one `answer` per request: h2load cannot
    read a gRPC status, but a refused call has no message.
    """
    connections = callers if "--h1" in protocol.generator else CONNECTIONS[callers]
    counted = each > _LONG
    span = f"--requests={max(_FEWEST * callers, round(seconds / each))}" if counted else f"--duration={seconds:.0f}"
    requests, starts, latencies = h2load(protocol, port, request, callers, connections, span, answer, core)
    p50, p99 = np.percentile(latencies, [50, 99])
    took = (starts + latencies / 1000).max() - starts.min() if counted else seconds
    return Answered(requests, requests / took, float(p50), float(p99))


def h2load(
    protocol: WireProtocol, port: int, request: Request, callers: int, connections: int, span: str, answer: bytes, core: int | None
) -> tuple[int, Numbers, Numbers]:
    """The number of requests, the time at which each began in seconds, and what it took in milliseconds. Raises as `call`."""
    with tempfile.TemporaryDirectory(prefix="foretell-load-") as folder:
        log, body = Path(folder) / "log", Path(folder) / "body"
        body.write_bytes(protocol.frame(request.body))
        shape = [f"--clients={connections}", f"--max-concurrent-streams={callers // connections}", span]
        command = [*pinned(core), "h2load", *shape, "--threads=1", f"--data={body}", f"--log-file={log}", *protocol.generator]
        command.append(f"http://127.0.0.1:{port}{request.path}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode:
            raise RuntimeError(f"h2load ended with {done.returncode}: {done.stderr[-500:]}")
        if not log.stat().st_size:
            raise NoAnswer(f"{request.path} answered no request of {callers} callers: {span}")
        starts, _status, latencies = np.loadtxt(log, ndmin=2).T
    return check(done.stdout, len(protocol.frame(answer)), callers), starts / 1e6, latencies / 1000


def check(printed: str, size: int, callers: int) -> int:
    """Number of answered requests in the output of h2load. Raises WrongAnswer unless each answer has `size` bytes."""
    words = r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored.*?status codes: (\d+) 2xx.*?\((\d+)\) data"
    found = re.search(words, printed, re.DOTALL)
    if not found:
        raise RuntimeError(f"cannot parse the output of h2load: {printed[-500:]}")
    done, succeeded, failed, errored, good, data = map(int, found.groups())
    beyond = data - done * size  # Bytes of answers that arrived partly.
    if succeeded != done or failed or errored or not done <= good <= done + callers or not 0 <= beyond <= callers * size:
        raise WrongAnswer(f"{done} requests: {succeeded} succeeded, {data} bytes instead of {size} each: {printed[-500:]}")
    return done
