"""The app of the post, generalised to any columns: the model behind a FastAPI endpoint with pydantic models.

Corrected: it does not evaluate text as code, and reads the fourth column from the fourth field. Added: an endpoint for batches, and
the label beside the probabilities where that is asked for.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import Field, create_model

Scaled = Annotated[float, Field(ge=0.0, le=1.0)]
KINDS: dict[str, Any] = {"scaled": (Scaled, ...), "number": (float, ...), "gap": (float | None, None), "text": (str, ...)}
"""Kinds of columns."""


def _frame(records: list[dict[str, Any]]) -> Any:
    import pandas as pd  # only some models take data frames

    return pd.DataFrame(records)


INPUTS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "matrix": lambda records: np.array([list(record.values()) for record in records], dtype=float),  # None becomes NaN.
    "frame": _frame,
    "text": lambda records: [text for record in records for text in record.values()],
}
"""What a model takes, from values by column."""


def create_app() -> FastAPI:
    """An app that serves the models in the folder POST_APP_MODELS."""
    app = FastAPI(title="IRIS Classification", version="0.1")
    for file in Path(os.environ["POST_APP_MODELS"]).glob("*.joblib"):
        _add(app, *joblib.load(file))
    return app


def _add(
    app: FastAPI, path: str, model: Any, columns: dict[str, str], names: list[str], form: str = "matrix", target: str = ""
) -> None:
    label = {target: (str | int, ...)} if target else {}
    features_model: Any = create_model("Features", **{name: KINDS[kind] for name, kind in columns.items()})
    response_model: Any = create_model("Response", **label, **dict.fromkeys(names, (Scaled, ...)))  # type: ignore[call-overload]
    features_batch: Any = create_model("FeaturesBatch", rows=(list[features_model], ...))
    response_batch: Any = create_model("ResponseBatch", rows=(list[response_model], ...))

    def answers(records: list[Any]) -> list[Any]:
        rows = INPUTS[form]([{name: getattr(record, name) for name in columns} for record in records])
        found = [dict(zip(names, row, strict=True)) for row in model.predict_proba(rows)]
        if target:
            found = [{target: label, **row} for label, row in zip(model.predict(rows).tolist(), found, strict=True)]
        return [response_model(**row) for row in found]

    @app.post(path, response_model=response_model)
    def predict(features: features_model) -> Any:
        return answers([features])[0]

    @app.post(f"{path}/batch", response_model=response_batch)
    def predict_batch(batch: features_batch) -> Any:
        return response_batch(rows=answers(batch.rows))
