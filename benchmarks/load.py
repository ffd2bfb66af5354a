"""The load: h2load, for HTTP/1.1 and gRPC alike, so that a latency means the same on both doors.

wrk is left out on purpose: it adds the requests that a slow answer kept it from sending to its latencies, and h2load does not.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.doors import Door, Request, WrongAnswer
from benchmarks.process import LOAD_CORE, pinned

MISSING = "h2load is missing: install the package nghttp2-client"

CONNECTIONS = {1: 1, 4: 4, 16: 4, 64: 8}
"""How many connections the callers share over gRPC. HTTP/1.1 has one each."""


class NoAnswer(RuntimeError):
    """Nothing came back while the load lasted."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the callers saw."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float


_LONG, _FEWEST = 0.02, 3
"""Seconds from which on requests are counted, and how many there are at least."""


def available() -> bool:
    """Whether the load generator is installed."""
    return shutil.which("h2load") is not None


def call(
    door: Door,
    port: int,
    request: Request,
    callers: int,
    seconds: float,
    answer: bytes,
    core: int | None = LOAD_CORE,
    each: float = 0.0,
) -> Answered:
    """Load a server for some seconds, from a core.

    `each` is what one request takes, roughly. Where it is long and the caller alone, requests are counted instead of seconds: else
    the last one, which is under way when the time is up, would be worked on but not counted.

    Raises NoAnswer, or WrongAnswer when a request failed or when what came back is not one `answer` a request in size: h2load
    cannot read a gRPC status, but a refused call has no message.
    """
    connections = callers if "--h1" in door.generator else CONNECTIONS[callers]
    counted = callers == 1 and each > _LONG
    span = f"--requests={max(_FEWEST, round(seconds / each))}" if counted else f"--duration={seconds:.0f}"
    with tempfile.TemporaryDirectory(prefix="foretell-load-") as folder:
        log, body = Path(folder) / "log", Path(folder) / "body"
        body.write_bytes(door.frame(request.body))
        shape = [f"--clients={connections}", f"--max-concurrent-streams={callers // connections}", span]
        command = [*pinned(core), "h2load", *shape, "--threads=1", f"--data={body}", f"--log-file={log}", *door.generator]
        command.append(f"http://127.0.0.1:{port}{request.path}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
        if done.returncode:
            raise RuntimeError(f"h2load ended with {done.returncode}: {done.stderr[-500:]}")
        if not log.stat().st_size:
            raise NoAnswer(f"{request.path} answered no request of {callers} callers in {seconds} s")
        latencies = np.loadtxt(log, usecols=2, ndmin=1) / 1000
    requests = check(done.stdout, len(door.frame(answer)), callers)
    p50, p99 = np.percentile(latencies, [50, 99])
    took = latencies.sum() / 1000 if counted else seconds
    return Answered(requests, requests / took, float(p50), float(p99))


def check(printed: str, size: int, callers: int) -> int:
    """How many requests were answered, by what h2load printed. Raises WrongAnswer unless each was answered with `size` bytes."""
    words = r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored.*?status codes: (\d+) 2xx.*?\((\d+)\) data"
    found = re.search(words, printed, re.DOTALL)
    if not found:
        raise RuntimeError(f"h2load printed something new: {printed[-500:]}")
    done, succeeded, failed, errored, good, data = map(int, found.groups())
    beyond = data - done * size  # Answers that were on their way at the end.
    if succeeded != done or failed or errored or not done <= good <= done + callers or not 0 <= beyond <= callers * size:
        raise WrongAnswer(f"{done} requests: {succeeded} succeeded, {data} bytes instead of {size} each: {printed[-500:]}")
    return done
