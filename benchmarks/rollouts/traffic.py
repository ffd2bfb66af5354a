"""The load of this benchmark: callers over gRPC and REST at once, each of whose requests is timed and checked."""

import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import load
from benchmarks.protocols import Request, WireProtocol

GRPC_CALLERS, REST_CALLERS = 8, 4
GRPC_CONNECTIONS = 4

_WARM_UP = 0.3
"""Seconds at the beginning that do not count, in which connections are made."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One protocol of the server, and the load on it."""

    door: WireProtocol
    port: int
    request: Request
    answer: bytes
    """Every answer must have its size."""
    callers: int
    connections: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The requests of one window."""

    starts: NDArray[np.float64]
    """Seconds since the epoch."""
    latencies: NDArray[np.float64]
    """Milliseconds."""

    def during(self, start: float, end: float) -> "Sample":
        """The requests under way between two times, in seconds since the epoch."""
        within = (self.starts + self.latencies / 1000 >= start) & (self.starts <= end)
        return Sample(self.starts[within], self.latencies[within])


def window(streams: tuple[Stream, ...], seconds: int) -> Sample:
    """Send load for some seconds. Raises WrongAnswer if one request fails or has an answer of another size."""
    with ThreadPoolExecutor(len(streams)) as pool:
        samples = list(pool.map(lambda stream: _call(stream, seconds), streams))
    sample = joined(samples)
    later = sample.starts >= sample.starts.min() + _WARM_UP
    return Sample(sample.starts[later], sample.latencies[later])


def joined(samples: list[Sample]) -> Sample:
    """One sample of all requests."""
    starts = np.concatenate([sample.starts for sample in samples])
    return Sample(starts, np.concatenate([sample.latencies for sample in samples]))


def _call(stream: Stream, seconds: int) -> Sample:
    with tempfile.TemporaryDirectory(prefix="foretell-load-") as folder:
        log, body = Path(folder) / "log", Path(folder) / "body"
        body.write_bytes(stream.door.frame(stream.request.body))
        shape = [f"--clients={stream.connections}", f"--max-concurrent-streams={stream.callers // stream.connections}"]
        command = ["h2load", *shape, f"--duration={seconds}", "--threads=1", f"--data={body}", f"--log-file={log}"]
        command += [*stream.door.generator, f"http://127.0.0.1:{stream.port}{stream.request.path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
        if done.returncode:
            raise RuntimeError(f"h2load ended with {done.returncode}: {done.stderr[-500:]}")
        load.check(done.stdout, len(stream.door.frame(stream.answer)), stream.callers)
        starts, _status, latencies = np.loadtxt(log, ndmin=2).T
    return Sample(starts / 1e6, latencies / 1000)
