"""Refusals: the ways in which a call ends without a response, one class each, with its gRPC status; the log of server errors."""

import logging
import secrets
from collections.abc import Sequence
from typing import ClassVar, Self

from grpc import StatusCode

from foretell_contract.rules.rules import Violation
from grpc_server.calls.call import Call

MOST_VIOLATIONS = 50
"""Violations after which the search for more ends."""

_MOST_QUOTED = 3


class Refusal(Exception):
    """A call that ends without a response. The message goes to the caller: no file paths, no text of libraries, no values."""

    code: ClassVar[StatusCode]
    reason: ClassVar[str]
    """The `reason` of the ErrorInfo detail: the kind of error, for programs."""
    retry_after: ClassVar[float | None]
    """Seconds after which a retry may succeed; None if it cannot."""

    def __init_subclass__(cls, code: StatusCode, reason: str, retry_after: float | None = None) -> None:
        cls.code, cls.reason, cls.retry_after = code, reason, retry_after

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


class InvalidFeatures(Refusal, code=StatusCode.INVALID_ARGUMENT, reason="INVALID_FEATURES"):
    """The request breaks rules of the contract."""

    def __init__(self, violations: Sequence[Violation], unjudged_rows: int = 0) -> None:
        super().__init__(_quoted(violations), facts=_counted(violations, unjudged_rows))
        self.violations = tuple(violations)


class InvalidAnswer(Refusal, code=StatusCode.FAILED_PRECONDITION, reason="INVALID_ANSWER"):
    """The model's answer breaks rules of the contract. A retry cannot help: the model, or the rule, must change."""

    def __init__(self, violations: Sequence[Violation], unjudged_rows: int = 0) -> None:
        super().__init__(f"the model's answer is invalid: {_quoted(violations)}", facts=_counted(violations, unjudged_rows))
        self.violations = tuple(violations)


class MalformedMessage(Refusal, code=StatusCode.INVALID_ARGUMENT, reason="MALFORMED_MESSAGE"):
    """The bytes are not a message of the method's type."""


class Overloaded(Refusal, code=StatusCode.RESOURCE_EXHAUSTED, reason="OVERLOADED", retry_after=1.0):
    """The queue of the model is full."""


class Draining(Refusal, code=StatusCode.UNAVAILABLE, reason="DRAINING", retry_after=1.0):
    """The server is stopping: it finishes accepted calls and takes no new ones."""


class ModelUnavailable(Refusal, code=StatusCode.UNAVAILABLE, reason="MODEL_UNAVAILABLE", retry_after=1.0):
    """The model has no version that can be served, or no worker process, and none can be started."""


class DeadlinePassed(Refusal, code=StatusCode.DEADLINE_EXCEEDED, reason="DEADLINE_PASSED"):
    """The deadline passed before the model ran."""


class UnknownVersion(Refusal, code=StatusCode.NOT_FOUND, reason="UNKNOWN_VERSION"):
    """The server has no such version or alias."""


class VersionLoading(Refusal, code=StatusCode.UNAVAILABLE, reason="VERSION_LOADING", retry_after=1.0):
    """The version is not loaded yet."""


class UnknownModel(Refusal, code=StatusCode.NOT_FOUND, reason="UNKNOWN_MODEL"):
    """The repository has no such model, or no such version of it."""


class ChangeImpossible(Refusal, code=StatusCode.FAILED_PRECONDITION, reason="CHANGE_IMPOSSIBLE"):
    """A route change that is not possible, or a version that a gate refuses."""


class ChangeConflict(Refusal, code=StatusCode.ABORTED, reason="CHANGE_CONFLICT"):
    """Another change came first."""


class UnknownService(Refusal, code=StatusCode.NOT_FOUND, reason="UNKNOWN_SERVICE"):
    """The server has no such service."""


class UnknownMethod(Refusal, code=StatusCode.UNIMPLEMENTED, reason="UNKNOWN_METHOD"):
    """The server has no such method."""


class Failure(Refusal, code=StatusCode.INTERNAL, reason="INTERNAL"):
    """An error of the server; the log has its trace under the incident."""

    def __init__(self, incident: str) -> None:
        super().__init__(f"internal error; quote incident {incident} to the operator", facts={"incident": incident})


def failure(logger: logging.Logger, what: str, call: Call, error: BaseException) -> Failure:
    """Log `error` with its trace; the refusal that names the incident. `what` begins the log line."""
    incident = secrets.token_hex(6)
    logger.error("incident %s: %s (request %s)", incident, what, call.request_id, exc_info=error)
    return Failure(incident)


def _quoted(violations: Sequence[Violation]) -> str:
    quoted = [f"{v.field}: {v.message}" if v.field else v.message for v in violations[:_MOST_QUOTED]]
    more = f" (and {len(violations) - _MOST_QUOTED} more)" if len(violations) > _MOST_QUOTED else ""
    return "; ".join(quoted) + more


def _counted(violations: Sequence[Violation], unjudged_rows: int) -> dict[str, str]:
    return {"violations": str(len(violations))} | ({"unjudged_rows": str(unjudged_rows)} if unjudged_rows else {})
