"""The state of a rollout: a version on its way through the gates, and the last one that failed."""

from dataclasses import dataclass
from datetime import UTC, datetime

from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelError
from grpc_server.loading.candidate_trial import CandidateTrial


@dataclass(frozen=True, slots=True)
class FailedRollout:
    """A version that a gate refused."""

    version: str
    gate: str
    reason: str
    when: datetime
    generation: int
    """Generation of the route table that named the version."""

    @classmethod
    def of(cls, version: str, generation: int, error: ModelError) -> "FailedRollout":
        """From the error that the gate raised just now."""
        return cls(version, error.gate, str(error), datetime.now(UTC), generation)


@dataclass(slots=True)
class Rollout:
    """A version on its way through the gates."""

    version: str
    generation: int
    as_shadow: bool
    gate: Gate | None = None
    trial: CandidateTrial | None = None
    stopped: bool = False
    """Whether the route table no longer names the version."""

    def stop(self) -> None:
        """Ends the trial, if one runs. Its failure is then no refusal."""
        self.stopped = True
        if self.trial is not None:
            self.trial.stop()
