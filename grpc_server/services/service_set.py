"""All services of one port: its own methods, the list of models, health, reflection."""

from collections.abc import Iterable

from foretell_contract.contract import MODEL_SERVICE, Contract
from grpc_server.calls.handler import Handler
from grpc_server.services.health import Health
from grpc_server.services.model_list import list_models_handler
from grpc_server.services.reflection import reflection_handlers
from grpc_server.versions.registry import Registry


class ServiceSet:
    """The handlers of a port, for any engine that runs handlers: a transport, a channel in this process, another gRPC server.

    The engine calls `run_waiting` of the registry when it has taken the calls that arrived (see InlineModels). It calls `follow` of
    the registry before the first call, and `health.set_stopping` when it drains.
    """

    def __init__(
        self, own: Iterable[Handler], services: Iterable[str], registry: Registry, contract: Contract, *, reflection: bool = True
    ) -> None:
        """`own` handles the `services` of `contract`; the list of models is the registry's."""
        names = [*services, MODEL_SERVICE]
        self.health = Health(names)
        self.handlers = [*own, list_models_handler(registry), *self.health.handlers()]
        if reflection:
            self.handlers += reflection_handlers(names, contract.pool)

    @classmethod
    def of_models(cls, registry: Registry, *, reflection: bool = True) -> "ServiceSet":
        """The services of the registry's models. Those without a version that can be served are NOT_SERVING meanwhile."""
        owners = {service.full_name: served for served in registry.served_models for service in served.services}
        services = cls(registry.handlers(), owners, registry, registry.contract, reflection=reflection)

        def report() -> None:
            for name, served in owners.items():
                services.health.set_serving(name, serving=served.serves)

        registry.on_change = report
        report()
        return services
