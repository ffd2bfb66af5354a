"""What an estimator takes, from the steps that see the rows first: columns, a text, a number, or a dictionary for each row."""

from collections.abc import Iterator
from typing import Any

from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.pipeline import FeatureUnion, Pipeline

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.mixed_rows import Dtype

_FITTED_PARTS = ("best_estimator_", "estimator_", "regressor_", "estimators_", "calibrated_classifiers_")
"""Attributes in which a meta-estimator holds the estimators that it fitted, or lists them."""


def takes_texts(estimator: Any) -> bool:
    """Whether a row is one text, as for a pipeline that begins with a vectorizer, or with transformers of texts before one."""
    for step in _first_steps(estimator):
        takes = _input_tags(step)
        if takes is not None and takes.string and not takes.two_d_array:
            return True
        if hasattr(step, "n_features_in_") or isinstance(step, DictVectorizer | FeatureHasher):
            return False
    return False


def takes_single_numbers(estimator: Any) -> bool:
    """Whether the estimator takes one number for each row, as an isotonic regression."""
    takes = _input_tags(next(_first_steps(estimator)))
    return takes is not None and takes.one_d_array and not (takes.two_d_array or takes.string)


def takes_dictionaries(estimator: Any) -> bool:
    """Whether a row is a dictionary of values by column. Raises ModelUnloadable if it is a list of tokens."""
    first = next(_first_steps(estimator))
    if isinstance(first, FeatureHasher) and first.input_type != "dict":
        reason = (
            f"FeatureHasher(input_type={first.input_type!r}) takes a list for each row, but the columns of a row are single values"
        )
        raise ModelUnloadable(reason, "train it with input_type='dict', or use HashingVectorizer for a text")
    return isinstance(first, DictVectorizer | FeatureHasher)


def dictionary_dtypes(estimator: Any) -> dict[str, Dtype]:
    """The columns that a DictVectorizer was fitted on, in the order of its output; texts have the type object. Else empty."""
    first = next(_first_steps(estimator))
    if not isinstance(first, DictVectorizer):
        return {}
    texts: dict[str, list[str]] = {}
    for feature in first.feature_names_:
        name, is_text, text = str(feature).partition(first.separator)
        texts.setdefault(name, []).extend([text] if is_text else [])
    return {name: Dtype("object", tuple(each)) if each else Dtype() for name, each in texts.items()}


def _input_tags(step: Any) -> Any:
    """scikit-learn's description of the input; None for a class that has none, or is no BaseEstimator."""
    try:
        return step.__sklearn_tags__().input_tags
    except AttributeError:
        return None


def _first_steps(estimator: Any) -> Iterator[Any]:
    """The step that sees the rows, then those that see what it makes of them."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _first_steps(step)
    elif isinstance(estimator, FeatureUnion):
        yield from _first_steps(estimator.transformer_list[0][1])
    elif not hasattr(estimator, "n_features_in_") and (parts := _fitted_parts(estimator)):
        yield from _first_steps(parts[0])
    else:
        yield estimator


def _fitted_parts(estimator: Any) -> list[Any]:
    held = next((getattr(estimator, name) for name in _FITTED_PARTS if hasattr(estimator, name)), None)
    parts = list(held) if isinstance(held, list | tuple) else [held] * (held is not None)
    return [
        getattr(part, "estimator", part) if not hasattr(part, "predict") or hasattr(part, "calibrators") else part for part in parts
    ]
