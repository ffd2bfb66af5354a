"""What a fitted scikit-learn estimator remembers of the columns that it was trained on."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline

from grpc_server.rows.mixed_rows import Dtype
from grpc_server.runtimes.sklearn.estimator_input import takes_texts

_INSIDE = ("best_estimator_", "estimator", "regressor_", "value")
"""Where an estimator around another keeps it."""


def dtypes_of(estimator: Any, columns: Sequence[str]) -> dict[str, Dtype]:
    """The types of the columns about which the estimator knows something: what its encoders and imputers have seen."""
    return dict(_seen(estimator, list(columns)))


def _seen(estimator: Any, columns: list[str]) -> Iterator[tuple[str, Dtype]]:
    if isinstance(estimator, Pipeline):
        yield from _of_steps([step for _, step in estimator.steps], columns)
    elif isinstance(estimator, ColumnTransformer):
        for _, part, chosen in estimator.transformers_:
            yield from _seen(part, _names(chosen, columns))
    elif isinstance(estimator, FeatureUnion):
        for _, part in estimator.transformer_list:
            yield from _seen(part, columns)
    elif hasattr(estimator, "calibrated_classifiers_"):
        yield from _seen(estimator.calibrated_classifiers_[0].estimator, columns)
    elif getattr(estimator, "_preprocessor", None) is not None:  # Of gradient boosting with categories.
        for column, dtype in _seen(estimator._preprocessor, columns):
            yield column, Dtype("category", dtype.categories)
    elif isinstance(estimator, SimpleImputer):
        yield from _of_imputer(estimator, columns)
    elif takes_texts(estimator):
        yield from ((column, Dtype("object")) for column in columns)
    elif hasattr(estimator, "categories_"):
        yield from _of_encoder(estimator, columns)
    else:
        for name in _INSIDE:
            if hasattr(getattr(estimator, name, None), "fit"):
                yield from _seen(getattr(estimator, name), columns)
                return


def _of_steps(steps: list[Any], columns: list[str]) -> Iterator[tuple[str, Dtype]]:
    """Of the steps of a pipeline, as long as they keep the columns as they are."""
    found: dict[str, Dtype] = {}
    for step in steps:
        if isinstance(step, str) or step is None:  # "passthrough"
            continue
        for column, dtype in _seen(step, columns):
            known = found.get(column, dtype)
            found[column] = Dtype(dtype.name, dtype.categories, known.missing)
        if not isinstance(step, SimpleImputer) or step.add_indicator:
            break
    yield from found.items()


def _of_imputer(imputer: Any, columns: list[str]) -> Iterator[tuple[str, Dtype]]:
    missing: Literal["nan", "none"] = "none" if imputer.missing_values is None else "nan"
    for column, value in zip(columns, imputer.statistics_.tolist(), strict=True):
        if isinstance(value, str):
            yield column, Dtype("object", missing=missing)


def _of_encoder(encoder: Any, columns: list[str]) -> Iterator[tuple[str, Dtype]]:
    for column, seen in zip(columns, encoder.categories_, strict=True):
        values = seen.tolist()
        known = tuple(value for value in values if value is not None and value == value)
        if any(isinstance(value, str) for value in known):
            yield column, Dtype("object", known, "none" if None in values else "nan")
        elif all(isinstance(value, bool) for value in known):
            yield column, Dtype("bool", known)
        elif all(isinstance(value, int | float) for value in known):
            yield column, Dtype("float64", known)


def _names(chosen: Any, columns: list[str]) -> list[str]:
    """The columns that a part of a ColumnTransformer takes, which scikit-learn keeps in many forms."""
    if callable(chosen):
        return []
    if isinstance(chosen, str | int):
        chosen = [chosen]
    if isinstance(chosen, slice):
        return columns[chosen] if not isinstance(chosen.start, str) else []
    chosen = np.asarray(chosen)
    if chosen.dtype == bool:
        return [column for column, taken in zip(columns, chosen.tolist(), strict=True) if taken]
    return [value if isinstance(value, str) else columns[value] for value in chosen.tolist()]
