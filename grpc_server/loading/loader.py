"""From a version on disk to a version in memory, inline or in worker processes that load it again."""

from collections.abc import Callable, Sequence
from itertools import repeat

from foretell_contract.contract import Contract
from foretell_contract.diff.contract_revision import contract_revision
from foretell_contract.service import Service
from grpc_server.calls.admission import Admission
from grpc_server.calls.batcher import Batcher
from grpc_server.checks.gates import Gate, Gates
from grpc_server.errors import ModelError
from grpc_server.loading.candidate_trial import CandidateTrial
from grpc_server.loading.examined_bundle import ExaminedBundle, examine, measured
from grpc_server.loading.preload import preload_formats
from grpc_server.loading.version import Model, Version
from grpc_server.rows.answer_bounds import answer_bounds
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Bundle, Repository
from grpc_server.workers.cost import Cost, Placement, cores, placement
from grpc_server.workers.pool import Pool
from grpc_server.workers.worker_process import Origin


class Loader:
    """Loads the versions of one model. Thread-safe; each load blocks."""

    def __init__(self, name: str, contract: Contract, settings: ServerSettings, admission: Admission) -> None:
        self.name = name
        self.settings = settings
        self.services: tuple[Service, ...] = tuple(service for service in contract.services if service.model == name)
        self.revision = contract_revision(contract, name)
        self._contract = contract
        self._admission = admission

    def trial(self, version: str, on_gate: Callable[[Gate], None], *, returns: bool) -> CandidateTrial:
        """A trial of a version in a candidate process. Raises ModelError if the process cannot be started."""
        return CandidateTrial(self.name, version, self._contract, self.settings, on_gate, returns=returns)

    def load(self, version: str, gates: Gates, costs: Sequence[Cost] = (), *, as_shadow: bool = False) -> Version:
        """Pass a version through all gates but REVISION.

        `costs` is the result of its trial, one for each service; without it, the version is measured here. Raises ModelError with
        the gate; no process is then left.
        """
        with gates(Gate.DIGEST):
            bundle = Repository(self.settings.models).read(self.name, version)
        models: list[Model] = []
        try:
            for service, cost in zip(self.services, costs or repeat(None), strict=False):
                models.append(load_model(bundle, self._contract, service, self.settings, gates, cost, as_shadow=as_shadow))
        except ModelError:
            for model in models:
                model.close(0.0)
            raise
        return Version(models, self._contract.rules, Admission() if as_shadow else self._admission)


def load_model(
    bundle: Bundle,
    contract: Contract,
    service: Service,
    settings: ServerSettings,
    gates: Gates,
    cost: Cost | None = None,
    *,
    as_shadow: bool = False,
) -> Model:
    """Pass a verified bundle through the gates from LOAD to WARM_UP, for one service.

    `cost` is what a candidate process has measured; without it, the model is measured here. A shadow runs in a single worker of
    low priority, whatever it costs. Raises ModelError; no process is then left.
    """
    examined = examine(bundle, contract, service, settings, gates)
    if cost is None:
        with gates(Gate.WARM_UP):
            cost = measured(examined, settings)
    placed = Placement.PROCESS if as_shadow else placement(cost, settings.placement)
    pool = None
    if placed is Placement.PROCESS:
        with gates(Gate.WARM_UP):
            pool = _pool(examined, settings, as_shadow=as_shadow)
    runners = pool.runners if pool else [examined.predict]
    bounds = answer_bounds(binding.ranges for binding in examined.bindings.values())
    limits = {"max_rows": settings.max_batch_rows, "max_waiting": settings.max_queue_rows}
    batcher = Batcher(runners, **limits, inline=pool is None, accept=bounds.accepts, patience=cost.patience)
    facts = (bundle.name, bundle.version, bundle.manifest, service, examined.bindings)
    return Model(*facts, batcher, cost, placed, len(runners), pool)


def _pool(examined: ExaminedBundle, settings: ServerSettings, *, as_shadow: bool) -> Pool:
    preload_formats(settings.models)
    bundle = examined.bundle
    return Pool(
        Origin(settings.models, bundle.name, bundle.version, bundle.manifest.digest, examined.outputs, low_priority=as_shadow),
        examined.sample,
        workers=1 if as_shadow else cores() if settings.workers == "auto" else settings.workers,
        seconds=settings.worker_seconds,
        max_megabytes=settings.worker_max_mb,
        spare=not as_shadow,  # No caller waits for a shadow.
    )
