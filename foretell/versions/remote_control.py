"""Reads and changes the route table of another machine through the control service of a server there."""

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from foretell_contract.contract import load_control
from foretell_contract.errors import SetupError
from grpc_server.changes.convergence import Convergence, open_channel
from grpc_server.changes.route_changes import MOST_REASON, ChangeRequest, ChangeResult, ProgressListener
from grpc_server.store.route_table import HistoryEntry, RouteTable, Verb
from grpc_server.transport.tls import Trust

_SECONDS = 3600.0
"""Timeout of a call. The server limits the time of each gate."""

_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class ControlClient:
    """Client of foretell.v1.ControlService at HOST:PORT. Use it in a `with` block; calls block."""

    def __init__(self, target: str, trust: Trust) -> None:
        """Raises SetupError for unreadable certificates."""
        self._target = target
        self._trust = trust
        self._methods = {method.name: method for service in load_control().services for method in service.methods}
        self._channel = open_channel(target, trust)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def stream(self, method_name: str, /, **fields: Any) -> Iterator[Any]:
        """All responses of a method. Raises SetupError with the server's details, or if no server answers."""
        method = self._methods[method_name]
        request: Message = method.request(**fields)
        call: Any = self._channel.unary_stream(method.path)  # A single response is a stream of one.
        answered = False
        try:
            for answer in call(request.SerializeToString(), timeout=_SECONDS):
                answered = True
                yield method.response.FromString(answer)
        except grpc.RpcError as error:
            raise SetupError(self._explain(error, started=answered)) from None
        if not answered:
            raise SetupError(f"{self._target} has an incompatible control service: use the same version of Foretell here and there")

    def _explain(self, error: Any, *, started: bool) -> str:
        code = error.code()
        if started and code in _GONE:
            return f"{self._target} stopped answering during the change: check with `foretell history` whether it was made"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return (
                f"{self._target} has no control service: give the address that `foretell serve --control HOST:PORT` opens there, "
                "or leave out --target to change the local repository"
            )
        if code in _GONE:
            return self._trust.problem(self._target, error) or f"no control service answers at {self._target}"
        return str(error.details())

    def routes(self, name: str) -> RouteTable:
        """The route table of a model. Raises SetupError for an unknown model."""
        *_, answer = self.stream("History", name=name)
        canary = {"version": answer.canary, "share": answer.canary_share} if answer.canary else None
        facts = {"generation": answer.generation, "aliases": dict(answer.aliases), "canary": canary}
        history = tuple(_history_entry(change) for change in answer.changes)
        return RouteTable.model_validate(
            facts | {"shadow": answer.shadow or None, "retired": tuple(answer.retired), "history": history}
        )

    def change(
        self, name: str, request: ChangeRequest, verb: Verb, fields: Mapping[str, Any], on_progress: ProgressListener
    ) -> ChangeResult:
        """Makes a route change as the method `verb` of RouteChanger, with its arguments. Raises SetupError if it is refused."""
        wish: dict[str, Any] = {"who": request.author, "why": request.reason[:MOST_REASON], "generation": request.generation}
        wish |= {"no_check": not request.check, "no_wait": not request.wait}
        for answer in self.stream("Apply", **{verb: {"name": name, "wish": wish, **fields}}):
            if answer.HasField("passage"):
                on_progress(answer.passage.stage, answer.passage.gate)
        if not answer.HasField("changed"):
            raise SetupError(f"{self._target} did not report the result: check it with `foretell history {name}`")
        changed = answer.changed
        convergence = Convergence(changed.outcome, changed.verdict, tuple(changed.servers))
        return ChangeResult(changed.generation, dict(changed.aliases), changed.done, convergence)


def _history_entry(change: Any) -> HistoryEntry:
    facts = {name: getattr(change, name) for name in ("generation", "who", "why", "what")}
    facts |= {name: getattr(change, name) or None for name in ("alias", "from", "to")}
    share = change.share if change.HasField("share") else None
    return HistoryEntry.model_validate(facts | {"when": change.when.ToDatetime(UTC), "share": share})
