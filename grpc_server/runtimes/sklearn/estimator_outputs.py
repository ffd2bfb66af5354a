"""What a fitted scikit-learn estimator can say of a row, by the methods that it has."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from grpc_server.errors import ModelUnloadable
from grpc_server.rows.class_names import OUTLIER_CLASSES
from grpc_server.rows.mixed_rows import Matrix, Rows
from grpc_server.rows.outputs import Output, Source, per_target, probabilities, several_probabilities
from grpc_server.runtimes.sklearn.fast_predict import fast_predict
from grpc_server.runtimes.sklearn.interval import Interval

Ask = Callable[[Any], Any]
"""One method of an estimator, on rows as the server holds them."""

_95_PERCENT = 1.959963984540054
"""Standard deviations to either side of a value, between which a normal distribution lies in 95 of 100 cases."""


def kind_of(estimator: Any) -> str:
    """One of the keys of _SOURCES, or nothing for what answers no new rows."""
    try:
        kind = get_tags(estimator).estimator_type or "transformer"
    except AttributeError:  # No scikit-learn class, but it may well behave like one.
        return "classifier" if hasattr(estimator, "classes_") and hasattr(estimator, "predict_proba") else ""
    kind = "clusterer" if kind == "density_estimator" else kind
    method = "transform" if kind == "transformer" else "predict"
    return kind if kind in _SOURCES and callable(getattr(estimator, method, None)) else ""


def classes_of(estimator: Any) -> tuple[tuple[str, ...], ...]:
    """The classes of each target; empty for what tells no classes apart."""
    kind = kind_of(estimator)
    if kind == "outlier_detector":
        return (OUTLIER_CLASSES,)
    if kind != "classifier":
        return ()
    if _is_multilabel(estimator):
        return tuple(("0", "1") for _ in estimator.classes_)
    return tuple(tuple(map(str, np.asarray(classes).tolist())) for classes in _class_lists(estimator))


def sources(estimator: Any, feed: Ask | None, sample: Rows) -> tuple[Source, ...]:
    """See Runtime.sources; `feed` makes of rows what the estimator takes."""

    def ask(method: str, **options: Any) -> Ask:
        if feed is None and not options:
            return fast_predict(estimator, method, sample)
        bound = getattr(estimator, method)
        return (lambda rows: bound(rows, **options)) if feed is None else lambda rows: bound(feed(rows), **options)

    return tuple(_SOURCES[kind_of(estimator)](estimator, ask, sample))


def _classifier(estimator: Any, ask: Callable[..., Ask], sample: Rows) -> Iterator[Source]:
    targets = classes_of(estimator)
    gives_proba = callable(getattr(estimator, "predict_proba", None))
    if len(targets) > 1 or isinstance(estimator.classes_, list):
        if gives_proba:
            yield _probabilities_of(targets, ask("predict_proba"))
        yield _labels(estimator, targets, ask("predict"))
        return
    if gives_proba:
        predict_proba = ask("predict_proba")
        yield probabilities(len(targets[0]), lambda rows: np.asarray(predict_proba(rows), dtype=np.float64))
    if callable(getattr(estimator, "predict", None)):
        yield _labels(estimator, targets, ask("predict"))
    yield from _optional(estimator, ask, sample, "decision_function", "decision")


def _labels(estimator: Any, targets: tuple[tuple[str, ...], ...], predict: Ask) -> Source:
    """The label of each target as the place of its class."""
    lists = (
        [[0, 1] for _ in targets] if _is_multilabel(estimator) else [np.asarray(each).tolist() for each in _class_lists(estimator)]
    )
    places = [{value: place for place, value in enumerate(values)} for values in lists]

    def run(rows: Any) -> Matrix:
        answers = _dense(predict(rows)).reshape(-1, len(places))
        found = [[place[value] for value in column] for place, column in zip(places, answers.T.tolist(), strict=True)]
        return np.array(found, np.float64).T

    return Source(per_target("label", len(places)), run)


def _probabilities_of(targets: tuple[tuple[str, ...], ...], predict_proba: Ask) -> Source:
    """Of several targets: scikit-learn gives a list of matrices, or one matrix of the probability that each label is there."""

    def run(rows: Any) -> Matrix:
        answers = predict_proba(rows)
        if not isinstance(answers, list):
            answers = [np.column_stack((1 - there, there)) for there in _dense(answers).T]
        return np.hstack(answers).astype(np.float64, copy=False)

    return Source(several_probabilities([len(classes) for classes in targets]), run)


def _regressor(estimator: Any, ask: Callable[..., Ask], sample: Rows) -> Iterator[Source]:
    value = _numbers(ask("predict"))
    targets = range(_width(value, sample, estimator))
    yield Source(per_target("value", len(targets)), value)
    if isinstance(estimator, Interval):
        yield Source((Output("value"), Output("lower"), Output("upper")), _numbers(ask("predict_interval")))
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if "return_std" in inspect.signature(last.predict).parameters:
        with_std = ask("predict", return_std=True)

        def run(rows: Any) -> Matrix:
            mean, std = (_dense(part).reshape(-1, len(targets)) for part in with_std(rows))
            return np.hstack((mean, std, mean - _95_PERCENT * std, mean + _95_PERCENT * std))

        yield Source(tuple(Output(kind, 0, t) for kind in ("value", "std", "lower", "upper") for t in targets), run)


def _outlier_detector(estimator: Any, ask: Callable[..., Ask], sample: Rows) -> Iterator[Source]:
    predict = _numbers(ask("predict"))
    yield Source((Output("label"),), lambda rows: (predict(rows) + 1) / 2)
    yield from _optional(estimator, ask, sample, "decision_function", "decision")
    yield from _optional(estimator, ask, sample, "score_samples", "score")


def _clusterer(estimator: Any, ask: Callable[..., Ask], sample: Rows) -> Iterator[Source]:
    yield Source((Output("cluster"),), _numbers(ask("predict")))
    yield from _optional(estimator, ask, sample, "transform", "distance")
    yield from _optional(estimator, ask, sample, "predict_proba", "probability")
    yield from _optional(estimator, ask, sample, "score_samples", "score")


def _transformer(estimator: Any, ask: Callable[..., Ask], sample: Rows) -> Iterator[Source]:
    run = _numbers(ask("transform"))
    yield Source(tuple(Output("component", item) for item in range(_width(run, sample, estimator))), run)


_SOURCES: dict[str, Callable[[Any, Callable[..., Ask], Rows], Iterator[Source]]] = {
    "classifier": _classifier,
    "regressor": _regressor,
    "outlier_detector": _outlier_detector,
    "clusterer": _clusterer,
    "transformer": _transformer,
}


def _optional(estimator: Any, ask: Callable[..., Ask], sample: Rows, method: str, kind: str) -> Iterator[Source]:
    """What a method gives, where the estimator has it and it works."""
    if not callable(getattr(estimator, method, None)):
        return
    run = _numbers(ask(method))
    try:
        width = _width(run, sample, estimator)
    except ModelUnloadable:
        return
    yield Source(tuple(Output(kind, item) for item in range(width)), run)


def _width(run: Callable[[Any], Matrix], sample: Rows, estimator: Any) -> int:
    """How many numbers a row is answered with."""
    try:
        return int(run(sample).shape[1])
    except Exception as error:  # An estimator may raise anything.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ModelUnloadable(
            f"{type(estimator).__name__} cannot answer a row to begin with ({reason})", "pass golden rows"
        ) from error


def _numbers(method: Ask) -> Callable[[Any], Matrix]:
    """The answer as a matrix, whatever form it has."""

    def run(rows: Any) -> Matrix:
        answer: Matrix = _dense(method(rows)).astype(np.float64, copy=False)
        return answer if answer.ndim == 2 else answer.reshape(len(rows), -1)

    return run


def _dense(answer: Any) -> Any:
    return answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)


def _class_lists(estimator: Any) -> list[Any]:
    classes = estimator.classes_
    return classes if isinstance(classes, list) else [classes]


def _is_multilabel(estimator: Any) -> bool:
    """Whether `classes_` names labels that may all be there at once, rather than classes of which one is."""
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    last = getattr(last, "best_estimator_", last)
    binarizer = getattr(last, "_label_binarizer", None) or getattr(last, "label_binarizer_", None)
    return getattr(binarizer, "y_type_", "") == "multilabel-indicator"
