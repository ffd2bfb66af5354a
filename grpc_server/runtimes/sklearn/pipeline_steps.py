"""The steps of a fitted pipeline, each as a function from rows to what it makes of them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from grpc_server.rows.mixed_rows import Rows
from grpc_server.runtimes.sklearn.estimator_input import InputConversion

Step = tuple[str, Callable[[Rows], Any]]
"""How messages call a step, such as "'scale' (StandardScaler)", and its function, which gives an array with a row for each row."""


def pipeline_steps(estimator: Any, convert: InputConversion | None) -> Iterator[Step]:
    """The steps of a pipeline but the last, in order; of a ColumnTransformer also each part. Nothing for another estimator."""
    pipeline = getattr(estimator, "best_estimator_", None) or getattr(estimator, "regressor_", None) or estimator
    if not isinstance(pipeline, Pipeline):
        return
    for index, (name, step) in enumerate(pipeline.steps[:-1]):
        run = _transform(pipeline[: index + 1], convert)
        if isinstance(step, ColumnTransformer):
            for part, columns in step.output_indices_.items():
                transformer = step.named_transformers_.get(part)
                yield _title(part, transformer), lambda rows, run=run, columns=columns: run(rows)[:, columns]  # type: ignore[misc]
        yield _title(name, step), run


def last_step(estimator: Any) -> str:
    """How messages call the estimator that predicts, at the end of a pipeline."""
    return _title(*estimator.steps[-1]) if isinstance(estimator, Pipeline) else type(estimator).__name__


def _title(name: str, step: Any) -> str:
    return f"{name!r} ({type(step).__name__})"


def _transform(steps: Pipeline, convert: InputConversion | None) -> Callable[[Rows], Any]:
    def run(rows: Rows) -> Any:
        made = steps.transform(rows if convert is None else convert(rows))
        return made.toarray() if hasattr(made, "toarray") else np.asarray(made)

    return run
