"""The load of this benchmark: callers over gRPC and REST at once, each of whose requests is timed and checked."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

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

    starts: load.Numbers
    """Seconds since the epoch."""
    latencies: load.Numbers
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
    shape = stream.callers, stream.connections
    _, *sample = load.h2load(stream.door, stream.port, stream.request, *shape, f"--duration={seconds}", stream.answer, None)
    return Sample(*sample)
