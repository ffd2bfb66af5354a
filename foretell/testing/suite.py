"""The checks of `foretell test`, and the server that they run on."""

import asyncio
import http.client
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from foretell.serve.process_layout import Role
from foretell.serve.supervised_process import ProcessEnded, SupervisedProcess
from foretell.testing.callers import GrpcCaller, RestCaller, open_channel
from foretell.testing.case import CheckResult
from foretell.testing.contract_cases import contract_cases
from foretell.testing.golden_cases import golden_cases
from foretell.testing.openapi_conformance import OpenApiConformance
from foretell.testing.reflected_contract import reflected_contract, served_services
from foretell.testing.verifier import Verifier
from foretell_contract.contract import Contract, load
from foretell_contract.errors import SetupError
from foretell_contract.service import Service
from grpc_server.store.repository import Repository
from grpc_server.transport.tls import Trust

OPENAPI = "openapi"
"""Id of the check of the OpenAPI document as a whole."""

_STOP_SECONDS = 20.0
"""Time until a server that was told to stop is killed."""

_NO_JSONSCHEMA = "jsonschema is not installed: pip install 'foretell[test]'"
_NO_REST = "no REST address was given: pass --rest"
_NO_MODELS = "golden rows are in the repository of the models: pass --models to try them on a server elsewhere"


@dataclass(frozen=True, slots=True)
class SuiteOptions:
    """What to test."""

    model: str | None = None
    """Only the services of this model; None for all."""
    target: str | None = None
    """The gRPC server, HOST:PORT; None to start one."""
    rest: str | None = None
    protos: Path | None = None
    """Folder of the contracts; None for the target's own, by reflection, or else the folder `protos`."""
    models: Path | None = None
    """Repository with the golden rows; None for no golden rows of a target, or else the folder `models`."""
    roots: Path | None = None
    """Certificates to trust, PEM; the target then takes encrypted calls."""
    tls: bool = False

    @property
    def trust(self) -> Trust:
        """Whom calls to the target trust."""
        return Trust(self.roots, self.tls)


@dataclass(frozen=True, slots=True)
class Check:
    """One test of a server."""

    id: str
    run: Callable[[Verifier], CheckResult]
    """Blocks until the server has replied."""


