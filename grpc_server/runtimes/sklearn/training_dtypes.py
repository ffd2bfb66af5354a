"""Types of training columns, from the encoders and imputers inside a fitted scikit-learn estimator."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype, integer_dtype
from grpc_server.runtimes.sklearn.boosted_wrapper import category_dtypes
from grpc_server.runtimes.sklearn.first_step import dictionary_dtypes, takes_texts

_INNER_ATTRIBUTES = ("best_estimator_", "estimator", "regressor_", "value")
"""Attributes in which a meta-estimator holds its inner estimator."""


def dtypes_of(estimator: Any, columns: Sequence[str]) -> dict[str, Dtype]:
    """The types of those columns that an encoder, imputer or vectorizer was fitted on, by name."""
    if takes_texts(estimator):
        return dict.fromkeys(columns, Dtype("object"))
    return dictionary_dtypes(estimator) or dict(_dtypes(estimator, list(columns)))


def _dtypes(estimator: Any, columns: list[str]) -> Iterator[tuple[str, Dtype]]:
    if isinstance(estimator, Pipeline):
        yield from _step_dtypes([step for _, step in estimator.steps], columns)
    elif isinstance(estimator, ColumnTransformer):
        for name, part, _ in estimator.transformers_:
            yield from _dtypes(part, [columns[index] for index in estimator._transformer_to_input_indices[name]])
    elif isinstance(estimator, FeatureUnion):
        for _, part in estimator.transformer_list:
            yield from _dtypes(part, columns)
    elif hasattr(estimator, "calibrated_classifiers_"):
        yield from _dtypes(estimator.calibrated_classifiers_[0].estimator, columns)
    elif getattr(estimator, "_preprocessor", None) is not None:  # Histogram gradient boosting of categories.
        for column, dtype in _dtypes(estimator._preprocessor, columns):
            yield column, Dtype("category", dtype.categories)
    elif isinstance(estimator, SimpleImputer):
        yield from _imputer_dtypes(estimator, columns)
    elif takes_texts(estimator):
        yield from ((column, Dtype("object")) for column in columns)
    elif hasattr(estimator, "categories_"):
        yield from _encoder_dtypes(estimator, columns)
    elif boosted := category_dtypes(estimator, columns):
        yield from boosted.items()
    else:
        for name in _INNER_ATTRIBUTES:
            if hasattr(getattr(estimator, name, None), "fit"):
                yield from _dtypes(getattr(estimator, name), columns)
                return


def _step_dtypes(steps: list[Any], columns: list[str]) -> Iterator[tuple[str, Dtype]]:
    """Types from the first steps of a pipeline: each imputer, and the step after them. Later steps see other columns."""
    found: dict[str, Dtype] = {}
    for step in steps:
        if isinstance(step, str) or step is None:  # "passthrough"
            continue
        for column, dtype in _dtypes(step, columns):
            known = found.get(column, dtype)
            found[column] = Dtype(dtype.name, dtype.categories, known.missing)
        if not isinstance(step, SimpleImputer) or step.add_indicator:
            break
    yield from found.items()


def _imputer_dtypes(imputer: Any, columns: list[str]) -> Iterator[tuple[str, Dtype]]:
    missing: Literal["nan", "none"] = "none" if imputer.missing_values is None else "nan"
    for column, value in zip(columns, imputer.statistics_.tolist(), strict=True):
        if isinstance(value, str):
            yield column, Dtype("object", missing=missing)


def _encoder_dtypes(encoder: Any, columns: list[str]) -> Iterator[tuple[str, Dtype]]:
    for column, categories in zip(columns, encoder.categories_, strict=True):
        values = categories.tolist()
        known = tuple(value for value in values if value is not None and value == value)
        if any(isinstance(value, str) for value in known):
            yield column, Dtype("object", known, "none" if None in values else "nan")
        elif all(isinstance(value, bool) for value in known):
            yield column, Dtype("bool", known)
        elif any(isinstance(value, Decimal) for value in known):
            reason = f"an encoder of the column {column!r} was fitted on decimals, which no field carries exactly"
            raise ModelUnloadable(reason, "train it on floats or texts")
        elif all(isinstance(value, int | float) for value in known) and categories.dtype.kind not in "mM":
            yield column, Dtype(_number_name(categories.dtype, known), known)


def _number_name(held: Any, known: tuple[Any, ...]) -> str:
    """The type in which a value is compared with its categories: float64 if that holds them as the encoder does."""
    if held in (np.float32, np.float16):
        return str(held)
    wide = integer_dtype(value for value in known if isinstance(value, int))
    return wide.name if wide else "float64"
