"""Waits until the running servers of a repository have applied a route change."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from foretell_contract.contract import MODEL_SERVICE
from foretell_contract.errors import SetupError
from grpc_server.changes import peers
from grpc_server.transport.tls import UNENCRYPTED, Trust

_POLL_SECONDS = 0.1

_SECONDS = 5.0
"""Time in which a server must have read a changed route table; also the timeout of each call."""

_GLANCE_SECONDS = 1.0
"""Timeout of a call before a change, which a server that hangs must not delay."""

_OPTIONS = [("grpc.enable_http_proxy", 0)]

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

ConvergenceOutcome: TypeAlias = Literal["served", "refused", "unfollowed", "no server", "not waited for"]


@dataclass(frozen=True, slots=True)
class Convergence:
    """What the running servers did with a route change: the names of those that serve it, or the gate that refused it."""

    outcome: ConvergenceOutcome
    """`unfollowed` if a server reads another repository, or has not read the change in time."""
    text: str
    servers: tuple[str, ...] = ()
    """Those that serve it, also if others refused it."""
    gate: str = ""


NOT_WAITED = Convergence("not waited for", "")


class Servers:
    """Calls the servers of a repository: those with control sockets in `folder`, or else the one at `target`. Blocking."""

    def __init__(self, folder: Path | None, target: str, response_type: type[Message], trust: Trust = UNENCRYPTED) -> None:
        """`response_type` is the class of foretell.v1.ListModelsResponse; `trust` is for the calls to `target`."""
        self._folder = folder
        self.target = target
        self.trust = trust
        self.response_type = response_type

    def wait_for(self, name: str, generation: int, version: str | None, on_gate: Callable[[str], None]) -> Convergence:
        """Blocks until every server has applied `generation` of the route table of model `name`, or refused it.

        `version` is the version that the change names, if any; `on_gate` is called with each gate that it reaches.
        """
        with self._connect() as servers:
            waits = [_ServerWait(server, name, generation, version) for server in servers]
            pending, end = waits, time.monotonic() + _SECONDS
            gates: list[str] = []
            while pending := [wait for wait in pending if wait.poll(late=time.monotonic() > end)]:
                for gate in (wait.gate for wait in pending):
                    if gate and gate not in gates:
                        gates.append(gate)
                        on_gate(gate)
                time.sleep(_POLL_SECONDS)
        results = [wait.result for wait in waits if wait.result is not None]
        followers = tuple(server for result in results for server in result.servers)
        failures = [result for outcome in ("refused", "unfollowed") for result in results if result.outcome == outcome]
        if failures:
            return replace(failures[0], servers=followers)
        if not results:
            return Convergence("no server", f"no server answers at {self.target}: the next one to start serves this")
        follows = "follows" if len(followers) == 1 else "follow"
        return Convergence("served", f"{' and '.join(followers)} {follows} generation {generation}", followers)

    def list_models(self) -> Message | None:
        """The ListModelsResponse of the first server that answers, if any.

        Raises SetupError if the target is no Foretell server or needs other credentials.
        """
        with self._connect() as servers:
            return next((answer for server in servers if (answer := server.list_models()) is not None), None)

    def list_all(self) -> list[Any]:
        """The ListModelsResponse of each server that answers at once."""
        listed = []
        with self._connect() as servers:
            for server in servers:
                with suppress(SetupError):  # No server that follows this repository, as far as one can see.
                    listed.append(server.list_models(_GLANCE_SECONDS))
        return [answer for answer in listed if answer is not None]

    @contextmanager
    def _connect(self) -> Iterator[list["_Server"]]:
        with ExitStack() as opened:
            found = peers.running(self._folder) if self._folder else []
            yield [
                _Server(peer.name, opened.enter_context(open_channel(opened.enter_context(peers.address(peer.socket)))), self, peer)
                for peer in found
            ] or [_Server(f"the server at {self.target}", opened.enter_context(open_channel(self.target, self.trust)), self)]


def open_channel(target: str, trust: Trust = UNENCRYPTED) -> grpc.Channel:
    """A channel to a server. Raises SetupError for unreadable certificates."""
    credentials = trust.credentials()
    return grpc.secure_channel(target, credentials, _OPTIONS) if credentials else grpc.insecure_channel(target, _OPTIONS)


@dataclass(slots=True)
class _Server:
    """One server, running or not."""

    name: str
    channel: grpc.Channel
    servers: Servers
    peer: peers.Peer | None = None

    def list_models(self, seconds: float = _SECONDS) -> Any:
        """Its ListModelsResponse; None if it does not answer. Raises SetupError as `Servers.list_models`."""
        call: Any = self.channel.unary_unary(f"/{MODEL_SERVICE}/ListModels")
        try:
            return self.servers.response_type.FromString(call(b"", timeout=seconds))
        except grpc.RpcError as error:
            if error.code() in _AWAY:
                trouble = "" if self.peer else self.servers.trust.problem(self.servers.target, error)
                if trouble:
                    raise SetupError(trouble) from None
                return None
            raise SetupError(f"{self.name} is no Foretell server ({error.code().name})") from None
        except DecodeError:
            raise SetupError(
                f"{self.name} has an incompatible ModelService: use the same version of Foretell here and there"
            ) from None


@dataclass(slots=True)
class _ServerWait:
    """The wait until one server has applied a route change."""

    server: _Server
    model: str
    generation: int
    version: str | None
    gate: str = ""
    result: Convergence | None = None

    def poll(self, *, late: bool) -> bool:
        """Calls the server once; returns whether to poll again. If it is `late`, a server on an older generation is unfollowed."""
        try:
            answer = self.server.list_models()
        except SetupError as error:  # The change is durable all the same.
            self.result = Convergence("unfollowed", str(error))
            return False
        if answer is not None:
            self.result = self._evaluate(answer, late)
        elif self.server.peer is None or not peers.alive(self.server.peer):
            return False  # There is no process to wait for.
        elif late:
            self.result = Convergence("unfollowed", f"{self.server.name} does not answer")
        return self.result is None

    def _evaluate(self, answer: Any, late: bool) -> Convergence | None:
        name = self.server.name
        following = next((following for following in answer.following if following.name == self.model), None)
        if following is None or following.generation < self.generation:
            state = "hosts no such model" if following is None else f"is at generation {following.generation}"
            return Convergence("unfollowed", f"{name} {state}: does it read another repository?") if late else None
        if self.version and following.loading == self.version:
            self.gate = following.gate
            return None
        refused = following.refused
        if self.version and refused.version == self.version and refused.generation >= self.generation:
            text = f"{name} refused version {self.version} at the gate {refused.gate}: {refused.reason}"
            return Convergence("refused", text, gate=refused.gate)
        if self.version and following.loading and not self._is_loaded(answer, following):
            return None  # A server loads one version after the other.
        return Convergence("served", "", (name,))

    def _is_loaded(self, answer: Any, following: Any) -> bool:
        listed = {(model.name, model.version) for model in answer.models}
        return (self.model, self.version) in listed or following.shadow.version == self.version
