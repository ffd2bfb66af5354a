"""From a version on disk to a version in memory."""

from collections.abc import Callable, Sequence

from foretell_contract.contract import Contract
from foretell_contract.service import Service
from grpc_server.calls.admission import Admission
from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError
from grpc_server.loading.candidate_trial import Trial
from grpc_server.loading.load_model import load_model, load_tried
from grpc_server.loading.model import Model
from grpc_server.loading.version import Version
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.workers.cost import Cost
from grpc_server.workers.fork_server import ForkServer


class Loader:
    """Loads the versions of one model. Safe for several threads."""

    def __init__(self, name: str, contract: Contract, settings: ServerSettings, admission: Admission, forks: ForkServer) -> None:
        self.name = name
        self.settings = settings
        self._forks = forks
        self.services: tuple[Service, ...] = tuple(service for service in contract.services if service.model == name)
        self._contract = contract
        self._admission = admission

    def trial(self, version: str, tell: Callable[[Gate], None], *, returns: bool) -> Trial:
        """A version in a process of its own, on its way through all gates; see Trial. Raises ModelError."""
        return Trial(self.name, version, self._contract, self.settings, self._forks, tell, returns=returns)

    def load(self, version: str, gates: Gates, costs: Sequence[Cost] = (), *, apart: bool = False) -> Version:
        """Pass a version through all gates. `costs` is what was found in its trial, if it had one; it is then not timed again.

        One that was tried and is to stay `apart` runs in a worker process that stands back behind all others, whatever it costs,
        and nobody waits for it at the end. Raises ModelError, with the gate; nothing then stays behind.
        """
        with gates(Gate.DIGEST):
            bundle = Repository(self.settings.models).read(self.name, version)
        models: list[Model] = []
        try:
            for place, service in enumerate(self.services):
                if costs:
                    forks = self._forks if apart else None
                    models.append(load_tried(bundle, self._contract, service, self.settings, gates, costs[place], forks))
                else:
                    models.append(load_model(bundle, self._contract, service, self.settings, gates))
        except ModelError:
            for model in models:
                model.close(0.0)
            raise
        return Version(models, self._contract.rules, Admission() if apart else self._admission)
