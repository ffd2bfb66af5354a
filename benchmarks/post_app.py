"""The app of the post, generalised to any columns: `model.predict_proba` behind a FastAPI endpoint with pydantic models.

Corrected: it does not evaluate text as code, and reads the fourth column from the fourth field. Added: an endpoint for batches.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import joblib
from fastapi import FastAPI
from pydantic import Field, create_model

Scaled = Annotated[float, Field(ge=0.0, le=1.0)]


def create_app() -> FastAPI:
    """An app that serves the models in the folder POST_APP_MODELS."""
    app = FastAPI(title="IRIS Classification", version="0.1")
    for file in Path(os.environ["POST_APP_MODELS"]).glob("*.joblib"):
        model, columns = joblib.load(file)
        _add(app, "" if file.stem == "iris" else f"/{file.stem}", model, columns)
    return app


def _add(app: FastAPI, prefix: str, model: Any, columns: tuple[str, ...]) -> None:
    names = [f"{name}_probability" for name in model.classes_]
    features_model: Any = create_model("Features", **dict.fromkeys(columns, (Scaled, ...)))  # type: ignore[call-overload]
    response_model: Any = create_model("Response", **dict.fromkeys(names, (Scaled, ...)))  # type: ignore[call-overload]
    features_batch: Any = create_model("FeaturesBatch", rows=(list[features_model], ...))
    response_batch: Any = create_model("ResponseBatch", rows=(list[response_model], ...))

    @app.post(f"{prefix}/predict", response_model=response_model)
    def predict(features: features_model) -> Any:
        feature_list = [getattr(features, name) for name in columns]
        predictions = model.predict_proba([feature_list])[-1]
        return response_model(**dict(zip(names, predictions, strict=True)))

    @app.post(f"{prefix}/predict/batch", response_model=response_batch)
    def predict_batch(batch: features_batch) -> Any:
        feature_lists = [[getattr(features, name) for name in columns] for features in batch.rows]
        predictions = model.predict_proba(feature_lists)
        return response_batch(rows=[response_model(**dict(zip(names, row, strict=True))) for row in predictions])
