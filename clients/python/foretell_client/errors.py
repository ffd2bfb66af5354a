"""Exceptions of calls without a prediction.

PredictionError
├── InvalidFeatures      INVALID_ARGUMENT     rules of the contract are broken; `violations` lists them
├── InvalidAnswer        FAILED_PRECONDITION  the model's answer breaks rules; `violations` lists them, by fields of the response
├── ServerUnavailable    UNAVAILABLE          no server answered, after retries
└── DeadlineExceeded     DEADLINE_EXCEEDED    no answer in time

Other statuses are plain PredictionErrors: RESOURCE_EXHAUSTED if the server is overloaded, INTERNAL if it failed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure
from google.rpc.status_pb2 import Status


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule."""

    field: str
    """Path of the value, such as `petal_width` or `rows[3].petal_width`; empty for a rule on the whole message."""
    rule: str
    """Id of the rule, such as `double.gte_lte`."""
    message: str
    """The rule in words."""


class PredictionError(Exception):
    """A call without a prediction. Its `__cause__` is grpcio's error."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.reason = ""
        """Reason for programs, such as `OVERLOADED`; empty if no server gave one."""
        self.request_id = ""
        """Id of the call in the server's log; empty if no server answered."""
        self.incident = ""
        """Id of the failure in the server's log, for its operator; empty unless INTERNAL."""
        self.index: int | None = None
        """Index of the refused message of a stream, counted from 0; None for other calls."""
        self.violations: tuple[Violation, ...] = ()
        """The broken rules; empty unless InvalidFeatures or InvalidAnswer."""
        self.omitted = 0
        """Number of violations that the server found but does not list."""
        self.unjudged_rows = 0
        """Number of rows of a batch that the server did not validate, because it had found enough violations."""

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class InvalidFeatures(PredictionError):
    """The features break rules of the contract."""


class InvalidAnswer(PredictionError):
    """The model's answer to these features is not finite, or breaks rules of the response. No retry helps."""


class ServerUnavailable(PredictionError):
    """No server answered, or it is starting or stopping. The call was retried."""


class DeadlineExceeded(PredictionError):
    """No answer before the deadline."""


_CLASSES: dict[grpc.StatusCode, type[PredictionError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidFeatures,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidAnswer,
    grpc.StatusCode.UNAVAILABLE: ServerUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of grpcio into PredictionErrors."""
    try:
        yield
    except grpc.RpcError as error:
        raise _prediction_error(error) from error


def _prediction_error(error: Any) -> PredictionError:
    metadata = dict([*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())])
    status = Status.FromString(metadata.get("grpc-status-details-bin", b""))
    info, request, answer = (_detail(status, kind) for kind in (ErrorInfo, BadRequest, PreconditionFailure))
    made = _CLASSES.get(error.code(), PredictionError)(error.code(), error.details() or "")
    made.reason = info.reason
    made.request_id = metadata.get("x-request-id", "")
    made.incident = info.metadata.get("incident", "")
    made.index = int(info.metadata["index"]) if "index" in info.metadata else None
    made.violations = (
        *(Violation(v.field, v.reason, v.description) for v in request.field_violations),
        *(Violation(v.subject, v.type, v.description) for v in answer.violations),
    )
    made.omitted = int(info.metadata.get("violations", 0)) - len(made.violations)
    made.unjudged_rows = int(info.metadata.get("unjudged_rows", 0))
    return made


def _detail(status: Any, kind: Any) -> Any:
    found = kind()
    for detail in status.details:
        detail.Unpack(found)  # Ignores details of other types.
    return found
