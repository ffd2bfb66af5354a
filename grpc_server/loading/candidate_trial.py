"""The trial of a version in a candidate process, as the server sees it: limited in time at each gate."""

import json
import signal
from collections.abc import Callable
from io import BufferedReader
from typing import Any

from foretell_contract.contract import Contract
from grpc_server.checks.gates import Gate
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.loading import candidate_process
from grpc_server.loading.preload import preload_formats
from grpc_server.settings import ServerSettings
from grpc_server.workers.cost import Cost
from grpc_server.workers.model_process import ModelProcess

_START_SECONDS = 60.0
"""Longest time from the start of the process to the first gate."""

_END_SECONDS = 5.0
"""Longest time from the last report of the process to its end."""


class CandidateTrial:
    """One version at the gates. `run` it once, from one thread, which blocks; any thread may `stop` it."""

    def __init__(
        self,
        name: str,
        version: str,
        contract: Contract,
        settings: ServerSettings,
        on_gate: Callable[[Gate], None],
        *,
        returns: bool = False,
    ) -> None:
        """Start the process; `on_gate` is called at each gate. A version that `returns` has been served before and skips REVISION.

        Raises ModelError if the process cannot be started.
        """
        self._place = f"model {name!r} version {version}"
        self._gate_seconds = settings.gate_seconds
        self._on_gate = on_gate
        self._gate: Gate | None = None
        preload_formats(settings.models)
        arguments = (name, version, settings.model_dump(mode="json"), contract.descriptor_set, returns)
        try:
            self._process = ModelProcess(candidate_process.main, *arguments)
        except OSError as error:
            raise ModelError(f"no process for {self._place}: {error.strerror or error}") from None

    def run(self) -> list[Cost]:
        """Wait for the result: the cost of a run for each service that the version answers. Raises ModelError with its gate."""
        try:
            with self._process.line.makefile("rb") as reports:
                return self._result(reports)
        except ModelError as error:
            error.gate = error.gate or self._gate or Gate.LOAD
            raise
        finally:
            self._process.close()

    def stop(self) -> None:
        """Kill the process and what it has started; `run` then raises ModelError."""
        self._process.kill()

    def _result(self, reports: BufferedReader) -> list[Cost]:
        limit, seconds = f"{_START_SECONDS:g} s", _START_SECONDS
        while True:
            report = self._next(reports, limit, seconds)
            if "costs" in report:
                return [Cost(*costs) for costs in report["costs"]]
            if "refused" in report:
                refusal = ModelMismatch(report["refused"])
                refusal.gate = report["gate"]
                raise refusal
            self._gate = Gate(report["gate"])
            self._on_gate(self._gate)
            limit, seconds = f"gate_seconds, {self._gate_seconds:g} s", self._gate_seconds

    def _next(self, reports: BufferedReader, limit: str, seconds: float) -> Any:
        self._process.line.settimeout(seconds)
        try:
            line = reports.readline()
        except TimeoutError:
            raise ModelMismatch(f"{self._place} took longer than {limit}") from None
        if not line.endswith(b"\n"):
            raise ModelMismatch(f"{self._place} {self._end()}")
        return json.loads(line)

    def _end(self) -> str:
        try:
            code = self._process.wait(_END_SECONDS)
        except TimeoutError:
            return "closed the line to the server"
        return f"ended its process by signal {signal.Signals(-code).name}" if code < 0 else f"ended its process with code {code}"
