"""A shadow version: it answers copies of the calls that production has answered, and the two answers are compared."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from foretell_contract.service import Method
from grpc_server.calls.batcher import Job
from grpc_server.calls.call import Call
from grpc_server.calls.handler import parse
from grpc_server.calls.predictor import Observer, invalid_answer
from grpc_server.calls.refusal import Draining, Refusal
from grpc_server.loading.version import Model, Version
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.mixed_rows import NumberRows, RequestRows
from grpc_server.shadow.readable_outputs import LABELS, ReadableOutputs, Value, kind_of, values
from grpc_server.shadow.shadow_log import Compared, Failed, Head, ShadowLog

logger = logging.getLogger(__name__)

_RESTS_PER_RUN = 200
"""Seconds of rest for each second of a run while the server uses a whole core.

A run slows the calls that meet it. A shadow that runs for 0.5 % of the time meets fewer than one call in a hundred, so p99 stays.
"""

_MOST_QUEUED = 64
"""Calls that wait for the shadow; further ones are skipped."""

_MOST_BYTES = 4 * 1024 * 1024
"""Bytes of the requests that wait. A request that is larger waits alone."""

_MOST_ROWS = 256
"""Rows of one call that are compared: the first ones."""

_FLUSH_SECONDS = 1.0
"""Longest time for which compared answers wait to be written."""


class DutyCycle:
    """Turns the length of a run into the rest after it. For one thread.

    The server is as busy as the CPU time that its process has used per second since the run before: 0 is idle, 1 is a whole core.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time) -> None:
        """Both count seconds: `clock` all of them, `used` those for which the process had a core."""
        self._clock, self._used = clock, used
        self._at, self._used_before = clock(), used()

    def rest(self, run: float) -> float:
        """Seconds to rest after a run of `run` seconds."""
        at, used = self._clock(), self._used()
        busy = (used - self._used_before) / max(at - self._at, 1e-6)
        self._at, self._used_before = at, used
        return run * _RESTS_PER_RUN * min(busy, 1.0)


@dataclass(slots=True)
class ShadowComparison:
    """How the answers of a shadow compare with those of production."""

    compared: int = 0
    """Rows."""
    agreeing: int = 0
    """Rows with equal labels; if a classifier gives none, the most probable class is its label."""
    labelled: int = 0
    """Rows with labels: only these can agree."""
    largest_shift: float = 0.0
    """Largest difference of a number, such as a probability."""
    total_shift: float = 0.0
    """Sum over the rows of the largest difference in each."""
    seconds: float = 0.0
    """Time of all answers of the shadow."""
    answered: int = 0
    """Calls."""
    failed: int = 0
    """Calls that production answered and the shadow refused."""
    left_out: int = 0
    """Calls that were skipped because the queue was full."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A call that production has answered."""

    path: str
    request: bytes
    request_id: str
    production: Version
    outputs: NumberRows
    seconds: float
    """From the call to production's answer."""


