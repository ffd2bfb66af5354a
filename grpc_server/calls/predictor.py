"""Prediction of one method by one model: from a request's bytes to a response's bytes or a refusal.

parse → rules → admission → batcher → runtime → bind → serialize

Knows no event loop and no gRPC context: a job's callback may come from any thread.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from foretell_contract.rows.unknown_fields import UnknownFields
from foretell_contract.rules.rules import Rules
from grpc_server.calls.admission import Admission
from grpc_server.calls.batcher import Job
from grpc_server.calls.call import Call
from grpc_server.calls.handler import Answer, Reply, check, parse
from grpc_server.calls.refusal import (
    MOST_VIOLATIONS,
    DeadlinePassed,
    Draining,
    Failure,
    InvalidAnswer,
    InvalidFeatures,
    Refusal,
    failure,
)
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.mixed_rows import NumberRows

logger = logging.getLogger(__name__)

Observer: TypeAlias = Callable[[NumberRows], None]
"""Gets the model's outputs for a call after the reply was sent; from any thread. Must neither block nor raise."""


def invalid_answer(binding: MethodBinding, outputs: NumberRows) -> InvalidAnswer | None:
    """The refusal of the answer with these outputs; None for a valid answer. Raises whatever makes the outputs no message."""
    broken = binding.broken_rules(outputs, MOST_VIOLATIONS)
    return InvalidAnswer(broken.violations, broken.unjudged_rows) if broken.violations else None


class Retired(Exception):
    """The model takes no new rows: its version was replaced. Dispatch the call again."""


class Predictor:
    """Answers the calls of one method with one model. Safe for threads; never blocks."""

    def __init__(self, binding: MethodBinding, submit: Callable[[Job], None], rules: Rules, admission: Admission) -> None:
        self._binding = binding
        self._submit_job = submit
        self._rules = rules
        self._admission = admission
        self._unknown_fields = UnknownFields(binding.method.input)

    def predict(self, request: bytes, call: Call, reply: Reply, observe: Observer | None = None) -> Job | None:
        """Answer one request: calls `reply` exactly once, from any thread, perhaps before it returns; then `observe`.

        Returns the job unless it was refused at once; after `Job.cancel` there may be no reply. Raises Retired without a reply.
        """
        try:
            return self._submit(request, call, reply, observe)
        except Retired:
            raise
        except Refusal as refusal:
            reply(refusal)
        except Exception as error:
            reply(failure(logger, self._binding.method.full_name, call, error))
        return None

    def _submit(self, request: bytes, call: Call, reply: Reply, observe: Observer | None) -> Job:
        rows = self._binding.fast_rows(request)
        if rows is None:
            message = parse(self._binding.method.request, request)
            check(message, self._rules, self._unknown_fields, self._binding.method.rows)
            rows = self._binding.model_rows(self._binding.row_messages(message))
        if call.deadline is not None and call.expired:
            raise DeadlinePassed("the deadline passed before the model ran")
        self._admission.enter()

        def done(outcome: NumberRows | Refusal, sure: bool) -> None:
            try:
                if not sure and not isinstance(outcome, Refusal):
                    outcome = self._checked(outcome, call)
                reply(self._explained(outcome, rows, call) if isinstance(outcome, Refusal) else self._respond(outcome, call))
            finally:
                self._admission.leave()
            if observe is not None and not isinstance(outcome, Refusal):
                observe(outcome)

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

    def _checked(self, outputs: NumberRows, call: Call) -> NumberRows | Refusal:
        """The outputs, or the refusal of an answer that breaks rules."""
        try:
            return invalid_answer(self._binding, outputs) or outputs
        except Exception as error:
            return failure(logger, f"the response of {self._binding.method.full_name}", call, error)

    def _explained(self, refusal: Refusal, rows: Any, call: Call) -> Refusal:
        """INVALID_ARGUMENT instead if the contract allows a NaN, or a number beyond float32, on which the model failed."""
        violations = self._binding.out_of_range(rows) if isinstance(refusal, Failure | InvalidAnswer) else []
        if violations:
            return InvalidFeatures(violations[:MOST_VIOLATIONS])
        if isinstance(refusal, InvalidAnswer):
            logger.error("%s: %s (request %s)", self._binding.method.full_name, refusal.message, call.request_id)
        return refusal

    def _respond(self, outputs: NumberRows, call: Call) -> Answer:
        try:
            return self._binding.encode(outputs)
        except Exception as error:
            return failure(logger, f"the response of {self._binding.method.full_name}", call, error)
