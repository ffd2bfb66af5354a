"""A model in memory, ready to answer one service."""

from dataclasses import dataclass

from foretell_contract.service import Service
from grpc_server.calls.batcher import Batcher
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.store.manifest import Manifest
from grpc_server.workers.cost import Cost, Placement
from grpc_server.workers.pool import Pool


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model, ready to answer one service."""

    name: str
    version: str
    manifest: Manifest
    service: Service
    bindings: dict[str, MethodBinding]
    """By the name of the method."""
    batcher: Batcher
    cost: Cost
    placement: Placement
    workers: int
    """Runs that may go on at the same time."""
    pool: Pool | None = None
    """The worker processes; None if the model runs inline."""

    def close(self, seconds: float) -> None:
        """Answer queued rows, then end threads and workers; waits at most `seconds` for each."""
        self.batcher.close(seconds)
        if self.pool:
            self.pool.close(seconds)
