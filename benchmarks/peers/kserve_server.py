"""The model in KServe's SDK: `python kserve_server.py MODEL rest|grpc PORT`."""

import sys
from typing import Any

import joblib
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Probabilities(Model):
    """V1 over REST, and V2."""

    def __init__(self, file: str) -> None:
        super().__init__("iris")
        self.model = joblib.load(file)
        self.ready = True

    def predict(self, payload: Any, _headers: Any = None, _parameters: Any = None) -> Any:
        """Labels and probabilities, a row for each row."""
        if not isinstance(payload, InferRequest):
            rows = payload["instances"]
            return {"labels": self.model.predict(rows).tolist(), "probabilities": self.model.predict_proba(rows).tolist()}
        rows = payload.inputs[0].as_numpy()
        found = {"predict": ("BYTES", self.model.predict(rows)), "predict_proba": ("FP64", self.model.predict_proba(rows))}
        outputs = []
        for name, (kind, values) in found.items():
            outputs.append(InferOutput(name, list(values.shape), kind))
            outputs[-1].set_data_from_numpy(values.astype(object) if kind == "BYTES" else values, binary_data=False)
        return InferResponse(payload.id, self.name, outputs)


if __name__ == "__main__":
    file, door, port = sys.argv[1:]
    ports = {"http_port": int(port), "enable_grpc": False} if door == "rest" else {"http_port": 0, "grpc_port": int(port)}
    ModelServer(**ports).start([Probabilities(file)])
