"""Adds a trained model to the repository, if it can be served."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from foretell_contract.contract import Contract
from foretell_contract.diff.contract_revision import contract_revision
from foretell_contract.lint.contract_check import locate
from foretell_contract.source.spelling import counted
from grpc_server.checks.acceleration import Accelerated, Acceleration, accelerate
from grpc_server.checks.added_version import Added
from grpc_server.checks.contract_agreement import check_contract
from grpc_server.checks.data_file import DataFile
from grpc_server.checks.manifest_agreement import check_golden, check_manifest, checked_sources, guarded, unchecked_sources
from grpc_server.checks.row_independence import check_independence
from grpc_server.checks.training_columns import ModelHints, array_dtype, encoder_dtypes, training_columns
from grpc_server.errors import ModelError, ModelMismatch
from grpc_server.rows.feature_reader import NUMBER_FIX
from grpc_server.rows.mixed_rows import FLOAT64, Dtype, Rows
from grpc_server.rows.outputs import Source, all_outputs
from grpc_server.rows.targets import Target, output_name
from grpc_server.runtimes.formats import format_table
from grpc_server.runtimes.runtime import Runtime, class_types_of, estimator_of, target_names
from grpc_server.store.manifest import CODE, CONTRACT, GOLDEN, GoldenRow, Manifest, RegistrySource, golden_dtype, read_golden
from grpc_server.store.repository import Repository, sha256
from grpc_server.store.route_table import PRODUCTION
from grpc_server.store.route_table_files import RouteTableFiles
from grpc_server.store.training_values import TrainingValues
from grpc_server.store.version_skew import check_skew

Trial: TypeAlias = Callable[[Manifest, dict[str, bytes]], None]

_SHOW_TYPES = "show the types of its columns by --data FILE, or by golden rows"


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
    data: DataFile | None = None,
    acceleration: Acceleration = "no",
    contract: Contract | None = None,
    format_name: str = "",
    allow_version_skew: bool = False,
    observed: Callable[[Manifest, Sequence[Source]], tuple[TrainingValues | None, Rows | None]] = lambda *_: (None, None),
    source: RegistrySource | None = None,
    code: Path | None = None,
    to_production: bool = True,
    trial: Trial = lambda _manifest, _files: None,
) -> Added:
    """Add a trained model to the repository as the next version of `name`.

    Add only files that you trust: a joblib file runs code when it is loaded.

    - `columns`, `classes` and `targets` name those of a model that does not; `outputs` are the targets' names in MLflow's file.
    - `golden` holds rows with their expected outputs, one `GoldenRow` a line.
    - `dtypes` are types of columns that neither `data`, the training data, nor encoders or golden rows show; others are float64.
    - `contract` is the contract that the model is for: it must fit, and the version records its revision.
    - `acceleration` serves a conversion of the model that agrees with it on the data and within the contract's bounds.
    - `format_name` decides for a file that several formats recognise.
    - `observed` checks the model's answers to the training data, and gives a summary and rows of it.
    - `source` is the version of a registry that the file comes from; `code` an archive of the modules that the model needs.
    - `to_production` makes the first version of a model its production.
    - `trial` gets the version's manifest and files before they are written, and may raise.

    Raises ModelError, and adds nothing, if the model cannot be served, does not fit its contract, does not give its golden outputs,
    or its conversion does not agree with it.
    """
    loaded = _LoadedFile(file, format_name)
    check_skew(loaded.format, loaded.libraries, file.name, allowed=allow_version_skew)
    rows = read_golden(golden)
    revision, archive = contract_revision(contract, name) if contract else b"", code.read_bytes() if code else b""
    optional = {GOLDEN: golden, CONTRACT: revision, CODE: archive}
    loaded.files |= {entry: content for entry, content in optional.items() if content}
    manifest = loaded.manifest(columns, classes, dtypes or {}, rows, data)
    check_manifest(loaded.runtime, manifest, file.name)
    with warnings.catch_warnings(action="ignore"), guarded(loaded.runtime, file.name):
        # An estimator that knows its columns warns of rows without names.
        manifest = loaded.with_targets(manifest, rows, targets, outputs)
        _check_target_names(repository, name, manifest, file.name)
        sources = checked_sources(loaded.runtime, manifest, rows, file.name)
        check_independence(loaded.runtime, sources, manifest, rows, file.name)
        check_golden(sources, manifest, rows, file.name)
        if contract:
            _check_contract(contract, name, manifest, sources, file.name, typed=bool(rows or dtypes or data))
        summary, training = observed(manifest, sources)
    manifest, faster, line = manifest.model_copy(update={"training": summary, "source": source}), None, ""
    if acceleration != "no":
        faster, line = accelerate(acceleration, loaded.runtime, manifest, rows, training, contract, name, file.name)
        if faster:
            manifest = _served_by(faster, manifest)
            loaded.files[manifest.artifact] = faster.artifact
    trial(manifest, loaded.files)
    version = repository.add(name, manifest, loaded.files)
    production = _production(repository, name, version) if to_production else ""
    return Added(version, manifest.format, loaded.reason, production, loaded.format if faster else "", line)


def _check_target_names(repository: Repository, name: str, manifest: Manifest, place: str) -> None:
    """Raises ModelError for targets without names whose names the version before knows, as its contract does."""
    before = (repository.versions(name) or [""])[-1]
    known = [target.name for target in repository.manifest(name, before).targets] if before else []
    made_up = [str(index) for index in range(len(known))]
    if known != made_up == [target.name for target in manifest.targets]:
        raise ModelError(
            f"{place} does not name its targets, which version {before} of {name} calls {', '.join(known)}: "
            f"pass --targets {','.join(known)}"
        )


def _production(repository: Repository, name: str, version: str) -> str:
    """The production version, which the first version of a model becomes; empty if the route table cannot be read."""
    files = RouteTableFiles(repository)
    earlier = [number for number in repository.versions(name) if int(number) < int(version)]
    first = files.answered(name).get(PRODUCTION) or (earlier or [version])[-1]
    try:
        return files.ensure_production(name, first, "the first version").aliases[PRODUCTION]
    except ModelError:
        return ""


def _check_contract(
    contract: Contract, name: str, manifest: Manifest, sources: Sequence[Source], place: str, *, typed: bool
) -> None:
    """Refuses what no server would serve. `typed` is whether rows show the types of the columns."""
    try:
        check_contract(contract, name, manifest, sources, place)
    except ModelMismatch as mismatch:
        problems = [replace(each, fix=_SHOW_TYPES) if each.fix == NUMBER_FIX and not typed else each for each in mismatch.problems]
        found = locate(contract, problems)
        more = f" (and {len(found) - 1} more)" if found[1:] else ""
        mismatch.args = (f"the model does not fit its contract: {found[0].location}: {found[0].sentence}{more}",)
        raise


def _as_skops(data: bytes) -> tuple[str, bytes, str, str]:
    """A joblib file as skops if that can hold the model: format, artifact, reason, and the version of scikit-learn that trained it.

    The version is empty if it is the installed one.
    """
    from grpc_server.runtimes.formats import joblib_format, skops_format  # scikit-learn takes a second to import.

    estimator, sklearn_version = joblib_format.load_estimator(data)
    encoded, reason = skops_format.dump(estimator)
    if encoded is None:
        return "joblib", data, f"{reason}; its digest is recorded", sklearn_version
    return "skops", encoded, reason, sklearn_version


class _LoadedFile:
    """The model of a file, loaded from the bytes that the repository will store."""

    def __init__(self, file: Path, format_name: str) -> None:
        self._file, artifact, trained_with = file, format_table.read(file), ""
        self.format = format_table.format_of(file, artifact, format_name)
        self.artifact, self.reason = f"model{file.suffix}", f"it is {self.format} already"
        if self.format == "joblib":
            self.format, artifact, self.reason, trained_with = _as_skops(artifact)
            self.artifact = f"model.{self.format}"
        self.files = {self.artifact: artifact}
        self.runtime = format_table.load(self.format, artifact)
        self.libraries = format_table.format_named(self.format).versions
        trained_with = trained_with or getattr(self.runtime, "sklearn_version", "")
        if trained_with:
            self.libraries["scikit-learn"] = trained_with

    def manifest(
        self,
        columns: tuple[str, ...],
        classes: tuple[str, ...],
        dtypes: Mapping[str, Dtype],
        rows: tuple[GoldenRow, ...],
        data: DataFile | None,
    ) -> Manifest:
        """The manifest of a model of one target. Raises ModelError if columns or classes have no names."""
        cause = "" if self.format == "onnx" else " (it was fitted on a plain array)"
        width = counted(self.runtime.width, "column") if self.runtime.width else "columns"
        unnamed = f"its {width}{cause}"
        columns = _distinct(self._file, columns or self.runtime.columns, unnamed, "--columns a,b,c")
        known = self._dtypes(columns, rows, data) | dict(dtypes)
        return Manifest(
            format=self.format,
            artifact=self.artifact,
            files={name: sha256(content) for name, content in self.files.items()},
            libraries=self.libraries,
            columns=columns,
            dtypes={column: dtype for column, dtype in known.items() if dtype != FLOAT64},
            classes=_classes(self._file, classes or self.runtime.classes),
            class_type=class_types_of(self.runtime, 1)[0] if self.runtime.classes != () else "",
            added_file=sha256(format_table.read(self._file)),
            created=datetime.now(UTC),
        )

    def with_targets(
        self, manifest: Manifest, rows: tuple[GoldenRow, ...], names: tuple[str, ...], saved: tuple[str, ...]
    ) -> Manifest:
        """The manifest with the targets of a model of several, named by `names`, else `saved`, else 0, 1, ..."""
        computed = all_outputs(unchecked_sources(self.runtime, manifest, rows, self._file.name))
        count = 1 + max(output.target for output in computed)
        if count == 1 and not names:
            return manifest
        targets = named_targets(self.runtime, [manifest.classes] * count, names, saved, self._file.name)
        twice = [name for name, times in Counter(output_name(each, targets) for each in computed).items() if times > 1]
        if twice:
            named = ", ".join(target.name for target in targets)
            raise ModelError(f"{self._file.name} has two outputs {twice[0]!r}: give one of {named} a name without a dot")
        return manifest.model_copy(update={"targets": targets, "classes": () if count > 1 else manifest.classes})

    def _dtypes(self, columns: tuple[str, ...], rows: tuple[GoldenRow, ...], data: DataFile | None) -> dict[str, Dtype]:
        """Types from the data, or else from the model's encoders, or else from the golden rows."""
        if data:
            found = training_columns(self.runtime, data, ModelHints(columns=columns)).columns
            return {column.name: column.dtype for column in found}
        encoders = encoder_dtypes(self.runtime, columns)
        golden = {column: golden_dtype([row.features.get(column) for row in rows]) for column in columns if rows}
        if self.runtime.columns is None and self.runtime.width and estimator_of(self.runtime) is not None:
            encoders = {column: array_dtype(dtype) for column, dtype in encoders.items()}
            golden = {column: dtype for column, dtype in golden.items() if dtype.wide}
        return golden | encoders


