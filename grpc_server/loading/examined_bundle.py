"""Takes a verified bundle through the gates from LOAD to WARM_UP, without keeping a model in memory for calls.

Candidate processes import this module and nothing of gRPC, which is not made for processes that fork.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_contract.problem import Problem
from foretell_contract.service import Service
from grpc_server.checks.contract_agreement import bind, bind_outputs, check_examples
from grpc_server.checks.gates import Gate, Gates
from grpc_server.checks.manifest_agreement import check_golden, check_manifest, checked_sources
from grpc_server.checks.row_independence import check_independence
from grpc_server.errors import Mismatches, ModelMismatch
from grpc_server.rows.method_binding import MethodBinding
from grpc_server.rows.mixed_rows import Matrix, Rows, placeholder_row
from grpc_server.rows.outputs import Output, Source, output_function
from grpc_server.runtimes.runtime import Runtime
from grpc_server.settings import ServerSettings
from grpc_server.store.manifest import golden_rows
from grpc_server.store.repository import Bundle
from grpc_server.store.version_skew import check_skew
from grpc_server.workers.cost import Cost, measure


@dataclass(frozen=True, slots=True)
class ExaminedBundle:
    """A bundle that fits its contract, and answers its golden rows."""

    bundle: Bundle
    bindings: dict[str, MethodBinding]
    """By the name of the method."""
    outputs: tuple[Output, ...]
    """What the responses need of the model."""
    predict: Callable[[Any], Matrix]
    """Gives `outputs` for rows."""
    sample: Rows
    """Rows to warm up with."""


def examine(bundle: Bundle, contract: Contract, service: Service, settings: ServerSettings, gates: Gates) -> ExaminedBundle:
    """Pass the gates from LOAD to GOLDEN, for one service. Raises ModelError."""
    with gates(Gate.LOAD):
        runtime = _loaded(bundle, settings)
    with gates(Gate.CONTRACT), threadpool_limits(1, "openmp"):  # As `guarded`, once the model's libraries are loaded.
        sources = _sources(runtime, bundle)
        examined = _bound(bundle, contract, service, sources)
        check_examples(examined.predict, examined.bindings, contract, bundle.title)
    with gates(Gate.GOLDEN), threadpool_limits(1, "openmp"):
        check_independence(runtime, sources, bundle.manifest, bundle.golden, bundle.title, brief=True)
        check_golden(sources, bundle.manifest, bundle.golden, bundle.title)
    return examined


def measured(examined: ExaminedBundle, settings: ServerSettings, *, brief: bool = False) -> Cost:
    """The cost of a run; with `brief`, of one row by two runs. Raises ModelMismatch above `max_row_seconds`."""
    cost = measure(examined.predict, examined.sample, brief=brief)
    if settings.max_row_seconds < cost.one_row < math.inf:  # Infinite if the model fails on the sample, which may be made up.
        place, limit = examined.bundle.title, f"max_row_seconds is {settings.max_row_seconds:g}"
        raise ModelMismatch(f"{place} takes {cost.one_row:.3g} s for a row, but {limit}", "raise it, or speed the model up")
    return cost


def find_problems(bundle: Bundle, contract: Contract, service: Service, settings: ServerSettings) -> list[Problem]:
    """All reasons for which a start would refuse a verified bundle, as far as one leaves the next to be found."""
    gates, found = Gates(bundle.title), Mismatches()
    with found.collect():
        with gates(Gate.LOAD):
            runtime = _loaded(bundle, settings)
        with gates(Gate.CONTRACT):
            sources = _sources(runtime, bundle)
        with found.collect(), gates(Gate.CONTRACT), threadpool_limits(1, "openmp"):
            if contract.defects:  # Its examples may be no rows.
                bind(contract, service, bundle.manifest, sources)
            else:
                examined = _bound(bundle, contract, service, sources)
                with found.collect():
                    check_examples(examined.predict, examined.bindings, contract, bundle.title)
                with gates(Gate.WARM_UP):
                    measured(examined, settings, brief=True)
        with gates(Gate.GOLDEN), threadpool_limits(1, "openmp"):
            check_independence(runtime, sources, bundle.manifest, bundle.golden, bundle.title, brief=True)
            check_golden(sources, bundle.manifest, bundle.golden, bundle.title)
    return list(dict.fromkeys(found.problems))


def _loaded(bundle: Bundle, settings: ServerSettings) -> Runtime:
    manifest = bundle.manifest
    check_skew(manifest.format, manifest.libraries, bundle.title, allowed=settings.allow_version_skew)
    return bundle.load()


def _sources(runtime: Runtime, bundle: Bundle) -> tuple[Source, ...]:
    check_manifest(runtime, bundle.manifest, bundle.title)
    return checked_sources(runtime, bundle.manifest, bundle.golden, bundle.title)


def _bound(bundle: Bundle, contract: Contract, service: Service, sources: Sequence[Source]) -> ExaminedBundle:
    bindings, outputs = bind_outputs(contract, service, bundle.manifest, sources)
    return ExaminedBundle(bundle, bindings, outputs, output_function(sources, outputs), _sample(bundle, bindings, contract))


def _sample(bundle: Bundle, bindings: dict[str, MethodBinding], contract: Contract) -> Rows:
    """The golden rows, else the contract's example, else a row of blanks."""
    if bundle.golden:
        return golden_rows(bundle.golden, bundle.manifest)
    for binding in bindings.values():
        request = example(binding.method.input, contract.rules)
        if request is not None:
            return binding.model_rows(binding.row_messages(request))
    return placeholder_row(bundle.manifest.column_dtypes)
