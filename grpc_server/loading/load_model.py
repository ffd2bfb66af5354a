"""Brings a bundle into memory, ready for calls: inline, or in worker processes that load it again."""

from collections.abc import Sequence

from foretell_contract.contract import Contract
from foretell_contract.service import Service
from grpc_server.calls.batcher import Batcher, Predict
from grpc_server.checks.gates import Gate, Gates
from grpc_server.loading.examined_bundle import ExaminedBundle, examine, measured
from grpc_server.loading.model import Model
from grpc_server.loading.preload import preload_formats
from grpc_server.settings import ServerSettings
from grpc_server.store.repository import Bundle
from grpc_server.workers.cost import Cost, Placement, cores, placement
from grpc_server.workers.pool import Pool
from grpc_server.workers.worker_process import Origin


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
    if not as_shadow and placement(cost, settings.placement) is Placement.INLINE:
        return _model(examined, _batcher([examined.predict], settings, inline=True), cost, Placement.INLINE)
    with gates(Gate.WARM_UP):
        pool = _pool(examined, settings, as_shadow=as_shadow)
    return _model(examined, _batcher(pool.runners, settings, inline=False), cost, Placement.PROCESS, len(pool.runners), pool)


def _model(
    examined: ExaminedBundle, batcher: Batcher, cost: Cost, placed: Placement, workers: int = 1, pool: Pool | None = None
) -> Model:
    bundle = examined.bundle
    facts = (bundle.name, bundle.version, bundle.manifest, examined.service, examined.bindings)
    return Model(*facts, batcher, cost, placed, workers, pool)


def _batcher(runners: Sequence[Predict], settings: ServerSettings, *, inline: bool) -> Batcher:
    return Batcher(runners, max_rows=settings.max_batch_rows, max_waiting=settings.max_queue_rows, inline=inline)


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
