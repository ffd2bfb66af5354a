"""The core: from the bytes of a request to the bytes of a response, or to one refusal.

guard (in the shell) → parse → rules → admission → batcher → runtime → bind → bytes

It knows no event loop and no gRPC context: its unit is a job with a callback that may come from any thread.
"""

import logging
from collections.abc import Callable
from itertools import islice
from typing import Any, TypeAlias

from google.protobuf.message import Message

from foretell_contract.rows.unknown_fields import UnknownFields
from foretell_contract.rules.rules import Rules, Violation
from grpc_server.calls.admission import Admission
from grpc_server.calls.batcher import Job
from grpc_server.calls.call import Call
from grpc_server.calls.handler import Answer, Reply, parsed
from grpc_server.calls.incident import failure
from grpc_server.calls.refusal import MOST_VIOLATIONS, DeadlinePassed, Draining, Failure, InvalidFeatures, Refusal
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.mixed_rows import NumberRows

logger = logging.getLogger(__name__)

Seen: TypeAlias = Callable[[NumberRows], None]
"""Is told what the model gave for a call, after the caller was answered; from any thread. Must not block and must not raise."""


class Retired(Exception):
    """The model takes nothing new any more: another version answers in its place."""


class Predictor:
    """Answers the calls of one method with one model."""

    def __init__(self, binding: MethodBinding, submit: Callable[[Job], None], rules: Rules, admission: Admission) -> None:
        self._binding = binding
        self._submit_job = submit
        self._rules = rules
        self._admission = admission
        self._strays = UnknownFields(binding.method.input)

    def predict(self, request: bytes, call: Call, reply: Reply, seen: Seen | None = None) -> Job | None:
        """Answer one request: `reply` is called exactly once, perhaps before this returns, from any thread, and `seen` after it.

        Returns the job while it is under way; after `Job.cancel` the reply may stay out. Raises Retired instead of all this.
        """
        try:
            return self._submit(request, call, reply, seen)
        except Retired:
            raise
        except Refusal as refusal:
            reply(refusal)
        except Exception as error:
            reply(failure(logger, self._binding.method.full_name, call, error))
        return None

    def _submit(self, request: bytes, call: Call, reply: Reply, seen: Seen | None) -> Job:
        rows = self._binding.fast_rows(request)
        if rows is None:
            message = parsed(self._binding.method.request, request)
            self._check(message)
            rows = self._binding.model_rows(self._binding.row_messages(message))
        if call.deadline is not None and call.expired:
            raise DeadlinePassed("the deadline passed before the model ran")
        self._admission.enter()

        def done(outcome: NumberRows | Refusal) -> None:
            try:
                reply(self._explained(outcome, rows) if isinstance(outcome, Refusal) else self._respond(outcome, call))
            finally:
                self._admission.leave()
            if seen is not None and not isinstance(outcome, Refusal):
                seen(outcome)

        job = Job(rows, call, done, self._admission.leave)
        try:
            self._submit_job(job)
        except Draining:
            self._admission.leave()
            raise Retired from None
        except Refusal:
            self._admission.leave()
            raise
        return job

    def _check(self, message: Message) -> None:
        rows = self._binding.method.rows
        verdict = self._rules.validate(message, rows, MOST_VIOLATIONS)
        if verdict.list_refused and rows is not None:
            message.ClearField(rows.name)  # Millions of them fit into a message: to look for strays would take a second.
        violations = [*verdict.violations, *islice(self._strays.of(message), MOST_VIOLATIONS)]
        if violations:
            raise _invalid(violations, verdict.unjudged_rows)

    def _explained(self, refusal: Refusal, rows: Any) -> Refusal:
        """A number that is too large for the model is for the caller to change, though the contract allows it."""
        violations = self._binding.out_of_range(rows) if isinstance(refusal, Failure) else []
        return _invalid(violations[:MOST_VIOLATIONS]) if violations else refusal

    def _respond(self, outputs: NumberRows, call: Call) -> Answer:
        try:
            return self._binding.encode(outputs)
        except Exception as error:
            return failure(logger, f"the answer of {self._binding.method.full_name}", call, error)


def _invalid(violations: list[Violation], unjudged_rows: int = 0) -> InvalidFeatures:
    return InvalidFeatures(_summary(violations), violations, unjudged_rows)


def _summary(violations: list[Violation], most: int = 3) -> str:
    told = [f"{v.field}: {v.message}" if v.field else v.message for v in violations[:most]]
    more = len(violations) - len(told)
    return "; ".join(told) + (f" (and {more} more)" if more else "")
