"""A version of a model in memory: the models that answer its services, and their predictors."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from foretell_contract.rules.rules import Rules
from foretell_contract.service import Service
from grpc_server.calls.admission import Admission
from grpc_server.calls.batcher import Batcher
from grpc_server.calls.call import Call
from grpc_server.calls.handler import Reply
from grpc_server.calls.predictor import Observer, Predictor
from grpc_server.calls.refusal import ModelUnavailable
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.store.manifest import Manifest
from grpc_server.workers.cost import Cost, Placement
from grpc_server.workers.pool import Pool


class Refusing:
    """In place of a predictor, for a model without a version that can be served."""

    def __init__(self, name: str) -> None:
        self._name = name

    def predict(self, _request: bytes, _call: Call, reply: Reply, _observe: Observer | None = None) -> None:
        """Refuses the call."""
        reply(ModelUnavailable(f"no version of {self._name} can be served now; the server's log says why"))


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


class Version:
    """One version of a model in memory. Thread-safe."""

    def __init__(self, models: list[Model], rules: Rules, admission: Admission) -> None:
        self.models = models
        self.name, self.version = models[0].name, models[0].version
        self.predictors: Mapping[str, Predictor | Refusing] = {
            method.path: Predictor(model.bindings[method.name], model.batcher.submit, rules, admission)
            for model in models
            for method in model.service.methods
        }
        """By the path of the method."""
        self._begin()

    def _begin(self) -> None:
        self._streams: set[int] = set()
        self._closing = False
        self._changed = threading.Condition()

    @property
    def inline(self) -> bool:
        """Whether all its models run inline."""
        return all(model.batcher.inline for model in self.models)

    def pin(self, call: Call) -> bool:
        """Keep the version open until `unpin` of the same call. False if it is closing already."""
        with self._changed:
            if self._closing:
                return False
            self._streams.add(id(call))
            return True

    def unpin(self, call: Call) -> None:
        """End what `pin` began."""
        with self._changed:
            self._streams.discard(id(call))
            self._changed.notify_all()

    def close(self, seconds: float, *, for_streams: bool) -> None:
        """Answer queued rows, then end threads and workers, each within `seconds`; `for_streams`: after pinned calls."""
        with self._changed:
            self._changed.wait_for(lambda: not (for_streams and self._streams))
            self._closing = True
        for model in self.models:
            model.close(seconds)


class NoVersion(Version):
    """In place of a version, if none of a model can be served: refuses all calls. It has no number."""

    def __init__(self, name: str, services: Iterable[Service]) -> None:
        self.models, self.name, self.version = [], name, ""
        self.predictors = {method.path: Refusing(name) for service in services for method in service.methods}
        self._begin()
