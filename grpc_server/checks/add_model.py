"""Adding a trained model to the repository."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from foretell_contract.contract import Contract
from foretell_contract.diff.contract_revision import contract_revision
from foretell_contract.source.suggestion import did_you_mean
from grpc_server.checks.acceleration import Accelerated, Acceleration, accelerate
from grpc_server.checks.golden_rows import check_golden, check_manifest, sources_of, tried
from grpc_server.errors import ModelError
from grpc_server.rows.class_names import Target
from grpc_server.rows.mixed_rows import PLAIN, Dtype
from grpc_server.rows.outputs import offered
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.runtime import Runtime
from grpc_server.store.manifest import CONTRACT, GOLDEN, GoldenRow, Manifest, Source, golden_dtype, read_golden
from grpc_server.store.repository import Repository, sha256
from grpc_server.store.training_values import TrainingValues, observe
from grpc_server.store.version_skew import check_skew


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a file."""

    version: str
    format: str
    """The one that serves."""
    why: str
    """Why this format, in words."""


def add_model(
    repository: Repository,
    file: Path,
    name: str,
    columns: tuple[str, ...] = (),
    golden: bytes = b"",
    *,
    classes: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    outputs: tuple[str, ...] = (),
    dtypes: Mapping[str, Dtype] | None = None,
    acceleration: Acceleration | None = None,
    contract: Contract | None = None,
    format_name: str = "",
    allow_version_skew: bool = False,
    observed: Callable[[Manifest], TrainingValues | None] = lambda _manifest: None,
    source: Source | None = None,
) -> Added:
    """Put a trained model into the repository as the next version of `name`.

    The file is loaded, so add only what you trust: a joblib file runs code. `columns` and `classes` name the training columns and
    the classes where the model does not, and `targets` what it predicts where that is several things; `outputs` is what whoever
    saved the model calls these, and is left aside where it is another number of names. `golden` is rows with their expected
    answers, as `GoldenRow`, one a line. `dtypes` are the types of training columns of which neither the model's encoders nor the
    golden rows tell, such as that of a time; all others are numbers. `contract` is what it is for; its revision is kept.
    With an acceleration, what is served is a conversion that agrees with the model within the contract's bounds. `format_name` is
    needed where the file may be of several formats; with `allow_version_skew`, another scikit-learn may have fitted the model.
    `observed` tells what the training data held of the columns, if that is known, and `source` which registry the file is from.

    Raises ModelError when the model cannot be served, does not answer its golden rows as expected, or its conversion does not
    agree; nothing is then added.
    """
    format_name, served, artifact, why, fitted_with = _encode(file, read(file), format_name)
    runtime = format_table.load(format_name, artifact)
    fitted_with = fitted_with or getattr(runtime, "fitted_with", "")
    libraries = format_table.format_named(format_name).versions | ({"scikit-learn": fitted_with} if fitted_with else {})
    check_skew(format_name, libraries, file.name, allowed=allow_version_skew)
    made_for = contract_revision(contract, name) if contract else b""
    files = {served: artifact} | ({GOLDEN: golden} if golden else {}) | ({CONTRACT: made_for} if made_for else {})
    unnamed = f"its {runtime.width} columns" + (" (it was fitted on a plain array)" if format_name != "onnx" else "")
    columns = _distinct(file, columns or runtime.columns, unnamed, "--columns a,b,c")
    classes = _classes(file, classes or runtime.classes)
    rows = read_golden(golden)
    known = _dtypes(runtime, columns, rows) | dict(dtypes or {})
    manifest = Manifest(
        format=format_name,
        artifact=served,
        files={file_name: sha256(content) for file_name, content in files.items()},
        libraries=libraries,
        columns=columns,
        dtypes={column: dtype for column, dtype in known.items() if dtype != PLAIN},
        classes=classes,
        source=source,
        created=datetime.now(UTC),
    )
    check_manifest(runtime, manifest, file.name)
    with warnings.catch_warnings(action="ignore"):  # An estimator that knows its columns warns of rows without names.
        manifest = _with_targets(runtime, manifest, rows, targets, outputs, file)
        check_golden(sources_of(runtime, manifest, rows, file.name), manifest, rows, file.name)
    manifest = manifest.model_copy(update={"training": observed(manifest)})
    if acceleration:
        from grpc_server.runtimes.sklearn.estimator import EstimatorRuntime

        if not isinstance(runtime, EstimatorRuntime):
            raise ModelError(f"{file.name} is no scikit-learn model: only those can be accelerated, so leave out --accelerate")
        faster, how = accelerate(acceleration, runtime, manifest, rows, contract, name)
        why = f"{why}; {how}"
        if faster:
            manifest = _served_by(faster, manifest)
            files[manifest.artifact] = faster.artifact
    return Added(repository.add(name, manifest, files), manifest.format, why)


