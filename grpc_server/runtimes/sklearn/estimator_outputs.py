"""The sources of a fitted scikit-learn estimator, from the kind that it is and the methods that it has."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from grpc_server.errors import ModelUnloadable, exception_text
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import Output, Source, outputs_per_target, probability_outputs
from grpc_server.rows.targets import OUTLIER_CLASSES, ClassType, class_type
from grpc_server.runtimes.sklearn.boosted_wrapper import check_objective, quantile_outputs, quantiles_of
from grpc_server.runtimes.sklearn.estimator_input import InputConversion
from grpc_server.runtimes.sklearn.fast_predict import Method, fast_predict
from grpc_server.runtimes.sklearn.interval_regressor import IntervalRegressor
from grpc_server.runtimes.sklearn.joint_sources import joint_sources

Methods = Callable[..., Method]
"""From the name of a method, and keyword arguments for it, to that method."""

_METHODS = {"probability": "predict_proba", "component": "transform", "distance": "transform"}
"""Methods other than `predict` by the kind of their outputs."""

_MOST_CHARACTERS = 200
"""Characters of a list of classes in a message."""

_95_PERCENT = 1.959963984540054
"""Standard deviations on each side of the mean between which a normal distribution has 95 % of its mass."""


def kind_of(estimator: Any) -> str:
    """A key of _SOURCES; empty for an estimator that does not predict new rows."""
    try:
        kind = get_tags(estimator).estimator_type or "transformer"
    except AttributeError:  # Not a scikit-learn class, but it may behave like a classifier.
        return "classifier" if hasattr(estimator, "classes_") and hasattr(estimator, "predict_proba") else ""
    kind = "clusterer" if kind == "density_estimator" else kind
    method = "transform" if kind == "transformer" else "predict"
    return kind if kind in _SOURCES and callable(getattr(estimator, method, None)) else ""


def classes_of(estimator: Any) -> tuple[tuple[str, ...], ...]:
    """The class names of each target; empty for an estimator without classes."""
    kind = kind_of(estimator)
    if kind == "outlier_detector":
        return (OUTLIER_CLASSES,)
    if kind != "classifier":
        return ()
    return tuple(tuple(map(str, values)) for values in _class_values(estimator))


def class_types_of(estimator: Any) -> tuple[ClassType, ...]:
    """The type of the classes of each target; empty for an estimator without classes of its own."""
    return tuple(map(class_type, _class_values(estimator))) if kind_of(estimator) == "classifier" else ()


def last_step(estimator: Any) -> Any:
    """The estimator that predicts, at the end of a pipeline."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def sources(estimator: Any, convert: InputConversion | None, sample: Rows) -> tuple[Source, ...]:
    """See Runtime.sources; `convert` makes the estimator's input of rows, unless it is None."""

    def method(name: str, **options: Any) -> Method:
        if convert is None and not options:
            return fast_predict(estimator, name, sample)
        bound = getattr(estimator, name)
        return (lambda rows: bound(rows, **options)) if convert is None else lambda rows: bound(convert(rows), **options)

    found = tuple(_SOURCES[kind_of(estimator)](estimator, method, sample))
    for source in found:
        _check_shape(source, sample, estimator)
    return (found[0], *joint_sources(estimator, found, sample), *found[1:])


def _check_shape(source: Source, sample: Rows, estimator: Any) -> None:
    """Raises ModelUnloadable if the answer to the sample has another shape than the outputs of the source."""
    try:
        shape = source.run(sample).shape
    except ModelUnloadable:
        raise
    except Exception:  # The sample may be made up, so that the estimator cannot take it.
        return
    expected = (len(sample), len(source.outputs))
    if shape != expected:
        name = f"{type(estimator).__name__}.{_METHODS.get(source.outputs[0].kind, 'predict')}"
        reason = f"{name} gives an array of shape {shape} for {len(sample)} row{'s' * (len(sample) != 1)}, expected {expected}"
        raise ModelUnloadable(reason, "return one row for each row, with a column for each class or target")


def _classifier(estimator: Any, method: Methods, sample: Rows) -> Iterator[Source]:
    targets = classes_of(estimator)
    check_objective(last_step(estimator))
    if callable(getattr(estimator, "predict_proba", None)):
        yield _probabilities(targets, method("predict_proba"))
    if callable(getattr(estimator, "predict", None)):
        yield _labels(estimator, method("predict"))
    if len(targets) == 1 and not isinstance(estimator.classes_, list):
        yield from _optional(estimator, method, sample, "decision_function", "decision")


def _labels(estimator: Any, predict: Method) -> Source:
    """The label of each target as the index of its class, shape (rows, targets)."""
    class_indices = [{value: index for index, value in enumerate(values)} for values in _class_values(estimator)]

    def run(rows: Any) -> Matrix:
        answers = _dense(predict(rows)).reshape(-1, len(class_indices))
        columns = zip(class_indices, answers.T.tolist(), strict=True)
        try:
            return np.array([[index_of[value] for value in column] for index_of, column in columns], np.float64).T
        except KeyError as unknown:
            reason = f"{type(estimator).__name__}.predict gives {unknown.args[0]!r}, which is none of its classes"
            listed = ", ".join(map(repr, class_indices[0]))
            raise ModelUnloadable(f"{reason} {listed[:_MOST_CHARACTERS]}", "return elements of classes_ there") from None

    return Source(outputs_per_target("label", len(class_indices)), run)


