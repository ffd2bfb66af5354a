"""The start of a served model: production, or else the last version that passes the gates."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError
from grpc_server.loading.loader import Loader
from grpc_server.loading.version import NoVersion, Version
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION, RouteTable
from grpc_server.store.route_table_files import RouteTableFiles
from grpc_server.versions.rollout import FailedRollout
from grpc_server.versions.served_model import ServedModel
from grpc_server.workers.cost import Cost

logger = logging.getLogger(__name__)

GateListener: TypeAlias = Callable[[str, Gate | None], None]
"""Called with a version's title when it reaches a gate; with None while a trial limits its time."""


def open_served_model(loader: Loader, on_gate: GateListener = lambda _title, _gate: None, *, alone: bool = True) -> ServedModel:
    """Loads production of the route table; without one, the version that answered last, or else the newest.

    If a gate refuses it, the version that answered before is loaded instead, and the log says so. A version that never passed the
    gates is first tried in a process of its own, since it may crash or hang this one; the last choice of a server with this model
    `alone` is not. Raises ModelError, with the gate, if no version passes.
    """
    repository = Repository(loader.settings.models)
    files = RouteTableFiles(repository)
    answered = files.answered(loader.name).get(PRODUCTION)
    try:
        routes = files.read(loader.name)
    except ModelError:
        if answered is None:
            raise
        routes = RouteTable()  # The served model reports it.
    candidates = (
        routes.aliases.get(PRODUCTION) or answered or repository.latest(loader.name),
        *routes.rollback_targets(PRODUCTION),
    )
    refused: list[FailedRollout] = []
    errors: list[ModelError] = []
    for version in candidates:
        title = f"model {loader.name!r} version {version}"
        on_gate(title, None)
        try:
            first = _load(loader, version, Gates(title, partial(on_gate, title)), tried=alone and version == candidates[-1])
        except ModelError as error:
            error.gate = error.gate or Gate.DIGEST  # Its folder is missing.
            errors.append(error)
            refused.append(FailedRollout.of(version, routes.generation, error))
            continue
        for one in refused:
            facts = loader.name, one.version, one.gate, one.reason, version
            logger.error("%s: version %s is refused at the gate %s: %s; version %s answers, as before it", *facts)
        return ServedModel(loader, first, routes, refused)
    raise _refusal(loader.name, candidates, errors)


def _load(loader: Loader, version: str, gates: Gates, *, tried: bool) -> Version:
    repository = Repository(loader.settings.models)
    costs: Sequence[Cost] = ()
    if not tried and not repository.passed_gates(loader.name, version):
        costs = loader.trial(version, lambda _gate: None, returns=True).run()
    loaded = loader.load(version, gates, costs)
    repository.remember_passed(loader.name, version, loader.revision)
    return loaded


def _refusal(name: str, versions: Sequence[str], errors: Sequence[ModelError]) -> ModelError:
    """The first error, with the model, its version and the gate."""
    first, title = errors[0], f"model {name!r} version {versions[0]}"
    place = "" if title in str(first) else f"{title}: "
    others = f"; refused too: {', '.join(versions[1:])}" if versions[1:] else ""
    refusal = type(first)(f"{place}{first} (gate {first.gate}{others})")
    refusal.gate = first.gate
    return refusal


def unserved_model(loader: Loader, error: ModelError) -> ServedModel:
    """A model of which no version can be served: its calls are refused until a route change names one that can."""
    logger.error("%s is not served: %s; its calls are refused until a version can be served", loader.name, error)
    repository = Repository(loader.settings.models)
    try:
        routes = RouteTableFiles(repository).read(loader.name)
    except ModelError:
        routes = RouteTable()
    version = routes.aliases.get(PRODUCTION) or repository.latest(loader.name)
    refused = [FailedRollout.of(version, routes.generation, error)] if error.gate else []
    return ServedModel(loader, NoVersion(loader.name, loader.services), routes, refused)
