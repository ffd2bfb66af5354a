"""The start of a host: which version answers first."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError
from grpc_server.loading.loader import Loader
from grpc_server.store.gate_cache import GateCache
from grpc_server.store.repository import Repository
from grpc_server.store.route_store import RouteStore
from grpc_server.store.route_table import PRODUCTION
from grpc_server.versions.rollout import FailedRollout, refusal
from grpc_server.versions.served_model import ServedModel
from grpc_server.workers.cost import Cost

logger = logging.getLogger(__name__)

At: TypeAlias = Callable[[str, Gate | None], None]
"""Hears of each gate that a version comes to, named in words; of no gate where its time is limited already."""


def open_served_model(loader: Loader, at: At = lambda _place, _gate: None) -> ServedModel:
    """Load what production is as the server starts: what the record says, else the newest version.

    Where that does not pass the gates, the one before it on record answers in its place, and the log says so. So that it can, a
    version that has never passed them is tried in a process of its own first: it might end or hold up this one. Raises ModelError
    where none can, or the record cannot be read.
    """
    repository = Repository(loader.settings.models)
    routes = RouteStore(repository).read(loader.name)
    asked = routes.aliases.get(PRODUCTION) or repository.latest(loader.name)
    refused: list[FailedRollout] = []
    errors: list[ModelError] = []
    proven = GateCache(repository, loader.name)
    *others, last = (asked, *routes.earlier(PRODUCTION))
    for version in (*others, last):
        costs: Sequence[Cost] = ()
        place = f"model {loader.name!r} version {version}"
        at(place, None)
        try:
            if version in others and not proven.knows(version):
                costs = loader.trial(version, lambda _gate: None, returns=True).run()
            first = loader.load(version, Gates(place, partial(at, place)), costs)
        except ModelError as error:
            error.gate = error.gate or Gate.DIGEST  # It is not even there.
            errors.append(error)
            refused.append(refusal(version, routes.generation, error))
            continue
        proven.note(version)
        for one in refused:
            logger.error("%s: version %s is refused at the gate %s: %s", loader.name, one.version, one.gate, one.reason)
        return ServedModel(loader, first, routes, refused[0] if refused else None)
    raise errors[0]
