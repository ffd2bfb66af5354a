"""What estimators of XGBoost and LightGBM know beside scikit-learn's attributes: categories, quantiles, objectives of one's own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype
from grpc_server.rows.outputs import Output, outputs_per_target

_INTERVAL = ("lower", "value", "upper")
"""Kinds of the outputs of a regressor of three quantiles, from the smallest."""

_CATEGORICAL = "[categorical_feature: "
"""Beginning of the line of LightGBM's text that lists the indices of categorical columns."""


def category_dtypes(estimator: Any, columns: Sequence[str]) -> dict[str, Dtype]:
    """The columns that were categories of a data frame in training, with their categories; empty for another estimator."""
    found: Iterator[tuple[int, Sequence[Any]]] = iter(())
    if hasattr(estimator, "get_booster") and "c" in (estimator.get_booster().feature_types or ()):
        found = _xgboost_categories(estimator.get_booster())
    elif getattr(getattr(estimator, "_Booster", None), "pandas_categorical", None):
        found = _lightgbm_categories(estimator._Booster)
    return {columns[index]: Dtype("category", tuple(categories)) for index, categories in found}


def check_categories(estimator: Any, dtypes: Mapping[str, Dtype]) -> None:
    """Raises ModelUnloadable for a column of texts that was one of categories in training, which XGBoost did not store."""
    kinds = (estimator.get_booster().feature_types or ()) if hasattr(estimator, "get_booster") else ()
    for (name, dtype), kind in zip(dtypes.items(), kinds, strict=False):
        if kind == "c" and dtype.is_text and dtype.name != "category":
            reason = f"the column {name!r} holds categories, but XGBoost stores none whose texts have letters beyond ASCII"
            raise ModelUnloadable(reason, "pass the data frame of training as --data FILE.parquet, which holds them")


def quantiles_of(estimator: Any) -> tuple[float, ...]:
    """The quantiles that an XGBoost regressor predicts for each row; empty if it predicts one number."""
    stated: Any = estimator.get_params().get("quantile_alpha") if hasattr(estimator, "get_booster") else None
    quantiles = tuple(map(float, stated)) if isinstance(stated, Sequence) or hasattr(stated, "tolist") else ()
    return quantiles if len(quantiles) > 1 else ()


def quantile_outputs(quantiles: Sequence[float]) -> tuple[Output, ...]:
    """The outputs of a regressor of these quantiles: of three an interval around a value, else one value for each."""
    if len(quantiles) != len(_INTERVAL):
        return outputs_per_target("value", len(quantiles))
    return tuple(Output(_INTERVAL[sorted(quantiles).index(each)]) for each in quantiles)


def quantile_names(quantiles: Sequence[float]) -> tuple[str, ...]:
    """The names of the targets of a regressor of these quantiles."""
    return tuple(f"quantile_{each:g}" for each in quantiles)


def check_objective(estimator: Any) -> None:
    """Raises ModelUnloadable for a classifier whose objective is a function of one's own: it then gives margins."""
    library = type(estimator).__module__.partition(".")[0]
    if library in ("xgboost", "lightgbm") and callable(getattr(estimator, "objective", None)):
        name = getattr(estimator.objective, "__name__", "function")
        kind = type(estimator).__name__
        reason = f"{kind} was trained with the objective {name!r} of your own: its predict_proba gives margins, no probabilities"
        fix = "save a classifier of your own whose predict_proba turns them into probabilities and whose predict gives classes"
        raise ModelUnloadable(reason, fix)


def _lightgbm_categories(booster: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """The index of each column of categories, and the categories. Nothing if other columns were named as categorical too."""
    lines = booster.model_to_string(num_iteration=1).splitlines()
    listed = next((line for line in lines if line.startswith(_CATEGORICAL)), _CATEGORICAL + "]")
    indices = [int(index) for index in listed[len(_CATEGORICAL) : -1].split(",") if index]
    if len(indices) == len(booster.pandas_categorical):
        yield from zip(sorted(indices), booster.pandas_categorical, strict=True)


def _xgboost_categories(booster: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """The index of each column of categories, and the categories."""
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    for index, held in enumerate(model.get("cats", {}).get("enc", ())):
        if "offsets" not in held and held["values"]:
            yield index, held["values"]
        elif held["values"]:
            data = bytes(byte % 256 for byte in held["values"])  # Signed in the file.
            if not data.isascii():
                continue  # XGBoost 3.2 counts characters instead of bytes, and stores only the beginning.
            ends = zip(held["offsets"], held["offsets"][1:], strict=False)
            yield index, [data[start:end].decode() for start, end in ends]
