"""A version that is asked what production was asked, once production has answered, and answers nobody."""

import logging
import threading
import time
from collections import deque
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from contract.service import Method
from grpc_server.call import Call
from grpc_server.handler import Answer, Reply
from grpc_server.lineup import Comparison, Version
from grpc_server.predictor import Retired
from grpc_server.refusal import Refusal

logger = logging.getLogger(__name__)

_MOST_WAITING = 64
"""Calls that wait for the shadow; what comes while so many do is left out."""

_SECONDS = 120.0
"""Longest time that one answer is waited for: a run that hangs is ended before, by `worker_seconds`."""


class Shadow:
    """One version apart, with a thread that asks it one call after the other.

    It costs the calls of production a note in a queue. The version runs in a worker process that stands back behind all others.
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self.comparison = Comparison()
        self._methods = {method.path: method for model in version.models for method in model.service.methods}
        self._waiting: deque[tuple[str, bytes, str, bytes]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, name=f"shadow of {version.name}", daemon=True).start()

    def after(self, path: str, request: bytes, call: Call, reply: Reply) -> Reply:
        """A reply that answers the caller and then has the shadow asked the same."""

        def replied(answer: Answer) -> None:
            reply(answer)
            if not isinstance(answer, Refusal):
                self._note(path, request, call.request_id, answer)

        return replied

    def close(self) -> None:
        """Ask nothing more. The version is left to who made it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _note(self, path: str, request: bytes, identity: str, answer: bytes) -> None:
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING:
                self.comparison.left_out += 1
            else:
                self._waiting.append((path, request, identity, answer))
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                path, request, identity, answer = self._waiting.popleft()
            try:
                self._compare(path, request, identity, answer)
            except Retired:
                return
            except Exception:  # One call that cannot be compared must not end the comparison.
                logger.exception("request %s cannot be compared", identity)
                self.comparison.failed += 1

    def _compare(self, path: str, request: bytes, identity: str, answer: bytes) -> None:
        answers: list[Answer] = []
        answered = threading.Event()

        def reply(answer: Answer) -> None:
            answers.append(answer)
            answered.set()

        start = time.monotonic()
        self.version.predict[path](request, Call(identity, start + _SECONDS), reply)
        if not answered.wait(_SECONDS) or isinstance(answers[0], Refusal):
            self.comparison.failed += 1
            return
        self.comparison.answered += 1
        self.comparison.seconds += time.monotonic() - start
        method = self._methods[path]
        for one, other in zip(_rows(method, answer), _rows(method, answers[0]), strict=True):
            self._compare_row(one, other)

    def _compare_row(self, production: Any, shadow: Any) -> None:
        ours, theirs = _numbers(production), _numbers(shadow)
        shift = max((abs(one - other) for one, other in zip(ours, theirs, strict=True)), default=0.0)
        for message in (production, shadow):
            for field in _number_fields(message):
                message.ClearField(field.name)
        alike = production == shadow and (not ours or _likeliest(ours) == _likeliest(theirs))
        self.comparison.compared += 1
        self.comparison.agreeing += alike
        self.comparison.total_shift += shift
        self.comparison.largest_shift = max(self.comparison.largest_shift, shift)


def _rows(method: Method, answer: bytes) -> list[Any]:
    message = method.response.FromString(answer)
    return list(getattr(message, method.answers.name)) if method.answers else [message]


def _number_fields(message: Any) -> list[FieldDescriptor]:
    kinds = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
    return [field for field in message.DESCRIPTOR.fields if field.cpp_type in kinds and not field.is_repeated]


def _numbers(message: Any) -> list[float]:
    return [getattr(message, field.name) for field in _number_fields(message)]


def _likeliest(numbers: list[float]) -> int:
    return max(range(len(numbers)), key=numbers.__getitem__)
