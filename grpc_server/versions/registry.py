"""Models in memory: which model answers which service."""

import threading
from collections.abc import Sequence
from pathlib import Path

from foretell_contract.contract import Contract
from foretell_contract.service import Method, Shape
from grpc_server.calls.admission import Admission
from grpc_server.calls.batcher import Batcher
from grpc_server.calls.handler import Handler, Kind
from grpc_server.errors import ModelError
from grpc_server.loading.candidate_trial import BACK
from grpc_server.loading.loader import Loader
from grpc_server.loading.model import Model
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.versions.dispatch import Dispatcher, StreamDispatcher
from grpc_server.versions.follower import Follower
from grpc_server.versions.served_model import ServedModel
from grpc_server.versions.startup import At, open_served_model
from grpc_server.workers.fork_server import ForkServer


class Registry:
    """The models that answer the services of one contract."""

    def __init__(self, contract: Contract, hosts: Sequence[ServedModel], admission: Admission, forks: ForkServer) -> None:
        self.contract = contract
        self.hosts = sorted(hosts, key=lambda host: host.name)
        self.admission = admission
        self._forks = forks
        self._follower = Follower(self.hosts)
        self._handlers = [(host, self._handler(host, method)) for host in self.hosts for s in host.services for method in s.methods]
        self._inline: tuple[Batcher, ...] = ()
        self._noting = threading.Lock()
        for host in self.hosts:
            host.changed = self._changed
        self._changed()

    @property
    def models(self) -> list[Model]:
        """What answers calls that choose nothing, one for each service."""
        return [model for host in self.hosts for model in host.lineup.production.version.models]

    def handlers(self) -> list[Handler]:
        """One for each method of each service."""
        return [handler for _, handler in self._handlers]

    def _handler(self, host: ServedModel, method: Method) -> Handler:
        if method.shape is Shape.STREAM:
            return Handler(method.path, Kind.STREAM, StreamDispatcher(host, method.path).answer)
        return Handler(method.path, Kind.UNARY, Dispatcher(host, method.path).answer)

    def _changed(self) -> None:
        """Note what runs where, before versions come and after they have gone; from any thread."""
        with self._noting:  # Else one that has looked before another would have the last word.
            models = [model for host in self.hosts for version in host.versions for model in version.models]
            self._inline = tuple(model.batcher for model in models if model.batcher.inline)
            for host, handler in self._handlers:
                handler.cancellable = not all(version.inline for version in host.versions)

    @property
    def waiting(self) -> int:
        """Rows that wait for `run_waiting`."""
        rows = 0
        for batcher in self._inline:
            rows += batcher.waiting
        return rows

    def run_waiting(self) -> None:
        """Run the inline models for which rows wait."""
        for batcher in self._inline:
            if batcher.waiting:
                batcher.run_waiting()

    def follow(self) -> None:
        """From now on, follow the records of the models."""
        self._follower.start()

    def close(self, seconds: float) -> None:
        """Answer what is queued and end the models' threads and workers; a thread that hangs is left to the end of the process."""
        self._follower.stop()
        for host in self.hosts:
            host.close(seconds)
        self._forks.close()


def load_registry(contract: Contract, settings: ServerSettings, at: At = lambda _place, _gate: None) -> Registry:
    """Load the model of every service; one whose model was never added is left out. `at` hears of the gates.

    Raises ModelError for the first that cannot be served, and where none is there at all.
    """
    added = _added(contract, settings.models)
    served = contract.restricted_to(added)
    admission, forks = Admission(), ForkServer("candidates", nice=BACK, apart=True)
    hosts: list[ServedModel] = []
    try:
        for name in dict.fromkeys(service.model for service in served.services):
            hosts.append(open_served_model(Loader(name, served, settings, admission, forks), at))  # noqa: PERF401  # Those before must be closed.
    except ModelError:
        for host in hosts:
            host.close(0.0)
        raise
    return Registry(served, hosts, admission, forks)


def _added(contract: Contract, models: Path) -> list[str]:
    """Names of the models that are in the repository. Raises ModelNotFound, for the first of them, where none is."""
    repository = Repository(models)
    wanted = dict.fromkeys(service.model for service in contract.services)
    added = [name for name in wanted if repository.versions(name)]
    if not added:
        repository.latest(next(iter(wanted)))
    return added
