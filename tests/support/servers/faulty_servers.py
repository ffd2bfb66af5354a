"""Served models of this process that refuse versions at chosen gates, and commands that find them as running servers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foretell.versions.target import response_type
from foretell_contract.contract import load
from grpc_server.calls.admission import Admission
from grpc_server.changes.convergence import Servers
from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError
from grpc_server.loading.candidate_trial import CandidateTrial
from grpc_server.loading.loader import Loader
from grpc_server.loading.version import Version
from grpc_server.services.model_list import list_models_handler
from grpc_server.settings import ServerSettings
from grpc_server.versions.registry import Registry
from grpc_server.versions.served_model import ServedModel
from grpc_server.workers.cost import Cost
from tests.conftest import PROTOS
from tests.support.models.candidates import until

COST = Cost(0.0001, 0.001)
IRIS = load(PROTOS).restricted_to(["iris"])
RESPONSE = response_type()


class Faults(dict[tuple[str, str], Gate]):
    """The gate that refuses a version on a server, by the names of both."""

    def check(self, server: str, version: str) -> None:
        gate = self.get((server, version))
        if gate:
            error = ModelError(f"version {version} is broken on {server}")
            error.gate = gate
            raise error


class FaultyTrial(CandidateTrial):
    def __init__(self, server: "FaultyLoader", version: str) -> None:
        self._server, self._version = server, version

    def run(self) -> list[Cost]:
        self._server.faults.check(self._server.server, self._version)
        return [COST] * len(self._server.services)

    def stop(self) -> None:
        pass


class FaultyLoader(Loader):
    """Loads real versions, except those that have a fault."""

    def __init__(self, root: Path, server: str, faults: Faults) -> None:
        super().__init__("iris", IRIS, ServerSettings(models=root, protos=PROTOS, keep_warm=0, placement="inline"), Admission())
        self.server, self.faults = server, faults

    def trial(self, version: str, on_gate: Callable[[Gate], None], *, returns: bool) -> CandidateTrial:
        return FaultyTrial(self, version)

    def load(self, version: str, gates: Gates, costs: Any = (), *, as_shadow: bool = False) -> Version:
        self.faults.check(self.server, version)
        return super().load(version, gates, [COST] * len(self.services), as_shadow=as_shadow)


class RunningModel:
    """One server, as the commands reach it."""

    peer = None

    def __init__(self, name: str, served: ServedModel) -> None:
        self.name, self.served = name, served
        self._handler = list_models_handler(Registry(IRIS, [served], Admission()))

    @property
    def answering(self) -> str:
        return self.served.routing.production.version.version

    def list_models(self, _seconds: float = 0) -> Any:
        self.settle()
        replies: list[Any] = []
        self._handler.answer(b"", None, replies.append)  # type: ignore[arg-type]  # It reads nothing of the call.
        return RESPONSE.FromString(replies[0])

    def settle(self) -> None:
        """Follows the route table until no version is on its way, as the server's threads do."""
        self.served.refresh()
        until(self.served, lambda: self.served.rollout is None)
        self.served.refresh()


class LocalServers(Servers):
    """The servers of this process instead of those behind sockets."""

    def __init__(self, running: dict[str, RunningModel]) -> None:
        super().__init__(None, "127.0.0.1:1", RESPONSE)
        self._all = running

    @contextmanager
    def _connect(self) -> Iterator[Any]:
        yield list(self._all.values())
