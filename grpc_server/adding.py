"""Adding a trained model to the repository."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from grpc_server import runtimes
from grpc_server.errors import ModelError
from grpc_server.manifest import GOLDEN, Manifest, read_golden
from grpc_server.model import check_golden, check_manifest
from grpc_server.repository import Repository, sha256

LIBRARIES = ("scikit-learn", "numpy", "scipy", "joblib", "skops")

FORMATS = {".joblib": "joblib", ".pkl": "joblib", ".skops": "skops"}


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a file."""

    version: str
    format: str
    why: str
    """Why this format, in words."""


def add_model(repository: Repository, file: Path, name: str, columns: tuple[str, ...] = (), golden: bytes = b"") -> Added:
    """Put a trained model into the repository as the next version of `name`.

    The file is loaded, so add only what you trust: a joblib file runs code. `columns` names the training columns where the model
    does not; `golden` is rows with their expected answers, as `GoldenRow`, one a line. Raises ModelError when the model cannot be
    served, or does not answer its golden rows as expected; nothing is then added.
    """
    data = _read(file)
    format_name, artifact, why = _encode(file, data)
    runtime = runtimes.load(format_name, artifact)
    columns = columns or runtime.columns or ()
    if not columns:
        raise ModelError(
            f"{file.name} does not name its {runtime.width} columns (it was fitted on a plain array): pass --columns a,b,c"
        )
    files = {f"model.{format_name}": artifact} | ({GOLDEN: golden} if golden else {})
    for names in (columns, runtime.classes):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ModelError(f"{file.name}: the name {twice[0]!r} occurs twice among {', '.join(names)}")
    manifest = Manifest(
        format=format_name,
        artifact=f"model.{format_name}",
        files={file_name: sha256(content) for file_name, content in files.items()},
        libraries={library: version(library) for library in LIBRARIES},
        columns=columns,
        classes=runtime.classes,
        created=datetime.now(UTC),
    )
    check_manifest(runtime, manifest, file.name)
    check_golden(runtime, manifest, read_golden(golden), file.name)
    return Added(repository.add(name, manifest, files), format_name, why)


def _read(file: Path) -> bytes:
    if file.suffix not in FORMATS:
        raise ModelError(f"{file.name} is none of {', '.join(FORMATS)}")
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}") from None


def _encode(file: Path, data: bytes) -> tuple[str, bytes, str]:
    """Format, bytes and reason: skops where it can hold the model, else the file as it is."""
    if FORMATS[file.suffix] == "skops":
        return "skops", data, "it is skops already"
    from grpc_server.runtimes import joblib_format, skops_format  # scikit-learn takes a second to import

    estimator: Any = joblib_format.load_estimator(data)
    encoded, why = skops_format.dump(estimator)
    return ("joblib", data, f"{why}; its digest is recorded") if encoded is None else ("skops", encoded, why)