def _probabilities(targets: tuple[tuple[str, ...], ...], predict_proba: Method) -> Source:
    """scikit-learn gives several targets as a list of matrices, or as one matrix of the probability that each label is present."""

    def run(rows: Any) -> Matrix:
        answers = predict_proba(rows)
        if len(targets) == 1 and not isinstance(answers, list):
            return np.asarray(answers, dtype=np.float64)
        if not isinstance(answers, list):
            answers = [np.column_stack((1 - present, present)) for present in _dense(answers).T]
        return np.hstack(answers).astype(np.float64, copy=False)

    return Source(probability_outputs([len(classes) for classes in targets]), run)


def _regressor(estimator: Any, method: Methods, sample: Rows) -> Iterator[Source]:
    value = _matrix(method("predict"))
    targets = _width(value, sample, estimator)
    quantiles = quantiles_of(last_step(estimator))
    yield Source(quantile_outputs(quantiles) if quantiles else outputs_per_target("value", targets), value)
    if isinstance(estimator, IntervalRegressor):
        yield Source((Output("value"), Output("lower"), Output("upper")), _matrix(method("predict_interval")))
    last = last_step(estimator)
    if "return_std" in inspect.signature(last.predict).parameters:
        yield _normal_interval(method("predict", return_std=True), targets)


def _normal_interval(predict_with_std: Method, targets: int) -> Source:
    def run(rows: Any) -> Matrix:
        mean, std = (_dense(part).reshape(-1, targets) for part in predict_with_std(rows))
        return np.hstack((mean, std, mean - _95_PERCENT * std, mean + _95_PERCENT * std))

    outputs = [output for kind in ("value", "std", "lower", "upper") for output in outputs_per_target(kind, targets)]
    return Source(tuple(outputs), run)


def _outlier_detector(estimator: Any, method: Methods, sample: Rows) -> Iterator[Source]:
    predict = _matrix(method("predict"))
    yield Source((Output("label"),), lambda rows: (predict(rows) + 1) / 2)  # -1 and 1 become indices of OUTLIER_CLASSES.
    yield from _optional(estimator, method, sample, "decision_function", "decision")
    yield from _optional(estimator, method, sample, "score_samples", "score")


def _clusterer(estimator: Any, method: Methods, sample: Rows) -> Iterator[Source]:
    yield Source((Output("cluster"),), _matrix(method("predict")))
    yield from _optional(estimator, method, sample, "transform", "distance")
    yield from _optional(estimator, method, sample, "predict_proba", "probability")
    yield from _optional(estimator, method, sample, "score_samples", "score")


def _transformer(estimator: Any, method: Methods, sample: Rows) -> Iterator[Source]:
    run = _matrix(method("transform"))
    yield Source(tuple(Output("component", item) for item in range(_width(run, sample, estimator))), run)


_SOURCES: dict[str, Callable[[Any, Methods, Rows], Iterator[Source]]] = {
    "classifier": _classifier,
    "regressor": _regressor,
    "outlier_detector": _outlier_detector,
    "clusterer": _clusterer,
    "transformer": _transformer,
}


def _optional(estimator: Any, method: Methods, sample: Rows, name: str, kind: str) -> Iterator[Source]:
    """The source of a method, if the estimator has it and it answers the sample."""
    if not callable(getattr(estimator, name, None)):
        return
    run = _matrix(method(name))
    try:
        width = _width(run, sample, estimator)
    except ModelUnloadable:
        return
    yield Source(tuple(Output(kind, item) for item in range(width)), run)


def _width(run: Callable[[Any], Matrix], sample: Rows, estimator: Any) -> int:
    """Number of outputs for a row. Raises ModelUnloadable if the estimator fails on the sample."""
    try:
        return int(run(sample).shape[1])
    except Exception as error:  # An estimator may raise anything.
        reason = f"{type(estimator).__name__} cannot answer a sample row ({exception_text(error)})"
        raise ModelUnloadable(
            reason, "give it a row of its data: `foretell init --data FILE`, `foretell add --golden FILE`"
        ) from error


def _matrix(method: Method) -> Callable[[Any], Matrix]:
    """The method with its answer as shape (rows, numbers) of float64."""

    def run(rows: Any) -> Matrix:
        answer: Matrix = _dense(method(rows)).astype(np.float64, copy=False)
        return answer if answer.ndim == 2 else answer.reshape(len(rows), -1)

    return run


def _dense(answer: Any) -> Any:
    return answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)


def _class_values(estimator: Any) -> list[list[Any]]:
    """For each target, the values that stand for its classes in the answers of `predict`."""
    classes = estimator.classes_
    if _is_multilabel(estimator):
        return [[0, 1] for _ in classes]
    return [np.asarray(each).tolist() for each in (classes if isinstance(classes, list) else [classes])]


def _is_multilabel(estimator: Any) -> bool:
    """Whether `classes_` names labels of which several may be present, rather than classes of which exactly one is."""
    last = last_step(estimator)
    last = getattr(last, "best_estimator_", last)
    binarizer = getattr(last, "_label_binarizer", None) or getattr(last, "label_binarizer_", None)
    return getattr(binarizer, "y_type_", "") == "multilabel-indicator"
