"""Trying a version before it is let near what is served: in a process of its own, a limited time at each gate."""

import contextlib
import json
import select
import signal
import socket
from collections.abc import Callable
from typing import Any

from foretell_contract.contract import Contract
from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.settings import ServerSettings
from grpc_server.workers.budget import Budget
from grpc_server.workers.cost import Cost
from grpc_server.workers.fork_server import ForkServer

BACK = 10
"""How far candidates stand back: they get a tenth of the time of a process that serves, if both want it."""

_START_SECONDS = 60.0
"""Longest time from the start of the process to the first gate."""

_LAST_SECONDS = 5.0
"""Longest time between the last word of the process and its end."""


class Trial:
    """One version at the gates. `run` it once, from one thread; any thread may `stop` it."""

    def __init__(
        self,
        name: str,
        version: str,
        contract: Contract,
        settings: ServerSettings,
        forks: ForkServer,
        tell: Callable[[Gate], None],
        *,
        returns: bool = False,
    ) -> None:
        """Start the process; `tell` is called at each gate. One that `returns` has answered before: it need not pass REVISION.

        Raises ModelError where no process can be started.
        """
        self._place = f"model {name!r} version {version}"
        self._contract = contract
        self._settings = settings
        self._tell = tell
        self._gate: Gate | None = None
        self._received = b""
        told = settings.model_dump(mode="json")
        facts = {"models": told["models"], "name": name, "version": version, "settings": told, "returns": returns}
        try:
            self._process = forks.fork("candidate", facts)
        except OSError as error:
            raise ModelError(f"no process for {self._place}: {error.strerror or error}") from None

    def run(self) -> list[Cost]:
        """Wait for the verdict: what a run costs, for each service that the version answers. Raises ModelError with its gate."""
        try:
            return self._verdict()
        except ModelError as error:
            error.gate = error.gate or self._gate or Gate.LOAD
            raise
        finally:
            self.stop()
            self._process.close()

    def stop(self) -> None:
        """End the process, and what it has started, at once; `run` then raises ModelError."""
        self._process.kill()

    def _verdict(self) -> list[Cost]:
        budget = self._budget(_START_SECONDS)
        self._hand_over()
        while True:
            facts = self._next(budget)
            if "costs" in facts:
                return [Cost(*seconds) for seconds in facts["costs"]]
            if "refused" in facts:
                refusal = ModelMismatch(facts["refused"])
                refusal.gate = facts["gate"]
                raise refusal
            self._gate = Gate(facts["gate"])
            budget = self._budget(self._settings.gate_seconds)
            self._tell(self._gate)

    def _hand_over(self) -> None:
        """The contract, as it is served: whoever compiles it again takes the time of what serves, or finds another on the disk."""
        with contextlib.suppress(OSError):  # Whoever has ended says nothing either: see _receive.
            self._process.line.sendall(self._contract.descriptor_set)
            self._process.line.shutdown(socket.SHUT_WR)

    def _budget(self, seconds: float) -> Budget:
        return Budget(self._process.pid, seconds, lambda: self._process.paused.seconds)

    def _next(self, budget: Budget) -> dict[str, Any]:
        while b"\n" not in self._received:
            left = budget.left
            if left <= 0:
                limit = f"gate_seconds, {self._settings.gate_seconds:g} s" if self._gate else f"{_START_SECONDS:g} s"
                busy = f", of which a busy machine left it {budget.own:.1f} s" if budget.taken >= budget.most else ""
                raise ModelMismatch(f"{self._place} took longer than {limit}: {budget.taken:.1f} s{busy}")
            if select.select([self._process.line], [], [], left)[0]:
                self._receive()
        line, _, self._received = self._received.partition(b"\n")
        facts: dict[str, Any] = json.loads(line)
        return facts

    def _receive(self) -> None:
        received = self._process.line.recv(65536)
        if not received:
            raise ModelMismatch(f"{self._place} {self._end()}")
        self._received += received

    def _end(self) -> str:
        try:
            code = self._process.wait(_LAST_SECONDS)
        except TimeoutError:
            return "closed the line to the server"
        return f"ended its process by signal {signal.Signals(-code).name}" if code < 0 else f"ended its process with code {code}"