def named_targets(
    runtime: Runtime,
    classes: Sequence[tuple[str, ...]],
    names: tuple[str, ...],
    saved: tuple[str, ...],
    place: str,
    prefix: str = "",
) -> tuple[Target, ...]:
    """So many targets, named by `names`, else `saved`, else by the model, else by number; `classes` are used if the model has none.

    Raises ModelError for another number of names, and for a name that occurs twice.
    """
    count = len(classes)
    if names and len(names) != count:
        raise ModelError(f"{place} predicts {counted(count, 'target')}, but there are names for {len(names)}: {', '.join(names)}")
    known = next((each for each in (saved, target_names(runtime)) if len(each) == count), None)
    named = _without_twins(place, names or known or tuple(f"{prefix}{index}" for index in range(count)))
    return tuple(map(Target, named, runtime.targets or classes, class_types_of(runtime, count)))


def _classes(file: Path, classes: tuple[str, ...] | None) -> tuple[str, ...]:
    if classes == ():
        return ()  # No classifier of one target.
    classes = _distinct(file, classes, "its classes", "--classes x,y,z")
    if len(classes) < 2:
        raise ModelError(f"{file.name} knows one class only, {classes[0]!r}: there is nothing to predict")
    return classes


def _served_by(faster: Accelerated, manifest: Manifest) -> Manifest:
    artifact = f"model.{faster.format}"
    update = {
        "format": faster.format,
        "artifact": artifact,
        "original": manifest.artifact,
        "files": manifest.files | {artifact: sha256(faster.artifact)},
        "libraries": manifest.libraries | format_table.format_named(faster.format).versions,
    }
    return manifest.model_copy(update=update)


def _distinct(file: Path, names: tuple[str, ...] | None, what: str, option: str) -> tuple[str, ...]:
    if not names:
        raise ModelError(f"{file.name} does not name {what}: pass {option}")
    return _without_twins(file.name, names)


def _without_twins(place: str, names: tuple[str, ...]) -> tuple[str, ...]:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ModelError(f"{place}: the name {twice[0]!r} occurs twice among {', '.join(names)}")
    return names
