"""A version that is asked what production was asked, once production has answered, and answers nobody."""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from foretell_contract.service import Method
from grpc_server.calls.batcher import Job
from grpc_server.calls.call import Call
from grpc_server.calls.handler import parse
from grpc_server.calls.predictor import Observer
from grpc_server.calls.refusal import DeadlinePassed, Draining, Refusal
from grpc_server.loading.model import Model
from grpc_server.loading.version import Version
from grpc_server.rows.mixed_rows import NumberRows, RequestRows
from grpc_server.shadow.readable_outputs import LABELS, Reading, Value, kind_of, values
from grpc_server.shadow.shadow_comparison import ShadowComparison
from grpc_server.shadow.shadow_log import Compared, Failed, Head, ShadowLog
from grpc_server.workers.machine import Machine

logger = logging.getLogger(__name__)

_MOST_WAITING = 64
"""Calls that wait for the shadow; what comes while so many do is left out."""

_MOST_BYTES = 4 * 1024 * 1024
"""That they may hold together. One that is larger waits alone."""

_MOST_ROWS = 256
"""Rows of one call that are compared: the first ones."""

_SHARE, _BUSY_SHARE = 0.05, 0.001
"""Of the interpreter's time that comparing may take, and the same while the machine is busy: calls that come meanwhile wait for it,
and no more than one in a hundred should."""

_SECONDS = 86_400.0
"""Longest time that one answer is waited for: a run that hangs is ended before, by `worker_seconds`."""

_FLUSH_SECONDS = 1.0
"""Longest time for which pairs wait to be written."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call that production has answered."""

    path: str
    request: bytes
    request_id: str
    production: Version
    outputs: NumberRows
    seconds: float
    """Which production took."""


