"""The model in BentoML, plain and with adaptive batching: `bentoml serve bentoml_server:Plain`, the model's file in PEER_MODEL."""

import os

import bentoml
import joblib
import numpy as np


@bentoml.service
class Plain:
    """Each request runs the model."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["PEER_MODEL"])

    @bentoml.api
    def predict(self, rows: np.ndarray) -> dict:
        """Labels and probabilities, a row for each row."""
        return {"labels": self.model.predict(rows).tolist(), "probabilities": self.model.predict_proba(rows).tolist()}


@bentoml.service
class Batching:
    """Requests that come together run the model together."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["PEER_MODEL"])

    @bentoml.api(batchable=True)
    def predict(self, rows: np.ndarray) -> list:
        """Label and probabilities of each row, which BentoML takes apart."""
        return list(zip(self.model.predict(rows).tolist(), self.model.predict_proba(rows).tolist(), strict=True))
