"""The start of a served model: production, or else the last version that passes the gates."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError
from grpc_server.loading.loader import Loader
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import PRODUCTION
from grpc_server.store.route_table_files import RouteTableFiles
from grpc_server.versions.rollout import FailedRollout
from grpc_server.versions.served_model import ServedModel
from grpc_server.workers.cost import Cost

logger = logging.getLogger(__name__)

GateListener: TypeAlias = Callable[[str, Gate | None], None]
"""Called with a version's title when it reaches a gate; with None while a trial limits its time."""


def open_served_model(loader: Loader, on_gate: GateListener = lambda _title, _gate: None) -> ServedModel:
    """Loads the production version of the route table, else the newest version.

    If a gate refuses it, the version that was production before is loaded instead, and the log says so. A version that never passed
    the gates is first tried in a process of its own, since it may crash or hang this one. Raises ModelError if no version passes or
    the route table cannot be read.
    """
    repository = Repository(loader.settings.models)
    routes = RouteTableFiles(repository).read(loader.name)
    first_choice = routes.aliases.get(PRODUCTION) or repository.latest(loader.name)
    refused: list[FailedRollout] = []
    errors: list[ModelError] = []
    candidates = (first_choice, *routes.rollback_targets(PRODUCTION))
    for version in candidates:
        costs: Sequence[Cost] = ()
        title = f"model {loader.name!r} version {version}"
        on_gate(title, None)
        try:
            if version != candidates[-1] and not repository.passed_gates(loader.name, version):
                costs = loader.trial(version, lambda _gate: None, returns=True).run()
            first = loader.load(version, Gates(title, partial(on_gate, title)), costs)
        except ModelError as error:
            error.gate = error.gate or Gate.DIGEST  # Its folder is missing.
            errors.append(error)
            refused.append(FailedRollout.of(version, routes.generation, error))
            continue
        repository.remember_passed(loader.name, version)
        for one in refused:
            logger.error("%s: version %s is refused at the gate %s: %s", loader.name, one.version, one.gate, one.reason)
        return ServedModel(loader, first, routes, refused[0] if refused else None)
    raise errors[0]
