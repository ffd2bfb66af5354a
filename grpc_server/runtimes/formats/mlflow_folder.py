"""A folder as MLflow saves a model (https://mlflow.org/docs/latest/ml/model/): read without MLflow."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpc_server.errors import ModelError
from grpc_server.rows.mixed_rows import Dtype

_ABOUT = "MLmodel"

_FILES = {"sklearn": "pickled_model", "onnx": "data", "xgboost": "data", "lightgbm": "data"}
"""Where each flavor that can be read names its file; the first that a folder has is taken."""

_TYPES = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "string": "str", "datetime": "datetime64[ns]"}
"""Types of a training column by those of a signature; any other is a number."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a folder holds."""

    file: Path
    """The model itself."""
    columns: dict[str, Dtype]
    """The inputs by name, as the signature has them; empty where there is none, or it is of one nameless tensor."""
    optional: frozenset[str]
    """Names of those that may be missing."""
    outputs: tuple[str, ...]
    """Names of what it predicts; empty where there is no signature, or it is of nameless tensors."""


def unpack(folder: Path, into: Path) -> Saved:
    """The model in a folder of MLflow's; loading it may run code.

    A skops file with types that whoever saved it trusts is written as joblib, whose digest is what is trusted, to `into`. Raises
    ModelError for a folder that holds no model of a flavor in `_FILES`, and where PyYAML is not installed.
    """
    about = _about(folder)
    name, trusted = _file(about, folder)
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise ModelError(f"{folder / _ABOUT} names {name}, which is no file in its folder")
    if file.suffix == ".skops" and trusted:
        file = _as_joblib(file, trusted, into)
    signature = about.get("signature") or {}
    inputs, outputs = _named(signature.get("inputs")), _named(signature.get("outputs"))
    optional = frozenset(name for name, told in inputs.items() if told.get("required") is False)
    columns = {name: Dtype(_TYPES.get(str(told.get("type")), "float64")) for name, told in inputs.items()}
    return Saved(file, columns, optional, tuple(outputs))


def _file(about: dict[str, Any], folder: Path) -> tuple[str, list[str]]:
    """Name of the model's file, and the types that whoever saved it trusts in it."""
    flavors = about.get("flavors") or {}
    for flavor, key in _FILES.items():
        told = flavors.get(flavor) or {}
        if isinstance(told.get(key), str):
            return told[key], [str(each) for each in told.get("skops_trusted_types") or []]
    raise ModelError(
        f"{folder / _ABOUT} names no model of scikit-learn, ONNX, XGBoost or LightGBM, but {', '.join(flavors) or 'none'}"
    )


def _about(folder: Path) -> dict[str, Any]:
    try:
        import yaml
    except ModuleNotFoundError:
        raise ModelError("reading a folder of MLflow needs PyYAML: pip install 'foretell[mlflow]'") from None
    try:
        about = yaml.safe_load((folder / _ABOUT).read_bytes())
    except OSError:
        raise ModelError(f"{folder} has no file {_ABOUT}: pass a model's file, or a folder that MLflow saved") from None
    except yaml.YAMLError:
        about = None
    if not isinstance(about, dict):
        raise ModelError(f"{folder / _ABOUT} is not what MLflow writes")
    return about


def _as_joblib(file: Path, trusted: list[str], into: Path) -> Path:
    import joblib
    import skops.io

    from grpc_server.runtimes.sklearn.estimator import unloadable

    data = file.read_bytes()
    with unloadable("skops"):
        more = [name for name in skops.io.get_untrusted_types(data=data) if name not in trusted]
    if more:
        raise ModelError(f"{file.name} holds types that its {_ABOUT} does not trust: {', '.join(more[:5])}")
    with unloadable("skops"):
        estimator = skops.io.loads(data, trusted=trusted)
    written = io.BytesIO()
    joblib.dump(estimator, written)
    (into / "model.joblib").write_bytes(written.getvalue())
    return into / "model.joblib"


def _named(side: Any) -> dict[str, dict[str, Any]]:
    """What a side of the signature tells of each thing, by its name; nothing where some have none, or are counted from 0."""
    try:
        things = {each.get("name"): each for each in json.loads(side or "[]")}
    except (ValueError, TypeError, AttributeError):
        return {}
    return {str(name): told for name, told in things.items()} if all(things) else {}
