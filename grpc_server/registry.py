"""Models in memory: which model answers which service."""

from contract.contract import Contract
from contract.service import Method, Shape
from grpc_server.admission import Admission
from grpc_server.errors import ModelError
from grpc_server.handler import Handler, Kind
from grpc_server.model import Model, load_model
from grpc_server.predictor import Predictor
from grpc_server.repository import Repository
from grpc_server.settings import ServerSettings


class Registry:
    """The models that answer the services of one contract."""

    def __init__(self, contract: Contract, models: list[Model], admission: Admission) -> None:
        self.contract = contract
        self.models = sorted(models, key=lambda model: model.name)
        self.admission = admission
        self._inline = [model.batcher for model in models if model.batcher.inline]

    def handlers(self) -> list[Handler]:
        """One for each method of each service."""
        return [self._handler(model, method) for model in self.models for method in model.service.methods]

    def _handler(self, model: Model, method: Method) -> Handler:
        predictor = self.predictor(model, method.name)
        kind = Kind.STREAM if method.shape is Shape.STREAM else Kind.UNARY
        facts = (("model-name", model.name), ("model-version", model.version))
        return Handler(method.path, kind, predictor.predict, facts, waits=not model.batcher.inline)

    def predictor(self, model: Model, method: str) -> Predictor:
        """The core for one method of the service that `model` answers."""
        return Predictor(model.bindings[method], model, self.contract.rules, self.admission)

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

    def close(self, seconds: float) -> None:
        """Answer what is queued and end the models' threads and workers; a thread that hangs is left to the end of the process."""
        for model in self.models:
            model.close(seconds)


def load_registry(contract: Contract, settings: ServerSettings) -> Registry:
    """Load the newest version of the model of every service. Raises ModelError for the first that cannot be served."""
    repository = Repository(settings.models)
    models: list[Model] = []
    try:
        for service in contract.services:
            bundle = repository.read(service.model, repository.latest(service.model))
            models.append(load_model(bundle, contract, service, settings))
    except ModelError:
        for model in models:
            model.close(0.0)
        raise
    return Registry(contract, models, Admission())
