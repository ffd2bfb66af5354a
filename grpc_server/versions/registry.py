"""Models in memory: the served model of each service, and the handlers of their methods."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from foretell_contract.contract import Contract
from foretell_contract.service import Method, Shape
from grpc_server.calls.admission import Admission
from grpc_server.calls.batcher import Batcher
from grpc_server.calls.handler import Handler, Kind
from grpc_server.errors import ModelError
from grpc_server.loading.loader import Loader
from grpc_server.loading.version import Model
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.versions.dispatch import Dispatcher, StreamDispatcher
from grpc_server.versions.served_model import ServedModel
from grpc_server.versions.startup import GateListener, open_served_model, unserved_model

logger = logging.getLogger(__name__)

_WATCH_SECONDS = 0.1
"""Between two checks of the route tables. A check is one `stat` a model, some 20 µs; unlike inotify it works over NFS."""


class Registry:
    """The served models of one contract, and their handlers. Thread-safe."""

    def __init__(self, contract: Contract, served_models: Sequence[ServedModel], admission: Admission) -> None:
        self.contract = contract
        self.served_models = sorted(served_models, key=lambda served: served.name)
        self.admission = admission
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="route-watcher", daemon=True)
        self._handlers = [
            (served, self._handler(served, method))
            for served in self.served_models
            for service in served.services
            for method in service.methods
        ]
        self.on_change: Callable[[], None] = lambda: None
        """Called after each change of a served model, from any thread."""
        self._inline: tuple[Batcher, ...] = ()
        self._lock = threading.Lock()
        for served in self.served_models:
            served.on_change = self._update
        self._update()

    @property
    def models(self) -> list[Model]:
        """The production models, one a service."""
        return [model for served in self.served_models for model in served.routing.production.version.models]

    def handlers(self) -> list[Handler]:
        """One a method of each service."""
        return [handler for _, handler in self._handlers]

    def _handler(self, served: ServedModel, method: Method) -> Handler:
        if method.shape is Shape.STREAM:
            return Handler(method.path, Kind.STREAM, StreamDispatcher(served, method.path).answer)
        return Handler(method.path, Kind.UNARY, Dispatcher(served, method.path).answer)

    def _update(self) -> None:
        """Collects the inline batchers, and marks the handlers whose replies come from worker processes."""
        with self._lock:  # An older view must not overwrite a newer one.
            models = [model for served in self.served_models for version in served.versions for model in version.models]
            self._inline = tuple(model.batcher for model in models if model.batcher.inline)
            for served, handler in self._handlers:
                handler.cancellable = not all(version.inline for version in served.versions)
        self.on_change()

    @property
    def waiting(self) -> int:
        """Rows queued for `run_waiting`."""
        rows = 0
        for batcher in self._inline:
            rows += batcher.waiting
        return rows

    def run_waiting(self) -> None:
        """Runs the inline models that have rows queued."""
        for batcher in self._inline:
            if batcher.waiting:
                batcher.run_waiting()

    def follow(self) -> None:
        """Applies the route tables before it returns, and then in a thread whenever they change."""
        self._refresh()
        self._watcher.start()

    def _watch(self) -> None:
        while not self._closing.wait(_WATCH_SECONDS):
            self._refresh()

    def _refresh(self) -> None:
        for served in self.served_models:
            try:
                served.refresh()
            except Exception:  # A failure of one model leaves the others followed.
                logger.exception("cannot follow the route table of %s", served.name)

    def close(self, seconds: float) -> None:
        """Answers queued rows and ends threads and workers, waiting up to `seconds` for each; leaves hung threads behind."""
        self._closing.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for served in self.served_models:
            served.close(seconds)


def load_registry(contract: Contract, settings: ServerSettings, on_gate: GateListener = lambda _title, _gate: None) -> Registry:
    """Loads the model of every service, and leaves out services without one.

    The calls of a model that cannot be served are refused. Raises ModelError if no model can, or if there is none.
    """
    added = _added(contract, settings.models)
    served = contract.restricted_to(added)
    admission = Admission()
    opened: list[ServedModel] = []
    refused: list[tuple[Loader, ModelError]] = []
    names = dict.fromkeys(service.model for service in served.services)
    for loader in (Loader(name, served, settings, admission) for name in names):
        try:
            opened.append(open_served_model(loader, on_gate, alone=len(names) == 1))
        except ModelError as error:
            refused.append((loader, error))
    if not opened:
        raise refused[0][1]
    return Registry(served, [*opened, *(unserved_model(*each) for each in refused)], admission)


def _added(contract: Contract, models: Path) -> list[str]:
    """The contract's models that are in the repository. Raises ModelNotFound if there is none."""
    repository = Repository(models)
    wanted = dict.fromkeys(service.model for service in contract.services)
    added = [name for name in wanted if repository.versions(name)]
    if not added:
        repository.latest(next(iter(wanted)))
    return added
