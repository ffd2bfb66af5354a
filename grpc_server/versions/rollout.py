"""A version on its way to be served, and what is remembered of one that did not get there."""

from dataclasses import dataclass
from datetime import UTC, datetime

from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelError
from grpc_server.loading.candidate_trial import Trial


@dataclass(frozen=True, slots=True)
class FailedRollout:
    """A version that did not get through the gates."""

    version: str
    gate: str
    reason: str
    when: datetime
    generation: int
    """Of the record that asked for it."""


@dataclass(slots=True)
class Rollout:
    """A version on its way to be served."""

    version: str
    generation: int
    """Of the record that asked for it."""
    apart: bool
    """Whether it is to be a shadow."""
    gate: Gate | None = None
    trial: Trial | None = None
    stopped: bool = False
    """Whether nothing asks for it any more."""

    def stop(self) -> None:
        """Nothing asks for it any more."""
        self.stopped = True
        if self.trial is not None:
            self.trial.stop()


def refusal(version: str, generation: int, error: ModelError) -> FailedRollout:
    """What is remembered of a refusal."""
    return FailedRollout(version, error.gate, str(error), datetime.now(UTC), generation)