class CheckSuite:
    """The checks of a contract. Not safe to use from several threads."""

    def __init__(self, options: SuiteOptions) -> None:
        """Raises SetupError if there is no contract, no service to test, or no server at the target."""
        if options.target is None and options.rest is not None:
            raise SetupError("--rest needs --target: pass the address of the gRPC server too")
        self._options = options
        self._protos, self._models = options.protos or Path("protos"), options.models or Path("models")
        self.contract, served = self._load_contract()
        wanted = [service for service in self.contract.services if options.model in (None, service.model)]
        self.services = [service for service in wanted if options.model or served is None or service.full_name in served]
        by_reflection = options.target is not None and options.protos is None
        self._not_served = [] if by_reflection else [service for service in wanted if service not in self.services]
        if not self.services:
            raise SetupError(f"no service has the model {options.model!r}" if options.model else "no service is served")
        self.log: Path | None = None
        """The log of the server that `connect` started."""

    def checks(self) -> Iterator[Check]:
        """Every check, that of the OpenAPI document first. Raises ModelError if golden rows cannot be read."""
        yield Check(OPENAPI, self._openapi)
        for service in self.services:
            for case in contract_cases(self.contract, service):
                yield Check(case.id, partial(Verifier.verify, case=case))
            yield from self._golden_checks(service)
        where = f"the server at {self._options.target} does not have it" if self._options.target else f"no model in {self._models}"
        for service in self._not_served:
            result = CheckResult(f"{service.full_name}/served", "a service of the contract", "", "answers")
            yield _skipped(replace(result, skipped=f"it is not served: {where}"))

    @contextmanager
    def connect(self) -> Iterator[Verifier]:
        """A verifier for the target, or for a server that runs until the `with` block ends.

        Raises SetupError if the server cannot be started or its REST address cannot be reached.
        """
        options = self._options
        with ExitStack() as stack:
            target, url = options.target, options.rest
            if target is None:
                target, url, self.log = stack.enter_context(_start_server(self._protos, self._models))
            channel = stack.enter_context(open_channel(target, options.trust))
            rest = stack.enter_context(closing(RestCaller(url, options.roots))) if url is not None else None
            openapi = OpenApiConformance(_openapi_document(rest)) if rest is not None and find_spec("jsonschema") else None
            yield Verifier(self.contract, GrpcCaller(channel), rest, openapi)

    def _load_contract(self) -> tuple[Contract, frozenset[str] | None]:
        """The contract, and the names of its served services: None if none is, or the server does not tell."""
        options = self._options
        if options.target is None:
            contract, repository = load(self._protos), Repository(self._models)
            return contract, frozenset(s.full_name for s in contract.services if repository.versions(s.model)) or None
        with open_channel(options.target, options.trust) as channel:
            if options.protos is None:
                return reflected_contract(channel, options.target, options.trust)
            contract = load(self._protos)
            served = served_services(channel, options.target, options.trust)
            return contract, served & {service.full_name for service in contract.services} or None

    def _golden_checks(self, service: Service) -> Iterator[Check]:
        result = CheckResult(f"{service.full_name}/golden", "golden rows are answered as recorded", "", "the recorded answers")
        if self._options.target is not None and self._options.models is None:
            yield _skipped(replace(result, skipped=_NO_MODELS))
            return
        found = list(golden_cases(self.contract, service, Repository(self._models)))
        yield from (Check(case.id, partial(Verifier.verify, case=case)) for case in found)
        if not found:
            yield _skipped(replace(result, skipped=f"the production version of model {service.model!r} has no golden rows"))

    def _openapi(self, verifier: Verifier) -> CheckResult:
        result = CheckResult(OPENAPI, "the document describes every method", "GET /openapi.json", "an OpenAPI 3.1 document")
        if verifier.openapi is None:
            return replace(result, skipped=_NO_REST if verifier.rest is None else _NO_JSONSCHEMA)
        methods = [method for service in self.services for method in service.methods]
        return replace(result, failures=tuple(verifier.openapi.of_document(methods)))


def _skipped(result: CheckResult) -> Check:
    return Check(result.id, lambda _verifier: result)


def _openapi_document(rest: RestCaller) -> object:
    try:
        return rest.request("GET", "/openapi.json").document
    except (OSError, http.client.HTTPException) as error:
        raise SetupError(rest.problem(error)) from None


@contextmanager
def _start_server(protos: Path, models: Path) -> Iterator[tuple[str, str, Path]]:
    """A server and bridge in one process: gRPC on a Unix socket, which no setting encrypts, REST on a free port.

    Yields both addresses, and the log file, which holds the traceback of each internal error. The process ends with the `with`
    block. Raises SetupError if the contracts or models cannot be served.
    """
    with tempfile.TemporaryDirectory(prefix="foretell-test-") as folder, asyncio.Runner() as runner:
        socket, log = Path(folder) / "grpc.sock", Path(folder) / "log"
        settings = {"protos": str(protos), "models": str(models), "grpc_socket": str(socket)}
        settings |= dict.fromkeys(("grpc_address", "http_address"), "127.0.0.1:0")
        role = Role("the server", "foretell.serve.server_and_bridge", settings)
        with log.open("w") as errors:
            process = runner.run(SupervisedProcess.start(role, os.environ, errors))
        try:
            facts = runner.run(process.ready())
            yield f"unix:{socket}", f"http://{facts['http_address']}", log
        except ProcessEnded as ended:
            raise SetupError(str(ended)) from None
        finally:
            runner.run(process.stop(_STOP_SECONDS))
