"""Replaces a scikit-learn classifier or regressor by a faster conversion that agrees with it."""

import warnings
from typing import Literal

from foretell_contract.contract import Contract
from grpc_server.checks.contract_agreement import bind
from grpc_server.checks.conversion_comparison import COMPARED_KINDS, Accelerated, ConversionComparison
from grpc_server.checks.manifest_agreement import checked_sources
from grpc_server.checks.probe_rows import column_ranges
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.rows.outputs import Output, Source, all_outputs
from grpc_server.rows.targets import outputs_by_name
from grpc_server.runtimes.runtime import Runtime, estimator_of
from grpc_server.store.manifest import GoldenRow, Manifest

Acceleration = Literal["onnx", "trees", "auto"]


def accelerate(
    acceleration: Acceleration,
    original: Runtime,
    manifest: Manifest,
    golden: tuple[GoldenRow, ...],
    contract: Contract | None,
    name: str,
    place: str,
) -> tuple[Accelerated | None, str]:
    """The conversion to serve instead of `original`, and why; None if "auto" finds none that agrees and is faster.

    The contract's services of the model `name` set the outputs that a conversion must give and the range of its rows. Raises
    ModelError for a model that is not scikit-learn's, called `place` in messages, and if the conversion that another choice names
    cannot be made or does not agree.
    """
    if estimator_of(original) is None:
        raise ModelError(f"{place} is no scikit-learn model: only those can be accelerated, so leave out --accelerate")
    try:
        with warnings.catch_warnings(action="ignore"):  # An estimator that knows its columns warns of rows without names.
            columns = _number_columns(manifest)
            needed = _needed_outputs(original, manifest, golden, contract, name)
            ranges = column_ranges(columns, contract, name, golden)
            comparison = ConversionComparison(original, manifest, golden, ranges, needed)
            return comparison.fastest() if acceleration == "auto" else comparison.agreeing(acceleration)
    except ModelError as error:
        if acceleration != "auto":
            raise
        return None, f"not accelerated: {error}"


def _number_columns(manifest: Manifest) -> tuple[str, ...]:
    """The columns. Raises ModelError if one is not float64."""
    if manifest.dtypes:
        others = ", ".join(f"{column} is {dtype.name}" for column, dtype in manifest.dtypes.items())
        raise ModelError(f"only models of numbers can be converted, and {others}")
    return manifest.columns


def _needed_outputs(
    original: Runtime, manifest: Manifest, golden: tuple[GoldenRow, ...], contract: Contract | None, name: str
) -> set[Output]:
    """The outputs in the contract's responses, or all outputs of the model without a contract that fits.

    Raises ModelError if no conversion gives one that a response needs.
    """
    sources = checked_sources(original, manifest, golden, "the model")
    in_responses = _response_outputs(sources, manifest, contract, name)
    needed = in_responses or set(all_outputs(sources))
    beyond = [output for output in all_outputs(sources) if output in needed and output.kind not in COMPARED_KINDS]
    if beyond and (in_responses or len(beyond) == len(needed)):
        names = ", ".join(outputs_by_name(beyond, manifest.all_targets))
        raise ModelError(f"no conversion gives {names}: conversions give probabilities, labels and values")
    return needed.difference(beyond)


def _response_outputs(sources: tuple[Source, ...], manifest: Manifest, contract: Contract | None, name: str) -> set[Output]:
    """The outputs that fill the contract's responses; empty without a contract that fits the model."""
    if contract is None:
        return set()
    try:
        found = [bind(contract, service, manifest, sources) for service in contract.services if service.model == name]
    except ModelMismatch:
        return set()
    return {output for bindings in found for binding in bindings.values() for output in binding.answers.outputs}
