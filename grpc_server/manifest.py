"""What the repository records of a model version, and of one golden row."""

import json
from datetime import datetime
from pathlib import PurePath

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from grpc_server.errors import ArtifactAltered, ModelError

GOLDEN = "golden.jsonl"
MANIFEST = "manifest.json"


class Manifest(BaseModel):
    """One immutable version of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    """Name of the runtime that loads the artifact: "skops", "joblib", "onnx" or "trees"."""
    artifact: str
    """File name of the trained model that is served."""
    original: str | None = None
    """File name of the trained model that the artifact was converted from; None where it is no conversion."""
    files: dict[str, str]
    """SHA-256 in hexadecimal of every file of the version but this one, by file name."""
    libraries: dict[str, str]
    """Versions the model was added with, by distribution name."""
    columns: tuple[str, ...] = Field(min_length=1)
    """Names of the training columns, in training order."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Names of the classes, in the order of the model's own output."""
    created: datetime

    @field_validator("files")
    @classmethod
    def _file_names(cls, files: dict[str, str]) -> dict[str, str]:
        if any(PurePath(name).name != name or not name.isprintable() for name in files):
            raise ValueError("a file name holds a folder")
        return files

    @field_validator("columns", "classes")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a name occurs twice")
        return names

    @property
    def digest(self) -> str:
        """SHA-256 of the artifact."""
        return self.files[self.artifact]


class GoldenRow(BaseModel):
    """A row with its expected answer: `{"features": {"<column>": number}, "probabilities": {"<class>": number}}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    features: dict[str, float]
    probabilities: dict[str, float]


def read_manifest(data: bytes, place: str) -> Manifest:
    """Parse a manifest. Raises ArtifactAltered when it is not one."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError:
        raise ArtifactAltered(f"{place}/{MANIFEST} is not a manifest: add the model again") from None
    if manifest.artifact not in manifest.files:
        raise ArtifactAltered(f"{place}/{MANIFEST} has no digest of {manifest.artifact}: add the model again")
    return manifest


def read_golden(data: bytes) -> tuple[GoldenRow, ...]:
    """Parse golden rows, one JSON object a line. Raises ModelError naming the first line that is not one."""
    rows = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append(GoldenRow.model_validate(json.loads(line)))
        except ValidationError as error:
            first = error.errors()[0]
            raise ModelError(f"golden rows, line {number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        except (ValueError, RecursionError):
            raise ModelError(f"golden rows, line {number}: not JSON") from None
    return tuple(rows)