class Shadow:
    """One shadow version, with a thread that sends it one call after the other and rests in between.

    Costs a call of production one entry in a queue. The version runs in a worker process of low priority. Thread-safe.
    """

    def __init__(self, version: Version, log: ShadowLog, *, features: bool) -> None:
        """`features` is whether the log holds the rows as well as the answers."""
        self.version = version
        self.comparison = ShadowComparison()
        self._log = log
        self._features = features
        self._methods = {method.path: (model, method) for model in version.models for method in model.service.methods}
        self._pairings: dict[str, _Pairing] = {}
        """By the path of the method, for the production version that answered last."""
        self._queue: deque[_Copy] = deque()
        self._bytes = 0
        """Of the requests in the queue."""
        self._logged_left_out = 0
        """Skipped calls that the log counts already."""
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"shadow of {version.name}", daemon=True)
        self._thread.start()

    def watch(self, path: str, request: bytes, call: Call, production: Version) -> Observer:
        """The function that queues a copy of the call when it gets the outputs of `production`."""
        start = time.perf_counter()

        def queue(outputs: NumberRows) -> None:
            copy = _Copy(path, request, call.request_id, production, outputs, time.perf_counter() - start)
            with self._changed:
                if self._has_room(request):
                    self._queue.append(copy)
                    self._bytes += len(request)
                    self._changed.notify()
                else:
                    self.comparison.left_out += 1

        return queue

    def _has_room(self, request: bytes) -> bool:
        return not self._queue or (len(self._queue) < _MOST_QUEUED and self._bytes + len(request) <= _MOST_BYTES)

    def close(self) -> None:
        """Stop after the call under way. The caller closes the version."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """After `close`: wait until the comparisons are on disk, at most so many seconds."""
        self._thread.join(seconds)

    def _run(self) -> None:
        cycle, flushed = DutyCycle(), time.monotonic()
        try:
            while not self._closed.is_set():
                copy = self._next()
                if copy is not None:
                    start = time.monotonic()
                    self._compare(copy)
                    self._closed.wait(cycle.rest(time.monotonic() - start))
                if time.monotonic() - flushed > _FLUSH_SECONDS:
                    self._log.flush()
                    flushed = time.monotonic()
        except Draining:
            pass  # The version is closed.
        finally:
            self._log.flush()

    def _next(self) -> _Copy | None:
        """Wait for the next call; None after `close`, or after a second without one while there is something to write."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed.is_set(), _FLUSH_SECONDS if self._log.pending else None)
            if not self._queue or self._closed.is_set():
                return None
            copy = self._queue.popleft()
            self._bytes -= len(copy.request)
            return copy

    def _compare(self, copy: _Copy) -> None:
        """Raises Draining if the version is closed."""
        pairing = self._pairing(copy)
        try:
            self._log.append(pairing.head, self._compared(copy, pairing))
        except Draining:
            raise
        except Exception as error:  # One call that cannot be compared must not end the comparison.
            if not isinstance(error, Refusal):
                logger.exception("request %s cannot be compared", copy.request_id)
            self.comparison.failed += 1
            reason = error.reason if isinstance(error, Refusal) else "INTERNAL"
            self._log.append(pairing.head, Failed(time.time(), reason, self._take_skipped()))

    def _compared(self, copy: _Copy, pairing: "_Pairing") -> Compared:
        start = time.perf_counter()
        binding = pairing.model.bindings[pairing.method.name]
        rows = binding.fast_rows(copy.request)
        if rows is None:
            rows = binding.model_rows(binding.row_messages(parse(pairing.method.request, copy.request)))
        whole = isinstance(rows, tuple) or len(rows) <= _MOST_ROWS
        first = rows if isinstance(rows, tuple) or whole else rows[:_MOST_ROWS]
        outputs = _outputs(pairing.model, binding, first, copy.request_id)
        seconds = time.perf_counter() - start
        self.comparison.answered += 1
        self.comparison.seconds += seconds
        production, shadow = pairing.rows(copy.outputs if whole else copy.outputs[:_MOST_ROWS], outputs)
        for one, other in zip(production, shadow, strict=True):
            self._count(pairing, one, other)
        return Compared(
            time.time(),
            copy.request_id,
            production,
            shadow,
            copy.seconds if whole else None,
            seconds if whole else None,
            values(first) if self._features else None,
            self._take_skipped(),
        )

    def _pairing(self, copy: _Copy) -> "_Pairing":
        found = self._pairings.get(copy.path)
        if found is None or found.production is not copy.production:
            found = self._pairings[copy.path] = _Pairing(copy.production, *self._methods[copy.path])
        return found

    def _take_skipped(self) -> int:
        """Calls skipped since the last line of the log."""
        before, self._logged_left_out = self._logged_left_out, self.comparison.left_out
        return self._logged_left_out - before

    def _count(self, pairing: "_Pairing", production: list[Value], shadow: list[Value]) -> None:
        numbers = zip(production[pairing.labels :], shadow[pairing.labels :], strict=True)
        shift = max((abs(float(one) - float(other)) for one, other in numbers), default=0.0)
        self.comparison.compared += 1
        self.comparison.labelled += pairing.labels > 0
        self.comparison.agreeing += pairing.labels > 0 and production[: pairing.labels] == shadow[: pairing.labels]
        self.comparison.total_shift += shift
        self.comparison.largest_shift = max(self.comparison.largest_shift, shift)


class _Pairing:
    """The outputs that production and the shadow both have in the answers of one method."""

    def __init__(self, production: Version, model: Model, method: Method) -> None:
        self.production, self.model, self.method = production, model, method
        answering = {each.service.full_name: each for each in production.models}[model.service.full_name]
        bindings = [each.bindings[method.name] for each in (answering, model)]
        self._production, self._shadow = (ReadableOutputs(binding.outputs, binding.targets) for binding in bindings)
        self._names = [name for name in self._production.names if name in self._shadow.names]
        self.labels = sum(kind_of(name) in LABELS for name in self._names)
        """How many of them are labels; they come first."""
        self.head = Head(production.version, model.version, model.manifest.columns, tuple(self._names))

    def rows(self, production: Any, shadow: Any) -> tuple[list[list[Value]], list[list[Value]]]:
        """The outputs of both for each row, in the same order."""
        return self._production.rows(production, self._names), self._shadow.rows(shadow, self._names)


def _outputs(model: Model, binding: MethodBinding, rows: RequestRows, request_id: str) -> NumberRows:
    """The outputs of a model for rows; blocks. Raises Refusal, such as Draining if the model is closed."""
    answer: SimpleQueue[tuple[NumberRows | Refusal, bool]] = SimpleQueue()
    model.batcher.submit(Job(rows, Call(request_id, None), lambda *outcome: answer.put(outcome), lambda: None))
    outcome, sure = answer.get()  # A run that hangs is ended by `worker_seconds`.
    if isinstance(outcome, Refusal):
        raise outcome
    if not sure and (refusal := invalid_answer(binding, outcome)):
        raise refusal
    return outcome
