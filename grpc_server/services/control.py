"""ControlService: route changes and their history over gRPC, made by the same code as those of the commands."""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from foretell_contract.contract import Contract
from foretell_contract.rows.unknown_fields import UnknownFields
from foretell_contract.service import Method, Shape
from grpc_server.calls.call import Call
from grpc_server.calls.handler import Answer, Handler, Kind, Last, Reply, check, parse
from grpc_server.calls.refusal import ChangeConflict, ChangeImpossible, Refusal, UnknownModel, failure
from grpc_server.changes.convergence import Servers
from grpc_server.changes.route_changes import ChangeRequest, ChangeResult, GateStage, ProgressListener, RouteChanger
from grpc_server.errors import GenerationConflict, ModelError, ModelNotFound
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION
from grpc_server.store.route_table_files import RouteTableFiles

logger = logging.getLogger(__name__)

_CHANGES: dict[str, Callable[[RouteChanger, Any], ChangeResult]] = {
    "Promote": lambda changer, request: changer.promote(request.version, request.alias or PRODUCTION),
    "Rollback": lambda changer, request: changer.rollback(request.alias or PRODUCTION),
    "Canary": lambda changer, request: changer.canary(request.version, request.share),
    "Shadow": lambda changer, request: changer.shadow(request.version, end=request.end),
    "Retire": lambda changer, request: changer.retire(request.version),
}


@dataclass(frozen=True, slots=True)
class Control:
    """Answers ControlService, each call on a thread of its own, because a route change takes seconds. Safe for threads."""

    contract: Contract
    settings: ServerSettings
    servers: Servers

    def handlers(self) -> Iterable[Handler]:
        """Of all methods."""
        for service in self.contract.services:
            for method in service.methods:
                kind = Kind.WATCH if method.shape is Shape.WATCH else Kind.UNARY
                yield Handler(method.path, kind, partial(self._answer, method))

    def _answer(self, method: Method, request: bytes, call: Call, reply: Reply) -> None:
        def run() -> None:
            reply(self._outcome(method, request, call, reply))

        threading.Thread(target=run, name="control", daemon=True).start()  # A stopping server does not wait for gates.

    def _outcome(self, method: Method, request: bytes, call: Call, reply: Reply) -> Answer:
        try:
            message: Any = parse(method.request, request)
            check(message, self.contract.rules, UnknownFields(method.input))
            if method.name == "History":
                return bytes(self._history(method, message).SerializeToString())
            if method.name != "Apply":
                return bytes(method.response(**self._change(method.name, message)).SerializeToString())
            kind = message.WhichOneof("change")

            def on_progress(stage: GateStage, gate: str) -> None:
                reply(method.response(passage={"gate": gate, "stage": stage}).SerializeToString())

            changed = self._change(kind.capitalize(), getattr(message, kind), on_progress)
            return Last(method.response(changed=changed).SerializeToString())
        except Refusal as refusal:
            return refusal
        except ModelError as error:
            return _refusal(error)
        except Exception as error:
            return failure(logger, method.full_name, call, error)

    def _change(self, name: str, request: Any, on_progress: ProgressListener = lambda _stage, _gate: None) -> dict[str, Any]:
        """The fields of a Changed message."""
        options = request.wish
        generation = options.generation if options.HasField("generation") else None
        change = ChangeRequest(
            f"{options.who or 'somebody'} (control)", options.why, generation, check=not options.no_check, wait=not options.no_wait
        )
        changed = _CHANGES[name](RouteChanger(request.name, self.settings, self.servers, change, on_progress), request)
        facts = {"generation": changed.generation, "done": changed.done, "aliases": dict(changed.aliases)}
        convergence = changed.convergence
        return facts | {"outcome": convergence.outcome, "verdict": convergence.text, "servers": convergence.servers}

    def _history(self, method: Method, request: Any) -> Any:
        repository = Repository(self.settings.models)
        repository.latest(request.name)
        routes = RouteTableFiles(repository).read(request.name)
        canary = {"canary": routes.canary.version, "canary_share": routes.canary.share} if routes.canary else {}
        facts = {"generation": routes.generation, "aliases": routes.aliases, "shadow": routes.shadow, "retired": routes.retired}
        response: Any = method.response(**facts, **canary)
        for change in routes.history:
            fields = change.model_dump(exclude={"when"}, exclude_none=True)
            response.changes.add(**fields).when.FromDatetime(change.when)
        return response


def _refusal(error: ModelError) -> Refusal:
    facts = {"gate": error.gate} if error.gate else {}
    kind = {ModelNotFound: UnknownModel, GenerationConflict: ChangeConflict}.get(type(error), ChangeImpossible)
    return kind(str(error), facts=facts)
