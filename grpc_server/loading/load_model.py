"""Loads a verified bundle into memory, through the gates from LOAD to WARM_UP."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_contract.problem import Problem
from foretell_contract.service import Service
from grpc_server.calls.batcher import Batcher, Predict
from grpc_server.checks.contract_agreement import bind, check_example
from grpc_server.checks.gates import Gate, Gates
from grpc_server.checks.golden_rows import check_golden
from grpc_server.checks.manifest_agreement import check_manifest, checked_sources
from grpc_server.errors import Mismatches, ModelMismatch
from grpc_server.loading.model import Model
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.mixed_rows import Rows, placeholder_row
from grpc_server.rows.outputs import Output, Source, all_outputs, output_function
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.runtime import Runtime
from grpc_server.settings import ServerSettings
from grpc_server.store.manifest import golden_rows
from grpc_server.store.repository import Bundle
from grpc_server.store.version_skew import check_skew
from grpc_server.workers.budget import PATIENCE
from grpc_server.workers.cost import Clock, Cost, Placement, cores, measure, placement
from grpc_server.workers.fork_server import ForkServer
from grpc_server.workers.pool import Pool
from grpc_server.workers.worker_handle import Origin


def load_model(bundle: Bundle, contract: Contract, service: Service, settings: ServerSettings, gates: Gates | None = None) -> Model:
    """Pass a verified bundle through the gates from LOAD to WARM_UP, for one service.

    Where a run takes long, worker processes load it again and run it. Raises ModelError naming what is wrong; nothing then stays
    behind.
    """
    gates = gates or Gates(bundle.title)
    examined = _examine(bundle, contract, service, settings, gates)
    with gates(Gate.WARM_UP):
        cost = _timed(examined, settings)
        if placement(cost, settings.placement) is Placement.PROCESS:
            return _in_workers(examined, settings, cost)
        return _in_line(examined, settings, cost)


def try_model(bundle: Bundle, contract: Contract, service: Service, settings: ServerSettings, gates: Gates, clock: Clock) -> Cost:
    """Pass a verified bundle through the gates from LOAD to WARM_UP and keep nothing of it; what a run costs by the clock.

    Raises ModelError.
    """
    examined = _examine(bundle, contract, service, settings, gates)
    with gates(Gate.WARM_UP):
        return _timed(examined, settings, clock)


def load_tried(
    bundle: Bundle,
    contract: Contract,
    service: Service,
    settings: ServerSettings,
    gates: Gates,
    cost: Cost,
    apart: ForkServer | None = None,
) -> Model:
    """The model of a bundle that was tried in another process and costs what was seen there. Raises ModelError.

    One that is to stand back runs in a single worker, which `apart` forks. It is not timed again, so that what is served has the
    interpreter.
    """
    examined = _examine(bundle, contract, service, settings, gates)
    if apart is None and placement(cost, settings.placement) is Placement.INLINE:
        return _in_line(examined, settings, cost)
    with gates(Gate.WARM_UP):
        return _in_workers(examined, settings, cost, apart)


def faults(bundle: Bundle, contract: Contract, service: Service, settings: ServerSettings) -> list[Problem]:
    """Everything for which a start would refuse a verified bundle, as far as one thing wrong leaves others to be seen."""
    gates, found = Gates(bundle.title), Mismatches()
    with found.noted():
        with gates(Gate.LOAD):
            runtime = _loaded(bundle, settings)
        with gates(Gate.CONTRACT):
            sources = _sources(runtime, bundle)
        with found.noted(), gates(Gate.CONTRACT):
            if contract.defects:  # Its examples may be no rows.
                bind(contract, service, bundle.manifest, sources)
            else:
                examined = _bound(bundle, contract, service, sources)
                with found.noted():
                    _check_examples(examined, contract)
                with gates(Gate.WARM_UP):
                    _timed(examined, settings)
        with gates(Gate.GOLDEN):
            check_golden(sources, bundle.manifest, bundle.golden, bundle.title)
    return list(dict.fromkeys(found.found))


@dataclass(frozen=True, slots=True)
class _Examined:
    """A bundle that fits its contract."""

    bundle: Bundle
    service: Service
    bindings: dict[str, MethodBinding]
    outputs: tuple[Output, ...]
    """What the responses need of it."""
    predict: Predict
    """Gives them."""
    sample: Rows


def _examine(bundle: Bundle, contract: Contract, service: Service, settings: ServerSettings, gates: Gates) -> _Examined:
    """Pass the gates up to GOLDEN."""
    with gates(Gate.LOAD):
        runtime = _loaded(bundle, settings)
    with gates(Gate.CONTRACT):
        sources = _sources(runtime, bundle)
        examined = _bound(bundle, contract, service, sources)
        _check_examples(examined, contract)
    with gates(Gate.GOLDEN):
        check_golden(sources, bundle.manifest, bundle.golden, bundle.title)
    return examined


def _loaded(bundle: Bundle, settings: ServerSettings) -> Runtime:
    manifest = bundle.manifest
    check_skew(manifest.format, manifest.libraries, bundle.title, allowed=settings.allow_version_skew)
    return format_table.load(manifest.format, bundle.artifact)


def _sources(runtime: Runtime, bundle: Bundle) -> tuple[Source, ...]:
    check_manifest(runtime, bundle.manifest, bundle.title)
    return checked_sources(runtime, bundle.manifest, bundle.golden, bundle.title)


def _bound(bundle: Bundle, contract: Contract, service: Service, sources: Sequence[Source]) -> _Examined:
    bindings = bind(contract, service, bundle.manifest, sources)
    needed = {output for binding in bindings.values() for output in binding.answers.outputs}
    outputs = tuple(output for output in all_outputs(sources) if output in needed)
    for binding in bindings.values():
        binding.use_outputs(outputs)
    return _Examined(bundle, service, bindings, outputs, output_function(sources, outputs), _sample(bundle, bindings, contract))


def _check_examples(examined: _Examined, contract: Contract) -> None:
    mismatches = Mismatches()
    for binding in examined.bindings.values():
        with mismatches.noted():
            check_example(examined.predict, binding, contract, examined.bundle.title)
    mismatches.check()


def _in_line(examined: _Examined, settings: ServerSettings, cost: Cost) -> Model:
    return _model(examined, _batcher([examined.predict], settings, inline=True), cost, Placement.INLINE)


def _in_workers(examined: _Examined, settings: ServerSettings, cost: Cost, apart: ForkServer | None = None) -> Model:
    pool = _pool(examined, settings, apart)
    return _model(examined, _batcher(pool.runners, settings, inline=False), cost, Placement.PROCESS, len(pool.runners), pool)


def _model(
    examined: _Examined, batcher: Batcher, cost: Cost, placed: Placement, workers: int = 1, pool: Pool | None = None
) -> Model:
    bundle = examined.bundle
    facts = (bundle.name, bundle.version, bundle.manifest, examined.service, examined.bindings)
    return Model(*facts, batcher, cost, placed, workers, pool)


def _batcher(runners: Sequence[Predict], settings: ServerSettings, *, inline: bool) -> Batcher:
    return Batcher(runners, max_rows=settings.max_batch_rows, max_waiting=settings.max_queue_rows, inline=inline)


def _timed(examined: _Examined, settings: ServerSettings, clock: Clock = time.perf_counter) -> Cost:
    """What a run costs. Raises ModelMismatch above `max_row_seconds`."""
    cost = measure(examined.predict, examined.sample, clock)
    if settings.max_row_seconds < cost.one_row < math.inf:  # Infinite where the model refuses the sample, which may be made up.
        place, limit = examined.bundle.title, f"max_row_seconds is {settings.max_row_seconds:g}"
        raise ModelMismatch(f"{place} takes {cost.one_row:.3g} s for a row, but {limit}", "raise it, or speed the model up")
    return cost


def _sample(bundle: Bundle, bindings: dict[str, MethodBinding], contract: Contract) -> Rows:
    """Rows to try the model on: its golden rows, else the contract's example, else a row of blanks."""
    if bundle.golden:
        return golden_rows(bundle.golden, bundle.manifest)
    for binding in bindings.values():
        request = example(binding.method.input, contract.rules)
        if request is not None:
            return binding.model_rows(binding.row_messages(request))
    return placeholder_row(bundle.manifest.column_dtypes)


def _pool(examined: _Examined, settings: ServerSettings, apart: ForkServer | None) -> Pool:
    bundle, stands_back = examined.bundle, apart is not None
    return Pool(
        Origin(settings.models, bundle.name, bundle.version, bundle.manifest.digest, examined.outputs, stands_back=stands_back),
        examined.sample,
        workers=1 if stands_back else cores() if settings.workers == "auto" else settings.workers,
        seconds=settings.worker_seconds * (PATIENCE if stands_back else 1),
        max_megabytes=settings.worker_max_mb,
        forks=apart,
        spare=not stands_back,  # Nobody waits for it.
    )
