"""What running servers make of a change of a record."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from foretell_contract.contract import MODEL_SERVICE
from foretell_contract.errors import SetupError
from grpc_server.changes import peers
from grpc_server.transport.tls import IN_THE_CLEAR, Trust

_EVERY = 0.1
"""Seconds between two questions."""

_SECONDS = 5.0
"""Longest time in which a server that follows a record has read a change of it; and for an answer of it."""

_OPTIONS = [("grpc.enable_http_proxy", 0)]

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

Outcome: TypeAlias = Literal["served", "refused", "unfollowed", "no server", "not waited for"]


@dataclass(frozen=True, slots=True)
class Convergence:
    """The end of the wait."""

    outcome: Outcome
    """`unfollowed` where a server reads another repository, or has not read the change in time."""
    text: str
    """The same, for people."""
    servers: tuple[str, ...] = ()
    """Those that serve the change."""
    gate: str = ""
    """The gate that refused it."""


NOT_WAITED = Convergence("not waited for", "")


class Servers:
    """The servers that follow a repository: those with sockets in `folder`, or else the one at `target`, if any."""

    def __init__(self, folder: Path | None, target: str, response_type: type[Message], trust: Trust = IN_THE_CLEAR) -> None:
        """`response_type` is the class of foretell.v1.ListModelsResponse; `trust` is for the calls to `target`."""
        self._folder = folder
        self._target = target
        self._trust = trust
        self.response_type = response_type

    def verdict(self, name: str, generation: int, version: str | None, tell: Callable[[str], None]) -> Convergence:
        """Wait until each server has done what the record of model `name` asks for since `generation`.

        `version` is what the change asks for, if it asks for one; `tell` is told of the gates that it comes to.
        """
        with self._all() as servers:
            waits = [_Wait(server, name, generation, version) for server in servers]
            start = time.monotonic()
            gates: list[str] = []
            while any([wait.look(late=time.monotonic() > start + _SECONDS) for wait in waits]):  # noqa: C419  # Each is to look.
                for gate in (wait.gate for wait in waits):
                    if gate and gate not in gates:
                        gates.append(gate)
                        tell(gate)
                time.sleep(_EVERY)
        told = [wait.verdict for wait in waits if wait.verdict is not None]
        differing = [verdict for outcome in ("refused", "unfollowed") for verdict in told if verdict.outcome == outcome]
        if differing:
            return differing[0]
        if not told:
            return Convergence("no server", f"{self._nobody()}: the next one to start serves this")
        followers = [server for verdict in told for server in verdict.servers]
        follows = "follows" if len(followers) == 1 else "follow"
        return Convergence("served", f"{' and '.join(followers)} {follows} generation {generation}", tuple(followers))

    def ask(self) -> Message | None:
        """What one of the servers hosts; None where none answers.

        Raises SetupError where something answers that is no Foretell, or that is to be called otherwise.
        """
        with self._all() as servers:
            return next((answer for server in servers if (answer := server.ask()) is not None), None)

    def _nobody(self) -> str:
        return f"no server answers at {self._target}"

    @contextmanager
    def _all(self) -> Iterator[list["_Server"]]:
        with ExitStack() as opened:
            found = peers.peers(self._folder) if self._folder else []
            yield [
                _Server(peer.name, opened.enter_context(_channel(opened.enter_context(peers.address(peer.socket)))), self, peer)
                for peer in found
            ] or [_Server(f"the server at {self._target}", opened.enter_context(self.channel()), self)]

    def channel(self) -> grpc.Channel:
        """To the target."""
        credentials = self._trust.credentials()
        return _channel(self._target) if credentials is None else grpc.secure_channel(self._target, credentials, _OPTIONS)

    def trouble(self, error: grpc.RpcError) -> str:
        """See Trust."""
        return self._trust.trouble(self._target, error)

    def parse(self, answer: bytes) -> Message:
        """The ListModelsResponse. Raises DecodeError."""
        return self.response_type.FromString(answer)


def _channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, _OPTIONS)


@dataclass(slots=True)
class _Server:
    """One that may answer."""

    name: str
    channel: grpc.Channel
    servers: Servers
    peer: peers.Peer | None = None

    @property
    def gone(self) -> bool:
        """Whether it is known that it does not answer any more."""
        return self.peer is None or not peers.alive(self.peer)

    def ask(self) -> Any:
        """What it hosts; None where it does not answer."""
        call: Any = self.channel.unary_unary(f"/{MODEL_SERVICE}/ListModels")
        try:
            return self.servers.parse(call(b"", timeout=_SECONDS))
        except grpc.RpcError as error:
            if error.code() in _AWAY:
                trouble = "" if self.peer else self.servers.trouble(error)
                if trouble:
                    raise SetupError(trouble) from None
                return None
            raise SetupError(f"{self.name} is no Foretell server ({error.code().name})") from None
        except DecodeError:
            raise SetupError(f"{self.name} has another ModelService than ours") from None


@dataclass(slots=True)
class _Wait:
    """For one server to have done what a record asks for."""

    server: _Server
    model: str
    generation: int
    version: str | None
    gate: str = ""
    """At which the version is there."""
    verdict: Convergence | None = None
    over: bool = field(default=False, init=False)

    def look(self, *, late: bool) -> bool:
        """Ask once; whether to ask again. One that has not read the record when it is `late` does not follow it."""
        if not self.over:
            try:
                answer = self.server.ask()
            except SetupError as error:  # The change is on record all the same.
                self.verdict, self.over = Convergence("unfollowed", str(error)), True
                return False
            self.verdict = self._gone(late) if answer is None else self._judge(answer, late)
            self.over = self.verdict is not None or (answer is None and self.server.gone)
        return not self.over

    def _gone(self, late: bool) -> Convergence | None:
        if late and not self.server.gone:
            return Convergence("unfollowed", f"{self.server.name} does not answer")
        return None

    def _judge(self, answer: Any, late: bool) -> Convergence | None:
        name = self.server.name
        following = next((following for following in answer.following if following.name == self.model), None)
        if following is None or following.generation < self.generation:
            seen = "hosts no such model" if following is None else f"is at generation {following.generation}"
            return Convergence("unfollowed", f"{name} {seen}: does it read another repository?") if late else None
        if self.version and following.loading == self.version:
            self.gate = following.gate
            return None
        refused = following.refused
        if self.version and refused.version == self.version and refused.generation >= self.generation:
            text = f"{name} refused version {self.version} at the gate {refused.gate}: {refused.reason}"
            return Convergence("refused", text, gate=refused.gate)
        if self.version and following.loading and not self._is_there(answer, following):
            return None  # Versions are loaded one after the other.
        return Convergence("served", "", (name,))

    def _is_there(self, answer: Any, following: Any) -> bool:
        listed = {(model.name, model.version) for model in answer.models}
        return (self.model, self.version) in listed or following.shadow.version == self.version