def observed_in(data: Path) -> Callable[[Manifest], TrainingValues]:
    """What a file of training data holds of the columns of a manifest. Raises ModelError where it does not hold them."""

    def observed(manifest: Manifest) -> TrainingValues:
        from grpc_server.runtimes.formats.training_data import read_samples

        texts = [name for name, dtype in manifest.dtypes.items() if dtype.is_text]
        samples = read_samples(data, texts, times=any(dtype.unit for dtype in manifest.dtypes.values()))
        for name, dtype in zip(manifest.columns, manifest.column_dtypes, strict=True):
            if name not in samples.values:
                raise ModelError(f"{data.name} has no column {name!r}{did_you_mean(name, samples.values)}")
            for value in samples.values[name]:
                if not dtype.is_text and not dtype.takes(value):
                    raise ModelError(f"the column {name!r} holds {value!r} in the data, but the model takes numbers there")
        return observe({name: samples.values[name] for name in manifest.columns}, manifest.dtypes)

    return observed


def _dtypes(runtime: Runtime, columns: tuple[str, ...], rows: tuple[GoldenRow, ...]) -> dict[str, Dtype]:
    """What the golden rows and, better, the estimator itself tell of its columns."""
    seen = {column: golden_dtype([row.features.get(column) for row in rows]) for column in columns} if rows else {}
    estimator = getattr(runtime, "estimator", None)
    if estimator is not None:
        from grpc_server.runtimes.sklearn.training_dtypes import dtypes_of

        known = dtypes_of(estimator, columns)
        if runtime.columns is None:  # It was fitted on an array: what its encoders do not know as text is a number.
            return {column: dtype for column, dtype in known.items() if dtype.is_text}
        seen |= known
    return seen


def _classes(file: Path, classes: tuple[str, ...] | None) -> tuple[str, ...]:
    if classes == ():
        return ()  # It tells none apart.
    classes = _distinct(file, classes, "its classes", "--classes x,y,z")
    if len(classes) < 2:
        raise ModelError(f"{file.name} knows one class only, {classes[0]!r}: there is nothing to predict")
    return classes


def _with_targets(
    runtime: Runtime,
    manifest: Manifest,
    rows: tuple[GoldenRow, ...],
    names: tuple[str, ...],
    saved: tuple[str, ...],
    file: Path,
) -> Manifest:
    """The manifest with what the model predicts, where that is several things: by these names, else as saved, else by numbers."""
    count = 1 + max(output.target for output in offered(tried(runtime, manifest, rows, file.name)))
    if names and len(names) != count:
        raise ModelError(f"{file.name} predicts {count} targets, but {len(names)} are named: {', '.join(names)}")
    if count == 1 and not names:
        return manifest
    names = names or (saved if len(saved) == count else tuple(map(str, range(count))))
    named = _distinct(file, names, "its targets", "--targets x,y,z")
    classes = runtime.targets or ((manifest.classes,) * count)
    targets = tuple(Target(name, of) for name, of in zip(named, classes, strict=True))
    return manifest.model_copy(update={"targets": targets, "classes": () if count > 1 else manifest.classes})


def _served_by(faster: Accelerated, manifest: Manifest) -> Manifest:
    served = f"model.{faster.format}"
    changes = {
        "format": faster.format,
        "artifact": served,
        "original": manifest.artifact,
        "files": manifest.files | {served: sha256(faster.artifact)},
        "libraries": manifest.libraries | format_table.format_named(faster.format).versions,
    }
    return manifest.model_copy(update=changes)


def _distinct(file: Path, names: tuple[str, ...] | None, what: str, option: str) -> tuple[str, ...]:
    if not names:
        raise ModelError(f"{file.name} does not name {what}: pass {option}")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ModelError(f"{file.name}: the name {twice[0]!r} occurs twice among {', '.join(names)}")
    return names


def read(file: Path) -> bytes:
    """The bytes of a model's file. Raises ModelError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}") from None


def _encode(file: Path, data: bytes, format_name: str) -> tuple[str, str, bytes, str, str]:
    """Format, name of the file in the repository, bytes and reason: skops where it can hold the model, else the file as it is.

    And the version of scikit-learn that fitted it, where that is another than the one here, which skops would forget.
    """
    format_name = format_table.format_of(file, data, format_name)
    if format_name != "joblib":
        return format_name, f"model{file.suffix}", data, f"it is {format_name} already", ""
    from grpc_server.runtimes.formats import joblib_format, skops_format  # scikit-learn takes a second to import

    estimator, fitted_with = joblib_format.load_estimator(data)
    encoded, why = skops_format.dump(estimator)
    if encoded is None:
        return "joblib", "model.joblib", data, f"{why}; its digest is recorded", fitted_with
    return "skops", "model.skops", encoded, why, fitted_with
