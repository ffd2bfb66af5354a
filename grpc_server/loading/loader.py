"""From a version on disk to a version in memory."""

from collections.abc import Callable, Sequence

from foretell_contract.contract import Contract
from foretell_contract.service import Service
from grpc_server.calls.admission import Admission
from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError
from grpc_server.loading.candidate_trial import CandidateTrial
from grpc_server.loading.load_model import load_model
from grpc_server.loading.model import Model
from grpc_server.loading.version import Version
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.workers.cost import Cost


class Loader:
    """Loads the versions of one model. Thread-safe; each load blocks."""

    def __init__(self, name: str, contract: Contract, settings: ServerSettings, admission: Admission) -> None:
        self.name = name
        self.settings = settings
        self.services: tuple[Service, ...] = tuple(service for service in contract.services if service.model == name)
        self._contract = contract
        self._admission = admission

    def trial(self, version: str, tell: Callable[[Gate], None], *, returns: bool) -> CandidateTrial:
        """A trial of a version in a candidate process. Raises ModelError if the process cannot be started."""
        return CandidateTrial(self.name, version, self._contract, self.settings, tell, returns=returns)

    def load(self, version: str, gates: Gates, costs: Sequence[Cost] = (), *, as_shadow: bool = False) -> Version:
        """Pass a version through all gates but REVISION.

        `costs` is the result of its trial, one for each service; without it, the version is measured here. Raises ModelError with
        the gate; no process is then left.
        """
        with gates(Gate.DIGEST):
            bundle = Repository(self.settings.models).read(self.name, version)
        models: list[Model] = []
        try:
            for index, service in enumerate(self.services):
                cost = costs[index] if costs else None
                models.append(load_model(bundle, self._contract, service, self.settings, gates, cost, as_shadow=as_shadow))
        except ModelError:
            for model in models:
                model.close(0.0)
            raise
        return Version(models, self._contract.rules, Admission() if as_shadow else self._admission)
