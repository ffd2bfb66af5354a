"""A record elsewhere, read and changed through the control service of its server."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from foretell_contract.contract import load_control
from foretell_contract.errors import SetupError
from grpc_server.changes.convergence import Convergence, Servers
from grpc_server.changes.route_changes import MOST_WHY, ChangeRequest, Progress, RouteChange
from grpc_server.store.route_table import HistoryEntry, RouteTable
from grpc_server.transport.tls import Trust

_SECONDS = 3600.0
"""Longest wait for a change: the server bounds the time of each gate."""

_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class Remote:
    """foretell.v1.ControlService at HOST:PORT. Use it in a `with` block."""

    def __init__(self, target: str, trust: Trust) -> None:
        """Raises SetupError for certificates that cannot be read."""
        contract = load_control()
        self._target = target
        self._servers = Servers(None, target, contract.message("foretell.v1.ListModelsResponse"), trust)
        self._methods = {method.name: method for service in contract.services for method in service.methods}
        self._channel = self._servers.channel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def ask(self, method_name: str, /, **fields: Any) -> Any:
        """The last response of a method. Raises SetupError with the words of the server, or where none answers."""
        *_, last = self.watch(method_name, **fields)
        return last

    def watch(self, method_name: str, /, **fields: Any) -> Iterator[Any]:
        """All of them, as they come. Raises SetupError as `ask`."""
        method = self._methods[method_name]
        request: Message = method.request(**fields)
        call: Any = self._channel.unary_stream(method.path)  # To gRPC, a response alone is a stream of one.
        answered = False
        try:
            for answer in call(request.SerializeToString(), timeout=_SECONDS):
                answered = True
                yield method.response.FromString(answer)
        except grpc.RpcError as error:
            raise SetupError(self._told(error, begun=answered)) from None
        if not answered:
            raise SetupError(f"{self._target} has another control service than ours")

    def _told(self, error: Any, *, begun: bool) -> str:
        code = error.code()
        if begun and code in _GONE:
            return f"{self._target} was gone before the change came to its end: look with `foretell history` whether it was made"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return (
                f"{self._target} has no control service: give the address that `foretell serve --control HOST:PORT` opens there, "
                "or leave out --target to change the repository at hand"
            )
        if code in _GONE:
            return self._servers.trouble(error) or f"no control service answers at {self._target}"
        return str(error.details())

    def routes(self, name: str) -> RouteTable:
        """The record of a model. Raises SetupError where there is no such model."""
        answer = self.ask("History", name=name)
        canary = {"version": answer.canary, "share": answer.canary_share} if answer.canary else None
        facts = {"generation": answer.generation, "aliases": dict(answer.aliases), "canary": canary}
        history = tuple(_change(change) for change in answer.changes)
        return RouteTable.model_validate(
            facts | {"shadow": answer.shadow or None, "retired": tuple(answer.retired), "history": history}
        )


class RemoteChanger(Remote):
    """The changes of Changer, made there."""

    def __init__(self, target: str, trust: Trust, name: str, wish: ChangeRequest, progress: Progress) -> None:
        super().__init__(target, trust)
        self._progress = progress
        self._name = name
        self._wish: dict[str, Any] = {"who": wish.who, "why": wish.why[:MOST_WHY], "generation": wish.generation}
        self._wish |= {"no_check": not wish.check, "no_wait": not wish.wait}

    def promote(self, version: str, alias: str) -> RouteChange:
        """See Changer."""
        return self._change("promote", version=version, alias=alias)

    def canary(self, version: str, share: float) -> RouteChange:
        """See Changer."""
        return self._change("canary", version=version, share=share)

    def shadow(self, version: str, *, end: bool) -> RouteChange:
        """See Changer."""
        return self._change("shadow", version=version, end=end)

    def rollback(self, alias: str) -> RouteChange:
        """See Changer."""
        return self._change("rollback", alias=alias)

    def retire(self, version: str) -> RouteChange:
        """See Changer."""
        return self._change("retire", version=version)

    def _change(self, kind: str, **fields: Any) -> RouteChange:
        tell = {"passed": self._progress.passed, "refused": self._progress.refused, "reached": self._progress.at}
        for answer in self.watch("Apply", **{kind: {"name": self._name, "wish": self._wish, **fields}}):
            if answer.passage.stage in tell:
                tell[answer.passage.stage](answer.passage.gate)
        if not answer.HasField("changed"):
            raise SetupError(f"{self._target} does not say what became of it: look with `foretell history {self._name}`")
        told = answer.changed
        verdict = Convergence(told.outcome, told.verdict, tuple(told.servers))
        return RouteChange(told.generation, dict(told.aliases), told.done, verdict)


def _change(told: Any) -> HistoryEntry:
    words = {name: getattr(told, name) or None for name in ("alias", "from", "to")}
    share = told.share if told.HasField("share") else None
    return HistoryEntry.model_validate(
        words
        | {"generation": told.generation, "when": told.when.ToDatetime(UTC), "who": told.who, "why": told.why}
        | {"what": told.what, "share": share}
    )