class Shadow:
    """One version apart, with a thread that asks it one call after the other.

    It costs the calls of production a note in a queue. The version runs in a worker process that stands back behind all others.
    """

    def __init__(self, version: Version, log: ShadowLog, *, features: bool) -> None:
        """`features` is whether the log is to hold the rows as well as the answers."""
        self.version = version
        self.comparison = ShadowComparison()
        self._machine = Machine()
        self._log = log
        self._features = features
        self._methods = {method.path: (model, method) for model in version.models for method in model.service.methods}
        self._pairings: dict[str, _Pairing] = {}
        """By the path of the method: of the production that answered last."""
        self._waiting: deque[_Asked] = deque()
        self._bytes = 0
        """Of the requests that wait."""
        self._skipped = 0
        """Calls left out since the last line of the log."""
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"shadow of {version.name}", daemon=True)
        self._thread.start()

    def watch(self, path: str, request: bytes, call: Call, production: Version) -> Observer | None:
        """Has the shadow asked the same once `production` has answered the call, unless it has enough to do."""
        with self._changed:
            if self._is_full(request):
                return None
        start = time.perf_counter()

        def seen(outputs: NumberRows) -> None:
            seconds = time.perf_counter() - start
            with self._changed:
                if not self._is_full(request):
                    self._waiting.append(_Asked(path, request, call.request_id, production, outputs, seconds))
                    self._bytes += len(request)
                    self._changed.notify()

        return seen

    def _is_full(self, request: bytes) -> bool:
        """Whether the call is to be left out, which is then counted."""
        full = len(self._waiting) >= _MOST_WAITING or bool(self._waiting and self._bytes + len(request) > _MOST_BYTES)
        self.comparison.left_out += full
        self._skipped += full
        return full

    def close(self) -> None:
        """Ask nothing more. The version is left to who made it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Once it is closed: until what was compared is on the disk."""
        self._thread.join(seconds)

    def _run(self) -> None:
        written = time.monotonic()
        try:
            while not self._closed:
                asked = self._next()
                if asked is not None:
                    used = time.thread_time()
                    self._compare(asked)
                    share = _SHARE if self._machine.is_free() else _BUSY_SHARE
                    self._rest((time.thread_time() - used) * (1 / share - 1))
                if self._log.pending and time.monotonic() - written > _FLUSH_SECONDS:
                    self._log.flush()
                    written = time.monotonic()
        except Draining:
            pass  # The version goes.
        finally:
            self._log.close()

    def _next(self) -> _Asked | None:
        """The call to compare; None where none has come for a while."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, _FLUSH_SECONDS if self._log.pending else None)
            if not self._waiting or self._closed:
                return None
            asked = self._waiting.popleft()
            self._bytes -= len(asked.request)
            return asked

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def _compare(self, asked: _Asked) -> None:
        """Raises Draining where the version takes no more."""
        model, method = self._methods[asked.path]
        pairing = self._pairing(asked)
        try:
            self._answer(asked, model, method, pairing)
        except Draining:
            raise
        except Exception as error:  # One call that cannot be compared must not end the comparison.
            if not isinstance(error, Refusal):
                logger.exception("request %s cannot be compared", asked.request_id)
            self.comparison.failed += 1
            reason = error.reason if isinstance(error, Refusal) else "INTERNAL"
            self._log.note(pairing.head, Failed(time.time(), reason, self._take_skipped()))

    def _answer(self, asked: _Asked, model: Model, method: Method, pairing: "_Pairing") -> None:
        start, paused = time.perf_counter(), _paused(model)
        binding = model.bindings[method.name]
        rows = binding.fast_rows(asked.request)
        if rows is None:
            rows = binding.model_rows(binding.row_messages(parse(method.request, asked.request)))
        whole = isinstance(rows, tuple) or len(rows) <= _MOST_ROWS
        first = rows if isinstance(rows, tuple) or whole else rows[:_MOST_ROWS]
        outputs = _run(model, first, asked.request_id)
        seconds = time.perf_counter() - start - (_paused(model) - paused)
        self.comparison.answered += 1
        self.comparison.seconds += seconds
        production, shadow = pairing.rows(asked.outputs if whole else asked.outputs[:_MOST_ROWS], outputs)
        for one, other in zip(production, shadow, strict=True):
            self._count(pairing, one, other)
        self._log.note(
            pairing.head,
            Compared(
                time.time(),
                asked.request_id,
                production,
                shadow,
                asked.seconds if whole else None,
                seconds if whole else None,
                values(first) if self._features else None,
                self._take_skipped(),
            ),
        )

    def _pairing(self, asked: _Asked) -> "_Pairing":
        found = self._pairings.get(asked.path)
        if found is None or found.production is not asked.production:
            model, method = self._methods[asked.path]
            found = self._pairings[asked.path] = _Pairing(asked.production, model, method)
        return found

    def _take_skipped(self) -> int:
        with self._changed:
            skipped, self._skipped = self._skipped, 0
            return skipped

    def _count(self, pairing: "_Pairing", production: list[Value], shadow: list[Value]) -> None:
        numbers = zip(production[pairing.labels :], shadow[pairing.labels :], strict=True)
        shift = max((abs(float(one) - float(other)) for one, other in numbers), default=0.0)
        self.comparison.compared += 1
        self.comparison.agreeing += production[: pairing.labels] == shadow[: pairing.labels]
        self.comparison.total_shift += shift
        self.comparison.largest_shift = max(self.comparison.largest_shift, shift)


class _Pairing:
    """What production and the shadow both say in the answers of one method."""

    def __init__(self, production: Version, model: Model, method: Method) -> None:
        self.production = production
        answering = {each.service.full_name: each for each in production.models}[model.service.full_name]
        bindings = [each.bindings[method.name] for each in (answering, model)]
        self._ours, self._theirs = (Reading(binding.outputs, binding.targets) for binding in bindings)
        self._names = [name for name in self._ours.names if name in self._theirs.names]
        self.labels = sum(kind_of(name) in LABELS for name in self._names)
        """How many of them are words; they come first."""
        self.head = Head(production.version, model.version, model.manifest.columns, tuple(self._names))

    def rows(self, ours: Any, theirs: Any) -> tuple[list[list[Value]], list[list[Value]]]:
        """Both answers to each row, alike in their columns."""
        return self._ours.rows(ours, self._names), self._theirs.rows(theirs, self._names)


def _paused(model: Model) -> float:
    return 0.0 if model.pool is None else model.pool.paused


def _run(model: Model, rows: RequestRows, request_id: str) -> NumberRows:
    """What a model makes of rows. Raises a Refusal, Draining where it takes no more."""
    outcomes: list[NumberRows | Refusal] = []
    answered = threading.Event()

    def done(outcome: NumberRows | Refusal) -> None:
        outcomes.append(outcome)
        answered.set()

    model.batcher.submit(Job(rows, Call(request_id, time.monotonic() + _SECONDS), done, answered.set))
    answered.wait(_SECONDS)
    outcome = outcomes[0] if outcomes else DeadlinePassed("the shadow does not answer")
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome
