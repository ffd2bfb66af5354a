"""Manifests and golden rows: the files of a model version beside its artifact."""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePath

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from grpc_server.errors import ADD_AGAIN, ArtifactAltered, ModelError, ModelMismatch
from grpc_server.rows.mixed_rows import FLOAT64, Dtype, Rows, integer_dtype, rows_from_columns
from grpc_server.rows.targets import ClassType, Target
from grpc_server.store.training_values import Scalar, TrainingValues

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

GOLDEN = "golden.jsonl"
CONTRACT = "contract.binpb"
CODE = "code.zip"
"""Modules that the model needs, if MLflow saved them with it."""
MANIFEST = "manifest.json"

_LINE = 'write {"features": {...}, "outputs": {...}} there'


class RegistrySource(BaseModel):
    """The version in an MLflow registry that a model was added from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    id: str
    """Digest that differs between versions of one address, in different registries or after one was deleted."""


class Manifest(BaseModel):
    """One immutable version of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    artifact: str
    """File name of the served model."""
    original: str | None = None
    """File name of the trained model that the artifact was converted from, if it was."""
    files: dict[str, str]
    """SHA-256 in hexadecimal of every file of the version except the manifest, by file name."""
    libraries: dict[str, str]
    """Versions at the time of adding, by distribution name; for scikit-learn, the version that fitted the model."""
    columns: tuple[str, ...] = Field(min_length=1)
    """In training order."""
    dtypes: dict[str, Dtype] = {}
    """Types of the columns other than float64, by name."""
    classes: tuple[str, ...] = ()
    """Class names in the order of the model's output; empty for a model without classes or with several targets."""
    class_type: ClassType = ""
    targets: tuple[Target, ...] = ()
    """Targets in the order of the model's output, if there are several."""
    training: TrainingValues | None = None
    source: RegistrySource | None = None
    added_file: str = ""
    """SHA-256 of the file that was added, which may have another format; empty if it is unknown."""
    created: datetime

    @field_validator("files")
    @classmethod
    def _file_names(cls, files: dict[str, str]) -> dict[str, str]:
        if any(PurePath(name).name != name or not name.isprintable() for name in files):
            raise ValueError("a file name contains a folder")
        return files

    @field_validator("columns", "classes", "targets")
    @classmethod
    def _distinct(cls, named: tuple[str | Target, ...]) -> tuple[str | Target, ...]:
        names = {each.name if isinstance(each, Target) else each for each in named}
        if len(names) < len(named):
            raise ValueError("a name occurs twice")
        return named

    @property
    def column_dtypes(self) -> tuple[Dtype, ...]:
        """Types of all columns, in training order."""
        return tuple(self.dtypes.get(column, FLOAT64) for column in self.columns)

    @property
    def all_targets(self) -> tuple[Target, ...]:
        """The targets; a single one has no name."""
        return self.targets or (Target("", self.classes, self.class_type),)

    @property
    def digest(self) -> str:
        """SHA-256 of the artifact."""
        return self.files[self.artifact]


class GoldenRow(BaseModel):
    """A row with its expected outputs: `{"features": {"<column>": value}, "outputs": {"<output>": number or label}}`.

    A value is a number, a text, a bool, or null if it is missing; a time is its RFC 3339 text. `output_name` names outputs.
    `{"probabilities": {"<class>": number}}` is short for `{"outputs": {"probability.<class>": number}}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    features: dict[str, Scalar | None]
    probabilities: dict[str, float] = {}
    outputs: dict[str, Scalar] = {}

    @property
    def expected(self) -> dict[str, Scalar]:
        """All expected outputs by name."""
        return {f"probability.{name}": value for name, value in self.probabilities.items()} | self.outputs


def golden_rows(golden: Sequence[GoldenRow], manifest: Manifest) -> Rows:
    """The features of golden rows as model input. Raises ModelMismatch for a value that its column cannot hold."""
    dtypes = dict(zip(manifest.columns, manifest.column_dtypes, strict=True))
    for number, row in enumerate(golden, 1):
        for column, dtype in dtypes.items():
            if not dtype.accepts_json(row.features[column]):
                reason = f"golden row {number}: {column} is {row.features[column]!r}, but the column is {dtype.name}"
                raise ModelMismatch(reason, f"write {_example_of(dtype)} there, and add the model again")
    columns = [[dtype.from_json(row.features[column]) for row in golden] for column, dtype in dtypes.items()]
    return rows_from_columns(columns, manifest.column_dtypes)


def _example_of(dtype: Dtype) -> str:
    if dtype.is_text:
        return "a text"
    return "a time such as 2026-05-01T12:00:00Z" if dtype.unit and not dtype.is_duration else "a number"


def golden_dtype(values: Sequence[Scalar | None]) -> Dtype:
    """The type of a golden-row column with these values: text, points in time, integers beyond float64, or else numbers."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, str) for value in known):
        return Dtype("datetime64[us]" if all(_TIME.fullmatch(str(value)) for value in known) else "object")
    return integer_dtype([value for value in known if isinstance(value, int)]) or FLOAT64


def read_manifest(data: bytes, folder: str) -> Manifest:
    """Parses a manifest; `folder` is for messages. Raises ArtifactAltered for an invalid one."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError:
        raise ArtifactAltered(f"{folder}/{MANIFEST} is not a manifest", ADD_AGAIN) from None
    if manifest.artifact not in manifest.files:
        raise ArtifactAltered(f"{folder}/{MANIFEST} has no digest of {manifest.artifact}", ADD_AGAIN)
    return manifest


def read_golden(data: bytes) -> tuple[GoldenRow, ...]:
    """Parses golden rows, one JSON object a line. Raises ModelError with the number of the first invalid line."""
    rows = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(GoldenRow.model_validate(json.loads(line)))
        except ValidationError as error:
            first = error.errors()[0]
            raise ModelError(f"golden rows, line {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}", _LINE) from None
        except (ValueError, RecursionError):
            raise ModelError(f"golden rows, line {number}: not JSON", _LINE) from None
    return tuple(rows)
