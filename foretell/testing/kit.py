"""Which checks there are for what was asked to be tested, and the server that they are put to."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from foretell.testing.callers import GrpcCaller, RestCaller, open_channel
from foretell.testing.case import Case, Result
from foretell.testing.cases import cases
from foretell.testing.conformance import WITHOUT, Conformance, available
from foretell.testing.golden_cases import golden_cases
from foretell.testing.judge import Judge
from foretell.testing.reflected_contract import reflected, served_services
from foretell.testing.server_under_test import serving
from foretell_contract.contract import Contract, load
from foretell_contract.errors import SetupError
from foretell_contract.service import Service
from grpc_server.store.repository import Repository

OPENAPI = "openapi"
"""Id of the check of the document as a whole."""

_ON_RECORD = "rows whose answers are on record"
_NO_REST = "no address of REST was given: pass --rest"


@dataclass(frozen=True, slots=True)
class KitRequest:
    """What to test."""

    model: str | None = None
    """Only the services that this model answers."""
    target: str | None = None
    """The gRPC server; None to start one."""
    rest: str | None = None
    """Its REST address."""
    protos: Path | None = None
    """The contracts; None for what the server at `target` tells, or the folder `protos`."""
    models: Path | None = None
    """The repository of the golden rows; None for none with a `target`, or the folder `models`."""
    roots: Path | None = None
    """Certificates to trust."""
    tls: bool = False
    """Whether the target takes encrypted calls only; `roots` say so too."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to try."""

    id: str
    run: Callable[[Judge], Result]


class Kit:
    """The checks of a contract. Raises SetupError where there is no contract, or no server to ask for it."""

    def __init__(self, wish: KitRequest) -> None:
        if wish.target is None and wish.rest is not None:
            raise SetupError("--rest goes with --target: give the gRPC server behind it too")
        self._wish = wish
        self.contract, served = self._contract()
        wanted = [service for service in self.contract.services if wish.model in (None, service.model)]
        self.services = [service for service in wanted if wish.model or served is None or service.full_name in served]
        self._left_out = [service for service in wanted if service not in self.services] if wish.protos or not wish.target else []
        if not self.services:
            raise SetupError(
                f"no service is answered by a model {wish.model!r}" if wish.model else "no service of the contract is served"
            )
        self.log: Path | None = None
        """The log of the server that was started, while it runs."""

    def checks(self) -> Iterator[Check]:
        """All of them, those of the document first. Raises ModelError where golden rows cannot be read."""
        yield Check(OPENAPI, self._openapi)
        for service in self.services:
            for case in cases(self.contract, service):
                yield Check(case.id, _put(case))
            yield from self._golden(service)
        where = f"the server at {self._wish.target} does not have it" if self._wish.target else f"no model in {self._models}"
        for service in self._left_out:
            yield _skip(f"{service.full_name}/served", f"it is not served: {where}", "a service of the contract", "answers")

    @contextmanager
    def judging(self) -> Iterator[Judge]:
        """Puts cases to the server, which is started unless there is a target. Raises SetupError where it cannot be had."""
        wish = self._wish
        with ExitStack() as held:
            target, rest = wish.target, wish.rest
            if target is None:
                started = held.enter_context(serving(self._protos, self._models))
                target, rest, self.log = started.grpc, started.rest, started.log
            channel = held.enter_context(open_channel(target, wish.roots, tls=wish.tls))
            door = RestCaller(rest, wish.roots) if rest is not None else None
            conformance = None
            if door is not None:
                held.callback(door.close)
                conformance = Conformance(_document(door, str(rest))) if available() else None
            yield Judge(self.contract, GrpcCaller(channel), door, conformance)

    @property
    def _protos(self) -> Path:
        return self._wish.protos or Path("protos")

    @property
    def _models(self) -> Path:
        return self._wish.models or Path("models")

    def _contract(self) -> tuple[Contract, frozenset[str] | None]:
        """And those of its services that are served; None for all, where none is or nothing tells them."""
        wish = self._wish
        if wish.target is None:
            contract, repository = load(self._protos), Repository(self._models)
            return contract, frozenset(s.full_name for s in contract.services if repository.versions(s.model)) or None
        with open_channel(wish.target, wish.roots, tls=wish.tls) as channel:
            if wish.protos is None:
                return reflected(channel, wish.target)
            contract = load(self._protos)
            return contract, served_services(channel) & {service.full_name for service in contract.services} or None

    def _golden(self, service: Service) -> Iterator[Check]:
        if self._wish.target is not None and self._wish.models is None:
            why = "golden rows are in the repository of the models: pass --models to try them on a server elsewhere"
            yield _skip(f"{service.full_name}/golden", why)
            return
        found = list(golden_cases(self.contract, service, Repository(self._models)))
        yield from (Check(case.id, _put(case)) for case in found)
        if not found:
            yield _skip(f"{service.full_name}/golden", f"version on record of model {service.model!r} has no golden rows")

    def _openapi(self, judge: Judge) -> Result:
        result = Result(OPENAPI, "the document describes every method", "GET /openapi.json", "an OpenAPI 3.1 document")
        if judge.conformance is None:
            return replace(result, skipped=_NO_REST if judge.rest is None else WITHOUT)
        methods = [method for service in self.services for method in service.methods]
        return replace(result, faults=tuple(judge.conformance.of_contract(methods)))


def _put(case: Case) -> Callable[[Judge], Result]:
    return lambda judge: judge.judge(case)


def _skip(name: str, why: str, what: str = _ON_RECORD, expected: str = "the answers on record") -> Check:
    return Check(name, lambda _judge: Result(name, what, "", expected, skipped=why))


def _document(door: RestCaller, url: str) -> object:
    try:
        return door.request("GET", "/openapi.json").document
    except (OSError, http.client.HTTPException) as error:
        raise SetupError(f"no REST server answers at {url}: {error}") from None
