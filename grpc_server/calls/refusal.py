"""Why a call gets no prediction: one class a reason, each with its gRPC status.

Refusal
├── InvalidFeatures     INVALID_ARGUMENT      rules are broken; carries the violations
├── MalformedMessage    INVALID_ARGUMENT      the bytes are not the message
├── Overloaded          RESOURCE_EXHAUSTED    too many rows are waiting
├── Draining            UNAVAILABLE           the server is stopping
├── ModelUnavailable    UNAVAILABLE           no worker process can be had to run the model
├── DeadlinePassed      DEADLINE_EXCEEDED     the caller has stopped caring
├── UnknownVersion      NOT_FOUND             no such version or alias answers
├── VersionLoading      UNAVAILABLE           it will answer, but is not loaded yet
├── UnknownModel        NOT_FOUND             the repository has no such model, or no such version of it
├── ChangeImpossible    FAILED_PRECONDITION   a change that makes no sense, or a version that a gate refuses
├── ChangeConflict      ABORTED               somebody else has changed the record
├── UnknownService      NOT_FOUND             nothing of this name is served
├── UnknownMethod       UNIMPLEMENTED         nothing answers on this path
└── Failure             INTERNAL              our fault; the log has the trace under the incident
"""

from collections.abc import Sequence
from typing import ClassVar, Self

import grpc

from foretell_contract.rules.rules import Violation

MOST_VIOLATIONS = 50
"""Most violations that one refusal looks for."""


class Refusal(Exception):
    """A call that gets no prediction. The text is for the caller: no paths, no library text, no values."""

    code: ClassVar[grpc.StatusCode]
    reason: ClassVar[str]
    """What went wrong, for programs: the `reason` of the ErrorInfo detail."""
    retry_after: ClassVar[float | None] = None
    """Seconds after which a retry may succeed; None where a retry cannot help."""

    def __init__(self, message: str, *, facts: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts or {}
        """More for programs: the `metadata` of the ErrorInfo detail."""

    def at(self, index: int) -> Self:
        """Say that it was the message with this index of a stream that was refused."""
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
    """Too many rows are waiting."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"
    retry_after = 1.0


class Draining(Refusal):
    """The server finishes what it accepted and takes nothing new."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "DRAINING"
    retry_after = 1.0


class ModelUnavailable(Refusal):
    """No worker process can be had to run the model."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "MODEL_UNAVAILABLE"
    retry_after = 1.0


class DeadlinePassed(Refusal):
    """The deadline passed before the model ran."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_PASSED"


class UnknownVersion(Refusal):
    """No such version or alias answers."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "UNKNOWN_VERSION"


class VersionLoading(Refusal):
    """The version is on its way to be served."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "VERSION_LOADING"
    retry_after = 1.0


class UnknownModel(Refusal):
    """The repository has no such model, or no such version of it."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "UNKNOWN_MODEL"


class ChangeImpossible(Refusal):
    """A change that makes no sense, or a version that a gate refuses."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "CHANGE_IMPOSSIBLE"


class ChangeConflict(Refusal):
    """Somebody else has changed the record."""

    code = grpc.StatusCode.ABORTED
    reason = "CHANGE_CONFLICT"


class UnknownService(Refusal):
    """Nothing of this name is served."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "UNKNOWN_SERVICE"


class UnknownMethod(Refusal):
    """Nothing answers on this path."""

    code = grpc.StatusCode.UNIMPLEMENTED
    reason = "UNKNOWN_METHOD"


class Failure(Refusal):
    """An unexpected error of ours."""

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init__(self, incident: str) -> None:
        super().__init__(f"internal error; quote incident {incident} to the operator", facts={"incident": incident})
