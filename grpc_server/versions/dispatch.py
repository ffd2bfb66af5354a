"""Handlers of one method that send each call to the version that the routing selects."""

from grpc_server.calls.batcher import Job
from grpc_server.calls.call import Call
from grpc_server.calls.handler import Reply
from grpc_server.calls.predictor import Retired
from grpc_server.calls.refusal import Draining, Refusal
from grpc_server.versions.routing import RoutingTarget
from grpc_server.versions.served_model import ServedModel


class Dispatcher:
    """Handles a unary method: the version selected when the call arrives answers it, also if the routing changes meanwhile."""

    def __init__(self, served: ServedModel, path: str) -> None:
        self._served = served
        self._path = path

    def answer(self, request: bytes, call: Call, reply: Reply) -> Job | None:
        """See Handler."""
        routing = self._served.routing
        copy = None
        if call.choice is None and routing.canary is None and routing.shadow is None:
            target = routing.production
        else:
            try:
                target = routing.target_of(call)
            except Refusal as refusal:
                reply(refusal)
                return None
            if routing.shadow is not None and target is routing.production:
                copy = routing.shadow.watch(self._path, request, call, target.version)
        call.model = target.facts
        try:
            return target.version.predictors[self._path].predict(request, call, reply, copy)
        except Retired:
            return self.answer(request, call, reply)  # The routing changed after it was read.


class StreamDispatcher:
    """Handles a streaming method: the version of the first message answers the whole stream and stays loaded until its end."""

    def __init__(self, served: ServedModel, path: str) -> None:
        self._served = served
        self._path = path

    def answer(self, request: bytes, call: Call, reply: Reply) -> Job | None:
        """See Handler."""
        try:
            target: RoutingTarget = call.pinned or self._pin(call)
            return target.version.predictors[self._path].predict(request, call, reply)
        except Refusal as refusal:
            reply(refusal)
        except Retired:  # A version with streams retires only with the server.
            reply(Draining("the server is stopping; retry elsewhere"))
        return None

    def _pin(self, call: Call) -> RoutingTarget:
        target = self._served.routing.target_of(call)
        while not target.version.pin(call):
            target = self._served.routing.target_of(call)
        call.pinned = target
        call.model = target.facts
        if call.ended:
            target.version.unpin(call)
        return target
