"""Models in memory: which model answers which service."""

from contract.contract import Contract
from grpc_server.admission import Admission
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

    def predictor(self, model: Model, method: str) -> Predictor:
        """The core for one method of the service that `model` answers."""
        return Predictor(model.bindings[method], model, self.contract.rules, self.admission)

    def close(self, seconds: float) -> None:
        """Answer what is queued and end the models' threads; one that hangs is left to the end of the process."""
        for model in self.models:
            model.batcher.close(seconds)


def load_registry(contract: Contract, settings: ServerSettings) -> Registry:
    """Load the newest version of the model of every service. Raises ModelError for the first that cannot be served."""
    repository = Repository(settings.models)
    bounds = {"max_rows": settings.max_batch_rows, "max_waiting": settings.max_queue_rows}
    models: list[Model] = []
    for service in contract.services:
        bundle = repository.read(service.model, repository.latest(service.model))
        models.append(load_model(bundle, contract, service, **bounds))
    return Registry(contract, models, Admission())
