"""The file of a model that is being added: its bytes, its format, and the bytes that the repository stores for it."""

from dataclasses import dataclass
from pathlib import Path

from grpc_server.errors import ModelError
from grpc_server.runtimes.formats import format_table


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as the repository stores it."""

    format: str
    file: str
    """File name in the repository."""
    artifact: bytes
    reason: str
    """Why it has this format."""
    sklearn_version: str = ""
    """Version of scikit-learn that trained the model, if that is not the installed one and the artifact does not record it."""


def read(file: Path) -> bytes:
    """The bytes of a file. Raises ModelError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}") from None


def stored_model(file: Path, format_name: str = "") -> StoredModel:
    """A joblib file as skops if skops can hold the model, and any other file as it is.

    `format_name` decides for a file that several formats recognise. A joblib file is unpickled, which runs code from it. Raises
    ModelError.
    """
    data = read(file)
    format_name = format_table.format_of(file, data, format_name)
    if format_name != "joblib":
        return StoredModel(format_name, f"model{file.suffix}", data, f"it is {format_name} already")
    from grpc_server.runtimes.formats import joblib_format, skops_format  # scikit-learn takes a second to import.

    estimator, sklearn_version = joblib_format.load_estimator(data)
    encoded, reason = skops_format.dump(estimator)
    if encoded is None:
        return StoredModel("joblib", "model.joblib", data, f"{reason}; its digest is recorded", sklearn_version)
    return StoredModel("skops", "model.skops", encoded, reason, sklearn_version)
