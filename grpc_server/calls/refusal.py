"""Refusals: the ways in which a call ends without a response, one class each, with its gRPC status.

Refusal
├── InvalidFeatures     INVALID_ARGUMENT      rules are broken; carries the violations
├── MalformedMessage    INVALID_ARGUMENT      the bytes are not a message of the method's type
├── Overloaded          RESOURCE_EXHAUSTED    the queue of the model is full
├── Draining            UNAVAILABLE           the server is stopping
├── ModelUnavailable    UNAVAILABLE           the model has no worker process, and none can be started
├── DeadlinePassed      DEADLINE_EXCEEDED     the deadline passed before the model ran
├── UnknownVersion      NOT_FOUND             the server has no such version or alias
├── VersionLoading      UNAVAILABLE           the version is not loaded yet
├── UnknownModel        NOT_FOUND             the repository has no such model, or no such version of it
├── ChangeImpossible    FAILED_PRECONDITION   a route change that is not possible, or a version that a gate refuses
├── ChangeConflict      ABORTED               another change came first
├── UnknownService      NOT_FOUND             the server has no such service
├── UnknownMethod       UNIMPLEMENTED         the server has no such method
└── Failure             INTERNAL              an error of the server; the log has its trace under the incident
"""

from collections.abc import Sequence
from typing import ClassVar, Self

import grpc

from foretell_contract.rules.rules import Violation

MOST_VIOLATIONS = 50
"""Violations after which the search for more ends."""


class Refusal(Exception):
    """A call that ends without a response. The message goes to the caller: no file paths, no text of libraries, no values."""

    code: ClassVar[grpc.StatusCode]
    reason: ClassVar[str]
    """The `reason` of the ErrorInfo detail: the kind of error, for programs."""
    retry_after: ClassVar[float | None] = None
    """Seconds after which a retry may succeed; None if it cannot."""

    def __init__(self, message: str, *, facts: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts or {}
        """The `metadata` of the ErrorInfo detail."""

    def at(self, index: int) -> Self:
        """The same refusal, for the message with this index of a stream."""
        self.message = f"message {index}: {self.message}"
        self.facts = self.facts | {"index": str(index)}
        return self


class InvalidFeatures(Refusal):
    """Rules of the contract are broken."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_FEATURES"

    def __init__(self, message: str, violations: Sequence[Violation], unjudged_rows: int) -> None:
        facts = {"violations": str(len(violations))}
        if unjudged_rows:
            facts["unjudged_rows"] = str(unjudged_rows)
        super().__init__(message, facts=facts)
        self.violations = tuple(violations)


class MalformedMessage(Refusal):
    """The bytes are not a message of the method's type."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "MALFORMED_MESSAGE"


class Overloaded(Refusal):
    """The queue of the model is full."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"
    retry_after = 1.0


class Draining(Refusal):
    """The server is stopping: it finishes accepted calls and takes no new ones."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "DRAINING"
    retry_after = 1.0


class ModelUnavailable(Refusal):
    """The model has no worker process, and none can be started."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "MODEL_UNAVAILABLE"
    retry_after = 1.0


class DeadlinePassed(Refusal):
    """The deadline passed before the model ran."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_PASSED"


class UnknownVersion(Refusal):
    """The server has no such version or alias."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "UNKNOWN_VERSION"


class VersionLoading(Refusal):
    """The version is not loaded yet."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "VERSION_LOADING"
    retry_after = 1.0


class UnknownModel(Refusal):
    """The repository has no such model, or no such version of it."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "UNKNOWN_MODEL"


class ChangeImpossible(Refusal):
    """A route change that is not possible, or a version that a gate refuses."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "CHANGE_IMPOSSIBLE"


class ChangeConflict(Refusal):
    """Another change came first."""

    code = grpc.StatusCode.ABORTED
    reason = "CHANGE_CONFLICT"


class UnknownService(Refusal):
    """The server has no such service."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "UNKNOWN_SERVICE"


class UnknownMethod(Refusal):
    """The server has no such method."""

    code = grpc.StatusCode.UNIMPLEMENTED
    reason = "UNKNOWN_METHOD"


class Failure(Refusal):
    """An error of the server."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init__(self, incident: str) -> None:
        super().__init__(f"internal error; quote incident {incident} to the operator", facts={"incident": incident})
